package syntax

import "github.com/pemba-io/pemba/internal/rel"

// definition is `definition NAME { … }`.
func (p *parser) definition() {
	if d := p.definitionOrPartial(); d.Name.Text != "" {
		p.file.Definitions = append(p.file.Definitions, d)
	}
}

// partial is `partial NAME { … }`.
func (p *parser) partial() {
	p.needs(usePartial, "`partial`", p.peek(0).at)
	if d := p.definitionOrPartial(); d.Name.Text != "" {
		p.file.Partials = append(p.file.Partials, d)
	}
}

func (p *parser) definitionOrPartial() *Definition {
	p.defined, p.judged = true, false
	start, doc := p.begin(starts)
	d := &Definition{At: start.at, Doc: doc, Name: p.path(aTypeName)}
	if opened, ok := p.block(); ok {
		p.body(d, &opened)
	}
	return d
}

// body reads members to the brace that closes them; opened is nil where none opened.
func (p *parser) body(d *Definition, opened *token) {
	for {
		p.separators()
		switch t := p.peek(0); {
		case t.kind == '}':
			p.begin(closes)
			d.End = t.at
			return
		case t.kind == endOfText, p.atTopLevel():
			if opened != nil {
				p.blockNotClosed(*opened, "`"+clipped(d.Name.Text)+"`", t)
			}
			p.told = true
			return
		default:
			p.read(func() { p.member(d, t) })
		}
	}
}

func (p *parser) member(d *Definition, t token) {
	if t.kind == ellipsis {
		p.include(d)
		return
	}
	switch p.keyword(t, "relation", "permission", "roles", "within", "created") {
	case "relation":
		p.relation(d)
	case "permission":
		p.permission(d)
	case "roles":
		p.roles(d)
	case "within":
		p.within(d)
	case "created":
		p.createdBy(d)
	default:
		p.unknownMember(t, p.peek(1))
		p.begin(starts)
		p.failed = true
	}
}

// relation is `relation NAME: TYPES` with its clauses.
func (p *parser) relation(d *Definition) {
	start, doc := p.begin(starts)
	r := &Relation{At: start.at, Doc: doc, Name: p.declared(aName)}
	if r.Name.Text != "" {
		d.Relations = append(d.Relations, r)
	}
	if p.expect(':', plain, theTypes) {
		r.Types = p.types()
	}
	p.clauses(r, typesClause, relationClause)
}

// permission is `permission NAME [: TYPE | TYPE] = EXPR`.
func (p *parser) permission(d *Definition) {
	start, doc := p.begin(starts)
	m := &Permission{At: start.at, Doc: doc, Name: p.declared(aName)}
	if p.accept(':', plain) {
		p.pending = operand
		m.Annotation = append(m.Annotation, p.path(aTypeName))
		for p.accept('|', operator) {
			m.Annotation = append(m.Annotation, p.path(aTypeName))
		}
	}
	if p.expect('=', plain, anEqualsSign) {
		m.Expr = p.expression()
	} else {
		m.Expr = &NilExpr{p.place()}
	}
	if m.Name.Text != "" {
		d.Permissions = append(d.Permissions, m)
	}
	if c := p.clauseAhead(); c != noClause && c != computedClause {
		p.permissionHasNoClause(p.peek(0))
	}
}

// within is `within REL[, REL]`.
func (p *parser) within(d *Definition) {
	start, _ := p.begin(starts)
	p.needs(useRoles, "`within`", start.at)
	w := &Within{At: start.at}
	p.pending = operand
	for {
		if name := p.name(aRelationName); name.Text != "" {
			w.Rels = append(w.Rels, name)
		}
		if p.kind() != ',' {
			break
		}
		p.take(plain)
		p.pending = item
	}
	d.Withins = append(d.Withins, w)
}

// createdBy is `created by EXPR`. It has no tuple, and so no `subject->`.
func (p *parser) createdBy(d *Definition) {
	start, _ := p.begin(starts)
	p.needs(useRoles, "`created by`", start.at)
	c := &CreatedBy{At: start.at, Expr: &NilExpr{start.at}}
	if p.expectWord("by", "created") {
		c.Expr = p.expression()
	}
	d.CreatedBys = append(d.CreatedBys, c)
}

// include is `...NAME`.
func (p *parser) include(d *Definition) {
	start, _ := p.begin(starts)
	p.needs(usePartial, "`...`", start.at)
	if name := p.path(aPartialName); name.Text != "" {
		d.Includes = append(d.Includes, &Include{At: start.at, Name: name})
	}
}

// name reads a name of a definition's own: no '/' in it.
func (p *parser) name(w want) Ident {
	if p.kind() != word {
		p.expected(w)
		return Ident{At: p.place()}
	}
	t := p.take(plain)
	if !rel.IsName(t.text) {
		p.notAName(t)
	}
	return Ident{t.at, t.text}
}

// declared reads the name of a relation or permission where it is declared.
func (p *parser) declared(w want) Ident {
	name := p.name(w)
	p.selfName = p.selfName || name.Text == useSelf
	return name
}

// path reads the name of a definition or a caveat, with its prefixes.
func (p *parser) path(w want) Ident {
	path := p.name(w)
	for p.accept('/', plain) {
		path.Text += "/" + p.name(w).Text
	}
	if len(path.Text) > rel.TypeBytesMax {
		p.pathTooLong(path)
	}
	return path
}

// place is where the statement goes on, or where it ended.
func (p *parser) place() Pos {
	if p.failed || p.unfinished() {
		return p.last.end
	}
	return p.peek(0).at
}

// expectWord takes the second word of a phrase.
func (p *parser) expectWord(w, after string) bool {
	if p.atWord(w) {
		p.take(plain)
		return true
	}
	p.wordExpected(w, after)
	return false
}
