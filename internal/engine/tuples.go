package engine

import (
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// load reads what stands on an object, once: all of it where it is narrow.
func (w *Walk) load(n *node) {
	if n.read {
		return
	}
	n.read = true
	tuples, whole, err := w.reader.Object(n.object, nil, narrowTuplesMax)
	if err != nil {
		w.fail(err)
		return
	}
	n.tuples, n.whole = tuples, whole
	for _, t := range tuples {
		w.carries(t)
	}
}

// direct looks for tuples of the relation that are about the principal itself.
func (w *Walk) direct(p pair, r *schema.Relation) {
	if known := w.foreseen[place{r.Type, r.Name}]; known != nil {
		for _, t := range known.at[p.node.object] {
			w.aboutPrincipal(p, t)
		}
		return
	}
	w.load(p.node)
	if p.node.whole {
		for _, t := range p.node.tuples {
			if t.Relation == r.Name && w.principal.Matches(t.Subject) && r.AllowsTuple(t) && w.aboutPrincipal(p, t) {
				return
			}
		}
		return
	}
	for _, s := range w.candidates(r) {
		t, there, err := w.reader.Find(rel.Key{Object: p.node.object, Relation: r.Name, Subject: s})
		if err != nil {
			w.fail(err)
			return
		}
		if there && r.AllowsTuple(t) && w.aboutPrincipal(p, t) {
			return
		}
	}
}

// aboutPrincipal makes a pair hold what a tuple about the principal gives, and
// reports whether nothing can be above it.
func (w *Walk) aboutPrincipal(p pair, t rel.Tuple) (certain bool) {
	r := w.decide(t)
	if r == Denied {
		return false
	}
	w.counts(t)
	if r == Conditional {
		w.hang(open{pair: p, tuple: t})
	}
	w.raise(p, r, cause{kind: byTuple, tuple: t})
	return r == Granted
}

// candidates are the subjects that a tuple about the principal may have in a
// relation: its own, and the wildcards that cover it.
func (w *Walk) candidates(r *schema.Relation) []rel.Subject {
	var found []rel.Subject
	for _, s := range w.principal.Subjects() {
		if r.Allows(s) {
			found = append(found, s)
		}
	}
	for _, f := range r.Forms {
		if f.Wildcard && w.principal.Covers(f.Type) {
			found = append(found, rel.Wildcard(f.Type))
		}
	}
	return found
}

// expand follows the tuples of a pair to other objects: through usersets for a
// stored slot, through all subjects for an arrow.
func (w *Walk) expand(p pair) {
	if p.node.held.Of(p.slot) == Granted {
		return
	}
	w.load(p.node)
	switch plan := p.plan(); plan.Kind {
	case schema.All:
		w.expandAll(p, plan)
	case schema.Arrow:
		w.eachTuple(p.node, plan.Relation, true, func(t rel.Tuple) bool {
			if n, s, leads := w.target(t.Subject, plan); leads {
				w.through(p, t, n, s)
			}
			return p.node.held.Of(p.slot) != Granted
		})
	default:
		w.expandUsersets(p, plan.Relation)
	}
}

// eachTuple visits the tuples of a relation on an object: those with usersets and
// wildcards, and the plain ones where they are asked for. It ends when visit says
// so, or when the walk has failed.
func (w *Walk) eachTuple(n *node, r *schema.Relation, plain bool, visit func(rel.Tuple) bool) {
	goOn := func(t rel.Tuple) bool {
		if !r.AllowsTuple(t) {
			return true // left over from an older schema: it can only wait to be deleted
		}
		more := visit(t)
		w.spend()
		return more && w.err == nil
	}
	if n.whole {
		for _, t := range n.tuples {
			if t.Relation == r.Name && (plain || t.Subject.IsUserset() || t.Subject.IsWildcard()) && !goOn(t) {
				return
			}
		}
		return
	}
	for t, err := range w.reader.Usersets(n.object, r.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if !goOn(t) {
			return
		}
	}
	if !plain {
		return
	}
	for t, err := range w.reader.Subjects(n.object, r.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if !goOn(t) {
			return
		}
	}
}

// expandUsersets follows the usersets of a relation. Many of them are followed a
// chunk at a time, after the principal's own memberships were looked up from its
// side, where that is cheaper than to look into each group.
func (w *Walk) expandUsersets(p pair, r *schema.Relation) {
	var chunk []rel.Tuple
	follow := func() bool {
		w.foresee(chunk)
		for _, t := range chunk {
			w.followUserset(p, t)
			if p.node.held.Of(p.slot) == Granted || w.err != nil {
				return false
			}
		}
		chunk = chunk[:0]
		return true
	}
	w.eachTuple(p.node, r, false, func(t rel.Tuple) bool {
		chunk = append(chunk, t)
		return len(chunk) < usersetsAtOnce || follow()
	})
	if w.err == nil && p.node.held.Of(p.slot) != Granted {
		follow()
	}
}

func (w *Walk) followUserset(p pair, t rel.Tuple) {
	o, ok := t.Subject.Object()
	if !ok || !t.Subject.IsUserset() {
		return
	}
	d := w.schema.Definition(o.Type())
	if d == nil {
		return
	}
	if declared := d.Name(t.Subject.Relation()); declared != nil {
		w.through(p, t, w.node(o, d), declared.Slot)
	}
}

// target is what an arrow over a tuple with this subject leads to: the object that
// it names, its relation left aside. A wildcard leads nowhere.
func (w *Walk) target(subject rel.Subject, plan *schema.SlotPlan) (n *node, s schema.Slot, leads bool) {
	o, ok := subject.Object()
	if !ok {
		return nil, 0, false
	}
	s, leads = plan.Targets[o.Type()]
	if !leads {
		return nil, 0, false
	}
	return w.node(o, w.schema.Definition(o.Type())), s, true
}

// expandAll asks all objects of a relation at once. One that cannot hold the
// target, like a wildcard, or whose tuple does not count, decides against the
// pair for good; for as long as its tuple is there, that is.
func (w *Walk) expandAll(p pair, plan *schema.SlotPlan) {
	a := &all{}
	any, hopeless := false, false
	var waiting []asked
	w.eachTuple(p.node, plan.Relation, true, func(t rel.Tuple) bool {
		any = true
		w.counts(t)
		limit := w.decide(t)
		n, s, leads := w.target(t.Subject, plan)
		if !leads || limit == Denied {
			hopeless = true
			return false
		}
		w.follows++
		r := min(limit, w.want(n, s))
		if limit == Conditional {
			w.hang(open{p, t, pair{n, s}})
		}
		if r != Granted {
			a.open++
		}
		if r == Conditional {
			a.maybe++
		}
		if r < limit {
			waiting = append(waiting, asked{asker{pair: p, told: r, limit: limit}, t, pair{n, s}})
		}
		if w.explain {
			a.found = append(a.found, cause{kind: byTuple, tuple: t, from: pair{n, s}})
		}
		return true
	})
	if !any || hopeless || w.err != nil {
		return
	}
	if p.node.alls == nil {
		p.node.alls = make(map[schema.Slot]*all)
	}
	p.node.alls[p.slot] = a
	for _, x := range waiting {
		w.addAsker(x.asker, x.tuple, x.of.node, x.of.slot)
	}
	w.raise(p, a.result(), cause{kind: byAll})
}

// asked is a pair that was asked for, and who waits for it.
type asked struct {
	asker
	tuple rel.Tuple
	of    pair
}
