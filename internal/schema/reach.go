package schema

import (
	"github.com/pemba-io/pemba/internal/rel"
)

// A Reach is how a principal can come to hold some slots of the objects of a type,
// read from its side: which tuples about it begin a way, and which lead on from what
// it holds on one object to what it may hold on another. Whoever follows all of it
// meets every object on which one of the slots is held, and others: an exclusion is
// passed over, of an intersection one side is followed, and of an arrow over all of its
// objects it is enough to meet one.
type Reach struct {
	schema *Schema
	byType map[rel.ObjectType]*Reached
	order  []*Reached
	hops   map[hopKey]int // places in Reached.Hops
}

// A Reached is the part of a Reach on the objects of one type.
type Reached struct {
	Definition *Definition
	Slots      Slots       // that a way can come by
	Stored     []*Relation // whose tuples about the principal begin a way
	// Itself says that an expression on the way says `self`.
	Itself bool
	// Hops lead on from the objects of the type.
	Hops []Hop
}

// A Hop leads from an object to those whose tuples name it: the tuples of Relation on
// objects of the type To whose subject is the object, with the relation Subject.
type Hop struct {
	Subject  rel.Name // empty: the object itself
	To       *Definition
	Relation *Relation
	Landings []Landing
}

// A hopKey is what hops differ in; a relation has the type that it is of.
type hopKey struct {
	from     *Definition
	subject  rel.Name
	relation *Relation
}

// A Landing is what such a tuple gives: the slot To, where From is held on the object
// that is its subject.
type Landing struct {
	From, To Slot
	// OneOfAll says that holding From there is not enough: all objects of the relation
	// count.
	OneOfAll bool
}

// ReachOf is how slots of a definition can be come by.
func (s *Schema) ReachOf(d *Definition, asked Slots) *Reach {
	r := &Reach{schema: s, byType: make(map[rel.ObjectType]*Reached), hops: make(map[hopKey]int)}
	var queue []place
	visit := func(p place) {
		at := r.byType[p.definition.Type]
		if at == nil {
			at = &Reached{Definition: p.definition}
			r.byType[p.definition.Type] = at
			r.order = append(r.order, at)
		}
		if at.Slots.Add(p.slot) {
			queue = append(queue, p)
		}
	}
	for slot := range asked.All() {
		visit(place{d, slot})
	}
	for len(queue) > 0 {
		p := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		r.follow(p, visit)
	}
	return r
}

// follow finds what leads to a place.
func (r *Reach) follow(p place, visit func(place)) {
	at := r.byType[p.definition.Type]
	plan := p.definition.Plan(p.slot)
	switch plan.Kind {
	case Stored:
		at.Stored = append(at.Stored, plan.Relation)
		seen := make(map[Form]bool)
		for _, f := range plan.Relation.Forms {
			if f = f.Subject(); f.Relation == "" || seen[f] {
				continue
			}
			seen[f] = true
			from := r.schema.byType[f.Type]
			slot := from.byName[f.Relation].Slot
			visit(place{from, slot})
			r.hop(from, Hop{f.Relation, p.definition, plan.Relation, nil}, Landing{From: slot, To: p.slot})
		}
	case Arrow, All:
		seen := make(map[Form]bool)
		for _, f := range plan.Relation.Forms {
			slot, leads := plan.Targets[f.Type]
			if f = f.Subject(); f.Wildcard || !leads || seen[f] {
				continue
			}
			seen[f] = true
			from := r.schema.byType[f.Type]
			visit(place{from, slot})
			r.hop(from, Hop{f.Relation, p.definition, plan.Relation, nil}, Landing{slot, p.slot, plan.Kind == All})
		}
	case Computed:
		r.expression(at, plan.Expr, func(s Slot) { visit(place{p.definition, s}) })
	}
}

// hop adds a landing to the hop that reads these tuples.
func (r *Reach) hop(from *Definition, h Hop, l Landing) {
	at, key := r.byType[from.Type], hopKey{from, h.Subject, h.Relation}
	if i, known := r.hops[key]; known {
		at.Hops[i].Landings = append(at.Hops[i].Landings, l)
		return
	}
	r.hops[key] = len(at.Hops)
	h.Landings = []Landing{l}
	at.Hops = append(at.Hops, h)
}

// expression finds the slots by which an expression can be come by.
func (r *Reach) expression(at *Reached, e *Expr, visit func(Slot)) {
	switch e.Op {
	case OpSelf:
		at.Itself = true
	case OpSlot:
		visit(e.Slot)
	case OpUnion:
		r.expression(at, e.Left, visit)
		r.expression(at, e.Right, visit)
	case OpIntersection:
		r.expression(at, at.Definition.narrower(e), visit)
	case OpExclusion:
		r.expression(at, e.Left, visit)
	}
}

// narrower is the side of an intersection from which fewer objects are expected: one
// that no wildcard can give, if the other can be given by one; otherwise the left.
func (d *Definition) narrower(e *Expr) *Expr {
	if d.canBeEverybody(e.Left) && !d.canBeEverybody(e.Right) {
		return e.Right
	}
	return e.Left
}

// canBeEverybody reports whether a wildcard can give what an expression reads.
func (d *Definition) canBeEverybody(e *Expr) bool {
	for slot := range e.Slots().All() {
		if d.Plan(slot).Everybody {
			return true
		}
	}
	return false
}

// Beside are what else must be known of an object of the type to say what is taken away
// from the slots of its part, where that stands on the object itself: relations that
// name plain subjects and wildcards alone. Slots are all that these decide.
func (r *Reached) Beside() (relations []*Relation, slots Slots) {
	d := r.Definition
	for slot := range r.Slots.All() {
		if plan := d.Plan(slot); plan.Kind == Computed {
			plan.Expr.exclusions(func(right *Expr) {
				near := d.LocallyBelow(right.Slots())
				if !d.isNear(near) {
					return
				}
				for below := range near.Minus(slots).All() {
					if plan := d.Plan(below); plan.Kind == Stored && !r.Slots.Has(below) {
						relations = append(relations, plan.Relation)
					}
				}
				slots = slots.Union(near)
			})
		}
	}
	return relations, slots
}

// isNear reports whether slots are computed from nothing but plain subjects and
// wildcards that stand on the object itself.
func (d *Definition) isNear(slots Slots) bool {
	for slot := range slots.All() {
		switch plan := d.Plan(slot); plan.Kind {
		case Stored:
			if plan.Relation.LeadsOn() {
				return false
			}
		case Arrow, All:
			return false
		}
	}
	return true
}

// exclusions visits the right sides of the exclusions in an expression.
func (e *Expr) exclusions(visit func(right *Expr)) {
	switch e.Op {
	case OpUnion, OpIntersection:
		e.Left.exclusions(visit)
		e.Right.exclusions(visit)
	case OpExclusion:
		e.Left.exclusions(visit)
		visit(e.Right)
	}
}

// Slots are those that an expression reads.
func (e *Expr) Slots() (found Slots) {
	e.slots(&found)
	return found
}

// Types are the parts of the reach, the asked type's first.
func (r *Reach) Types() []*Reached { return r.order }

// Of is the part of a type, or nil.
func (r *Reach) Of(typ rel.ObjectType) *Reached { return r.byType[typ] }
