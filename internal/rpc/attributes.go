package rpc

import (
	"math"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// contextualMax bounds the tuples that a question brings: each question that
// brings the same ones sorts them in anew.
const contextualMax = 100

// brought reads what a question brings beside its words.
func (f *form) brought(context *structpb.Struct, tuples []*pembav1.Tuple) service.Brought {
	return service.Brought{
		Context:    f.context("context", context, rel.RequestContextBytesMax),
		Contextual: f.contextual(tuples),
	}
}

func (f *form) contextual(tuples []*pembav1.Tuple) []rel.Tuple {
	if len(tuples) == 0 || !f.atMost("contextual_tuples", len(tuples), contextualMax) {
		return nil
	}
	read := make([]rel.Tuple, len(tuples))
	for i, t := range tuples {
		f.enter("contextual_tuples", i)
		read[i] = f.tuple(t)
		f.leave()
	}
	return read
}

// caveat reads the condition of a tuple.
func (f *form) caveat(c *pembav1.Caveat) rel.Caveat {
	if c == nil {
		return rel.Caveat{}
	}
	f.enter("caveat", noIndex)
	defer f.leave()
	return rel.Caveat{
		Name:    required(f, "name", c.GetName(), rel.ParseCaveatName, "name a caveat of the schema, or leave the caveat out"),
		Context: f.context("context", c.GetContext(), rel.TupleContextBytesMax),
	}
}

// expiry reads the time limit of a tuple.
func (f *form) expiry(t *timestamppb.Timestamp) rel.Expiry {
	if t == nil {
		return 0
	}
	const field = "expires_at"
	if err := t.CheckValid(); err != nil {
		f.wrong(field, fault.Newf(fault.ExpirationMustBeATime, "%d seconds and %d nanoseconds are not a time", t.GetSeconds(), t.GetNanos()).
			Do("send a Timestamp between the years 1970 and 9999, with nanos from 0 to 999,999,999").Because(err))
		return 0
	}
	e, err := rel.NewExpiry(t.AsTime())
	if err != nil {
		f.wrong(field, err)
	}
	return e
}

// context reads values for the parameters of caveats, out of a field.
func (f *form) context(field string, s *structpb.Struct, bytesMax int) rel.Context {
	if len(s.GetFields()) == 0 {
		return rel.Context{}
	}
	values, err := structValues(s, structDepthMax)
	if err != nil {
		f.wrong(field, err)
		return rel.Context{}
	}
	c, err := rel.NewContext(values)
	if err == nil {
		err = c.CheckBytes(bytesMax)
	}
	if err != nil {
		f.wrong(field, err)
	}
	return c
}

// structDepthMax ends the reading of a Struct that nests without end; how deep a
// context may nest is for rel to say, which has a lower bound.
const structDepthMax = 64

// structValues are a Struct's values as encoding/json decodes them. The library's
// own AsMap makes texts of numbers that are none ("NaN") and null of a value
// that has no kind, so that a caveat would judge what nobody sent.
func structValues(s *structpb.Struct, depth int) (map[string]any, error) {
	values := make(map[string]any, len(s.GetFields()))
	for name, v := range s.GetFields() {
		value, err := jsonValue(v, depth-1)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, nil
}

func jsonValue(v *structpb.Value, depth int) (any, error) {
	if depth == 0 {
		return nil, fault.New(fault.ContextMustBeReadable, "the context nests too deep").Do("send flatter values")
	}
	switch k := v.GetKind().(type) {
	case *structpb.Value_NullValue:
		return nil, nil
	case *structpb.Value_BoolValue:
		return k.BoolValue, nil
	case *structpb.Value_NumberValue:
		if math.IsNaN(k.NumberValue) || math.IsInf(k.NumberValue, 0) {
			return nil, fault.Newf(fault.ContextMustBeReadable, "the context has the number %v, which JSON does not have", k.NumberValue).
				Do("send a finite number, or leave the parameter out")
		}
		return k.NumberValue, nil
	case *structpb.Value_StringValue:
		return k.StringValue, nil
	case *structpb.Value_StructValue:
		return structValues(k.StructValue, depth)
	case *structpb.Value_ListValue:
		list := make([]any, len(k.ListValue.GetValues()))
		for i, each := range k.ListValue.GetValues() {
			value, err := jsonValue(each, depth-1)
			if err != nil {
				return nil, err
			}
			list[i] = value
		}
		return list, nil
	default:
		return nil, fault.New(fault.ContextMustBeReadable, "the context has a value without a kind").
			Do("set one of null_value, number_value, string_value, bool_value, struct_value and list_value, or leave the parameter out")
	}
}

func tupleToProto(t rel.Tuple) *pembav1.Tuple {
	return &pembav1.Tuple{
		Object:    t.Object.String(),
		Relation:  string(t.Relation),
		Subject:   t.Subject.String(),
		Caveat:    tupleCaveatToProto(t.Caveat),
		ExpiresAt: expiryToProto(t.Expires),
	}
}

func keyToProto(k rel.Key) *pembav1.TupleKey {
	return &pembav1.TupleKey{Object: k.Object.String(), Relation: string(k.Relation), Subject: k.Subject.String()}
}

func tupleCaveatToProto(c rel.Caveat) *pembav1.Caveat {
	if c.IsZero() {
		return nil
	}
	x := &pembav1.Caveat{Name: string(c.Name)}
	if !c.Context.IsEmpty() {
		// A context holds JSON values alone, and so fits a Struct.
		x.Context, _ = structpb.NewStruct(c.Context.Values())
	}
	return x
}

func expiryToProto(e rel.Expiry) *timestamppb.Timestamp {
	if e.Never() {
		return nil
	}
	return timestamppb.New(e.Time())
}

// missingBytesMax bounds what a conditional answer hangs on: a hundred conditions
// with the longest ids and sixty-four parameters each are 700 KB.
const missingBytesMax = 1 << 20

// missingToProto shows as many open conditions as there is room for. What is left
// out shows when these are supplied.
func missingToProto(missing []engine.Missing, room int) []*pembav1.Missing {
	var shown []*pembav1.Missing
	for _, m := range missing {
		x := &pembav1.Missing{
			Parameters: m.Parameters,
			Caveat:     string(m.Caveat),
			Tuple:      keyToProto(m.Tuple),
			Problem:    cut(m.Problem, violationBytesMax),
		}
		if room -= costOf(x); room < 0 {
			break
		}
		shown = append(shown, x)
	}
	return shown
}
