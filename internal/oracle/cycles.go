package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A step leads from a pair to one that its value is computed from: within the
// object by the schema, or to another object by a tuple.
type step struct {
	to      pair
	byTuple bool
}

// ThroughCycle reports whether what a question depends on contains a circle
// that goes through stored tuples: groups in groups, folders in folders. It is
// the same for every principal.
func (o *Oracle) ThroughCycle(object rel.Object, name rel.Name) bool {
	if o.cycles == nil {
		o.cycles = o.findCycles()
	}
	return o.cycles[pair{object, name}]
}

// findCycles marks every pair from which a circle through a tuple is reached.
func (o *Oracle) findCycles() map[pair]bool {
	var all []pair
	steps, back := map[pair][]step{}, map[pair][]pair{}
	for _, object := range o.objects {
		for _, name := range o.NamesOf(object.Type()) {
			p := pair{object, name}
			all = append(all, p)
			steps[p] = o.steps(p)
			for _, s := range steps[p] {
				back[s.to] = append(back[s.to], p)
			}
		}
	}
	circle := circles(all, steps, back)
	marked := map[pair]bool{}
	var mark func(pair)
	mark = func(p pair) {
		if !marked[p] {
			marked[p] = true
			for _, q := range back[p] {
				mark(q)
			}
		}
	}
	for _, p := range all {
		for _, s := range steps[p] {
			if s.byTuple && circle[p] == circle[s.to] {
				mark(p)
			}
		}
	}
	return marked
}

// circles names, for each pair, the circle that it stands in by one of its
// members; a pair in none is a circle of its own.
//
// This is Kosaraju's way: in the order in which a walk leaves the pairs, the
// last first, whatever still reaches a pair backwards is in one circle with it.
func circles(all []pair, steps map[pair][]step, back map[pair][]pair) map[pair]pair {
	var left []pair
	seen := map[pair]bool{}
	var leave func(pair)
	leave = func(p pair) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, s := range steps[p] {
			leave(s.to)
		}
		left = append(left, p)
	}
	for _, p := range all {
		leave(p)
	}
	circle := map[pair]pair{}
	var gather func(p, first pair)
	gather = func(p, first pair) {
		if _, done := circle[p]; done {
			return
		}
		circle[p] = first
		for _, q := range back[p] {
			gather(q, first)
		}
	}
	for _, p := range slices.Backward(left) {
		gather(p, p)
	}
	return circle
}

// steps lists what the value of one pair is computed from.
func (o *Oracle) steps(p pair) []step {
	var all []step
	d := o.schema.definitions[p.object.Type()]
	if permission := d.permissions[p.name]; permission != nil {
		o.stepsOf(p.object, permission.Expr, &all)
		return all
	}
	for _, t := range o.at[place{p.object, p.name}] {
		if userset, ok := t.Subject.Object(); ok && t.Subject.IsUserset() {
			all = append(all, step{pair{userset, t.Subject.Relation()}, true})
		}
	}
	if !d.isRole(p.name) {
		return all
	}
	for _, e := range d.computed(p.name) {
		o.stepsOf(p.object, e, &all)
	}
	if higher := d.above(p.name); higher != "" {
		all = append(all, step{pair{p.object, higher}, false})
	}
	o.stepsOf(p.object, d.roles.Except, &all)
	return all
}

func (o *Oracle) stepsOf(object rel.Object, e syntax.Expr, all *[]step) {
	switch e := e.(type) {
	case *syntax.NameExpr:
		*all = append(*all, step{pair{object, rel.Name(e.Name.Text)}, false})
	case *syntax.ArrowExpr:
		for _, o2 := range o.objectsBehind(object, e.Left) {
			if o.schema.has(o2.Type(), e.Target) {
				*all = append(*all, step{pair{o2, rel.Name(e.Target.Text)}, true})
			}
		}
	case *syntax.BinaryExpr:
		o.stepsOf(object, e.Left, all)
		o.stepsOf(object, e.Right, all)
	case *syntax.ParenExpr:
		o.stepsOf(object, e.X, all)
	}
}

func (o *Oracle) objectsBehind(object rel.Object, left syntax.Expr) []rel.Object {
	from := []rel.Object{object}
	var relation rel.Name
	switch left := syntax.Strip(left).(type) {
	case *syntax.NameExpr:
		relation = rel.Name(left.Name.Text)
	case *syntax.ArrowExpr:
		from, relation = o.objectsBehind(object, left.Left), rel.Name(left.Target.Text)
	}
	var all []rel.Object
	for _, each := range from {
		for _, t := range o.at[place{each, relation}] {
			if o2, ok := t.Subject.Object(); ok {
				all = append(all, o2)
			}
		}
	}
	return all
}
