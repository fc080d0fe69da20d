package service_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// listed is all pages of a history, a line a change.
func (f fixture) listed(q service.HistoryQuery) []string {
	f.Helper()
	q.Store, q.Measure, q.Page = rel.DefaultStore, everyEntry(100), service.FirstPage()
	var lines []string
	last := ""
	for {
		answer, err := f.ListHistory(context.Background(), q)
		if err != nil {
			f.Fatal(err)
		}
		changes := 0
		for i, e := range answer.Entries {
			at := e.Revision.Snapshot.Token()
			if i > 0 && at == last {
				f.Fatal("one revision is two entries of a page")
			}
			last = at
			for _, c := range e.Changes {
				changes++
				lines = append(lines, fmt.Sprint(e.Revision.Snapshot.Revision, " ", c))
			}
			if e.Schema != nil {
				changes++
				lines = append(lines, fmt.Sprint(e.Revision.Snapshot.Revision, " schema ", e.Schema.Version))
			}
		}
		if changes > q.PageSize {
			f.Fatalf("a page of %d changes, asked for %d", changes, q.PageSize)
		}
		if answer.Next == "" {
			return lines
		}
		if q.Page, err = service.FirstPage().At(answer.Next); err != nil {
			f.Fatal(err)
		}
	}
}

// logged is the same out of the change log.
func (f fixture) logged(oldestFirst bool, asked func(rel.Tuple) bool, in func(tupledb.Change) bool) []string {
	f.Helper()
	var revisions [][]string
	for c, err := range f.store.Changes(0) {
		if err != nil {
			f.Fatal(err)
		}
		if !in(c) {
			continue
		}
		var lines []string
		if c.Schema > 0 && asked == nil {
			lines = append(lines, fmt.Sprint(c.Revision, " schema ", c.Schema))
		}
		for op, tuples := range map[rel.Op][]rel.Tuple{rel.Create: c.Put, rel.Touch: c.Touch, rel.Delete: c.Delete} {
			for _, t := range tuples {
				if asked == nil || asked(t) {
					lines = append(lines, fmt.Sprint(c.Revision, " ", rel.Change{Op: op, Tuple: t}))
				}
			}
		}
		revisions = append(revisions, lines)
	}
	if !oldestFirst {
		slices.Reverse(revisions)
	}
	return slices.Concat(revisions...)
}

func always(tupledb.Change) bool { return true }

// Whatever is asked, in whatever pages: the history is the change log, filtered.
func TestTheHistoryIsTheChangeLog(t *testing.T) {
	f := withSchema(t)
	rng := rand.New(rand.NewPCG(7, 7))
	tuple := func() string {
		return fmt.Sprintf("doc:%d#%s@user:%d", rng.IntN(4), []string{"viewer", "editor"}[rng.IntN(2)], rng.IntN(5))
	}
	for range 60 {
		var updates []string
		for range 1 + rng.IntN(6) {
			updates = append(updates, []string{"touch ", "delete "}[rng.IntN(2)]+tuple())
		}
		f.mustWrite(updates...)
	}
	f.schema(drive + "\n// another one")
	object, subject := rel.Trusted("doc", "2"), rel.Of(rel.Trusted("user", "3"))
	sorted := func(lines []string) []string { // the order inside a revision is the log's
		slices.Sort(lines)
		return lines
	}
	for _, size := range []int{1, 3, 1000} {
		for _, oldest := range []bool{true, false} {
			for name, c := range map[string]struct {
				q     service.HistoryQuery
				asked func(rel.Tuple) bool
			}{
				"all":     {service.HistoryQuery{}, nil},
				"object":  {service.HistoryQuery{Object: &object}, func(t rel.Tuple) bool { return t.Object == object }},
				"subject": {service.HistoryQuery{Subject: &subject}, func(t rel.Tuple) bool { return t.Subject == subject }},
			} {
				c.q.PageSize, c.q.OldestFirst = size, oldest
				got, want := f.listed(c.q), f.logged(oldest, c.asked, always)
				if len(got) == 0 || !inRevisionOrder(got, oldest) {
					t.Errorf("%s by %d, oldest first %t: %v", name, size, oldest, got)
				}
				if !slices.Equal(sorted(got), sorted(want)) {
					t.Errorf("%s by %d, oldest first %t:\ngot  %q\nwant %q", name, size, oldest, got, want)
				}
			}
		}
	}
}

func inRevisionOrder(lines []string, oldestFirst bool) bool {
	return slices.IsSortedFunc(lines, func(a, b string) int {
		var x, y int
		_, _ = fmt.Sscan(a, &x)
		_, _ = fmt.Sscan(b, &y)
		if oldestFirst {
			return x - y
		}
		return y - x
	})
}

// Times cut the history: at or after the one, and before the other.
func TestHistoryBetweenTimes(t *testing.T) {
	f := withSchema(t)
	for i := range 5 {
		f.mustWrite(fmt.Sprintf("create doc:%d#viewer@user:ana", i))
	}
	var times []time.Time
	for c, err := range f.store.Changes(0) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, c.Time)
	}
	tiny := time.Nanosecond
	for _, c := range []struct {
		since, until *time.Time
		first, last  int // of times
	}{
		{nil, nil, 0, 5},
		{&times[2], nil, 2, 5},
		{nil, &times[2], 0, 1},
		{&times[2], &times[4], 2, 3},
		{at(times[2].Add(tiny)), nil, 3, 5},
		{nil, at(times[2].Add(tiny)), 0, 2},
		{&times[3], &times[3], 3, 2},
		{at(times[5].Add(time.Hour)), nil, 6, 5},
		{nil, at(times[0].Add(-time.Hour)), 0, -1},
	} {
		got := f.listed(service.HistoryQuery{PageSize: 10, OldestFirst: true, Since: c.since, Until: c.until})
		want := f.logged(true, nil, func(x tupledb.Change) bool { i := int(x.Revision) - 1; return i >= c.first && i <= c.last })
		if !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %q", c.first, c.last, got)
		}
	}
}

func at(t time.Time) *time.Time { return &t }

// One write is one entry, by its snapshot; another store's is refused.
func TestHistoryOfOneWrite(t *testing.T) {
	f := withSchema(t)
	s := f.mustWrite("create doc:1#viewer@user:ana", "create doc:2#viewer@user:ana")
	f.mustWrite("create doc:3#viewer@user:ana")
	got := f.listed(service.HistoryQuery{PageSize: 1, Revision: &s})
	if len(got) != 2 {
		t.Errorf("%q", got)
	}
	foreign := s
	foreign.Epoch++
	_, err := f.ListHistory(context.Background(), service.HistoryQuery{Store: rel.DefaultStore, PageSize: 1, Revision: &foreign, Measure: everyEntry(1), Page: service.FirstPage()})
	if !fault.Is(err, fault.SnapshotMustBeOfThisStore) {
		t.Error(err)
	}
}

// A type that the store never had is a typing mistake; one that it had is history.
func TestHistoryOfATypeThatIsGone(t *testing.T) {
	f := open(t, "")
	f.schema("definition user {}\ndefinition note { relation reader: user }")
	f.mustWrite("create note:1#reader@user:ana")
	f.mustWrite("delete note:1#reader@user:ana")
	f.schema("definition user {}")
	note, nothing := rel.Trusted("note", "1"), rel.Trusted("nothing", "1")
	if got := f.listed(service.HistoryQuery{PageSize: 10, Object: &note}); len(got) != 2 {
		t.Errorf("%q", got)
	}
	_, err := f.ListHistory(context.Background(), service.HistoryQuery{Store: rel.DefaultStore, PageSize: 1, Object: &nothing, Measure: everyEntry(1), Page: service.FirstPage()})
	if !fault.Is(err, fault.TypeMustExist) {
		t.Error(err)
	}
}

// A write that is larger than a page goes on in the next one, and what one page goes
// through of the log is bounded: it may be empty, and the next one goes on.
func TestALargeWriteIsListedInPages(t *testing.T) {
	f := withSchema(t)
	var updates []string
	for i := range 900 {
		updates = append(updates, fmt.Sprintf("create doc:1#viewer@user:%04d", i))
	}
	f.mustWrite(updates...)
	got := f.listed(service.HistoryQuery{PageSize: 100})
	if len(got) != 901 {
		t.Errorf("%d changes", len(got))
	}
}

// Past the history nothing is listed, and the answer says where it begins.
func TestTheHistoryBeginsAtItsFloor(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	db, err := tupledb.Open(tupledb.Config{History: time.Hour, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{t, service.New(service.Config{DB: db}), store, db.Close}
	f.schema(drive)
	old := f.mustWrite("create doc:1#viewer@user:ana")
	now = now.Add(time.Minute)
	begins := now
	f.mustWrite("create doc:2#viewer@user:ana")
	now = now.Add(time.Hour)
	f.mustWrite("create doc:3#viewer@user:ana")
	if _, err := store.Collect(context.Background()); err != nil {
		t.Fatal(err)
	}
	q := service.HistoryQuery{Store: rel.DefaultStore, PageSize: 10, Measure: everyEntry(1), Page: service.FirstPage()}
	answer, err := f.ListHistory(context.Background(), q)
	if err != nil || len(answer.Entries) != 2 || !answer.Begins.Equal(begins) {
		t.Errorf("%d entries, begins %v, %v", len(answer.Entries), answer.Begins, err)
	}
	q.Since = &begins
	if answer, err = f.ListHistory(context.Background(), q); err != nil || len(answer.Entries) != 2 {
		t.Errorf("since its beginning: %d entries, %v", len(answer.Entries), err)
	}
	q.Since = at(begins.Add(-time.Second))
	if _, err = f.ListHistory(context.Background(), q); !fault.Is(err, fault.SnapshotMustBeWithinHistory) {
		t.Errorf("since before: %v", err)
	}
	q.Since, q.Revision = nil, &old
	if _, err = f.ListHistory(context.Background(), q); !fault.Is(err, fault.SnapshotMustBeWithinHistory) {
		t.Errorf("a write before: %v", err)
	}
}
