package tupledb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// collectAll forgets all that is past the history.
func collectAll(t testing.TB, s *Store) {
	t.Helper()
	for {
		more, err := s.Collect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// remembering is a store with a short history, in which a revision is made a second.
func remembering(t *testing.T, history time.Duration) (*Store, *steppingClock) {
	clock := newSteppingClock()
	return opened(t, Config{Clock: clock.Now, History: history}), clock
}

// What is at or above the floor reads as it did, and what is below it is refused by
// every way to ask; also when the store is opened again, and after each step of a
// history that goes on.
func TestTheHistoryIsWholeFromItsFloorOn(t *testing.T) {
	disk, clock, rng := vfs.NewMem(), newSteppingClock(), rand.New(rand.NewPCG(4, 4))
	cfg := onMem(disk)
	cfg.Clock, cfg.History = clock.Now, HistoryMin
	s := opened(t, cfg)
	h, tuples := newHistory(), few(rng, 30)
	forgotten := 0
	for round := range 12 {
		for range 15 {
			clock.step(time.Second)
			if _, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
				c := h.randomCommit(rng, tuples, snap.Time(), 6)
				if rng.IntN(8) == 0 {
					c.Schema = &SchemaVersion{Number: 1, Text: fmt.Sprint(round)}
					if last := h.schemas[h.head()]; last != nil {
						c.Schema.Number = last.Number + 1
					}
				}
				if !c.isEmpty() {
					h.add(snap.Time(), c)
				}
				return c, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		collectAll(t, s)
		inOrder(t, s)
		if round%4 == 3 {
			if err := s.db.Close(); err != nil {
				t.Fatal(err)
			}
			s = opened(t, cfg)
		}
		floor := s.Floor()
		if want := h.floorAt(clock.Now().Add(-HistoryMin)); floor != want {
			t.Fatalf("the floor is %d, want %d", floor, want)
		}
		for r := floor; r <= h.head(); r++ {
			snap := at(t, s, r)
			h.agrees(t, snap, tuples)
			snap.Close()
		}
		if floor == 0 {
			continue
		}
		forgotten++
		old := rel.Snapshot{Incarnation: s.incarnation, Epoch: s.epoch, Revision: floor - 1}
		for name, ask := range map[string]func() error{
			"Snapshot": func() error { _, err := s.Snapshot(floor - 1); return err },
			"At":       func() error { _, err := s.At(old); return err },
			"AtTime":   func() error { _, err := s.AtTime(old, clock.Now()); return err },
			"AsOf": func() error {
				_, err := s.AsOf(context.Background(), h.times[floor].Add(-time.Microsecond))
				return err
			},
			"Changes": func() (err error) {
				for _, err = range s.Changes(floor - 1) {
				}
				return err
			},
		} {
			wantFault(t, name, ask(), fault.SnapshotMustBeWithinHistory)
		}
		if err := s.MustHaveHad(old); err != nil {
			t.Errorf("at least as fresh as what is forgotten: %v", err)
		}
		first := asOf(t, s, h.times[floor])
		if r := first.Revision(); r != floor {
			t.Errorf("the floor's time is revision %d, not %d", r, floor)
		}
		first.Close() // the store is closed and opened again while the test goes on
		if n := len(collect(t, s.Changes(floor))); n != int(h.head()-floor)+1 {
			t.Errorf("%d changes from the floor on", n)
		}
	}
	if forgotten < 8 {
		t.Errorf("something was forgotten in %d rounds alone", forgotten)
	}
}

// floorAt is the last revision that was committed by a time.
func (h *history) floorAt(at time.Time) (floor rel.Revision) {
	for r := rel.Revision(1); r <= h.head() && !h.times[r].After(at); r++ {
		floor = r
	}
	return floor
}

// A snapshot that was opened before the floor rose and read after is refused, not
// answered from what is left; one that had begun to read goes on.
func TestASnapshotIsNotReadFromBelowTheFloor(t *testing.T) {
	s, clock := remembering(t, HistoryMin)
	u := tuple(t, "doc:d#viewer@user:u")
	write(t, s, Commit{Put: []rel.Tuple{u}})
	late, begun := at(t, s, 1), at(t, s, 1)
	defer late.Close()
	defer begun.Close()
	if !must(t)(begun.Has(u.Key)) {
		t.Fatal("it is not there")
	}
	clock.step(time.Second)
	write(t, s, Commit{Delete: []rel.Tuple{u}})
	clock.step(2 * HistoryMin)
	collectAll(t, s)
	_, err := late.Has(u.Key)
	wantFault(t, "the first read", err, fault.SnapshotMustBeWithinHistory)
	if !must(t)(begun.Has(u.Key)) {
		t.Error("a snapshot that had begun to read lost a tuple")
	}
}

// A store whose tuples were each deleted and written again twenty times reads what
// a fresh one reads, within the history and after; and what is past it leaves the
// disk.
func TestAChurnedStoreReadsLikeAFreshOne(t *testing.T) {
	const tuples, rounds = 200, 20
	s, clock := remembering(t, time.Hour)
	fresh, _ := remembering(t, time.Hour)
	var all []rel.Tuple
	for i := range tuples {
		all = append(all, until(t, fmt.Sprintf("doc:d%d#viewer@user:u%d", i%20, i), clock.Now().Add(1000*time.Hour)))
	}
	write(t, fresh, Commit{Put: all})
	write(t, s, Commit{Put: all})
	for range rounds {
		clock.step(time.Second)
		write(t, s, Commit{Delete: all})
		write(t, s, Commit{Put: all})
	}
	reads := func(s *Store) int {
		snap := newestOf(t, s)
		if n := len(collect(t, snap.Tuples(rel.Filter{}, nil))); n != tuples {
			t.Fatalf("%d tuples", n)
		}
		for _, u := range all {
			if !must(t)(snap.Has(u.Key)) {
				t.Fatalf("%v is not there", u)
			}
			for range snap.Objects(u.Subject, "doc", "viewer", rel.IDs{}) {
			}
		}
		return snap.Reads()
	}
	want := reads(fresh)
	for _, where := range []string{"memory", "tables", "tables, collected"} {
		switch where {
		case "tables":
			settled(t, s)
		case "tables, collected":
			clock.step(2 * time.Hour)
			collectAll(t, s)
			settled(t, s)
		}
		got := reads(s)
		t.Logf("in %s: %d reads, and %d of a fresh store", where, got, want)
		if 2*got > 3*want {
			t.Errorf("in %s: %d reads, and %d of a fresh store", where, got, want)
		}
	}
	for k, want := range map[kind]int{kindForward: 2 * tuples, kindReverse: 2 * tuples, kindExpiry: tuples, kindChange: 1} {
		// The newest change is the floor, and what it replaced goes when there is a
		// higher one: the tombstones before it.
		if got := keys(t, s, k); got > want {
			t.Errorf("%d keys of the kind %c are left, want at most %d", got, k, want)
		}
	}
	inOrder(t, s)
}

// A history without an end is kept; a shorter one than a question takes is refused.
func TestHowMuchIsKept(t *testing.T) {
	s, clock := remembering(t, HistoryForever)
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:d#viewer@user:u")}})
	clock.step(100 * 365 * 24 * time.Hour)
	write(t, s, Commit{Delete: []rel.Tuple{tuple(t, "doc:d#viewer@user:u")}})
	collectAll(t, s)
	if s.Floor() != 0 || keys(t, s, kindForward) != 2 {
		t.Errorf("the floor is %d", s.Floor())
	}
	for _, history := range []time.Duration{-1, 1, HistoryMin - 1} {
		_, err := Open(Config{History: history})
		wantFault(t, history.String(), err, fault.FieldMustBeWithinBounds)
	}
	byDefault, clock := onClock(t)
	for range 2 {
		write(t, byDefault, Commit{Put: []rel.Tuple{tuple(t, fmt.Sprintf("doc:d%d#viewer@user:u", byDefault.Head().Revision))}})
	}
	clock.step(30*24*time.Hour - time.Minute)
	collectAll(t, byDefault)
	if byDefault.Floor() != 0 {
		t.Errorf("after less than 30 days the floor is %d", byDefault.Floor())
	}
	clock.step(2 * time.Minute)
	collectAll(t, byDefault)
	if byDefault.Floor() != 2 {
		t.Errorf("after more than 30 days the floor is %d", byDefault.Floor())
	}
}

// What the floor promises is on the disk is missed.
func TestVerifyComparesWhatIsFromBeforeTheHistory(t *testing.T) {
	for name, damage := range map[string]func(s *Store, u rel.Tuple) []byte{
		"a reverse version": func(s *Store, u rel.Tuple) []byte { return appendSuffix(appendReverse(nil, s.number, u.Key), 1) },
		"a forward version": func(s *Store, u rel.Tuple) []byte { return appendSuffix(appendForward(nil, s.number, u.Key), 1) },
		"the schema":        func(s *Store, _ rel.Tuple) []byte { return appendSuffix(appendSchemaPrefix(nil, s.number), 1) },
	} {
		s, clock := remembering(t, HistoryMin)
		u := tuple(t, "doc:d#viewer@user:u")
		write(t, s, Commit{Put: []rel.Tuple{u}, Schema: &SchemaVersion{Number: 1}})
		write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:d#viewer@user:v")}})
		clock.step(2 * HistoryMin)
		collectAll(t, s)
		write(t, s, Commit{Schema: &SchemaVersion{Number: 2}})
		inOrder(t, s)
		if err := s.db.pebble.Delete(damage(s, u), nil); err != nil {
			t.Fatal(err)
		}
		if report, err := s.Verify(context.Background()); err != nil || report.InOrder() {
			t.Errorf("without %s: %+v, %v", name, report, err)
		}
	}
}
