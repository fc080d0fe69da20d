package syntax

import "github.com/pemba-io/pemba/internal/rel"

// roles is `roles [one per subject] [except EXPR] { … }`.
func (p *parser) roles(d *Definition) {
	start, doc := p.begin(starts)
	p.needs(useRoles, "a roles block", start.at)
	r := &Roles{At: start.at, Doc: doc}
	d.Roles = append(d.Roles, r)
	if p.atWord("one") {
		p.take(clauseStart)
		r.OnePerSubject = p.expectWord("per", "one") && p.expectWord("subject", "one per")
	}
	if p.atWord("except") {
		p.take(clauseStart)
		r.Except = p.expression()
	}
	if p.atWord("one") {
		p.rolesOutOfOrder(p.peek(0), r.Except)
	}
	if opened, ok := p.block(); ok {
		p.rolesBody(r, opened)
	}
}

func (p *parser) rolesBody(r *Roles, opened token) {
	for {
		p.separators()
		switch t := p.peek(0); {
		case t.kind == '}':
			p.begin(closes)
			return
		case t.kind == endOfText, p.atTopLevel(), p.atForeign() && !p.closesTwice():
			p.blockNotClosed(opened, "the roles block", t)
			p.told = true
			return
		default:
			p.read(func() { p.roleOrInherit(r, t) })
		}
	}
}

// atForeign reports whether the current token begins a member of the definition
// that no roles block has.
func (p *parser) atForeign() bool {
	return p.atRelationOrPermission() || p.peek(0).kind == ellipsis ||
		p.peek(0).is("created") && p.onThisLine("by")
}

func (p *parser) roleOrInherit(r *Roles, t token) {
	switch {
	case p.atForeign():
		p.foreignInRoles(t)
		p.begin(starts)
		p.failed = true
	case t.is("inherit") && p.onThisLine("from"):
		p.inherit(r)
	case t.kind == word && !p.continues():
		p.role(r)
	default:
		p.notARole(t)
		p.begin(starts)
		p.failed = true
	}
}

// inherit is `inherit from REL`.
func (p *parser) inherit(r *Roles) {
	start, _ := p.begin(starts)
	p.take(plain)
	if name := p.name(aRelationName); name.Text != "" {
		r.Inherits = append(r.Inherits, &Inherit{At: start.at, Rel: name})
	}
}

// role is `NAME [: TYPES]` with its clauses.
func (p *parser) role(r *Roles) {
	start, doc := p.begin(startsRole)
	role := &Relation{At: start.at, Doc: doc, Name: Ident{start.at, start.text}}
	p.selfName = p.selfName || start.text == useSelf
	if !rel.IsName(start.text) {
		p.notAName(start)
	}
	r.Roles = append(r.Roles, role)
	if (start.is("of") || start.is("except")) && p.kind() == word {
		// On one line the name would be taken for a clause of the role before.
		p.roleLooksLikeClause(start)
	}
	p.clauses(role, noClause, roleClause)
}
