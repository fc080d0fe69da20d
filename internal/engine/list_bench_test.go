package engine_test

import (
	"context"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// BenchmarkListInWorkspaces times lists on the store of BenchmarkCheckInWorkspaces:
// the projects of a user, which their ways decide; the documents, where each must be
// verified, since a document can be restricted; one that finds nothing; and the people
// of a project and of a document.
func BenchmarkListInWorkspaces(b *testing.B) {
	w, compiled, store := openWorkspaces(b)
	objects := func(typ rel.ObjectType, name rel.Name) func(*testing.B, int) (int, engine.Cost) {
		return func(b *testing.B, i int) (int, engine.Cost) {
			q := w.asked[1][i*7919%len(w.asked[1])]
			snap, err := store.Newest()
			if err != nil {
				b.Fatal(err)
			}
			defer snap.Close()
			page, err := engine.NewWalk(engine.Question{Schema: compiled, Reader: snap, Principal: q.user}).
				Objects(context.Background(), engine.ObjectsQuestion{Type: typ, Name: name, PageSize: 1000})
			if err != nil || typ == "document" && len(page.Objects) == 0 {
				b.Fatalf("%v of %v: %v, %v", typ, q.user, page.Objects, err)
			}
			return len(page.Objects), page.Cost
		}
	}
	subjects := func(of func(rel.Object) rel.Object, name rel.Name) func(*testing.B, int) (int, engine.Cost) {
		return func(b *testing.B, i int) (int, engine.Cost) {
			q := w.asked[1][i*7919%len(w.asked[1])]
			snap, err := store.Newest()
			if err != nil {
				b.Fatal(err)
			}
			defer snap.Close()
			page, err := engine.NewWalk(engine.Question{Schema: compiled, Reader: snap}).
				Subjects(context.Background(), engine.SubjectsQuestion{Object: of(q.document), Name: name, Type: "user", PageSize: 1000})
			if err != nil || len(page.Subjects) == 0 {
				b.Fatalf("%v: %v, %v", q.document, page.Subjects, err)
			}
			return len(page.Subjects), page.Cost
		}
	}
	projects := make(map[rel.Object]rel.Object)
	for _, t := range w.tuples {
		if t.Relation == "project" {
			projects[t.Object], _ = t.Subject.Object()
		}
	}
	for _, c := range []struct {
		name string
		list func(*testing.B, int) (int, engine.Cost)
	}{
		{"projects", objects("project", "viewer")},
		{"documents", objects("document", "view")},
		{"nothing", objects("organization", "admin")},
		{"subjects of a project", subjects(func(d rel.Object) rel.Object { return projects[d] }, "viewer")},
		{"subjects of a document", subjects(func(d rel.Object) rel.Object { return d }, "view")},
	} {
		b.Run(c.name, func(b *testing.B) {
			listed, reads, i := 0, 0, 0
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				n, cost := c.list(b, i)
				listed, reads = listed+n, reads+cost.Reads
				i++
			}
			took := float64(processorTime(b) - before)
			b.ReportMetric(took/float64(b.N), "cpu-ns/op")
			b.ReportMetric(took/float64(max(listed, 1)), "cpu-ns/id")
			b.ReportMetric(float64(listed)/float64(b.N), "ids/op")
			b.ReportMetric(float64(reads)/float64(b.N), "reads/op")
		})
	}
}

// BenchmarkListSubjectsOfAHundred times the list of the hundred people of a book: of its
// own, of its shelf, of a group and of an organization.
func BenchmarkListSubjectsOfAHundred(b *testing.B) {
	w := newWorld(b, library, hundredPeople()...)
	q := engine.SubjectsQuestion{Object: object(b, "book:b"), Name: "viewer", Type: "user", PageSize: 1000}
	reads := 0
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		snap, err := w.store.Newest()
		if err != nil {
			b.Fatal(err)
		}
		page, err := engine.NewWalk(engine.Question{Schema: w.schema, Reader: snap}).Subjects(context.Background(), q)
		if err != nil || len(page.Subjects) != 100 {
			b.Fatal(len(page.Subjects), err)
		}
		reads += page.Cost.Reads
		snap.Close()
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(reads)/float64(b.N), "reads/op")
}
