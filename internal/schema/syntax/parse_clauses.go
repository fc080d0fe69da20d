package syntax

// A clause is a part of a relation or role. They stand in this order.
type clause byte

const (
	noClause clause = iota
	typesClause
	multiplicityClause
	computedClause // roles only
	ofClause
	onePerClause
	grantedClause
	revokedClause
)

// An owner is what clauses belong to.
type owner byte

const (
	relationClause owner = iota
	roleClause
)

// clauses reads what follows the clause done; each may stand once.
func (p *parser) clauses(r *Relation, done clause, of owner) {
	for {
		c := p.clauseAhead()
		switch {
		case c == noClause:
			return
		case c <= done:
			p.clauseOutOfOrder(p.peek(0), c, done, of)
			return
		case c == computedClause && of == relationClause:
			p.relationIsNotComputed(p.peek(0), r.Name)
			return
		}
		p.clause(r, c)
		done = c
	}
}

// clauseAhead is the clause that the statement goes on with.
func (p *parser) clauseAhead() clause {
	switch p.kind() {
	case ':':
		return typesClause
	case '[':
		return multiplicityClause
	case '=':
		return computedClause
	case word:
		switch p.peek(0).text {
		case "of":
			return ofClause
		case "one":
			return onePerClause
		case "granted":
			return grantedClause
		case "revoked":
			return revokedClause
		}
	}
	return noClause
}

func (p *parser) clause(r *Relation, c clause) {
	switch c {
	case typesClause:
		p.take(plain)
		r.Types = p.types()
	case multiplicityClause:
		r.Multiplicity = p.multiplicity()
	case computedClause:
		p.take(clauseStart)
		r.Expr = p.expression()
	case ofClause:
		p.needs(useRoles, "`of`", p.take(clauseStart).at)
		name := p.name(aRelationName)
		r.Of = &name
	case onePerClause:
		p.needs(useRoles, "`one per subject with`", p.take(clauseStart).at)
		if p.expectWord("per", "one") && p.expectWord("subject", "one per") && p.expectWord("with", "one per subject") {
			name := p.name(aRelationName)
			r.OnePerWith = &name
		}
	case grantedClause:
		r.Granted = p.rule("granted")
	case revokedClause:
		r.Revoked = p.rule("revoked")
	}
}

// rule is `granted by EXPR [except self]`, or the same with `revoked`.
func (p *parser) rule(verb string) *Rule {
	start := p.take(ruleStart)
	p.needs(useRoles, "`"+verb+" by`", start.at)
	r := &Rule{At: start.at, Expr: &NilExpr{start.at}}
	if p.expectWord("by", verb) {
		p.inRule = true
		r.Expr = p.expression()
		p.inRule = false
	}
	if p.atWord("except") {
		p.take(plain)
		r.ExceptSelf = p.expectWord("self", "except")
	}
	return r
}
