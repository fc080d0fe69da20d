package tupledb

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func asOf(t testing.TB, s *Store, at time.Time) *Snapshot {
	t.Helper()
	snap, err := s.AsOf(context.Background(), at)
	if err != nil {
		t.Fatalf("at %v: %v", at, err)
	}
	t.Cleanup(snap.Close)
	return snap
}

// Every microsecond from the store's creation to its newest commit has its
// revision and the tuples of that, and is found with as many seeks as halving the
// log takes.
func TestATimeIsTheLastRevisionCommittedByThen(t *testing.T) {
	const revisions = 100
	s, clock := onClock(t)
	created, rng := clock.Now(), rand.New(rand.NewPCG(1, 1))
	h, tuples := newHistory(), few(rng, 30)
	for h.head() < revisions {
		clock.step(time.Duration(rng.IntN(clockStepMax)) * time.Microsecond)
		if _, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
			c := h.randomCommit(rng, tuples, snap.Time(), 5)
			if !c.isEmpty() {
				h.add(snap.Time(), c)
			}
			return c, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	clock.step(time.Second)
	for _, where := range []string{"memory", "tables"} {
		if where == "tables" {
			settled(t, s)
		}
		want := rel.Revision(0)
		for at := created; at.Before(h.times[revisions].Add(3 * time.Microsecond)); at = at.Add(time.Microsecond) {
			for want < revisions && !h.times[want+1].After(at) {
				want++
			}
			snap := asOf(t, s, at.Add(999)) // what is finer than a microsecond is cut off
			if snap.Revision() != want || !snap.Time().Equal(at) {
				t.Fatalf("%v is revision %d at %v, want %d", at, snap.Revision(), snap.Time(), want)
			}
			if n := snap.Reads(); n > bits.Len(revisions) {
				t.Errorf("%v took %d seeks", at, n)
			}
			if rng.IntN(20) == 0 {
				h.agrees(t, snap, tuples)
			}
			snap.Close()
		}
	}
	_, err := s.AsOf(context.Background(), created.Add(-time.Microsecond))
	wantFault(t, "before the store", err, fault.SnapshotMustBeWithinHistory)
	asOf(t, s, clock.Now())
	_, err = s.AsOf(context.Background(), clock.Now().Add(time.Microsecond))
	wantFault(t, "the next microsecond", err, fault.SnapshotMustNotBeOfTheFuture)
}

// A revision on its way to the disk may have a time before the one that is asked
// for: the answer waits for it. A time before the published head's does not.
func TestATimeWaitsForWhatMayStillBeCommittedByThen(t *testing.T) {
	disk, clock := newSlowLog(), newSteppingClock()
	cfg := onMem(disk)
	cfg.Clock = clock.Now
	s := opened(t, cfg)
	clock.step(time.Second)
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:a#viewer@user:u")}})
	first := clock.Now()
	clock.step(time.Second)
	disk.hold()
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
			return Commit{Put: []rel.Tuple{tuple(t, "doc:b#viewer@user:u")}}, nil
		})
		wrote <- err
	}()
	<-disk.began
	if r := asOf(t, s, first.Add(-1)).Revision(); r != 0 {
		t.Errorf("before the head it is revision %d", r)
	}
	answered := make(chan rel.Revision, 1)
	go func() {
		snap, err := s.AsOf(context.Background(), clock.Now())
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		defer snap.Close()
		answered <- snap.Revision()
	}()
	select {
	case r := <-answered:
		t.Errorf("revision %d was answered while another is on its way", r)
	case <-time.After(20 * time.Millisecond): // were it not to wait, it would have answered by now
	}
	disk.held.Unlock()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if r := <-answered; r != 2 {
		t.Errorf("now is revision %d", r)
	}
}

// What was answered about a time stays so, though the clock steps back and others
// write: they are later. And a time that was answered about is never called future.
func TestATimeIsAnsweredTheSameAfterTheClockStepsBack(t *testing.T) {
	s, clock := onClock(t)
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:a#viewer@user:u")}})
	clock.step(time.Hour)
	asked := clock.Now()
	before := asOf(t, s, asked).Revision()
	clock.step(-30 * time.Minute)
	for i := range 3 {
		write(t, s, Commit{Put: []rel.Tuple{tuple(t, fmt.Sprintf("doc:b%d#viewer@user:u", i))}})
		if after := asOf(t, s, asked).Revision(); after != before {
			t.Errorf("%v was revision %d and is %d", asked, before, after)
		}
	}
	if !s.HeadTime().After(asked) {
		t.Errorf("a commit got the time %v, and %v was asked about before", s.HeadTime(), asked)
	}
}

// Whoever waits for the turn leaves with their context; a failed disk says so.
func TestATimeThatCannotBeSettledIsAnError(t *testing.T) {
	disk := newSlowLog()
	s := opened(t, onMem(disk))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	<-s.turn
	_, err := s.AsOf(gone, time.Now())
	wantFault(t, "while somebody judges", err, fault.CallerMustStay)
	over, cancel := context.WithTimeoutCause(context.Background(), 0, fault.New(fault.WalkMustStayWithinBudget, "too long").Do("ask less"))
	defer cancel()
	_, err = s.AsOf(over, time.Now())
	wantFault(t, "when the server's own patience is over", err, fault.WalkMustStayWithinBudget)
	s.turn <- struct{}{}
	disk.fails.Store(true)
	_, err = s.Update(context.Background(), func(*Snapshot) (Commit, error) {
		return Commit{Put: []rel.Tuple{tuple(t, "doc:a#viewer@user:u")}}, nil
	})
	wantFault(t, "the write", err, fault.DiskMustTakeWrites)
	_, err = s.AsOf(context.Background(), time.Now())
	wantFault(t, "after a failed fsync", err, fault.DiskMustTakeWrites)
	_ = s.db.Close() // says what failed
}
