package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/schema"
)

// denied is the reason of a pair that holds nothing: how far each of its paths got.
// What is below it is told later, so that what is near to the top is told first.
func (e *explainer) denied(p pair, depth int) *Reason {
	r := &Reason{Object: p.node.object, Name: p.plan().Label}
	if e.told[p] {
		r.Cut = true
		return r
	}
	e.told[p] = true
	e.later = append(e.later, func() { e.deny(r, p, depth) })
	return r
}

// deny tells why a pair holds nothing.
func (e *explainer) deny(r *Reason, p pair, depth int) {
	if v, known := e.value(p); !known || v != Denied {
		r.Cut = true
		return
	}
	switch plan := p.plan(); plan.Kind {
	case schema.Computed:
		e.denyPart(r, p, plan.Expr, depth)
	case schema.All:
		e.denyAll(r, p, plan, depth)
	default:
		e.denyTuples(r, p, plan, depth)
	}
}

// denyPart tells why an expression comes to nothing. An exclusion whose left side
// does takes nothing away, and is left out.
func (e *explainer) denyPart(r *Reason, p pair, x *schema.Expr, depth int) {
	switch x.Op {
	case schema.OpSlot:
		r.Step = StepAnyOf
		e.add(r, depth, func(depth int) *Reason { return e.denied(pair{p.node, x.Slot}, depth) })
	case schema.OpUnion:
		r.Step = StepAnyOf
		for _, operand := range operandsOf(schema.OpUnion, x) {
			e.add(r, depth, func(depth int) *Reason { return e.deniedOperand(p, operand, depth) })
		}
	case schema.OpIntersection:
		e.denyIntersection(r, p, x, depth)
	case schema.OpExclusion:
		left, known := e.valueOf(p.node, x.Left)
		right, alsoKnown := e.valueOf(p.node, x.Right)
		switch {
		case !known || !alsoKnown:
			r.Cut = true
		case left == Denied:
			e.denyPart(r, p, x.Left, depth)
		default:
			for _, side := range []part{{expr: x.Left, want: left}, {expr: x.Right, want: right}} {
				e.add(r, depth, func(depth int) *Reason { return e.met(p, side, depth) })
			}
			if r.Step = StepMinus; len(r.Because) < 2 {
				r.Step, r.Because = StepNone, nil
			}
		}
	}
}

// deniedOperand is the reason of one operand that comes to nothing.
func (e *explainer) deniedOperand(p pair, x *schema.Expr, depth int) *Reason {
	if x.Op == schema.OpSlot {
		return e.denied(pair{p.node, x.Slot}, depth)
	}
	r := &Reason{Object: p.node.object}
	e.denyPart(r, p, x, depth)
	return r
}

// denyIntersection shows what is missing, and what would have been met.
func (e *explainer) denyIntersection(r *Reason, p pair, x *schema.Expr, depth int) {
	r.Step = StepAllOf
	var met []part
	for _, operand := range operandsOf(schema.OpIntersection, x) {
		switch v, known := e.valueOf(p.node, operand); {
		case !known:
			r.Cut = true
		case v == Denied:
			e.add(r, depth, func(depth int) *Reason { return e.deniedOperand(p, operand, depth) })
		default:
			met = append(met, part{expr: operand, want: v})
		}
	}
	for _, side := range met {
		e.add(r, depth, func(depth int) *Reason { return e.met(p, side, depth) })
	}
	if len(r.Because) == 0 {
		r.Step = StepNone
	}
}

// met is the reason of a part that holds, in a denial.
func (e *explainer) met(p pair, x part, depth int) *Reason {
	return e.supported(p, x.expr, x.want, telling{depth: depth, alone: true, above: e.above})
}

// denyTuples shows the tuples that were followed and gave nothing: first those whose
// condition is false.
func (e *explainer) denyTuples(r *Reason, p pair, plan *schema.SlotPlan, depth int) {
	all, more, whole := e.ways(p, plan, waysCountedMax)
	isFalse := make(map[way]bool)
	for _, way := range all {
		if e.walk.isFalse(way.tuple) {
			_, known := e.valueOver(way)
			isFalse[way] = known && e.isFalse(way)
		}
	}
	slices.SortStableFunc(all, func(a, b way) int { return order(isFalse[b]) - order(isFalse[a]) })
	if left := len(all) - reasonEntriesMax; left > 0 {
		all, more = all[:reasonEntriesMax], more+left
	}
	for _, way := range all {
		e.add(r, depth, func(depth int) *Reason { return e.deniedWay(p, plan, way, depth) })
	}
	if len(r.Because) > 0 {
		r.Step = StepAnyOf
	}
	r.Cut = r.Cut || more > 0 || !whole
	r.Omitted += more
}

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}

// deniedWay is the reason of a tuple that gives nothing: what it leads to does not
// hold, or its condition is false.
func (e *explainer) deniedWay(p pair, plan *schema.SlotPlan, way way, depth int) *Reason {
	r := e.over(plan.Label, stepOver(plan), way.tuple, Denied)
	if way.from.node == nil {
		return r
	}
	behind := Denied // for otherwise the tuple would give something
	if r.ConditionFalse {
		var known bool
		if behind, known = e.value(way.from); !known {
			r.Cut = true
			return r
		}
	}
	e.add(r, depth, func(depth int) *Reason {
		if behind != Denied {
			if e.leadsBack(way.from, e.above) {
				return nil
			}
			return e.holds(way.from, telling{depth: depth, alone: true, above: e.above})
		}
		return e.denied(way.from, depth)
	})
	return r
}

// denyAll shows of the objects that are all needed those that fail, and then others.
func (e *explainer) denyAll(r *Reason, p pair, plan *schema.SlotPlan, depth int) {
	all, more, whole := e.ways(p, plan, waysCountedMax)
	var fail, met []way
	for _, way := range all {
		switch v, known := e.valueOfAll(way); {
		case !known:
			whole = false
		case v == Denied:
			fail = append(fail, way)
		default:
			met = append(met, way)
		}
	}
	shown := append(fail, met...)
	if left := len(shown) - reasonEntriesMax; left > 0 {
		shown, more = shown[:reasonEntriesMax], more+left
	}
	for i, way := range shown {
		e.add(r, depth, func(depth int) *Reason {
			if i < len(fail) {
				return e.deniedWay(p, plan, way, depth)
			}
			if e.leadsBack(way.from, e.above) {
				return nil
			}
			return e.byTuple(p, plan, cause{tuple: way.tuple, from: way.from}, telling{depth: depth, alone: true, above: e.above})
		})
	}
	if len(r.Because) > 0 {
		r.Step = StepAllOf
	}
	r.Cut = r.Cut || more > 0 || !whole
	r.Omitted += more
}

// valueOfAll is what one tuple of `.all` comes to: one that leads nowhere decides
// against it.
func (e *explainer) valueOfAll(way way) (Result, bool) {
	if way.from.node == nil {
		return Denied, true
	}
	return e.valueOver(way)
}

// takenNodesMax bounds how far is looked for what was taken away.
const takenNodesMax = 100

// taken is the reason of an operand that holds nothing, cut down to what an exclusion
// or a false condition took away; nil where they took nothing.
func (e *explainer) taken(p pair, x *schema.Expr, at telling) *Reason {
	look := &explainer{
		walk: e.walk, told: make(map[pair]bool), nodes: max(e.nodes, reasonNodesMax-takenNodesMax),
		readsStop: e.readsStop, followsStop: e.followsStop, followed: e.followed, spent: e.spent, above: at.above,
	}
	before := look.nodes
	if !look.room(at.depth + 1) {
		return nil
	}
	r := look.deniedOperand(p, x, at.depth+1)
	look.work()
	if r = r.tidied().onlyTaken(); r != nil {
		e.nodes += look.nodes - before
	}
	e.followed, e.spent = look.followed, e.spent || look.spent
	return r
}
