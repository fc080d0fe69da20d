package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

func deleteMatching(f *pembav1.TupleFilter, limit uint32, partial bool) *pembav1.Update {
	return &pembav1.Update{Operation: &pembav1.Update_DeleteMatching{DeleteMatching: &pembav1.DeleteMatching{Filter: f, Limit: limit, AllowPartial: partial}}}
}

func deleteObject(object string) *pembav1.Update {
	return &pembav1.Update{Operation: &pembav1.Update_DeleteObject{DeleteObject: &pembav1.DeleteObject{Object: object}}}
}

func (w *world) mustWrite(t testing.TB, request *pembav1.WriteRequest) *pembav1.WriteResponse {
	t.Helper()
	answer, err := w.tuples.Write(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (w *world) count(t testing.TB, f *pembav1.TupleFilter) uint64 {
	t.Helper()
	answer, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Filter: f, CountOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetCount()
}

func TestFiltersAndObjectsAreDeleted(t *testing.T) {
	w := newWorld(t)
	members := &pembav1.TupleFilter{ObjectType: "team", ObjectId: "big", Relation: "lead"}
	updates := []*pembav1.Update{touch(tuple("team:other", "member", "team:big#member"))}
	for i := range 20 {
		updates = append(updates, touch(tuple("team:big", "lead", fmt.Sprintf("user:u%d", i))))
	}
	w.mustWrite(t, goodWrite(updates...))

	r := mustRefuse(t, w.send(t, goodWrite(deleteMatching(members, 19, false))), codes.FailedPrecondition, "MATCHES_MUST_STAY_WITHIN_LIMIT")
	if fields := r.fields(); !slices.Equal(fields, []string{"updates[0].delete_matching.filter"}) || !strings.Contains(r.message, "team:big#lead") {
		t.Errorf("the violations are in %q: %s", fields, r.message)
	}
	if n := w.count(t, members); n != 20 {
		t.Fatalf("%d are there after the refusal", n)
	}
	if a := w.mustWrite(t, goodWrite(deleteMatching(members, 15, true))); !a.GetPartial() || a.GetDeletedCount() != 15 || len(a.GetChanges()) != 15 || a.GetReplayed() {
		t.Errorf("got %v", a)
	}
	if a := w.mustWrite(t, goodWrite(deleteMatching(members, 15, true))); a.GetPartial() || a.GetDeletedCount() != 5 {
		t.Errorf("got %v", a)
	}
	if a := w.mustWrite(t, goodWrite(deleteObject("team:big"))); a.GetDeletedCount() != 1 || text(a.GetChanges()[0].GetTuple()) != "team:other#member@team:big#member" {
		t.Errorf("got %v", a)
	}
}

func TestFieldsOfAWriteAreBounded(t *testing.T) {
	w := newWorld(t)
	good := func(change func(*pembav1.WriteRequest)) *pembav1.WriteRequest {
		r := goodWrite(touch(tuple("team:core", "lead", "user:ana")))
		change(r)
		return r
	}
	many := map[string]string{}
	for i := range rel.MetadataEntriesMax + 1 {
		many[fmt.Sprint(i)] = "x"
	}
	withMetadata := func(m map[string]string) *pembav1.WriteRequest {
		return good(func(r *pembav1.WriteRequest) { r.Metadata = m })
	}
	withID := func(id string) *pembav1.WriteRequest {
		return good(func(r *pembav1.WriteRequest) { r.RequestId = id })
	}
	filter := &pembav1.TupleFilter{ObjectType: "team"}
	for _, c := range []struct {
		name          string
		request       *pembav1.WriteRequest
		reason, field string
	}{
		{"too many entries", withMetadata(many), "FIELD_MUST_BE_WITHIN_BOUNDS", "metadata"},
		{"an empty key", withMetadata(map[string]string{"": "x"}), "FIELD_MUST_BE_WITHIN_BOUNDS", "metadata"},
		{"a long key", withMetadata(map[string]string{strings.Repeat("k", rel.MetadataKeyBytesMax+1): "x"}), "FIELD_MUST_BE_WITHIN_BOUNDS", "metadata"},
		{"a long value", withMetadata(map[string]string{"k": strings.Repeat("v", rel.MetadataValueBytesMax+1)}), "FIELD_MUST_BE_WITHIN_BOUNDS", "metadata"},
		{"a long id", withID(strings.Repeat("i", rel.RequestIDBytesMax+1)), "FIELD_MUST_BE_WITHIN_BOUNDS", "request_id"},
		{"an id that a key cannot hold", withID("a\x00b"), "ID_MUST_BE_VALID", "request_id"},
		{"no filter", goodWrite(deleteMatching(nil, 0, false)), "FIELD_MUST_BE_SET", "updates[0].delete_matching.filter"},
		{"an empty filter", goodWrite(deleteMatching(&pembav1.TupleFilter{}, 0, false)), "FIELD_MUST_BE_SET", "updates[0].delete_matching.filter"},
		{"a filter that does not fit together", goodWrite(deleteMatching(&pembav1.TupleFilter{ObjectId: "x"}, 0, false)), "FILTER_MUST_BE_READABLE", "updates[0].delete_matching.filter"},
		{"a filter of no type name", goodWrite(deleteMatching(&pembav1.TupleFilter{ObjectType: "Team"}, 0, false)), "TYPE_NAME_MUST_BE_VALID", "updates[0].delete_matching.filter.object_type"},
		{"a filter of no type", goodWrite(deleteMatching(&pembav1.TupleFilter{ObjectType: "taem"}, 0, false)), "TYPE_MUST_EXIST", "updates[0].delete_matching.filter"},
		{"a filter of no relation", goodWrite(deleteMatching(&pembav1.TupleFilter{ObjectType: "team", Relation: "laed"}, 0, false)), "NAME_MUST_EXIST", "updates[0].delete_matching.filter"},
		{"a limit that is too high", goodWrite(deleteMatching(filter, rel.MatchingLimitMax+1, true)), "FIELD_MUST_BE_WITHIN_BOUNDS", "updates[0].delete_matching.limit"},
		{"no object", goodWrite(deleteObject("")), "FIELD_MUST_BE_SET", "updates[0].delete_object.object"},
		{"a wildcard", goodWrite(deleteObject("user:*")), "OBJECT_MUST_BE_CONCRETE", "updates[0].delete_object.object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustRefuse(t, w.send(t, c.request), codes.InvalidArgument, c.reason)
			if fields := r.fields(); !slices.Equal(fields, []string{c.field}) {
				t.Errorf("the violations are in %q", fields)
			}
		})
	}
	mustRefuse(t, w.send(t, goodWrite(deleteObject("taem:x"))), codes.FailedPrecondition, "NOT_IN_SCHEMA")
	full := map[string]string{}
	for i := range rel.MetadataEntriesMax {
		full[fmt.Sprintf("%064d", i)] = strings.Repeat("v", rel.MetadataValueBytesMax)
	}
	for _, request := range []*pembav1.WriteRequest{
		withMetadata(full), withID(strings.Repeat("i", rel.RequestIDBytesMax)), goodWrite(deleteMatching(&pembav1.TupleFilter{ObjectType: "team", ObjectId: "none"}, rel.MatchingLimitMax, false)),
	} {
		w.mustWrite(t, request)
	}
}

func TestARetryGetsTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	request := goodWrite(create(tuple("team:new", "lead", "user:ana")), deleteTuple(key("project:p1", "viewer", "link:l1")))
	request.RequestId = "4f0c2a9e"
	request.Metadata = map[string]string{"a": "1", "b": "2", "c": "3"}
	first := w.mustWrite(t, request)
	for range 5 { // a map goes over the wire in another order each time
		again := w.mustWrite(t, request)
		if !again.GetReplayed() {
			t.Error("it was written again")
		}
		again.Replayed = false
		if !proto.Equal(first, again) {
			t.Errorf("answered %v, then %v", first, again)
		}
	}
	request.Updates = request.Updates[:1]
	r := mustRefuse(t, w.send(t, request), codes.FailedPrecondition, "REQUEST_ID_MUST_NOT_BE_REUSED")
	if !slices.Equal(r.fields(), []string{"request_id"}) || !strings.Contains(r.message, "4f0c2a9e") {
		t.Errorf("the violations are in %q: %s", r.fields(), r.message)
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	request := goodWrite(create(tuple("team:new", "lead", "user:ana")))
	request.DryRun = true
	tried := w.mustWrite(t, request)
	if tried.GetCreatedCount() != 1 || len(tried.GetChanges()) != 1 || w.count(t, &pembav1.TupleFilter{ObjectType: "team", ObjectId: "new"}) != 0 {
		t.Errorf("got %v", tried)
	}
	request.DryRun = false
	written := w.mustWrite(t, request)
	if written.GetSnapshot() == tried.GetSnapshot() {
		t.Error("the snapshot that was judged has the write in it")
	}
	request.DryRun = true
	mustRefuse(t, w.send(t, request), codes.AlreadyExists, "ALREADY_EXISTS")
}
