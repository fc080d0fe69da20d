package lsp

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A kind is what a declared name is.
type kind byte

const (
	typeKind kind = iota
	partialKind
	caveatKind
	relationKind
	roleKind
	permissionKind
)

func (k kind) String() string {
	return [...]string{"type", "partial", "caveat", "relation", "role", "permission"}[k]
}

// A symbol is a name where it is declared, with its piece of the tree: one of the
// four below is set.
type symbol struct {
	kind   kind
	name   syntax.Ident
	doc    string
	source *source
	owner  *symbol // the type or partial that a relation, role or permission is of
	start  int     // where its declaration begins

	definition *syntax.Definition // of a type or partial
	caveat     *syntax.Caveat
	relation   *syntax.Relation // of a relation or role
	permission *syntax.Permission
	block      *syntax.Roles // that a role is in

	members []*symbol            // of a type or partial, in source order
	named   map[string][]*symbol // those by their names
}

// A place says what kind of name stands somewhere.
type place byte

const (
	typePlace     place = iota // a subject type, a type annotation
	usersetPlace               // behind the `#` of a subject type
	namePlace                  // in an expression
	arrowPlace                 // the target of an arrow
	subjectPlace               // the target of `subject->`
	relationPlace              // where a clause wants a relation
	caveatPlace
	partialPlace
	featurePlace // behind `use`
)

// A use is a name where it stands for what was declared somewhere.
type use struct {
	place  place
	name   syntax.Ident
	source *source
	owner  *symbol // the type or partial around it
	by     *symbol // the member around it; nil for a clause of the type's own
	clause string  // the words of that clause, or of the member's

	typ   string            // usersetPlace: what stands before the `#`
	left  syntax.Expr       // arrowPlace: what the arrow starts at
	types []*syntax.TypeRef // subjectPlace: what the subject may be
}

// A mention is a name in the text: a symbol's or a use's.
type mention struct {
	start, end int
	symbol     *symbol
	use        *use
}

// An index is all names of one text.
type index struct {
	mentions []mention            // in source order
	symbols  []*symbol            // outside of others, in source order
	named    map[string][]*symbol // those by their names
}

// An indexer goes through one tree.
type indexer struct {
	index
	source *source

	// Where it is.
	owner, by *symbol
	clause    string
}

func newIndex(s *source) index {
	x := &indexer{source: s, index: index{named: make(map[string][]*symbol)}}
	for _, u := range s.file.Uses {
		x.use(use{place: featurePlace, name: u.Feature})
	}
	for _, c := range s.file.Caveats {
		x.declare(&symbol{kind: caveatKind, name: c.Name, doc: c.Doc, start: c.At.Offset, caveat: c})
	}
	for _, d := range s.file.Partials {
		x.definition(partialKind, d)
	}
	for _, d := range s.file.Definitions {
		x.definition(typeKind, d)
	}
	slices.SortStableFunc(x.mentions, func(a, b mention) int { return cmp.Compare(a.start, b.start) })
	sortSymbols(x.symbols)
	return x.index
}

func sortSymbols(symbols []*symbol) {
	slices.SortStableFunc(symbols, func(a, b *symbol) int { return cmp.Compare(a.start, b.start) })
}

func (x *indexer) declare(s *symbol) *symbol {
	s.source, s.owner = x.source, x.owner
	if x.owner == nil {
		x.symbols = append(x.symbols, s)
		x.named[s.name.Text] = append(x.named[s.name.Text], s)
	} else {
		x.owner.members = append(x.owner.members, s)
		x.owner.named[s.name.Text] = append(x.owner.named[s.name.Text], s)
	}
	x.mention(mention{symbol: s}, s.name)
	return s
}

// use remembers a name that was read; where one is missing there is nothing to
// follow.
func (x *indexer) use(u use) {
	if u.name.Text == "" {
		return
	}
	u.source, u.owner, u.by, u.clause = x.source, x.owner, x.by, x.clause
	x.mention(mention{use: &u}, u.name)
}

func (x *indexer) mention(m mention, name syntax.Ident) {
	m.start = name.At.Offset
	m.end = m.start + len(name.Text)
	if rest := x.source.text[m.start:]; !strings.HasPrefix(rest, name.Text) {
		// White space or a comment stands in a path: its first part will do.
		first, _, _ := strings.Cut(name.Text, "/")
		m.end = m.start + len(first)
	}
	x.mentions = append(x.mentions, m)
}

func (x *indexer) definition(k kind, d *syntax.Definition) {
	s := x.declare(&symbol{
		kind: k, name: d.Name, doc: d.Doc, start: d.At.Offset, definition: d, named: make(map[string][]*symbol),
	})
	x.owner = s
	for _, i := range d.Includes {
		x.clause = "..."
		x.use(use{place: partialPlace, name: i.Name})
	}
	for _, r := range d.Relations {
		x.relation(relationKind, r, nil)
	}
	for _, block := range d.Roles {
		x.roles(block)
	}
	for _, p := range d.Permissions {
		x.permission(p)
	}
	for _, w := range d.Withins {
		x.clause = "within"
		for _, name := range w.Rels {
			x.use(use{place: relationPlace, name: name})
		}
	}
	for _, c := range d.CreatedBys {
		x.clause = "created by"
		x.expression(c.Expr, nil)
	}
	x.owner = nil
	sortSymbols(s.members)
}

func (x *indexer) roles(block *syntax.Roles) {
	if block.Except != nil {
		x.clause = "roles except"
		x.expression(block.Except, nil)
	}
	for _, i := range block.Inherits {
		x.clause = "inherit from"
		x.use(use{place: relationPlace, name: i.Rel})
	}
	for _, r := range block.Roles {
		x.relation(roleKind, r, block)
	}
}

func (x *indexer) relation(k kind, r *syntax.Relation, block *syntax.Roles) {
	x.by = x.declare(&symbol{kind: k, name: r.Name, doc: r.Doc, start: r.At.Offset, relation: r, block: block})
	defer func() { x.by = nil }()
	x.clause = k.String()
	for _, t := range r.Types {
		x.use(use{place: typePlace, name: t.Type})
		if t.Relation != nil {
			x.use(use{place: usersetPlace, name: *t.Relation, typ: t.Type.Text})
		}
		if t.Caveat != nil {
			x.use(use{place: caveatPlace, name: *t.Caveat})
		}
	}
	if r.Expr != nil {
		x.expression(r.Expr, nil)
	}
	if r.Of != nil {
		x.clause = "of"
		x.use(use{place: relationPlace, name: *r.Of})
	}
	if r.OnePerWith != nil {
		x.clause = "one per subject with"
		x.use(use{place: relationPlace, name: *r.OnePerWith})
	}
	if r.Granted != nil {
		x.clause = "granted by"
		x.expression(r.Granted.Expr, r.Types)
	}
	if r.Revoked != nil {
		x.clause = "revoked by"
		x.expression(r.Revoked.Expr, r.Types)
	}
}

func (x *indexer) permission(p *syntax.Permission) {
	x.by = x.declare(&symbol{kind: permissionKind, name: p.Name, doc: p.Doc, start: p.At.Offset, permission: p})
	defer func() { x.by = nil }()
	x.clause = "permission"
	for _, name := range p.Annotation {
		x.use(use{place: typePlace, name: name})
	}
	if p.Expr != nil {
		x.expression(p.Expr, nil)
	}
}

// expression finds the names of one; subjects are what `subject` may be in it.
func (x *indexer) expression(e syntax.Expr, subjects []*syntax.TypeRef) {
	switch e := e.(type) {
	case *syntax.NameExpr:
		x.use(use{place: namePlace, name: e.Name})
	case *syntax.ArrowExpr:
		x.expression(e.Left, subjects)
		x.use(use{place: arrowPlace, name: e.Target, left: e.Left})
	case *syntax.SubjectExpr:
		x.use(use{place: subjectPlace, name: e.Target, types: subjects})
	case *syntax.BinaryExpr:
		x.expression(e.Left, subjects)
		x.expression(e.Right, subjects)
	case *syntax.ParenExpr:
		x.expression(e.X, subjects)
	}
}
