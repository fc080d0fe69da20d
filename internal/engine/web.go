package engine

import (
	"context"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A web is all that can give some slots of one object to anybody: the pairs they are
// computed from, what is to the right of an exclusion among them, and the tuples that
// tie these together. Who holds what is then found from a subject's own tuples upward,
// without a read: it costs the pairs that the subject holds, not those of the web.
//
// The tuples that name plain subjects are left to whoever lists them: they are leaves,
// and may be many.
type web struct {
	ctx      context.Context
	walk     *Walk // reads, and decides caveats; it has no principal
	root     *vertex
	vertices map[rel.Object]*vertex
	order    []*vertex
	building []vertexSlot
	leaves   []leaf
	wild     []seed  // the tuples about everybody of the listed type
	ways     []wayIn // to the root

	typ rel.ObjectType // of the subjects that are listed

	// What follows is of the subject whose holdings are being found.
	round   int
	self    *vertex // the subject as an object, where the web has it
	met     []int32 // the ways of the root that were told of something, some of them twice
	tells   [][]vertexSlot
	waiting [][]vertexSlot // to be computed
}

// A vertex is an object of the web.
type vertex struct {
	object     rel.Object
	definition *schema.Definition
	number     int
	wanted     schema.Slots
	out        []outgoing
	in         map[schema.Slot][]incoming // of slots without a name
	alls       map[schema.Slot]*allOf
	selfs      schema.Slots // computed slots that say `self`

	round  int
	held   Held
	told   Held
	queued schema.Slots
	own    schema.Slots
}

type vertexSlot struct {
	*vertex
	slot schema.Slot
}

// An outgoing edge gives what is held here to a slot of another object, as far as a
// tuple counts.
type outgoing struct {
	from  schema.Slot
	to    vertexSlot
	limit Result
	way   int32 // its place among the ways, where it leads to the root
}

// An incoming edge is the same seen from there.
type incoming struct {
	tuple rel.Tuple
	from  vertexSlot
	limit Result
}

// A wayIn is an edge to a slot of the root.
type wayIn struct {
	incoming
	slot schema.Slot
}

// An allOf is a slot that needs all objects of its relation.
type allOf struct {
	tuples   int
	hopeless bool // one of them cannot hold what is needed

	round          int
	granted, maybe int
}

// A leaf is a stored relation of an object that may name plain subjects of the listed
// type.
type leaf struct {
	at       vertexSlot
	relation *schema.Relation
}

// A seed is a tuple about the subject, and where it gives something.
type seed struct {
	at    vertexSlot
	tuple rel.Tuple // zero where the subject is the object or the userset itself
	limit Result
}

// newWeb reads a web.
func newWeb(ctx context.Context, w *Walk, o rel.Object, asked schema.Slots, typ rel.ObjectType) (*web, error) {
	b := &web{
		ctx: ctx, walk: w, typ: typ, vertices: make(map[rel.Object]*vertex),
		tells: make([][]vertexSlot, w.schema.Strata()), waiting: make([][]vertexSlot, w.schema.Strata()),
	}
	w.enter(ctx)
	b.root = b.vertex(o, w.schema.Definition(o.Type()))
	for slot := range asked.All() {
		b.want(vertexSlot{b.root, slot})
	}
	for len(b.building) > 0 && w.err == nil {
		at := b.building[len(b.building)-1]
		b.building = b.building[:len(b.building)-1]
		b.build(at)
		w.spend()
	}
	return b, w.err
}

func (b *web) vertex(o rel.Object, d *schema.Definition) *vertex {
	v := b.vertices[o]
	if v == nil {
		v = &vertex{object: o, definition: d, number: len(b.order)}
		b.vertices[o] = v
		b.order = append(b.order, v)
	}
	return v
}

func (b *web) want(at vertexSlot) {
	if at.wanted.Add(at.slot) {
		b.walk.pairs++
		b.building = append(b.building, at)
	}
}

func (at vertexSlot) plan() *schema.SlotPlan { return at.definition.Plan(at.slot) }

// build finds what gives a slot.
func (b *web) build(at vertexSlot) {
	switch plan := at.plan(); plan.Kind {
	case schema.Stored:
		b.buildStored(at, plan.Relation)
	case schema.Arrow, schema.All:
		b.buildArrow(at, plan)
	case schema.Computed:
		b.buildExpression(at, plan.Expr)
	}
}

func (b *web) buildExpression(at vertexSlot, e *schema.Expr) {
	switch e.Op {
	case schema.OpSelf:
		at.selfs.Add(at.slot)
	case schema.OpSlot:
		b.want(vertexSlot{at.vertex, e.Slot})
	case schema.OpUnion, schema.OpIntersection, schema.OpExclusion:
		b.buildExpression(at, e.Left)
		b.buildExpression(at, e.Right)
	}
}

func (b *web) buildStored(at vertexSlot, r *schema.Relation) {
	w := b.walk
	if r.Allows(rel.TrustedSubject(b.typ, "", "")) {
		b.leaves = append(b.leaves, leaf{at, r})
	}
	n := w.node(at.object, at.definition)
	w.load(n)
	w.eachTuple(n, r, false, func(t rel.Tuple) bool {
		limit := w.decide(t)
		if limit == Denied {
			return true
		}
		if t.Subject.IsWildcard() {
			if t.Subject.Type() == b.typ {
				b.wild = append(b.wild, seed{at, t, limit})
			}
			return true
		}
		o, _ := t.Subject.Object()
		d := w.schema.Definition(o.Type())
		if d == nil {
			return true
		}
		if name := d.Name(t.Subject.Relation()); name != nil {
			b.tie(at, t, vertexSlot{b.vertex(o, d), name.Slot}, limit)
		}
		return true
	})
}

func (b *web) buildArrow(at vertexSlot, plan *schema.SlotPlan) {
	w := b.walk
	all := &allOf{}
	n := w.node(at.object, at.definition)
	w.load(n)
	w.eachTuple(n, plan.Relation, true, func(t rel.Tuple) bool {
		limit := w.decide(t)
		all.tuples++
		o, ok := t.Subject.Object()
		slot, leads := plan.Targets[t.Subject.Type()]
		if !ok || !leads || limit == Denied {
			all.hopeless = true
			return plan.Kind == schema.Arrow
		}
		b.tie(at, t, vertexSlot{b.vertex(o, w.schema.Definition(o.Type())), slot}, limit)
		return true
	})
	if plan.Kind == schema.All {
		if at.alls == nil {
			at.vertex.alls = make(map[schema.Slot]*allOf)
		}
		at.alls[at.slot] = all
	}
}

// tie lets a slot hear of another one through a tuple.
func (b *web) tie(at vertexSlot, t rel.Tuple, from vertexSlot, limit Result) {
	b.walk.follows++
	edge, back := outgoing{from: from.slot, to: at, limit: limit}, incoming{t, from, limit}
	if at.vertex == b.root {
		edge.way = int32(len(b.ways)) // at most followsMax
		b.ways = append(b.ways, wayIn{back, at.slot})
	}
	from.vertex.out = append(from.out, edge)
	if !at.definition.IsAsked(at.slot) {
		if at.in == nil {
			at.vertex.in = make(map[schema.Slot][]incoming)
		}
		at.in[at.slot] = append(at.in[at.slot], back)
	}
	b.want(from)
}

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
