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

// hang keeps a tuple whose caveat is open.
func (w *Walk) hang(o open) {
	w.opens = append(w.opens, o)
	w.carries(o.tuple)
}

// counts notes that a tuple made a difference, and so its end will.
func (w *Walk) counts(t rel.Tuple) { w.validUntil = w.validUntil.Sooner(t.Expires) }

// hangsOn are the open conditions that some slots of a node hang on, all of which
// are conditional: what is reached from them over contributions that are
// conditional themselves. The walk has no work left, so every value is exact. It
// goes over all that the walk has met, which can take as long as the walk did, so
// the caller's time is looked at here, too.
func (w *Walk) hangsOn(ctx context.Context, n *node, slots schema.Slots) ([]Missing, error) {
	through, err := w.conditionalEdges(ctx)
	if err != nil {
		return nil, err
	}
	h := hanging{walk: w, opens: make(map[pair][]open), through: through, seen: make(map[pair]bool)}
	for _, o := range w.opens {
		h.opens[o.pair] = append(h.opens[o.pair], o)
	}
	if err := fault.Ended(ctx); err != nil {
		return nil, err
	}
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
	}
	return h.missing(), nil
}

// conditionalEdges are, by pair, the pairs that it hears something conditional
// from through a tuple without an open caveat; the others are among the opens.
func (w *Walk) conditionalEdges(ctx context.Context) (map[pair][]pair, error) {
	edges := make(map[pair][]pair)
	looked := 0
	for _, n := range w.nodes {
		if looked++; looked%stepsBetweenLooks == 0 {
			if err := fault.Ended(ctx); err != nil {
				return nil, err
			}
		}
		for _, s := range n.askers {
			if n.held.Of(s.slot) != Conditional {
				continue
			}
			for _, a := range s.askers {
				edges[a.pair] = append(edges[a.pair], pair{n, s.slot})
			}
		}
	}
	return edges, nil
}

// hanging collects open conditions from the asked pairs down.
type hanging struct {
	walk    *Walk
	opens   map[pair][]open
	through map[pair][]pair
	seen    map[pair]bool
	queue   []pair
	found   []open
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
	for _, o := range h.opens[p] {
		if o.from.node != nil && o.from.node.held.Of(o.from.slot) == Denied {
			continue // whatever its caveat comes to
		}
		h.found = append(h.found, o)
		h.reach(o.from)
	}
	for _, from := range h.through[p] {
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
