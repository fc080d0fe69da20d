package syntax

import "strings"

// cel reads what stands between the braces of a caveat, without the white space
// around it. The scanner stands after the opening brace, and then behind the
// text. Braces inside CEL's strings and comments do not count, and nothing else
// of CEL is known here.
func (s *scanner) cel() (t token, longString bool) {
	start := *s
	for {
		t.flaw, longString = s.celEnd()
		inString := t.flaw.what == unclosedString
		if !s.atEnd() || s.shortStrings || s.lineEnds && !inString {
			break
		}
		// A brace or three quotes without an end swallowed the rest of the schema.
		// From now on they end earlier: to go to the end of the text once for
		// each of them would be quadratic.
		s.at, s.lineEnds, s.shortStrings = start.at, true, inString
	}
	inside := s.text[start.at.Offset:s.at.Offset]
	s.at = start.at
	t.kind, t.at, t.end = celText, start.at, start.at
	if t.text = strings.TrimFunc(inside, isSpace); t.text != "" {
		s.stepWhile(isSpace)
		for t.at = s.at; s.at.Offset < t.at.Offset+len(t.text); {
			s.step()
		}
		t.end = s.at
	}
	if at, found := firstNotUTF8(t.text, t.at); found && t.flaw.what == flawless {
		t.flaw = flaw{notUTF8, at}
	}
	return t, longString
}

// celEnd goes to the closing brace, or to the end of the text; once a caveat was
// found without an end, to the next line that cannot be CEL at the furthest.
// longString says that a string on the way has more lines than one.
func (s *scanner) celEnd() (bad flaw, longString bool) {
	start := s.at
	for depth := 1; ; {
		r, size := s.peek()
		switch {
		case size == 0, s.lineEnds && s.at.Column == 1 && s.atTopLevel():
			if bad.what == flawless {
				bad = flaw{unclosedCaveat, start}
			}
			return bad, longString
		case r == '{':
			depth++
		case r == '}':
			if depth--; depth == 0 {
				return bad, longString
			}
		case r == '"' || r == '\'':
			quote := s.at
			closed := s.celString()
			longString = longString || s.at.Line > quote.Line
			if !closed && bad.what == flawless {
				bad = flaw{unclosedString, quote}
			}
			continue
		case s.has("//"):
			s.stepWhile(func(r rune) bool { return !isLineEnd(r) })
			continue
		}
		s.step()
	}
}

// celString reads a string of CEL: one or three quotes of either kind, with
// backslashes that escape unless the string is raw. Only with three quotes does
// it go over a line's end.
func (s *scanner) celString() (closed bool) {
	raw := s.afterRawPrefix()
	quote := s.text[s.at.Offset : s.at.Offset+1]
	long := s.has(strings.Repeat(quote, 3))
	if long {
		quote = strings.Repeat(quote, 3)
	}
	s.stepOver(quote)
	for !s.atEnd() {
		if s.stepOver(quote) {
			return true
		}
		r, _ := s.peek()
		if isLineEnd(r) && (!long || s.shortStrings) {
			return false
		}
		if r == '\\' && !raw {
			s.step()
			if r, _ = s.peek(); isLineEnd(r) {
				continue
			}
		}
		s.step()
	}
	return false
}

// afterRawPrefix reports whether the quote here has an r before it, as in
// r"\d", with or without a b.
func (s *scanner) afterRawPrefix() bool {
	before := s.text[:s.at.Offset]
	rest := strings.TrimRightFunc(before, func(r rune) bool { return isLetter(r) || isDigit(r) })
	switch strings.ToLower(before[len(rest):]) {
	case "r", "br", "rb":
		return true
	}
	return false
}

// atTopLevel reports whether the line that begins here begins a definition or
// the like. CEL has no name after a name; `definition in xs` has an operator.
func (s *scanner) atTopLevel() bool {
	line := *s
	line.stepWhile(isBlank)
	for _, w := range []string{"definition", "caveat", "partial"} {
		after := line
		if !after.stepOver(w) || !after.stepOver(" ") {
			continue
		}
		after.stepWhile(isBlank)
		if r, _ := after.peek(); isLetter(r) && !after.has("in ") {
			return true
		}
	}
	return false
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' }
func isSpace(r rune) bool { return isBlank(r) || isLineEnd(r) }
