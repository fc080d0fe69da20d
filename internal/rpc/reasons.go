package rpc

import (
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// explanationBytesMax bounds an explanation: a thousand reasons about the
// longest ids would be larger than the 4 MiB that a client takes.
const explanationBytesMax = 1 << 20

// reasonToProto is an explanation as clients see it; nil where none was asked
// for.
func reasonToProto(r *engine.Reason) *pembav1.Reason {
	if r == nil {
		return nil
	}
	e := explanation{room: explanationBytesMax}
	return e.reason(r)
}

// openingsToProto are the tuples that would open a denial.
func openingsToProto(openings []rel.Tuple) []*pembav1.Tuple {
	var tuples []*pembav1.Tuple
	for _, t := range openings {
		tuples = append(tuples, tupleToProto(t))
	}
	return tuples
}

// An explanation is converted depth first, so that where it is cut for its
// size, the deciding path is what is kept.
type explanation struct{ room int }

func (e *explanation) reason(r *engine.Reason) *pembav1.Reason {
	x := &pembav1.Reason{
		Object: r.Object.String(),
		Name:   r.Name,
		Result: resultToProto(r.Result),
		Step:   stepToProto(r),
		Cut:    r.Cut,
		Role:   string(r.Role),

		ConditionFalse: r.ConditionFalse,
		Omitted:        uint32(r.Omitted),
	}
	if r.Step == engine.StepTuple || r.Step == engine.StepInherited {
		x.Tuple, x.Contextual = tupleToProto(r.Tuple), r.Contextual
	}
	e.room -= proto.Size(x)
	for _, b := range r.Because {
		if e.room <= 0 {
			x.Cut = true
			break
		}
		x.Because = append(x.Because, e.reason(b))
	}
	return x
}

func stepToProto(r *engine.Reason) pembav1.Reason_Step {
	switch r.Step {
	case engine.StepTuple:
		return pembav1.Reason_STEP_TUPLE
	case engine.StepItself:
		return pembav1.Reason_STEP_ITSELF
	case engine.StepAnyOf:
		return pembav1.Reason_STEP_ANY_OF
	case engine.StepAllOf:
		return pembav1.Reason_STEP_ALL_OF
	case engine.StepMinus:
		return pembav1.Reason_STEP_MINUS
	case engine.StepRoleBelow:
		return pembav1.Reason_STEP_ROLE_BELOW
	case engine.StepInherited:
		return pembav1.Reason_STEP_INHERITED
	}
	if r.Cut && r.Result != engine.Denied {
		// Something gives the name, and it is not shown.
		return pembav1.Reason_STEP_ANY_OF
	}
	return pembav1.Reason_STEP_NOTHING
}
