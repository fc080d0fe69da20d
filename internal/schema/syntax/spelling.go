package syntax

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
)

// keyword is which of the words stands at the beginning of a statement, where it
// is misspelt, too. It is empty where no word is meant.
func (p *parser) keyword(t token, words ...string) string {
	if t.kind != word || slices.Contains(words, t.text) {
		return t.text
	}
	near, next := nearest(t.text, words), p.peek(1)
	if near == "" || next.first || (next.kind != word && (near != "roles" || next.kind != '{')) {
		return ""
	}
	p.misspelt(t, near)
	return near
}

// nearest is the one of the words that s was most likely meant to be, or empty
// where that would be a guess.
func nearest(s string, words []string) string {
	best, bestEdits := "", 3
	if len(s) < 5 {
		bestEdits = 2
	}
	if len(s) > rel.NameBytesMax {
		return ""
	}
	for _, w := range words {
		if n := edits(s, w); n < bestEdits {
			best, bestEdits = w, n
		}
	}
	return best
}

// edits counts the letters to put in, take out, change or swap with the next to
// make b of a.
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
