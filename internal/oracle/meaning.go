package oracle

import (
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Truth is the value of a name: no < conditional < yes, so that union is the
// maximum, intersection the minimum, and negation turns the order round. The zero
// Truth is no.
type Truth int8

const (
	No Truth = iota
	Conditional
	Yes
)

func (t Truth) String() string { return [...]string{"no", "conditional", "yes"}[t] }

func not(t Truth) Truth { return Yes - t }

func truthOf(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// An Access is everything that one principal holds: the whole least fixpoint,
// computed at once.
type Access struct {
	oracle    *Oracle
	principal rel.Principal
	context   rel.Context
	held      map[pair]Truth
	verdicts  map[rel.Key]verdict // what the caveats of tuples came to

	// exclusionIgnored reads `a - b` as `a`, for the statistics alone.
	exclusionIgnored bool
	generous         *Access // the same with exclusionIgnored; nil until it is asked for

	// whole, where it is not nil, is what the principal holds, and this is what is left
	// of it without wildcards; `a - b` still reads b in whole. See Everybody.Apart.
	whole *Access
}

// For computes what a principal, in a request that brings these values for
// caveats, holds on every object that stands in a tuple or in the principal. On
// any other object nobody holds anything: all that a name can start from is a
// stored tuple or the principal itself.
func (o *Oracle) For(principal rel.Principal, context rel.Context) *Access {
	return o.solved(principal, context, map[rel.Key]verdict{})
}

// solved is For with what is known of the caveats in this context.
func (o *Oracle) solved(principal rel.Principal, context rel.Context, verdicts map[rel.Key]verdict) *Access {
	a := &Access{oracle: o, principal: principal, context: context, verdicts: verdicts}
	a.solve()
	return a
}

// solve computes the strata from the lowest to the highest, each by asking for
// every value again and again until none moves. Within a stratum values only
// rise, because everything that is read through a negation is finished.
func (a *Access) solve() {
	a.held = map[pair]Truth{}
	objects := a.Known()
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

// Known are the objects on which the principal can hold anything: all that stand in a
// tuple, and those that it names itself.
func (a *Access) Known() []rel.Object {
	all := slices.Clone(a.oracle.objects)
	for _, s := range a.principal.Subjects() {
		if named, ok := s.Object(); ok {
			all = append(all, named)
		}
	}
	return sorted(all)
}

// value is the definition of holds(object, name), in terms of what is held so far.
func (a *Access) value(o rel.Object, name rel.Name) Truth {
	if a.principal.Holds(rel.Userset(o, name)) {
		return Yes // a userset is a member of itself, stored or not
	}
	d := a.oracle.schema.definitions[o.Type()]
	if p := d.permissions[name]; p != nil {
		return a.eval(o, p.Expr)
	}
	if !d.isRole(name) {
		return a.stored(o, name)
	}
	// (stored(role i) or EXPR(role i) or holds(role i+1)) - except
	v := a.union(o, name)
	if d.roles.Except != nil {
		v = a.without(v, o, d.roles.Except)
	}
	return v
}

// union is what a role is before the except.
func (a *Access) union(o rel.Object, role rel.Name) Truth {
	d := a.oracle.schema.definitions[o.Type()]
	v := a.stored(o, role)
	for _, e := range d.computed(role) {
		v = max(v, a.eval(o, e))
	}
	if higher := d.above(role); higher != "" {
		v = max(v, a.held[pair{o, higher}])
	}
	return v
}

// stored is the maximum over the tuples object#relation@s of min(caveat, match).
func (a *Access) stored(o rel.Object, relation rel.Name) Truth {
	v := No
	for _, t := range a.oracle.at[place{o, relation}] {
		v = max(v, min(a.verdict(t).truth, a.match(t.Subject)))
	}
	return v
}

func (a *Access) match(s rel.Subject) Truth {
	if a.principal.Matches(s) && (a.whole == nil || !s.IsWildcard()) {
		return Yes
	}
	if userset, ok := s.Object(); ok && s.IsUserset() {
		return a.held[pair{userset, s.Relation()}]
	}
	return No
}

func (a *Access) eval(o rel.Object, e syntax.Expr) Truth {
	switch e := e.(type) {
	case *syntax.NameExpr:
		return a.held[pair{o, rel.Name(e.Name.Text)}]
	case *syntax.ArrowExpr:
		return a.through(o, e.Left, e.Kind, func(o2 rel.Object) Truth {
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
		return No
	case *syntax.SelfExpr:
		return truthOf(a.principal.Holds(rel.Of(o)))
	}
	panic(fmt.Sprintf("oracle: unreachable expression %T", e))
}

// without is `a - b`: min(a, not b).
func (a *Access) without(v Truth, o rel.Object, right syntax.Expr) Truth {
	switch {
	case a.exclusionIgnored:
		return v
	case a.whole != nil:
		return min(v, not(a.whole.eval(o, right)))
	}
	return min(v, not(a.eval(o, right)))
}

// through follows the left side of an arrow and asks there: the maximum over the
// tuples of min(caveat, what is there), or, for `all`, the minimum over at least
// one. The subject's relation is ignored, and a wildcard contributes no.
func (a *Access) through(o rel.Object, left syntax.Expr, kind syntax.ArrowKind, there func(rel.Object) Truth) Truth {
	switch left := syntax.Strip(left).(type) {
	case *syntax.NameExpr:
		return a.over(o, rel.Name(left.Name.Text), kind, there)
	case *syntax.ArrowExpr:
		// a->b->c: b's tuples of each object behind a.
		return a.through(o, left.Left, left.Kind, func(o2 rel.Object) Truth {
			return a.over(o2, rel.Name(left.Target.Text), kind, there)
		})
	}
	panic(fmt.Sprintf("oracle: unreachable left side of an arrow %T", left))
}

func (a *Access) over(o rel.Object, relation rel.Name, kind syntax.ArrowKind, there func(rel.Object) Truth) Truth {
	tuples := a.oracle.at[place{o, relation}]
	most, least := No, Yes
	for _, t := range tuples {
		v := No
		if o2, ok := t.Subject.Object(); ok {
			v = min(a.verdict(t).truth, there(o2))
		}
		most, least = max(most, v), min(least, v)
	}
	if kind == syntax.All && len(tuples) > 0 {
		return least
	}
	return most
}

// Result is what the principal's hold on a name of an object comes to. It is no
// for what the schema does not know: whoever asks has looked the name up.
func (a *Access) Result(o rel.Object, name rel.Name) Truth { return a.held[pair{o, name}] }

// Holds reports whether the principal certainly holds a name on an object.
func (a *Access) Holds(o rel.Object, name rel.Name) bool { return a.Result(o, name) == Yes }

// Role is the highest role that the principal certainly holds on the object;
// empty for none.
func (a *Access) Role(o rel.Object) rel.Name {
	role, _ := a.highest(o, Yes)
	return role
}

// ConditionalRole is the highest role that the principal holds conditionally,
// where that is higher than Role; otherwise empty.
func (a *Access) ConditionalRole(o rel.Object) rel.Name {
	_, certain := a.highest(o, Yes)
	if role, rank := a.highest(o, Conditional); rank > certain {
		return role
	}
	return ""
}

// Ladder are the roles of an object, lowest first. The slice is not to be changed.
func (a *Access) Ladder(o rel.Object) []rel.Name {
	if d := a.oracle.schema.definitions[o.Type()]; d != nil {
		return d.ladder
	}
	return nil
}

// highest is the highest role that is held as much as this, and its rank; -1 for
// none.
func (a *Access) highest(o rel.Object, least Truth) (role rel.Name, rank int) {
	if d := a.oracle.schema.definitions[o.Type()]; d != nil {
		for rank, role := range slices.Backward(d.ladder) {
			if a.Result(o, role) >= least {
				return role, rank
			}
		}
	}
	return "", -1
}

// Names are the permissions that the principal certainly holds on the object, in
// source order.
func (a *Access) Names(o rel.Object) []rel.Name { return a.permissions(o, Yes) }

// ConditionalNames are the permissions that it holds conditionally.
func (a *Access) ConditionalNames(o rel.Object) []rel.Name { return a.permissions(o, Conditional) }

func (a *Access) permissions(o rel.Object, want Truth) []rel.Name {
	var names []rel.Name
	for _, name := range a.oracle.PermissionsOf(o.Type()) {
		if a.Result(o, name) == want {
			names = append(names, name)
		}
	}
	return names
}

// IgnoringExclusion is what the principal would hold if `a - b` were `a` and
// `except` were not there. The statistics of random worlds ask it: an answer
// that is the same here says nothing about exclusion.
func (a *Access) IgnoringExclusion() *Access {
	if a.generous == nil {
		generous := *a
		generous.exclusionIgnored = true
		generous.solve()
		a.generous = &generous
	}
	return a.generous
}

// ChangedByExclusion reports whether the answer to a question is what it is
// because of some `-` or `except`.
func (a *Access) ChangedByExclusion(o rel.Object, name rel.Name) bool {
	return a.Result(o, name) != a.IgnoringExclusion().Result(o, name)
}
