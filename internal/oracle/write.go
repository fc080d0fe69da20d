package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// Write judges a write without an actor and says what it would do: the net
// change, sorted by tuple, and the state after it. A refused write has a fault
// with the first reason in the language's order, and every breach of that reason.
//
// The preconditions are judged on the state before the write, the updates apply
// in their order, and the rules are judged on the state after all of them.
func (o *Oracle) Write(updates []rel.Update, preconditions []rel.Precondition) ([]rel.Change, *Oracle, error) {
	var faults []*fault.Fault
	for _, u := range updates {
		if f := o.schema.fits(u.Tuple); f != nil {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}

	after := slices.Clone(o.tuples)
	for _, u := range updates {
		there := slices.Index(after, u.Tuple)
		switch {
		case u.Op == rel.Create && there >= 0:
			faults = append(faults, fault.Newf(fault.AlreadyExistsCreate, "%s is there already", u.Tuple).
				Do("touch it where that is no mistake"))
		case u.Op == rel.Delete && there >= 0:
			after = slices.Delete(after, there, there+1)
		case u.Op != rel.Delete && there < 0:
			after = append(after, u.Tuple)
		}
	}
	if len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}

	for _, p := range preconditions {
		if !o.meets(p) {
			faults = append(faults, fault.New(fault.PreconditionMustHold, "a precondition does not hold").
				Do("read again and decide anew"))
		}
	}
	if len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}

	next := state(o.schema, after)
	changes := difference(o.tuples, next.tuples)
	for _, rule := range []func([]rel.Change) []*fault.Fault{
		next.oneRolePerSubject, next.upperBounds, next.lowerBounds, next.subjectsIn,
	} {
		if faults = rule(changes); len(faults) > 0 {
			return nil, nil, fault.Join(faults)
		}
	}
	return changes, next, nil
}

func (o *Oracle) meets(p rel.Precondition) bool {
	switch p.Kind {
	case rel.Must:
		return slices.ContainsFunc(o.tuples, p.Filter.Matches)
	case rel.MustNot:
		return !slices.ContainsFunc(o.tuples, p.Filter.Matches)
	case rel.Holds:
		return o.For(p.Principal).Holds(p.Object, p.Name)
	default:
		return false
	}
}

// difference is the net change from one list of tuples to another.
func difference(before, after []rel.Tuple) []rel.Change {
	var changes []rel.Change
	for _, t := range before {
		if !slices.Contains(after, t) {
			changes = append(changes, rel.Change{Op: rel.Delete, Tuple: t})
		}
	}
	for _, t := range after {
		if !slices.Contains(before, t) {
			changes = append(changes, rel.Change{Op: rel.Create, Tuple: t})
		}
	}
	slices.SortFunc(changes, func(a, b rel.Change) int { return a.Tuple.Compare(b.Tuple) })
	return changes
}
