package syntax

import "strings"

// A kind is what a token is. Punctuation of one character is its own kind, so
// that a parser can ask for '{'; the others are below zero.
type kind rune

const (
	endOfText      kind = -1 - iota
	endOfStatement      // seen by the parser, never made by the scanner
	word                // a name or a word of the language; only its place tells which
	number
	quoted   // "…" or '…'
	celText  // what stands between the braces of a caveat
	arrow    // ->
	dots     // ..
	ellipsis // ...
	junk     // a character that the language does not have
)

// A token is a piece of text that means something, with what stood before it.
type token struct {
	kind    kind
	text    string
	at, end Pos

	// gap holds the comments between the token before and this one; newlines
	// counts the line ends after the last of them.
	gap      []comment
	newlines int
	// first says that a line ends somewhere in the gap, outside of comments.
	first bool

	flaw flaw
}

// A comment is a comment as it was written, marks included; a line comment is
// without its line end.
type comment struct {
	text     string
	at       Pos
	newlines int // line ends between what stands before it and it
	flaw     flaw
}

// A flaw is what the scanner found wrong in a token or comment. It is reported
// when the parser takes the token: the scanner may have looked too far ahead,
// into text that turns out to be CEL.
type flaw struct {
	what flawKind
	at   Pos
}

type flawKind byte

const (
	flawless flawKind = iota
	notUTF8
	unclosedComment
	unclosedString
	unclosedCaveat
)

func (t token) is(w string) bool { return t.kind == word && t.text == w }

func (c comment) isLine() bool { return strings.HasPrefix(c.text, "//") }

func (c comment) isDoc() bool {
	return len(c.text) > len("/**/") && strings.HasPrefix(c.text, "/**") && c.text[3] != '*'
}

// lines are the lines of the comment, whatever ended them, without white space
// at their ends. All but the first are still indented as they were written.
func (c comment) lines() []string {
	lines := splitLines(c.text)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, spaces)
	}
	return lines
}

// spaces are the characters that part tokens on a line.
const spaces = " \t\r"

// splitLines cuts text at every line end: LF, CR LF, or CR alone.
func splitLines(text string) []string {
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(text, "\r\n", "\n")
		text = strings.ReplaceAll(text, "\r", "\n")
	}
	return strings.Split(text, "\n")
}
