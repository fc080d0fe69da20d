package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// The rules of what a write leaves behind, each computed straight over the list
// of live tuples, on the state after the write. Upper bounds and the one-role rules
// are judged on all of it: what the write did not touch kept the rule before, and
// no expiry breaks it. Lower bounds and `of` are judged around what the write
// changed: an object may stand without its lower bound's other side, and what a
// subject stood in may have expired.

// Breaks says which rules the state itself breaks that no expiry can break: after
// any write there is nothing. Lower bounds are among them, since what counts for
// one never expires.
func (o *Oracle) Breaks() error {
	var all []rel.Change
	for _, t := range o.tuples {
		all = append(all, rel.Change{Op: rel.Touch, Tuple: t})
	}
	return fault.Join(slices.Concat(o.oneRolePerSubject(nil), o.upperBounds(nil), o.lowerBounds(all)))
}

// oneRolePerSubject is `roles one per subject` and `one per subject with REL`.
func (o *Oracle) oneRolePerSubject([]rel.Change) []*fault.Fault {
	var faults []*fault.Fault
	for _, t := range o.tuples {
		var same []rel.Tuple // the tuples that count as t's one role, t among them, at t's object
		if o.isOneRole(t) {
			for _, u := range o.tuples {
				if u.Object == t.Object && u.Subject == t.Subject && o.isOneRole(u) {
					same = append(same, u)
				}
			}
		}
		if len(same) > 1 && same[0].Key == t.Key { // said once, by the first of them
			faults = append(faults, fault.Newf(fault.OneRolePerSubject, "%s has %d roles on %s", t.Subject, len(same), t.Object).
				Do("take the other away in the same write"))
		}
	}
	for _, d := range o.schema.order {
		for _, name := range d.names {
			if r := d.relations[name]; r != nil && r.OnePerWith != nil {
				faults = append(faults, o.oneAcross(d, name, rel.Name(r.OnePerWith.Text))...)
			}
		}
	}
	return faults
}

// isOneRole reports whether a tuple gives a role of a ladder that is one per subject.
func (o *Oracle) isOneRole(t rel.Tuple) bool {
	d := o.schema.definitions[t.Object.Type()]
	return d.isRole(t.Relation) && d.roles.OnePerSubject
}

// oneAcross judges one relation with `one per subject with REL`: for each object
// W that REL points to, a subject has at most one tuple among this relation on
// all objects linked to W, and W's own roles where these are one per subject.
func (o *Oracle) oneAcross(d *definition, relation, link rel.Name) []*fault.Fault {
	var faults []*fault.Fault
	for _, w := range o.objects {
		counted := slices.DeleteFunc(slices.Clone(o.tuples), func(t rel.Tuple) bool {
			return !o.countsAround(w, d, relation, link, t)
		})
		for i, t := range counted {
			if slices.ContainsFunc(counted[:i], func(u rel.Tuple) bool { return u.Subject == t.Subject }) {
				faults = append(faults, fault.Newf(fault.OneRolePerSubject, "%s has a second role around %s: %s", t.Subject, w, t).
					Do("take the other away in the same write"))
			}
		}
	}
	return faults
}

// countsAround reports whether a tuple, there or not, is among those of which a
// subject has one around W, by the rule of one relation.
func (o *Oracle) countsAround(w rel.Object, d *definition, relation, link rel.Name, t rel.Tuple) bool {
	spread := t.Object.Type() == d.typ && t.Relation == relation && o.linked(t.Object, link, w)
	return spread || t.Object == w && o.isOneRole(t)
}

// linked reports whether a tuple object#link@w is stored. A userset or a
// wildcard names no one object that the relation points to.
func (o *Oracle) linked(object rel.Object, link rel.Name, w rel.Object) bool {
	return o.stands(rel.Key{Object: object, Relation: link, Subject: rel.Of(w)})
}

// stands reports whether a live tuple has the key.
func (o *Oracle) stands(key rel.Key) bool {
	return indexOf(o.at[place{key.Object, key.Relation}], key) >= 0
}

// upperBounds counts all live tuples of a relation on one object.
func (o *Oracle) upperBounds([]rel.Change) []*fault.Fault {
	return o.countEach(o.objects, func(object rel.Object, r *syntax.Relation) *fault.Fault {
		m := r.Multiplicity
		count := len(o.at[place{object, rel.Name(r.Name.Text)}])
		if m.Unbounded || count <= m.Max {
			return nil
		}
		return fault.Newf(fault.UpperBoundMustHold, "%s#%s would have %d subjects, and may have %d", object, r.Name.Text, count, m.Max).
			Do("take one away in the same write")
	})
}

// lowerBounds counts the tuples whose subject is not a wildcard and that always
// count, on every object that a changed tuple names, as object or as subject, and
// that still stands in some live tuple. The object that is gone as a whole needs
// nothing any more.
func (o *Oracle) lowerBounds(changes []rel.Change) []*fault.Fault {
	var named []rel.Object
	for _, c := range changes {
		named = append(named, c.Tuple.Object)
		if s, ok := c.Tuple.Subject.Object(); ok {
			named = append(named, s)
		}
	}
	standing := slices.DeleteFunc(sorted(named), func(object rel.Object) bool {
		return !slices.Contains(o.objects, object)
	})
	return o.countEach(standing, func(object rel.Object, r *syntax.Relation) *fault.Fault {
		count := 0
		for _, t := range o.at[place{object, rel.Name(r.Name.Text)}] {
			if !t.Subject.IsWildcard() && t.Always() {
				count++
			}
		}
		if count >= r.Multiplicity.Min {
			return nil
		}
		return fault.Newf(fault.LowerBoundMustHold, "%s#%s would have %d subjects, and must have %d", object, r.Name.Text, count, r.Multiplicity.Min).
			Do("put another in the same write")
	})
}

// countEach judges every relation with a multiplicity on each of the objects.
func (o *Oracle) countEach(objects []rel.Object, judge func(rel.Object, *syntax.Relation) *fault.Fault) []*fault.Fault {
	var faults []*fault.Fault
	for _, object := range objects {
		d := o.schema.definitions[object.Type()]
		for _, name := range d.names {
			r := d.relations[name]
			if r == nil || r.Multiplicity == nil {
				continue
			}
			if f := judge(object, r); f != nil {
				faults = append(faults, f)
			}
		}
	}
	return faults
}

// subjectsIn is `of REL`: a subject of the relation also stands, as the same
// subject, in a live tuple of REL on the same object. It is judged for every tuple
// that the write puts or changes, and for every tuple that needs one that it takes
// away or changes: what was not there before is not missed.
func (o *Oracle) subjectsIn(changes []rel.Change) []*fault.Fault {
	var faults []*fault.Fault
	for _, t := range o.tuples {
		r := o.schema.definitions[t.Object.Type()].relations[t.Relation]
		if r.Of == nil {
			continue
		}
		needed := rel.Key{Object: t.Object, Relation: rel.Name(r.Of.Text), Subject: t.Subject}
		touched := slices.ContainsFunc(changes, func(c rel.Change) bool {
			return c.Tuple.Key == t.Key || c.Tuple.Key == needed && c.Op != rel.Create
		})
		if touched && !o.stands(needed) {
			faults = append(faults, fault.Newf(fault.SubjectMustBeIn, "%s: %s is not in %s#%s", t, t.Subject, t.Object, r.Of.Text).
				Do("put it there in the same write"))
		}
	}
	return faults
}
