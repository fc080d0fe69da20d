package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// Write judges a write without an actor and says what it would do: the net
// change, sorted by key, and the state after it. A refused write has a fault with
// the first reason in the language's order, and every breach of that reason.
//
// The preconditions are judged on the state before the write, the updates apply
// in their order, and the rules are judged on the state after all of them. What
// has expired is not there: not for a create, not to be deleted, and not to be
// counted. A tuple that is written when its expiry has passed is stored and told,
// and is not there, either.
func (o *Oracle) Write(updates []rel.Update, preconditions []rel.Precondition) ([]rel.Change, *Oracle, error) {
	var faults []*fault.Fault
	for _, u := range updates {
		if f := o.allows(u); f != nil {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}

	after := slices.Clone(o.tuples)
	for _, u := range updates {
		there := indexOf(after, u.Tuple.Key)
		switch {
		case u.Op == rel.Create && there >= 0 && o.live(after[there]):
			faults = append(faults, fault.Newf(fault.AlreadyExistsCreate, "%s is there already", u.Tuple.Key).
				Do("touch it where that is no mistake"))
		case u.Op == rel.Delete && there >= 0:
			after = slices.Delete(after, there, there+1)
		case u.Op != rel.Delete:
			after = put(after, u.Tuple)
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

	next := state(o.schema, after, o.now)
	changes := difference(o.tuples, next.stored)
	for _, rule := range []func([]rel.Change) []*fault.Fault{
		next.oneRolePerSubject, next.upperBounds, next.lowerBounds, next.subjectsIn,
	} {
		if faults = rule(changes); len(faults) > 0 {
			return nil, nil, fault.Join(faults)
		}
	}
	return changes, next, nil
}

// allows says why an update is not in the schema. A delete names a key, whatever
// attributes the tuple has.
func (o *Oracle) allows(u rel.Update) *fault.Fault {
	if u.Op == rel.Delete {
		_, f := o.schema.forms(u.Tuple.Key)
		return f
	}
	return o.schema.fits(u.Tuple)
}

func (o *Oracle) meets(p rel.Precondition) bool {
	switch p.Kind {
	case rel.Must:
		return slices.ContainsFunc(o.tuples, p.Filter.Matches)
	case rel.MustNot:
		return !slices.ContainsFunc(o.tuples, p.Filter.Matches)
	case rel.Holds:
		return o.For(p.Principal, p.Context).Holds(p.Object, p.Name)
	default:
		return false
	}
}

// difference is the net change from one list of tuples to another. What was
// deleted is told as it was, everything else as it is.
func difference(before, after []rel.Tuple) []rel.Change {
	var changes []rel.Change
	for _, t := range before {
		if indexOf(after, t.Key) < 0 {
			changes = append(changes, rel.Change{Op: rel.Delete, Tuple: t})
		}
	}
	for _, t := range after {
		switch was := indexOf(before, t.Key); {
		case was < 0:
			changes = append(changes, rel.Change{Op: rel.Create, Tuple: t})
		case before[was] != t:
			changes = append(changes, rel.Change{Op: rel.Touch, Tuple: t})
		}
	}
	slices.SortFunc(changes, func(a, b rel.Change) int { return a.Tuple.Key.Compare(b.Tuple.Key) })
	return changes
}
