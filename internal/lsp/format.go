package lsp

import (
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// format lays a document out. One that cannot be read stays as it is: its
// diagnostics say why, and an error of its own would come up at every save.
func (s *server) format(d *document, _ documentParams) any {
	edits := []textEdit{}
	formatted, faults := syntax.Format(d.text)
	if len(faults) > 0 || formatted == d.text {
		return edits
	}
	start, end, text := difference(d.text, formatted)
	return append(edits, textEdit{d.textRange(start, end), text})
}

// difference is the one edit that makes before to after: whole lines, without
// those that are equal at both ends, so that an editor keeps its cursor and its
// marks there.
func difference(before, after string) (start, end int, text string) {
	for {
		line, _, found := strings.Cut(before[start:], "\n")
		if !found || !strings.HasPrefix(after[start:], line+"\n") {
			break
		}
		start += len(line) + 1
	}
	end, to := len(before), len(after)
	for {
		// The line that ends here, with the end of the one before it.
		at := strings.LastIndexByte(before[start:max(end-1, start)], '\n')
		if at < 0 {
			break
		}
		line := before[start+at+1 : end]
		if to-len(line) <= start || !strings.HasSuffix(after[start:to], line) || after[to-len(line)-1] != '\n' {
			break
		}
		end, to = end-len(line), to-len(line)
	}
	return start, end, after[start:to]
}
