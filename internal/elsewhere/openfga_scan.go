package elsewhere

import (
	"strings"
	"unicode/utf8"
)

// A tokenKind is what a token of OpenFGA's language is. Punctuation of one
// character is its own kind.
type tokenKind rune

const (
	endOfModel tokenKind = -1 - iota
	modelWord            // a name or a keyword: only its place tells which
	modelJunk            // a character that the language does not have
)

// A modelToken is a piece of the text, with the comments that stand before it.
type modelToken struct {
	kind     tokenKind
	text     string
	offset   int
	at       Place
	first    bool // of its line
	comments []string
	trailing string // a comment behind what comes before it, on that line
}

func (t modelToken) is(word string) bool { return t.kind == modelWord && t.text == word }

// A modelScanner cuts a text into tokens. A comment begins with a `#` that stands
// first on its line or after white space; any other one belongs to a userset.
type modelScanner struct {
	text   string
	offset int
	line   int
	start  int                          // of the line, by its offset
	place  func(line, column int) Place // where a place of the text is
}

func newModelScanner(text string, place func(line, column int) Place) *modelScanner {
	return &modelScanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1, place: place}
}

func (s *modelScanner) at(offset int) Place {
	return s.place(s.line, 1+utf8.RuneCountInString(s.text[s.start:offset]))
}

func (s *modelScanner) newline() {
	s.offset++
	s.line++
	s.start = s.offset
}

// next is the next token.
func (s *modelScanner) next() modelToken {
	t := modelToken{first: s.offset == 0}
	for s.offset < len(s.text) {
		switch c := s.text[s.offset]; {
		case c == '\n':
			s.newline()
			t.first = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			s.offset++
		case c == '#' && s.isComment():
			if comment := s.comment(); t.first {
				t.comments = append(t.comments, comment)
			} else {
				t.trailing = comment
			}
		default:
			t.offset, t.at = s.offset, s.at(s.offset)
			t.kind, t.text = s.token(c)
			return t
		}
	}
	t.kind, t.offset, t.at = endOfModel, s.offset, s.at(s.offset)
	return t
}

// isComment reports whether the `#` here begins a comment.
func (s *modelScanner) isComment() bool {
	return s.offset == s.start || strings.ContainsRune(" \t", rune(s.text[s.offset-1]))
}

// comment takes a comment up to the end of its line.
func (s *modelScanner) comment() string {
	text, _, _ := strings.Cut(s.text[s.offset:], "\n")
	s.offset += len(text)
	return strings.TrimSpace(strings.TrimLeft(text, "#"))
}

func (s *modelScanner) token(c byte) (tokenKind, string) {
	begin := s.offset
	if isModelWord(c) {
		for s.offset < len(s.text) && isModelWord(s.text[s.offset]) {
			s.offset++
		}
		return modelWord, s.text[begin:s.offset]
	}
	if strings.IndexByte(":#[]()*,{}<>", c) >= 0 {
		s.offset++
		return tokenKind(c), s.text[begin:s.offset]
	}
	_, size := utf8.DecodeRuneInString(s.text[s.offset:])
	s.offset += size
	return modelJunk, s.text[begin:s.offset]
}

func isModelWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-./", c) >= 0
}

// body takes the CEL up to the brace that closes it, which is not taken; closed is
// false where none does. Comments, which here begin with `#`, become CEL's.
func (s *modelScanner) body() (body string, closed bool) {
	var out strings.Builder
	depth := 0
	for s.offset < len(s.text) {
		begin := s.offset
		switch c := s.text[s.offset]; {
		case c == '\n':
			s.newline()
		case c == '#' && s.isComment():
			out.WriteString("// " + s.comment())
			continue
		case strings.HasPrefix(s.text[s.offset:], "//"):
			s.comment()
		case c == '"' || c == '\'':
			s.celString(c)
		case c == '{':
			depth++
			s.offset++
		case c == '}' && depth == 0:
			return out.String(), true
		case c == '}':
			depth--
			s.offset++
		default:
			s.offset++
		}
		out.WriteString(s.text[begin:s.offset])
	}
	return out.String(), false
}

// celString takes a string of CEL: in one quote, or in three.
func (s *modelScanner) celString(quote byte) {
	raw := s.offset > s.start && strings.IndexByte("rR", s.text[s.offset-1]) >= 0
	end := string(quote)
	if three := strings.Repeat(end, 3); strings.HasPrefix(s.text[s.offset:], three) {
		end = three
	}
	s.offset += len(end)
	for s.offset < len(s.text) {
		switch c := s.text[s.offset]; {
		case strings.HasPrefix(s.text[s.offset:], end):
			s.offset += len(end)
			return
		case c == '\n' && len(end) == 1:
			return // it does not close, as the compiler will say
		case c == '\n':
			s.newline()
		case c == '\\' && !raw && s.offset+1 < len(s.text) && s.text[s.offset+1] != '\n':
			s.offset += 2
		default:
			s.offset++
		}
	}
}
