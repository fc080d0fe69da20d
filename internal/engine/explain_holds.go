package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A place in the tree at which something is told.
type telling struct {
	depth int
	alone bool   // by what it holds alone, and not what else would do
	above *trail // what it stands below
}

func (at telling) below(p pair) telling {
	return telling{at.depth + 1, at.alone, &trail{p, at.above}}
}

// reason is why a slot holds, and nothing else: what the walk has kept tells it, and
// nothing is read.
func (w *Walk) reason(n *node, s schema.Slot) *Reason {
	e := explainer{walk: w, spent: true}
	return e.holds(pair{n, s}, telling{alone: true}).tidied().within(reasonDepthMax)
}

// holds is the reason of a pair that holds something: what made it hold, and later,
// unless that is to be told alone, what else would have.
func (e *explainer) holds(p pair, at telling) *Reason {
	plan := p.plan()
	r := &Reason{Object: p.node.object, Name: plan.Label, Result: p.node.held.Of(p.slot)}
	why, kept := p.node.causes[p.slot]
	if r.Result == Denied || !kept {
		r.Cut = true
		return r
	}
	switch why.kind {
	case byItself:
		r.Step = StepItself
	case byTuple:
		r.Step = StepAnyOf
		e.add(r, at.depth, func(int) *Reason { return e.byTuple(p, plan, why, at.below(p)) })
		if !at.alone {
			e.later = append(e.later, func() { e.otherTuples(r, p, why.tuple, at.below(p)) })
		}
	case byAll:
		r.Step = StepAllOf
		for _, each := range p.node.alls[p.slot].found {
			e.add(r, at.depth, func(int) *Reason { return e.byTuple(p, plan, each, at.below(p)) })
			if r.Cut {
				break
			}
		}
	case byExpression:
		e.part(r, p, part{plan.Expr, r.Result, why.of}, at)
	}
	return r
}

// byTuple is the reason of one tuple, and of what holds behind it.
func (e *explainer) byTuple(p pair, plan *schema.SlotPlan, why cause, at telling) *Reason {
	result := e.walk.decide(why.tuple)
	if why.from.node != nil {
		result = min(result, why.from.node.held.Of(why.from.slot))
	}
	r := e.over(plan.Label, stepOver(plan), why.tuple, result)
	if why.from.node != nil {
		e.add(r, at.depth, func(int) *Reason { return e.holds(why.from, at.below(p)) })
	}
	return r
}

// stepOver is what a tuple of a slot does: it gives the name, or leads to it.
func stepOver(plan *schema.SlotPlan) Step {
	if plan.Kind == schema.Stored {
		return StepTuple
	}
	return StepInherited
}

// A part is an expression of a pair, that it comes at least to a result, and the
// operands by which.
type part struct {
	expr *schema.Expr
	want Result
	of   operands
}

// part tells of a part of a pair's expression by which operands it holds, in a
// reason that has no step yet.
func (e *explainer) part(r *Reason, p pair, x part, at telling) {
	switch x.expr.Op {
	case schema.OpSelf:
		r.Step = StepItself
	case schema.OpSlot:
		e.choice(r, p, x, at)
	case schema.OpUnion:
		e.choice(r, p, x, at)
	case schema.OpIntersection:
		r.Step = StepAllOf
		for _, operand := range operandsOf(schema.OpIntersection, x.expr) {
			e.add(r, at.depth, func(int) *Reason { return e.operand(p, part{operand, x.want, x.of}, at) })
		}
	case schema.OpExclusion:
		r.Step = StepMinus
		e.add(r, at.depth, func(int) *Reason { return e.operand(p, part{x.expr.Left, x.want, x.of}, at) })
		e.mayBeTaken(r, p, x.expr.Right, at)
	}
}

// choice tells of a union, or of a name that is another one, by the operand that
// decided; and later of the others.
func (e *explainer) choice(r *Reason, p pair, x part, at telling) {
	r.Step = StepAnyOf
	var others []*schema.Expr
	var decided *schema.Expr
	for _, operand := range operandsOf(schema.OpUnion, x.expr) {
		if decided == nil && e.proves(p.node, part{operand, x.want, x.of}) {
			decided = operand
		} else {
			others = append(others, operand)
		}
	}
	if decided == nil { // what the walk has kept says otherwise: it is not for us to guess
		r.Step, r.Cut = StepNone, true
		return
	}
	if e.isRoleAbove(p, decided) {
		r.Step = StepRoleBelow
	}
	e.add(r, at.depth, func(int) *Reason { return e.operand(p, part{decided, x.want, x.of}, at) })
	if !at.alone && len(others) > 0 {
		e.later = append(e.later, func() { e.otherOperands(r, p, others, at) })
	}
}

// isRoleAbove reports whether an operand of a role is a higher one.
func (e *explainer) isRoleAbove(p pair, x *schema.Expr) bool {
	d := p.node.definition
	return x.Op == schema.OpSlot && p.plan().IsRole && d.IsRole(x.Slot) && d.Above(x.Slot, p.slot)
}

// operand is the reason of one operand of a pair's expression.
func (e *explainer) operand(p pair, x part, at telling) *Reason {
	if x.expr.Op == schema.OpSlot {
		return e.holds(pair{p.node, x.expr.Slot}, at.below(p))
	}
	// Of what hangs on a condition a part may hold more than the whole. The walk has
	// no work left then, and so that is exact.
	if x.want != Granted {
		if v := e.walk.exactly(p.node, x.expr); v > x.want {
			if of, ok := e.support(p.node, x.expr, v, at.below(p).above); ok {
				x.want, x.of = v, of
			}
		}
	}
	r := &Reason{Object: p.node.object, Result: x.want}
	at.depth++
	e.part(r, p, x, at)
	return r
}

// proves reports whether a part holds by the operands that are kept for it. Where an
// exclusion was crossed, all that stood to the right of one was finished.
func (e *explainer) proves(n *node, x part) bool {
	left, right := x, x
	left.expr, right.expr = x.expr.Left, x.expr.Right
	switch x.expr.Op {
	case schema.OpSelf:
		return e.walk.principal.Holds(rel.Of(n.object))
	case schema.OpSlot:
		return slices.Contains(x.of.slots, x.expr.Slot) && n.held.Of(x.expr.Slot) >= x.want
	case schema.OpUnion:
		return e.proves(n, left) || e.proves(n, right)
	case schema.OpIntersection:
		return e.proves(n, left) && e.proves(n, right)
	case schema.OpExclusion:
		return x.of.minus && e.proves(n, left) && Granted.Minus(e.walk.exactly(n, x.expr.Right)) >= x.want
	default:
		return false
	}
}

// support is by which operands an expression whose value is exact holds at least as
// much as is wanted, none of which holds because of what stands above.
func (e *explainer) support(n *node, x *schema.Expr, want Result, above *trail) (operands, bool) {
	switch x.Op {
	case schema.OpSelf:
		return operands{}, e.walk.principal.Holds(rel.Of(n.object))
	case schema.OpSlot:
		p := pair{n, x.Slot}
		return operands{slots: []schema.Slot{x.Slot}}, n.held.Of(x.Slot) >= want && !e.leadsBack(p, above)
	case schema.OpUnion:
		if of, ok := e.support(n, x.Left, want, above); ok {
			return of, true
		}
		return e.support(n, x.Right, want, above)
	case schema.OpIntersection:
		left, ok := e.support(n, x.Left, want, above)
		right, also := e.support(n, x.Right, want, above)
		return left.and(right), ok && also
	case schema.OpExclusion:
		left, ok := e.support(n, x.Left, want, above)
		left.minus = true
		return left, ok && Granted.Minus(e.walk.exactly(n, x.Right)) >= want
	default:
		return operands{}, false
	}
}

// supported is the reason of an operand that holds something on exact values; nil
// where it holds only because of what stands above.
func (e *explainer) supported(p pair, x *schema.Expr, r Result, at telling) *Reason {
	of, ok := e.support(p.node, x, r, at.above)
	if !ok {
		return nil
	}
	return e.operand(p, part{x, r, of}, at)
}

// mayBeTaken adds to an exclusion what takes away from it: what stands to its right
// is finished, where its left side holds something.
func (e *explainer) mayBeTaken(r *Reason, p pair, right *schema.Expr, at telling) {
	taken := e.walk.exactly(p.node, right)
	if taken == Denied {
		return
	}
	e.add(r, at.depth, func(int) *Reason {
		at.alone, at.above = true, nil // a lower stratum never leads back
		return e.supported(p, right, taken, at)
	})
}

// otherOperands adds to a choice what else would do, or would if nothing took it
// away.
func (e *explainer) otherOperands(r *Reason, p pair, others []*schema.Expr, at telling) {
	at.alone = true
	at.above = &trail{p, at.above}
	var ways, taken []*Reason
	for _, x := range others {
		switch v, known := e.valueOf(p.node, x); {
		case !known:
			r.Cut = true
		case v == Denied:
			if t := e.taken(p, x, at); t != nil {
				taken = append(taken, t)
			}
		default:
			if e.room(at.depth + 1) {
				if way := e.supported(p, x, v, at); way != nil {
					ways = append(ways, way)
				}
			} else {
				r.Cut = true
			}
		}
	}
	r.further(ways, taken)
}

// further puts runners-up behind what decided, those that hold most first, and then
// what was taken away.
func (r *Reason) further(ways, taken []*Reason) {
	if r.Step == StepRoleBelow && len(ways)+len(taken) > 0 {
		above := *r
		r.Step, r.Because = StepAnyOf, above.Because // the higher role stands for itself
	}
	slices.SortStableFunc(ways, func(a, b *Reason) int { return int(b.Result) - int(a.Result) })
	if more := len(ways) - reasonEntriesMax; more > 0 {
		r.Cut, r.Omitted = true, r.Omitted+more
		ways = ways[:reasonEntriesMax]
	}
	r.Because = append(append(r.Because, ways...), taken...)
}

// otherTuples adds to a choice of tuples the others that would do.
func (e *explainer) otherTuples(r *Reason, p pair, decided rel.Tuple, at telling) {
	plan := p.plan()
	at.alone = true
	var ways, taken []*Reason
	all, _, whole := e.ways(p, plan, 0)
	for _, way := range all {
		if way.tuple.Key == decided.Key {
			continue
		}
		switch v, known := e.valueOver(way); {
		case !known:
			whole = false
		case v == Denied && !e.isFalse(way):
		case e.leadsBack(way.from, at.above):
		case !e.room(at.depth + 1):
			whole = false
		case v == Denied:
			taken = append(taken, e.byTuple(p, plan, cause{tuple: way.tuple, from: way.from}, at))
		default:
			ways = append(ways, e.byTuple(p, plan, cause{tuple: way.tuple, from: way.from}, at))
		}
	}
	r.Cut = r.Cut || !whole
	r.further(ways, taken)
}

// valueOver is what a way gives, and whether that is known.
func (e *explainer) valueOver(way way) (r Result, known bool) {
	limit := e.walk.decide(way.tuple)
	if limit == Denied && !e.walk.isFalse(way.tuple) {
		return Denied, false // the time ran out over its condition
	}
	if way.from.node == nil {
		return limit, e.walk.err == nil
	}
	r, known = e.value(way.from)
	return min(r, limit), known
}

// isFalse reports whether a way, whose value is known, would give something if its
// condition were not false.
func (e *explainer) isFalse(way way) bool {
	return e.walk.isFalse(way.tuple) && (way.from.node == nil || way.from.node.held.Of(way.from.slot) != Denied)
}

// waysMax is how many tuples of a relation are tried as further ways, or as those
// that a denial went through.
const waysMax = 100

// A way is a tuple that can give a pair something, and what it leads to; zero where
// its subject is the principal.
type way struct {
	tuple rel.Tuple
	from  pair
}

// waysCountedMax is how far those that are not shown are counted.
const waysCountedMax = 10_000

// ways are the tuples of a pair that can give it something: those about the
// principal itself, and those that lead to another object. more counts those that
// were left out, as far as countMax; whole says that it counts them all.
func (e *explainer) ways(p pair, plan *schema.SlotPlan, countMax int) (found []way, more int, whole bool) {
	if e.exhausted() {
		return nil, 0, false
	}
	stopped := false
	if plan.Kind == schema.Stored {
		for _, t := range e.own(p, plan.Relation) {
			found = append(found, way{tuple: t})
		}
	}
	e.walk.load(p.node)
	e.walk.eachTuple(p.node, plan.Relation, plan.Kind != schema.Stored, func(t rel.Tuple) bool {
		from, leads := e.behind(t, plan)
		switch {
		case !leads && (plan.Kind != schema.All):
		case len(found) < waysMax:
			found = append(found, way{t, from})
		case more == countMax:
			stopped = true
		default:
			more++
		}
		return !stopped && !e.exhausted()
	})
	return found, more, !stopped && !e.exhausted()
}

// own are the tuples of a relation on an object that are about the principal itself.
func (e *explainer) own(p pair, r *schema.Relation) []rel.Tuple {
	w := e.walk
	w.load(p.node)
	var found []rel.Tuple
	if p.node.whole {
		for _, t := range p.node.tuples {
			if t.Relation == r.Name && w.principal.Matches(t.Subject) && r.AllowsTuple(t) {
				found = append(found, t)
			}
		}
		return found
	}
	for _, s := range w.candidates(r) {
		if e.exhausted() {
			break
		}
		t, there, err := w.reader.Find(rel.Key{Object: p.node.object, Relation: r.Name, Subject: s})
		if err != nil {
			w.fail(err)
			break
		}
		if there && r.AllowsTuple(t) {
			found = append(found, t)
		}
	}
	return found
}

// behind is the pair that a tuple of a slot leads to; a subject that the principal
// is leads nowhere, but gives the name itself.
func (e *explainer) behind(t rel.Tuple, plan *schema.SlotPlan) (pair, bool) {
	if plan.Kind != schema.Stored {
		n, s, leads := e.walk.target(t.Subject, plan)
		return pair{n, s}, leads
	}
	o, ok := t.Subject.Object()
	if !ok || !t.Subject.IsUserset() || e.walk.principal.Matches(t.Subject) {
		return pair{}, false
	}
	d := e.walk.schema.Definition(o.Type())
	if d == nil {
		return pair{}, false
	}
	declared := d.Name(t.Subject.Relation())
	if declared == nil {
		return pair{}, false
	}
	return pair{e.walk.node(o, d), declared.Slot}, true
}
