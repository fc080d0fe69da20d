package engine

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// missingMax bounds the open conditions that one answer names; the rest shows
// when these are supplied.
const missingMax = 100

// A Missing is one open condition that a conditional answer hangs on.
type Missing struct {
	Tuple      rel.Key // that carries the caveat
	Caveat     rel.CaveatName
	Parameters []string // without a value, sorted
	Problem    string   // why it is open although no parameter is missing
}

// An open is a tuple met on the way whose caveat is open: it may give a pair what
// the pair behind it holds, or, where from is zero, the principal itself.
type open struct {
	pair
	tuple rel.Tuple
	from  pair
}

// decide says how far a tuple counts: its caveat's value for what the tuple and
// the request bring. Tuples with the same caveat and context are decided once.
func (w *Walk) decide(t rel.Tuple) Result {
	if t.Caveat.IsZero() {
		return Granted
	}
	v, known := w.verdicts[t.Caveat]
	if !known {
		caveat := w.schema.Caveat(t.Caveat.Name)
		if caveat == nil {
			return Denied // no form of the relation has it, and the tuple only waits to be deleted
		}
		// A decision can take as long as a thousand steps, so the caller's time is
		// looked at before each.
		if err := fault.Ended(w.ctx); err != nil {
			w.fail(err)
			return Denied
		}
		v = caveat.Condition.Decide(t.Caveat.Context, w.given)
		if w.verdicts == nil {
			w.verdicts = make(map[rel.Caveat]condition.Verdict)
		}
		w.verdicts[t.Caveat] = v
		w.carries(t)
	}
	switch v.Truth {
	case condition.True:
		return Granted
	case condition.Open:
		return Conditional
	default:
		return Denied
	}
}

// isFalse reports whether a tuple's caveat is known to be false. What the time ran out
// over, and what no caveat of the schema decides, is not.
func (w *Walk) isFalse(t rel.Tuple) bool {
	w.decide(t)
	v, known := w.verdicts[t.Caveat]
	return known && v.Truth == condition.False
}

// hang keeps a tuple whose caveat is open.
func (w *Walk) hang(o open) {
	w.conditions.opens = append(w.conditions.opens, o)
	w.carries(o.tuple)
}

// hears keeps that a pair heard something conditional from another one.
func (w *Walk) hears(p, from pair) {
	w.conditions.edges = append(w.conditions.edges, edge{p, from})
}

// An edge is from a pair to one that it heard something conditional from. It may be
// there twice, and the other pair may hold for certain by now.
type edge struct{ pair, from pair }

// conditions are what conditional answers hang on, as far as the walk has met it.
// The walk notes what it meets in its order, and an answer that asks has it filed by
// pair: the next answers of the same walk file no more than what is new.
type conditions struct {
	opens []open // not filed yet
	edges []edge

	opensOf map[pair][]open
	// through are those that a pair heard from through a tuple without an open
	// caveat; the others are among the opens.
	through map[pair][]pair
}

func (c *conditions) file(ctx context.Context) error {
	if c.opensOf == nil {
		c.opensOf, c.through = make(map[pair][]open), make(map[pair][]pair)
	}
	for len(c.opens)+len(c.edges) > 0 {
		if err := fault.Ended(ctx); err != nil {
			return err
		}
		n := min(len(c.opens), stepsBetweenLooks)
		for _, o := range c.opens[:n] {
			c.opensOf[o.pair] = append(c.opensOf[o.pair], o)
		}
		c.opens = c.opens[n:]
		n = min(len(c.edges), stepsBetweenLooks)
		for _, e := range c.edges[:n] {
			c.through[e.pair] = append(c.through[e.pair], e.from)
		}
		c.edges = c.edges[n:]
	}
	c.opens, c.edges = nil, nil
	return nil
}

// counts notes that a tuple made a difference, and so its end will.
func (w *Walk) counts(t rel.Tuple) { w.validUntil = w.validUntil.Sooner(t.Expires) }

// hangsOn are the open conditions that some slots of a node hang on, all of which
// are conditional: what is reached from them over contributions that are
// conditional themselves. The walk has no work left, so every value is exact. It
// can go over all that the walk has met, and take as long as the walk did, so the
// caller's time is looked at here, too.
func (w *Walk) hangsOn(ctx context.Context, n *node, slots schema.Slots) ([]Missing, error) {
	if err := w.conditions.file(ctx); err != nil {
		return nil, err
	}
	if err := fault.Ended(ctx); err != nil {
		return nil, err
	}
	h := hanging{walk: w, seen: make(map[pair]bool)}
	for s := range slots.All() {
		h.reach(pair{n, s})
	}
	for len(h.queue) > 0 {
		if len(h.seen)%stepsBetweenLooks == 0 {
			if err := fault.Ended(ctx); err != nil {
				return nil, err
			}
		}
		p := h.queue[len(h.queue)-1]
		h.queue = h.queue[:len(h.queue)-1]
		h.leave(p)
		w.steps += 1 + len(w.conditions.opensOf[p]) + len(w.conditions.through[p])
	}
	w.steps += conditionSteps * len(h.found) // they are sorted
	return h.missing(), nil
}

// conditionSteps is how many steps of a walk it takes to put a condition in its place.
const conditionSteps = 10

// hanging collects open conditions from the asked pairs down.
type hanging struct {
	walk  *Walk
	seen  map[pair]bool
	queue []pair
	found []open
}

// reach goes to a pair, if it is conditional.
func (h *hanging) reach(p pair) {
	if p.node == nil || h.seen[p] || p.node.held.Of(p.slot) != Conditional {
		return
	}
	h.seen[p] = true
	h.queue = append(h.queue, p)
}

// leave goes on from a pair to what makes it conditional.
func (h *hanging) leave(p pair) {
	if plan := p.plan(); plan.Kind == schema.Computed {
		_, slots := h.expression(p.node, plan.Expr)
		for s := range slots.All() {
			h.reach(pair{p.node, s})
		}
		return
	}
	for _, o := range h.walk.conditions.opensOf[p] {
		if o.from.node != nil && o.from.node.held.Of(o.from.slot) == Denied {
			continue // whatever its caveat comes to
		}
		h.found = append(h.found, o)
		h.reach(o.from)
	}
	for _, from := range h.walk.conditions.through[p] {
		h.reach(from)
	}
}

// expression evaluates on exact values, and says which slots make the value
// conditional; none where it is not.
func (h *hanging) expression(n *node, e *schema.Expr) (Result, schema.Slots) {
	switch e.Op {
	case schema.OpSelf:
		if h.walk.principal.Holds(rel.Of(n.object)) {
			return Granted, schema.Slots{}
		}
		return Denied, schema.Slots{}
	case schema.OpSlot:
		r := n.held.Of(e.Slot)
		if r == Conditional {
			return r, only(e.Slot)
		}
		return r, schema.Slots{}
	case schema.OpUnion, schema.OpIntersection, schema.OpExclusion:
		left, a := h.expression(n, e.Left)
		right, b := h.expression(n, e.Right)
		r := max(left, right)
		switch e.Op {
		case schema.OpIntersection:
			r = min(left, right)
		case schema.OpExclusion:
			r = left.Minus(right)
		}
		if r == Conditional {
			return r, a.Union(b)
		}
		return r, schema.Slots{}
	default:
		return Denied, schema.Slots{}
	}
}

// missing are the conditions found, each once, in the order of their tuples.
func (h *hanging) missing() []Missing {
	slices.SortFunc(h.found, func(a, b open) int { return a.tuple.Key.Compare(b.tuple.Key) })
	h.found = slices.CompactFunc(h.found, func(a, b open) bool { return a.tuple.Key == b.tuple.Key })
	var all []Missing
	for _, o := range h.found[:min(len(h.found), missingMax)] {
		v := h.walk.verdicts[o.tuple.Caveat]
		all = append(all, Missing{o.tuple.Key, o.tuple.Caveat.Name, v.Missing, v.Problem})
	}
	return all
}
