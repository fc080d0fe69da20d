package worlds

import (
	"context"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A liar is the product but for what it says in explanations. lie changes an
// explanation, and reports whether it found something to change.
type liar struct {
	*Product
	lie  func(Explanation) (Explanation, bool)
	lied bool
}

func (l *liar) Explain(ctx context.Context, q Question) (Explanation, error) {
	e, err := l.Product.Explain(ctx, q)
	if err == nil && !l.lied {
		e, l.lied = l.lie(e)
	}
	return e, err
}

// lieOf makes a lie of a change to a reason for which there is an occasion, looking
// from below: what is near the top is easier to find.
func lieOf(occasion func(*Reason) bool, change func(*Reason)) func(Explanation) (Explanation, bool) {
	var look func(*Reason) bool
	look = func(r *Reason) bool {
		if slices.ContainsFunc(r.Because, look) {
			return true
		}
		if !occasion(r) {
			return false
		}
		change(r)
		return true
	}
	return func(e Explanation) (Explanation, bool) { return e, look(e.Reason) }
}

func overTuple(r *Reason) bool { return r.Step == ByTuple || r.Step == ByArrow }

// A test of the test: an explanation with anything in it that is not true is found,
// and one that is true is not.
func TestLiesInExplanationsAreFound(t *testing.T) {
	other := rel.Of(objectOf("user", "somebody_else"))
	for _, c := range []struct {
		name string
		lie  func(Explanation) (Explanation, bool)
	}{
		{"the answer is another", func(e Explanation) (Explanation, bool) {
			e.Reason.Result = (e.Reason.Result + 1) % 3
			return e, true
		}},
		{"a reason holds more", lieOf(func(r *Reason) bool { return r.Result == oracle.No }, func(r *Reason) { r.Result = oracle.Conditional })},
		{"what hangs on a condition is certain", lieOf(func(r *Reason) bool { return r.Result == oracle.Conditional }, func(r *Reason) { r.Result = oracle.Yes })},
		{"a reason holds nothing", lieOf(func(r *Reason) bool { return r.Result != oracle.No }, func(r *Reason) { r.Result = oracle.No })},
		{"a tuple that is not there", lieOf(overTuple, func(r *Reason) { r.Tuple.Subject = other })},
		{"a tuple without its caveat", lieOf(func(r *Reason) bool { return !r.Tuple.Caveat.IsZero() }, func(r *Reason) { r.Tuple.Caveat = rel.Caveat{} })},
		{"a tuple came with the question", lieOf(overTuple, func(r *Reason) { r.Contextual = !r.Contextual })},
		{"a condition is false", lieOf(func(r *Reason) bool { return overTuple(r) && r.Result != oracle.No }, func(r *Reason) { r.ConditionFalse = true })},
		{"a condition is not false", lieOf(func(r *Reason) bool { return r.ConditionFalse }, func(r *Reason) { r.ConditionFalse = false })},
		{"what is needed suffices", lieOf(func(r *Reason) bool {
			return r.Step == ByAllOf && len(r.Because) > 1 && r.Because[0].Result != r.Because[1].Result
		}, func(r *Reason) { r.Step = ByAnyOf })},
		{"what is missing is left out", lieOf(func(r *Reason) bool {
			return r.Step == ByAllOf && r.Result == oracle.No && len(r.Because) > 1 && r.Because[1].Result != oracle.No && !r.Cut
		}, func(r *Reason) { r.Because = r.Because[1:] })},
		{"what took it away is left out", lieOf(func(r *Reason) bool { return r.Step == ByMinus && len(r.Because) > 1 && !r.Cut },
			func(r *Reason) { r.Because = r.Because[:1] })},
		{"nothing gives what something gives", lieOf(func(r *Reason) bool { return r.Result != oracle.No },
			func(r *Reason) { r.Step, r.Because, r.Cut = ByNothing, nil, false })},
		{"somebody is who asks", lieOf(func(r *Reason) bool { return r.Step == ByTuple && r.Result == oracle.Yes }, func(r *Reason) { r.Step = ByItself })},
		{"a tuple leads to another object", lieOf(func(r *Reason) bool { return overTuple(r) && len(r.Because) > 0 },
			func(r *Reason) { r.Because[0].Object = objectOf("user", "somebody_else") })},
		{"a reason leads back to itself", lieOf(func(r *Reason) bool { return r.Step == ByAnyOf && r.Result == oracle.Yes && r.Name != "" && !r.Cut },
			func(r *Reason) { again := *r; r.Because = []*Reason{&again} })},
		{"a runner-up stands first", lieOf(func(r *Reason) bool {
			return r.Step == ByAnyOf && len(r.Because) > 1 && r.Because[0].Result != r.Because[len(r.Because)-1].Result
		}, func(r *Reason) { slices.Reverse(r.Because) })},
		{"an opening that opens nothing", func(e Explanation) (Explanation, bool) {
			if len(e.Openings) == 0 {
				return e, false
			}
			for i := range e.Openings {
				e.Openings[i].Subject = other
			}
			return e, true
		}},
		{"an opening of what is open", func(e Explanation) (Explanation, bool) {
			if e.Reason.Result != oracle.Yes {
				return e, false
			}
			e.Openings = []rel.Tuple{e.Reason.Tuple}
			return e, true
		}},
		{"a way gives a role that it does not", func(e Explanation) (Explanation, bool) {
			for _, way := range e.Reason.Because {
				if way.Role != "" {
					way.Role = "nobody_holds_this"
					return e, true
				}
			}
			return e, false
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const worldsMax = 40
			for seed := uint64(1); seed <= worldsMax; seed++ {
				l := &liar{Product: product(t), lie: c.lie}
				_, d, err := New(seed).Reasons().Run(t.Context(), l)
				if err != nil {
					t.Fatal(err)
				}
				if !l.lied && d != nil {
					t.Fatalf("seed %d: %v", seed, d)
				}
				if l.lied {
					if d == nil || d.Way != Explain {
						t.Errorf("seed %d: it is not found: %v", seed, d)
					}
					return
				}
			}
			t.Errorf("%d worlds give no occasion for it", worldsMax)
		})
	}
}
