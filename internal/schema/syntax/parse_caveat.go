package syntax

// caveat is `caveat NAME(PARAM, …) { CEL }`.
func (p *parser) caveat() {
	p.defined = true
	start, doc := p.begin(starts)
	c := &Caveat{At: start.at, Doc: doc, Name: p.path(aCaveatName)}
	opened := p.peek(0)
	if p.expect('(', tight, theParameters) {
		p.parens++
		p.inParams = true
		c.Params = p.params()
		p.inParams = false
		p.closeParenthesis(opened)
	}
	if _, ok := p.block(); ok && p.last.kind == '{' {
		p.celBody(c)
	}
	if c.Name.Text != "" {
		p.file.Caveats = append(p.file.Caveats, c)
	}
}

func (p *parser) params() []*Param {
	var params []*Param
	if p.kind() == ')' {
		return nil
	}
	p.pending = operand
	for {
		name := p.celWord(aParameter)
		if name.Text == "" {
			return params
		}
		params = append(params, &Param{Name: name, Type: p.paramType(0)})
		if p.kind() != ',' {
			return params
		}
		p.take(plain)
		p.pending = item
	}
}

// paramType is a type such as `int` or `list<int>`.
func (p *parser) paramType(depth int) string {
	name := p.celWord(aParameterType)
	if p.kind() != '<' {
		return name.Text
	}
	if depth >= nestingMax {
		p.nestedTooDeep(p.peek(0).at, "types")
		return name.Text
	}
	p.take(tight)
	text := name.Text + "<" + p.paramType(depth+1)
	for p.accept(',', plain) {
		text += "," + p.paramType(depth+1)
	}
	p.expect('>', plain, anAngle)
	return text + ">"
}

// celWord reads a name as CEL has it; capitals are allowed.
func (p *parser) celWord(w want) Ident {
	if p.kind() != word {
		p.expected(w)
		return Ident{At: p.place()}
	}
	t := p.take(plain)
	for _, r := range t.text {
		if r >= 0x80 {
			p.notACELName(t)
			break
		}
	}
	return Ident{t.at, t.text}
}

// celBody reads the text of the caveat, and the brace that closes it.
func (p *parser) celBody(c *Caveat) {
	opened := p.last
	// What was scanned ahead was scanned as if it were ours.
	p.ahead = p.ahead[:0]
	p.scan.at = opened.end
	t, longString := p.scan.cel()
	c.Body, c.BodyAt = t.text, t.at
	if t.flaw.what == unclosedCaveat {
		t.flaw.at = opened.at
	}
	if t.flaw.what != flawless {
		p.told = true
		p.unreadable(t.flaw)
	} else if t.text == "" {
		p.caveatSaysNothing(opened.at, c.Name)
	}
	if p.keep {
		p.pieces = append(p.pieces, piece{token: t, part: verbatim, longString: longString})
	}
	p.last = t
	if p.peek(0).kind == '}' {
		p.begin(closes)
	}
}
