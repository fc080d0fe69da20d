package worlds

import (
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// The second evaluator shares nothing with the oracle but the tree. Where both
// say the same of every random world, both probably say what is meant.
func TestTwoEvaluatorsAgree(t *testing.T) {
	t.Parallel()
	var tally Tally
	for seed := range uint64(100) {
		got, finding, err := Find(t.Context(), &walker{}, seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
}

// What a schema's text says is what its tree says.
func TestSchemaTextIsReadBack(t *testing.T) {
	for seed := range uint64(200) {
		w := New(seed)
		text := SchemaText(folded(w.Schema, w.Apart))
		again := reparsed(t, text)
		if got := SchemaText(again); got != text {
			t.Fatalf("seed %d: written\n%s\nread back\n%s", seed, text, got)
		}
	}
}

func reparsed(t *testing.T, text string) *syntax.File {
	t.Helper()
	file, faults := syntax.Parse(text)
	if err := fault.Join(faults); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return file
}
