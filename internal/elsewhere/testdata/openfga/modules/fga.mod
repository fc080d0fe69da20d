schema: '1.2'
contents:
  - core.fga
  - wiki/pages.fga
