package lsp

import (
	"net/url"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A source is one schema text with what was read of it. It is never changed: a
// document whose text changes gets another.
type source struct {
	uri  string
	path string // empty where the text is in no file
	ruler
	file *syntax.File
	index

	code func() string // see blankComments
}

func newSource(uri, text string, e encoding) *source {
	s := &source{uri: uri, path: pathOf(uri), ruler: newRuler(text, e)}
	s.file, _ = syntax.Parse(text) // what is wrong with it, the compiler says
	s.code = sync.OnceValue(func() string { return blankComments(text, s.file) })
	s.index = newIndex(s)
	return s
}

// at is the mention that an offset is in, or behind the last character of; nil
// where there is none.
func (s *source) at(offset int) *mention {
	after := sort.Search(len(s.mentions), func(i int) bool { return s.mentions[i].start > offset })
	if after == 0 || s.mentions[after-1].end < offset {
		return nil
	}
	return &s.mentions[after-1]
}

// importAt is the import whose path an offset is in, and where that path stands
// with its quotes.
func (s *source) importAt(offset int) (i *syntax.Import, start, end int) {
	for _, i := range s.file.Imports {
		line := s.text[i.At.Offset:s.lineEnd(i.At.Line-1)]
		from := strings.IndexAny(line, `"'`)
		if from < 0 || !strings.HasPrefix(line[from+1:], i.Path) {
			continue // a comment stands before the path
		}
		start = i.At.Offset + from
		end = min(start+len(i.Path)+len(`""`), len(s.text))
		if start <= offset && offset <= end {
			return i, start, end
		}
	}
	return nil, 0, 0
}

// wordAt is the word of the language that an offset is in, outside of comments
// and of CEL; empty where there is none.
func (s *source) wordAt(offset int) (start, end int) {
	code := s.code()
	for _, c := range s.file.Caveats {
		if c.BodyAt.Offset <= offset && offset <= c.BodyAt.Offset+len(c.Body) {
			return 0, 0
		}
	}
	start, end = offset, offset
	for start > 0 && isWordByte(code[start-1]) {
		start--
	}
	for end < len(code) && isWordByte(code[end]) {
		end++
	}
	return start, end
}

func isWordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '_'
}

// end is where what stands before an offset ends: without the white space and the
// comments behind it, and without the further marks.
func (s *source) end(before int, marks string) int {
	return len(strings.TrimRight(s.code()[:before], " \t\r\n;"+marks))
}

// blankComments is the text with a space for each byte of a comment, so that all
// else is where it was. The tree does not have the comments, and the scanner is
// syntax's own; outside of CEL they are easy to find.
func blankComments(text string, file *syntax.File) string {
	out := []byte(text)
	caveats := file.Caveats
	for i := 0; i < len(text); {
		if len(caveats) > 0 && i >= caveats[0].BodyAt.Offset {
			i = max(i, caveats[0].BodyAt.Offset+len(caveats[0].Body))
			caveats = caveats[1:]
			continue
		}
		var end int
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, "//"):
			end = i + lengthTo(rest, "\n", "\r")
		case strings.HasPrefix(rest, "/*"):
			end = i + 2 + lengthOver(rest[2:], "*/")
		case rest[0] == '"' || rest[0] == '\'':
			i += 1 + lengthTo(rest[1:], rest[:1], "\n", "\r")
			if i < len(text) && text[i] == rest[0] {
				i++
			}
			continue
		default:
			i++
			continue
		}
		for ; i < end; i++ {
			if text[i] != '\n' && text[i] != '\r' {
				out[i] = ' '
			}
		}
	}
	return string(out)
}

// lengthTo is how far the nearest of the ends is.
func lengthTo(text string, ends ...string) int {
	n := len(text)
	for _, end := range ends {
		if at := strings.Index(text[:n], end); at >= 0 {
			n = at
		}
	}
	return n
}

// lengthOver is how long text is up to its first end, with it.
func lengthOver(text, end string) int {
	if at := strings.Index(text, end); at >= 0 {
		return at + len(end)
	}
	return len(text)
}

var driveForm = regexp.MustCompile(`^/[A-Za-z]:`)

// pathOf is the file that a URI names, or empty where it names none.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Path == "" {
		return ""
	}
	path := u.Path
	if driveForm.MatchString(path) {
		path = path[1:]
	}
	return filepath.Clean(filepath.FromSlash(path))
}

// uriOf is the URI of a file.
func uriOf(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String()
}
