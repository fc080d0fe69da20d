package syntax

// expression is `-` over `&` over `+` over arrows; each groups to the left.
func (p *parser) expression() Expr {
	p.pending = operand
	p.operands = 0
	return p.exclusion()
}

func (p *parser) exclusion() Expr { return p.binary(Exclusion, p.intersection) }

func (p *parser) intersection() Expr { return p.binary(Intersection, p.union) }

func (p *parser) union() Expr { return p.binary(Union, p.primary) }

func (p *parser) binary(op Op, operand func() Expr) Expr {
	left := operand()
	for p.kind() == kind(op) {
		at := p.take(operator).at
		left = &BinaryExpr{Op: op, At: at, Left: left, Right: operand()}
	}
	return left
}

// primary is a name, what arrows make of it, `nil`, `self`, or parentheses.
func (p *parser) primary() Expr {
	t := p.peek(0)
	switch p.kind() {
	case '(':
		return p.parenthesis()
	case word:
	default:
		p.expected(anExpression)
		return &NilExpr{p.place()}
	}
	if p.operands++; p.operands > operandsMax {
		p.tooManyOperands(t.at)
		return &NilExpr{t.at}
	}
	switch {
	case t.text == "nil":
		return &NilExpr{p.take(plain).at}
	case t.text == "self" && p.uses[useSelf]:
		return &SelfExpr{p.take(plain).at}
	case t.text == "subject" && p.inRule:
		return p.subject()
	case t.text == "self":
		p.selves = append(p.selves, t.at)
	}
	return p.arrows(&NameExpr{p.name(aName)})
}

// arrows is `LEFT->NAME`, `LEFT.any(NAME)` and `LEFT.all(NAME)`, one after another.
func (p *parser) arrows(left Expr) Expr {
	for {
		switch p.kind() {
		case arrow:
			at := p.take(plain).at
			left = &ArrowExpr{Left: left, Kind: Arrow, At: at, Target: p.name(anArrowTarget)}
		case '.':
			left = p.function(left)
		default:
			return left
		}
		if p.operands++; p.operands > operandsMax {
			p.tooManyOperands(p.last.at)
		}
	}
}

func (p *parser) function(left Expr) Expr {
	e := &ArrowExpr{Left: left, Kind: Any, At: p.take(plain).at}
	switch {
	case p.atWord("any"):
	case p.atWord("all"):
		e.Kind = All
	default:
		p.expected(anyOrAll)
		return left
	}
	p.take(plain)
	opened := p.peek(0)
	if !p.expect('(', tight, aParenthesis) {
		return left
	}
	p.parens++
	e.Target = p.name(anArrowTarget)
	p.closeParenthesis(opened)
	return e
}

// subject is `subject->NAME`: the object that the tuple's subject names.
func (p *parser) subject() Expr {
	e := &SubjectExpr{At: p.take(plain).at}
	if p.kind() != arrow {
		p.subjectStandsAlone(e.At)
		return e
	}
	p.take(plain)
	e.Target = p.name(anArrowTarget)
	if k := p.kind(); k == arrow || k == '.' {
		p.subjectGoesOneStep(p.peek(0).at)
	}
	return e
}

func (p *parser) parenthesis() Expr {
	opened := p.take(plain)
	e := &ParenExpr{At: opened.at}
	if p.parens++; p.parens > nestingMax {
		p.nestedTooDeep(opened.at, "parentheses")
	}
	e.X = p.exclusion()
	p.closeParenthesis(opened)
	return e
}

func (p *parser) closeParenthesis(opened token) {
	switch {
	case p.kind() == ')':
		p.parens--
		p.take(plain)
	case p.atEnd():
		p.notClosed(opened)
	default:
		p.unexpected()
	}
}
