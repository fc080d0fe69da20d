package syntax

import "strconv"

// types is `TYPE | TYPE …`.
func (p *parser) types() []*TypeRef {
	p.pending = operand
	var types []*TypeRef
	for {
		if t := p.typeRef(); t.Type.Text != "" {
			types = append(types, t)
		}
		if !p.accept('|', operator) {
			return types
		}
	}
}

// typeRef is one of the forms that a subject may have, with what it is given with.
func (p *parser) typeRef() *TypeRef {
	name := p.path(aType)
	t := &TypeRef{At: name.At, Type: name}
	switch {
	case p.accept('#', plain):
		if p.accept(ellipsis, plain) {
			break // `type#...` is `type`
		}
		relation := p.name(aNameOfTheType)
		t.Relation = &relation
	case p.accept(':', plain):
		t.Wildcard = p.expect('*', tight, aStar)
	}
	if p.atWord("with") {
		p.with(t)
	}
	return t
}

// with is `with CAVEAT`, `with expiration` or `with CAVEAT and expiration`.
func (p *parser) with(t *TypeRef) {
	p.take(plain)
	if !p.atWord(useExpiration) {
		caveat := p.path(aCaveatName)
		t.Caveat = &caveat
		if !p.atWord("and") {
			return
		}
		p.take(plain)
		if !p.atWord(useExpiration) {
			p.expected(theExpiration)
			return
		}
	}
	p.needs(useExpiration, "`with expiration`", p.take(plain).at)
	t.Expiration = true
	if p.atWord("and") {
		p.caveatComesFirst(p.peek(0).at)
	}
}

// multiplicity is `[n]`, `[n..m]` or `[n..*]`.
func (p *parser) multiplicity() *Multiplicity {
	p.needs(useRoles, "a multiplicity", p.peek(0).at)
	p.parens++
	m := &Multiplicity{At: p.take(plain).at}
	m.Min = p.bound()
	m.Max = m.Min
	if p.accept(dots, plain) {
		if m.Unbounded = p.accept('*', plain); !m.Unbounded {
			m.Max = p.bound()
		} else {
			m.Max = 0
		}
	}
	if p.expect(']', plain, aBracket) {
		p.parens--
	}
	return m
}

func (p *parser) bound() int {
	if p.kind() != number {
		p.expected(aBound)
		return 0
	}
	t := p.take(plain)
	n, err := strconv.Atoi(t.text)
	if err != nil || n > boundMax {
		p.boundTooLarge(t)
		return 0
	}
	return n
}
