package rpc

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/service"
)

// conflictsBytesMax bounds the conflicts of a dry run, which stand beside the
// difference: a tuple with a caveat's context can take ninety kilobytes. A
// hundred conflicts without their examples take half of it at most.
const conflictsBytesMax = 256 << 10

// conflictsToProto shows what would refuse a schema. Examples are left out where
// there is no room for them; what they are examples of is counted all the same.
func conflictsToProto(a service.WriteSchemaAnswer) []*pembav1.SchemaConflict {
	shown := make([]*pembav1.SchemaConflict, len(a.Conflicts))
	room := conflictsBytesMax
	for i, c := range a.Conflicts {
		shown[i] = &pembav1.SchemaConflict{
			Reason:     conflictReason(c.Code).Reason(),
			Message:    cut(c.Summary, violationBytesMax) + "; " + conflictRemedy(c.Code),
			Definition: string(c.Definition),
			Name:       string(c.Name),
			TupleCount: uint64(c.Count),
		}
		room -= costOf(shown[i])
	}
	for i, c := range a.Conflicts {
		for _, t := range c.Examples {
			x := tupleToProto(t)
			if room -= costOf(x); room < 0 {
				return shown
			}
			shown[i].Examples = append(shown[i].Examples, x)
		}
	}
	return shown
}

// conflictReason is the reason that WriteSchema is refused with. That a tuple has
// no place in a schema is said of a write as NOT_IN_SCHEMA, and of a schema
// under its own name.
func conflictReason(c fault.Code) fault.Code {
	if c == fault.NotInSchema {
		return fault.TuplesMustFitTheSchema
	}
	return c
}

func conflictRemedy(c fault.Code) string {
	switch c {
	case fault.OneRolePerSubject:
		return "take all but one of the subject's tuples away first, or leave the rule out"
	case fault.UpperBoundMustHold:
		return "take tuples away first, or allow more"
	case fault.LowerBoundMustHold:
		return "put tuples that count first, or ask for fewer"
	case fault.SubjectMustBeIn:
		return "put the subject there first, or leave the rule out"
	default:
		return "delete or move these tuples first, or keep what they need in the schema"
	}
}
