package engine

import (
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/schema"
)

// holds finds all that a subject holds in the web from its seeds: the least fixpoint,
// stratum by stratum. It stays until the next call. A subject can hold as much as the
// web has, so it spends; where the walk has failed, what was found means nothing.
func (b *web) holds(seeds []seed, self *vertex) {
	b.round++
	b.self, b.met = self, b.met[:0]
	for _, s := range seeds {
		b.raise(s.at, s.limit)
		b.walk.spend()
	}
	if self != nil {
		for slot := range self.selfs.All() {
			b.later(vertexSlot{self, slot})
		}
	}
	for number := 0; number < len(b.tells) && b.walk.err == nil; b.walk.spend() {
		switch {
		case len(b.tells[number]) > 0:
			at := pop(&b.tells[number])
			b.tell(at)
		case len(b.waiting[number]) > 0:
			at := pop(&b.waiting[number])
			at.vertex.queued = at.queued.Minus(only(at.slot))
			b.compute(at)
		default:
			number++ // what is above is told of nothing below any more
		}
	}
}

func pop(stack *[]vertexSlot) vertexSlot {
	last := (*stack)[len(*stack)-1]
	*stack = (*stack)[:len(*stack)-1]
	return last
}

// here makes a vertex one of the subject whose holdings are being found.
func (b *web) here(v *vertex) {
	if v.round != b.round {
		v.round, v.held, v.told, v.queued, v.own = b.round, Held{}, Held{}, schema.Slots{}, schema.Slots{}
	}
}

// of is what the subject holds of a slot.
func (b *web) of(at vertexSlot) Result {
	if at.round != b.round {
		return Denied
	}
	return at.held.Of(at.slot)
}

func (b *web) raise(at vertexSlot, r Result) {
	b.here(at.vertex)
	if at.vertex.held.raise(at.slot, r) {
		number := at.plan().Stratum
		b.tells[number] = append(b.tells[number], at)
	}
}

func (b *web) later(at vertexSlot) {
	b.here(at.vertex)
	if at.vertex.queued.Add(at.slot) {
		number := at.plan().Stratum
		b.waiting[number] = append(b.waiting[number], at)
	}
}

// tell passes on what a slot has come to hold.
func (b *web) tell(at vertexSlot) {
	before, now := at.told.Of(at.slot), at.held.Of(at.slot)
	if now == before {
		return
	}
	at.vertex.told.raise(at.slot, now)
	for i := range at.out {
		edge := &at.out[i]
		if edge.from != at.slot {
			continue
		}
		if edge.to.vertex == b.root {
			b.met = append(b.met, edge.way)
		}
		was, is := min(before, edge.limit), min(now, edge.limit)
		switch {
		case was == is:
		case edge.to.plan().Kind == schema.All:
			b.oneOfAll(edge.to, was, is)
		default:
			b.raise(edge.to, is)
		}
	}
	for _, slot := range at.plan().Readers {
		if at.wanted.Has(slot) {
			b.later(vertexSlot{at.vertex, slot})
		}
	}
}

func (b *web) oneOfAll(at vertexSlot, was, is Result) {
	a := at.alls[at.slot]
	if a.round != b.round {
		a.round, a.granted, a.maybe = b.round, 0, 0
	}
	if was == Conditional {
		a.maybe--
	}
	if is == Conditional {
		a.maybe++
	} else {
		a.granted++
	}
	switch {
	case a.hopeless:
	case a.granted == a.tuples:
		b.raise(at, Granted)
	case a.granted+a.maybe == a.tuples:
		b.raise(at, Conditional)
	}
}

func (b *web) compute(at vertexSlot) { b.raise(at, b.eval(at.vertex, at.plan().Expr)) }

// eval is the value of an expression of an object. What stands to the right of an
// exclusion is of a lower stratum, and finished.
func (b *web) eval(v *vertex, e *schema.Expr) Result {
	switch e.Op {
	case schema.OpNil:
		return Denied
	case schema.OpSelf:
		if v == b.self {
			return Granted
		}
		return Denied
	case schema.OpSlot:
		return b.of(vertexSlot{v, e.Slot})
	case schema.OpUnion:
		return max(b.eval(v, e.Left), b.eval(v, e.Right))
	case schema.OpIntersection:
		return min(b.eval(v, e.Left), b.eval(v, e.Right))
	case schema.OpExclusion:
		return b.eval(v, e.Left).Minus(b.eval(v, e.Right))
	default:
		panic(invariant.Unreachable("expression", e.Op))
	}
}

// ownWays finds what the subject holds by seeds of its own: what they give, as far as
// it is held, whatever else it takes beside them.
func (b *web) ownWays(seeds []seed, self *vertex) {
	var stack []vertexSlot
	reach := func(at vertexSlot) {
		if b.of(at) != Denied && at.vertex.own.Add(at.slot) {
			stack = append(stack, at)
		}
	}
	for _, s := range seeds {
		reach(s.at)
	}
	if self != nil {
		for slot := range self.selfs.All() {
			if b.gives(self, self.definition.Plan(slot).Expr, support{self: true}, Conditional) {
				reach(vertexSlot{self, slot})
			}
		}
	}
	for len(stack) > 0 && b.walk.err == nil {
		at := pop(&stack)
		b.walk.spend()
		for _, edge := range at.out {
			if edge.from == at.slot {
				reach(edge.to)
			}
		}
		for _, slot := range at.plan().Readers {
			if at.wanted.Has(slot) && b.gives(at.vertex, at.definition.Plan(slot).Expr, support{slots: at.own}, Conditional) {
				reach(vertexSlot{at.vertex, slot})
			}
		}
	}
}

// gives reports whether some slots of an object, or that the subject is the object, are
// what an expression comes to at least so much by, or a part of that: whether they stand
// in what does, other than to the right of an exclusion.
func (b *web) gives(v *vertex, e *schema.Expr, by support, least Result) bool {
	switch e.Op {
	case schema.OpSelf:
		return by.self
	case schema.OpSlot:
		return by.slots.Has(e.Slot) && b.of(vertexSlot{v, e.Slot}) >= least
	case schema.OpUnion:
		return b.gives(v, e.Left, by, least) || b.gives(v, e.Right, by, least)
	case schema.OpIntersection:
		return (b.gives(v, e.Left, by, least) || b.gives(v, e.Right, by, least)) && b.eval(v, e) >= least
	case schema.OpExclusion:
		return b.gives(v, e.Left, by, least) && b.eval(v, e) >= least
	default:
		return false
	}
}

// A support is what something on an object is asked to follow from.
type support struct {
	slots schema.Slots
	self  bool
}
