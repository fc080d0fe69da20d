package engine

import (
	"context"

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
