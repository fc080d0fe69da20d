package tupledb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A history is the dumb twin of a Store: the whole set of tuples, once per
// revision.
type history struct {
	states  []map[rel.Tuple]bool // by revision; states[0] is empty
	commits []Commit             // by revision; commits[0] is none
	schemas []*SchemaVersion     // in force, by revision
}

func newHistory() *history {
	return &history{
		states:  []map[rel.Tuple]bool{{}},
		commits: []Commit{{}},
		schemas: []*SchemaVersion{nil},
	}
}

func (h *history) head() rel.Revision { return rel.Revision(len(h.states) - 1) }

func (h *history) newest() map[rel.Tuple]bool { return h.states[h.head()] }

// add makes the next revision.
func (h *history) add(c Commit) {
	next := maps.Clone(h.newest())
	for _, t := range c.Put {
		next[t] = true
	}
	for _, t := range c.Delete {
		delete(next, t)
	}
	schema := h.schemas[h.head()]
	if c.Schema != nil {
		schema = &SchemaVersion{Number: c.Schema.Number, Text: c.Schema.Text, Revision: h.head() + 1}
	}
	h.states = append(h.states, next)
	h.commits = append(h.commits, c)
	h.schemas = append(h.schemas, schema)
}

// cutTo forgets the revisions after r, as a power cut does.
func (h *history) cutTo(r rel.Revision) {
	h.states, h.commits, h.schemas = h.states[:r+1], h.commits[:r+1], h.schemas[:r+1]
}

func (h *history) where(r rel.Revision, want func(rel.Tuple) bool) []rel.Tuple {
	var found []rel.Tuple
	for t := range h.states[r] {
		if want(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, rel.Tuple.Compare)
	return found
}

// vocabulary is small, so that tuples meet, and mean: types, ids and names that
// begin like each other, and bytes on both sides of those that keys are made of.
var vocabulary = struct {
	types     []rel.ObjectType
	ids       []string
	relations []rel.Name
}{
	[]rel.ObjectType{"a", "ab", "a/b"},
	[]string{"1", "10", "1!", "é", "x@y"},
	[]rel.Name{"r", "r2"},
}

// everyTuple is all that can be said with the vocabulary.
func everyTuple() []rel.Tuple {
	var objects []rel.Object
	for _, typ := range vocabulary.types {
		for _, id := range vocabulary.ids {
			objects = append(objects, rel.Trusted(typ, id))
		}
	}
	var subjects []rel.Subject
	for _, o := range objects {
		subjects = append(subjects, rel.Of(o), rel.Userset(o, "r"), rel.Userset(o, "r2"))
	}
	for _, typ := range vocabulary.types {
		subjects = append(subjects, rel.Wildcard(typ))
	}
	var all []rel.Tuple
	for _, o := range objects {
		for _, relation := range vocabulary.relations {
			for _, s := range subjects {
				all = append(all, rel.Tuple{Object: o, Relation: relation, Subject: s})
			}
		}
	}
	return all
}

// randomCommit decides a net change of up to n tuples. It draws from few tuples,
// so that they come and go.
func randomCommit(rng *rand.Rand, all []rel.Tuple, state map[rel.Tuple]bool, n int) Commit {
	var c Commit
	named := map[rel.Tuple]bool{}
	for range rng.IntN(n + 1) {
		t := all[rng.IntN(len(all))]
		if named[t] {
			continue
		}
		named[t] = true
		if state[t] {
			c.Delete = append(c.Delete, t)
		} else {
			c.Put = append(c.Put, t)
		}
	}
	if rng.IntN(4) == 0 {
		c.Metadata = []byte(fmt.Sprintf("because %d", rng.IntN(100)))
	}
	return c
}

// few are the tuples that one test's commits draw from: of few objects and few
// subjects, so that they stand side by side in both indexes.
func few(rng *rand.Rand, n int) []rel.Tuple {
	all := everyTuple()
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	objects, subjects := map[rel.Object]bool{}, map[rel.Subject]bool{}
	for _, t := range all[:4] {
		objects[t.Object] = true
	}
	for _, t := range all[:12] {
		subjects[t.Subject] = true
	}
	all = slices.DeleteFunc(all, func(t rel.Tuple) bool { return !objects[t.Object] || !subjects[t.Subject] })
	return all[:min(n, len(all))]
}

// agrees compares everything that can be asked of a snapshot with the history.
func (h *history) agrees(t rapid.TB, snap *Snapshot, all []rel.Tuple) {
	t.Helper()
	r := snap.Revision()
	state := h.states[r]
	for _, u := range all {
		if has := must(t)(snap.Has(u)); has != state[u] {
			t.Fatalf("at revision %d: Has(%v) = %t", r, u, has)
		}
	}
	objects := map[rel.Object]bool{}
	for _, u := range all {
		objects[u.Object] = true
		if o, ok := u.Subject.Object(); ok {
			objects[o] = true
		}
	}
	for o := range objects {
		h.agreesOnObject(t, snap, o)
	}
	for _, u := range all {
		got := collect(t, snap.Objects(u.Subject, u.Object.Type(), u.Relation))
		want := h.where(r, func(v rel.Tuple) bool {
			return v.Subject == u.Subject && v.Object.Type() == u.Object.Type() && v.Relation == u.Relation
		})
		same(t, r, fmt.Sprintf("Objects(%v, %s, %s)", u.Subject, u.Object.Type(), u.Relation), got, want,
			func(v rel.Tuple) rel.Object { return v.Object })
	}
	same(t, r, "Tuples of everything", collect(t, snap.Tuples(rel.Filter{}, nil)), h.where(r, func(rel.Tuple) bool { return true }), itself)

	v, ok, err := snap.Schema()
	if want := h.schemas[r]; err != nil || ok != (want != nil) || ok && v != *want {
		t.Fatalf("at revision %d: Schema() = %v, %t, %v; want %v", r, v, ok, err, want)
	}
}

func (h *history) agreesOnObject(t rapid.TB, snap *Snapshot, o rel.Object) {
	t.Helper()
	r := snap.Revision()
	want := h.where(r, func(u rel.Tuple) bool { return u.Object == o })
	got, whole, err := snap.Object(o, nil, 1<<20)
	if err != nil || !whole {
		t.Fatalf("at revision %d: Object(%v) is whole: %t, %v", r, o, whole, err)
	}
	if !slices.IsSortedFunc(got, byForwardKey) {
		t.Fatalf("at revision %d: Object(%v) is not in key order: %v", r, o, got)
	}
	same(t, r, fmt.Sprintf("Object(%v)", o), got, want, itself)
	for _, limit := range []int{0, 1, len(got) - 1, len(got), len(got) + 1} {
		if limit < 0 {
			continue
		}
		part, whole, err := snap.Object(o, make([]rel.Tuple, 3), limit)
		if err != nil || !slices.Equal(part, got[:min(limit, len(got))]) || whole != (limit >= len(got)) {
			t.Fatalf("at revision %d: Object(%v) limited to %d = %v, whole %t, %v", r, o, limit, part, whole, err)
		}
	}
	for _, relation := range vocabulary.relations {
		of := func(c class) []rel.Tuple {
			return h.where(r, func(u rel.Tuple) bool {
				return u.Object == o && u.Relation == relation && classOf(u.Subject) == c
			})
		}
		subjectOf := func(u rel.Tuple) rel.Subject { return u.Subject }
		same(t, r, fmt.Sprintf("Usersets(%v, %s)", o, relation), collect(t, snap.Usersets(o, relation)), of(classSets), subjectOf)
		same(t, r, fmt.Sprintf("Subjects(%v, %s)", o, relation), collect(t, snap.Subjects(o, relation)), of(classPlain), subjectOf)
	}
	stands := len(h.where(r, func(u rel.Tuple) bool {
		s, ok := u.Subject.Object()
		return u.Object == o || ok && s == o
	})) > 0
	if got := must(t)(snap.Stands(o)); got != stands {
		t.Fatalf("at revision %d: Stands(%v) = %t", r, o, got)
	}
}

func itself(t rel.Tuple) rel.Tuple { return t }

func byForwardKey(a, b rel.Tuple) int {
	return strings.Compare(string(appendForward(nil, 1, a)), string(appendForward(nil, 1, b)))
}

// same compares what was read with the tuples it should come from, in any order.
func same[T comparable](t rapid.TB, r rel.Revision, what string, got []T, want []rel.Tuple, part func(rel.Tuple) T) {
	t.Helper()
	left := map[T]int{}
	for _, u := range want {
		left[part(u)]++
	}
	for _, v := range got {
		left[v]--
	}
	for v, n := range left {
		if n != 0 {
			t.Fatalf("at revision %d: %s has %v %d times too seldom\n got %v\nwant %v", r, what, v, n, got, want)
		}
	}
}

// collect reads a sequence to its end.
func collect[T any](t rapid.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// must unwraps an answer that cannot fail here.
func must(t rapid.TB) func(bool, error) bool {
	return func(v bool, err error) bool {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// opened opens a DB that the test closes at its end, unless it did before.
func opened(t testing.TB, cfg Config) *Store {
	t.Helper()
	db, err := Open(cfg)
	if err != nil {
		t.Fatalf("opening: %v (%v)", err, errors.Unwrap(fault.Of(err)))
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return defaultStore(t, db)
}

func defaultStore(t testing.TB, db *DB) *Store {
	t.Helper()
	s, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newest(t testing.TB, s *Store) *Snapshot {
	t.Helper()
	snap, err := s.Newest()
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func at(t testing.TB, s *Store, r rel.Revision) *Snapshot {
	t.Helper()
	snap, err := s.Snapshot(r)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// write commits what is already decided.
func write(t testing.TB, s *Store, c Commit) rel.Revision {
	t.Helper()
	token, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) { return c, nil })
	if err != nil {
		t.Fatal(err)
	}
	return token.Revision
}

func inOrder(t testing.TB, s *Store) *Report {
	t.Helper()
	report, err := s.Verify(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !report.InOrder() {
		t.Fatalf("not in order:\n%s\nand %d more", strings.Join(report.Problems, "\n"), report.More)
	}
	return report
}

// onMem is a Config on a file system in memory that outlives the DB.
func onMem(fs vfs.FS) Config {
	return Config{Dir: "data", fs: fs, CacheBytes: 1 << 20, Logger: &listeningLogger{}, Random: counting()}
}

// counting is a source of bytes that is the same in every run.
func counting() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// A listeningLogger remembers what went wrong. Its Fatalf does what the end of
// the process does: says so once, and never returns.
type listeningLogger struct {
	mu     sync.Mutex
	errors []string
	dead   chan struct{}
}

func (l *listeningLogger) Infof(string, ...any) {}

func (l *listeningLogger) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, fmt.Sprintf(format, args...))
}

// said is what went wrong so far.
func (l *listeningLogger) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.errors)
}

func (l *listeningLogger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	if l.dead == nil {
		panic(fmt.Sprintf(format, args...))
	}
	select {
	case l.dead <- struct{}{}:
	default:
	}
	select {}
}

// A steppingClock moves as it is told.
type steppingClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *steppingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *steppingClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newestOf opens a snapshot that the test closes at its end.
func newestOf(t testing.TB, s *Store) *Snapshot {
	snap := newest(t, s)
	t.Cleanup(snap.Close)
	return snap
}

func wantFault(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Code != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	} else if f.Remedy == "" {
		t.Errorf("%s: %v has no remedy", what, err)
	}
}
