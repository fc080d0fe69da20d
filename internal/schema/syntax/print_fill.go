package syntax

import "strings"

// An atom is what no line is broken in: a token, or a comment inside a statement.
type atom struct {
	part  part
	text  string
	rest  []string // the further lines of a comment
	depth int
	space bool // before it, on the same line
	must  bool // a line begins with it
}

// atomsOf lists the tokens of a statement with the comments between them;
// oneLine is false where a comment does not allow one line.
func atomsOf(pieces []piece) (atoms []atom, oneLine bool) {
	oneLine = true
	for i, p := range pieces {
		next := atom{part: p.part, text: p.text, depth: p.depth, space: i > 0 && spaced(pieces[i-1], p)}
		if i > 0 {
			for _, c := range p.gap {
				lines := c.laidOut()
				a := atom{text: lines[0], rest: lines[1:], space: true, must: next.must || c.newlines > 0}
				atoms = append(atoms, a)
				oneLine = oneLine && !a.must && len(a.rest) == 0 && !c.isLine()
				next.space, next.must = true, c.isLine()
			}
		}
		atoms = append(atoms, next)
	}
	return atoms, oneLine
}

// spaced reports whether a space stands between two tokens.
func spaced(a, b piece) bool {
	switch b.kind {
	case ':', ',', ')', ']', '#', '/', '.', '>', arrow, dots:
		return false
	}
	switch a.kind {
	case '(', '[', '#', '/', '.', '<', arrow, dots:
		return false
	case ellipsis:
		return a.part != starts // of `...partial`, not of `type#...`
	}
	return b.part != tight && (a.kind != '{' || b.kind != '}')
}

func join(atoms []atom) string {
	var b strings.Builder
	for i, a := range atoms {
		if i > 0 && a.space {
			b.WriteByte(' ')
		}
		b.WriteString(a.text)
	}
	return b.String()
}

// fill breaks a statement into lines that are not too long, as far as it can be
// broken: before clauses and rules, then between operands. Parentheses are only
// broken where nothing else helps.
func fill(atoms []atom, limit int) []string {
	var lines []string
	for _, depth := range []int{0, 1, nestingMax} {
		f := filler{atoms: atoms, limit: limit, depth: depth}
		lines = f.fill()
		tooLong := false
		for _, line := range lines {
			tooLong = tooLong || width(line) > limit
		}
		if !tooLong {
			break
		}
	}
	return lines
}

// Columns of a filled statement, from where it begins.
const (
	hangingIndent = 4  // of what follows the first line and has nothing to stand under
	deepestColumn = 40 // what would stand further right hangs instead
)

// A filler is how far a statement has been filled into lines.
type filler struct {
	atoms []atom
	limit int
	depth int // parentheses deeper than this are not broken

	lines  []string
	line   strings.Builder
	column int // where the line ends
	from   int // where it began

	body    int // where the types began, and clauses stand; 0 before
	operand int // where the current types or expression began
	rule    int // where the last rule began
}

func (f *filler) fill() []string {
	for i, a := range f.atoms {
		switch {
		case i == 0:
		case a.must || f.overflows(i):
			f.lineAt(f.columnOf(i))
		case a.part == ruleStart:
			f.put(spacesOf(ruleGap))
		case a.space:
			f.put(" ")
		}
		f.notePlace(a)
		f.put(a.text)
		for _, line := range a.rest {
			f.lineAt(f.from)
			f.put(line)
		}
	}
	f.lineAt(0)
	return f.lines
}

func (f *filler) put(text string) {
	f.line.WriteString(text)
	f.column += width(text)
}

func (f *filler) lineAt(column int) {
	f.lines = append(f.lines, strings.TrimRight(f.line.String(), " "))
	f.line.Reset()
	f.column = 0
	f.put(spacesOf(column))
	f.from = column
}

// notePlace remembers the columns under which other lines begin.
func (f *filler) notePlace(a atom) {
	if a.part == ruleStart {
		f.rule = f.column
	}
	if a.part != operand {
		return
	}
	body := f.column
	if f.operand = f.column; f.column > deepestColumn {
		f.operand, body = hangingIndent+2, hangingIndent
	}
	if f.body == 0 {
		f.body = body
	}
}

// breakable reports whether a line may begin with an atom though it need not.
func (f *filler) breakable(a atom) bool {
	switch a.part {
	case clauseStart, ruleStart, item:
		return true
	case operator:
		return a.depth <= f.depth
	}
	return false
}

// overflows reports whether a new line has to begin before an atom, so that what
// belongs together fits: a clause as a whole where one line can hold it, an
// operand with the operator before it.
func (f *filler) overflows(i int) bool {
	a := f.atoms[i]
	switch {
	case !f.breakable(a):
		return false
	case a.part == clauseStart && a.text == "=":
		return f.body > 0 // what a role computes stands under its types, if it has any
	}
	gap := 1
	if a.part == ruleStart {
		gap = ruleGap
	}
	return f.column+gap+f.wholeWidth(i) > f.limit
}

// wholeWidth is the width of what is not parted from an atom.
func (f *filler) wholeWidth(i int) int {
	clause := f.atoms[i].part == clauseStart || f.atoms[i].part == ruleStart
	total := 0
	for j := i; j < len(f.atoms) && total <= f.limit; j++ {
		a := f.atoms[j]
		starts := a.part == clauseStart || a.part == ruleStart
		if j > i && (a.must || starts || !clause && f.breakable(a)) {
			break
		}
		if j > i && a.space {
			total++
		}
		total += width(a.text)
		if len(a.rest) > 0 {
			break
		}
	}
	return total
}

// columnOf is where a new line begins for an atom.
func (f *filler) columnOf(i int) int {
	switch a := f.atoms[i]; {
	case a.part == operator && f.operand > 0:
		return max(f.operand-2, 2)
	case a.part == item && f.operand > 0, a.part == plain && f.operand > 0 && f.rule == 0:
		return f.operand
	case a.part == ruleStart && f.rule > 0 && f.rule+f.wholeWidth(i) <= f.limit:
		return f.rule
	case f.body > 0:
		return f.body
	}
	return hangingIndent
}
