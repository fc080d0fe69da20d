package worlds

import (
	"slices"
	"testing"
)

// What the oracle wants of lists is what asking the service about every object and
// every subject comes to. So whoever is judged by it is judged by what is right.
func TestListsByCheckingAgreeWithOracle(t *testing.T) {
	const listsMin = 3_000
	agree(t, checkedLists{product(t), map[string]ListPage{}}, listsMin, (*World).fewLists)
}

// The lists of the service are those of the oracle: the short form of the campaign.
func TestListsAgreeWithOracle(t *testing.T) {
	const listsMin = 3_000
	agree(t, product(t), listsMin, (*World).fewLists)
}

// agree plays worlds until so many lists were compared, and demands that they say
// something.
func agree(t *testing.T, system System, listsMin int, trial func(*World) Trial) {
	t.Helper()
	var tally Tally
	for seed := uint64(1); tally.Lists < listsMin; seed++ {
		got, finding, err := find(t.Context(), system, seed, trial(New(seed)), newBook())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
	if 10*tally.Entries < tally.Compared {
		t.Errorf("fewer than one in ten is listed: %v", tally)
	}
	if 20*tally.OpenEntries < tally.Entries {
		t.Errorf("fewer than one entry in twenty is conditional: %v", tally)
	}
	if tally.Withheld == 0 || tally.Exceptions == 0 || tally.PastLists == 0 || tally.Interrupted == 0 {
		t.Errorf("some kind of list was never compared: %v", tally)
	}
}

// fewLists is a trial of lists that is played in no time.
func (w *World) fewLists() Trial {
	return w.listed(writesAlone(w.questioned()), listingMix{60, 60}, listingMix{8, 8})
}

// writesAlone is a trial without its questions.
func writesAlone(t Trial) Trial {
	t.Steps = slices.DeleteFunc(t.Steps, func(s Step) bool { return s.Way != Write && s.Way != Advance })
	return t
}
