package tupledb

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func deleteExpired(t testing.TB, s *Store) (deleted int, more bool) {
	t.Helper()
	deleted, more, err := s.DeleteExpired(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return deleted, more
}

// keys counts the keys of a kind as they are on the disk.
func keys(t testing.TB, s *Store, k kind) (n int) {
	t.Helper()
	it, err := s.db.pebble.NewIter(&pebble.IterOptions{
		LowerBound: append(appendKind(nil, s.number, k), 0), UpperBound: appendKindEnd(nil, s.number, k),
	})
	if err != nil {
		t.Fatal(err)
	}
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// What has expired is deleted by a revision with its own cause, in the order of
// the expiries, and what has not is left. It is not done twice.
func TestWhatHasExpiredIsDeletedByARevisionThatSaysSo(t *testing.T) {
	s, clock := onClock(t)
	start := clock.Now()
	late := until(t, "doc:a#viewer@user:late", start.Add(time.Hour))
	first := until(t, `doc:b#viewer@team:core#member[c:{"n":1}]`, start.Add(time.Second))
	second := until(t, "doc:a#viewer@user:*", start.Add(2*time.Second))
	always := tuple(t, "doc:a#viewer@user:always")
	write(t, s, Commit{Put: []rel.Tuple{late, second, always, first}})
	clock.step(time.Second - time.Microsecond)
	if n, _ := deleteExpired(t, s); n != 0 || s.Head().Revision != 1 {
		t.Fatalf("%d were deleted a microsecond too early", n)
	}
	clock.step(2 * time.Second)
	if n, more := deleteExpired(t, s); n != 2 || more {
		t.Errorf("%d were deleted, more: %t", n, more)
	}
	for range 2 {
		deleteExpired(t, s)
	}
	log := collect(t, s.Changes(2))
	if len(log) != 1 || log[0].Cause != CauseExpired || !slices.Equal(log[0].Delete, []rel.Tuple{first, second}) ||
		len(log[0].Put)+len(log[0].Touch) != 0 || log[0].Time != clock.Now() {
		t.Errorf("the log says %+v", log)
	}
	if report := inOrder(t, s); report.Expired != 0 || report.Tuples != 2 {
		t.Errorf("verified as %+v", report)
	}
	if n := keys(t, s, kindExpiry); n != 1 {
		t.Errorf("%d expiries are left", n)
	}
	// History is as it was: then they were there.
	then := asOf(t, s, start.Add(time.Second-time.Microsecond))
	if got := collect(t, then.Tuples(rel.Filter{}, nil)); len(got) != 4 {
		t.Errorf("before they expired there were %v", got)
	}
}

// An expiry is that of a version. What was put again, touched or deleted before it
// is looked at has another version, and nothing happens but that the entry goes.
func TestWhatWasReplacedInTimeIsNotDeleted(t *testing.T) {
	s, clock := onClock(t)
	soon, later := clock.Now().Add(time.Second), clock.Now().Add(time.Hour)
	var put []rel.Tuple
	for _, name := range []string{"touched", "always", "again", "deleted"} {
		put = append(put, until(t, "doc:a#viewer@user:"+name, soon))
	}
	write(t, s, Commit{Put: put})
	write(t, s, Commit{
		Touch:  []rel.Tuple{until(t, "doc:a#viewer@user:touched", later), tuple(t, "doc:a#viewer@user:always")},
		Delete: put[3:],
	})
	clock.step(time.Minute)
	write(t, s, Commit{Put: []rel.Tuple{until(t, "doc:a#viewer@user:again", later)}}) // it had expired
	before := s.Head()
	if n, more := deleteExpired(t, s); n != 0 || more || s.Head() != before {
		t.Errorf("%d were deleted, more: %t, head %v", n, more, s.Head())
	}
	if n := keys(t, s, kindExpiry); n != 2 {
		t.Errorf("%d expiries, and two tuples that will expire", n)
	}
	inOrder(t, s)
	clock.step(time.Hour)
	if n, _ := deleteExpired(t, s); n != 2 {
		t.Errorf("%d were deleted when their later time had come", n)
	}
	if report := inOrder(t, s); report.Tuples != 1 || report.Expired != 0 {
		t.Errorf("verified as %+v", report)
	}
}

// The turn is given on after a bounded number of expiries.
func TestExpiredTuplesAreDeletedInPieces(t *testing.T) {
	s, clock := onClock(t)
	var c Commit
	for i := range expiredAtOnceMax + 1 {
		c.Put = append(c.Put, until(t, fmt.Sprintf("doc:d%d#viewer@user:u", i), clock.Now().Add(time.Second)))
	}
	write(t, s, c)
	clock.step(time.Second)
	if n, more := deleteExpired(t, s); n != expiredAtOnceMax || !more {
		t.Errorf("the first piece has %d, more: %t", n, more)
	}
	if n, more := deleteExpired(t, s); n != 1 || more {
		t.Errorf("the second piece has %d, more: %t", n, more)
	}
	inOrder(t, s)
}

// Looking in vain does not wait for those who write; finding something does.
func TestLookingForWhatHasExpiredWaitsForNobody(t *testing.T) {
	s, clock := onClock(t)
	write(t, s, Commit{Put: []rel.Tuple{until(t, "doc:d#viewer@user:u", clock.Now().Add(time.Second))}})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	<-s.turn
	if n, more, err := s.DeleteExpired(gone); n != 0 || more || err != nil {
		t.Errorf("%d, %t, %v", n, more, err)
	}
	clock.step(time.Second)
	_, _, err := s.DeleteExpired(gone)
	wantFault(t, "with somebody else's turn", err, fault.CallerMustStay)
	s.turn <- struct{}{}
}

// A verification knows which expiries there have to be.
func TestVerifyComparesTheExpiries(t *testing.T) {
	for name, damage := range map[string]func(*pebble.Batch, *Store, rel.Tuple) error{
		"an entry is missing": func(b *pebble.Batch, s *Store, u rel.Tuple) error {
			return b.Delete(appendSuffix(appendExpiring(nil, s.number, u.Expires, u.Key), 1), nil)
		},
		"an entry of no version": func(b *pebble.Batch, s *Store, u rel.Tuple) error {
			return b.Set(appendSuffix(appendExpiring(nil, s.number, u.Expires, tuple(t, "doc:x#viewer@user:u").Key), 1), nil, nil)
		},
		"an entry at another time": func(b *pebble.Batch, s *Store, u rel.Tuple) error {
			return b.Set(appendSuffix(appendExpiring(nil, s.number, u.Expires+1, u.Key), 1), nil, nil)
		},
	} {
		s, clock := onClock(t)
		u := until(t, "doc:d#viewer@user:u", clock.Now().Add(time.Hour))
		write(t, s, Commit{Put: []rel.Tuple{u}})
		b := s.db.pebble.NewBatch()
		if err := damage(b, s, u); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(pebble.Sync); err != nil {
			t.Fatal(err)
		}
		report, err := s.Verify(context.Background())
		if err != nil || len(report.Problems) != 1 {
			t.Errorf("%s: %q, %v", name, report.Problems, err)
		}
	}
}

// A verification beside the deletion of what has expired finds nothing wrong: the
// entry is gone with a revision that is not the verification's.
func TestVerifyBesideADeletionFindsNothingWrong(t *testing.T) {
	disk, clock := newSlowLog(), newSteppingClock()
	cfg := onMem(disk)
	cfg.Clock = clock.Now
	s := opened(t, cfg)
	write(t, s, Commit{Put: []rel.Tuple{until(t, "doc:d#viewer@user:u", clock.Now().Add(time.Second))}})
	clock.step(time.Second)
	disk.hold()
	deleted := make(chan error, 1)
	go func() {
		_, _, err := s.DeleteExpired(context.Background())
		deleted <- err
	}()
	<-disk.began
	report, err := s.Verify(context.Background())
	disk.held.Unlock()
	if err != nil || !report.InOrder() || report.Head != 1 || report.Expired != 1 {
		t.Errorf("verified as %+v, %v", report, err)
	}
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
}
