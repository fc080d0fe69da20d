package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// An act is what an update does to one tuple, as far as rights go: it needs the
// right to grant it, the right to revoke it, or both.
type act struct {
	tuple           rel.Tuple
	grants, revokes bool
	adds            bool // the tuple was not there
}

// rights are what an actor may do in one write. They are those before the write;
// only of an object that is new, of which nobody could hold anything, something is
// taken for granted.
type rights struct {
	before, after *Oracle
	actor         rel.Actor
	principal     rel.Principal
	held          *Access                    // before the write
	links         map[rel.Object][]rel.Tuple // of new objects; see linksOf
}

// mayWrite says which of the acts the actor has no right to; none for the zero
// Actor, who is the application itself.
func (o *Oracle) mayWrite(actor rel.Actor, acts []act, after *Oracle) []*fault.Fault {
	if actor.IsZero() {
		return nil
	}
	principal, err := rel.NewPrincipal(actor.Subject)
	if err != nil {
		return []*fault.Fault{fault.Of(err)}
	}
	r := &rights{o, after, actor, principal, o.For(principal, actor.Context), map[rel.Object][]rel.Tuple{}}
	var faults []*fault.Fault
	refuse := func(t rel.Tuple, what string) {
		faults = append(faults, fault.Newf(fault.ActorMustBeAllowedToGrant, "%s may not %s %s", actor.Subject, what, t).
			Do("let somebody write it who may"))
	}
	for _, a := range acts {
		d := o.schema.definitions[a.tuple.Object.Type()]
		relation := d.relations[a.tuple.Relation]
		if a.grants && !r.allow(relation.Granted, a.tuple) {
			refuse(a.tuple, "grant")
		}
		if a.revokes && !r.allow(revokedBy(relation), a.tuple) {
			refuse(a.tuple, "revoke")
		}
		if a.adds && r.isNew(a.tuple.Object) && !r.create(d, a.tuple.Object) {
			refuse(a.tuple, "create the object of")
		}
	}
	return faults
}

// revokedBy is the clause on who takes away: left out, it is the one on who gives.
func revokedBy(r *syntax.Relation) *syntax.Rule {
	if r.Revoked == nil {
		return r.Granted
	}
	return r.Revoked
}

// allow reports whether a clause lets the actor write a tuple.
func (r *rights) allow(rule *syntax.Rule, t rel.Tuple) bool {
	return r.allowWith(r.linksOf(t.Object), rule, t)
}

func (r *rights) allowWith(links []rel.Tuple, rule *syntax.Rule, t rel.Tuple) bool {
	if rule == nil || rule.ExceptSelf && t.Subject == r.actor.Subject {
		return false
	}
	return r.judge(links, rule.Expr, t.Object, t.Subject)
}

// create reports whether the actor may create an object.
func (r *rights) create(d *definition, o rel.Object) bool {
	return d.createdBy != nil && r.judge(r.linksOf(o), d.createdBy, o, rel.Subject{})
}

// isNew reports whether an object stands in no live tuple before the write.
func (r *rights) isNew(o rel.Object) bool { return !slices.Contains(r.before.objects, o) }

// linksOf are the tuples of the write on a new object that arrows of its rules may
// go over: those that the actor may grant, found with those found before.
func (r *rights) linksOf(o rel.Object) []rel.Tuple {
	if links, known := r.links[o]; known || !r.isNew(o) {
		return links
	}
	var links []rel.Tuple
	for grown := true; grown; {
		var more []rel.Tuple
		for _, t := range r.after.tuples {
			rule := r.before.schema.definitions[t.Object.Type()].relations[t.Relation].Granted
			if t.Object == o && !slices.Contains(links, t) && r.allowWith(links, rule, t) {
				more = append(more, t)
			}
		}
		links, grown = append(links, more...), len(more) > 0
	}
	r.links[o] = links
	return links
}

// judge reports whether the actor certainly holds a rule's expression, on an
// object, for a tuple with a subject. Over the links of a new object go the arrows
// of the expression that start at their relations.
func (r *rights) judge(links []rel.Tuple, e syntax.Expr, o rel.Object, s rel.Subject) bool {
	arrows := r.held
	if r.isNew(o) {
		walked := startsOf(e)
		with, err := r.before.With(slices.DeleteFunc(slices.Clone(links), func(t rel.Tuple) bool {
			return !slices.Contains(walked, t.Relation)
		}))
		if err != nil {
			panic("oracle: unreachable: a tuple that was put and does not fit: " + err.Error())
		}
		arrows = with.For(r.principal, r.actor.Context)
	}
	return r.eval(arrows, e, o, s, false) == Yes
}

// startsOf are the relations at which arrows of an expression start.
func startsOf(e syntax.Expr) []rel.Name {
	switch e := syntax.Strip(e).(type) {
	case *syntax.ArrowExpr:
		if start, ok := syntax.Strip(e.Left).(*syntax.NameExpr); ok {
			return []rel.Name{rel.Name(start.Name.Text)}
		}
		return startsOf(e.Left)
	case *syntax.BinaryExpr:
		return slices.Concat(startsOf(e.Left), startsOf(e.Right))
	}
	return nil
}

// eval is the meaning of a rule. A bare name of a new object counts as held, and
// as not held anywhere to the right of a `-`.
func (r *rights) eval(arrows *Access, e syntax.Expr, o rel.Object, s rel.Subject, right bool) Truth {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		if r.isNew(o) && s != (rel.Subject{}) { // `created by` is about no tuple, and is asked
			return truthOf(!right)
		}
	case *syntax.SubjectExpr:
		named, _ := s.Object() // of a wildcard the zero object, of which nothing is held
		return r.held.Result(named, rel.Name(e.Target.Text))
	case *syntax.BinaryExpr:
		left := r.eval(arrows, e.Left, o, s, right)
		other := r.eval(arrows, e.Right, o, s, right || e.Op == syntax.Exclusion)
		switch e.Op {
		case syntax.Union:
			return max(left, other)
		case syntax.Intersection:
			return min(left, other)
		default:
			return min(left, not(other))
		}
	}
	return arrows.eval(o, e)
}
