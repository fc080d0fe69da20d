package worlds

import "testing"

// product is the real system, closed when the test ends.
func product(tb testing.TB) *Product {
	tb.Helper()
	p := &Product{}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// The short form of the campaign: enough questions that a fault in the meaning
// does not get as far as a commit.
func TestEngineAgreesWithOracle(t *testing.T) {
	const questionsMin = 20_000
	system := product(t)
	var tally Tally
	for seed := uint64(1); tally.Questions < questionsMin; seed++ {
		got, finding, err := Find(t.Context(), system, seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
	if tally.Past == 0 || tally.Expanded == 0 || tally.NotAllowed == 0 {
		t.Errorf("some way of asking compared nothing: %v", tally)
	}
}

// FuzzEngineAgreesWithOracle builds a small random world from a seed and asks
// both everything that can be asked about it.
func FuzzEngineAgreesWithOracle(f *testing.F) {
	for _, seed := range []uint64{0, 17, 1 << 32, 1<<64 - 1} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		_, finding, err := Find(t.Context(), product(t), seed)
		if err != nil {
			t.Fatal(err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
	})
}
