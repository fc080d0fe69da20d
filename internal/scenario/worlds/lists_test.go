package worlds

import "testing"

// What the oracle wants of lists is what asking the service about every object and
// every subject comes to. So the referee is right before there is anything to judge.
func TestListsByCheckingAgreeWithOracle(t *testing.T) {
	const listsMin = 4_000
	system := product(t)
	var tally Tally
	for seed := uint64(1); tally.Lists < listsMin; seed++ {
		got, finding, err := find(t.Context(), system, seed, New(seed).Lists(), newBook())
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
