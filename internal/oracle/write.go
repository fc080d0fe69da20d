package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// Write judges a write and says what it would do: the net change, sorted by key,
// and the state after it. A refused write has a fault with the first reason in the
// language's order, and every breach of that reason.
//
// The preconditions and the actor's rights are judged on the state before the
// write, the updates apply in their order, and the rules are judged on the state
// after all of them. What has expired is not there: not for a create, not to be
// deleted, and not to be counted. A tuple that is written when its expiry has
// passed is stored and told, and is not there, either.
func (o *Oracle) Write(actor rel.Actor, updates []rel.Update, preconditions []rel.Precondition) ([]rel.Change, *Oracle, error) {
	var faults []*fault.Fault
	for _, u := range updates {
		if f := o.allows(u); f != nil {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}
	next, acts, faults := o.apply(updates)
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
	if faults = o.mayWrite(actor, acts, next); len(faults) > 0 {
		return nil, nil, fault.Join(faults)
	}
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

// apply is the state that the updates leave, each on that of those before it, and
// what they do to single tuples.
func (o *Oracle) apply(updates []rel.Update) (*Oracle, []act, []*fault.Fault) {
	var acts []act
	var faults []*fault.Fault
	after := slices.Clone(o.tuples)
	now := func() *Oracle { return state(o.schema, after, o.now) }
	take := func(gone []rel.Tuple) {
		for _, t := range gone {
			acts = append(acts, act{tuple: t, revokes: true})
			after = slices.Delete(after, indexOf(after, t.Key), indexOf(after, t.Key)+1)
		}
	}
	for _, u := range updates {
		there := indexOf(after, u.Tuple.Key)
		live := there >= 0 && o.live(after[there])
		switch u.Op {
		case rel.DeleteMatching, rel.DeleteObject:
			gone, f := now().selected(u)
			if f != nil {
				return nil, nil, append(faults, f)
			}
			take(gone)
		case rel.Revoke:
			take(now().revoked(u.Revoking))
		case rel.Delete:
			acts = append(acts, act{tuple: u.Tuple, revokes: true})
			if there >= 0 {
				after = slices.Delete(after, there, there+1)
			}
		default: // Create, Touch, Assign
			if u.Op == rel.Create && live {
				faults = append(faults, fault.Newf(fault.AlreadyExistsCreate, "%s is there already", u.Tuple.Key).
					Do("touch it where that is no mistake"))
				continue
			}
			acts = append(acts, act{tuple: u.Tuple, grants: true, revokes: live && after[there] != u.Tuple, adds: !live})
			after = put(after, u.Tuple)
			if u.Op == rel.Assign {
				take(now().displaced(u.Tuple))
			}
		}
	}
	return now(), acts, faults
}

// selected are the tuples that a delete_matching or a delete_object takes. What has
// expired is not there, and so is not selected. A filter with a limit takes the
// first in order; which of them go is not part of the meaning, how many is.
func (o *Oracle) selected(u rel.Update) ([]rel.Tuple, *fault.Fault) {
	if u.Op == rel.DeleteObject {
		return slices.DeleteFunc(slices.Clone(o.tuples), func(t rel.Tuple) bool {
			named, ok := t.Subject.Object()
			return t.Object != u.Object && (!ok || named != u.Object)
		}), nil
	}
	gone := slices.DeleteFunc(slices.Clone(o.tuples), func(t rel.Tuple) bool { return !u.Matching.Filter.Matches(t) })
	if most := u.Matching.Most(); len(gone) > most {
		if !u.Matching.Partial {
			return nil, fault.Newf(fault.MatchesMustStayWithinLimit, "%s selects more tuples than the limit of %d", u.Matching.Filter, most).
				Do("narrow the filter")
		}
		gone = gone[:most]
	}
	return gone, nil
}

// allows says why an update is not in the schema. A delete names a key, whatever
// attributes the tuple has.
func (o *Oracle) allows(u rel.Update) *fault.Fault {
	switch u.Op {
	case rel.Delete:
		_, f := o.schema.forms(u.Tuple.Key)
		return f
	case rel.DeleteMatching:
		return o.schema.knows(u.Matching.Filter)
	case rel.DeleteObject:
		return o.schema.hasType(u.Object.Type())
	case rel.Revoke:
		s := u.Revoking.Subject
		if s.IsUserset() && !o.Declares(s.Type(), s.Relation()) {
			return fault.Newf(fault.NotInSchema, "%s: there is no %s#%s", u, s.Type(), s.Relation()).Do("name a subject that there can be")
		}
		if f := o.schema.hasType(s.Type()); f != nil {
			return f
		}
		return o.schema.hasType(u.Revoking.Within.Type())
	case rel.Assign:
		if f := o.schema.fits(u.Tuple); f != nil {
			return f
		}
		d := o.schema.definitions[u.Tuple.Object.Type()]
		if !d.isRole(u.Tuple.Relation) && d.relations[u.Tuple.Relation].OnePerWith == nil {
			return fault.Newf(fault.NotInSchema, "%s: nothing stands in the place of another there", u.Tuple).Do("touch it")
		}
		return nil
	default:
		return o.schema.fits(u.Tuple)
	}
}

func (s *schema) hasType(typ rel.ObjectType) *fault.Fault {
	if s.definitions[typ] == nil {
		return fault.Newf(fault.NotInSchema, "there is no type %s", typ).Do("name an object of a type that there is")
	}
	return nil
}

// knows says which type or name of a filter there is not: one that nothing could
// ever match is a typing mistake.
func (s *schema) knows(f rel.Filter) *fault.Fault {
	noType := func(typ rel.ObjectType) *fault.Fault {
		return fault.Newf(fault.TypeMustExist, "there is no type %s", typ).Do("correct the filter")
	}
	noName := func(name rel.Name) *fault.Fault {
		return fault.Newf(fault.NameMustExist, "there is no %s to select by", name).Do("correct the filter")
	}
	stores := func(d *definition) bool { return d.relations[f.Relation] != nil }
	d, subject := s.definitions[f.ObjectType], s.definitions[f.SubjectType]
	switch {
	case f.ObjectType != "" && d == nil:
		return noType(f.ObjectType)
	case f.Relation != "" && d != nil && !stores(d),
		f.Relation != "" && d == nil && !slices.ContainsFunc(s.order, stores):
		return noName(f.Relation)
	case f.SubjectType != "" && subject == nil:
		return noType(f.SubjectType)
	case f.SubjectRelation != nil && *f.SubjectRelation != "" && (subject == nil || !subject.has(*f.SubjectRelation)):
		return noName(*f.SubjectRelation)
	}
	return nil
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
