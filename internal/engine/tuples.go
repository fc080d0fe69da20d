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
}

// direct looks for a tuple of the relation that is about the principal itself.
func (w *Walk) direct(p pair, r *schema.Relation) {
	w.load(p.node)
	if p.node.whole {
		for _, t := range p.node.tuples {
			if t.Relation == r.Name && r.Allows(t.Subject) && w.principal.Matches(t.Subject) {
				w.raise(p, Granted, cause{kind: byTuple, subject: t.Subject})
				return
			}
		}
		return
	}
	for _, s := range w.candidates(r) {
		there, err := w.reader.Has(rel.Tuple{Object: p.node.object, Relation: r.Name, Subject: s})
		if err != nil {
			w.fail(err)
			return
		}
		if there {
			w.raise(p, Granted, cause{kind: byTuple, subject: s})
			return
		}
	}
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
	w.load(p.node)
	if p.node.held.Of(p.slot) == Granted {
		return
	}
	switch plan := p.plan(); plan.Kind {
	case schema.All:
		w.expandAll(p, plan)
	case schema.Arrow:
		w.eachTuple(p.node, plan.Relation, true, func(subject rel.Subject) bool {
			w.follow(p, subject, plan)
			return p.node.held.Of(p.slot) != Granted
		})
	default:
		w.eachTuple(p.node, plan.Relation, false, func(subject rel.Subject) bool {
			w.followUserset(p, subject)
			return p.node.held.Of(p.slot) != Granted
		})
	}
}

// eachTuple visits the subjects of a relation on an object: usersets and
// wildcards, and the plain ones where they are asked for. It ends when visit
// says so, or when the walk has failed.
func (w *Walk) eachTuple(n *node, r *schema.Relation, plain bool, visit func(rel.Subject) bool) {
	goOn := func(subject rel.Subject) bool {
		if !r.Allows(subject) {
			return true // left over from an older schema: it can only wait to be deleted
		}
		more := visit(subject)
		w.spend()
		return more && w.err == nil
	}
	if n.whole {
		for _, t := range n.tuples {
			if t.Relation == r.Name && (plain || t.Subject.IsUserset() || t.Subject.IsWildcard()) && !goOn(t.Subject) {
				return
			}
		}
		return
	}
	for subject, err := range w.reader.Usersets(n.object, r.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if !goOn(subject) {
			return
		}
	}
	if !plain {
		return
	}
	for subject, err := range w.reader.Subjects(n.object, r.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if !goOn(subject) {
			return
		}
	}
}

func (w *Walk) followUserset(p pair, subject rel.Subject) {
	o, ok := subject.Object()
	if !ok || !subject.IsUserset() {
		return
	}
	d := w.schema.Definition(o.Type())
	if d == nil {
		return
	}
	if declared := d.Name(subject.Relation()); declared != nil {
		w.through(p, subject, w.node(o, d), declared.Slot)
	}
}

// follow goes to the object that a subject names; its relation is left aside, and
// a wildcard leads nowhere.
func (w *Walk) follow(p pair, subject rel.Subject, plan *schema.SlotPlan) {
	if n, s, leads := w.target(subject, plan); leads {
		w.through(p, subject, n, s)
	}
}

// target is what an arrow over a tuple with this subject leads to.
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
// target, like a wildcard, decides against the pair for good.
func (w *Walk) expandAll(p pair, plan *schema.SlotPlan) {
	a := &all{}
	any, hopeless := false, false
	var waiting []asked
	w.eachTuple(p.node, plan.Relation, true, func(subject rel.Subject) bool {
		any = true
		n, s, leads := w.target(subject, plan)
		if !leads {
			hopeless = true
			return false
		}
		w.follows++
		r := w.want(n, s)
		if r != Granted {
			a.open++
			waiting = append(waiting, asked{subject, pair{n, s}, r})
		}
		if r == Conditional {
			a.maybe++
		}
		if w.explain {
			a.found = append(a.found, cause{kind: byTuple, subject: subject, from: pair{n, s}})
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
		w.addAsker(p, x.subject, x.of.node, x.of.slot, x.known)
	}
	w.raise(p, a.result(), cause{kind: byAll})
}

// asked is a pair that was asked for, and what was known of it then.
type asked struct {
	subject rel.Subject
	of      pair
	known   Result
}
