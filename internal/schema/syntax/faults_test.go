package syntax

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
)

// TestFaults reads schemas in which the expected faults stand on the lines that
// cause them, behind ###: a column where it is said, and words of the reason, the
// summary and the remedy, in this order.
func TestFaults(t *testing.T) {
	for _, path := range files(t, "faults/*.zed") {
		t.Run(caseName(path), func(t *testing.T) {
			var schema []string
			var want [][]string
			for _, line := range splitLines(read(t, path)) {
				parts := strings.Split(line, "###")
				schema = append(schema, strings.TrimRight(parts[0], " "))
				want = append(want, parts[1:])
			}
			_, faults := Parse(strings.Join(schema, "\n"))
			for i, f := range faults {
				got := fmt.Sprintf("@%d %s %s", f.Column, f.Code, strings.TrimPrefix(f.Sentence(), f.Place()+": "))
				line := &want[f.Line-1]
				found := slices.IndexFunc(*line, func(w string) bool { return inOrder(got, strings.TrimSpace(w)) })
				if found < 0 {
					t.Errorf("line %d is not to have the fault: %s", f.Line, got)
					continue
				}
				*line = slices.Delete(*line, found, found+1)
				if i > 0 && f.Line < faults[i-1].Line {
					t.Errorf("line %d comes too late", f.Line)
				}
			}
			for i, line := range want {
				for _, w := range line {
					t.Errorf("line %d has no fault: %s", i+1, w)
				}
			}
		})
	}
}

// inOrder reports whether got is what is wanted: at a column where one is said,
// with the rest of it as it stands, a reason aside.
func inOrder(got, want string) bool {
	column, rest, found := strings.Cut(want, " ")
	if found && strings.HasPrefix(column, "@") {
		if !strings.HasPrefix(got, column+" ") {
			return false
		}
		want = rest
	}
	if reason, rest, found := strings.Cut(want, " "); found {
		if _, isReason := fault.CodeOf(reason); isReason {
			return strings.Contains(got, " "+reason+" ") && strings.Contains(got, rest)
		}
	}
	return strings.Contains(got, want)
}
