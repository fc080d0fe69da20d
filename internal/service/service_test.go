package service_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

const drive = `
use roles
definition user {}
definition team { relation member: user | team#member }
definition org { roles one per subject { member: user; admin: user [1..*] } }
definition doc {
  relation org: org [0..1]
  roles { viewer: user | team#member = org->member; editor: user | team#member = org->admin }
  permission view = viewer
  permission edit = editor
}`

type fixture struct {
	*testing.T
	*service.Service
	store *tupledb.Store
	close func() error // twice does no harm
}

func open(t *testing.T, dir string) fixture {
	t.Helper()
	return openService(t, dir, service.Config{})
}

// openService makes a service over a directory's database.
func openService(t *testing.T, dir string, c service.Config) fixture {
	t.Helper()
	return openDB(t, tupledb.Config{Dir: dir}, c)
}

// openAt makes a service whose store has a clock that the test sets.
func openAt(t *testing.T, clock *time.Time) fixture {
	t.Helper()
	return openDB(t, tupledb.Config{Clock: func() time.Time { return *clock }}, service.Config{})
}

func openDB(t *testing.T, data tupledb.Config, c service.Config) fixture {
	t.Helper()
	db, err := tupledb.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	c.DB = db
	return fixture{t, service.New(c), store, db.Close}
}

func withSchema(t *testing.T) fixture {
	t.Helper()
	f := open(t, "")
	f.schema(drive)
	return f
}

func (f fixture) schema(text string) service.WriteSchemaAnswer {
	f.Helper()
	answer, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: text})
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

func (f fixture) write(updates ...string) (service.WriteAnswer, error) {
	f.Helper()
	c := service.WriteCommand{Store: rel.DefaultStore}
	for _, text := range updates {
		u, err := rel.ParseUpdate(text)
		if err != nil {
			f.Fatal(err)
		}
		c.Updates = append(c.Updates, u)
	}
	return f.Write(context.Background(), c)
}

func (f fixture) mustWrite(updates ...string) rel.Snapshot {
	f.Helper()
	answer, err := f.write(updates...)
	if err != nil {
		f.Fatal(err)
	}
	return answer.Snapshot
}

func item(t *testing.T, question string) service.CheckItem {
	t.Helper()
	at, subject, _ := strings.Cut(question, "@")
	object, name, _ := strings.Cut(at, "#")
	o, err := rel.ParseObject(object)
	if err != nil {
		t.Fatal(err)
	}
	p, err := rel.ParsePrincipal(subject)
	if err != nil {
		t.Fatal(err)
	}
	return service.CheckItem{Object: o, Name: rel.Name(name), Principal: p}
}

func (f fixture) check(question string) engine.Result {
	f.Helper()
	answer, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(f.T, question)})
	if err != nil {
		f.Fatalf("%s: %v", question, err)
	}
	return answer.Result
}

func TestAWriteIsSeenByTheNextQuestion(t *testing.T) {
	f := withSchema(t)
	for range 3 {
		at := f.mustWrite("touch doc:d#viewer@user:ana")
		answer, err := f.Check(context.Background(), service.CheckQuery{
			Store: rel.DefaultStore, Item: item(t, "doc:d#view@user:ana"), Consistency: service.Consistency{AtLeast: &at},
		})
		if err != nil || answer.Result != engine.Granted || answer.Snapshot != at {
			t.Fatalf("%v at %v, %v; want granted at %v", answer.Result, answer.Snapshot, err, at)
		}
		f.mustWrite("delete doc:d#viewer@user:ana")
		if got := f.check("doc:d#view@user:ana"); got != engine.Denied {
			t.Fatalf("after the delete: %v", got)
		}
	}
}

func TestAWriteWithoutANetChangeMakesNoRevision(t *testing.T) {
	f := withSchema(t)
	first := f.mustWrite("touch doc:d#viewer@user:ana")
	for _, updates := range [][]string{
		{"touch doc:d#viewer@user:ana"},
		{"delete doc:d#viewer@user:zoe"},
		{"delete doc:d#viewer@user:ana", "create doc:d#viewer@user:ana"},
	} {
		if at := f.mustWrite(updates...); at != first {
			t.Errorf("%v made revision %d", updates, at.Revision)
		}
	}
}

func TestARefusedWriteChangesNothing(t *testing.T) {
	f := withSchema(t)
	at := f.mustWrite("touch org:o#admin@user:ana")
	_, err := f.write("touch org:o#member@user:bob", "touch doc:d#viewer@user:bob", "delete org:o#admin@user:ana")
	if !fault.Is(err, fault.LowerBoundMustHold) {
		t.Fatal(err)
	}
	if f.store.Head() != at || f.check("doc:d#view@user:bob") != engine.Denied {
		t.Error("something was written")
	}
}

// Each of the two writes passes alone; together they would leave no admin.
func TestConcurrentWritersThatBreakARuleTogetherDoNotBothWin(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch org:o#admin@user:a", "touch org:o#admin@user:b", "touch org:o#member@user:c")
	for round := range 20 {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, user := range []string{"a", "b"} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, errs[i] = f.write("delete org:o#admin@user:" + user)
			}()
		}
		wg.Wait()
		refused := 0
		for _, err := range errs {
			if err != nil {
				if !fault.Is(err, fault.LowerBoundMustHold) {
					t.Fatal(err)
				}
				refused++
			}
		}
		if refused != 1 {
			t.Fatalf("round %d: %d of 2 were refused", round, refused)
		}
		f.mustWrite("touch org:o#admin@user:a", "touch org:o#admin@user:b")
	}
}

func TestQuestionsBeforeThereIsAnything(t *testing.T) {
	f := open(t, "")
	_, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, "doc:d#view@user:ana")})
	if !fault.Is(err, fault.SchemaMustExist) {
		t.Errorf("without a schema: %v", err)
	}
	_, err = f.Check(context.Background(), service.CheckQuery{Store: "elsewhere", Item: item(t, "doc:d#view@user:ana")})
	if !fault.Is(err, fault.StoreMustExist) {
		t.Errorf("without the store: %v", err)
	}
	if _, err = f.write("touch doc:d#viewer@user:ana"); !fault.Is(err, fault.SchemaMustExist) {
		t.Errorf("a write without a schema: %v", err)
	}
}

func TestSubjectsOfAQuestionMustExistInTheSchema(t *testing.T) {
	f := withSchema(t)
	for question, code := range map[string]fault.Code{
		"doc:d#view@usr:ana":              fault.TypeMustExist,
		"doc:d#view@team:t#members":       fault.NameMustExist,
		"doc:d#view@user:a + spaceship:x": fault.TypeMustExist,
	} {
		_, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, question)})
		if !fault.Is(err, code) {
			t.Errorf("%s: %v, want %v", question, err, code)
		}
	}
}

func TestAllUnknownNamesOfAQuestionAreListedWithTheirFields(t *testing.T) {
	f := withSchema(t)
	_, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, "dok:d#vew@usr:ana + team:t#members")})
	var fields []string
	for _, each := range fault.Of(err).All() {
		fields = append(fields, each.Field)
	}
	if got := strings.Join(fields, " "); got != "object subject additional_subjects" {
		t.Errorf("fields are %s", got)
	}
	_, err = f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, "doc:d#vew@user:ana")})
	if f := fault.Of(err); f == nil || f.Field != "permission" {
		t.Errorf("%v", err)
	}
}

func TestForeignAndFutureSnapshots(t *testing.T) {
	f, other := withSchema(t), withSchema(t)
	foreign := other.mustWrite("touch doc:d#viewer@user:ana")
	future := f.store.Head()
	future.Revision++
	restored := f.store.Head()
	restored.Epoch++
	for at, code := range map[rel.Snapshot]fault.Code{
		foreign:  fault.SnapshotMustBeOfThisStore,
		restored: fault.SnapshotMustBeOfThisStore,
		future:   fault.SnapshotMustNotBeOfTheFuture,
	} {
		_, err := f.Check(context.Background(), service.CheckQuery{
			Store: rel.DefaultStore, Item: item(t, "doc:d#view@user:ana"), Consistency: service.Consistency{AtLeast: &at},
		})
		if !fault.Is(err, code) {
			t.Errorf("%+v: %v, want %v", at, err, code)
		}
	}
}

func TestABatchAnswersEachItemAlone(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:d#editor@team:t#member", "touch team:t#member@user:ana", "touch doc:e#viewer@user:bob")
	broken := service.BatchItem{Err: fault.New(fault.IDMustBeValid, "x")}
	questions := []string{"doc:d#edit@user:ana", "doc:e#view@user:ana", "doc:d#nope@user:ana", "doc:e#view@user:bob", "doc:d#view@user:ana"}
	q := service.BatchQuery{Store: rel.DefaultStore}
	for _, text := range questions {
		q.Items = append(q.Items, service.BatchItem{CheckItem: item(t, text)})
	}
	q.Items = append(q.Items, broken)
	answer, err := f.BatchCheck(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []engine.Result{engine.Granted, engine.Denied, engine.Denied, engine.Granted, engine.Granted, engine.Denied} {
		got := answer.Outcomes[i]
		if got.Answer.Result != want || (got.Err != nil) != (i == 2 || i == 5) {
			t.Errorf("item %d: %v, %v; want %v", i, got.Answer.Result, got.Err, want)
		}
	}
	if !fault.Is(answer.Outcomes[2].Err, fault.NameMustExist) || !fault.Is(answer.Outcomes[5].Err, fault.IDMustBeValid) {
		t.Errorf("errors are %v and %v", answer.Outcomes[2].Err, answer.Outcomes[5].Err)
	}
}

// An item that runs out of its budget fails alone: the next one of the same
// principal is answered, though both would share a walk.
func TestABatchItemThatCostsTooMuchFailsAlone(t *testing.T) {
	db, err := tupledb.Open(tupledb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{t, service.New(service.Config{DB: db, ReadsMax: 100}), store, db.Close}
	f.schema(drive)
	var updates []string
	for i := range 200 {
		updates = append(updates, fmt.Sprintf("touch doc:wide#viewer@team:t%d#member", i))
	}
	f.mustWrite(append(updates, "touch doc:d#viewer@user:ana")...)
	q := service.BatchQuery{Store: rel.DefaultStore}
	for _, text := range []string{"doc:wide#view@user:ana", "doc:d#view@user:ana", "doc:wide#view@user:ana", "doc:d#edit@user:ana"} {
		q.Items = append(q.Items, service.BatchItem{CheckItem: item(t, text)})
	}
	answer, err := f.BatchCheck(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i, expensive := range []bool{true, false, true, false} {
		got := answer.Outcomes[i]
		if fault.Is(got.Err, fault.WalkMustStayWithinBudget) != expensive || !expensive && got.Err != nil {
			t.Errorf("item %d: %v", i, got.Err)
		}
	}
	if answer.Outcomes[1].Answer.Result != engine.Granted {
		t.Error("the cheap item is denied")
	}
}

func TestPagesAreOfTheFirstPagesSnapshot(t *testing.T) {
	f := withSchema(t)
	var updates []string
	for i := range 25 {
		updates = append(updates, fmt.Sprintf("touch doc:d#viewer@user:u%02d", i))
	}
	f.mustWrite(updates...)
	filter := rel.Filter{ObjectType: "doc", ObjectID: "d"}
	page := service.FirstPage("read", "doc", "d")
	seen := make(map[string]bool)
	var at rel.Snapshot
	token := ""
	for pages := 0; ; pages++ {
		p, err := page.At(token)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := f.ReadTuples(context.Background(), service.ReadQuery{Store: rel.DefaultStore, Filter: filter, PageSize: 10, Page: p})
		if err != nil {
			t.Fatal(err)
		}
		if pages == 0 {
			at = answer.Snapshot
		} else if answer.Snapshot != at {
			t.Errorf("page %d is of another snapshot", pages)
		}
		for _, tuple := range answer.Tuples {
			if seen[tuple.String()] {
				t.Errorf("%s stands on two pages", tuple)
			}
			seen[tuple.String()] = true
		}
		// Between pages, what was not read yet goes away and something new comes.
		f.mustWrite(fmt.Sprintf("delete doc:d#viewer@user:u%02d", 24-pages), fmt.Sprintf("touch doc:d#viewer@user:new%d", pages))
		if token = answer.Next; token == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d tuples were read, want 25", len(seen))
	}
}

func TestPageTokensFitTheirRequestAlone(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:d#viewer@user:a", "touch doc:d#viewer@user:b")
	page := service.FirstPage("one")
	answer, err := f.ReadTuples(context.Background(), service.ReadQuery{Store: rel.DefaultStore, PageSize: 1, Page: page})
	if err != nil || answer.Next == "" {
		t.Fatalf("%+v, %v", answer, err)
	}
	if _, err := service.FirstPage("other").At(answer.Next); !fault.Is(err, fault.PageTokenMustFitTheRequest) {
		t.Errorf("with other arguments: %v", err)
	}
	for _, bad := range []string{"x", answer.Next[:len(answer.Next)-2], "!" + answer.Next, strings.Repeat("A", 20_000)} {
		if _, err := page.At(bad); !fault.Is(err, fault.PageTokenMustBeReadable) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// A page ends before the tuple that has no room; one alone always has.
func TestAPageIsBoundedInBytes(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:d#viewer@user:a", "touch doc:d#viewer@user:b", "touch doc:d#viewer@user:c")
	for room, want := range map[int]int{300: 3, 299: 2, 200: 2, 199: 1, 1: 1} {
		answer, err := f.ReadTuples(context.Background(), service.ReadQuery{
			Store: rel.DefaultStore, PageSize: 10, Page: service.FirstPage(), Measure: func(rel.Tuple) int { return 100 }, PageBytes: room,
		})
		if err != nil || len(answer.Tuples) != want || (answer.Next == "") != (want == 3) || answer.Count != uint64(want) {
			t.Errorf("in %d bytes: %+v, %v", room, answer, err)
		}
	}
}

func TestCountingReadsEveryPage(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:d#viewer@user:a", "touch doc:d#viewer@user:b", "touch doc:e#viewer@user:a")
	answer, err := f.ReadTuples(context.Background(), service.ReadQuery{
		Store: rel.DefaultStore, Filter: rel.Filter{SubjectType: "user", SubjectID: "a"}, CountOnly: true, PageSize: 1, Page: service.FirstPage(),
	})
	if err != nil || answer.Count != 2 || len(answer.Tuples) != 0 || answer.Next != "" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestSchemaVersions(t *testing.T) {
	f := open(t, "")
	first := f.schema(drive)
	if first.Version != 1 || first.Before != nil {
		t.Errorf("first version is %d", first.Version)
	}
	again := f.schema(drive)
	if again.Version != 1 || again.Snapshot != first.Snapshot {
		t.Error("the same text made a version")
	}
	one, two := uint64(1), uint64(2)
	changed := drive + "\ndefinition extra {}"
	_, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: changed, Expected: &two})
	if !fault.Is(err, fault.SchemaVersionMustMatch) {
		t.Errorf("another version expected: %v", err)
	}
	answer, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: changed, Expected: &one})
	if err != nil || answer.Version != 2 {
		t.Errorf("%d, %v", answer.Version, err)
	}
	read, err := f.ReadSchema(context.Background(), service.SchemaQuery{Store: rel.DefaultStore})
	if err != nil || read.Version != 2 || read.Schema.Text() != changed || read.Written.IsZero() {
		t.Errorf("%d, %v, %v", read.Version, read.Written, err)
	}
}

func TestASchemaThatOrphansTuplesIsRefusedWithTheList(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:d#viewer@team:t#member", "touch doc:e#viewer@team:t#member", "touch team:t#member@user:ana")
	_, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{
		Store: rel.DefaultStore, Text: strings.Replace(drive, "viewer: user | team#member", "viewer: user", 1),
	})
	if !fault.Is(err, fault.TuplesMustFitTheSchema) {
		t.Fatal(err)
	}
	if others := fault.Of(err).Others; len(others) != 1 || others[0].Code != fault.NotInSchema || others[0].Details["count"] != "2" {
		t.Errorf("conflicts are %v", others)
	}
	if f.check("doc:d#view@user:ana") != engine.Granted {
		t.Error("the refused schema is in force")
	}
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	var at rel.Snapshot
	t.Run("write", func(t *testing.T) {
		f := open(t, dir)
		f.schema(drive)
		at = f.mustWrite("touch doc:d#viewer@user:ana")
	})
	f := open(t, dir)
	if f.store.Head() != at {
		t.Errorf("head is %+v, want %+v", f.store.Head(), at)
	}
	if f.check("doc:d#view@user:ana") != engine.Granted {
		t.Error("the tuple is gone")
	}
	if next := f.mustWrite("touch doc:d#viewer@user:bob"); next.Revision != at.Revision+1 {
		t.Errorf("revision %d follows %d", next.Revision, at.Revision)
	}
}
