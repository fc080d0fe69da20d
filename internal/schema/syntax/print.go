package syntax

import (
	"strings"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
)

// Format lays a schema text out in the one form that all of them have. It
// changes white space, line ends and `;` and nothing else, so no token and no
// comment can be lost: it is the tokens that are printed, not the tree.
// A text that cannot be read is not formatted; its faults say why.
func Format(text string) (string, []*fault.Fault) {
	p := newParser(text)
	p.keep = true
	p.parse()
	if faults := p.sorted(); len(faults) > 0 {
		return "", faults
	}
	w := printer{text: p.scan.text}
	w.print(p.pieces)
	return w.out.String(), nil
}

const (
	indentStep = 2
	lineMax    = 100 // columns that a statement fills, where it can be broken at all
	ruleGap    = 3   // columns before `granted by`, at the least
	trailGap   = 2   // columns before a comment behind a statement
)

// A part is what a token is to the printer.
type part byte

const (
	plain       part = iota
	starts           // the first token of a statement
	startsRole       // the same, of a role
	opens            // the brace that opens a block
	closes           // the brace that closes it
	verbatim         // the text of a caveat
	ends             // the end of the text
	clauseStart      // the first token of a clause that is not a rule
	ruleStart        // `granted` or `revoked`
	operator         // between two operands; a line may begin with it
	operand          // the first token of types, an expression or a list
	item             // another token of a list; a line may begin with it
	tight            // no space before it
)

// A piece is a token with its part, and the comments around a statement: lead
// stands on lines of its own before it, trail behind it on its last line.
type piece struct {
	token
	part        part
	depth       int // parentheses around it
	lead, trail []comment
	longString  bool // a CEL text that may not be indented anew
}

// startsLine reports whether the piece begins a statement, or stands for one.
func (p piece) startsLine() bool {
	switch p.part {
	case starts, startsRole, closes, verbatim, ends:
		return true
	}
	return false
}

// opensBlock reports whether the piece opens a block with something in it, given
// what comes next.
func (p piece) opensBlock(next piece) bool {
	return p.part == opens && (next.part != closes || len(p.trail) > 0 || len(next.lead) > 0)
}

// A printer writes statements, a section at a time.
type printer struct {
	text    string
	out     strings.Builder
	indent  int
	section []*row // rows that are aligned with each other, not written yet

	atBlockStart bool // nothing stands in the block yet; true at the start of the text
	blockBefore  bool // the statement before was a block of the top level
}

func (w *printer) print(pieces []piece) {
	w.atBlockStart = true
	for len(pieces) > 0 {
		n := 1
		for n < len(pieces) && !pieces[n].startsLine() {
			n++
		}
		if last := pieces[n-1]; last.part == opens && !last.opensBlock(pieces[n]) {
			n++ // an empty block closes on the line that opened it
		}
		w.statement(pieces[:n])
		pieces = pieces[n:]
	}
	w.flush()
}

// statement prints the pieces of one: a whole one, or the head of a block.
func (w *printer) statement(pieces []piece) {
	first, last := pieces[0], pieces[len(pieces)-1]
	w.blankLine(first, last.part == opens)
	w.leading(first)
	switch first.part {
	case ends:
		return
	case closes:
		w.flush()
		w.indent -= indentStep
	case verbatim:
		w.caveatText(first)
		return
	}
	w.section = append(w.section, w.row(pieces))
	w.atBlockStart = last.part == opens
	switch {
	case last.part == opens:
		w.flush()
		w.indent += indentStep
	case first.part == closes:
		w.flush()
	}
	w.blockBefore = w.indent == 0 && first.part == closes
}

// blankLine keeps one blank line of those before a statement and its comments:
// none at the start or end of a block, and always one around a block at the top.
func (w *printer) blankLine(first piece, block bool) {
	newlines := first.newlines
	if len(first.lead) > 0 {
		newlines = first.lead[0].newlines
	}
	blank := newlines > 1
	switch {
	case first.part == closes && len(first.lead) == 0, first.part == ends && len(first.lead) == 0, w.atBlockStart:
		blank = false
	case w.indent == 0 && (block || w.blockBefore && first.part != ends):
		blank = true
	}
	if blank {
		w.blank()
	}
}

func (w *printer) blank() {
	w.flush()
	w.out.WriteByte('\n')
}

// leading prints the comments before a statement.
func (w *printer) leading(first piece) {
	for i, c := range first.lead {
		if i > 0 && c.newlines > 1 {
			w.blank()
		}
		w.flush()
		w.comment(c)
		w.atBlockStart = false
	}
	closing := first.part == closes || first.part == ends
	if len(first.lead) > 0 && first.newlines > 1 && !closing {
		w.blank()
	}
}

func (w *printer) comment(c comment) {
	for _, line := range c.laidOut() {
		w.line(w.indent, line)
	}
}

// line writes one line.
func (w *printer) line(indent int, text string) {
	if text != "" {
		w.out.WriteString(spacesOf(indent))
		w.out.WriteString(text)
	}
	w.out.WriteByte('\n')
}

// caveatText prints the text of a caveat. Lines keep their indentation against
// each other; a text with a string over several lines is left alone, for its
// white space has a meaning.
func (w *printer) caveatText(body piece) {
	w.flush()
	lines := splitLines(body.text)
	if body.longString {
		w.line(w.indent, body.text)
		return
	}
	if own, alone := w.indentationAt(body.at.Offset); alone {
		lines[0] = own + lines[0]
		dedent(lines)
	} else {
		dedent(lines[1:])
	}
	for _, line := range lines {
		w.line(w.indent, strings.TrimRight(line, spaces))
	}
}

// indentationAt is the white space before a place; alone says that nothing else
// stands before it on its line.
func (w *printer) indentationAt(offset int) (white string, alone bool) {
	before := w.text[:offset]
	line := before[strings.LastIndexAny(before, "\r\n")+1:]
	return line, strings.Trim(line, spaces) == ""
}

// laidOut are the lines of a comment, indented against its first.
func (c comment) laidOut() []string {
	lines := c.lines()
	rest := lines[1:]
	if c.starred() {
		for i, line := range rest {
			if line != "" {
				rest[i] = " " + strings.TrimLeft(line, spaces)
			}
		}
		return lines
	}
	if n := len(rest); n > 0 && strings.TrimLeft(rest[n-1], spaces) == "*/" {
		rest[n-1] = "*/"
		rest = rest[:n-1]
	}
	dedent(rest)
	for i, line := range rest {
		if line != "" {
			rest[i] = spacesOf(indentStep) + line
		}
	}
	return lines
}

// starred reports whether each line of a block comment but the first begins with
// a star.
func (c comment) starred() bool {
	for _, line := range c.lines()[1:] {
		if line = strings.TrimLeft(line, spaces); line != "" && line[0] != '*' {
			return false
		}
	}
	return true
}

// docText is what a doc comment says, without its marks.
func docText(c comment) string {
	lines := c.lines()
	lines[0] = strings.TrimLeft(strings.TrimPrefix(lines[0], "/**"), spaces)
	starred := c.starred()
	last := len(lines) - 1
	lines[last] = strings.TrimRight(strings.TrimSuffix(lines[last], "*/"), spaces)
	if starred {
		for i, line := range lines[1:] {
			line = strings.TrimPrefix(strings.TrimLeft(line, spaces), "*")
			lines[i+1] = strings.TrimPrefix(line, " ")
		}
	} else {
		dedent(lines[1:])
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// dedent takes the white space away that all lines begin with, blank ones aside.
func dedent(lines []string) {
	common, found := "", false
	for _, line := range lines {
		white := line[:len(line)-len(strings.TrimLeft(line, spaces))]
		switch {
		case white == line:
		case !found:
			common, found = white, true
		default:
			for !strings.HasPrefix(white, common) {
				common = common[:len(common)-1]
			}
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, common)
	}
}

func spacesOf(n int) string { return strings.Repeat(" ", n) }

func width(s string) int { return utf8.RuneCountInString(s) }
