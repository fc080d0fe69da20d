package tupledb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/pemba-io/pemba/internal/rel"
)

// Whatever is written, flushed, compacted, closed and opened again, every
// revision answers every question as a plain list of sets does.
func TestStoreAgreesWithAListOfSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		defer m.close()
		t.Repeat(map[string]func(*rapid.T){
			"write":       m.write,
			"schema":      m.schema,
			"refuse":      m.refuse,
			"nothing":     m.nothing,
			"wait":        m.wait,
			"settle":      m.settle,
			"reopen":      m.reopen,
			"read":        m.read,
			"filter":      m.filter,
			"read nested": m.nested,
			"changes":     m.changes,
			"verify":      m.verify,
		})
		for r := range m.history.states {
			m.agreeAt(rel.Revision(r))
		}
		m.verify(t)
	})
}

// A machine is a store and its twin.
type machine struct {
	t       *rapid.T
	rng     *rand.Rand
	disk    vfs.FS
	clock   *steppingClock
	db      *DB
	store   *Store
	history *history
	tuples  []rel.Tuple

	held     *Snapshot // open since some revision ago; its answers must not change
	heldTime time.Time // that it had when it was opened
}

func newMachine(t *rapid.T) *machine {
	seed := rapid.Uint64().Draw(t, "seed")
	m := &machine{t: t, rng: rand.New(rand.NewPCG(seed, 1)), disk: vfs.NewMem(), clock: newSteppingClock(), history: newHistory()}
	m.tuples = few(m.rng, rapid.IntRange(1, 60).Draw(t, "tuples"))
	m.open()
	return m
}

func (m *machine) open() {
	cfg := onMem(m.disk)
	cfg.Clock = m.clock.Now
	db, err := Open(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.db = db
	if m.store, err = db.Store(rel.DefaultStore); err != nil {
		m.t.Fatal(err)
	}
	if got := m.store.Head().Revision; got != m.history.head() {
		m.t.Fatalf("opened at revision %d, want %d", got, m.history.head())
	}
}

func (m *machine) close() {
	m.letGo()
	if err := m.db.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) letGo() {
	if m.held != nil {
		m.held.Close()
		m.held = nil
	}
}

func (m *machine) write(t *rapid.T) {
	m.commit(t, func(now time.Time) Commit {
		return m.history.randomCommit(m.rng, m.tuples, now, 1+m.rng.IntN(12))
	})
}

// wait moves the clock, back now and then, and further than a commit or two make
// good for.
func (m *machine) wait(*rapid.T) {
	step := m.rng.IntN(clockStepMax)
	if m.rng.IntN(4) == 0 {
		step = -m.rng.IntN(4 * clockStepMax)
	}
	m.clock.step(time.Duration(step) * time.Microsecond)
}

func (m *machine) commit(t *rapid.T, decide func(now time.Time) Commit) {
	var c Commit
	before := m.history.times[m.history.head()]
	token, err := m.store.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		if snap.Revision() != m.history.head() {
			t.Fatalf("judged at revision %d, want %d", snap.Revision(), m.history.head())
		}
		if !snap.Time().After(before) || snap.Time().Before(m.clock.Now()) {
			t.Fatalf("judged at %v, the clock is at %v, the commit before at %v", snap.Time(), m.clock.Now(), before)
		}
		if c = decide(snap.Time()); !c.isEmpty() {
			m.history.add(snap.Time(), c)
		}
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if head := m.history.head(); head > 0 && m.store.HeadTime() != m.history.times[head] {
		t.Fatalf("revision %d was judged at %v and committed at %v", head, m.history.times[head], m.store.HeadTime())
	}
	if token.Revision != m.history.head() || token != m.store.Head() {
		t.Fatalf("the write was answered with revision %d, the head is %d, want %d", token.Revision, m.store.Head().Revision, m.history.head())
	}
}

func (m *machine) schema(t *rapid.T) {
	next := &SchemaVersion{Number: 1, Text: fmt.Sprintf("definition t%d {}", m.rng.IntN(1000))}
	if last := m.history.schemas[m.history.head()]; last != nil {
		next.Number = last.Number + 1
	}
	m.commit(t, func(now time.Time) Commit {
		c := m.history.randomCommit(m.rng, m.tuples, now, 2)
		c.Schema, c.Cause = next, CauseSchema
		return c
	})
}

func (m *machine) refuse(t *rapid.T) {
	no := errors.New("no")
	_, err := m.store.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		return m.history.randomCommit(m.rng, m.tuples, snap.Time(), 5), no
	})
	if !errors.Is(err, no) {
		t.Fatalf("the judge's error came back as %v", err)
	}
}

func (m *machine) nothing(t *rapid.T) {
	m.commit(t, func(time.Time) Commit { return Commit{Metadata: []byte("alone")} })
}

// settle moves what is in memory into tables, and merges them.
func (m *machine) settle(t *rapid.T) {
	if err := m.db.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	if m.rng.IntN(2) == 0 {
		if err := m.db.pebble.Compact(context.Background(), []byte{0}, bytes.Repeat([]byte{0xff}, 8), false); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) reopen(*rapid.T) {
	m.close()
	m.open()
}

// agreeAt asks everything at a revision, now and at some other time.
func (m *machine) agreeAt(r rel.Revision) {
	now := m.clock.Now()
	if last := m.history.times[m.history.head()]; now.Before(last) {
		now = last
	}
	other := now.Add(time.Duration(m.rng.IntN(8*clockStepMax)-4*clockStepMax) * time.Microsecond)
	m.agreeAtTime(r, time.Time{}, now)
	m.agreeAtTime(r, other, other)
}

func (m *machine) agreeAtTime(r rel.Revision, at, want time.Time) {
	token := m.store.Head()
	token.Revision = r
	snap, err := m.store.AtTime(token, at)
	if err != nil {
		m.t.Fatal(err)
	}
	defer snap.Close()
	if snap.Time() != want {
		m.t.Fatalf("at revision %d: reads at %v, want %v", r, snap.Time(), want)
	}
	m.history.agrees(m.t, snap, m.tuples)
}

// read asks everything at a random revision, and of the snapshot that was left
// open some writes and some time ago.
func (m *machine) read(t *rapid.T) {
	m.agreeAt(rel.Revision(m.rng.IntN(len(m.history.states))))
	if m.held != nil {
		if m.held.Time() != m.heldTime {
			t.Fatalf("a snapshot of %v is at %v by now", m.heldTime, m.held.Time())
		}
		m.history.agrees(t, m.held, m.tuples)
		m.letGo()
		return
	}
	snap, err := m.store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snap.Has(m.tuples[0].Key); err != nil {
		t.Fatal(err)
	}
	m.held, m.heldTime = snap, snap.Time()
}

// filter asks by random filters, in pages of random sizes.
func (m *machine) filter(t *rapid.T) {
	for range 8 {
		m.filterOnce(t, m.randomFilter())
	}
}

func (m *machine) filterOnce(t *rapid.T, f rel.Filter) {
	r := rel.Revision(m.rng.IntN(len(m.history.states)))
	snap, err := m.store.Snapshot(r)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	want := m.history.where(r, snap.Time(), f.Matches)
	whole := collect(m.t, snap.Tuples(f, nil))
	same(m.t, snap, fmt.Sprintf("Tuples(%+v)", f), whole, want)

	size := 1 + m.rng.IntN(4)
	var paged []rel.Tuple
	var after Cursor
	for {
		var page []rel.Tuple
		for u, err := range snap.Tuples(f, after) {
			if err != nil {
				t.Fatal(err)
			}
			if page = append(page, u); len(page) == size {
				break
			}
		}
		paged = append(paged, page...)
		if len(page) < size {
			break
		}
		after = CursorAfter(f, page[size-1])
	}
	if !slices.Equal(paged, whole) {
		t.Fatalf("at revision %d: Tuples(%+v) in pages of %d\n got %v\nwant %v", r, f, size, paged, whole)
	}
}

func (m *machine) randomFilter() rel.Filter {
	for {
		u := m.tuples[m.rng.IntN(len(m.tuples))]
		given := func() bool { return m.rng.IntN(2) == 0 }
		var f rel.Filter
		if given() {
			f.ObjectType = u.Object.Type()
		}
		if given() {
			f.ObjectID = u.Object.ID()
		}
		if given() {
			id := u.Object.ID()
			f.IDPrefix = id[:1+m.rng.IntN(len(id))]
		}
		if given() {
			f.Relation = u.Relation
		}
		if given() {
			f.SubjectType = u.Subject.Type()
		}
		if given() {
			f.SubjectID = u.Subject.ID()
		}
		if given() {
			relation := u.Subject.Relation()
			f.SubjectRelation = &relation
		}
		if f.Check() == nil {
			return f
		}
	}
}

// nested reads while it ranges: probes, another scan of the same prefix, and a
// scan that is left early, at every step of two sequences.
func (m *machine) nested(t *rapid.T) {
	r := rel.Revision(m.rng.IntN(len(m.history.states)))
	snap, err := m.store.Snapshot(r)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	o, relation := m.tuples[0].Object, m.tuples[0].Relation
	var got []rel.Tuple
	for u, err := range snap.Tuples(rel.Filter{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u)
		if has, err := snap.Has(u.Key); err != nil || !has {
			t.Fatalf("at revision %d: Has(%v) = %t, %v while ranging over it", r, u, has, err)
		}
		for v, err := range snap.Subjects(o, relation) {
			if err != nil {
				t.Fatal(err)
			}
			if found, has, err := snap.Find(v.Key); err != nil || !has || found != v {
				t.Fatalf("at revision %d: %v is among the subjects of %v, and Find says %v, %t, %v", r, v, o, found, has, err)
			}
			for range snap.Objects(v.Subject, o.Type(), relation, rel.IDs{}) {
				break
			}
		}
	}
	same(m.t, snap, "Tuples while reading beside it", got, m.history.where(r, snap.Time(), func(rel.Tuple) bool { return true }))
}

func (m *machine) changes(t *rapid.T) {
	from := rel.Revision(m.rng.IntN(len(m.history.states) + 1))
	expected := max(from, 1)
	for c, err := range m.store.Changes(from) {
		if err != nil {
			t.Fatal(err)
		}
		want := m.history.commits[expected]
		if c.Revision != expected || c.Cause != want.Cause || c.Time != m.history.times[expected] ||
			!slices.Equal(c.Put, want.Put) || !slices.Equal(c.Touch, want.Touch) || !slices.Equal(c.Delete, want.Delete) || !bytes.Equal(c.Metadata, want.Metadata) ||
			(c.Schema != 0) != (want.Schema != nil) || want.Schema != nil && c.Schema != want.Schema.Number {
			t.Fatalf("revision %d is logged as\n%+v\nwant\n%+v", expected, c, want)
		}
		expected++
	}
	if expected != max(m.history.head()+1, from, 1) {
		t.Fatalf("the log from %d ends before %d, the head is %d", from, expected, m.history.head())
	}
}

func (m *machine) verify(t *rapid.T) {
	report, err := m.store.Verify(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	now := m.clock.Now()
	if last := m.history.times[m.history.head()]; now.Before(last) {
		now = last
	}
	head := m.history.head()
	there := len(m.history.where(head, now, func(rel.Tuple) bool { return true }))
	expired := len(m.history.newest()) - there
	if !report.InOrder() || report.Tuples != there || report.Expired != expired || report.Head != head {
		t.Fatalf("verified as %+v; want %d tuples and %d expired ones at %d", report, there, expired, head)
	}
}
