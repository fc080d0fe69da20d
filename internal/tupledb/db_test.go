package tupledb

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestCloseLeavesNoGoroutineBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := opened(t, Config{Dir: t.TempDir()})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	s := opened(t, Config{})
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	_, err := s.Newest()
	wantFault(t, "Newest", err, fault.ServerMustBeServing)
	_, err = s.Update(t.Context(), func(*Snapshot) (Commit, error) { panic("judged after Close") })
	wantFault(t, "Update", err, fault.ServerMustBeServing)
	_, err = s.Verify(t.Context())
	wantFault(t, "Verify", err, fault.ServerMustBeServing)
	for _, err = range s.Changes(0) {
		wantFault(t, "Changes", err, fault.ServerMustBeServing)
	}
}

// Close waits for a snapshot that is open, whose reads go on being right.
func TestCloseWaitsForOpenSnapshots(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	snap := newest(t, s)
	closed := make(chan error)
	go func() { closed <- s.db.Close() }()
	for { // until Close has begun, snapshots are given out
		late, err := s.Newest()
		if err != nil {
			break
		}
		late.Close()
	}
	if !must(t)(snap.Has(tuple(t, "doc:p1#viewer@user:ana").Key)) {
		t.Error("the tuple is gone while Close waits")
	}
	select {
	case err := <-closed:
		t.Fatalf("closed under an open snapshot: %v", err)
	default:
	}
	snap.Close()
	snap.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	_, err := snap.Has(tuple(t, "doc:p1#viewer@user:ana").Key)
	wantFault(t, "a read after Close", err, fault.PembaMustNotPanic)
}

func TestStoresAreFoundByName(t *testing.T) {
	s := opened(t, Config{})
	if s.Name() != rel.DefaultStore {
		t.Errorf("the store is called %s", s.Name())
	}
	_, err := s.db.Store("acme")
	wantFault(t, "an unknown store", err, fault.StoreMustExist)
}

func TestSnapshotsOfElsewhereAreRefused(t *testing.T) {
	s := opened(t, Config{})
	other := opened(t, Config{})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	write(t, other, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})

	_, err := s.At(other.Head())
	wantFault(t, "another incarnation", err, fault.SnapshotMustBeOfThisStore)
	restored := s.Head()
	restored.Epoch++
	_, err = s.At(restored)
	wantFault(t, "another epoch", err, fault.SnapshotMustBeOfThisStore)
	future := s.Head()
	future.Revision++
	_, err = s.At(future)
	wantFault(t, "the future", err, fault.SnapshotMustNotBeOfTheFuture)
	_, err = s.Snapshot(2)
	wantFault(t, "a future revision", err, fault.SnapshotMustNotBeOfTheFuture)

	snap, err := s.At(s.Head())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if snap.Token() != s.Head() {
		t.Errorf("the snapshot at %v says it is at %v", s.Head(), snap.Token())
	}
}
