package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

const library = `
use roles
definition user {}
definition team { relation member: user | team#member }
definition org { roles { member: user; admin: user | team#member } }
definition shelf {
  relation org: org
  roles { viewer: user | team#member = org->member; editor: user | team#member = org->admin }
}
definition book {
  within shelf
  relation shelf: shelf
  relation hidden: user
  relation muted: user | team#member
  relation lent: user | user:*
  roles { viewer: user | user:* | team#member; editor: user | team#member; inherit from shelf }
  permission read = viewer
  permission borrow = lent & viewer
  permission browse = viewer - hidden
  permission hear = viewer - muted
}
definition folder {
  relation parent: folder
  roles { viewer: user | team#member; inherit from parent }
}`

// books are a million in spirit: enough that a list that goes through them all is seen.
func books(more ...string) []string {
	all := append(each("book:b%#shelf@shelf:s1", 0, 3000), each("book:b%#shelf@shelf:s2", 3000, 6000)...)
	all = append(all, each("book:b%#viewer@user:*", 5000, 6000)...)
	all = append(all, "shelf:s1#org@org:o1", "shelf:s2#org@org:o2", "org:o2#member@user:all")
	return append(all, more...)
}

// A list costs what leads to it and what is on it: of six thousand books, ten.
func TestReadsOfAListOfObjects(t *testing.T) {
	nested := []string{"team:a#member@team:b#member", "team:b#member@team:c#member", "team:c#member@user:ana"}
	for _, c := range []struct {
		name   string
		tuples []string
		asks   engine.ObjectsQuestion
		listed int
		reads  int
	}{
		{"nothing", nil, engine.ObjectsQuestion{Type: "book", Name: "lent"}, 0, 2},
		// A seek for each of the ways that there may be, which are the names that the
		// principal can stand in, and a step a book.
		{"ten of her own", each("book:b%#viewer@user:ana", 0, 10), engine.ObjectsQuestion{Type: "book", Name: "editor"}, 0, 8},
		// The name says nothing of the role, so each book is looked at for it.
		{"ten lent to her", each("book:b%#lent@user:ana", 0, 10), engine.ObjectsQuestion{Type: "book", Name: "lent"}, 10, 35},
		{"ten through three teams", append(each("book:b%#editor@team:a#member", 0, 10), nested...), engine.ObjectsQuestion{Type: "book", Name: "editor"}, 10, 40},
		// What everybody may view is not what decides: the side of the intersection that
		// fewer hold leads, and each book is looked at.
		{"ten that she may borrow", append(each("book:b%#editor@user:ana", 5000, 5010), each("book:b%#lent@user:*", 0, 6000)...), engine.ObjectsQuestion{Type: "book", Name: "borrow", MinRole: "editor"}, 10, 70},
		{"three of a shelf, by an admin of all", append([]string{"org:o1#admin@user:ana", "shelf:s3#org@org:o1"}, each("book:c%#shelf@shelf:s3", 0, 3)...), engine.ObjectsQuestion{Type: "book", Name: "editor", Within: object(t, "shelf:s3")}, 3, 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, library, books(c.tuples...)...)
			c.asks.PageSize = 20
			page, err := w.walk("user:ana").Objects(context.Background(), c.asks)
			if err != nil || len(page.Objects) != c.listed || page.After != "" {
				t.Fatalf("listed %v, after %q, %v", page.Objects, page.After, err)
			}
			if page.Cost.Reads > c.reads {
				t.Errorf("%d reads, budget %d", page.Cost.Reads, c.reads)
			}
			t.Logf("%d reads", page.Cost.Reads)
		})
	}
}

// A page of a long list reads the page. What a book inherits decides it without a look
// at the book.
func TestReadsOfAPageOfManyObjects(t *testing.T) {
	w := newWorld(t, library, books("org:o1#admin@user:ana", "org:o2#member@user:ana")...)
	q := engine.ObjectsQuestion{Type: "book", Name: "read", PageSize: 100}
	listed := make(map[string]rel.Name)
	pages, reads := 0, 0
	for {
		page, err := w.walk("user:ana").Objects(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		pages, reads = pages+1, max(reads, page.Cost.Reads)
		for _, o := range page.Objects {
			if _, again := listed[o.Object.ID()]; again {
				t.Fatalf("%v is listed twice", o.Object)
			}
			listed[o.Object.ID()] = o.Role
		}
		if q.IDs.After = page.After; page.After == "" {
			break
		}
	}
	if len(listed) != 6000 || listed["b1"] != "editor" || listed["b4000"] != "viewer" {
		t.Errorf("%d are listed, b1 for an %s and b4000 for a %s", len(listed), listed["b1"], listed["b4000"])
	}
	if pages != 60 || reads > 350 {
		t.Errorf("%d pages, and %d reads for one; budget 60 and 350", pages, reads)
	}
	t.Logf("%d reads", reads)
}

// Folders in folders are found from the top, and each is left once.
func TestReadsOfAListOfObjectsInOneAnother(t *testing.T) {
	tuples := append(each("folder:f%#parent@folder:top", 0, 50), each("folder:x%#parent@folder:other", 0, 3000)...)
	tuples = append(tuples, "folder:top#viewer@user:ana", "folder:top#parent@folder:f1") // and a circle
	page, err := newWorld(t, library, tuples...).walk("user:ana").Objects(context.Background(),
		engine.ObjectsQuestion{Type: "folder", Name: "viewer", PageSize: 1000})
	if err != nil || len(page.Objects) != 51 || page.Cost.Reads > 160 {
		t.Errorf("%d are listed with %d reads, budget 160: %v", len(page.Objects), page.Cost.Reads, err)
	}
	t.Logf("%d reads", page.Cost.Reads)
}

// What an exclusion takes away on the book itself is read beside it. Where groups decide
// on it, each book is looked at, and what it shares with others once.
func TestReadsOfAListOfWhatIsNotTakenAway(t *testing.T) {
	for _, c := range []struct {
		name  rel.Name
		reads int
	}{{"browse", 300}, {"hear", 3*200 + 50}} {
		w := newWorld(t, library, books("org:o1#admin@user:ana", "book:b7#hidden@user:ana", "book:b7#muted@team:t#member", "team:t#member@user:ana")...)
		page, err := w.walk("user:ana").Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: c.name, PageSize: 1200})
		if err != nil || len(page.Objects) != 1200 {
			t.Fatal(len(page.Objects), err)
		}
		isB7 := func(o engine.ListedObject) bool { return o.Object.ID() == "b7" }
		if slices.ContainsFunc(page.Objects, isB7) {
			t.Errorf("%s: what is taken away is listed", c.name)
		}
		page, err = w.walk("user:ana").Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: c.name, PageSize: 200})
		if err != nil || page.Cost.Reads > c.reads {
			t.Errorf("%s: %d reads for 200, budget %d: %v", c.name, page.Cost.Reads, c.reads, err)
		}
		t.Logf("%s: %d reads", c.name, page.Cost.Reads)
	}
}

// A list that would read more than it may is an error. A long way to the next entry
// is a short page.
func TestListOfObjectsStaysWithinItsBudget(t *testing.T) {
	w := newWorld(t, library, books("org:o1#admin@user:ana", "org:o2#member@user:ana")...)
	bound := func(q *engine.Question) { q.ReadsMax = 2000 }
	short := 0
	listed := 0
	for q := (engine.ObjectsQuestion{Type: "book", Name: "hear", PageSize: 1000}); ; {
		page, err := w.walk("user:ana", bound).Objects(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		listed += len(page.Objects)
		if q.IDs.After = page.After; page.After == "" {
			break
		}
		if len(page.Objects) < 1000 {
			short++
		}
	}
	if listed != 6000 || short < 6 {
		t.Errorf("%d are listed, %d pages are short", listed, short)
	}
	var tuples []string
	for i := range 3000 {
		tuples = append(tuples, fmt.Sprintf("team:t%d#member@user:ana", i))
	}
	tuples = append(tuples, "book:b1#viewer@team:t1#member")
	_, err := newWorld(t, library, tuples...).walk("user:ana", bound).Objects(context.Background(), engine.ObjectsQuestion{Type: "book", Name: "viewer", PageSize: 10})
	if !fault.Is(err, fault.WalkMustStayWithinBudget) {
		t.Errorf("a principal in three thousand groups: %v", err)
	}
}

func hundredPeople() []string {
	tuples := append(each("book:b#viewer@user:u%", 0, 20), each("shelf:s#editor@user:e%", 0, 20)...)
	tuples = append(tuples, each("team:t#member@user:t%", 0, 20)...)
	tuples = append(tuples, each("org:o#member@user:m%", 0, 40)...)
	return append(tuples, "book:b#editor@team:t#member", "book:b#shelf@shelf:s", "shelf:s#org@org:o", "book:b#hidden@user:u1")
}

// The people of a book are found with one look at each thing on the way.
func TestReadsOfAListOfSubjects(t *testing.T) {
	for _, c := range []struct {
		name   rel.Name
		listed int
	}{{"viewer", 100}, {"browse", 99}, {"editor", 40}, {"", 100}} {
		page, err := newWorld(t, library, hundredPeople()...).nobody().Subjects(context.Background(),
			engine.SubjectsQuestion{Object: object(t, "book:b"), Name: c.name, Type: "user", PageSize: 1000})
		if err != nil || len(page.Subjects) != c.listed || page.More {
			t.Fatalf("%s: %d are listed, %v", c.name, len(page.Subjects), err)
		}
		if page.Cost.Reads > 160 {
			t.Errorf("%s: %d reads, budget 160", c.name, page.Cost.Reads)
		}
		t.Logf("%d reads", page.Cost.Reads)
	}
}

// Of a wide group a page reads the page.
func TestReadsOfAPageOfManySubjects(t *testing.T) {
	w := newWorld(t, library, append(each("team:t#member@user:u%", 0, 5000), "book:b#viewer@team:t#member", "book:b#viewer@user:u7")...)
	q := engine.SubjectsQuestion{Object: object(t, "book:b"), Name: "viewer", Type: "user", PageSize: 100}
	listed, reads := make(map[string]int), 0
	for more := true; more; {
		page, err := w.nobody().Subjects(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Subjects {
			listed[s.Subject.ID()] = len(s.Sources)
		}
		more, reads = page.More, max(reads, page.Cost.Reads)
		q.Begun, q.After = true, page.After
	}
	if len(listed) != 5000 || listed["u7"] != 2 || listed["u8"] != 1 {
		t.Errorf("%d are listed, u7 by %d sources and u8 by %d", len(listed), listed["u7"], listed["u8"])
	}
	if reads > 250 {
		t.Errorf("%d reads for a page of 100, budget 250", reads)
	}
	t.Logf("%d reads", reads)
}
