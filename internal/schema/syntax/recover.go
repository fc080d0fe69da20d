package syntax

// This file says where a statement ends, and finds the next one after an error.

// endsHere reports whether a line's end before the current token ended the
// statement. It did not in parentheses, after an operator, and before a token
// that continues.
func (p *parser) endsHere() bool {
	t := p.peek(0)
	if !t.first {
		return false
	}
	if p.atTopLevel() || p.atRelationOrPermission() || p.atRole() {
		return true // in the middle of something unfinished, too
	}
	return p.parens == 0 && !leavesOpen(p.last.kind) && !p.continues()
}

// unfinished reports whether the statement's line ended before the statement did:
// what is missing is missing there, and not where the next token stands.
func (p *parser) unfinished() bool {
	t := p.peek(0)
	switch t.kind {
	case '}', ';', endOfText:
		return t.first
	}
	return p.endsHere()
}

// leavesOpen reports whether a line that ends with this kind is not finished.
func leavesOpen(k kind) bool {
	switch k {
	case '=', '|', '+', '&', '-', arrow, ':', ',', '#', '/', '.', dots, '(', '[', '<':
		return true
	}
	return false
}

// continues reports whether a line that starts with the current token continues
// the one before. The words do so only where they begin a clause: in a roles
// block they may as well be the name of a role, as in `of: user`.
func (p *parser) continues() bool {
	switch t := p.peek(0); t.kind {
	case '=', '|', '+', '&', '-', arrow, '{':
		return true
	case word:
		switch t.text {
		case "granted", "revoked":
			return p.onThisLine("by")
		case "one":
			return p.onThisLine("per")
		case "of":
			return p.peek(1).kind == word && !p.peek(1).first
		case "except":
			return (p.peek(1).kind == word || p.peek(1).kind == '(') && !p.peek(1).first
		}
	}
	return false
}

func (p *parser) onThisLine(w string) bool {
	next := p.peek(1)
	return next.is(w) && !next.first
}

// atTopLevel reports whether the current token begins what stands outside of
// definitions: two names in a row, or a name and a string, which nothing inside
// one has.
func (p *parser) atTopLevel() bool {
	t, next := p.peek(0), p.peek(1)
	if t.kind != word || next.first {
		return false
	}
	switch t.text {
	case "definition", "partial":
		return next.kind == word && (p.peek(2).kind == '{' || p.peek(2).kind == '/')
	case "caveat":
		return next.kind == word && (p.peek(2).kind == '(' || p.peek(2).kind == '/')
	case "import":
		return next.kind == quoted
	}
	return false
}

// atRelationOrPermission reports whether the current token begins one of these.
// The two words may be names, but then no further name follows.
func (p *parser) atRelationOrPermission() bool {
	t, next := p.peek(0), p.peek(1)
	if !t.is("relation") && !t.is("permission") || next.kind != word || next.first {
		return false
	}
	if p.inParams {
		return p.peek(2).kind == ':' || p.peek(2).kind == '='
	}
	switch next.text {
	case "of", "one", "granted", "revoked", "except", "with", "and":
		return p.peek(2).kind == ':' || p.peek(2).kind == '='
	}
	return true
}

// atRole reports whether the current token begins a role, or a relation without
// the word for it: nothing else has a colon behind a name, but for `type:*`. An
// equals sign may also stand behind the type of a permission, though not in
// parentheses.
func (p *parser) atRole() bool {
	next := p.peek(1)
	if p.peek(0).kind != word || next.first {
		return false
	}
	return next.kind == ':' && p.peek(2).kind != '*' || next.kind == '=' && p.parens > 0
}

// atMember reports whether the current token begins a member of a definition, as
// far as can be told where none is expected.
func (p *parser) atMember() bool {
	t, next := p.peek(0), p.peek(1)
	switch {
	case t.kind == ellipsis:
		return true
	case t.kind != word || next.first:
		return false
	}
	switch t.text {
	case "relation", "permission", "within":
		return next.kind == word
	case "roles":
		return next.kind == '{' || next.is("one") || next.is("except")
	case "created":
		return next.is("by")
	}
	return false
}

// skipStatement goes to where the next statement may begin: the next line that
// continues nothing, a `;`, or the brace that closes the block around. Braces
// that open on the way are skipped with all that is in them.
func (p *parser) skipStatement() {
	p.failed = false
	depth := 0
	if p.last.kind == '{' {
		depth = 1 // the statement began with it
	}
	for ; ; p.countParens(p.advance()) {
		t := p.peek(0)
		switch {
		case t.kind == endOfText, t.first && p.atTopLevel():
			return
		case depth > 0:
		case t.kind == '}', t.kind == ';':
			return
		case p.endsHere(), t.first && p.atMember():
			return
		}
		switch t.kind {
		case '{':
			depth++
		case '}':
			depth--
		}
	}
}

func (p *parser) countParens(skipped token) {
	switch skipped.kind {
	case '(', '[':
		p.parens++
	case ')', ']':
		p.parens = max(p.parens-1, 0)
	}
}

// block opens the block of the statement that was begun with a head: it takes
// its `{`, over what could not be read of the head.
func (p *parser) block() (opened token, ok bool) {
	if !p.failed && p.kind() != '{' {
		p.expected(aBrace)
	}
	if p.failed {
		p.failed = false
		for !p.atEnd() && p.kind() != '{' {
			p.countParens(p.advance())
		}
		p.parens = 0
	}
	if p.kind() == '{' {
		return p.take(opens), true
	}
	return p.last, p.atMember() || p.atRelationOrPermission()
}

// closesTwice reports whether, from here to the next definition, two braces
// more close than open: then the roles block around here has its brace, and so
// has its definition. It is found out once for each definition; once for each
// error would be quadratic.
func (p *parser) closesTwice() bool {
	if p.judged {
		return p.verdict
	}
	p.judged = true
	ahead := p.scan
	closed := 0
	count := func(t token) {
		switch t.kind {
		case '{':
			closed--
		case '}':
			closed++
		}
	}
	for _, t := range p.ahead {
		count(t)
	}
	for t := ahead.next(); t.kind != endOfText; t = ahead.next() {
		if t.first && (t.is("definition") || t.is("caveat") || t.is("partial")) {
			break
		}
		count(t)
	}
	p.verdict = closed >= 2
	return p.verdict
}
