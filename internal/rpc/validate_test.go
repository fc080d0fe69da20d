package rpc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

// send asks whatever RPC takes this request.
func (w *world) send(t testing.TB, request proto.Message) error {
	t.Helper()
	var err error
	switch r := request.(type) {
	case *pembav1.CheckRequest:
		_, err = w.permissions.Check(t.Context(), r)
	case *pembav1.BatchCheckRequest:
		_, err = w.permissions.BatchCheck(t.Context(), r)
	case *pembav1.EffectiveAccessRequest:
		_, err = w.permissions.EffectiveAccess(t.Context(), r)
	case *pembav1.WriteRequest:
		_, err = w.tuples.Write(t.Context(), r)
	case *pembav1.ReadTuplesRequest:
		_, err = w.tuples.ReadTuples(t.Context(), r)
	case *pembav1.WriteSchemaRequest:
		_, err = w.schemas.WriteSchema(t.Context(), r)
	case *pembav1.ReadSchemaRequest:
		_, err = w.schemas.ReadSchema(t.Context(), r)
	case *pembav1.ExpandRequest:
		_, err = w.permissions.Expand(t.Context(), r)
	case *pembav1.ListObjectsRequest:
		_, err = w.permissions.ListObjects(t.Context(), r)
	case *pembav1.ListSubjectsRequest:
		_, err = w.permissions.ListSubjects(t.Context(), r)
	case *pembav1.DiffSchemaRequest:
		_, err = w.schemas.DiffSchema(t.Context(), r)
	default:
		t.Fatalf("no RPC takes %T", request)
	}
	return err
}

func goodCheck(change func(*pembav1.CheckRequest)) *pembav1.CheckRequest {
	r := &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"}
	change(r)
	return r
}

func goodWrite(updates ...*pembav1.Update) *pembav1.WriteRequest {
	return &pembav1.WriteRequest{Updates: updates}
}

func withPreconditions(p ...*pembav1.Precondition) *pembav1.WriteRequest {
	return &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(tuple("team:core", "lead", "user:ana"))}, Preconditions: p}
}

func mustMatch(f *pembav1.TupleFilter) *pembav1.Precondition {
	return &pembav1.Precondition{Condition: &pembav1.Precondition_FilterMustMatch{FilterMustMatch: f}}
}

func mustHold(c *pembav1.PermissionCondition) *pembav1.Precondition {
	return &pembav1.Precondition{Condition: &pembav1.Precondition_PermissionMustHold{PermissionMustHold: c}}
}

func readWith(f *pembav1.TupleFilter) *pembav1.ReadTuplesRequest {
	return &pembav1.ReadTuplesRequest{Filter: f}
}

func subjects(n int, text string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// A refused request, and what is said of it: "FIELD REASON" for each violation.
type refused struct {
	name    string
	request proto.Message
	want    []string
}

const (
	missing  = "FIELD_MUST_BE_SET"
	unwanted = "FIELD_MUST_NOT_BE_SET"
	bounds   = "FIELD_MUST_BE_WITHIN_BOUNDS"
)

func refusedQuestions() []refused {
	return []refused{
		{"nothing", &pembav1.CheckRequest{}, []string{"object " + missing, "permission " + missing, "subject " + missing}},
		{"nothing of access", &pembav1.EffectiveAccessRequest{}, []string{"object " + missing, "subject " + missing}},
		{"a store", goodCheck(func(r *pembav1.CheckRequest) { r.Store = "Default" }), []string{"store STORE_NAME_MUST_BE_VALID"}},
		{"a long store", goodCheck(func(r *pembav1.CheckRequest) { r.Store = strings.Repeat("a", 65) }), []string{"store STORE_NAME_MUST_BE_VALID"}},
		{"an object without a type", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "p1" }), []string{"object OBJECT_MUST_HAVE_TYPE"}},
		{"an object of no type's name", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "Project:p1" }), []string{"object TYPE_NAME_MUST_BE_VALID"}},
		{"an object without an id", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "project:" }), []string{"object ID_MUST_BE_VALID"}},
		{"an object with a long id", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "project:" + strings.Repeat("x", 1025) }), []string{"object ID_MUST_BE_VALID"}},
		{"a userset as object", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "team:core#member" }), []string{"object ID_MUST_BE_VALID"}},
		{"a wildcard as object", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "project:*" }), []string{"object OBJECT_MUST_BE_CONCRETE"}},
		{"a control character", goodCheck(func(r *pembav1.CheckRequest) { r.Object = "project:\x07" }), []string{"object ID_MUST_BE_VALID"}},
		{"a name", goodCheck(func(r *pembav1.CheckRequest) { r.Permission = "View" }), []string{"permission NAME_MUST_BE_VALID"}},
		{"a long name", goodCheck(func(r *pembav1.CheckRequest) { r.Permission = strings.Repeat("v", 65) }), []string{"permission NAME_MUST_BE_VALID"}},
		{"a subject without a type", goodCheck(func(r *pembav1.CheckRequest) { r.Subject = "ana" }), []string{"subject OBJECT_MUST_HAVE_TYPE"}},
		{"a subject with an empty relation", goodCheck(func(r *pembav1.CheckRequest) { r.Subject = "team:core#" }), []string{"subject NAME_MUST_BE_VALID"}},
		{"a wildcard as subject", goodCheck(func(r *pembav1.CheckRequest) { r.Subject = "user:*" }), []string{"subject SUBJECT_MUST_BE_CONCRETE"}},
		{
			"what is presented",
			goodCheck(func(r *pembav1.CheckRequest) { r.AdditionalSubjects = []string{"link:l1", "", "user:*", "x"} }),
			[]string{"additional_subjects[1] OBJECT_MUST_HAVE_TYPE", "additional_subjects[2] SUBJECT_MUST_BE_CONCRETE", "additional_subjects[3] OBJECT_MUST_HAVE_TYPE"},
		},
		{"too much is presented", goodCheck(func(r *pembav1.CheckRequest) { r.AdditionalSubjects = subjects(100, "link:l1") }), []string{"additional_subjects " + bounds}},

		{"a snapshot", goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "yesterday"}}
		}), []string{"consistency.at_least_as_fresh SNAPSHOT_MUST_BE_READABLE"}},
		{"an empty snapshot", goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{}}
		}), []string{"consistency.at_least_as_fresh SNAPSHOT_MUST_BE_READABLE"}},
		{"an exact snapshot", goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: "yesterday"}}
		}), []string{"consistency.at_exact_snapshot SNAPSHOT_MUST_BE_READABLE"}},
		{"no time", goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: &timestamppb.Timestamp{Nanos: -1}}}
		}), []string{"consistency.at_time " + bounds}},
		{"not fully consistent", goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{}}
		}), []string{"consistency.fully_consistent " + bounds}},
		{"not minimal", &pembav1.ReadSchemaRequest{Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_MinimizeLatency{}}}, []string{"consistency.minimize_latency " + bounds}},

		{"nothing of a tree", &pembav1.ExpandRequest{}, []string{"object " + missing, "permission " + missing}},
		{"a deep tree", &pembav1.ExpandRequest{Object: "project:p1", Permission: "view", MaxDepth: 26}, []string{"max_depth " + bounds}},
		{"a deeper tree", &pembav1.ExpandRequest{Object: "project:*", Permission: "View", MaxDepth: 1<<32 - 1}, []string{"object OBJECT_MUST_BE_CONCRETE", "permission NAME_MUST_BE_VALID", "max_depth " + bounds}},

		{"an empty batch", &pembav1.BatchCheckRequest{}, []string{"items " + missing}},
		{"a long batch", &pembav1.BatchCheckRequest{Store: "!", Items: make([]*pembav1.BatchCheckItem, 1001)}, []string{"store STORE_NAME_MUST_BE_VALID", "items " + bounds}},
	}
}

func refusedWrites() []refused {
	return []refused{
		{"an empty write", &pembav1.WriteRequest{}, []string{"updates " + missing}},
		{"a long write", goodWrite(make([]*pembav1.Update, 1001)...), []string{"updates " + bounds}},
		{"an update without an operation", goodWrite(touch(tuple("team:core", "lead", "user:ana")), &pembav1.Update{}), []string{"updates[1] " + missing}},
		{
			"updates",
			goodWrite(
				create(tuple("", "", "")), touch(tuple("team", "Lead", "ana")), deleteTuple(key("team:*", "lead", "team:core#Member")),
				create(nil), touch(tuple("team:core", "lead", "user:*#lead")),
			),
			[]string{
				"updates[0].create.object " + missing, "updates[0].create.relation " + missing, "updates[0].create.subject " + missing,
				"updates[1].touch.object OBJECT_MUST_HAVE_TYPE", "updates[1].touch.relation NAME_MUST_BE_VALID", "updates[1].touch.subject OBJECT_MUST_HAVE_TYPE",
				"updates[2].delete_tuple.object OBJECT_MUST_BE_CONCRETE", "updates[2].delete_tuple.subject NAME_MUST_BE_VALID",
				"updates[3].create.object " + missing, "updates[3].create.relation " + missing, "updates[3].create.subject " + missing,
				"updates[4].touch.subject SUBJECT_MUST_BE_CONCRETE",
			},
		},
		{"many preconditions", withPreconditions(make([]*pembav1.Precondition, 101)...), []string{"preconditions " + bounds}},
		{
			"preconditions",
			withPreconditions(
				mustMatch(&pembav1.TupleFilter{ObjectType: "X"}), &pembav1.Precondition{}, mustHold(nil),
				mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "view", Subject: "user:*", AdditionalSubjects: []string{"x"}}),
			),
			[]string{
				"preconditions[0].filter_must_match.object_type TYPE_NAME_MUST_BE_VALID",
				"preconditions[1] " + missing,
				"preconditions[2].permission_must_hold.object " + missing, "preconditions[2].permission_must_hold.permission " + missing, "preconditions[2].permission_must_hold.subject " + missing,
				"preconditions[3].permission_must_hold.subject SUBJECT_MUST_BE_CONCRETE", "preconditions[3].permission_must_hold.additional_subjects[0] OBJECT_MUST_HAVE_TYPE",
			},
		},
	}
}

func refusedReads() []refused {
	return []refused{
		{
			"every part of a filter",
			readWith(&pembav1.TupleFilter{
				ObjectType: "Project", ObjectId: "#", ObjectIdPrefix: " ", Relation: "!", SubjectType: "-", SubjectId: "[", SubjectRelation: proto.String("..."),
			}),
			[]string{
				"filter.object_type TYPE_NAME_MUST_BE_VALID", "filter.object_id ID_MUST_BE_VALID", "filter.object_id_prefix ID_MUST_BE_VALID", "filter.relation NAME_MUST_BE_VALID",
				"filter.subject_type TYPE_NAME_MUST_BE_VALID", "filter.subject_id ID_MUST_BE_VALID", "filter.subject_relation NAME_MUST_BE_VALID",
			},
		},
		{"an id without a type", readWith(&pembav1.TupleFilter{ObjectId: "p1"}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"a prefix without a type", readWith(&pembav1.TupleFilter{ObjectIdPrefix: "p"}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"id and prefix", readWith(&pembav1.TupleFilter{ObjectType: "project", ObjectId: "p1", ObjectIdPrefix: "p"}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"a wildcard id", readWith(&pembav1.TupleFilter{ObjectType: "project", ObjectId: "*"}), []string{"filter.object_id OBJECT_MUST_BE_CONCRETE"}},
		{"a subject id without a type", readWith(&pembav1.TupleFilter{SubjectId: "ana"}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"a subject relation without a type", readWith(&pembav1.TupleFilter{SubjectRelation: proto.String("member")}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"a wildcard with a relation", readWith(&pembav1.TupleFilter{SubjectType: "team", SubjectId: "*", SubjectRelation: proto.String("member")}), []string{"filter FILTER_MUST_BE_READABLE"}},
		{"a long prefix", readWith(&pembav1.TupleFilter{ObjectType: "project", ObjectIdPrefix: strings.Repeat("p", 1025)}), []string{"filter.object_id_prefix ID_MUST_BE_VALID"}},
		{"a large page", &pembav1.ReadTuplesRequest{PageSize: 10_001}, []string{"page_size " + bounds}},
		{"a larger page", &pembav1.ReadTuplesRequest{PageSize: 1<<32 - 1}, []string{"page_size " + bounds}},
		{"a page of a count", &pembav1.ReadTuplesRequest{CountOnly: true, PageToken: "x"}, []string{"page_token " + unwanted}},
		{"a page token", &pembav1.ReadTuplesRequest{PageToken: "!"}, []string{"page_token PAGE_TOKEN_MUST_BE_READABLE"}},
		{"a huge page token", &pembav1.ReadTuplesRequest{PageToken: strings.Repeat("a", 1<<20)}, []string{"page_token PAGE_TOKEN_MUST_BE_READABLE"}},

		{"no schema", &pembav1.WriteSchemaRequest{}, []string{"schema " + missing}},
		{"no new schema", &pembav1.DiffSchemaRequest{OldSchema: proto.String("")}, []string{"schema " + missing}},
		{"a store beside two texts", &pembav1.DiffSchemaRequest{
			Schema: worldSchema, OldSchema: proto.String(worldSchema), Store: "default",
			Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{FullyConsistent: true}},
		}, []string{"store " + unwanted, "consistency " + unwanted}},
		{"a huge schema of two", &pembav1.DiffSchemaRequest{Schema: strings.Repeat("\n", 1<<20+1)}, []string{"schema SCHEMA_MUST_STAY_WITHIN_BOUNDS"}},
		{"a huge old schema", &pembav1.DiffSchemaRequest{Schema: worldSchema, OldSchema: proto.String(strings.Repeat("\n", 1<<20+1))}, []string{"old_schema SCHEMA_MUST_STAY_WITHIN_BOUNDS"}},
		{"a huge schema", &pembav1.WriteSchemaRequest{Schema: strings.Repeat("\n", 1<<20+1)}, []string{"schema SCHEMA_MUST_STAY_WITHIN_BOUNDS"}},
	}
}

func TestRequestsAreRefusedFieldByField(t *testing.T) {
	w := newWorld(t)
	for _, c := range slices.Concat(refusedQuestions(), refusedWrites(), refusedReads(), refusedLists(), refusedAttributes(), refusedActors()) {
		t.Run(c.name, func(t *testing.T) {
			r := refusalOf(t, w.send(t, c.request))
			if r.code != codes.InvalidArgument {
				t.Errorf("the code is %v: %s", r.code, r.message)
			}
			var got []string
			for _, v := range r.violations {
				got = append(got, v.GetField()+" "+v.GetReason())
				if v.GetDescription() == "" {
					t.Errorf("%v says nothing", v)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// What is at its bound is accepted.
func TestBoundsAreInside(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", rel.IDBytesMax)
	updates := make([]*pembav1.Update, updatesMax)
	for i := range updates {
		updates[i] = touch(tuple(fmt.Sprintf("team:t%d", i), "lead", "user:"+long))
	}
	preconditions := make([]*pembav1.Precondition, preconditionsMax)
	for i := range preconditions {
		preconditions[i] = mustMatch(nil)
	}
	items := make([]*pembav1.BatchCheckItem, batchItemsMax)
	for i := range items {
		items[i] = &pembav1.BatchCheckItem{Object: "project:p1", Permission: "view", Subject: "user:ana"}
	}
	comment := "// " + strings.Repeat("x", 1<<20-len(worldSchema)-4) + "\n"
	for _, request := range []proto.Message{
		goodCheck(func(r *pembav1.CheckRequest) {
			r.AdditionalSubjects = subjects(99, "link:l1")
			r.Object = "project:" + long
		}),
		goodCheck(func(r *pembav1.CheckRequest) { r.Consistency = &pembav1.Consistency{}; r.Context = &structpb.Struct{} }),
		goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{FullyConsistent: true}}
		}),
		goodCheck(func(r *pembav1.CheckRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_MinimizeLatency{MinimizeLatency: true}}
		}),
		goodCheck(func(r *pembav1.CheckRequest) { r.Subject = "team:core#..."; r.Store = "default" }),
		&pembav1.BatchCheckRequest{Items: items},
		&pembav1.WriteRequest{Updates: updates, Preconditions: preconditions},
		&pembav1.ReadTuplesRequest{PageSize: 10_000},
		&pembav1.ReadTuplesRequest{CountOnly: true, PageSize: 10_001}, // means nothing
		readWith(&pembav1.TupleFilter{SubjectType: "user", SubjectId: "*", SubjectRelation: proto.String("")}),
		readWith(&pembav1.TupleFilter{SubjectRelation: proto.String("")}),
		goodObjects(func(r *pembav1.ListObjectsRequest) { r.IdPrefix, r.PageSize = long, 10_000 }),
		goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Object, r.PageSize = "project:"+long, 10_000 }),
		&pembav1.WriteSchemaRequest{Schema: worldSchema + comment, ExpectedVersion: proto.Uint64(1)},
	} {
		if err := w.send(t, request); err != nil {
			text := request.(fmt.Stringer).String()
			t.Errorf("%.200s: %v", text, err)
		}
	}
}

func TestARequestThatIsWrongThroughoutIsBoundedAndNamesTheGravest(t *testing.T) {
	updates := make([]*pembav1.Update, updatesMax)
	for i := range updates {
		updates[i] = create(tuple("x", "X", "x"))
	}
	updates[updatesMax-1] = &pembav1.Update{}
	// Each update but the last has three faults.
	const all = 3*(updatesMax-1) + 1
	_, err := writeCommand(goodWrite(updates...))
	f := faultOf(t, err)
	if f.Code.Reason() != "FIELD_MUST_BE_SET" || f.Field != "updates[999]" || len(f.All()) != violationsMax {
		t.Errorf("got %v in %s, %d in all", f.Code, f.Field, len(f.All()))
	}
	r := refusalOf(t, failureOf(err).status().Err())
	if !strings.HasSuffix(r.message, fmt.Sprintf(" (and %d more)", all-1)) {
		t.Errorf("the message is %q", r.message)
	}
	if omitted, _ := strconv.Atoi(r.metadata["violations_omitted"]); len(r.violations)+omitted != all || len(r.violations) == 0 {
		t.Errorf("%d violations are shown, %d omitted, of %d", len(r.violations), omitted, all)
	}
	item := failureOf(err).item()
	if item.GetMessage() != r.message || item.GetMetadata()["violations_omitted"] != strconv.Itoa(all-itemViolationsMax) {
		t.Errorf("as an item: %v", item.GetMetadata())
	}
}

// What is wrong with a part of a reference is said of the reference.
func TestAViolationNamesWhatWasSent(t *testing.T) {
	w := newWorld(t)
	long := "project:" + strings.Repeat("x", 1025)
	for _, c := range []struct {
		request proto.Message
		want    string // how it begins
	}{
		{goodCheck(func(r *pembav1.CheckRequest) { r.Object = "project:" }), `object "project:": an id is empty; `},
		{goodCheck(func(r *pembav1.CheckRequest) { r.Object = "Project:p1" }), `object "Project:p1": "Project" is not a type name; `},
		{goodCheck(func(r *pembav1.CheckRequest) { r.Object = long }), `object "` + long[:80] + `"…: an id of 1025 bytes is too long; `},
		{goodCheck(func(r *pembav1.CheckRequest) { r.Object = "p1" }), `object "p1" has no ':'; `},
		{goodCheck(func(r *pembav1.CheckRequest) { r.AdditionalSubjects = []string{"link:l1", "user:"} }), `additional_subjects[1] "user:": an id is empty; `},
		{goodWrite(touch(tuple("team:core", "lead", "user:\x07"))), `updates[0].touch.subject "user:\a": id "\a" has the character U+0007; `},
	} {
		r := refusalOf(t, w.send(t, c.request))
		if len(r.violations) != 1 || !strings.HasPrefix(r.violations[0].GetDescription(), c.want) || !strings.HasPrefix(r.message, c.want) {
			t.Errorf("got %q, want %s", r.message, c.want)
		}
	}
}

// Who acts, and what goes with whom, is one subject and no wildcard; a context of
// the actor's is about somebody.
func refusedActors() []refused {
	revoke := func(subject, within string) proto.Message {
		return goodWrite(&pembav1.Update{Operation: &pembav1.Update_Revoke{Revoke: &pembav1.Revoke{Subject: subject, Within: within}}})
	}
	acted := func(actor string, context *structpb.Struct) proto.Message {
		r := goodWrite(touch(tuple("team:core", "lead", "user:ana")))
		r.Actor, r.ActorContext = actor, context
		return r
	}
	large := &structpb.Struct{Fields: map[string]*structpb.Value{"x": structpb.NewStringValue(strings.Repeat("x", 64<<10))}}
	return []refused{
		{"a wildcard acts", acted("user:*", nil), []string{"actor SUBJECT_MUST_BE_CONCRETE"}},
		{"no subject acts", acted("ana", nil), []string{"actor OBJECT_MUST_HAVE_TYPE"}},
		{"a context of nobody", acted("", &structpb.Struct{}), []string{"actor_context FIELD_MUST_NOT_BE_SET"}},
		{"a large context", acted("user:ana", large), []string{"actor_context " + bounds}},
		{"a schema of everybody", &pembav1.WriteSchemaRequest{Schema: worldSchema, Actor: "user:*"}, []string{"actor SUBJECT_MUST_BE_CONCRETE"}},
		{"nothing to revoke", revoke("", ""), []string{"updates[0].revoke.subject " + missing, "updates[0].revoke.within " + missing}},
		{"everybody to revoke", revoke("user:*", "project:*"), []string{"updates[0].revoke.subject SUBJECT_MUST_BE_CONCRETE", "updates[0].revoke.within OBJECT_MUST_BE_CONCRETE"}},
		{"nothing to assign", goodWrite(&pembav1.Update{Operation: &pembav1.Update_Assign{}}), []string{
			"updates[0].assign.object " + missing, "updates[0].assign.relation " + missing, "updates[0].assign.subject " + missing,
		}},
	}
}

// Every field of every request that is served is read; a field
// that somebody adds to a message must be looked at here.
func TestNoFieldIsForgotten(t *testing.T) {
	for _, c := range []struct {
		message proto.Message
		known   string
	}{
		{&pembav1.CheckRequest{}, "store consistency object permission subject additional_subjects context contextual_tuples explain"},
		{&pembav1.BatchCheckRequest{}, "store consistency items"},
		{&pembav1.BatchCheckItem{}, "object permission subject additional_subjects context contextual_tuples"},
		{&pembav1.EffectiveAccessRequest{}, "store consistency object subject additional_subjects context contextual_tuples explain include_grantable_roles"},
		{&pembav1.WriteRequest{}, "store updates preconditions actor actor_context metadata request_id dry_run"},
		{&pembav1.Update{}, "create touch assign delete_tuple delete_matching revoke delete_object"},
		{&pembav1.DeleteMatching{}, "filter limit allow_partial"},
		{&pembav1.DeleteObject{}, "object"},
		{&pembav1.Precondition{}, "filter_must_match filter_must_not_match permission_must_hold"},
		{&pembav1.PermissionCondition{}, "object permission subject additional_subjects context"},
		{&pembav1.ExpandRequest{}, "store consistency object permission max_depth"},
		{&pembav1.ListObjectsRequest{}, "store consistency object_type permission subject additional_subjects context contextual_tuples within min_role id_prefix include_conditional page_size page_token"},
		{&pembav1.ListSubjectsRequest{}, "store consistency object permission subject_type subject_relation context contextual_tuples include_conditional page_size page_token"},
		{&pembav1.Tuple{}, "object relation subject caveat expires_at"},
		{&pembav1.Caveat{}, "name context"},
		{&pembav1.TupleKey{}, "object relation subject"},
		{&pembav1.TupleFilter{}, "object_type object_id object_id_prefix relation subject_type subject_id subject_relation"},
		{&pembav1.Consistency{}, "minimize_latency at_least_as_fresh at_exact_snapshot at_time fully_consistent"},
		{&pembav1.ReadTuplesRequest{}, "store consistency filter count_only page_size page_token"},
		{&pembav1.WriteSchemaRequest{}, "store schema expected_version dry_run actor metadata"},
		{&pembav1.ReadSchemaRequest{}, "store consistency"},
		{&pembav1.DiffSchemaRequest{}, "store consistency schema old_schema"},
	} {
		var fields []string
		all := c.message.ProtoReflect().Descriptor().Fields()
		for i := range all.Len() {
			fields = append(fields, string(all.Get(i).Name()))
		}
		if got := strings.Join(fields, " "); got != c.known {
			t.Errorf("%T has the fields %s", c.message, got)
		}
	}
}
