package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
)

// A patience is the context of a caller who goes away while the answer is sought: after
// so many looks at it.
type patience struct {
	context.Context
	looks int
}

func (p *patience) Err() error {
	if p.looks--; p.looks < 0 {
		return context.Canceled
	}
	return nil
}

// objectPages lists all pages, and fails where an object is listed twice. It says how many pages
// there were, and the reads of the dearest.
func objectPages(t *testing.T, w *world, principal string, q engine.ObjectsQuestion, change ...func(*engine.Question)) (listed map[string]engine.ListedObject, pages, reads int) {
	t.Helper()
	listed = make(map[string]engine.ListedObject)
	for {
		page, err := w.walk(principal, change...).Objects(context.Background(), q)
		if err != nil {
			t.Fatalf("page %d: %v", pages+1, err)
		}
		pages, reads = pages+1, max(reads, page.Cost.Reads)
		for _, o := range page.Objects {
			if _, again := listed[o.Object.ID()]; again {
				t.Fatalf("%v is listed twice", o.Object)
			}
			listed[o.Object.ID()] = o
		}
		if page.After == "" {
			return listed, pages, reads
		}
		if page.After == q.IDs.After {
			t.Fatalf("page %d does not go on", pages)
		}
		q.IDs.After = page.After
	}
}

// subjectPages is the same for subjects; the wildcard may come again.
func subjectPages(t *testing.T, w *world, q engine.SubjectsQuestion, change ...func(*engine.Question)) (listed map[string]engine.ListedSubject, pages, reads int) {
	t.Helper()
	listed = make(map[string]engine.ListedSubject)
	for {
		page, err := w.nobody(change...).Subjects(context.Background(), q)
		if err != nil {
			t.Fatalf("page %d: %v", pages+1, err)
		}
		pages, reads = pages+1, max(reads, page.Cost.Reads)
		for _, s := range page.Subjects {
			if _, again := listed[s.Subject.ID()]; again && !s.Subject.IsWildcard() {
				t.Fatalf("%v is listed twice", s.Subject)
			}
			listed[s.Subject.ID()] = s
		}
		if !page.More {
			return listed, pages, reads
		}
		if q.Begun && page.After == q.After {
			t.Fatalf("page %d does not go on", pages)
		}
		q.Begun, q.After = true, page.After
	}
}

const lending = `
use roles
caveat open(on bool) { on }
definition user {}
definition book {
  relation lent: user with open
  relation kept: user
  permission read = lent + kept
}`

// What a caveat takes away is passed over page by page like anything else.
func TestListPassesOverWhatDoesNotCount(t *testing.T) {
	bound := func(q *engine.Question) { q.ReadsMax = 4_000 }
	mine := append(each(`book:b%#lent@user:ana[open:{"on":false}]`, 0, 9_000), "book:z#kept@user:ana")
	listed, pages, reads := objectPages(t, newWorld(t, lending, mine...), "user:ana", engine.ObjectsQuestion{Type: "book", Name: "read", PageSize: 100}, bound)
	if len(listed) != 1 || pages < 3 || reads > 4_000 {
		t.Errorf("%d objects are listed on %d pages, one with %d reads; budget 4000", len(listed), pages, reads)
	}
	others := append(each(`book:b#lent@user:u%[open:{"on":false}]`, 0, 9_000), "book:b#kept@user:z")
	people, pages, reads := subjectPages(t, newWorld(t, lending, others...), engine.SubjectsQuestion{Object: object(t, "book:b"), Name: "read", Type: "user", PageSize: 100}, bound)
	if len(people) != 1 || pages < 3 || reads > 4_000 {
		t.Errorf("%d subjects are listed on %d pages, one with %d reads; budget 4000", len(people), pages, reads)
	}
}

// Who is in two thousand places reads a little of each for a page.
func TestReadsOfAPageFromManyPlaces(t *testing.T) {
	tuples := append(each("shelf:s%#viewer@user:ana", 0, 2_000), each("book:b%x#shelf@shelf:s%", 0, 2_000)...)
	for i := range 20 {
		tuples = append(tuples, each(fmt.Sprintf("book:c%d-%%#shelf@shelf:s%%", i), 0, 2_000)...)
	}
	w := newWorld(t, library, tuples...)
	page, err := w.walk("user:ana").Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: "read", PageSize: 100})
	if err != nil || len(page.Objects) != 100 || page.Cost.Reads > 8_000 {
		t.Errorf("%d are listed with %d reads, budget 8000: %v", len(page.Objects), page.Cost.Reads, err)
	}
	t.Logf("%d reads", page.Cost.Reads)
}

// What is taken away elsewhere is not read.
func TestReadsOfAListBesideMuchThatIsTakenAway(t *testing.T) {
	tuples := append(each("book:b%#hidden@user:ana", 0, 6_000), each("book:b%#viewer@user:ana", 1_000, 1_003)...)
	tuples = append(tuples, "book:b4#viewer@user:ana", "book:x#viewer@user:ana", "book:b7000#viewer@user:ana")
	page, err := newWorld(t, library, tuples...).walk("user:ana").Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: "browse", PageSize: 100})
	if err != nil || len(page.Objects) != 2 || page.Cost.Reads > 120 {
		t.Errorf("%v are listed with %d reads, budget 120: %v", page.Objects, page.Cost.Reads, err)
	}
	t.Logf("%d reads", page.Cost.Reads)
}

// Where the subjects hold much that they share, a page costs no reads and ends all the same.
func TestListOfSubjectsEndsAPageThatIsMuchWork(t *testing.T) {
	const deep = 4_000
	var tuples []string
	for i := range deep {
		tuples = append(tuples, fmt.Sprintf("team:t%d#member@team:t%d#member", i, i+1), fmt.Sprintf("team:t%d#member@user:u%d", i, i))
	}
	w := newWorld(t, library, append(tuples, "book:b#viewer@team:t0#member")...)
	q := engine.SubjectsQuestion{Object: object(t, "book:b"), Name: "viewer", Type: "user", PageSize: 10_000}
	listed, pages, _ := subjectPages(t, w, q)
	if len(listed) != deep || pages < 2 {
		t.Errorf("%d are listed on %d pages", len(listed), pages)
	}
	// And who goes away is not worked for. Ten thousand reads look at the caller some
	// hundred times.
	_, err := w.nobody().Subjects(&patience{context.Background(), 300}, q)
	if !fault.Is(err, fault.CallerMustStay) {
		t.Errorf("the caller went away: %v", err)
	}
}

// An object that is inside very many others is asked where it is within a budget.
func TestListWithinStaysWithinItsBudget(t *testing.T) {
	tuples := append(each("book:b#shelf@shelf:s%", 0, 3_000), "book:b#viewer@user:ana")
	tuples = append(tuples, each("book:c%#shelf@shelf:t", 0, 2_500)...) // too many to begin there
	bound := func(q *engine.Question) { q.ReadsMax = 1_000 }
	_, err := newWorld(t, library, append(tuples, each("book:c%#viewer@user:ana", 0, 2_500)...)...).walk("user:ana", bound).
		Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: "viewer", Within: object(t, "shelf:t"), PageSize: 10})
	if !fault.Is(err, fault.WalkMustStayWithinBudget) {
		t.Errorf("a book on three thousand shelves: %v", err)
	}
}

const vault = `
caveat open(on bool) { on }
definition user {}
definition team { relation member: user with open | team#member with open }
definition box {
  relation viewer: team#member
  permission view = viewer
}`

// Entries that each hang on very much make a short page.
func TestListEndsAPageOfEntriesThatHangOnMuch(t *testing.T) {
	tuples := append(each("team:all#member@team:t%#member[open]", 0, 1_000), each("team:t%#member@user:ana[open]", 0, 1_000)...)
	tuples = append(tuples, each("box:b%#viewer@team:all#member", 0, 500)...)
	listed, pages, _ := objectPages(t, newWorld(t, vault, tuples...), "user:ana", engine.ObjectsQuestion{Type: "box", Name: "view", Conditional: true, PageSize: 10_000})
	if len(listed) != 500 || pages < 2 || len(listed["b7"].Missing) != 10 {
		t.Errorf("%d are listed on %d pages, b7 hangs on %d", len(listed), pages, len(listed["b7"].Missing))
	}
}

const guild = `
definition user {}
definition team {
  relation member: user
  relation banned: user | team#banned
  permission active = member - banned
}
definition box { relation viewer: team#active }`

// What is asked on the way counts as much as the way.
func TestAskingOnTheWayStaysWithinTheBudgetOfAList(t *testing.T) {
	tuples := append(each("team:t%#member@user:ana", 0, 1_000), each("team:t%#banned@user:ana", 0, 1_000)...)
	tuples = append(tuples, each("team:t%#banned@user:eve", 0, 1_000)...)
	bound := func(q *engine.Question) { q.ReadsMax = 1_500 }
	_, err := newWorld(t, guild, tuples...).walk("user:ana", bound).Objects(context.Background(), engine.ObjectsQuestion{Type: "box", Name: "viewer", PageSize: 10})
	if !fault.Is(err, fault.WalkMustStayWithinBudget) {
		t.Errorf("somebody banned from a thousand teams: %v", err)
	}
}
