package tupledb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// inParts reads the whole log in parts and puts them together again.
func inParts(t *testing.T, s *Store, bytes int) []Change {
	t.Helper()
	var all []Change
	for at := (Position{}); ; {
		parts, next, err := s.Parts(at, bytes)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) == 0 {
			return all
		}
		for _, p := range parts {
			if len(all) == 0 || all[len(all)-1].Revision != p.Revision {
				all = append(all, Change{Revision: p.Revision, Time: p.Time, Cause: p.Cause, Schema: p.Schema, Metadata: p.Metadata})
			}
			c := &all[len(all)-1]
			for change := range p.Changes() {
				switch change.Op {
				case rel.Create:
					c.Put = append(c.Put, change.Tuple)
				case rel.Touch:
					c.Touch = append(c.Touch, change.Tuple)
				case rel.Delete:
					c.Delete = append(c.Delete, change.Tuple)
				}
			}
		}
		at = next
	}
}

// Read in parts of any size, the log is what it is read whole, attributes,
// metadata and schemas included.
func TestTheLogIsTheSameInPartsOfAnySize(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := opened(t, Config{})
	h, all := newHistory(), few(rng, 40)
	for i := range 60 {
		c := h.randomCommit(rng, all, s.db.clock(), 30)
		for _, list := range [][]rel.Tuple{c.Put, c.Touch, c.Delete} {
			for j := range list { // nothing expires here: the clock is not the test's
				list[j].Expires = 0
			}
		}
		if i%10 == 0 {
			c.Schema = &SchemaVersion{Number: uint64(i/10 + 1), Text: fmt.Sprint("schema ", i)}
			c.Cause = CauseSchema
		}
		c.Touch = slices.DeleteFunc(c.Touch, func(t rel.Tuple) bool { return t == h.newest()[t.Key] })
		if c.tuples() == 0 && c.Schema == nil {
			continue
		}
		write(t, s, c)
		h.add(s.HeadTime(), c)
	}
	var whole []Change
	for c, err := range s.Changes(0) {
		if err != nil {
			t.Fatal(err)
		}
		c.schemaSum = schemaSum{} // who follows the changes has no use for it
		whole = append(whole, c)
	}
	if len(whole) < 40 {
		t.Fatalf("%d changes are not much", len(whole))
	}
	for _, bytes := range []int{1, 50, 400, 5_000, 1 << 20} {
		if got := inParts(t, s, bytes); !reflect.DeepEqual(got, whole) {
			t.Errorf("in parts of %d bytes the log is\n%v, not\n%v", bytes, got, whole)
		}
	}
}

// However large a change, a part of it is about as large as was asked for.
func TestAPartIsBounded(t *testing.T) {
	s := opened(t, Config{})
	var c Commit
	for i := range 20_000 {
		c.Put = append(c.Put, tuple(t, fmt.Sprintf("doc:d%d#viewer@user:ana", i)))
	}
	write(t, s, c)
	read, at := 0, Position{}
	for {
		parts, next, err := s.Parts(at, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) == 0 {
			break
		}
		p := parts[0]
		changes := slices.Collect(p.Changes())
		if len(parts) > 1 || len(changes) > 500 || p.Last != (read+len(changes) == len(c.Put)) {
			t.Fatalf("%d parts, the first of %d tuples after %d, last %t", len(parts), len(changes), read, p.Last)
		}
		for i, change := range changes {
			if change.Tuple != c.Put[read+i] {
				t.Fatalf("tuple %d is %v", read+i, change.Tuple)
			}
		}
		read += len(changes)
		at = next
	}
	if read != len(c.Put) {
		t.Errorf("%d tuples were read", read)
	}
}

// A part that waits for a slow reader takes in memory what it takes in the log, and
// not the several times as much that its changes are.
func TestAPartIsKeptAsItIsInTheLog(t *testing.T) {
	const room = 256 << 10
	s := opened(t, Config{})
	var c Commit
	for i := range 20_000 {
		c.Put = append(c.Put, tuple(t, fmt.Sprintf("doc:d%d#viewer@user:ana", i)))
	}
	write(t, s, c)
	kept := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := kept()
	var all [][]Part // of many watchers, so that nothing else makes a difference
	for range 16 {
		parts, _, err := s.Parts(Position{}, room)
		if err != nil || len(parts) != 1 {
			t.Fatal(parts, err)
		}
		all = append(all, parts)
	}
	if took := (kept() - before) / int64(len(all)); took > 2*room {
		t.Errorf("a part of %d bytes takes %d", room, took)
	}
	runtime.KeepAlive(all)
}

// Whoever waits is woken when the revision is on the disk, and not before.
func TestAPublicationWakesWhoWaits(t *testing.T) {
	disk := newSlowLog()
	s := opened(t, onMem(disk))
	first := s.Published(0)
	disk.hold()
	written := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
			return Commit{Put: []rel.Tuple{tuple(t, "doc:d#viewer@user:u")}}, nil
		})
		written <- err
	}()
	<-disk.began
	select {
	case <-first:
		t.Fatal("woken while the fsync runs")
	default:
	}
	if parts, _, err := s.Parts(Position{Revision: 1}, 1<<20); err != nil || len(parts) > 0 {
		t.Fatalf("%v, %v was shown while the fsync runs", parts, err)
	}
	disk.held.Unlock()
	<-first
	if parts, _, err := s.Parts(Position{Revision: 1}, 1<<20); err != nil || len(parts) != 1 {
		t.Errorf("woken for %v, %v", parts, err)
	}
	<-s.Published(0) // it is
	select {
	case <-s.Published(1):
		t.Error("woken for nothing")
	default:
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestClosingWakesWhoWaits(t *testing.T) {
	s := opened(t, Config{})
	waiting := s.Published(0)
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	<-waiting
	<-s.Published(0) // who comes later does not wait either
	_, _, err := s.Parts(Position{}, 1)
	wantFault(t, "Parts", err, fault.ServerMustBeServing)
}
