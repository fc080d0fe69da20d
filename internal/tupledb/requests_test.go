package tupledb

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// namedWrites are the requests of a life with power cuts, those without a revision
// among them, in the order in which they were begun.
type namedWrites struct {
	all          []Kept
	begun, shown atomic.Uint64
}

func nameOf(i int) rel.RequestID { return rel.RequestID(fmt.Sprintf("request %d", i)) }

// begin names a commit; head is its revision, or the one below it where it makes none.
func (n *namedWrites) begin(c *Commit, head rel.Revision, now time.Time) *Request {
	i := len(n.all)
	r := &Request{ID: nameOf(i), Body: RequestBody{byte(i), byte(head)}, Partial: i%2 == 0}
	n.all = append(n.all, Kept{
		Body: r.Body, Time: now, Revision: head, Made: !c.isEmpty(), Partial: r.Partial,
		Put: uint64(len(c.Put)), Touch: uint64(len(c.Touch)), Delete: uint64(len(c.Delete)),
	})
	n.begun.Store(uint64(len(n.all)))
	return r
}

// acknowledge is told that the first so many were.
func (n *namedWrites) acknowledge(upTo int) { raise(&n.shown, uint64(upTo)) }

// agrees sees that an id is there if and only if its write is, and returns how many
// there are. One that made no revision has nothing to be compared with, but was
// acknowledged or not.
func (n *namedWrites) agrees(t *testing.T, snap *Snapshot, begun, shown int) (there int) {
	t.Helper()
	there = len(n.all)
	for i, want := range n.all {
		got, found, err := snap.Request("", nameOf(i))
		if err != nil {
			t.Fatal(err)
		}
		must := i < shown || want.Made && want.Revision <= snap.Revision()
		may := must || i < begun && !want.Made
		if found && !may || !found && must || found && got != want {
			t.Errorf("request %d: found %t as %+v at revision %d, %d begun, %d shown, written as %+v", i, found, got, snap.Revision(), begun, shown, want)
		}
		if !found {
			there = i // it was the last one that can be there
			break
		}
	}
	// Nor is there one that a snapshot does not show yet: it would come to light
	// when another write takes the revision of its own.
	if stored := storedKeys(t, snap.store, kindRequest); stored != there {
		t.Errorf("%d requests are stored, %d are known", stored, there)
	}
	return there
}

// cutTo forgets those that a power cut took.
func (n *namedWrites) cutTo(there int) {
	n.all = n.all[:there]
	n.begun.Store(uint64(there))
	n.shown.Store(uint64(there))
}

// storedKeys is how many keys a store has of a kind.
func storedKeys(t *testing.T, s *Store, k kind) int {
	t.Helper()
	it, err := s.db.pebble.NewIter(&pebble.IterOptions{LowerBound: append(appendKind(nil, s.number, k), 0), UpperBound: appendKindEnd(nil, s.number, k)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := 0
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	return n
}

// requests writes named commits to a store whose clock is the test's.
type requests struct {
	*testing.T
	*Store
	now time.Time
}

func newRequests(t *testing.T) *requests {
	r := &requests{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	db, err := Open(Config{Clock: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Store = defaultStore(t, db)
	return r
}

func (r *requests) write(id string, tuples ...string) rel.Snapshot {
	r.Helper()
	var c Commit
	for _, text := range tuples {
		c.Put = append(c.Put, tuple(r.T, text))
	}
	if id != "" {
		c.Request = &Request{ID: rel.RequestID(id), Body: RequestBody{1}}
	}
	at, err := r.Update(context.Background(), func(*Snapshot) (Commit, error) { return c, nil })
	if err != nil {
		r.Fatal(err)
	}
	return at
}

func (r *requests) kept(id string) (Kept, bool) {
	r.Helper()
	snap := newest(r.T, r.Store)
	defer snap.Close()
	k, found, err := snap.Request("", rel.RequestID(id))
	if err != nil {
		r.Fatal(err)
	}
	return k, found
}

func (r *requests) stored(k kind) int {
	r.Helper()
	return storedKeys(r.T, r.Store, k)
}

func TestARequestIsKeptWithItsWrite(t *testing.T) {
	r := newRequests(t)
	r.write("a", "doc:1#viewer@user:ana", "doc:2#viewer@user:ana")
	if k, found := r.kept("a"); !found || k != (Kept{Body: RequestBody{1}, Time: r.now, Revision: 1, Made: true, Put: 2}) {
		t.Errorf("%+v, %t", k, found)
	}
	for _, id := range []string{"b", "A", ""} {
		if k, found := r.kept(id); found {
			t.Errorf("%q is kept: %+v", id, k)
		}
	}
	before, err := r.Snapshot(0)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if _, found, err := before.Request("", "a"); found || err != nil {
		t.Errorf("it is there before its write, %v", err)
	}
	if _, found, err := before.Request("somebody", "a"); found || err != nil {
		t.Errorf("another caller has it, %v", err)
	}
}

func TestARequestWithoutAChangeIsKeptWithoutARevision(t *testing.T) {
	r := newRequests(t)
	r.write("a", "doc:1#viewer@user:ana")
	if at := r.write("b"); at.Revision != 1 {
		t.Errorf("it made revision %d", at.Revision)
	}
	if k, found := r.kept("b"); !found || k.Revision != 1 || k.Made {
		t.Errorf("%+v, %t", k, found)
	}
	if at := r.write("c", "doc:2#viewer@user:ana"); at.Revision != 2 {
		t.Errorf("the next write made revision %d", at.Revision)
	}
	if report := inOrder(t, r.Store); report.Requests != 3 {
		t.Errorf("verified as %+v", report)
	}
}

func TestARequestIsForgottenAfterADay(t *testing.T) {
	r := newRequests(t)
	r.write("a")
	r.now = r.now.Add(requestKept - time.Microsecond)
	if _, found := r.kept("a"); !found {
		t.Error("it is gone within the day")
	}
	r.write("", "doc:1#viewer@user:ana")
	if r.stored(kindRequest) != 1 || r.stored(kindOldest) != 1 {
		t.Error("it was deleted within the day")
	}
	r.now = r.now.Add(time.Microsecond)
	if _, found := r.kept("a"); found {
		t.Error("it is there after the day")
	}
	r.write("", "doc:2#viewer@user:ana") // any write
	if r.stored(kindRequest) != 0 || r.stored(kindOldest) != 0 {
		t.Error("it is stored after the day")
	}
	inOrder(t, r.Store)
}

// An id that is used again a day later is another request, and what deletes the
// first leaves the second.
func TestAnIDMayComeAgainAfterADay(t *testing.T) {
	r := newRequests(t)
	for i := range requestsDroppedMax {
		r.write(fmt.Sprint("older ", i))
	}
	r.write("a", "doc:1#viewer@user:ana")
	r.now = r.now.Add(requestKept)
	r.write("a", "doc:2#viewer@user:ana")
	for range 2 {
		if k, found := r.kept("a"); !found || k.Revision != 2 || k.Time != r.now {
			t.Errorf("%+v, %t", k, found)
		}
		inOrder(t, r.Store)
		r.write("b")
	}
	if n := r.stored(kindOldest); n != 2 {
		t.Errorf("%d are stored", n)
	}
}

func TestAWriteDeletesFewRequests(t *testing.T) {
	r := newRequests(t)
	const many = 3*requestsDroppedMax + 1
	for i := range many {
		r.write(fmt.Sprint(i))
		r.now = r.now.Add(time.Second)
	}
	r.now = r.now.Add(2 * requestKept)
	for left := many; left > 0; {
		at := r.write("", fmt.Sprintf("doc:%d#viewer@user:ana", left))
		left = max(0, left-requestsDroppedMax)
		if n := r.stored(kindRequest); n != left || r.stored(kindOldest) != left {
			t.Fatalf("%d are stored after revision %d, want %d", n, at.Revision, left)
		}
	}
	if r.oldestRequest != noRequest {
		t.Error("the next write looks for more of them")
	}
	r.now = r.now.Add(time.Hour) // past the times of the writes above
	r.write("new")
	if r.oldestRequest != r.now.UnixMicro() {
		t.Errorf("the oldest is of %d", r.oldestRequest)
	}
}

func TestKeptRequestsAreStoredAsWritten(t *testing.T) {
	k := Kept{Body: RequestBody{0xaa, 31: 0xbb}, Time: time.UnixMicro(300).UTC(), Revision: 5, Made: true, Partial: true, Put: 1, Touch: 2, Delete: 128}
	want := "\x01\x03\xaa" + string(make([]byte, 30)) + "\xbb\xac\x02\x05\x01\x02\x80\x01"
	b := k.encode()
	if string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
	if again, ok := decodeKept(b); !ok || again != k {
		t.Errorf("read as %+v, %t", again, ok)
	}
	for i := range b {
		if _, ok := decodeKept(b[:i]); ok {
			t.Errorf("the first %d bytes were read", i)
		}
	}
	for _, damaged := range []string{want + "\x00", "\x02" + want[1:], "\x01\x07" + want[2:]} {
		if got, ok := decodeKept([]byte(damaged)); ok {
			t.Errorf("%q was read as %+v", damaged, got)
		}
	}
}

func TestVerificationFindsWhatIsWrongWithRequests(t *testing.T) {
	for name, damage := range map[string]func(r *requests, b *pebble.Batch) error{
		"no request for its time": func(r *requests, b *pebble.Batch) error {
			return b.Delete(appendRequestKey(nil, r.number, "", "a"), nil)
		},
		"no time for a request": func(r *requests, b *pebble.Batch) error {
			return b.Delete(appendOldestKey(nil, r.number, r.now.UnixMicro(), "", "a"), nil)
		},
		"a value that nobody wrote": func(r *requests, b *pebble.Batch) error {
			return b.Set(appendRequestKey(nil, r.number, "", "a"), []byte{9}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRequests(t)
			r.write("a")
			b := r.db.pebble.NewBatch()
			if err := damage(r, b); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(pebble.Sync); err != nil {
				t.Fatal(err)
			}
			report, err := r.Verify(context.Background())
			if err != nil || report.InOrder() {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}
