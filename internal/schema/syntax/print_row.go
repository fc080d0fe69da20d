package syntax

import "strings"

// A row is one statement laid out, before it is aligned with its neighbours. It
// is on one line; or its rules stand under each other; or it does not fit that
// way either, and is filled into lines.
type row struct {
	indent  int
	name    string   // of a role with types, and the colon
	head    string   // the rest up to the first rule
	rules   []string // `granted by …`, `revoked by …`
	stacked bool     // the rules stand under each other
	filled  []string // the lines, where it is neither of the two
	trail   []comment
}

func (w *printer) row(pieces []piece) *row {
	r := &row{indent: w.indent, trail: pieces[len(pieces)-1].trail}
	atoms, oneLine := atomsOf(pieces)
	if oneLine {
		r.cut(atoms, pieces[0].part)
		if r.fits(grid{}) {
			return r
		}
		if r.stacked = len(r.rules) > 1; r.stacked && r.fits(grid{}) {
			return r
		}
	}
	r.filled = fill(atoms, lineMax-w.indent)
	return r
}

// cut parts the statement into what is aligned.
func (r *row) cut(atoms []atom, first part) {
	if first == startsRole && len(atoms) > 2 && atoms[1].text == ":" {
		r.name, atoms = join(atoms[:2]), atoms[2:]
	}
	from := 0
	for i, a := range atoms {
		if a.part == ruleStart {
			r.add(atoms[from:i])
			from = i
		}
	}
	r.add(atoms[from:])
}

func (r *row) add(atoms []atom) {
	if atoms[0].part == ruleStart {
		r.rules = append(r.rules, join(atoms))
	} else {
		r.head = join(atoms)
	}
}

// beforeRules is the row up to the rules.
func (r *row) beforeRules(g grid) string {
	if r.name == "" {
		return r.head
	}
	return pad(r.name, g.nameWidth) + " " + r.head
}

// lines are the row's lines without their indentation. The rules begin at the
// grid's column, or behind the head where that is wider.
func (r *row) lines(g grid) []string {
	if r.filled != nil {
		return r.filled
	}
	line := r.beforeRules(g)
	if len(r.rules) == 0 {
		return []string{line}
	}
	column := max(g.ruleColumn, width(line)+ruleGap)
	line = pad(line, column)
	if !r.stacked && !g.stacked {
		return []string{line + strings.Join(r.rules, spacesOf(ruleGap))}
	}
	lines := []string{line + r.rules[0]}
	for _, rule := range r.rules[1:] {
		lines = append(lines, spacesOf(column)+rule)
	}
	return lines
}

func (r *row) fits(g grid) bool {
	for _, line := range r.lines(g) {
		if r.indent+width(line) > lineMax {
			return false
		}
	}
	return true
}

// flush writes the section: rows with nothing between them. One that is filled
// into lines has no columns, and parts those before it from those behind.
func (w *printer) flush() {
	rows := w.section
	w.section = nil
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[0].filled == nil && rows[n].filled == nil {
			n++
		}
		w.aligned(rows[:n])
		rows = rows[n:]
	}
}

// A grid is how the rows of a section are aligned.
type grid struct {
	nameWidth  int // of the roles' names, so that their types begin at one column
	ruleColumn int
	stacked    bool // every row with two rules has them under each other
}

// gridOf finds the closest alignment that makes no line too long; the zero grid
// is none, and each row stands for itself.
func gridOf(rows []*row) grid {
	names, stacked := 0, false
	for _, r := range rows {
		names = max(names, width(r.name))
		stacked = stacked || r.stacked
	}
	for _, g := range []grid{{nameWidth: names, stacked: stacked}, {nameWidth: names, stacked: true}, {stacked: true}} {
		fits := true
		for _, r := range rows {
			if len(r.rules) > 0 {
				g.ruleColumn = max(g.ruleColumn, width(r.beforeRules(g))+ruleGap)
			}
		}
		for _, r := range rows {
			fits = fits && r.fits(g)
		}
		if fits {
			return g
		}
	}
	return grid{}
}

// aligned writes rows on one grid, and the comments behind neighbours at one column.
func (w *printer) aligned(rows []*row) {
	g := gridOf(rows)
	for i := 0; i < len(rows); {
		column, n := 0, i
		for ; n < len(rows) && len(rows[n].trail) > 0; n++ {
			lines := rows[n].lines(g)
			column = max(column, width(lines[len(lines)-1])+trailGap)
		}
		for n = max(n, i+1); i < n; i++ {
			w.write(rows[i], rows[i].lines(g), column)
		}
	}
}

// write writes a row's lines, and behind the last, at a column, its comments.
func (w *printer) write(r *row, lines []string, column int) {
	last := len(lines) - 1
	for _, line := range lines[:last] {
		w.line(r.indent, line)
	}
	text := lines[last]
	if len(r.trail) > 0 {
		text = pad(text, column-1)
	}
	for _, c := range r.trail {
		of := c.laidOut()
		text += " " + of[0]
		for _, line := range of[1:] {
			w.line(r.indent, text)
			text = line
		}
	}
	w.line(r.indent, text)
}

func pad(s string, to int) string { return s + spacesOf(max(to-width(s), 0)) }
