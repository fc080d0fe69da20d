package oracle

import (
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A truth is the value of a name: no < (later) conditional < yes, so that union
// is the maximum, intersection the minimum, and negation turns the order round.
// The zero truth is no.
type truth int8

const (
	no  truth = 0
	yes truth = 2 // 1 is left for conditional
)

func not(t truth) truth { return yes - t }

// An Access is everything that one principal holds: the whole least fixpoint,
// computed at once.
type Access struct {
	oracle    *Oracle
	principal rel.Principal
	held      map[pair]truth

	// exclusionIgnored reads `a - b` as `a`, for the statistics alone.
	exclusionIgnored bool
	generous         *Access // the same with exclusionIgnored; nil until it is asked for
}

// For computes what a principal holds on every object that stands in a tuple or
// in the principal. On any other object nobody holds anything: all that a name
// can start from is a stored tuple or the principal itself.
func (o *Oracle) For(principal rel.Principal) *Access {
	a := &Access{oracle: o, principal: principal, held: map[pair]truth{}}
	a.solve()
	return a
}

// solve computes the strata from the lowest to the highest, each by asking for
// every value again and again until none moves. Within a stratum values only
// rise, because everything that is read through a negation is finished.
func (a *Access) solve() {
	objects := slices.Clone(a.oracle.objects)
	for _, s := range a.principal.Subjects() {
		if named, ok := s.Object(); ok {
			objects = append(objects, named)
		}
	}
	objects = sorted(objects)
	for _, stratum := range a.oracle.schema.strata {
		var open []pair
		for _, o := range objects {
			for _, u := range stratum {
				if u.typ == o.Type() {
					open = append(open, pair{o, u.name})
				}
			}
		}
		for moved := true; moved; {
			moved = false
			for _, p := range open {
				if v := a.value(p.object, p.name); v != a.held[p] {
					a.held[p], moved = v, true
				}
			}
			slices.Reverse(open) // only the time it takes depends on the order
		}
	}
}

// value is the definition of holds(object, name), in terms of what is held so far.
func (a *Access) value(o rel.Object, name rel.Name) truth {
	if a.principal.Holds(rel.Userset(o, name)) {
		return yes // a userset is a member of itself, stored or not
	}
	d := a.oracle.schema.definitions[o.Type()]
	if p := d.permissions[name]; p != nil {
		return a.eval(o, p.Expr)
	}
	v := a.stored(o, name)
	if !d.isRole(name) {
		return v
	}
	// (stored(role i) or EXPR(role i) or holds(role i+1)) - except
	r := d.relations[name]
	if r.Expr != nil {
		v = max(v, a.eval(o, r.Expr))
	}
	for _, from := range d.roles.Inherits {
		v = max(v, a.eval(o, arrow(from.Rel, r.Name)))
	}
	if higher := d.above(name); higher != "" {
		v = max(v, a.held[pair{o, higher}])
	}
	if d.roles.Except != nil {
		v = a.without(v, o, d.roles.Except)
	}
	return v
}

// stored is the maximum over the tuples object#relation@s of the match of s.
func (a *Access) stored(o rel.Object, relation rel.Name) truth {
	v := no
	for _, s := range a.oracle.at[place{o, relation}] {
		v = max(v, a.match(s))
	}
	return v
}

func (a *Access) match(s rel.Subject) truth {
	if a.principal.Matches(s) {
		return yes
	}
	if userset, ok := s.Object(); ok && s.IsUserset() {
		return a.held[pair{userset, s.Relation()}]
	}
	return no
}

func (a *Access) eval(o rel.Object, e syntax.Expr) truth {
	switch e := e.(type) {
	case *syntax.NameExpr:
		return a.held[pair{o, rel.Name(e.Name.Text)}]
	case *syntax.ArrowExpr:
		return a.through(o, e.Left, e.Kind, func(o2 rel.Object) truth {
			// A type without the name contributes no: nothing is ever held under it.
			return a.held[pair{o2, rel.Name(e.Target.Text)}]
		})
	case *syntax.BinaryExpr:
		switch e.Op {
		case syntax.Union:
			return max(a.eval(o, e.Left), a.eval(o, e.Right))
		case syntax.Intersection:
			return min(a.eval(o, e.Left), a.eval(o, e.Right))
		case syntax.Exclusion:
			return a.without(a.eval(o, e.Left), o, e.Right)
		}
	case *syntax.ParenExpr:
		return a.eval(o, e.X)
	case *syntax.NilExpr:
		return no
	case *syntax.SelfExpr:
		if a.principal.Holds(rel.Of(o)) {
			return yes
		}
		return no
	}
	panic(fmt.Sprintf("oracle: unreachable expression %T", e))
}

// without is `a - b`: min(a, not b).
func (a *Access) without(v truth, o rel.Object, right syntax.Expr) truth {
	if a.exclusionIgnored {
		return v
	}
	return min(v, not(a.eval(o, right)))
}

// through follows the left side of an arrow and asks there: the maximum over
// the tuples, or, for `all`, the minimum over at least one. The subject's
// relation is ignored, and a wildcard contributes no.
func (a *Access) through(o rel.Object, left syntax.Expr, kind syntax.ArrowKind, there func(rel.Object) truth) truth {
	switch left := syntax.Strip(left).(type) {
	case *syntax.NameExpr:
		return a.over(o, rel.Name(left.Name.Text), kind, there)
	case *syntax.ArrowExpr:
		// a->b->c: b's tuples of each object behind a.
		return a.through(o, left.Left, left.Kind, func(o2 rel.Object) truth {
			return a.over(o2, rel.Name(left.Target.Text), kind, there)
		})
	}
	panic(fmt.Sprintf("oracle: unreachable left side of an arrow %T", left))
}

func (a *Access) over(o rel.Object, relation rel.Name, kind syntax.ArrowKind, there func(rel.Object) truth) truth {
	subjects := a.oracle.at[place{o, relation}]
	most, least := no, yes
	for _, s := range subjects {
		v := no
		if o2, ok := s.Object(); ok {
			v = there(o2)
		}
		most, least = max(most, v), min(least, v)
	}
	if kind == syntax.All && len(subjects) > 0 {
		return least
	}
	return most
}

// Holds reports whether the principal holds a name on an object. It is false
// for what the schema does not know: whoever asks has looked the name up.
func (a *Access) Holds(o rel.Object, name rel.Name) bool { return a.held[pair{o, name}] == yes }

// Role is the highest role that the principal holds on the object; empty for none.
func (a *Access) Role(o rel.Object) rel.Name {
	if d := a.oracle.schema.definitions[o.Type()]; d != nil {
		for _, role := range slices.Backward(d.ladder) {
			if a.Holds(o, role) {
				return role
			}
		}
	}
	return ""
}

// Names are the permissions that the principal holds on the object, in source order.
func (a *Access) Names(o rel.Object) []rel.Name {
	var names []rel.Name
	if d := a.oracle.schema.definitions[o.Type()]; d != nil {
		for _, name := range d.listed {
			if a.Holds(o, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// IgnoringExclusion is what the principal would hold if `a - b` were `a` and
// `except` were not there. The statistics of random worlds ask it: an answer
// that is the same here says nothing about exclusion.
func (a *Access) IgnoringExclusion() *Access {
	if a.generous == nil {
		a.generous = &Access{oracle: a.oracle, principal: a.principal, held: map[pair]truth{}, exclusionIgnored: true}
		a.generous.solve()
	}
	return a.generous
}

// ChangedByExclusion reports whether the answer to a question is what it is
// because of some `-` or `except`.
func (a *Access) ChangedByExclusion(o rel.Object, name rel.Name) bool {
	return a.Holds(o, name) != a.IgnoringExclusion().Holds(o, name)
}
