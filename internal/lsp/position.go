package lsp

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// An encoding says in what units a client counts the characters of a line.
type encoding string

const (
	utf8Units  encoding = "utf-8"
	utf16Units encoding = "utf-16"
	utf32Units encoding = "utf-32"
)

// chooseEncoding takes bytes or code points from a client that offers them: they
// are how texts are counted here. Every client knows UTF-16.
func chooseEncoding(offered []encoding) encoding {
	for _, e := range []encoding{utf8Units, utf32Units} {
		if slices.Contains(offered, e) {
			return e
		}
	}
	return utf16Units
}

// units is how many units begin with a byte of UTF-8: none with those that go on
// with a character, two of UTF-16 with a character that takes four bytes.
func (e encoding) units(b byte) int {
	switch {
	case e == utf8Units:
		return 1
	case b&0xC0 == 0x80:
		return 0
	case e == utf16Units && b >= 0xF0:
		return 2
	}
	return 1
}

// A ruler turns places of one text, which are byte offsets everywhere here, into
// the protocol's and back. A line ends with LF, CR LF, or CR alone, for the
// protocol as for the schema language.
type ruler struct {
	text     string
	encoding encoding
	starts   []int // the offset at which each line begins
	// steps is how many units the text has before every rulerStep-th byte: a text
	// may be one line, and have a thousand names in it.
	steps []int
}

const rulerStep = 1 << 10

func newRuler(text string, e encoding) ruler {
	r := ruler{text: text, encoding: e, starts: []int{0}}
	units := 0
	for i := 0; i < len(text); i++ {
		if i%rulerStep == 0 {
			r.steps = append(r.steps, units)
		}
		units += e.units(text[i])
		if text[i] == '\n' || text[i] == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			r.starts = append(r.starts, i+1)
		}
	}
	r.steps = append(r.steps, units)
	return r
}

// position is where an offset is.
func (r ruler) position(offset int) position {
	line := sort.SearchInts(r.starts, offset+1) - 1
	return position{line, r.before(offset) - r.before(r.starts[line])}
}

// before is how many units the text has before an offset.
func (r ruler) before(offset int) int {
	step := offset / rulerStep
	units := r.steps[step]
	for i := step * rulerStep; i < offset; i++ {
		units += r.encoding.units(r.text[i])
	}
	return units
}

// offset is the place that a client means. One behind the end of a line is its
// end, as the protocol has it, and one behind the last line is the text's; one in
// the middle of a character is before it.
func (r ruler) offset(p position) int {
	switch {
	case p.Line < 0:
		return 0
	case p.Line >= len(r.starts):
		return len(r.text)
	}
	return r.walk(r.starts[p.Line], r.lineEnd(p.Line), p.Character, r.encoding)
}

// walk goes so many units on, over whole characters.
func (r ruler) walk(at, end, units int, e encoding) int {
	for at < end {
		_, size := utf8.DecodeRuneInString(r.text[at:])
		for i := at; i < at+size; i++ {
			units -= e.units(r.text[i])
		}
		if units < 0 {
			break
		}
		at += size
	}
	return at
}

// lineEnd is the offset behind the last character of a line.
func (r ruler) lineEnd(line int) int {
	if line+1 == len(r.starts) {
		return len(r.text)
	}
	end := r.starts[line+1] - 1
	if r.text[end] == '\n' && end > r.starts[line] && r.text[end-1] == '\r' {
		end--
	}
	return end
}

// byteOrderMark stands before some texts. The compiler does not count it as a
// column, and editors mostly do not send it.
const byteOrderMark = "\uFEFF"

// place is the offset of a line and a column as faults count them: from 1, in
// code points.
func (r ruler) place(line, column int) int {
	if line > len(r.starts) {
		return len(r.text)
	}
	start := r.starts[line-1]
	if line == 1 && strings.HasPrefix(r.text, byteOrderMark) {
		start += len(byteOrderMark)
	}
	return r.walk(start, r.lineEnd(line-1), column-1, utf32Units)
}

func (r ruler) textRange(start, end int) textRange {
	return textRange{r.position(start), r.position(end)}
}
