package tupledb

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/rel"
)

// onClock is an empty store in memory with a clock that the test moves.
func onClock(t testing.TB) (*Store, *steppingClock) {
	t.Helper()
	clock := newSteppingClock()
	return opened(t, Config{Clock: clock.Now}), clock
}

// until is a tuple that expires at a time.
func until(t testing.TB, text string, at time.Time) rel.Tuple {
	t.Helper()
	u := tuple(t, text)
	var err error
	if u.Expires, err = rel.NewExpiry(at); err != nil {
		t.Fatal(err)
	}
	return u
}

// Each read has a tuple one microsecond before its expiry, and at its expiry no
// more; the caveat beside it changes nothing. What it does not show it still
// counts, as it counts a tombstone.
func TestEveryReadDropsATupleAtItsExpiry(t *testing.T) {
	s, clock := onClock(t)
	expiry := clock.Now().Add(time.Hour)
	userset := until(t, `doc:p1#viewer@team:core#member[c:{"n":1}]`, expiry)
	wildcard := until(t, "doc:p1#viewer@user:*", expiry)
	plain := until(t, "doc:p1#viewer@user:ana[c]", expiry)
	other := tuple(t, "doc:p2#viewer@user:bob")
	write(t, s, Commit{Put: []rel.Tuple{userset, wildcard, plain, other}})
	doc, ana := object(t, "doc:p1"), subject(t, "user:ana")

	one := func(u rel.Tuple, found bool, err error) ([]rel.Tuple, error) {
		if found {
			return []rel.Tuple{u}, err
		}
		return nil, err
	}
	all := func(seq iter.Seq2[rel.Tuple, error]) ([]rel.Tuple, error) { return collect(t, seq), nil }
	stands := func(has bool, err error) ([]rel.Tuple, error) { return one(other, has, err) } // any tuple will do
	for name, c := range map[string]struct {
		read  func(*Snapshot) ([]rel.Tuple, error)
		there []rel.Tuple
		after []rel.Tuple
		reads int // after the expiry
	}{
		"Find": {func(s *Snapshot) ([]rel.Tuple, error) { return one(s.Find(plain.Key)) }, []rel.Tuple{plain}, nil, 1},
		"Has": {func(s *Snapshot) ([]rel.Tuple, error) {
			has, err := s.Has(plain.Key)
			return one(plain, has, err)
		}, []rel.Tuple{plain}, nil, 1},
		"Object": {func(s *Snapshot) ([]rel.Tuple, error) {
			tuples, whole, err := s.Object(doc, nil, 3)
			if !whole {
				t.Error("Object is not whole")
			}
			return tuples, err
		}, []rel.Tuple{userset, wildcard, plain}, nil, 3},
		"Usersets": {func(s *Snapshot) ([]rel.Tuple, error) { return all(s.Usersets(doc, "viewer")) }, []rel.Tuple{userset, wildcard}, nil, 2},
		"Subjects": {func(s *Snapshot) ([]rel.Tuple, error) { return all(s.Subjects(doc, "viewer")) }, []rel.Tuple{plain}, nil, 1},
		"Objects":  {func(s *Snapshot) ([]rel.Tuple, error) { return all(s.Objects(ana, "doc", "viewer", rel.IDs{})) }, []rel.Tuple{plain}, nil, 1},
		"Tuples": {func(s *Snapshot) ([]rel.Tuple, error) { return all(s.Tuples(rel.Filter{}, nil)) },
			[]rel.Tuple{userset, wildcard, plain, other}, []rel.Tuple{other}, 4},
		"Tuples of a subject type": {func(s *Snapshot) ([]rel.Tuple, error) {
			return all(s.Tuples(rel.Filter{SubjectType: "user"}, nil))
		}, []rel.Tuple{wildcard, plain, other}, []rel.Tuple{other}, 3},
		"Stands as object": {func(s *Snapshot) ([]rel.Tuple, error) { return stands(s.Stands(doc)) }, []rel.Tuple{other}, nil, 3 + 1},
		"Stands as subject": {func(s *Snapshot) ([]rel.Tuple, error) { return stands(s.Stands(object(t, "team:core"))) },
			[]rel.Tuple{other}, nil, 1 + 1},
	} {
		for _, where := range []string{"memory", "tables"} {
			if where == "tables" {
				settled(t, s)
			}
			before := atTime(t, s, expiry.Add(-time.Microsecond))
			if got, err := c.read(before); err != nil || !slices.Equal(got, c.there) {
				t.Errorf("%s, in %s, before the expiry: %v, %v; want %v", name, where, got, err, c.there)
			}
			at := atTime(t, s, expiry)
			if got, err := c.read(at); err != nil || !slices.Equal(got, c.after) {
				t.Errorf("%s, in %s, at the expiry: %v, %v; want %v", name, where, got, err, c.after)
			}
			if at.Reads() != c.reads {
				t.Errorf("%s, in %s, at the expiry: %d reads, want %d", name, where, at.Reads(), c.reads)
			}
		}
	}
}

// A store is read at the clock's time: by whoever asks for the newest revision,
// for an old one and for a snapshot of a client's. A snapshot that is open stays
// at the time it was opened at.
func TestAnOldSnapshotDoesNotReviveWhatHasExpired(t *testing.T) {
	s, clock := onClock(t)
	u := until(t, "doc:p1#viewer@user:ana", clock.Now().Add(time.Second))
	write(t, s, Commit{Put: []rel.Tuple{u}})
	token := s.Head()
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p2#viewer@user:ana")}})
	opening := map[string]func() (*Snapshot, error){
		"Newest":             s.Newest,
		"Snapshot":           func() (*Snapshot, error) { return s.Snapshot(token.Revision) },
		"At":                 func() (*Snapshot, error) { return s.At(token) },
		"AtTime of no time":  func() (*Snapshot, error) { return s.AtTime(token, time.Time{}) },
		"AtTime of the past": func() (*Snapshot, error) { return s.AtTime(token, clock.Now().Add(-time.Hour)) },
	}
	held := newestOf(t, s)
	clock.step(time.Second)
	for name, open := range opening {
		snap, err := open()
		if err != nil {
			t.Fatal(err)
		}
		want := name == "AtTime of the past"
		if has := must(t)(snap.Has(u.Key)); has != want {
			t.Errorf("%s reads at %v and finds %v: %t", name, snap.Time(), u, has)
		}
		snap.Close()
	}
	if !must(t)(held.Has(u.Key)) {
		t.Error("a snapshot that was open lost the tuple")
	}
}

// What a published commit could see expired stays expired, whatever the clock
// does after it, also when the store is opened again.
func TestAClockThatStepsBackRevivesNothingAfterACommit(t *testing.T) {
	clock := newSteppingClock()
	cfg := onMem(vfs.NewMem())
	cfg.Clock = clock.Now
	s := opened(t, cfg)
	expiry := clock.Now().Add(time.Second)
	u := until(t, "doc:p1#viewer@user:ana", expiry)
	write(t, s, Commit{Put: []rel.Tuple{u}})
	clock.step(time.Second)
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p2#viewer@user:bob")}}) // at the expiry itself
	clock.step(-time.Hour)
	for _, when := range []string{"open", "opened again"} {
		snap := newest(t, s)
		if snap.Time() != expiry || must(t)(snap.Has(u.Key)) {
			t.Errorf("%s: reads at %v, the tuple expires at %v and is there: %t", when, snap.Time(), expiry, must(t)(snap.Has(u.Key)))
		}
		snap.Close()
		if report := inOrder(t, s); report.Tuples != 1 || report.Expired != 1 {
			t.Errorf("%s: verified as %+v", when, report)
		}
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		s = opened(t, cfg)
	}
}

// A write is judged at the time it is committed at, later than every commit
// before it, wherever the clock is.
func TestAWriteIsJudgedAtItsCommitTime(t *testing.T) {
	s, clock := onClock(t)
	all := everyTuple()
	for i, step := range []time.Duration{0, 0, -time.Hour, time.Nanosecond, 2 * time.Hour} {
		clock.step(step)
		before := s.HeadTime()
		var judged time.Time
		if _, err := s.Update(t.Context(), func(snap *Snapshot) (Commit, error) {
			judged = snap.Time()
			clock.step(time.Minute) // judging takes its time
			return Commit{Put: all[i : i+1]}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if !judged.After(before) || judged != s.HeadTime() {
			t.Errorf("write %d: judged at %v, committed at %v, the one before at %v", i, judged, s.HeadTime(), before)
		}
	}
}

// What has expired is as good as not there: it is put again, and whatever the new
// one carries, the old revision still shows the old one.
func TestAPutOverAnExpiredTupleIsAPut(t *testing.T) {
	s, clock := onClock(t)
	expiry := clock.Now().Add(time.Second)
	old := until(t, "doc:p1#viewer@user:ana[c]", expiry)
	again := tuple(t, "doc:p1#viewer@user:ana")
	write(t, s, Commit{Put: []rel.Tuple{old}})
	first := s.Head()
	clock.step(time.Second)
	if _, err := s.Update(t.Context(), func(snap *Snapshot) (Commit, error) {
		if has, err := snap.Has(old.Key); has || err != nil {
			t.Errorf("the judge finds %v: %v", old, err)
		}
		return Commit{Put: []rel.Tuple{again}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if got, found, err := newestOf(t, s).Find(old.Key); got != again || !found || err != nil {
		t.Errorf("there is %v, %t, %v", got, found, err)
	}
	snap, err := s.AtTime(first, expiry.Add(-time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if got, found, err := snap.Find(old.Key); got != old || !found || err != nil {
		t.Errorf("before, there was %v, %t, %v", got, found, err)
	}
	if report := inOrder(t, s); report.Tuples != 1 || report.Expired != 0 || report.Versions != 2 {
		t.Errorf("verified as %+v", report)
	}
	var puts []rel.Tuple
	for c, err := range s.Changes(1) {
		if err != nil {
			t.Fatal(err)
		}
		puts = append(puts, c.Put...)
	}
	if !slices.Equal(puts, []rel.Tuple{old, again}) {
		t.Errorf("logged as put: %v", puts)
	}
}

// A relation whose tuples have expired by the thousand costs a read each, and a
// bound ends it.
func TestExpiredTuplesSpendFromTheBound(t *testing.T) {
	s, clock := onClock(t)
	var c Commit
	for i := range 100 {
		c.Put = append(c.Put, until(t, fmt.Sprintf("doc:p1#viewer@user:u%02d", i), clock.Now().Add(time.Second)))
	}
	write(t, s, c)
	clock.step(time.Second)
	snap := newestOf(t, s)
	if got, whole, err := snap.Object(object(t, "doc:p1"), nil, 1); len(got) != 0 || !whole || err != nil || snap.Reads() != 100 {
		t.Errorf("%v, whole %t, %v, after %d reads; want 100", got, whole, err, snap.Reads())
	}
	asked := 0
	snap.Bound(10, func(int) error { asked++; return nil })
	collect(t, snap.Subjects(object(t, "doc:p1"), "viewer"))
	if asked != 10 {
		t.Errorf("whoever bounds the snapshot was asked %d times in 100 reads", asked)
	}
}
