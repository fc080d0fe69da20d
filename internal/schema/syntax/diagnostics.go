package syntax

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// diagnostics are the faults found so far. Every sentence that this room can say
// stands in this file.
type diagnostics struct {
	faults  []*fault.Fault
	missing []missingFeature
}

// A missingFeature is the first place that needs a feature.
type missingFeature struct {
	feature, thing string
	at             Pos
}

// features are what `use` may name.
var features = []string{useRoles, useExpiration, useTypechecking, useSelf, usePartial, useImport}

// A want is what a statement has to go on with.
type want byte

const (
	aName want = iota
	aTypeName
	aType
	aNameOfTheType
	aRelationName
	aCaveatName
	aPartialName
	anArrowTarget
	aFeature
	aPath
	aBrace
	theTypes
	anEqualsSign
	anExpression
	anyOrAll
	aParenthesis
	aStar
	theExpiration
	aBound
	aBracket
	theParameters
	aParameter
	aParameterType
	anAngle
)

const (
	nameForm  = "a name is written [a-z][a-z0-9_]*, 1 to 64 characters"
	typesForm = "write `type`, `type#relation` or `type:*`, with `|` between several"
	boundForm = "write `[n]`, `[n..m]` or `[n..*]`"
	paramForm = "write `caveat NAME(parameter type, parameter type) { … }`"
)

// wants says what each is called, and how it is written.
var wants = [...]struct{ thing, remedy string }{
	aName:          {"a name", nameForm},
	aTypeName:      {"the name of a type", nameForm + ", with '/' between prefixes"},
	aType:          {"a type", typesForm},
	aNameOfTheType: {"a relation of that type", typesForm},
	aRelationName:  {"the name of a relation", nameForm},
	aCaveatName:    {"the name of a caveat", nameForm + ", with '/' between prefixes"},
	aPartialName:   {"the name of a partial", "write `...NAME`"},
	anArrowTarget:  {"a name behind the arrow", "write `relation->name`, `relation.any(name)` or `relation.all(name)`"},
	aFeature:       {"a feature", "write `use roles`, for example"},
	aPath:          {"a path in quotes", "write `import \"path/of/the/file.zed\"`"},
	aBrace:         {"`{`", "open the block with `{` on this line, and close it with `}`"},
	theTypes:       {"`:` and types", "write `relation NAME: TYPE | TYPE`"},
	anEqualsSign:   {"`=` and an expression", "write `permission NAME = EXPR`, or `permission NAME: TYPE | TYPE = EXPR`"},
	anExpression:   {"a name or another expression", "an expression is made of names, `relation->name`, `+`, `&`, `-`, `nil` and parentheses"},
	anyOrAll:       {"`any` or `all`", "write `relation.any(name)` or `relation.all(name)`"},
	aParenthesis:   {"`(`", "write `relation.any(name)` or `relation.all(name)`"},
	aStar:          {"`*`", "a type alone allows each object of it, `type:*` the wildcard; one object cannot be named in a schema"},
	theExpiration:  {"`expiration`", "write `with CAVEAT`, `with expiration` or `with CAVEAT and expiration`"},
	aBound:         {"a number", boundForm},
	aBracket:       {"`]`", boundForm},
	theParameters:  {"`(` and parameters", paramForm},
	aParameter:     {"a parameter", paramForm},
	aParameterType: {"the type of the parameter", "write a type such as `int`, `timestamp` or `list<string>`"},
	anAngle:        {"`>`", "write a type such as `list<string>`"},
}

// report keeps a fault; what is over the maximum is dropped, for the reader has
// enough to do.
func (d *diagnostics) report(f *fault.Fault) {
	if len(d.faults) < faultsMax {
		d.faults = append(d.faults, f)
	}
}

// sorted is what was found, in source order.
func (d *diagnostics) sorted() []*fault.Fault {
	slices.SortStableFunc(d.faults, func(a, b *fault.Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return d.faults
}

// complain reports a fault that does not keep the statement from being read on;
// a second one in the same statement would be its consequence.
func (p *parser) complain(code fault.Code, at Pos, summary string) *fault.Fault {
	f := fault.New(code, summary).At(at.Line, at.Column)
	if !p.told && !p.atOpenComment() {
		p.report(f)
	}
	p.told = true
	return f
}

// atOpenComment reports whether a comment without an end swallowed the rest of
// the text: then nothing else is missing.
func (p *parser) atOpenComment() bool {
	gap := p.peek(0).gap
	return len(gap) > 0 && gap[len(gap)-1].flaw.what == unclosedComment
}

// refuse reports a fault, and gives up the statement.
func (p *parser) refuse(at Pos, format string, args ...any) *fault.Fault {
	f := p.complain(fault.SchemaMustBeReadable, at, fmt.Sprintf(format, args...))
	p.failed = true
	return f
}

func (p *parser) outOfBounds(at Pos, format string, args ...any) *fault.Fault {
	return p.complain(fault.SchemaMustStayWithinBounds, at, fmt.Sprintf(format, args...))
}

// needs notes that a feature is used, with the first place where it is. A file
// that lacks a `use` lacks it once, however often it needs it.
func (d *diagnostics) needs(feature, thing string, at Pos) {
	for _, m := range d.missing {
		if m.feature == feature {
			return
		}
	}
	d.missing = append(d.missing, missingFeature{feature, thing, at})
}

func (d *diagnostics) missingFeatures(used map[string]bool) {
	d.faults = d.sorted()
	for _, m := range d.missing {
		if used[m.feature] {
			continue
		}
		f := fault.Newf(fault.SchemaMustUseItsFeatures, "%s needs the feature %q", m.thing, m.feature).
			Do("add `use %s` at the top", m.feature).At(m.at.Line, m.at.Column)
		// These stand for every place that needs the feature, so they go in even
		// where there are too many others.
		if len(d.faults) == faultsMax {
			d.faults = d.faults[:faultsMax-1]
		}
		d.faults = slices.Insert(d.faults, 0, f)
	}
}

// expected is reported where a statement goes on with something else.
func (p *parser) expected(w want) {
	if p.failed {
		return
	}
	remedy := wants[w].remedy
	if w == anExpression {
		remedy = p.hint(remedy)
	}
	p.refuse(p.place(), "expected %s, found %s", wants[w].thing, p.found()).Do("%s", remedy)
}

// unexpected is reported where a statement that could end goes on.
func (p *parser) unexpected() {
	if p.failed {
		return
	}
	p.refuse(p.place(), "unexpected %s", p.found()).Do("%s", p.hint("end the statement here, with a new line or `;`"))
}

// hint is a remedy for what stands here, where that is a habit from another
// language; otherwise it is the general one.
func (p *parser) hint(general string) string {
	t := p.peek(0)
	switch {
	case p.unfinished():
	case t.kind == '|', t.is("or"):
		return "union is written `+` in an expression, `|` stands between types"
	case t.is("and"):
		return "intersection is written `&`"
	case t.is("not"), t.kind == junk && t.text == "!":
		return "exclusion is written `a - b`"
	case t.kind == arrow, t.kind == '.':
		return "an arrow starts at the name of a relation: give the expression before it a name with `permission`"
	case t.is("except"):
		return "`except self` stands behind `granted by EXPR` or `revoked by EXPR`, `except EXPR` behind `roles`; in an expression, exclusion is written `a - b`"
	case t.is("with"):
		return "`with` stands behind one type, on its line"
	}
	return general
}

// found is what stands where the statement goes on.
func (p *parser) found() string {
	if p.unfinished() {
		return "the end of the line"
	}
	return p.peek(0).String()
}

func (t token) String() string {
	switch t.kind {
	case endOfText:
		return "the end of the text"
	case quoted:
		return "text in quotes"
	case junk:
		r, size := utf8.DecodeRuneInString(t.text)
		switch {
		case r == utf8.RuneError && size == 1:
			return "a byte that is not UTF-8"
		case !unicode.IsPrint(r):
			return fmt.Sprintf("the character %U", r)
		}
	}
	return "`" + clipped(t.text) + "`"
}

// clipped shortens what a file may have at any length.
func clipped(s string) string {
	const shown = rel.NameBytesMax
	if len(s) <= shown {
		return s
	}
	return strings.ToValidUTF8(s[:shown], "") + "…"
}

func (p *parser) unreadable(f flaw) {
	fault := fault.New(fault.SchemaMustBeReadable, "").At(f.at.Line, f.at.Column)
	switch f.what {
	case notUTF8:
		fault.Summary = "the text is not UTF-8"
		fault.Do("encode the file as UTF-8")
	case unclosedComment:
		fault.Summary = "the comment has no end"
		fault.Do("close it with `*/`")
	case unclosedString:
		fault.Summary = "the text in quotes has no end"
		fault.Do("close it with the quote that opened it, on the same line")
	case unclosedCaveat:
		fault.Summary = "the caveat has no end"
		fault.Do("close its text with `}`")
	}
	p.report(fault)
}

func (p *parser) notAName(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("%s is not a name", t)).Do(nameForm)
}

func (p *parser) notACELName(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("%s is not a name that CEL knows", t)).
		Do("write it with letters from a to z, digits and `_`")
}

func (p *parser) pathTooLong(path Ident) {
	p.outOfBounds(path.At, "a name of %d bytes is too long", len(path.Text)).
		Do("a name has at most %d bytes with its prefixes", rel.TypeBytesMax)
}

func (p *parser) schemaTooLong(bytes int) {
	p.outOfBounds(Pos{Line: 1, Column: 1}, "the schema has %d bytes", bytes).
		Do("a schema has at most %d bytes", schemaBytesMax)
}

func (p *parser) nestedTooDeep(at Pos, what string) {
	p.outOfBounds(at, "%s are nested more than %d deep", what, nestingMax).
		Do("split the expression")
	p.failed = true
}

func (p *parser) tooManyOperands(at Pos) {
	p.outOfBounds(at, "the expression has more than %d names", operandsMax).
		Do("split it: give parts of it a name with `permission`")
	p.failed = true
}

func (p *parser) boundTooLarge(t token) {
	p.outOfBounds(t.at, "the bound %s is too large", clipped(t.text)).
		Do("a bound is at most %d; write `[n..*]` for no upper bound", boundMax)
}

// The top of a file.

func (p *parser) unknownFeature(t token, near string) {
	f := p.refuse(t.at, "unknown feature %s", t).Do("the features are %s", strings.Join(features, ", "))
	if near != "" {
		f.Do("did you mean `use %s`?", near)
	}
}

func (p *parser) lateUse(at Pos, feature string) {
	p.complain(fault.SchemaMustBeReadable, at, fmt.Sprintf("`use %s` stands behind a definition", feature)).
		Do("move it to the top")
}

func (p *parser) misspelt(t token, near string) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("unknown word %s", t)).
		Do("did you mean `%s`?", near)
}

func (p *parser) unknownTopLevel(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("expected `definition` or `caveat`, found %s", t)).
		Do("a schema is made of `use FEATURE`, `definition NAME { … }` and `caveat NAME(…) { … }`")
}

func (p *parser) strayBrace(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, "`}` closes nothing").
		Do("take it away, or one that stands too early above")
}

func (p *parser) memberOutside(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("%s stands outside of a definition", t)).
		Do("put it between the braces of a `definition`; perhaps a `}` above closes it too early")
}

// Definitions.

func (p *parser) blockNotClosed(opened token, what string, found token) {
	p.complain(fault.SchemaMustBeReadable, opened.at, fmt.Sprintf("%s has no end: found %s on line %d", what, found, found.at.Line)).
		Do("close it with `}` before that")
}

func (p *parser) unknownMember(t, next token) {
	f := p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("expected a member of the definition, found %s", t))
	if t.kind == word && next.kind == ':' {
		f.Do("write `relation %s: …`; only roles in a `roles` block have no word before them", clipped(t.text))
		return
	}
	f.Do("a member begins with `relation`, `permission`, `roles`, `within` or `created by`")
}

func (p *parser) permissionHasNoClause(t token) {
	p.refuse(t.at, "a permission has no %s", clauseNames[p.clauseAhead()]).
		Do("a permission is computed; the clause belongs to a relation or a role")
}

func (p *parser) relationIsNotComputed(t token, name Ident) {
	p.refuse(t.at, "a relation has no `=`").
		Do("write `permission %s = …` for what is computed; only a role may be both", clipped(name.Text))
}

// clauseNames are the clauses as they are called in sentences.
var clauseNames = [...]string{
	noClause:           "clause",
	typesClause:        "`:` with types",
	multiplicityClause: "multiplicity",
	computedClause:     "`=`",
	ofClause:           "`of`",
	onePerClause:       "`one per subject with`",
	grantedClause:      "`granted by`",
	revokedClause:      "`revoked by`",
}

func (p *parser) clauseOutOfOrder(t token, c, done clause, of owner) {
	if c == done {
		p.refuse(t.at, "a second %s", clauseNames[c]).Do("each clause stands once")
		return
	}
	order := "TYPES, multiplicity, `of`, `one per subject with`, `granted by`, `revoked by`"
	if of == roleClause {
		order = "TYPES, multiplicity, `= EXPR`, `of`, `one per subject with`, `granted by`, `revoked by`"
	}
	p.refuse(t.at, "%s stands behind %s", clauseNames[c], clauseNames[done]).Do("the order is %s", order)
}

func (p *parser) wordExpected(w, after string) {
	if !p.failed {
		p.refuse(p.place(), "expected `%s` after `%s`, found %s", w, after, p.found()).Do("write `%s %s`", after, w)
	}
}

func (p *parser) caveatComesFirst(at Pos) {
	p.refuse(at, "the caveat stands behind the expiration").Do("write `with CAVEAT and expiration`")
}

// Roles.

func (p *parser) rolesOutOfOrder(t token, except Expr) {
	summary := "a second `one per subject`"
	if except != nil {
		summary = "`one per subject` stands behind `except`"
	}
	p.refuse(t.at, "%s", summary).Do("the order is `roles one per subject except EXPR { … }`, each once")
}

func (p *parser) foreignInRoles(t token) {
	f := p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("%s stands in a roles block", t))
	if t.is("relation") {
		f.Do("a role is written `NAME: TYPES`, without `relation`; a relation stands outside of the block")
		return
	}
	f.Do("put it outside of the block")
}

func (p *parser) notARole(t token) {
	p.complain(fault.SchemaMustBeReadable, t.at, fmt.Sprintf("expected a role, found %s", t)).
		Do("write `NAME: TYPES` or `NAME = EXPR` for a role, or `inherit from RELATION`")
}

func (p *parser) roleLooksLikeClause(t token) {
	p.refuse(t.at, "the role %s cannot be told from the clause of that name", t).
		Do("give it types or an expression, or another name")
}

// Expressions.

func (p *parser) notClosed(opened token) {
	if !p.failed {
		p.refuse(opened.at, "`(` has no end: found %s", p.found()).Do("close it with `)`")
	}
}

func (p *parser) subjectStandsAlone(at Pos) {
	p.refuse(at, "in a rule, `subject` is not a relation").
		Do("write `subject->NAME`: what the actor holds on the object that the tuple's subject names")
}

func (p *parser) subjectGoesOneStep(at Pos) {
	p.refuse(at, "`subject->NAME` takes no further arrow").
		Do("give the rest a name with `permission` in the subject's definition")
}

// Caveats.

func (p *parser) caveatSaysNothing(at Pos, name Ident) {
	p.complain(fault.SchemaMustBeReadable, at, fmt.Sprintf("the caveat %s says nothing", strconv.Quote(clipped(name.Text)))).
		Do("write a CEL expression between the braces")
}
