package engine_test

import (
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
)

// shared is a reader over the newest state that keeps so many bytes.
func (w *world) shared(bytesMax int) *engine.Shared {
	w.t.Helper()
	snap, err := w.store.Newest()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(snap.Close)
	return engine.NewShared(snap, bytesMax)
}

func over(r engine.Reader) func(*engine.Question) {
	return func(q *engine.Question) { q.Reader = r }
}

func TestWalksOfOneSnapshotShareWhatTheyRead(t *testing.T) {
	w := newWorld(t, groups, "doc:d#deep@deep:g#member", "deep:g#member@deep:h#member", "deep:h#member@user:ana")
	for _, c := range []struct {
		bytes, again int
		what         string
	}{
		{1 << 20, 0, "everything"},
		{900, 1, "two objects, of a tuple each"},
		{0, 3, "nothing"},
	} {
		r := w.shared(c.bytes)
		if first := expect(t, w.walk("user:ana", over(r)), "doc:d#in_deep", engine.Granted).Cost.Reads; first != 3 {
			t.Errorf("keeping %s: the first walk reads %d", c.what, first)
		}
		for principal, want := range map[string]engine.Result{"user:ana": engine.Granted, "user:bob": engine.Denied, "deep:h#member": engine.Granted} {
			reads := expect(t, w.walk(principal, over(r)), "doc:d#in_deep", want).Cost.Reads
			if principal != "deep:h#member" && reads != c.again { // which need not look into h
				t.Errorf("keeping %s: %s reads %d, want %d", c.what, principal, reads, c.again)
			}
		}
	}
}

// What one walk has left unread another one reads.
func TestUsersetsThatWereNotReadToTheirEndAreReadAgain(t *testing.T) {
	tuples := each("doc:d#flat@flat:shared%#member", 1000, 3000)
	w := newWorld(t, groups, append(tuples, "flat:shared1000#member@user:ana", "flat:shared2999#member@user:bob")...)
	r := w.shared(16 << 20)
	for _, principal := range []string{"user:ana", "user:bob", "user:ana", "user:bob"} {
		expect(t, w.walk(principal, over(r)), "doc:d#in_flat", engine.Granted)
	}
	expect(t, w.walk("user:eve", over(r)), "doc:d#in_flat", engine.Denied)
}

// A walk that brings tuples changes nothing of what others see.
func TestWhatAWalkBringsIsNotShared(t *testing.T) {
	w := newWorld(t, groups, "doc:d#flat@flat:a#member", "flat:a#member@user:ana", "doc:d#flat@flat:z#member")
	r := w.shared(1 << 20)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 3 {
		expect(t, w.walk("user:ana", over(r)), "doc:d#in_flat", engine.Granted)
		// It expired long ago, and stands in the place of the stored one.
		expect(t, w.walk("user:ana", over(r), bringing(t, now, "doc:d#flat@flat:a#member[expiration:2001-01-01T00:00:00Z]")), "doc:d#in_flat", engine.Denied)
		expect(t, w.walk("user:bob", over(r), bringing(t, now, "flat:a#member@user:bob")), "doc:d#in_flat", engine.Granted)
		expect(t, w.walk("user:bob", over(r)), "doc:d#in_flat", engine.Denied)
	}
}
