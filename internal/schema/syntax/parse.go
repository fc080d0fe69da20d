package syntax

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// The features that `use` may name.
const (
	useRoles        = "roles"
	useExpiration   = "expiration"
	useTypechecking = "typechecking"
	useSelf         = "self"
	usePartial      = "partial"
	useImport       = "import"
)

// Parse reads a schema text. It always returns a file: where the text has
// errors, the file holds what could be read. A declaration is kept where its
// name was read; an expression that was not is `nil`, types that were not are
// missing.
//
// The faults are in source order, at most faultsMax of them, and there is one
// for each statement that is wrong.
func Parse(text string) (*File, []*fault.Fault) {
	p := newParser(text)
	p.parse()
	return p.file, p.sorted()
}

// A parser reads statements. Where one is wrong it reports one fault and sees
// nothing but the end of that statement until it has skipped to the next: so no
// function below has to say whether it succeeded.
type parser struct {
	scan  scanner
	ahead []token // scanned and not yet taken; the first is the current one
	last  token   // the one taken last
	file  *File

	diagnostics
	statement

	uses     map[string]bool // features named by `use`, wherever it stands
	begun    bool            // a statement was
	defined  bool            // a definition or the like was seen: too late for `use`
	selves   []Pos           // where `self` was read as a name
	selfName bool            // something is declared that is called `self`

	judged, verdict bool // of closesTwice, for the current definition

	// For the printer.
	keep   bool
	pieces []piece
	lead   []comment // read since the last statement, and not on its line
}

// A statement is how far the parser is with the current one.
type statement struct {
	failed bool // it has an error, and the rest of it is skipped
	told   bool // it has an error, and any other would be its consequence

	parens   int // open ones, brackets too: in them a line's end is nothing
	operands int // of the current expression
	inRule   bool
	inParams bool // of a caveat, which may be called like a member: `relation string`
	pending  part // what the next plain token is to the printer
}

func newParser(text string) *parser {
	return &parser{scan: newScanner(text), file: &File{}, uses: map[string]bool{}}
}

func (p *parser) parse() {
	if size := len(p.scan.text); size > schemaBytesMax {
		p.schemaTooLong(size)
		return
	}
	for {
		p.separators()
		t := p.peek(0)
		if t.kind == endOfText {
			p.begin(ends)
			break
		}
		p.read(func() { p.topLevel(t) })
	}
	if !p.selfName && len(p.file.Imports) == 0 {
		for _, at := range p.selves {
			p.needs(useSelf, "`self`", at)
		}
	}
	p.missingFeatures(p.uses)
}

func (p *parser) topLevel(t token) {
	switch w := p.keyword(t, "definition", "caveat", "partial"); {
	case t.kind == '}':
		p.strayBrace(t)
		p.begin(closes)
	case w == "definition":
		p.definition()
	case w == "partial":
		p.partial()
	case w == "caveat":
		p.caveat()
	case t.is("use"):
		p.use()
	case t.is("import"):
		p.importFile()
	case p.atMember():
		// A brace too many, most likely: read on as if the definition went on,
		// so that its other members do not each report the same.
		p.memberOutside(t)
		p.body(&Definition{}, nil)
	default:
		p.begin(starts)
		p.unknownTopLevel(t)
		p.failed = true
	}
}

// use is `use FEATURE`.
func (p *parser) use() {
	start, _ := p.begin(starts)
	if p.kind() != word {
		p.expected(aFeature)
		return
	}
	t := p.take(plain)
	p.file.Uses = append(p.file.Uses, &Use{At: start.at, Feature: Ident{t.at, t.text}})
	near := t.text
	if !slices.Contains(features, near) {
		near = fault.Nearest(near, features)
	}
	p.uses[near] = true // what was meant is not missed once more
	switch {
	case near != t.text:
		p.unknownFeature(t, near)
	case p.defined:
		p.lateUse(start.at, near)
	}
}

// importFile is `import "PATH"`.
func (p *parser) importFile() {
	start, _ := p.begin(starts)
	p.needs(useImport, "`import`", start.at)
	if p.kind() != quoted {
		p.expected(aPath)
		return
	}
	t := p.take(plain)
	path := strings.TrimSuffix(t.text[1:], t.text[:1])
	p.file.Imports = append(p.file.Imports, &Import{At: start.at, Path: path, PathAt: t.at})
}

// separators goes over `;`, to the next statement.
func (p *parser) separators() {
	for p.peek(0).kind == ';' {
		p.settle(p.peek(0))
		p.advance()
	}
}

// read reads one statement with f, and skips what is left of it where it is wrong.
func (p *parser) read(f func()) {
	around := p.statement
	p.statement = statement{}
	f()
	if !p.failed && p.last.kind != '}' && !p.atEnd() {
		p.unexpected()
	}
	if p.failed {
		p.skipStatement()
	}
	p.statement = around
}

// peek is the n-th token from here.
func (p *parser) peek(n int) token {
	for len(p.ahead) <= n {
		p.ahead = append(p.ahead, p.scan.next())
	}
	return p.ahead[n]
}

// kind is what the statement goes on with: the current token, or its end where
// the current token begins another.
func (p *parser) kind() kind {
	if p.failed || p.endsHere() {
		return endOfStatement
	}
	return p.peek(0).kind
}

func (p *parser) atWord(w string) bool { return p.kind() == word && p.peek(0).text == w }

// atEnd reports whether the statement is over.
func (p *parser) atEnd() bool {
	switch p.kind() {
	case endOfStatement, endOfText, ';', '}':
		return true
	}
	return false
}

// take goes over the current token; as says what it is to the printer.
func (p *parser) take(as part) token {
	t := p.advance()
	if as == plain {
		as, p.pending = p.pending, plain
	}
	if p.keep {
		p.pieces = append(p.pieces, piece{token: t, part: as, depth: p.parens})
	}
	return t
}

// advance goes over the current token and says what is wrong with it.
func (p *parser) advance() token {
	t := p.peek(0)
	p.ahead = append(p.ahead[:0], p.ahead[1:]...)
	for _, c := range t.gap {
		if c.flaw.what != flawless {
			p.unreadable(c.flaw)
		}
	}
	if t.flaw.what != flawless && !p.told {
		p.told = true
		p.unreadable(t.flaw)
	}
	p.last = t
	return t
}

// accept takes a token of this kind, if it is the current one.
func (p *parser) accept(k kind, as part) bool {
	if p.kind() != k {
		return false
	}
	p.take(as)
	return true
}

// expect takes a token of this kind, or reports what stands there instead.
func (p *parser) expect(k kind, as part, w want) bool {
	if p.accept(k, as) {
		return true
	}
	p.expected(w)
	return false
}

// begin takes the first token of a statement. The doc is what the last doc
// comment says that stands before it, and not behind something on its line.
func (p *parser) begin(as part) (t token, doc string) {
	p.settle(p.peek(0))
	p.begun = true
	t = p.take(as)
	for _, c := range p.lead {
		if c.isDoc() {
			doc = docText(c)
		}
	}
	if p.keep {
		p.pieces[len(p.pieces)-1].lead = p.lead
	}
	p.lead = nil
	return t, doc
}

// settle gives the comments before a statement's first token, or before a `;`,
// to the statement that they belong to: those on the line of the last token to
// that token, the others to what comes.
func (p *parser) settle(next token) {
	n := 0
	for n < len(next.gap) && next.gap[n].newlines == 0 {
		n++
	}
	sameLine := n == len(next.gap) && next.newlines == 0
	switch {
	case !p.begun, sameLine && p.opensStatement(next):
		n = 0
	}
	if p.keep && n > 0 {
		before := &p.pieces[len(p.pieces)-1]
		before.trail = append(before.trail, next.gap[:n]...)
	}
	p.lead = append(p.lead, next.gap[n:]...)
}

// opensStatement reports whether a comment between the last token and this one,
// all on one line, speaks of what follows.
func (p *parser) opensStatement(next token) bool {
	switch p.last.kind {
	case '{', ';':
		return true
	}
	switch next.kind {
	case '}', ';', endOfText:
		return false
	}
	return true
}
