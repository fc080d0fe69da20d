package schema

import "slices"

// warnOfWhatNobodyHolds names permissions and roles that no tuple whatever lets
// anybody hold. Only the root of the evil is named: not what reads a name that is
// named itself, nor an arrow to nothing, which has its own warning, nor what says
// `nil`, which is how an author turns something off.
func (c *compiler) warnOfWhatNobodyHolds() {
	can := c.schema.holdable()
	for _, members := range c.schema.components() {
		never := slices.DeleteFunc(members, func(p place) bool { return can[p] })
		inside := make(map[place]bool, len(never))
		for _, p := range never {
			inside[p] = true
		}
		if slices.ContainsFunc(never, func(p place) bool { return c.schema.hasOutsideCause(p, inside, can) }) {
			continue
		}
		named := slices.DeleteFunc(slices.Clone(never), func(p place) bool { return !p.definition.IsAsked(p.slot) })
		if len(named) == 0 {
			continue
		}
		p := slices.MinFunc(named, func(a, b place) int { return c.placeInText(a).Offset - c.placeInText(b).Offset })
		c.nobodyCanHold(c.placeInText(p), p, labels(c.schema.circle(p, never)))
	}
}

// holdable are the places that somebody can hold, given the right tuples: the
// least fixpoint, in which a userset counts, since a caller may present one.
func (s *Schema) holdable() map[place]bool {
	readers := make(map[place][]place)
	var queue []place
	for _, d := range s.definitions {
		for slot := range d.slots {
			p := place{d, Slot(slot)}
			queue = append(queue, p)
			for _, dep := range s.reads(p) {
				if !dep.negated {
					readers[dep.on] = append(readers[dep.on], p)
				}
			}
		}
	}
	can := make(map[place]bool)
	for len(queue) > 0 {
		p := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !can[p] && s.canBeHeld(p, can) {
			can[p] = true
			queue = append(queue, readers[p]...)
		}
	}
	return can
}

func (s *Schema) canBeHeld(p place, can map[place]bool) bool {
	plan := p.definition.Plan(p.slot)
	switch plan.Kind {
	case Stored:
		return len(plan.Relation.Forms) > 0
	case Arrow, All:
		for typ, slot := range plan.Targets {
			if can[place{s.byType[typ], slot}] {
				return true
			}
		}
		return false
	default:
		return plan.Expr.canBeHeld(func(slot Slot) bool { return can[place{p.definition, slot}] })
	}
}

func (e *Expr) canBeHeld(can func(Slot) bool) bool {
	switch e.Op {
	case OpSelf:
		return true
	case OpSlot:
		return can(e.Slot)
	case OpUnion:
		return e.Left.canBeHeld(can) || e.Right.canBeHeld(can)
	case OpIntersection:
		return e.Left.canBeHeld(can) && e.Right.canBeHeld(can)
	case OpExclusion:
		return e.Left.canBeHeld(can) && !e.Left.isSlotOf(e.Right)
	default:
		return false
	}
}

// isSlotOf reports whether an expression is one slot, and stands in a union: what
// is taken away is then all that was given.
func (e *Expr) isSlotOf(union *Expr) bool {
	switch union.Op {
	case OpSlot:
		return e.Op == OpSlot && e.Slot == union.Slot
	case OpUnion:
		return e.isSlotOf(union.Left) || e.isSlotOf(union.Right)
	default:
		return false
	}
}

// hasOutsideCause reports whether a place that nobody can hold is so because of
// something that is said elsewhere, or on purpose.
func (s *Schema) hasOutsideCause(p place, inside, can map[place]bool) bool {
	plan := p.definition.Plan(p.slot)
	switch {
	case plan.Kind != Computed && len(plan.Targets) == 0:
		return true
	case plan.Kind == Computed && plan.Expr.saysNil():
		return true
	}
	return slices.ContainsFunc(s.reads(p), func(dep dependence) bool {
		return !dep.negated && !inside[dep.on] && !can[dep.on]
	})
}

func (e *Expr) saysNil() bool {
	switch e.Op {
	case OpNil:
		return true
	case OpUnion, OpIntersection:
		return e.Left.saysNil() || e.Right.saysNil()
	case OpExclusion:
		return e.Left.saysNil()
	default:
		return false
	}
}

// circle is the shortest way from a place back to itself that does not leave the
// places inside; nil where there is none.
func (s *Schema) circle(p place, inside []place) []place {
	var next []place
	for _, dep := range s.reads(p) {
		if !dep.negated {
			next = append(next, dep.on)
		}
	}
	way := s.way(next, p, inside)
	if way == nil {
		return nil
	}
	return append([]place{p}, way...)
}
