package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// reasonOfAccess is the reason of the effective role, or, where there is none, of
// each permission. Where nothing is certain, it is that of what hangs on a condition:
// the role possible, or each permission.
func (w *Walk) reasonOfAccess(n *node, access Access, top, possible schema.Slot) *Reason {
	result, permissions := Granted, access.Permissions
	switch {
	case access.Role != "":
		return w.reason(n, top)
	case len(permissions) > 0:
	case access.ConditionalRole != "":
		return w.reason(n, possible)
	default:
		result, permissions = Conditional, access.ConditionalPermissions
	}
	all := &Reason{Object: n.object, Step: StepAllOf}
	e := explainer{walk: w, spent: true}
	for _, name := range permissions {
		all.Result = result
		e.add(all, 0, func(depth int) *Reason {
			return e.holds(pair{n, n.definition.Name(name).Slot}, telling{depth: depth, alone: true}).tidied().within(reasonDepthMax - 1)
		})
	}
	if all.Result == Denied {
		all.Step = StepNone
	}
	return all
}

// access tells of all that is held on an object: the role first, its runners-up and
// what took a higher one away; where there is no role, of the permissions; where
// nothing is certain, of what hangs on a condition; and at last why there is nothing.
func (e *explainer) access(top *Reason, n *node, access Access) {
	role := access.Role
	permissions := access.Permissions
	if role == "" && len(permissions) == 0 {
		role, permissions = access.ConditionalRole, access.ConditionalPermissions
	}
	switch {
	case role != "":
		e.role(top, n, n.definition.Name(role).Slot)
	case len(permissions) > 0:
		for _, name := range permissions {
			e.add(top, 0, func(depth int) *Reason {
				return e.holds(pair{n, n.definition.Name(name).Slot}, telling{depth: depth})
			})
		}
		if ladder := n.definition.Ladder(); len(ladder) > 0 {
			e.noRole(top, n, ladder[0])
		}
	default:
		for _, p := range whole(n) {
			e.add(top, 0, func(depth int) *Reason { return e.denied(p, depth) })
		}
	}
}

// noRole tells why there is no role beside permissions, or which one hangs on a
// condition.
func (e *explainer) noRole(top *Reason, n *node, lowest *schema.Declared) {
	e.later = append(e.later, func() {
		p := pair{n, lowest.Slot}
		switch v, known := e.value(p); {
		case !known:
			top.Cut = true
		case v == Denied:
			e.add(top, 0, func(depth int) *Reason { return e.denied(p, depth) })
		default:
			e.add(top, 0, func(depth int) *Reason { return e.holds(p, telling{depth: depth, alone: true}) })
		}
	})
}

// whole are the pairs whose denial is that nothing is held on an object: the lowest
// role, which every role gives, or, where there are no roles, the permissions.
func whole(n *node) []pair {
	if ladder := n.definition.Ladder(); len(ladder) > 0 {
		return []pair{{n, ladder[0].Slot}}
	}
	var all []pair
	for _, name := range n.definition.Names() {
		if name.Kind == schema.KindPermission {
			all = append(all, pair{n, name.Slot})
		}
	}
	return all
}

// role tells of the effective role, and later of what else gives a role on the
// object, the highest first, and of what took a higher one away.
func (e *explainer) role(top *Reason, n *node, s schema.Slot) {
	e.add(top, 0, func(depth int) *Reason { return e.holds(pair{n, s}, telling{depth: depth, alone: true}) })
	if top.Cut {
		return
	}
	e.later = append(e.later, func() {
		e.runnersUp(top, n, s)
		e.higher(top, n, s)
	})
}

// runnersUp adds the other ways to a role on the object. Two that go over the same
// tuples are one.
func (e *explainer) runnersUp(top *Reason, n *node, s schema.Slot) {
	told := [][]rel.Tuple{top.Because[0].Path()}
	for _, declared := range slices.Backward(n.definition.Ladder()) {
		for _, way := range e.waysToRole(top, pair{n, declared.Slot}) {
			path := way.tidied().Path()
			if slices.ContainsFunc(told, func(other []rel.Tuple) bool { return slices.Equal(other, path) }) {
				continue
			}
			if len(told) > reasonEntriesMax {
				top.Cut, top.Omitted = true, top.Omitted+1
				continue
			}
			told = append(told, path)
			way.Role = declared.Name
			top.Because = append(top.Because, way)
		}
	}
	slices.SortStableFunc(top.Because[1:], func(a, b *Reason) int { return int(b.Result) - int(a.Result) })
}

// waysToRole are the ways to a role but through a higher one: each operand, and of
// stored tuples and arrows each tuple.
func (e *explainer) waysToRole(top *Reason, p pair) []*Reason {
	if v, known := e.value(p); !known || v == Denied {
		top.Cut = top.Cut || !known
		return nil
	}
	union, except := p.plan().Expr, (*schema.Expr)(nil)
	if union.Op == schema.OpExclusion {
		union, except = union.Left, union.Right
	}
	var found []*Reason
	for _, x := range operandsOf(schema.OpUnion, union) {
		if e.isRoleAbove(p, x) {
			continue
		}
		v, known := e.valueOf(p.node, x)
		if !known {
			top.Cut = true
			return found
		}
		if v == Denied {
			continue
		}
		ways := e.waysOfOperand(top, p, x, v)
		if except != nil {
			for i, way := range ways {
				ways[i] = e.lessExcept(p, way, except)
			}
		}
		found = append(found, ways...)
	}
	return found
}

// lessExcept is a way to a role of a ladder with an `except`, where that may take it
// away.
func (e *explainer) lessExcept(p pair, way *Reason, except *schema.Expr) *Reason {
	taken := e.walk.exactly(p.node, except)
	if taken == Denied {
		return way
	}
	r := &Reason{Object: p.node.object, Result: way.Result.Minus(taken), Step: StepMinus, Because: []*Reason{way}}
	e.mayBeTaken(r, p, except, telling{depth: 2})
	return r
}

// waysOfOperand are the single ways of an operand.
func (e *explainer) waysOfOperand(top *Reason, p pair, x *schema.Expr, v Result) []*Reason {
	at := telling{depth: 1, alone: true, above: &trail{p, nil}}
	if x.Op != schema.OpSlot || p.node.definition.Plan(x.Slot).Kind == schema.Computed || p.node.definition.Plan(x.Slot).Kind == schema.All {
		if e.room(1) {
			if way := e.supported(p, x, v, at); way != nil {
				return []*Reason{way}
			}
		}
		return nil
	}
	from := pair{p.node, x.Slot}
	all, _, whole := e.ways(from, from.plan(), 0)
	top.Cut = top.Cut || !whole
	at.above = &trail{from, at.above}
	var found []*Reason
	for _, way := range all {
		v, known := e.valueOver(way)
		if !known {
			top.Cut = true
			break
		}
		if v == Denied || e.leadsBack(way.from, at.above) {
			continue
		}
		if !e.room(1) {
			top.Cut = true
			break
		}
		found = append(found, e.byTuple(from, from.plan(), cause{tuple: way.tuple, from: way.from}, at))
	}
	return found
}

// higher adds what took a higher role away; the lowest of them is what all others
// give, too.
func (e *explainer) higher(top *Reason, n *node, s schema.Slot) {
	for _, declared := range n.definition.Ladder() {
		if !n.definition.Above(declared.Slot, s) || n.held.Of(declared.Slot) != Denied {
			continue
		}
		p := pair{n, declared.Slot}
		if _, known := e.value(p); !known {
			top.Cut = true
			return
		}
		if taken := e.taken(p, &schema.Expr{Op: schema.OpSlot, Slot: p.slot}, telling{}); taken != nil {
			top.Because = append(top.Because, taken)
		}
		return
	}
}

// finish makes the reason of an object as a whole of what was found.
func (e *explainer) finish(top *Reason, d *schema.Definition) {
	for i, b := range top.Because {
		b = b.tidied()
		if b.Role == "" && b.Result != Denied {
			b.Role = roleOf(b, top.Object, d)
		}
		top.Because[i] = b
		top.Result = max(top.Result, b.Result)
	}
	top.within(reasonDepthMax)
	if len(top.Because) == 0 {
		top.Step = StepNone
	}
}
