package tupledb

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
)

// readsOf is what a read costs on a snapshot of its own at revision r.
func readsOf(t testing.TB, s *Store, r rel.Revision, read func(*Snapshot)) int {
	t.Helper()
	snap := at(t, s, r)
	defer snap.Close()
	read(snap)
	return snap.Reads()
}

// settled moves everything into tables, so that reads meet filters and blocks.
func settled(t testing.TB, s *Store) {
	t.Helper()
	if err := s.db.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.pebble.Compact(t.Context(), []byte{0}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0}, false); err != nil {
		t.Fatal(err)
	}
}

// What each read costs is part of its promise: the budgets of a check are
// counted in reads.
func TestReadsAreCountedAndFew(t *testing.T) {
	s := opened(t, Config{})
	doc := object(t, "doc:p1")
	c := Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}}
	for _, text := range []string{
		"doc:p1#viewer@team:core#member", "doc:p1#viewer@user:*", "doc:p1#viewer@user:ana",
		"doc:p1#viewer@user:bob", "doc:p1#owner@user:cyd", "doc:p2#viewer@user:ana", "doc:p1/x#viewer@user:ana",
		"team:core#member@user:dan",
	} {
		c.Put = append(c.Put, tuple(t, text))
	}
	write(t, s, c)
	write(t, s, Commit{Schema: &SchemaVersion{Number: 2, Text: "second"}})
	ana := subject(t, "user:ana")

	for _, c := range []struct {
		name  string
		reads int
		read  func(*Snapshot)
	}{
		{"has, there", 1, func(s *Snapshot) { _, _ = s.Has(tuple(t, "doc:p1#viewer@user:ana").Key) }},
		{"has, not there", 1, func(s *Snapshot) { _, _ = s.Has(tuple(t, "doc:p1#viewer@user:eve").Key) }},
		{"an object of five tuples", 5, func(s *Snapshot) { s.Object(doc, nil, 100) }},
		{"an object limited to two of its five", 3, func(s *Snapshot) { s.Object(doc, nil, 2) }},
		{"an object of none", 1, func(s *Snapshot) { s.Object(object(t, "doc:p"), nil, 100) }},
		{"two usersets", 2, func(s *Snapshot) { collect(t, s.Usersets(doc, "viewer")) }},
		{"no usersets", 1, func(s *Snapshot) { collect(t, s.Usersets(doc, "owner")) }},
		{"two plain subjects", 2, func(s *Snapshot) { collect(t, s.Subjects(doc, "viewer")) }},
		{"three objects", 3, func(s *Snapshot) { collect(t, s.Objects(ana, "doc", "viewer", rel.IDs{})) }},
		{"no objects", 1, func(s *Snapshot) { collect(t, s.Objects(ana, "doc", "owner", rel.IDs{})) }},
		{"stands as object", 1, func(s *Snapshot) { _, _ = s.Stands(doc) }},
		{"stands as subject", 2, func(s *Snapshot) { _, _ = s.Stands(object(t, "user:ana")) }},
		{"stands nowhere", 2, func(s *Snapshot) { _, _ = s.Stands(object(t, "user:eve")) }},
		{"the newest schema", 0, func(s *Snapshot) { _, _, _ = s.Schema() }},
		{"tuples of an object's relation", 4, func(s *Snapshot) {
			collect(t, s.Tuples(rel.Filter{ObjectType: "doc", ObjectID: "p1", Relation: "viewer"}, nil))
		}},
		{"one tuple by its parts", 1, func(s *Snapshot) {
			none := rel.Name("")
			collect(t, s.Tuples(rel.Filter{ObjectType: "doc", ObjectID: "p1", Relation: "viewer", SubjectType: "user", SubjectID: "ana", SubjectRelation: &none}, nil))
		}},
		{"tuples of a subject", 3, func(s *Snapshot) {
			collect(t, s.Tuples(rel.Filter{SubjectType: "user", SubjectID: "ana"}, nil))
		}},
		{"tuples of an id prefix", 6, func(s *Snapshot) {
			collect(t, s.Tuples(rel.Filter{ObjectType: "doc", IDPrefix: "p1"}, nil))
		}},
	} {
		for _, where := range []string{"memory", "tables"} {
			if where == "tables" {
				settled(t, s)
			}
			if got := readsOf(t, s, 2, c.read); got != c.reads {
				t.Errorf("%s, in %s: %d reads, want %d", c.name, where, got, c.reads)
			}
		}
	}
	if got := readsOf(t, s, 1, func(s *Snapshot) {
		if v, ok, err := s.Schema(); err != nil || !ok || v.Text != "first" {
			t.Errorf("the schema at revision 1 is %v, %t, %v", v, ok, err)
		}
	}); got != 1 {
		t.Errorf("an old schema: %d reads, want 1", got)
	}
}

// Ten thousand people in a relation cost nothing to whoever looks for its teams
// or for one person.
func TestWideRelationIsNotScanned(t *testing.T) {
	s := opened(t, Config{})
	doc := object(t, "doc:wide")
	var c Commit
	for i := range 10_000 {
		c.Put = append(c.Put, tuple(t, fmt.Sprintf("doc:wide#viewer@user:u%05d", i)))
	}
	teams := []string{"doc:wide#viewer@team:a#member", "doc:wide#viewer@team:z#member", "doc:wide#viewer@user:*"}
	for _, text := range teams {
		c.Put = append(c.Put, tuple(t, text))
	}
	r := write(t, s, c)
	for _, where := range []string{"memory", "tables"} {
		if where == "tables" {
			settled(t, s)
		}
		if got := readsOf(t, s, r, func(s *Snapshot) {
			if n := len(collect(t, s.Usersets(doc, "viewer"))); n != len(teams) {
				t.Errorf("%d usersets, want %d", n, len(teams))
			}
		}); got != 3 {
			t.Errorf("usersets, in %s: %d reads, want 3", where, got)
		}
		if got := readsOf(t, s, r, func(s *Snapshot) {
			if !must(t)(s.Has(tuple(t, "doc:wide#viewer@user:u09999").Key)) || must(t)(s.Has(tuple(t, "doc:wide#viewer@user:u10000").Key)) {
				t.Error("the wrong people are in it")
			}
		}); got != 2 {
			t.Errorf("two probes, in %s: %d reads, want 2", where, got)
		}
		if got := readsOf(t, s, r, func(s *Snapshot) {
			if got, whole, err := s.Object(doc, nil, 3); err != nil || whole || got[2].Subject.Relation() == "" && !got[2].Subject.IsWildcard() {
				t.Errorf("the first three are %v, whole %t, %v", got, whole, err)
			}
		}); got != 4 {
			t.Errorf("three tuples, in %s: %d reads, want 4", where, got)
		}
	}
}

// A tuple that came and went a thousand times costs the reader of the newest
// revision as much as a fresh one, and the reader of an old one not much more.
func TestChurnedTupleCostsNoMoreThanAFreshOne(t *testing.T) {
	s := opened(t, Config{})
	first, churned, last := tuple(t, "doc:p1#viewer@user:a"), tuple(t, "doc:p1#viewer@user:b"), tuple(t, "doc:p1#viewer@user:c")
	write(t, s, Commit{Put: []rel.Tuple{first, last}})
	const turns = 1000
	for i := range turns {
		if i%2 == 0 {
			write(t, s, Commit{Put: []rel.Tuple{churned}})
		} else {
			write(t, s, Commit{Delete: []rel.Tuple{churned}})
		}
	}
	for _, where := range []string{"memory", "tables"} {
		if where == "tables" {
			settled(t, s)
		}
		for _, c := range []struct {
			at    rel.Revision
			there bool
			most  int // reads of the whole object: three tuples and what the versions cost
		}{
			{1, false, 4 + hopsMax},
			{2, true, 4 + hopsMax},
			{turns / 2, true, 4 + hopsMax},
			{turns - 2, true, 4 + hopsMax},
			{turns, true, 3 + 1},
			{turns + 1, false, 3},
		} {
			want := []rel.Tuple{first, last}
			if c.there {
				want = []rel.Tuple{first, churned, last}
			}
			if got := readsOf(t, s, c.at, func(s *Snapshot) {
				if got, whole, err := s.Object(first.Object, nil, 10); err != nil || !whole || !slices.Equal(got, want) {
					t.Errorf("at revision %d: %v, whole %t, %v; want %v", c.at, got, whole, err, want)
				}
			}); got > c.most {
				t.Errorf("at revision %d, in %s: %d reads, at most %d expected", c.at, where, got, c.most)
			}
			if got := readsOf(t, s, c.at, func(s *Snapshot) {
				if must(t)(s.Has(churned.Key)) != c.there {
					t.Errorf("at revision %d: Has says %t", c.at, !c.there)
				}
			}); got != 1 {
				t.Errorf("at revision %d, in %s: Has costs %d reads", c.at, where, got)
			}
		}
	}
}

// Whoever bounds a snapshot is asked, also by a scan that yields nothing, and
// what it answers ends the read.
func TestBoundEndsAReadThatYieldsNothing(t *testing.T) {
	s := opened(t, Config{})
	var c Commit
	for i := range 1000 {
		c.Put = append(c.Put, tuple(t, fmt.Sprintf("doc:d%03d#viewer@user:u", i)))
	}
	write(t, s, c)
	enough := errors.New("enough")
	for name, read := range map[string]func(*Snapshot) error{
		"tuples that match no filter": func(s *Snapshot) (err error) {
			for _, err = range s.Tuples(rel.Filter{ObjectType: "doc", Relation: "owner"}, nil) {
			}
			return err
		},
		"objects": func(s *Snapshot) (err error) {
			for _, err = range s.Objects(subject(t, "user:u"), "doc", "viewer", rel.IDs{}) {
			}
			return err
		},
		"probes": func(s *Snapshot) (err error) {
			for i := 0; i < 1000 && err == nil; i++ {
				_, err = s.Has(tuple(t, "doc:d000#viewer@user:u").Key)
			}
			return err
		},
	} {
		snap := newest(t, s)
		asked := 0
		snap.Bound(10, func(reads int) error {
			asked++
			if reads > 100 {
				return enough
			}
			return nil
		})
		if err := read(snap); !errors.Is(err, enough) {
			t.Errorf("%s ended with %v", name, err)
		}
		if snap.Reads() > 110 || asked < 10 {
			t.Errorf("%s: ended after %d reads, asked %d times", name, snap.Reads(), asked)
		}
		// The snapshot itself is well.
		snap.Bound(1, func(int) error { return nil })
		if !must(t)(snap.Has(tuple(t, "doc:d001#viewer@user:u").Key)) {
			t.Errorf("%s: the snapshot is unusable afterwards", name)
		}
		snap.Close()
	}
}

func TestFiltersThatDoNotFitAreRefused(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	snap := newestOf(t, s)
	for _, err := range snap.Tuples(rel.Filter{ObjectID: "p1"}, nil) {
		wantFault(t, "an id without a type", err, fault.FilterMustBeReadable)
	}
	after := CursorAfter(rel.Filter{SubjectType: "user"}, tuple(t, "doc:p1#viewer@user:ana"))
	for _, err := range snap.Tuples(rel.Filter{ObjectType: "doc"}, after) {
		wantFault(t, "the position of another filter", err, fault.PageTokenMustFitTheRequest)
	}
}

// A relation's tuples are two runs of keys, sets and plain subjects; a page may
// end anywhere in either.
func TestPagesGoOnFromOneRunOfKeysToTheNext(t *testing.T) {
	s := opened(t, Config{})
	var c Commit
	for _, text := range []string{
		"doc:p1#viewer@team:a#m", "doc:p1#viewer@team:b#m", "doc:p1#viewer@user:a", "doc:p1#viewer@user:b",
		"doc:p1#editor@user:a", "doc:p2#viewer@user:a",
	} {
		c.Put = append(c.Put, tuple(t, text))
	}
	write(t, s, c)
	snap := newestOf(t, s)
	f := rel.Filter{ObjectType: "doc", ObjectID: "p1", Relation: "viewer"}
	for n := range 5 {
		after := Cursor(nil)
		if n > 0 {
			after = CursorAfter(f, c.Put[n-1])
		}
		if got := collect(t, snap.Tuples(f, after)); !slices.Equal(got, c.Put[n:4]) {
			t.Errorf("after %d tuples: %v, want %v", n, got, c.Put[n:4])
		}
	}
}

// A position is text from outside: whatever it is, it leads nowhere but into
// what the filter selects.
func FuzzCursorStaysInsideItsFilter(f *testing.F) {
	s := opened(f, Config{})
	var c Commit
	for _, text := range []string{"a:1#r@u:1", "doc:p1#viewer@user:ana", "doc:p1#viewer@team:x#m", "doc:p2#viewer@user:ana", "z:1#r@u:1"} {
		c.Put = append(c.Put, tuple(f, text))
	}
	write(f, s, c)
	filter := rel.Filter{ObjectType: "doc", ObjectID: "p1", Relation: "viewer"}
	f.Add([]byte(CursorAfter(filter, c.Put[1])))
	f.Add([]byte("f"))
	f.Add([]byte("fdoc\x00p1\x000\xff"))
	f.Add([]byte("r\x09"))
	f.Fuzz(func(t *testing.T, cursor []byte) {
		snap := newest(t, s)
		defer snap.Close()
		for u, err := range snap.Tuples(filter, Cursor(cursor)) {
			if err != nil {
				if !fault.Is(err, fault.PageTokenMustFitTheRequest) {
					t.Fatal(err)
				}
				return
			}
			if !filter.Matches(u) {
				t.Fatalf("%q led to %v", cursor, u)
			}
		}
	})
}

// Ranging may be nested as deep as anyone likes, with every level in its place,
// and an iterator is used again when its scan is over.
func TestScansNestAndIteratorsAreUsedAgain(t *testing.T) {
	s := opened(t, Config{})
	var c Commit
	for i := range 5 {
		c.Put = append(c.Put, tuple(t, fmt.Sprintf("doc:p1#viewer@user:u%d", i)))
	}
	write(t, s, c)
	snap := newestOf(t, s)
	doc := object(t, "doc:p1")
	var count func(depth int) int
	count = func(depth int) (n int) {
		if depth == 0 {
			return 1
		}
		for _, err := range snap.Subjects(doc, "viewer") {
			if err != nil {
				t.Fatal(err)
			}
			n += count(depth - 1)
		}
		return n
	}
	if got := count(4); got != 5*5*5*5 {
		t.Errorf("%d leaves, want %d", got, 5*5*5*5)
	}
	for range 100 {
		for range snap.Subjects(doc, "viewer") {
			break // left early: given back all the same
		}
	}
	if n := len(snap.opened); n != 4 {
		t.Errorf("%d iterators were made for four levels", n)
	}
}

// Under the race detector, and where Pebble checks its own invariants, there are
// allocations that are not of a probe.
const ownAllocations = raceEnabled || invariant.Enabled

func TestProbesAllocateNothing(t *testing.T) {
	s := opened(t, Config{})
	there, absent := tuple(t, "doc:p1#viewer@user:ana"), tuple(t, "doc:p1#viewer@user:eve")
	last := until(t, `doc:p1#viewer@user:zoe[c:{"n":1}]`, time.Now().Add(time.Hour))
	write(t, s, Commit{Put: []rel.Tuple{there, last}})
	settled(t, s)
	snap := newestOf(t, s)
	for name, u := range map[string]rel.Tuple{"there": there, "not there": absent} {
		if n := testing.AllocsPerRun(100, func() {
			if got, found, err := snap.Find(u.Key); err != nil || found != (u == there) || found && got != there {
				t.Errorf("Find(%v) = %v, %t, %v", u, got, found, err)
			}
		}); n != 0 && !ownAllocations {
			t.Errorf("a probe of what is %s makes %v allocations", name, n)
		}
	}
	expired := atTime(t, s, last.Expires.Time())
	if n := testing.AllocsPerRun(100, func() {
		if has, err := expired.Has(last.Key); err != nil || has {
			t.Errorf("Has(%v) = %t, %v", last, has, err)
		}
	}); n != 0 && !ownAllocations {
		t.Errorf("a probe of what has expired makes %v allocations", n)
	}
}
