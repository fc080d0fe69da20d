package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// tuplesOf reads tuples, a text each.
func (f fixture) tuplesOf(texts ...string) []rel.Tuple {
	f.Helper()
	var all []rel.Tuple
	for _, text := range texts {
		t, err := rel.ParseTuple(text)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, t)
	}
	return all
}

// sending is a message from an offset on.
func (f fixture) sending(offset uint64, texts ...string) service.ImportMessage {
	f.Helper()
	return service.ImportMessage{Offset: offset, Tuples: f.tuplesOf(texts...)}
}

var finish = service.ImportMessage{Finish: true}

// imports sends messages on one stream, and then closes it.
func (f fixture) imports(id rel.ImportID, messages ...service.ImportMessage) (service.ImportAnswer, error) {
	return f.ImportTuples(context.Background(), service.ImportCommand{Store: rel.DefaultStore, ID: id}, func() (service.ImportMessage, error) {
		if len(messages) == 0 {
			return service.ImportMessage{}, io.EOF
		}
		m := messages[0]
		messages = messages[1:]
		return m, nil
	})
}

func (f fixture) imported(id rel.ImportID, messages ...service.ImportMessage) service.ImportAnswer {
	f.Helper()
	answer, err := f.imports(id, messages...)
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

// refusedImport expects a refusal.
func (f fixture) refusedImport(code fault.Code, id rel.ImportID, messages ...service.ImportMessage) *fault.Fault {
	f.Helper()
	answer, err := f.imports(id, messages...)
	x := fault.Of(err)
	if x == nil || x.Code != code || x.Remedy == "" {
		f.Fatalf("answered %+v, %v; want %v and a remedy", answer, err, code)
	}
	return x
}

func (f fixture) inOrder() *tupledb.Report {
	f.Helper()
	report, err := f.store.Verify(context.Background())
	if err != nil || !report.InOrder() {
		f.Fatalf("not in order: %v %v", report, err)
	}
	return report
}

// all is what the store has, as texts in order.
func (f fixture) all() []string {
	f.Helper()
	answer, err := f.ReadTuples(context.Background(), service.ReadQuery{Store: rel.DefaultStore, PageSize: service.PageSizeMax})
	if err != nil {
		f.Fatal(err)
	}
	var texts []string
	for _, t := range answer.Tuples {
		texts = append(texts, t.String())
	}
	slices.Sort(texts)
	return texts
}

// An import into an empty store is one revision, which Watch counts, and nothing of
// it is seen before.
func TestAnImportIsOneRevision(t *testing.T) {
	f := withSchema(t)
	w := f.watch(fromBeginning, "team:")
	w.next() // the schema
	w.sees("checkpoint 1")
	metadata, err := rel.NewMetadata(map[string]string{"why": "moving in"})
	if err != nil {
		t.Fatal(err)
	}
	messages := []service.ImportMessage{
		f.sending(0, "org:o#member@user:ana"), // the admin comes later
		f.sending(1, "doc:d#org@org:o", "doc:d#viewer@team:t#member", "team:t#member@user:eve"),
		f.sending(4, "org:o#admin@user:bob", "team:t#member@user:eve"), // eve twice
		finish,
	}
	next := 0
	answer, err := f.ImportTuples(t.Context(), service.ImportCommand{Store: rel.DefaultStore, ID: "x", Metadata: metadata}, func() (service.ImportMessage, error) {
		if next > 0 { // while it goes on, nobody sees anything
			if _, err := f.ReadTuples(t.Context(), service.ReadQuery{Store: rel.DefaultStore, PageSize: 1}); !fault.Is(err, fault.StoreMustNotBeLoading) {
				t.Errorf("read: %v", err)
			}
			if _, err := f.write("touch doc:d#viewer@user:joe"); !fault.Is(err, fault.StoreMustNotBeLoading) {
				t.Errorf("written: %v", err)
			}
			if _, err := f.WriteSchema(t.Context(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: drive}); !fault.Is(err, fault.StoreMustNotBeLoading) {
				t.Errorf("wrote a schema: %v", err)
			}
			if err := f.Watch(t.Context(), service.WatchQuery{Store: rel.DefaultStore}, nil); !fault.Is(err, fault.StoreMustNotBeLoading) {
				t.Errorf("watched: %v", err)
			}
			if err := f.exporting(service.Consistency{}, "", func(service.ExportPiece) error { return nil }); !fault.Is(err, fault.StoreMustNotBeLoading) {
				t.Errorf("exported: %v", err)
			}
		}
		next++
		return messages[next-1], nil
	})
	if err != nil || answer != (service.ImportAnswer{Snapshot: f.store.Head(), Loaded: 6, Finished: true}) || answer.Snapshot.Revision != 2 {
		t.Fatalf("finished as %+v, %v", answer, err)
	}
	m := w.next()
	if m.Imported != 5 || m.Snapshot != answer.Snapshot || !m.Last || len(m.Changes) > 0 || m.Revision.Cause != service.CauseImported || len(m.Revision.Metadata.Entries()) != 1 {
		t.Errorf("watched as %+v", m)
	}
	w.stop()
	if f.check("doc:d#edit@user:bob") != engine.Granted || f.check("doc:d#view@user:eve") != engine.Granted || f.check("doc:d#edit@user:ana") != engine.Denied {
		t.Error("what was imported does not hold")
	}
	if report := f.inOrder(); report.Tuples != 5 {
		t.Errorf("verified as %+v", report)
	}
}

// Rules are judged when it is finished. What is wanting is sent then, and what is
// too much is a reason to discard.
func TestAnImportThatBreaksARuleIsCorrectedOrDiscarded(t *testing.T) {
	f := withSchema(t)
	x := f.refusedImport(fault.LowerBoundMustHold, "x", f.sending(0, "org:o#member@user:ana", "org:p#member@user:ana", "doc:d#org@org:q"), finish)
	if !strings.Contains(x.Summary, "2 more like it") || x.Field != "finish" || x.Details["definition"] != "org" || x.Details["count"] != "3" {
		t.Errorf("refused with %v, %v", x, x.Details)
	}
	f.refusedImport(fault.LowerBoundMustHold, "x", finish) // still
	if got := f.imported("x"); got != (service.ImportAnswer{Loaded: 3}) {
		t.Errorf("a refusal left %+v", got)
	}
	answer := f.imported("x", f.sending(3, "org:o#admin@user:bob", "org:p#admin@user:bob", "org:q#admin@user:bob"), finish)
	if !answer.Finished || answer.Loaded != 6 || len(f.all()) != 6 {
		t.Errorf("corrected as %+v with %v", answer, f.all())
	}
	f.inOrder()

	f = withSchema(t)
	x = f.refusedImport(fault.OneRolePerSubject, "x", f.sending(0, "org:o#member@user:ana", "org:o#admin@user:ana", "doc:d#org@org:o", "doc:d#org@org:p"), finish)
	codes := map[fault.Code]bool{}
	for _, each := range x.All() {
		codes[each.Code] = true
	}
	if !codes[fault.UpperBoundMustHold] || !codes[fault.LowerBoundMustHold] || x.Details["tuple"] != "org:o#member@user:ana" {
		t.Errorf("refused with %v and %v, %v", x, codes, x.Details)
	}
	if got := f.imported("x", service.ImportMessage{Discard: true}); got != (service.ImportAnswer{}) {
		t.Errorf("discarded as %+v", got)
	}
	if got := f.imported("x", service.ImportMessage{Discard: true}); got != (service.ImportAnswer{}) {
		t.Errorf("discarded again as %+v", got)
	}
	if f.mustWrite("touch doc:d#viewer@user:ana").Revision != 2 || len(f.all()) != 1 {
		t.Errorf("after it was discarded there is %v", f.all())
	}
	f.inOrder()
}

// A tuple outside the schema refuses its message at once, and what came before it
// stays. A first message that is refused begins nothing.
func TestATupleOutsideTheSchemaRefusesItsMessage(t *testing.T) {
	f := withSchema(t)
	x := f.refusedImport(fault.NotInSchema, "x", f.sending(0, "doc:d#viewer@user:ana", "doc:d#viewr@user:ana", "dok:d#viewer@user:ana"))
	if x.Field != "tuples[1]" || x.Details["position"] != "1" || len(x.Others) != 1 || x.Others[0].Field != "tuples[2]" {
		t.Errorf("refused with %v, %v", x, x.Details)
	}
	if err := f.store.MustNotBeLoading(); err != nil {
		t.Error(err)
	}
	f.refusedImport(fault.ImportMustContinue, "x", f.sending(1, "doc:d#viewer@user:ana"))
	if err := f.store.MustNotBeLoading(); err != nil {
		t.Error(err)
	}
	x = f.refusedImport(fault.NotInSchema, "x", f.sending(0, "doc:d#viewer@user:ana", "doc:d#viewer@user:bob"), f.sending(2, "doc:e#viewer@user:ana", "doc:d#viewer@doc:e"))
	if x.Field != "tuples[1]" || x.Details["position"] != "3" {
		t.Errorf("refused with %v, %v", x, x.Details)
	}
	if got := f.imported("x"); got != (service.ImportAnswer{Loaded: 2}) {
		t.Errorf("it goes on from %+v", got)
	}
	f.imported("x", f.sending(0, "doc:d#viewer@user:ana", "doc:d#viewer@user:bob", "doc:e#viewer@user:ana"), finish)
	if want := []string{"doc:d#viewer@user:ana", "doc:d#viewer@user:bob", "doc:e#viewer@user:ana"}; !slices.Equal(f.all(), want) {
		t.Errorf("imported %v", f.all())
	}

	// A store without a schema takes no import.
	f = open(t, "")
	f.refusedImport(fault.SchemaMustExist, "x")
	f.refusedImport(fault.SchemaMustExist, "x", f.sending(0, "doc:d#viewer@user:ana"))
	f.refusedImport(fault.SchemaMustExist, "x", finish)
}

// An interrupted import goes on from where the store says it is, also after a
// restart; what comes again is skipped, and a hole is refused.
func TestAnImportGoesOn(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	f.schema(drive)
	text := func(n int) string { return fmt.Sprintf("doc:d%d#viewer@user:ana", n) }
	if got := f.imported("x"); got != (service.ImportAnswer{}) {
		t.Errorf("before it begins: %+v", got)
	}
	gone := errors.New("gone")
	messages := []service.ImportMessage{f.sending(0, text(0), text(1), text(2))}
	_, err := f.ImportTuples(t.Context(), service.ImportCommand{Store: rel.DefaultStore, ID: "x"}, func() (service.ImportMessage, error) {
		if len(messages) == 0 {
			return service.ImportMessage{}, gone
		}
		m := messages[0]
		messages = nil
		return m, nil
	})
	if !errors.Is(err, gone) {
		t.Fatal(err)
	}
	if got := f.imported("x"); got != (service.ImportAnswer{Loaded: 3}) {
		t.Errorf("after the client went away: %+v", got)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir)
	if got := f.imported("x"); got != (service.ImportAnswer{Loaded: 3}) {
		t.Errorf("after a restart: %+v", got)
	}
	x := f.refusedImport(fault.ImportMustContinue, "x", f.sending(4, text(4)))
	if x.Details["loaded_count"] != "3" || x.Field != "offset" {
		t.Errorf("refused with %v, %v", x, x.Details)
	}
	f.refusedImport(fault.ImportMustContinue, "x", service.ImportMessage{Offset: 4, Finish: true})
	f.refusedImport(fault.StoreMustNotBeLoading, "y")
	f.refusedImport(fault.StoreMustNotBeLoading, "y", f.sending(0, text(9)))
	f.refusedImport(fault.StoreMustNotBeLoading, "y", finish)
	f.refusedImport(fault.StoreMustNotBeLoading, "y", service.ImportMessage{Discard: true})
	// Some of it again, which is skipped: it may be something else by now.
	last := f.sending(1, text(77), text(78), text(3))
	last.Finish = true
	answer := f.imported("x", last)
	if answer != (service.ImportAnswer{Snapshot: f.store.Head(), Loaded: 4, Finished: true}) {
		t.Errorf("finished as %+v", answer)
	}
	if want := []string{text(0), text(1), text(2), text(3)}; !slices.Equal(f.all(), want) {
		t.Errorf("imported %v", f.all())
	}
	f.inOrder()

	// Whoever did not hear the answer asks again, and gets it, whatever happened since.
	f.mustWrite("delete "+text(3), "touch doc:e#viewer@user:eve")
	for _, again := range [][]service.ImportMessage{{}, {finish}, {last}, {f.sending(0, text(0))}, {{Discard: true}}} {
		if got := f.imported("x", again...); got != answer {
			t.Errorf("%v was answered %+v", again, got)
		}
	}
	f.refusedImport(fault.ImportMustContinue, "x", f.sending(4, text(4)))
	f.refusedImport(fault.ImportMustContinue, "x", f.sending(2, text(2), text(3), text(4)))
	if f.check(strings.Replace(text(3), "viewer", "view", 1)) != engine.Denied {
		t.Error("a retry undid what was written since")
	}
}

// Into a store with tuples an import is ordinary writes, a message each.
func TestAnImportIntoAStoreWithTuplesIsWrites(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch org:o#admin@user:ana")
	if got := f.imported("x"); got != (service.ImportAnswer{Snapshot: f.store.Head(), Finished: true}) {
		t.Errorf("asked: %+v", got)
	}
	answer := f.imported("x", f.sending(0, "doc:d#viewer@user:ana"), f.sending(0, "doc:d#viewer@user:ana", "doc:e#viewer@user:ana"))
	if answer != (service.ImportAnswer{Snapshot: f.store.Head(), Loaded: 3, Finished: true}) || answer.Snapshot.Revision != 4 {
		t.Errorf("written as %+v", answer)
	}
	// Offsets, finish and discard mean nothing.
	if got := f.imported("x", f.sending(77, "doc:d#viewer@user:ana"), finish); got != (service.ImportAnswer{Snapshot: answer.Snapshot, Loaded: 1, Finished: true}) {
		t.Errorf("finished as %+v", got)
	}
	if got := f.imported("x", service.ImportMessage{Discard: true}); !got.Finished || len(f.all()) != 3 {
		t.Errorf("discarded as %+v with %v", got, f.all())
	}
	x := f.refusedImport(fault.OneRolePerSubject, "x", f.sending(0, "doc:f#viewer@user:ana"), f.sending(1, "doc:g#viewer@user:ana", "org:o#member@user:ana"))
	if len(f.all()) != 4 || x.Field != "" && !strings.HasPrefix(x.Field, "tuples[") {
		t.Errorf("refused with %v at %q, and there is %v", x, x.Field, f.all())
	}
	x = f.refusedImport(fault.NotInSchema, "x", f.sending(0, "doc:g#viewer@user:ana"), f.sending(1, "doc:h#viewer@user:ana", "doc:h#nope@user:ana"))
	if x.Field != "tuples[1]" || x.Details["position"] != "2" {
		t.Errorf("refused with %v at %q, %v", x, x.Field, x.Details)
	}
	many := service.ImportMessage{}
	for n := range service.ImportedAtOnceMax + 1 {
		many.Tuples = append(many.Tuples, f.tuplesOf(fmt.Sprintf("doc:m%d#viewer@user:ana", n))...)
	}
	if x := f.refusedImport(fault.FieldMustBeWithinBounds, "x", many); x.Field != "tuples" {
		t.Errorf("refused with %v", x)
	}
	many.Tuples = many.Tuples[1:]
	f.imported("x", many)
	f.inOrder()
}

// An import of nothing is done at once.
func TestAnImportOfNothing(t *testing.T) {
	f := withSchema(t)
	for range 2 {
		if got := f.imported("x", finish); got != (service.ImportAnswer{Snapshot: f.store.Head(), Finished: true}) || got.Snapshot.Revision != 1 {
			t.Errorf("finished as %+v", got)
		}
	}
	if _, err := f.imports("x", service.ImportMessage{Offset: 1, Finish: true}); !fault.Is(err, fault.ImportMustContinue) {
		t.Error(err)
	}
}

// A stream whose import is finished, or discarded, by another one hears of it.
func TestTwoStreamsOfAnImport(t *testing.T) {
	for _, c := range []struct {
		name  string
		other service.ImportMessage
		want  fault.Code // 0: it has nothing more to send, and hears the answer
		then  []service.ImportMessage
	}{
		{"finished", finish, 0, []service.ImportMessage{finish}},
		{"finished, and more comes", finish, fault.ImportMustContinue, []service.ImportMessage{{Offset: 1, Tuples: []rel.Tuple{{}}}}},
		{"discarded", service.ImportMessage{Discard: true}, fault.ImportMustContinue, []service.ImportMessage{finish}},
		{"discarded, and more comes", service.ImportMessage{Discard: true}, fault.ImportMustContinue, []service.ImportMessage{{Offset: 1, Tuples: []rel.Tuple{{}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := withSchema(t)
			messages := append([]service.ImportMessage{f.sending(0, "doc:d#viewer@user:ana")}, c.then...)
			next := 0
			answer, err := f.ImportTuples(t.Context(), service.ImportCommand{Store: rel.DefaultStore, ID: "x"}, func() (service.ImportMessage, error) {
				if next == 1 {
					f.imported("x", f.sending(0, "doc:d#viewer@user:ana"), c.other)
				}
				next++
				return messages[next-1], nil
			})
			if c.want == 0 && (err != nil || !answer.Finished || answer.Loaded != 1) || c.want != 0 && !fault.Is(err, c.want) {
				t.Errorf("answered %+v, %v", answer, err)
			}
			f.inOrder()
		})
	}
}

// What looks after the stores leaves one alone that is being loaded, and goes on
// when that is over.
func TestUpkeepWaitsForALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, reports, end := kept(t, tupledb.Config{})
		defer end()
		f.schema("use expiration\ndefinition user {}\ndefinition doc { relation viewer: user with expiration }")
		minute := time.Now().Add(time.Minute).Format(time.RFC3339Nano)
		f.imported("x", f.sending(0, "doc:d#viewer@user:ana[expiration:"+minute+"]"))
		time.Sleep(time.Hour)
		if len(*reports) > 0 || f.store.Head().Revision != 1 {
			t.Errorf("at %v, reports: %v", f.store.Head(), *reports)
		}
		f.imported("x", f.sending(1, "doc:d#viewer@user:bob[expiration:2999-01-01T00:00:00Z]"), finish)
		time.Sleep(time.Second)
		if f.store.Head().Revision != 3 || len(f.all()) != 1 || len(*reports) > 0 {
			t.Errorf("at %v with %v, reports: %v", f.store.Head(), f.all(), *reports)
		}
		f.inOrder()
	})
}

// exporting exports with a measure of a hundred thousand bytes a tuple.
func (f fixture) exporting(c service.Consistency, filter string, send func(service.ExportPiece) error) error {
	q := service.ExportQuery{Store: rel.DefaultStore, Consistency: c, Measure: func(rel.Tuple) int { return 100_000 }}
	if filter != "" {
		var err error
		if q.Filter, err = rel.ParseFilter(filter); err != nil {
			f.Fatal(err)
		}
	}
	return f.ExportTuples(context.Background(), q, send)
}

// An export has every tuple of its snapshot once, whatever is written between its
// pieces.
func TestAnExportIsOfOneSnapshot(t *testing.T) {
	f := withSchema(t)
	want := map[string]bool{}
	for n := range 33 {
		text := fmt.Sprintf("doc:d%d#viewer@user:ana", n)
		want[text] = true
		f.mustWrite("touch " + text)
	}
	before := f.store.Head()
	f.mustWrite("touch team:t#member@user:eve")
	for _, c := range []struct {
		at     service.Consistency
		filter string
		want   int
	}{
		{service.Consistency{}, "doc:", 33},
		{service.Consistency{Exact: &before}, "", 33},
		{service.Consistency{Exact: &before}, "team:", 0},
		{service.Consistency{}, "@user:ana", 33},
	} {
		got := map[string]bool{}
		pieces := 0
		err := f.exporting(c.at, c.filter, func(p service.ExportPiece) error {
			pieces++
			if len(p.Tuples) > 10 || len(p.Tuples) == 0 && pieces > 1 || p.Snapshot.Revision < before.Revision {
				t.Errorf("a piece of %d tuples at %v", len(p.Tuples), p.Snapshot)
			}
			for _, u := range p.Tuples {
				if got[u.String()] {
					t.Errorf("%v came twice", u)
				}
				got[u.String()] = true
			}
			f.mustWrite("delete doc:d5#viewer@user:ana", fmt.Sprintf("touch doc:d5%d#viewer@user:new%d", pieces, c.want))
			return nil
		})
		if err != nil || len(got) != c.want || c.want > 0 && !maps.Equal(got, want) || pieces != max(1, (c.want+9)/10) {
			t.Errorf("exported %d tuples in %d pieces, %v; want %d", len(got), pieces, err, c.want)
		}
		f.mustWrite("touch doc:d5#viewer@user:ana")
		if _, err := f.Write(t.Context(), deleteAllOf(fmt.Sprintf("new%d", c.want))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.exporting(service.Consistency{}, "nope:", func(service.ExportPiece) error { return nil }); !fault.Is(err, fault.TypeMustExist) {
		t.Error(err)
	}
	gone := errors.New("gone")
	if err := f.exporting(service.Consistency{}, "", func(service.ExportPiece) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

func deleteAllOf(user string) service.WriteCommand {
	c := service.WriteCommand{Store: rel.DefaultStore}
	c.Updates = []rel.Update{{Op: rel.DeleteMatching, Matching: rel.Matching{Filter: rel.Filter{SubjectType: "user", SubjectID: user}}}}
	return c
}

// A client that is so slow that the history passes its snapshot hears of it, and is
// not sent a state that is half of one and half of another.
func TestAnExportThatIsPastTheHistoryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, end := kept(t, tupledb.Config{History: time.Hour})
		defer end()
		f.schema(drive)
		for n := range 30 {
			f.mustWrite(fmt.Sprintf("touch doc:d%d#viewer@user:ana", n))
		}
		pieces := 0
		err := f.exporting(service.Consistency{}, "", func(service.ExportPiece) error {
			pieces++
			f.mustWrite(fmt.Sprintf("touch doc:e%d#viewer@user:ana", pieces))
			time.Sleep(50 * time.Minute)
			return nil
		})
		if !fault.Is(err, fault.SnapshotMustBeWithinHistory) || pieces != 2 {
			t.Errorf("%d pieces, then %v", pieces, err)
		}
	})
}
