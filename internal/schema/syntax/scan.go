package syntax

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A scanner cuts a text into tokens. It knows no words and no statements: which
// line end matters is the parser's to say. It is a value: a copy reads ahead
// without moving the original.
type scanner struct {
	text string
	at   Pos // where the next character stands

	// After a caveat without an end was found, the others end before the next
	// definition; and after a string of CEL without one, with their lines.
	lineEnds, shortStrings bool
}

const byteOrderMark = "\uFEFF"

func newScanner(text string) scanner {
	s := scanner{text: text, at: Pos{Line: 1, Column: 1}}
	if strings.HasPrefix(text, byteOrderMark) {
		s.at.Offset = len(byteOrderMark)
	}
	return s
}

// next reads one token; at the end of the text it is endOfText, again and again.
func (s *scanner) next() token {
	var t token
	t.gap, t.newlines = s.gap()
	t.first = t.newlines > 0
	for _, c := range t.gap {
		t.first = t.first || c.newlines > 0
	}
	t.at = s.at
	t.kind = s.token(&t)
	t.end = s.at
	t.text = s.text[t.at.Offset:t.end.Offset]
	return t
}

func (s *scanner) token(t *token) kind {
	r, size := s.peek()
	switch {
	case size == 0:
		return endOfText
	case r == utf8.RuneError && size == 1:
		t.flaw = flaw{notUTF8, s.at}
		s.stepWhile(func(r rune) bool { return r == utf8.RuneError })
		return junk
	case isLetter(r):
		s.stepWhile(func(r rune) bool { return isLetter(r) || unicode.IsDigit(r) })
		return word
	case isDigit(r):
		s.stepWhile(isDigit)
		return number
	case r == '"' || r == '\'':
		return s.quoted(t, r)
	case s.stepOver("->"):
		return arrow
	case s.stepOver("..."):
		return ellipsis
	case s.stepOver(".."):
		return dots
	}
	s.step()
	if strings.ContainsRune("{}()[]<>:;,#/*=|+&-.", r) {
		return kind(r)
	}
	return junk
}

// quoted reads a string: to the same quote on the same line, without escapes.
func (s *scanner) quoted(t *token, quote rune) kind {
	start := s.at
	s.step()
	for {
		switch r, size := s.peek(); {
		case size == 0, isLineEnd(r):
			t.flaw = flaw{unclosedString, start}
			return quoted
		case r == utf8.RuneError && size == 1 && t.flaw.what == flawless:
			t.flaw = flaw{notUTF8, s.at}
			s.step()
		default:
			s.step()
			if r == quote {
				return quoted
			}
		}
	}
}

// gap reads white space and comments; newlines counts the line ends after the
// last comment. A line end inside a comment is none.
func (s *scanner) gap() (comments []comment, newlines int) {
	for {
		switch r, _ := s.peek(); {
		case isLineEnd(r):
			if s.step() {
				newlines++
			}
		case r == ' ' || r == '\t':
			s.step()
		case s.has("//"), s.has("/*"):
			c := s.comment()
			c.newlines, newlines = newlines, 0
			comments = append(comments, c)
		default:
			return comments, newlines
		}
	}
}

func (s *scanner) comment() comment {
	c := comment{at: s.at}
	if s.has("//") {
		s.stepWhile(func(r rune) bool { return !isLineEnd(r) })
	} else {
		s.stepOver("/*")
		for !s.stepOver("*/") {
			if s.atEnd() {
				c.flaw = flaw{unclosedComment, c.at}
				break
			}
			s.step()
		}
	}
	c.text = s.text[c.at.Offset:s.at.Offset]
	if at, bad := firstNotUTF8(c.text, c.at); bad && c.flaw.what == flawless {
		c.flaw = flaw{notUTF8, at}
	}
	return c
}

// firstNotUTF8 finds the first byte of text that is not UTF-8; text stands at from.
func firstNotUTF8(text string, from Pos) (at Pos, found bool) {
	if utf8.ValidString(text) {
		return Pos{}, false
	}
	s := scanner{text: text, at: Pos{Line: from.Line, Column: from.Column}}
	for {
		if r, size := s.peek(); r == utf8.RuneError && size <= 1 {
			s.at.Offset += from.Offset
			return s.at, true
		}
		s.step()
	}
}

// peek is the next character; size is 0 at the end of the text.
func (s *scanner) peek() (r rune, size int) {
	return utf8.DecodeRuneInString(s.text[s.at.Offset:])
}

func (s *scanner) atEnd() bool { return s.at.Offset >= len(s.text) }

func (s *scanner) has(prefix string) bool {
	return strings.HasPrefix(s.text[s.at.Offset:], prefix)
}

// step goes one character on and reports whether a line ended with it. The two
// characters of CR LF end one line.
func (s *scanner) step() (lineEnded bool) {
	r, size := s.peek()
	s.at.Offset += size
	if r == '\n' || (r == '\r' && !s.has("\n")) {
		s.at.Line++
		s.at.Column = 1
		return true
	}
	if size > 0 {
		s.at.Column++
	}
	return false
}

func (s *scanner) stepOver(text string) bool {
	if !s.has(text) {
		return false
	}
	for range len(text) { // text is ASCII
		s.step()
	}
	return true
}

func (s *scanner) stepWhile(fits func(rune) bool) {
	for !s.atEnd() {
		if r, _ := s.peek(); !fits(r) {
			return
		}
		s.step()
	}
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }
func isDigit(r rune) bool   { return '0' <= r && r <= '9' }
func isLetter(r rune) bool  { return r == '_' || unicode.IsLetter(r) }
