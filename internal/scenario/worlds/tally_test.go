package worlds

import (
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// Answers that are all "no" would agree with anything. So worlds are tuned, and
// this holds them to it.
func TestQuestionsSaySomething(t *testing.T) {
	t.Parallel()
	var tally Tally
	for seed := range uint64(300) {
		w := New(seed)
		world, err := oracle.LoadAt(w.Schema, w.Tuples, start)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := newReferee(t.Context(), nil, world, newBook())
		soon, err := rel.NewExpiry(start.Add(time.Microsecond)) // a promise that is easy to keep
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range w.Questions() {
			access := r.of(q.Asker, start)
			answer := Answer{Result: access.Result(q.Object, q.Name), Missing: access.Missing(q.Object, q.Name), Until: soon}
			if d := r.compare(q, answer, nil); d != nil {
				t.Fatal(d)
			}
		}
		tally.Add(r.tally)
	}
	t.Log(tally)
	if 4*tally.Granted < tally.Questions {
		t.Errorf("fewer than a quarter of the answers are granted: %v", tally)
	}
	if 20*tally.Conditional < tally.Questions {
		t.Errorf("fewer than one answer in twenty is conditional: %v", tally)
	}
	if 5*tally.Excluded < tally.Questions {
		t.Errorf("fewer than one answer in five is changed by an exclusion: %v", tally)
	}
	if 5*tally.Cyclic < tally.Questions {
		t.Errorf("fewer than one answer in five is through a cycle: %v", tally)
	}
}
