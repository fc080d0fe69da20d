package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

func faultOf(t testing.TB, err error) *fault.Fault {
	t.Helper()
	f := fault.Of(err)
	if f == nil {
		t.Fatalf("got %v, want a fault", err)
	}
	return f
}

func text(t *pembav1.Tuple) string {
	return t.GetObject() + "#" + t.GetRelation() + "@" + t.GetSubject()
}

func TestWriteAnswersTheNetChange(t *testing.T) {
	w := newWorld(t)
	answer, err := w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: []*pembav1.Update{
		create(tuple("team:new", "lead", "user:ana")),
		touch(tuple("team:new", "lead", "user:ana")),
		touch(tuple("team:core", "member", "team:sub#member")), // is there
		deleteTuple(key("project:p1", "viewer", "link:l1")),
		deleteTuple(key("project:p1", "viewer", "link:l2")), // is not there
	}})
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, c := range answer.GetChanges() {
		changes = append(changes, strings.TrimPrefix(c.GetOperation().String(), "OPERATION_")+" "+text(c.GetTuple()))
	}
	if want := []string{"DELETED project:p1#viewer@link:l1", "CREATED team:new#lead@user:ana"}; !slices.Equal(changes, want) {
		t.Errorf("got %q", changes)
	}
	if answer.GetCreatedCount() != 1 || answer.GetDeletedCount() != 1 || answer.GetTouchedCount() != 0 || answer.GetChangesCut() || answer.GetSnapshot() == "" {
		t.Errorf("got %v", answer)
	}

	again, err := w.tuples.Write(t.Context(), goodWrite(touch(tuple("team:new", "lead", "user:ana"))))
	if err != nil {
		t.Fatal(err)
	}
	if again.GetSnapshot() != answer.GetSnapshot() || len(again.GetChanges()) != 0 {
		t.Errorf("a write without a net change answered %v", again)
	}
	fresh := &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: answer.GetSnapshot()}}
	check, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Consistency: fresh, Object: "team:new", Permission: "lead", Subject: "user:ana"})
	if err != nil || !check.GetGranted() || check.GetSnapshot() != answer.GetSnapshot() {
		t.Errorf("got %v, %v", check, err)
	}
}

func TestManyChangesAreCutAndCounted(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 1000)
	updates := make([]*pembav1.Update, updatesMax)
	for i := range updates {
		updates[i] = create(tuple(fmt.Sprintf("team:%d%s", i, long), "lead", "user:"+long))
	}
	answer, err := w.tuples.Write(t.Context(), goodWrite(updates...))
	if err != nil {
		t.Fatal(err)
	}
	if !answer.GetChangesCut() || answer.GetCreatedCount() != updatesMax || proto.Size(answer) > changesBytesMax+10_000 || len(answer.GetChanges()) < 400 {
		t.Errorf("cut %v, %d of %d, %d bytes", answer.GetChangesCut(), len(answer.GetChanges()), answer.GetCreatedCount(), proto.Size(answer))
	}

	many := service.WriteAnswer{Changes: make([]rel.Change, changesMax+1), Touched: changesMax + 1}
	for i := range many.Changes {
		many.Changes[i] = rel.Change{Op: rel.Touch, Tuple: rel.Tuple{Key: rel.Key{Relation: "x"}}}
	}
	if r := writeResponse(many); !r.GetChangesCut() || len(r.GetChanges()) != changesMax || r.GetTouchedCount() != changesMax+1 {
		t.Errorf("%d changes, cut %v", len(r.GetChanges()), r.GetChangesCut())
	}
	many.Changes, many.Touched = many.Changes[:changesMax], changesMax
	if r := writeResponse(many); r.GetChangesCut() || len(r.GetChanges()) != changesMax {
		t.Errorf("%d changes, cut %v", len(r.GetChanges()), r.GetChangesCut())
	}
}

func TestARefusedWriteNamesRuleFieldAndTuple(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name    string
		request *pembav1.WriteRequest
		code    codes.Code
		reason  string
		fields  []string
	}{
		{
			"not in the schema", goodWrite(touch(tuple("project:p1", "viewr", "user:x")), deleteTuple(key("project:p1", "view", "user:x")), create(tuple("project:p1", "banned", "team:core#member"))),
			codes.FailedPrecondition, "NOT_IN_SCHEMA",
			[]string{"updates[0].touch", "updates[1].delete_tuple", "updates[2].create"},
		},
		{
			"exists", goodWrite(touch(tuple("team:x", "lead", "user:x")), create(tuple("project:p1", "viewer", "link:l1"))),
			codes.AlreadyExists, "ALREADY_EXISTS",
			[]string{"updates[1].create"},
		},
		{
			"a filter must match", withPreconditions(mustMatch(nil), mustMatch(&pembav1.TupleFilter{ObjectType: "team", ObjectId: "nowhere"})),
			codes.FailedPrecondition, "PRECONDITION_MUST_HOLD",
			[]string{"preconditions[1]"},
		},
		{
			"a filter must not match", withPreconditions(&pembav1.Precondition{Condition: &pembav1.Precondition_FilterMustNotMatch{FilterMustNotMatch: &pembav1.TupleFilter{Relation: "banned"}}}),
			codes.FailedPrecondition, "PRECONDITION_MUST_HOLD",
			[]string{"preconditions[0]"},
		},
		{
			"a permission must hold", withPreconditions(
				mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "edit", Subject: "user:ana"}),
				mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "edit", Subject: "user:mia", AdditionalSubjects: []string{"link:l1"}})),
			codes.FailedPrecondition, "PRECONDITION_MUST_HOLD",
			[]string{"preconditions[1]"},
		},
		{"a misspelt filter", withPreconditions(mustMatch(&pembav1.TupleFilter{ObjectType: "taem"})), codes.InvalidArgument, "TYPE_MUST_EXIST", []string{"preconditions[0]"}},
		{"one role", goodWrite(touch(tuple("organization:acme", "member", "user:ana"))), codes.FailedPrecondition, "ONE_ROLE_PER_SUBJECT", nil},
		{
			"upper bound", goodWrite(
				touch(tuple("project:p1", "banned", "user:a")), touch(tuple("project:p1", "banned", "user:b")), touch(tuple("project:p1", "banned", "user:c")),
				touch(tuple("project:p1", "reviewer", "user:a")), touch(tuple("project:p1", "reviewer", "user:b")), touch(tuple("project:p1", "reviewer", "user:c"))),
			codes.FailedPrecondition, "UPPER_BOUND_MUST_HOLD", nil,
		},
		{"lower bound", goodWrite(deleteTuple(key("organization:acme", "admin", "user:ana"))), codes.FailedPrecondition, "LOWER_BOUND_MUST_HOLD", nil},
		{"of", goodWrite(touch(tuple("project:p1", "reviewer", "user:z"))), codes.FailedPrecondition, "SUBJECT_MUST_BE_IN", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.tuples.Write(t.Context(), c.request)
			r := mustRefuse(t, err, c.code, c.reason)
			if !slices.Equal(r.fields(), c.fields) && len(r.fields())+len(c.fields) > 0 {
				t.Errorf("the violations are in %q", r.fields())
			}
		})
	}
}

func TestStoresAndSchemasMustExist(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	for _, request := range []proto.Message{
		goodCheck(func(*pembav1.CheckRequest) {}),
		&pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{{Object: "project:p1", Permission: "view", Subject: "user:ana"}}},
		&pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:ana"},
		goodObjects(func(*pembav1.ListObjectsRequest) {}),
		goodSubjects(func(*pembav1.ListSubjectsRequest) {}),
		goodWrite(touch(tuple("team:core", "lead", "user:ana"))),
		&pembav1.ReadTuplesRequest{},
		&pembav1.ReadSchemaRequest{},
	} {
		mustRefuse(t, w.send(t, request), codes.NotFound, "SCHEMA_MUST_EXIST")
		m := request.ProtoReflect()
		store := m.Descriptor().Fields().ByName("store")
		m.Set(store, m.NewField(store))
		elsewhere := proto.Clone(request).ProtoReflect()
		elsewhere.Set(store, protoString("elsewhere"))
		mustRefuse(t, w.send(t, elsewhere.Interface()), codes.NotFound, "STORE_MUST_EXIST")
	}
	mustRefuse(t, w.send(t, &pembav1.WriteSchemaRequest{Store: "elsewhere", Schema: worldSchema}), codes.NotFound, "STORE_MUST_EXIST")
}

func TestForeignAndFutureSnapshotsAreRefused(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	answer, err := other.permissions.Check(t.Context(), goodCheck(func(*pembav1.CheckRequest) {}))
	if err != nil {
		t.Fatal(err)
	}
	foreign := answer.GetSnapshot()
	if answer, err = w.permissions.Check(t.Context(), goodCheck(func(*pembav1.CheckRequest) {})); err != nil {
		t.Fatal(err)
	}
	here, err := rel.ParseSnapshot(answer.GetSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	here.Revision++
	future := here.Token()
	for _, c := range []struct{ snapshot, reason string }{
		{foreign, "SNAPSHOT_MUST_BE_OF_THIS_STORE"},
		{future, "SNAPSHOT_MUST_NOT_BE_OF_THE_FUTURE"},
	} {
		for _, consistency := range []*pembav1.Consistency{
			{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: c.snapshot}},
			{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: c.snapshot}},
		} {
			for _, request := range asking(consistency) {
				mustRefuse(t, w.send(t, request), codes.FailedPrecondition, c.reason)
			}
		}
	}
}

// asking is every question, of one state.
func asking(c *pembav1.Consistency) []proto.Message {
	return []proto.Message{
		goodCheck(func(r *pembav1.CheckRequest) { r.Consistency = c }),
		&pembav1.BatchCheckRequest{Consistency: c, Items: []*pembav1.BatchCheckItem{{}}},
		&pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:ana", Consistency: c},
		&pembav1.ExpandRequest{Object: "project:p1", Permission: "view", Consistency: c},
		goodObjects(func(r *pembav1.ListObjectsRequest) { r.Consistency = c }),
		goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Consistency = c }),
		&pembav1.ReadTuplesRequest{Consistency: c},
		&pembav1.ReadTuplesRequest{Consistency: c, CountOnly: true},
		&pembav1.ReadSchemaRequest{Consistency: c},
		&pembav1.DiffSchemaRequest{Consistency: c, Schema: worldSchema},
	}
}

// Times that no question can be asked of; the zero of Go's own times is one of them,
// and not the absence of a time.
func TestTimesThatAreNotOfTheHistoryAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		at     time.Time
		code   codes.Code
		reason string
	}{
		{time.Now().Add(time.Hour), codes.FailedPrecondition, "SNAPSHOT_MUST_NOT_BE_OF_THE_FUTURE"},
		{time.Now().Add(-time.Hour), codes.OutOfRange, "SNAPSHOT_MUST_BE_WITHIN_HISTORY"},
		{time.Time{}, codes.OutOfRange, "SNAPSHOT_MUST_BE_WITHIN_HISTORY"},
	} {
		for _, request := range asking(&pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: timestamppb.New(c.at)}}) {
			mustRefuse(t, w.send(t, request), c.code, c.reason)
		}
	}
	for _, request := range asking(&pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: timestamppb.Now()}}) {
		if err := w.send(t, request); err != nil {
			t.Errorf("%T of now: %v", request, err)
		}
	}
}

// A snapshot is answered of as it was, and the answer names it.
func TestAnExactSnapshotIsAnsweredAsItWas(t *testing.T) {
	w := newWorld(t)
	before, err := w.permissions.Check(t.Context(), goodCheck(func(*pembav1.CheckRequest) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.tuples.Write(t.Context(), goodWrite(touch(tuple("project:p1", "banned", "user:eve")))); err != nil {
		t.Fatal(err)
	}
	exact := &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: before.GetSnapshot()}}
	asked := &pembav1.CheckRequest{Object: "project:p1", Permission: "edit", Subject: "user:eve"}
	if answer, err := w.permissions.Check(t.Context(), asked); err != nil || answer.GetGranted() {
		t.Errorf("now: %v, %v", answer.GetResult(), err)
	}
	asked.Consistency = exact
	answer, err := w.permissions.Check(t.Context(), asked)
	if err != nil || !answer.GetGranted() || answer.GetSnapshot() != before.GetSnapshot() {
		t.Errorf("before: %v at %s, %v", answer.GetResult(), answer.GetSnapshot(), err)
	}
}

func TestPagesTogetherAreComplete(t *testing.T) {
	w := newWorld(t)
	all := strings.Fields(worldTuples)
	slices.Sort(all)
	for size := range uint32(len(all) + 2) {
		request := &pembav1.ReadTuplesRequest{PageSize: size}
		var got []string
		snapshot := ""
		for page := 0; ; page++ {
			answer, err := w.tuples.ReadTuples(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if snapshot != "" && answer.GetSnapshot() != snapshot {
				t.Errorf("page %d is of another snapshot", page)
			}
			snapshot = answer.GetSnapshot()
			for _, x := range answer.GetTuples() {
				got = append(got, text(x))
			}
			if size == 3 { // what is written meanwhile is on no page
				_, err := w.tuples.Write(t.Context(), goodWrite(touch(tuple("zoo:z", "member", "user:z"))))
				mustRefuse(t, err, codes.FailedPrecondition, "NOT_IN_SCHEMA")
			}
			if request.PageToken = answer.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, all) {
			t.Errorf("size %d: got %q", size, got)
		}
	}
}

func TestPagesAreOfTheFirstPagesSnapshot(t *testing.T) {
	w := newWorld(t)
	filter := &pembav1.TupleFilter{ObjectType: "project"}
	first, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Filter: filter, PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.tuples.Write(t.Context(), goodWrite(touch(tuple("project:p1", "viewer", "user:late")), deleteTuple(key("project:p1", "viewer", "link:l1")))); err != nil {
		t.Fatal(err)
	}
	second, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Filter: filter, PageSize: 100, PageToken: first.GetNextPageToken()})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(first.GetTuples()) + len(second.GetTuples()); n != 6 || second.GetSnapshot() != first.GetSnapshot() {
		t.Errorf("%d tuples at %s and %s", n, first.GetSnapshot(), second.GetSnapshot())
	}

	other := newWorld(t)
	for _, c := range []struct {
		name    string
		world   *world
		request *pembav1.ReadTuplesRequest
		code    codes.Code
		reason  string
	}{
		{"other filter", w, &pembav1.ReadTuplesRequest{PageSize: 2}, codes.InvalidArgument, "PAGE_TOKEN_MUST_FIT_THE_REQUEST"},
		{"relation empty, not unset", w, &pembav1.ReadTuplesRequest{Filter: &pembav1.TupleFilter{ObjectType: "project", SubjectRelation: proto.String("")}}, codes.InvalidArgument, "PAGE_TOKEN_MUST_FIT_THE_REQUEST"},
		{"other consistency", w, &pembav1.ReadTuplesRequest{Filter: filter, Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: first.GetSnapshot()}}}, codes.InvalidArgument, "PAGE_TOKEN_MUST_FIT_THE_REQUEST"},
		{"other store", other, &pembav1.ReadTuplesRequest{Filter: filter}, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE"},
	} {
		c.request.PageToken = first.GetNextPageToken()
		_, err := c.world.tuples.ReadTuples(t.Context(), c.request)
		t.Run(c.name, func(t *testing.T) { mustRefuse(t, err, c.code, c.reason) })
	}
	same := &pembav1.ReadTuplesRequest{Store: "default", Filter: filter, Consistency: &pembav1.Consistency{}, PageToken: first.GetNextPageToken()}
	if _, err := w.tuples.ReadTuples(t.Context(), same); err != nil {
		t.Errorf("the same request, written otherwise: %v", err)
	}
}

func TestReadTuplesSelectsAndCounts(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		filter *pembav1.TupleFilter
		count  int
	}{
		{nil, 10},
		{&pembav1.TupleFilter{}, 10},
		{&pembav1.TupleFilter{ObjectType: "project", ObjectId: "p1"}, 6},
		{&pembav1.TupleFilter{ObjectType: "project", ObjectIdPrefix: "p"}, 6},
		{&pembav1.TupleFilter{ObjectType: "project", ObjectIdPrefix: "q"}, 0},
		{&pembav1.TupleFilter{Relation: "editor"}, 2},
		{&pembav1.TupleFilter{SubjectType: "user", SubjectId: "bad"}, 2},
		{&pembav1.TupleFilter{SubjectType: "team"}, 2},
		{&pembav1.TupleFilter{SubjectType: "team", SubjectRelation: proto.String("")}, 0},
		{&pembav1.TupleFilter{SubjectType: "team", SubjectId: "sub", SubjectRelation: proto.String("member")}, 1},
		{&pembav1.TupleFilter{SubjectRelation: proto.String("")}, 8},
	} {
		list, err := w.tuples.ReadTuples(t.Context(), readWith(c.filter))
		if err != nil {
			t.Fatal(err)
		}
		count, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Filter: c.filter, CountOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.GetTuples()) != c.count || count.GetCount() != uint64(c.count) || len(count.GetTuples()) != 0 || list.GetCount() != 0 || list.GetSnapshot() == "" {
			t.Errorf("%v: %d tuples, count %d, want %d", c.filter, len(list.GetTuples()), count.GetCount(), c.count)
		}
	}
	for _, c := range []struct {
		filter *pembav1.TupleFilter
		reason string
	}{
		{&pembav1.TupleFilter{ObjectType: "projekt"}, "TYPE_MUST_EXIST"},
		{&pembav1.TupleFilter{Relation: "viewr"}, "NAME_MUST_EXIST"},
		{&pembav1.TupleFilter{ObjectType: "project", Relation: "view"}, "NAME_MUST_EXIST"},
		{&pembav1.TupleFilter{SubjectType: "usr"}, "TYPE_MUST_EXIST"},
		{&pembav1.TupleFilter{SubjectType: "team", SubjectRelation: proto.String("membr")}, "NAME_MUST_EXIST"},
	} {
		_, err := w.tuples.ReadTuples(t.Context(), readWith(c.filter))
		mustRefuse(t, err, codes.InvalidArgument, c.reason)
	}
}

// A page of long tuples is shorter than was asked for, and none is lost.
func TestALargePageFitsAMessage(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 1000)
	const batches = 2
	for batch := range batches {
		updates := make([]*pembav1.Update, updatesMax)
		for i := range updates {
			updates[i] = create(tuple(fmt.Sprintf("team:%d-%d-%s", i, batch, long), "lead", "user:"+long))
		}
		if _, err := w.tuples.Write(t.Context(), goodWrite(updates...)); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	request := &pembav1.ReadTuplesRequest{Filter: &pembav1.TupleFilter{ObjectType: "team", Relation: "lead"}, PageSize: 10_000}
	pages := 0
	for {
		answer, err := w.tuples.ReadTuples(t.Context(), request) // the client takes 4 MiB
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, x := range answer.GetTuples() {
			seen[x.GetObject()] = true
		}
		if request.PageToken = answer.GetNextPageToken(); request.GetPageToken() == "" {
			break
		}
	}
	if len(seen) != batches*updatesMax || pages != 2 {
		t.Errorf("%d tuples on %d pages", len(seen), pages)
	}
}
