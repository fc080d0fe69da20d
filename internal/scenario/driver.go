package scenario

import (
	"context"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Driver is one way of asking. What two of them answer differently is a fault
// of one.
type Driver interface {
	// Load makes a world of its own out of a schema and tuples, in place of
	// whatever was loaded before. The tuples must satisfy the schema's rules.
	Load(ctx context.Context, schema string, tuples []rel.Tuple) error
	// Check says what a principal's hold on a name comes to.
	Check(ctx context.Context, q Question) (Answer, error)
	// Role says which role a principal has.
	Role(ctx context.Context, object rel.Object, principal rel.Principal, given rel.Context) (RoleAnswer, error)
	// Write applies updates on behalf of an actor, for the zero Actor as the
	// application itself, and answers with the net change.
	Write(ctx context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error)
	// Now is the time that questions are evaluated at.
	Now() time.Time
}

// A Question asks whether a principal holds a name on an object.
type Question struct {
	Object    rel.Object
	Name      rel.Name
	Principal rel.Principal
	Context   rel.Context
}

// A Value is what a name comes to, in the order of the language: union is the
// maximum, intersection the minimum. The zero Value denies.
type Value uint8

// The values.
const (
	Denied Value = iota
	Conditional
	Granted
)

func (v Value) String() string {
	return [...]string{"denied", "conditional", "granted"}[v]
}

// An Answer is what a question came to.
type Answer struct {
	Value   Value
	Path    string    // what gave it, empty where the driver knows no paths
	Missing []Missing // what a conditional one hangs on
	Through []Name    // the names that the path leads through
}

// A RoleAnswer is the effective role, "" for none, and the highest role that
// is conditional, "" where none above the effective one is.
type RoleAnswer struct {
	Role     rel.Name
	Possible rel.Name
	Path     string
	Missing  []Missing
	Through  []Name
}

// A Missing is one caveat that a conditional answer hangs on, at the tuple that
// has it: the parameters that have no value, or else what is wrong.
type Missing struct {
	Tuple      rel.Key
	Caveat     rel.CaveatName
	Parameters []string
	Problem    string
}

func (m Missing) String() string {
	what := fault.List(m.Parameters, len(m.Parameters))
	switch len(m.Parameters) {
	case 0:
		what = m.Problem
	case 1:
		what += " is missing"
	default:
		what += " are missing"
	}
	return what + ", for " + m.Tuple.String() + "[" + string(m.Caveat) + "]"
}

func missingText(missing []Missing) string {
	texts := make([]string, len(missing))
	for i, m := range missing {
		texts[i] = m.String()
	}
	return strings.Join(texts, "; ")
}
