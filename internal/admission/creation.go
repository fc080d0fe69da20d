package admission

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A creation is an object that stood in no tuple before the write.
//
// Its links say by whose leave it comes: `created by organization->create_project`
// is judged over the organization that the write itself names. A link counts only
// where its own rule holds, with the links that count already; otherwise one into
// a foreign organization would bring the rights for itself along.
type creation struct {
	counted []rel.Tuple // tuples of the write on the object whose own rule holds
}

// creationOf is the creation of an object; nil where it was there before.
func (j *judge) creationOf(o rel.Object) *creation {
	if c, known := j.creations[o]; known {
		return c
	}
	stood := slices.ContainsFunc(j.state.byObject[o], func(i int) bool { return j.state.net[i].was.there })
	if !stood {
		before := state{before: j.state.before}
		var err error
		if stood, err = before.stands(o); j.fail(err) {
			return nil
		}
	}
	if stood {
		j.creations[o] = nil
		return nil
	}
	c := &creation{}
	j.creations[o] = c
	j.count(o, c)
	return c
}

// count finds the tuples of a new object that count. Each round judges with what
// the rounds before it found.
func (j *judge) count(o rel.Object, c *creation) {
	left := j.links(o)
	for grown := true; grown && j.err == nil; {
		var found []rel.Tuple
		left = slices.DeleteFunc(left, func(t rel.Tuple) bool {
			rule := j.relation(t).GrantedBy
			v := ruling{judge: j, object: o, subject: t.Subject, created: c}
			holds := !rule.IsZero() && !(rule.ExceptSelf && t.Subject == j.actor) && v.eval(rule, rule.Expr) == yes
			if holds {
				found = append(found, t)
			}
			return holds
		})
		c.counted = append(c.counted, found...)
		grown = len(found) > 0
	}
}

// links are the tuples that the write leaves on a new object, in relations at which
// an arrow of a rule about it starts.
func (j *judge) links(o rel.Object) []rel.Tuple {
	d := j.schema.Definition(o.Type())
	walked := d.CreatedBy().Walked
	for _, r := range d.Relations() {
		walked = walked.Union(r.GrantedBy.Walked).Union(r.RevokedBy.Walked)
	}
	var found []rel.Tuple
	for _, i := range j.state.byObject[o] {
		if c := j.state.net[i]; !c.was.there && j.state.counts(c.is) && walked.Has(j.relation(c.is.tuple).Slot) {
			found = append(found, c.is.tuple)
		}
	}
	return found
}

// rightsOver is what the actor holds with those tuples of a new object that count,
// in the relations at which arrows of a rule start.
func (v ruling) rightsOver(rule schema.Rule) Rights {
	var with []rel.Tuple
	for _, t := range v.created.counted {
		if rule.Walked.Has(v.relation(t).Slot) {
			with = append(with, t)
		}
	}
	if len(with) == 0 {
		return v.rights
	}
	return v.rights.With(with)
}
