package rpc

import (
	"context"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
)

// A target is the edge with its handlers and without a wire.
type target struct {
	methods []method
	edge    *edge
}

type method struct {
	name    string
	server  any
	handler grpc.MethodHandler
}

const fuzzSchema = "use expiration\n" + worldSchema + `
caveat office_hours(now int, opens int, closes int) { opens <= now && now < closes }
definition door {
  relation opener: user with office_hours | user with expiration | user with office_hours and expiration
  permission open = opener
}
`

const fuzzTuples = worldTuples + `
door:1#opener@user:ana[office_hours:{"opens":9}]
door:1#opener@user:eve[office_hours][expiration:2999-01-01T00:00:00Z]
`

func newTarget(t testing.TB) *target {
	s := newService(t, service.Config{})
	fill(t, s, fuzzSchema, fuzzTuples)
	// Schemas are written elsewhere, or soon no question would fit the schema.
	elsewhere := newService(t, service.Config{})
	e := &edge{log: discard, slow: slowCallDefault}
	target := &target{edge: e}
	add := func(desc grpc.ServiceDesc, server any) {
		for _, m := range desc.Methods {
			target.methods = append(target.methods, method{"/" + desc.ServiceName + "/" + m.MethodName, server, m.Handler})
		}
	}
	add(pembav1.PermissionService_ServiceDesc, &permissionServer{service: s, edge: e})
	add(pembav1.TupleService_ServiceDesc, &tupleServer{service: s})
	add(pembav1.SchemaService_ServiceDesc, &schemaServer{service: elsewhere})
	add(pembav1.StoreService_ServiceDesc, &storeServer{service: elsewhere})
	return target
}

// call sends a body to one of the unary RPCs, as the wire would. A panic is not
// recovered.
func (x *target) call(ctx context.Context, m method, body []byte) (any, error) {
	return m.handler(m.server, ctx, func(message any) error {
		return newRequestCodec().Unmarshal(raw(body).slice(), message)
	}, x.edge.unary)
}

// FuzzRequests sends bodies to every unary RPC. Whatever they are, nothing
// panics, no status is UNKNOWN or INTERNAL, every refusal has a reason, and no
// result is unspecified. What a body reaches depends on what others have written
// before, so there is nothing to minimise: run it with -fuzzminimizetime 1x.
func FuzzRequests(f *testing.F) {
	x := newTarget(f)
	number := make(map[string]uint8)
	for i, m := range x.methods {
		number[m.name] = uint8(i)
		f.Add(uint8(i), []byte(nil))
		f.Add(uint8(i), []byte{0x80})
	}
	seed := func(method string, request proto.Message) {
		body, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(number[method], body)
	}
	for _, r := range seeds(f) {
		seed(r.method, r.request)
	}
	f.Fuzz(func(t *testing.T, number uint8, body []byte) {
		m := x.methods[int(number)%len(x.methods)]
		answer, err := x.call(t.Context(), m, body)
		if err != nil {
			if code := status.Code(err); code == codes.Unknown || code == codes.Internal || code == codes.OK {
				t.Fatalf("%s: %v", m.name, err)
			}
			refusalOf(t, err)
			return
		}
		if wrong := unspecified(answer); wrong != "" {
			t.Fatalf("%s: %s in %v", m.name, wrong, answer)
		}
		if _, err := proto.Marshal(answer.(proto.Message)); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
	})
}

// unspecified finds what an answer must not say.
func unspecified(answer any) string {
	switch a := answer.(type) {
	case *pembav1.CheckResponse:
		if a.GetGranted() != (a.GetResult() == pembav1.Result_RESULT_GRANTED) {
			return "granted and result disagree"
		}
		if s := missingUnlessConditional(a.GetResult(), a.GetMissing()); s != "" {
			return s
		}
		return unspecifiedResult(a.GetResult(), a.GetExplanation())
	case *pembav1.ExpandResponse:
		return unspecifiedOperator(a.GetTree())
	case *pembav1.ListObjectsResponse:
		for _, o := range a.GetObjects() {
			if s := unspecifiedEntry(o.GetObject(), o.GetResult(), o.GetMissing()); s != "" {
				return s
			}
		}
	case *pembav1.ListSubjectsResponse:
		for _, x := range a.GetSubjects() {
			if s := unspecifiedEntry(x.GetSubject(), x.GetResult(), x.GetMissing()); s != "" {
				return s
			}
			for _, e := range x.GetExceptions() {
				if s := missingUnlessConditional(e.GetResult(), e.GetMissing()); s != "" || e.GetResult() == pembav1.Result_RESULT_GRANTED || !strings.HasSuffix(x.GetSubject(), ":*") {
					return "an exception that is none"
				}
			}
		}
	case *pembav1.EffectiveAccessResponse:
		if a.GetExplanation() != nil {
			return unspecifiedResult(a.GetExplanation().GetResult(), a.GetExplanation())
		}
	case *pembav1.BatchCheckResponse:
		for _, each := range a.GetAnswers() {
			switch o := each.GetOutcome().(type) {
			case *pembav1.BatchCheckAnswer_Answer:
				if o.Answer.GetGranted() != (o.Answer.GetResult() == pembav1.Result_RESULT_GRANTED) {
					return "granted and result disagree"
				}
				if s := unspecifiedResult(o.Answer.GetResult(), nil); s != "" {
					return s
				}
				if s := missingUnlessConditional(o.Answer.GetResult(), o.Answer.GetMissing()); s != "" {
					return s
				}
			case *pembav1.BatchCheckAnswer_Error:
				if c := codes.Code(o.Error.GetCode()); c == codes.OK || c == codes.Unknown || c == codes.Internal || o.Error.GetReason() == "" {
					return "a bad item error"
				}
			default:
				return "an item without outcome"
			}
		}
	}
	return ""
}

// unspecifiedEntry finds an entry of a list that has no access, or does not say on
// whom.
func unspecifiedEntry(reference string, r pembav1.Result, missing []*pembav1.Missing) string {
	if reference == "" || r != pembav1.Result_RESULT_GRANTED && r != pembav1.Result_RESULT_CONDITIONAL {
		return "an entry without a reference or without access"
	}
	return missingUnlessConditional(r, missing)
}

func unspecifiedResult(r pembav1.Result, reason *pembav1.Reason) string {
	if r != pembav1.Result_RESULT_GRANTED && r != pembav1.Result_RESULT_DENIED && r != pembav1.Result_RESULT_CONDITIONAL {
		return "an unspecified result"
	}
	if reason != nil && reason.GetStep() == pembav1.Reason_STEP_UNSPECIFIED {
		return "an unspecified step"
	}
	for _, b := range reason.GetBecause() {
		if s := unspecifiedResult(b.GetResult(), b); s != "" {
			return s
		}
	}
	return ""
}

// missingUnlessConditional finds a conditional answer that does not say what it
// hangs on, and another one that does.
func missingUnlessConditional(r pembav1.Result, missing []*pembav1.Missing) string {
	if (r == pembav1.Result_RESULT_CONDITIONAL) != (len(missing) > 0) {
		return "a result and what is missing that do not fit"
	}
	for _, m := range missing {
		if m.GetCaveat() == "" || m.GetTuple() == nil || len(m.GetParameters()) == 0 && m.GetProblem() == "" {
			return "a condition that does not say what is missing"
		}
	}
	return ""
}

func unspecifiedOperator(x *pembav1.UsersetTree) string {
	if x.GetOperator() == pembav1.UsersetTree_OPERATOR_UNSPECIFIED {
		return "an unspecified operator"
	}
	below := x.GetOperands()
	for _, e := range x.GetEdges() {
		if e.GetTree() != nil {
			below = append(below, e.GetTree())
		}
	}
	for _, b := range below {
		if s := unspecifiedOperator(b); s != "" {
			return s
		}
	}
	return ""
}

type seedRequest struct {
	method  string
	request proto.Message
}

func seeds(t testing.TB) []seedRequest {
	context := structOf(t, map[string]any{"now": 10, "closes": "18", "x": []any{1, "y", nil, map[string]any{"z": true}}})
	opener := caveated(tuple("door:1", "opener", "user:new"), "office_hours", structOf(t, map[string]any{"opens": 8}))
	until := expiring(tuple("door:1", "opener", "user:sam"), 4_000_000_000, 1)
	fresh := &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{FullyConsistent: true}}
	lead := tuple("team:core", "lead", "user:ana")
	filter := &pembav1.TupleFilter{ObjectType: "project", ObjectId: "p1", Relation: "viewer", SubjectType: "team", SubjectId: "core", SubjectRelation: proto.String("member")}
	return []seedRequest{
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Store: "default", Consistency: fresh, Object: "project:p1", Permission: "view", Subject: "user:sam", AdditionalSubjects: []string{"link:l1", "team:core#member"}, Explain: true}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "team:core", Permission: "member", Subject: "team:sub#member", Explain: true}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "project:p1", Permission: "owner", Subject: "user:ana", Context: context, ContextualTuples: []*pembav1.Tuple{lead}}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "door:1", Permission: "open", Subject: "user:ana", Explain: true}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "door:1", Permission: "open", Subject: "user:eve", Context: context}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "door:1", Permission: "open", Subject: "user:new", Context: context, ContextualTuples: []*pembav1.Tuple{opener, until}, Explain: true}},
		{pembav1.PermissionService_Check_FullMethodName, &pembav1.CheckRequest{Object: "door:1", Permission: "open", Subject: "user:ana", Context: values(structpb.NewNumberValue(math.NaN()))}},
		{pembav1.PermissionService_BatchCheck_FullMethodName, &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{
			{Object: "door:1", Permission: "open", Subject: "user:ana"}, {Object: "door:1", Permission: "open", Subject: "user:ana", Context: context, ContextualTuples: []*pembav1.Tuple{until}},
		}}},
		{pembav1.PermissionService_EffectiveAccess_FullMethodName, &pembav1.EffectiveAccessRequest{Object: "door:1", Subject: "user:sam", Context: context, ContextualTuples: []*pembav1.Tuple{until}, Explain: true}},
		{pembav1.PermissionService_Expand_FullMethodName, &pembav1.ExpandRequest{Object: "project:p1", Permission: "owner", MaxDepth: 25}},
		{pembav1.PermissionService_Expand_FullMethodName, &pembav1.ExpandRequest{Object: "door:1", Permission: "open"}},
		{pembav1.PermissionService_ListObjects_FullMethodName, &pembav1.ListObjectsRequest{
			ObjectType: "project", Permission: "view", Subject: "user:sam", AdditionalSubjects: []string{"link:l1"}, ContextualTuples: []*pembav1.Tuple{lead},
			Within: "organization:acme", MinRole: "viewer", IdPrefix: "p", PageSize: 1,
		}},
		{pembav1.PermissionService_ListObjects_FullMethodName, &pembav1.ListObjectsRequest{ObjectType: "door", Permission: "open", Subject: "user:ana", Context: context, IncludeConditional: true}},
		{pembav1.PermissionService_ListSubjects_FullMethodName, &pembav1.ListSubjectsRequest{Object: "project:p1", SubjectType: "user", PageSize: 1}},
		{pembav1.PermissionService_ListSubjects_FullMethodName, &pembav1.ListSubjectsRequest{
			Object: "project:p1", SubjectType: "user", ContextualTuples: []*pembav1.Tuple{tuple("project:p1", "viewer", "user:*")}, IncludeConditional: true,
		}},
		{pembav1.PermissionService_ListSubjects_FullMethodName, &pembav1.ListSubjectsRequest{Object: "door:1", Permission: "open", SubjectType: "user", IncludeConditional: true}},
		{pembav1.PermissionService_ListSubjects_FullMethodName, &pembav1.ListSubjectsRequest{Object: "team:core", Permission: "member", SubjectType: "team", SubjectRelation: "member"}},
		{pembav1.TupleService_Write_FullMethodName, &pembav1.WriteRequest{
			Updates:       []*pembav1.Update{create(opener), touch(until), touch(expiring(opener, 4_000_000_000, 999_999_999))},
			Preconditions: []*pembav1.Precondition{mustHold(&pembav1.PermissionCondition{Object: "door:1", Permission: "open", Subject: "user:ana", Context: context})},
		}},
		{pembav1.PermissionService_BatchCheck_FullMethodName, &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{{Object: "project:p1", Permission: "edit", Subject: "user:ana"}, {Object: "project:p1", Permission: "nope", Subject: "user:ana"}, {}}}},
		{pembav1.PermissionService_EffectiveAccess_FullMethodName, &pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:ana", Explain: true}},
		{pembav1.TupleService_Write_FullMethodName, &pembav1.WriteRequest{
			Updates: []*pembav1.Update{create(tuple("team:x", "member", "user:x")), touch(lead), deleteTuple(key("team:x", "member", "user:x"))},
			Preconditions: []*pembav1.Precondition{
				mustMatch(filter),
				{Condition: &pembav1.Precondition_FilterMustNotMatch{FilterMustNotMatch: &pembav1.TupleFilter{ObjectIdPrefix: "q", ObjectType: "team"}}},
				mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "view", Subject: "user:ana"}),
			},
		}},
		{pembav1.TupleService_Write_FullMethodName, &pembav1.WriteRequest{Actor: "user:ana", Updates: []*pembav1.Update{{Operation: &pembav1.Update_Revoke{Revoke: &pembav1.Revoke{Subject: "user:ana", Within: "project:p1"}}}}}},
		{pembav1.TupleService_ReadTuples_FullMethodName, &pembav1.ReadTuplesRequest{Filter: filter, PageSize: 1}},
		{pembav1.TupleService_ReadTuples_FullMethodName, &pembav1.ReadTuplesRequest{CountOnly: true}},
		{pembav1.SchemaService_WriteSchema_FullMethodName, &pembav1.WriteSchemaRequest{Schema: worldSchema, ExpectedVersion: proto.Uint64(0)}},
		{pembav1.SchemaService_WriteSchema_FullMethodName, &pembav1.WriteSchemaRequest{Schema: "definition user {}\ndefinition doc { relation r: user | doc#r  permission p = r + doc->p }"}},
		{pembav1.SchemaService_WriteSchema_FullMethodName, &pembav1.WriteSchemaRequest{Schema: fuzzSchema, DryRun: true}},
		{pembav1.SchemaService_DiffSchema_FullMethodName, &pembav1.DiffSchemaRequest{Schema: fuzzSchema}},
		{pembav1.SchemaService_DiffSchema_FullMethodName, &pembav1.DiffSchemaRequest{Schema: fuzzSchema, OldSchema: proto.String(worldSchema)}},
		{pembav1.SchemaService_ReadSchema_FullMethodName, &pembav1.ReadSchemaRequest{Consistency: fresh}},
		{pembav1.StoreService_CreateStore_FullMethodName, &pembav1.CreateStoreRequest{Store: "acme"}},
		{pembav1.StoreService_CreateStore_FullMethodName, &pembav1.CreateStoreRequest{Store: "Acme Inc."}},
		{pembav1.StoreService_ListStores_FullMethodName, &pembav1.ListStoresRequest{NamePrefix: "a", PageSize: 1}},
		{pembav1.StoreService_ListStores_FullMethodName, &pembav1.ListStoresRequest{PageToken: "token"}},
		{pembav1.StoreService_DeleteStore_FullMethodName, &pembav1.DeleteStoreRequest{Store: "acme"}},
		{pembav1.StoreService_DeleteStore_FullMethodName, &pembav1.DeleteStoreRequest{Store: "default"}},
	}
}

// The seeds themselves are asked, and the good ones are answered.
func TestSeedsReachTheirHandlers(t *testing.T) {
	x := newTarget(t)
	answered := 0
	for _, s := range seeds(t) {
		body, err := proto.Marshal(s.request)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range x.methods {
			if m.name != s.method {
				continue
			}
			if _, err := x.call(t.Context(), m, body); err == nil {
				answered++
			} else {
				refusalOf(t, err)
			}
		}
	}
	if answered < 31 {
		t.Errorf("%d seeds were answered", answered)
	}
}
