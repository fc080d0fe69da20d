package syntax

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
)

// keyword is which of the words stands at the beginning of a statement, where it
// is misspelt, too. It is empty where no word is meant.
func (p *parser) keyword(t token, words ...string) string {
	if t.kind != word || slices.Contains(words, t.text) {
		return t.text
	}
	near, next := fault.Nearest(t.text, words), p.peek(1)
	if near == "" || next.first || (next.kind != word && (near != "roles" || next.kind != '{')) {
		return ""
	}
	p.misspelt(t, near)
	return near
}
