package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/schema"
)

// A reach costs what can be come by, and not what its names depend on: here the left
// side of each intersection, of one type of forty.
func TestAReachCostsWhatItReaches(t *testing.T) {
	const types, names = 40, 100
	var b strings.Builder
	b.WriteString("definition user {}\n")
	for i := range types {
		fmt.Fprintf(&b, "definition t%d {\n relation up: t%d\n relation a: user\n relation b: user\n permission p0 = a & b\n", i, (i+1)%types)
		for k := 1; k < names; k++ {
			fmt.Fprintf(&b, " permission p%d = p%d & up->p%d\n", k, k-1, k-1)
		}
		b.WriteString("}\n")
	}
	s, faults := schema.Compile(b.String())
	if s == nil || len(faults) > 0 {
		t.Fatal(faults)
	}
	var asked schema.Slots
	asked.Add(s.Definition("t0").Name("p99").Slot)
	allocations := testing.AllocsPerRun(3, func() {
		if reach := s.ReachOf(s.Definition("t0"), asked); len(reach.Types()) != 1 {
			t.Errorf("%d types are reached", len(reach.Types()))
		}
	})
	if allocations > 200 {
		t.Errorf("%v allocations, budget 200", allocations)
	}
}
