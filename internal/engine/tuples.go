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
	plan := p.plan()
	w.load(p.node)
	follow := w.followUserset
	if plan.Kind == schema.Arrow {
		follow = w.followArrow
	}
	done := func(subject rel.Subject) bool {
		if !plan.Relation.Allows(subject) {
			return false // left over from an older schema: it can only wait to be deleted
		}
		follow(p, plan, subject)
		w.spend()
		return w.err != nil || p.node.held.Of(p.slot) == Granted
	}
	if p.node.held.Of(p.slot) == Granted {
		return
	}
	if p.node.whole {
		for _, t := range p.node.tuples {
			if t.Relation == plan.Relation.Name && done(t.Subject) {
				return
			}
		}
		return
	}
	for subject, err := range w.reader.Usersets(p.node.object, plan.Relation.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if done(subject) {
			return
		}
	}
	if plan.Kind != schema.Arrow {
		return
	}
	for subject, err := range w.reader.Subjects(p.node.object, plan.Relation.Name) {
		if err != nil {
			w.fail(err)
			return
		}
		if done(subject) {
			return
		}
	}
}

func (w *Walk) followUserset(p pair, _ *schema.SlotPlan, subject rel.Subject) {
	if subject.IsUserset() {
		w.follow(p, subject, subject.Relation())
	}
}

// followArrow goes to the object that a subject names; its relation is left
// aside, and a wildcard leads nowhere.
func (w *Walk) followArrow(p pair, plan *schema.SlotPlan, subject rel.Subject) {
	w.follow(p, subject, plan.Target)
}

func (w *Walk) follow(p pair, subject rel.Subject, name rel.Name) {
	o, ok := subject.Object()
	if !ok {
		return
	}
	d := w.schema.Definition(o.Type())
	if d == nil {
		return
	}
	if declared := d.Name(name); declared != nil {
		w.through(p, subject, w.node(o, d), declared.Slot)
	}
}
