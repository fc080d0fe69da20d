package schema

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A place is one slot of one definition: a node of the graph of what depends on what.
type place struct {
	definition *Definition
	slot       Slot
}

// A dependence says that a slot reads another; negated, to the right of an
// exclusion.
type dependence struct {
	on      place
	negated bool
}

// stratify numbers the strata: a slot is above whatever it reads negated, and not
// below whatever it reads otherwise. A slot that reaches itself through a
// negated dependence has no place: the shortest cycle of each knot is reported.
func (c *compiler) stratify() {
	components := c.schema.components()
	component := make(map[place]int)
	for i, members := range components {
		for _, p := range members {
			component[p] = i
		}
	}
	strata, everybody := make([]int, len(components)), make([]bool, len(components))
	for i, members := range components { // Tarjan's order: what is read comes first
		var knots []knot
		for _, p := range members {
			everybody[i] = everybody[i] || p.namesEverybody()
			for _, dep := range c.schema.reads(p) {
				j := component[dep.on]
				if i == j {
					if dep.negated && len(knots) < knotsMax {
						knots = append(knots, knot{p, dep.on})
					}
					continue
				}
				above := strata[j]
				if dep.negated {
					above++
				} else {
					everybody[i] = everybody[i] || everybody[j]
				}
				strata[i] = max(strata[i], above)
			}
		}
		c.reportCycle(knots, members)
	}
	for i, members := range components {
		for _, p := range members {
			plan := p.definition.Plan(p.slot)
			plan.Stratum, plan.Everybody = strata[i], everybody[i]
		}
		c.schema.strata = max(c.schema.strata, strata[i]+1)
	}
	c.schema.strata = max(c.schema.strata, 1)
	for _, d := range c.schema.definitions {
		d.findReaders()
	}
}

// namesEverybody reports whether a tuple of the place itself can name a wildcard that
// holds it: an arrow's leads nowhere.
func (p place) namesEverybody() bool {
	plan := p.definition.Plan(p.slot)
	return plan.Kind == Stored && slices.ContainsFunc(plan.Relation.Forms, func(f Form) bool { return f.Wildcard })
}

// A knot is an exclusion whose right side leads back to it.
type knot struct{ from, over place }

// knotsMax bounds the exclusions of one component from which a shortest cycle is
// looked for: each looks through the whole component.
const knotsMax = 32

// findReaders turns the expressions of a definition around: which computed slots
// read a slot, so that the walk asks only those again when it changes.
func (d *Definition) findReaders() {
	for s := range d.slots {
		plan := &d.slots[s]
		if plan.Kind != Computed {
			continue
		}
		var read Slots
		if plan.Expr != nil {
			plan.Expr.slots(&read)
		}
		for on := range read.All() {
			d.slots[on].Readers = append(d.slots[on].Readers, Slot(s))
		}
	}
}

func (e *Expr) slots(into *Slots) {
	switch e.Op {
	case OpSlot:
		into.Add(e.Slot)
	case OpUnion, OpIntersection, OpExclusion:
		e.Left.slots(into)
		e.Right.slots(into)
	}
}

// reads is what a slot depends on, in a fixed order.
func (s *Schema) reads(p place) []dependence {
	var deps []dependence
	plan := p.definition.Plan(p.slot)
	switch plan.Kind {
	case Stored:
		for _, f := range plan.Relation.Forms {
			if f.Relation == "" {
				continue
			}
			target := s.byType[f.Type]
			deps = append(deps, dependence{on: place{target, target.byName[f.Relation].Slot}})
		}
	case Arrow, All:
		for _, typ := range typesBehind(plan.Relation) {
			if slot, leads := plan.Targets[typ]; leads {
				deps = append(deps, dependence{on: place{s.byType[typ], slot}})
			}
		}
	case Computed:
		var walk func(e *Expr, negated bool)
		walk = func(e *Expr, negated bool) {
			switch e.Op {
			case OpSlot:
				deps = append(deps, dependence{place{p.definition, e.Slot}, negated})
			case OpUnion, OpIntersection:
				walk(e.Left, negated)
				walk(e.Right, negated)
			case OpExclusion:
				walk(e.Left, negated)
				walk(e.Right, true)
			}
		}
		if plan.Expr != nil { // otherwise its declaration is an error
			walk(plan.Expr, false)
		}
	}
	return deps
}

// components are the strongly connected parts, each after those it reads
// (Tarjan, with a stack of its own: schemas may be long chains).
func (s *Schema) components() [][]place {
	type frame struct {
		at   place
		deps []dependence
	}
	index := make(map[place]int)
	low := make(map[place]int)
	open := make(map[place]bool)
	var stack []place
	var found [][]place
	visit := func(p place) frame {
		index[p] = len(index) + 1
		low[p] = index[p]
		stack = append(stack, p)
		open[p] = true
		return frame{p, s.reads(p)}
	}
	for _, d := range s.definitions {
		for slot := range d.slots {
			root := place{d, Slot(slot)}
			if index[root] != 0 {
				continue
			}
			frames := []frame{visit(root)}
			for len(frames) > 0 {
				top := &frames[len(frames)-1]
				if len(top.deps) > 0 {
					next := top.deps[0].on
					top.deps = top.deps[1:]
					if index[next] == 0 {
						frames = append(frames, visit(next))
					} else if open[next] {
						low[top.at] = min(low[top.at], index[next])
					}
					continue
				}
				at := top.at
				frames = frames[:len(frames)-1]
				if len(frames) > 0 {
					under := frames[len(frames)-1].at
					low[under] = min(low[under], low[at])
				}
				if low[at] != index[at] {
					continue
				}
				first := slices.Index(stack, at)
				members := slices.Clone(stack[first:])
				stack = stack[:first]
				for _, m := range members {
					open[m] = false
				}
				found = append(found, members)
			}
		}
	}
	return found
}

// reportCycle prints the shortest cycle of a component over one of its knots, at
// the line of the name that excludes.
func (c *compiler) reportCycle(knots []knot, members []place) {
	var shortest []place
	for _, k := range knots {
		if way := c.schema.way([]place{k.over}, k.from, members); shortest == nil || len(way) < len(shortest) {
			shortest = way
		}
	}
	if shortest == nil {
		return
	}
	from := shortest[len(shortest)-1]
	c.schemaMustBeStratified(c.placeInText(from), labels(append([]place{from}, shortest...)))
}

// way is the shortest way by what is read from one of several places to another,
// both included, that does not leave the places inside; nil where there is none.
func (s *Schema) way(from []place, to place, inside []place) []place {
	within := make(map[place]bool, len(inside))
	for _, m := range inside {
		within[m] = true
	}
	before := make(map[place]place)
	var queue []place
	for _, p := range from {
		if _, seen := before[p]; !seen && within[p] {
			before[p] = place{}
			queue = append(queue, p)
		}
	}
	for len(queue) > 0 && queue[0] != to {
		for _, dep := range s.reads(queue[0]) {
			if _, seen := before[dep.on]; !seen && within[dep.on] {
				before[dep.on] = queue[0]
				queue = append(queue, dep.on)
			}
		}
		queue = queue[1:]
	}
	if len(queue) == 0 {
		return nil
	}
	var back []place
	for p := to; p != (place{}); p = before[p] {
		back = append(back, p)
	}
	slices.Reverse(back)
	return back
}

// labels are places as they are written in a sentence. A role and its stored part
// are one there.
func labels(places []place) []string {
	var names []string
	for i, p := range places {
		if i > 0 && names[len(names)-1] == p.String() && places[i-1] != p {
			continue
		}
		names = append(names, p.String())
	}
	return names
}

func (p place) String() string {
	return string(p.definition.Type) + "#" + p.definition.Plan(p.slot).Label
}

// placeInText is where the name of a slot is declared; for an arrow, its definition.
func (c *compiler) placeInText(p place) syntax.Pos {
	tree := c.trees[p.definition]
	name := rel.Name(p.definition.Plan(p.slot).Label)
	for _, x := range tree.Permissions {
		if rel.Name(x.Name.Text) == name {
			return x.Name.At
		}
	}
	for _, x := range tree.Relations {
		if rel.Name(x.Name.Text) == name {
			return x.Name.At
		}
	}
	for _, block := range tree.Roles {
		for _, x := range block.Roles {
			if rel.Name(x.Name.Text) == name {
				return x.Name.At
			}
		}
	}
	return tree.Name.At
}
