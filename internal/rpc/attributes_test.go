package rpc

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

// values are a context of one parameter.
func values(x *structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"x": x}}
}

// nested is a list in a list, so many levels deep.
func nested(depth int) *structpb.Value {
	v := structpb.NewNumberValue(1)
	for range depth {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	return v
}

// caveated is a tuple with a caveat.
func caveated(t *pembav1.Tuple, name string, context *structpb.Struct) *pembav1.Tuple {
	t = proto.Clone(t).(*pembav1.Tuple)
	t.Caveat = &pembav1.Caveat{Name: name, Context: context}
	return t
}

// expiring is a tuple with a time limit.
func expiring(t *pembav1.Tuple, seconds int64, nanos int32) *pembav1.Tuple {
	t = proto.Clone(t).(*pembav1.Tuple)
	t.ExpiresAt = &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos}
	return t
}

const (
	unreadableContext = "CONTEXT_MUST_BE_READABLE"
	noTime            = "EXPIRATION_MUST_BE_A_TIME"
)

// unreadableValues are what a Struct can hold and JSON cannot.
func unreadableValues() map[string]*structpb.Value {
	return map[string]*structpb.Value{
		"no value":             nil,
		"a value of no kind":   {},
		"not a number":         structpb.NewNumberValue(math.NaN()),
		"infinity":             structpb.NewNumberValue(math.Inf(1)),
		"minus infinity":       structpb.NewNumberValue(math.Inf(-1)),
		"a kind in a list":     structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{{}}}),
		"a number in a struct": structpb.NewStructValue(values(structpb.NewNumberValue(math.NaN()))),
		"33 levels":            nested(31), // and the context and the number
		"hundreds of levels":   nested(500),
	}
}

func refusedAttributes() []refused {
	lead := func() *pembav1.Tuple { return tuple("team:core", "lead", "user:ana") }
	check := func(c *structpb.Struct, tuples ...*pembav1.Tuple) proto.Message {
		return goodCheck(func(r *pembav1.CheckRequest) { r.Context, r.ContextualTuples = c, tuples })
	}
	large := structpb.NewStringValue(strings.Repeat("x", 16<<10))
	huge := structpb.NewStringValue(strings.Repeat("x", 64<<10))
	var all []refused
	for name, v := range unreadableValues() {
		all = append(all,
			refused{name + ", in a context", check(values(v)), []string{"context " + unreadableContext}},
			refused{name + ", in a caveat", goodWrite(create(caveated(lead(), "c", values(v)))), []string{"updates[0].create.caveat.context " + unreadableContext}})
	}
	many := make([]*pembav1.Tuple, 101)
	return append(
		all,
		refused{"a large context", check(values(huge)), []string{"context " + bounds}},
		refused{"a large context of access", &pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:ana", Context: values(huge)}, []string{"context " + bounds}},
		refused{"a large context of a precondition", withPreconditions(mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "view", Subject: "user:ana", Context: values(huge)})),
			[]string{"preconditions[0].permission_must_hold.context " + bounds}},
		refused{"many contextual tuples", check(nil, many...), []string{"contextual_tuples " + bounds}},
		refused{"many contextual tuples of access", &pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:ana", ContextualTuples: many}, []string{"contextual_tuples " + bounds}},
		refused{
			"contextual tuples",
			check(nil, lead(), nil, tuple("team:*", "Lead", "user"), caveated(lead(), "", nil), expiring(lead(), -1, 0)),
			[]string{
				"contextual_tuples[1].object " + missing, "contextual_tuples[1].relation " + missing, "contextual_tuples[1].subject " + missing,
				"contextual_tuples[2].object OBJECT_MUST_BE_CONCRETE", "contextual_tuples[2].relation NAME_MUST_BE_VALID", "contextual_tuples[2].subject OBJECT_MUST_HAVE_TYPE",
				"contextual_tuples[3].caveat.name " + missing,
				"contextual_tuples[4].expires_at " + noTime,
			},
		},
		refused{
			"caveats",
			goodWrite(
				create(caveated(lead(), "", nil)), touch(caveated(lead(), "Office", nil)), touch(caveated(lead(), "expiration", nil)),
				touch(caveated(lead(), "c", values(large))), touch(caveated(lead(), "", values(nil))),
			),
			[]string{
				"updates[0].create.caveat.name " + missing,
				"updates[1].touch.caveat.name CAVEAT_NAME_MUST_BE_VALID",
				"updates[2].touch.caveat.name CAVEAT_NAME_MUST_BE_VALID",
				"updates[3].touch.caveat.context " + bounds,
				"updates[4].touch.caveat.name " + missing, "updates[4].touch.caveat.context " + unreadableContext,
			},
		},
		refused{
			"expirations",
			goodWrite(
				create(expiring(lead(), 1_800_000_000, -1)), touch(expiring(lead(), 1_800_000_000, 1_000_000_000)),
				touch(expiring(lead(), 253_402_300_800, 0)), touch(expiring(lead(), math.MaxInt64, 0)), touch(expiring(lead(), math.MinInt64, math.MinInt32)),
				touch(expiring(lead(), 0, 0)), touch(expiring(lead(), -62_135_596_800, 0)),
			),
			[]string{
				"updates[0].create.expires_at " + noTime, "updates[1].touch.expires_at " + noTime, "updates[2].touch.expires_at " + noTime,
				"updates[3].touch.expires_at " + noTime, "updates[4].touch.expires_at " + noTime, "updates[5].touch.expires_at " + noTime, "updates[6].touch.expires_at " + noTime,
			},
		},
	)
}

// What a Struct and a Timestamp say comes into the house as it is, and goes out
// of it again as it came.
func TestAttributesGoInAndOut(t *testing.T) {
	context, err := structpb.NewStruct(map[string]any{
		"null": nil, "yes": true, "no": false, "number": 1.5, "large": 9007199254740992.0, "text": "ü <&> \"", "": "empty name",
		"list": []any{1.0, "x", []any{}, map[string]any{}}, "map": map[string]any{"a": map[string]any{"b": nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	context.Fields["deep"] = nested(30)
	sent := expiring(caveated(tuple("doc:1", "viewer", "team:core#member"), "billing/paid", context), 253_402_300_799, 999_999_000)
	var f form
	read := f.tuple(sent)
	if err := f.err(); err != nil {
		t.Fatal(err)
	}
	if back := tupleToProto(read); !proto.Equal(back, sent) {
		t.Errorf("got %v, want %v", back, sent)
	}
	again, err := rel.ParseTuple(read.String())
	if err != nil || again != read {
		t.Errorf("as text: %v, %v", again, err)
	}

	// A context without values is none, and a time is cut off at microseconds.
	read = f.tuple(expiring(caveated(tuple("doc:1", "viewer", "user:ana"), "c", &structpb.Struct{}), 1, 1_999))
	back := tupleToProto(read)
	if f.err() != nil || back.GetCaveat().GetContext() != nil || back.GetExpiresAt().GetNanos() != 1_000 {
		t.Errorf("got %v, %v", back, f.err())
	}
	if back := tupleToProto(rel.Tuple{Key: read.Key}); back.Caveat != nil || back.ExpiresAt != nil {
		t.Errorf("got %v", back)
	}
}

// A number of a Struct that is none becomes no text, as the library's AsMap has it.
func TestValuesAreReadAsTheyAre(t *testing.T) {
	for name, v := range unreadableValues() {
		var f form
		if got := f.context("context", values(v), rel.RequestContextBytesMax); f.err() == nil || !got.IsEmpty() {
			t.Errorf("%s: got %v", name, got)
		}
	}
	var f form
	bad := &structpb.Struct{Fields: map[string]*structpb.Value{"x\xff": structpb.NewBoolValue(true)}}
	if f.context("context", bad, rel.RequestContextBytesMax); f.err() == nil {
		t.Error("a name that is not UTF-8 was read")
	}
}
