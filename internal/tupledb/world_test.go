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
// revision, the expired ones among them.
type history struct {
	states  []map[rel.Key]rel.Tuple // by revision; states[0] is empty
	commits []Commit                // by revision; commits[0] is none
	times   []time.Time             // of the commits; times[0] is 1970
	schemas []*SchemaVersion        // in force, by revision
}

func newHistory() *history {
	return &history{
		states:  []map[rel.Key]rel.Tuple{{}},
		commits: []Commit{{}},
		times:   []time.Time{time.UnixMicro(0).UTC()},
		schemas: []*SchemaVersion{nil},
	}
}

func (h *history) head() rel.Revision { return rel.Revision(len(h.states) - 1) }

func (h *history) newest() map[rel.Key]rel.Tuple { return h.states[h.head()] }

// add makes the next revision.
func (h *history) add(at time.Time, c Commit) {
	next := maps.Clone(h.newest())
	for _, tuples := range [][]rel.Tuple{c.Put, c.Touch} {
		for _, t := range tuples {
			next[t.Key] = t
		}
	}
	for _, t := range c.Delete {
		delete(next, t.Key)
	}
	schema := h.schemas[h.head()]
	if c.Schema != nil {
		schema = &SchemaVersion{Number: c.Schema.Number, Text: c.Schema.Text, Written: at, Revision: h.head() + 1}
	}
	h.states = append(h.states, next)
	h.commits = append(h.commits, c)
	h.times = append(h.times, at)
	h.schemas = append(h.schemas, schema)
}

// cutTo forgets the revisions after r, as a power cut does.
func (h *history) cutTo(r rel.Revision) {
	h.states, h.commits, h.times, h.schemas = h.states[:r+1], h.commits[:r+1], h.times[:r+1], h.schemas[:r+1]
}

// where are the tuples of a revision that have not expired at a time.
func (h *history) where(r rel.Revision, at time.Time, want func(rel.Tuple) bool) []rel.Tuple {
	var found []rel.Tuple
	for _, t := range h.states[r] {
		if (t.Expires == 0 || at.Before(t.Expires.Time())) && want(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, rel.Tuple.Compare)
	return found
}

// passed are the tuples of the head that have expired at a time.
func (h *history) passed(at time.Time) []rel.Tuple {
	var gone []rel.Tuple
	for _, t := range h.newest() {
		if t.Expires.PassedAt(at) {
			gone = append(gone, t)
		}
	}
	return gone
}

// vocabulary is small, so that tuples meet, and mean: types, ids and names that
// begin like each other, bytes on both sides of those that keys are made of, and an
// id that is packed beside one that is not.
var vocabulary = struct {
	types     []rel.ObjectType
	ids       []string
	relations []rel.Name
}{
	[]rel.ObjectType{"a", "ab", "a/b"},
	[]string{"1", "10", "1!", "é", "x@y", "10000000-0000-0001-00ff-ffffffffffff", "10000000-0000-0001-00FF-ffffffffffff"},
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
				all = append(all, rel.Tuple{Key: rel.Key{Object: o, Relation: relation, Subject: s}})
			}
		}
	}
	return all
}

// randomAttributes gives a tuple some: half of the tuples have none, and what
// expires does so within the next commits, or has expired already.
func randomAttributes(rng *rand.Rand, k rel.Key, now time.Time) rel.Tuple {
	t := rel.Tuple{Key: k}
	if rng.IntN(2) == 0 {
		return t
	}
	if rng.IntN(2) == 0 {
		t.Caveat.Name = []rel.CaveatName{"c", "a/caveat"}[rng.IntN(2)]
		if rng.IntN(2) == 0 {
			t.Caveat.Context = rel.TrustedContext([]string{`{"n":1}`, `{"n":2}`, `{"s":"é\u0000"}`}[rng.IntN(3)])
		}
	}
	if rng.IntN(2) == 0 {
		t.Expires = rel.Expiry(now.UnixMicro() + int64(rng.IntN(3*clockStepMax)) - 2)
	}
	return t
}

// clockStepMax is how many microseconds the tests' clocks move from one commit to
// the next at most, so that reads and commits fall on expiries and beside them.
const clockStepMax = 8

// randomCommit decides a net change of up to n tuples at a time. It draws from few
// tuples, so that they come and go.
func (h *history) randomCommit(rng *rand.Rand, all []rel.Tuple, now time.Time, n int) Commit {
	var c Commit
	there := map[rel.Key]rel.Tuple{}
	for _, t := range h.where(h.head(), now, func(rel.Tuple) bool { return true }) {
		there[t.Key] = t
	}
	named := map[rel.Key]bool{}
	for range rng.IntN(n + 1) {
		k := all[rng.IntN(len(all))].Key
		if named[k] {
			continue
		}
		named[k] = true
		was, found := there[k]
		t := randomAttributes(rng, k, now)
		switch {
		case !found:
			c.Put = append(c.Put, t)
		case rng.IntN(2) == 0 && t != was:
			c.Touch = append(c.Touch, t)
		default:
			c.Delete = append(c.Delete, was)
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
	r, now := snap.Revision(), snap.Time()
	there := map[rel.Key]rel.Tuple{}
	for _, u := range h.where(r, now, func(rel.Tuple) bool { return true }) {
		there[u.Key] = u
	}
	for _, u := range all {
		want, wantFound := there[u.Key]
		got, found, err := snap.Find(u.Key)
		if err != nil || got != want || found != wantFound {
			t.Fatalf("at revision %d and %v: Find(%v) = %v, %t, %v; want %v, %t", r, now, u.Key, got, found, err, want, wantFound)
		}
		if has := must(t)(snap.Has(u.Key)); has != found {
			t.Fatalf("at revision %d and %v: Has(%v) = %t", r, now, u.Key, has)
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
		got := collect(t, snap.Objects(u.Subject, u.Object.Type(), u.Relation, rel.IDs{}))
		want := h.where(r, now, func(v rel.Tuple) bool {
			return v.Subject == u.Subject && v.Object.Type() == u.Object.Type() && v.Relation == u.Relation
		})
		same(t, snap, fmt.Sprintf("Objects(%v, %s, %s)", u.Subject, u.Object.Type(), u.Relation), got, want)
		h.agreesOnRanges(t, snap, u, all)
	}
	same(t, snap, "Tuples of everything", collect(t, snap.Tuples(rel.Filter{}, nil)), slices.Collect(maps.Values(there)))

	v, ok, err := snap.Schema()
	if want := h.schemas[r]; err != nil || ok != (want != nil) || ok && v != *want {
		t.Fatalf("at revision %d: Schema() = %v, %t, %v; want %v", r, v, ok, err, want)
	}
}

// agreesOnRanges asks for those of the ids that come after another and begin like it.
func (h *history) agreesOnRanges(t rapid.TB, snap *Snapshot, u rel.Tuple, all []rel.Tuple) {
	t.Helper()
	other := all[int(snap.Revision())%len(all)]
	for _, id := range []string{other.Object.ID(), other.Subject.ID(), u.Object.ID()} {
		for _, ids := range []rel.IDs{{After: id}, {Prefix: id[:1]}, {Prefix: id[:(len(id)+1)/2], After: u.Subject.ID()}} {
			if ids.After == "*" {
				continue
			}
			got := collect(t, snap.Objects(u.Subject, u.Object.Type(), u.Relation, ids))
			if !slices.IsSortedFunc(got, func(a, b rel.Tuple) int { return rel.CompareIDs(a.Object.ID(), b.Object.ID()) }) {
				t.Fatalf("Objects(%v, %s, %s, %+v) are not in order: %v", u.Subject, u.Object.Type(), u.Relation, ids, got)
			}
			same(t, snap, fmt.Sprintf("Objects(%v, %s, %s, %+v)", u.Subject, u.Object.Type(), u.Relation, ids), got, h.where(snap.Revision(), snap.Time(), func(v rel.Tuple) bool {
				return v.Subject == u.Subject && v.Object.Type() == u.Object.Type() && v.Relation == u.Relation && ids.Has(v.Object.ID())
			}))
			got = collect(t, snap.SubjectsOf(u.Object, u.Relation, u.Subject.Type(), ids))
			if !slices.IsSortedFunc(got, func(a, b rel.Tuple) int { return rel.CompareIDs(a.Subject.ID(), b.Subject.ID()) }) {
				t.Fatalf("SubjectsOf(%v, %s, %s, %+v) are not in order: %v", u.Object, u.Relation, u.Subject.Type(), ids, got)
			}
			same(t, snap, fmt.Sprintf("SubjectsOf(%v, %s, %s, %+v)", u.Object, u.Relation, u.Subject.Type(), ids), got, h.where(snap.Revision(), snap.Time(), func(v rel.Tuple) bool {
				s := v.Subject
				return v.Object == u.Object && v.Relation == u.Relation && s.Type() == u.Subject.Type() && !s.IsUserset() && !s.IsWildcard() && ids.Has(s.ID())
			}))
		}
	}
}

func (h *history) agreesOnObject(t rapid.TB, snap *Snapshot, o rel.Object) {
	t.Helper()
	r, now := snap.Revision(), snap.Time()
	want := h.where(r, now, func(u rel.Tuple) bool { return u.Object == o })
	got, whole, err := snap.Object(o, nil, 1<<20)
	if err != nil || !whole {
		t.Fatalf("at revision %d: Object(%v) is whole: %t, %v", r, o, whole, err)
	}
	if !slices.IsSortedFunc(got, byForwardKey) {
		t.Fatalf("at revision %d: Object(%v) is not in key order: %v", r, o, got)
	}
	same(t, snap, fmt.Sprintf("Object(%v)", o), got, want)
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
			return h.where(r, now, func(u rel.Tuple) bool {
				return u.Object == o && u.Relation == relation && classOf(u.Subject) == c
			})
		}
		same(t, snap, fmt.Sprintf("Usersets(%v, %s)", o, relation), collect(t, snap.Usersets(o, relation)), of(classSets))
		same(t, snap, fmt.Sprintf("Subjects(%v, %s)", o, relation), collect(t, snap.Subjects(o, relation)), of(classPlain))
	}
	stands := len(h.where(r, now, func(u rel.Tuple) bool {
		s, ok := u.Subject.Object()
		return u.Object == o || ok && s == o
	})) > 0
	if got := must(t)(snap.Stands(o)); got != stands {
		t.Fatalf("at revision %d: Stands(%v) = %t", r, o, got)
	}
}

func byForwardKey(a, b rel.Tuple) int {
	return strings.Compare(string(appendForward(nil, 1, a.Key)), string(appendForward(nil, 1, b.Key)))
}

// same compares what was read with the tuples that are there, in any order.
func same(t rapid.TB, snap *Snapshot, what string, got, want []rel.Tuple) {
	t.Helper()
	left := map[rel.Tuple]int{}
	for _, u := range want {
		left[u]++
	}
	for _, u := range got {
		left[u]--
	}
	for u, n := range left {
		if n != 0 {
			t.Fatalf("at revision %d and %v: %s has %v %d times too seldom\n got %v\nwant %v", snap.Revision(), snap.Time(), what, u, n, got, want)
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

// atTime opens a snapshot of the newest revision at a time; the test closes it at
// its end.
func atTime(t testing.TB, s *Store, now time.Time) *Snapshot {
	t.Helper()
	snap, err := s.AtTime(s.Head(), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(snap.Close)
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

// newSteppingClock stands at a whole second: a time that is easy to read in a
// failure, and no store's first.
func newSteppingClock() *steppingClock {
	return &steppingClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
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
