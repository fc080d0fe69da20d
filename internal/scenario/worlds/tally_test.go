package worlds

import (
	"testing"

	"github.com/pemba-io/pemba/internal/oracle"
)

// Answers that are all "no" would agree with anything. So worlds are tuned, and
// this holds them to it.
func TestQuestionsSaySomething(t *testing.T) {
	var tally Tally
	for seed := range uint64(300) {
		w := New(seed)
		world, err := oracle.New(w.Schema, w.Tuples)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := &referee{world: world, tally: Tally{Worlds: 1}}
		for _, q := range w.Questions() {
			if d := r.compare(q, r.of(q.Principal).Holds(q.Object, q.Name), nil); d != nil {
				t.Fatal(d)
			}
		}
		tally.Add(r.tally)
	}
	t.Log(tally)
	if 4*tally.Granted < tally.Questions {
		t.Errorf("fewer than a quarter of the answers are granted: %v", tally)
	}
	if 5*tally.Excluded < tally.Questions {
		t.Errorf("fewer than one answer in five is changed by an exclusion: %v", tally)
	}
	if 5*tally.Cyclic < tally.Questions {
		t.Errorf("fewer than one answer in five is through a cycle: %v", tally)
	}
}
