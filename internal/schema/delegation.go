package schema

import "slices"

// A Delegation is a userset that relations allow: whoever may write what makes it
// gives what they give.
type Delegation struct {
	Userset string    // "team#member"
	Gives   []string  // the relations that allow it, "project#viewer"
	Writers []Writing // of what it is made of
}

// A Writing is who may write one of the relations that make a userset.
type Writing struct {
	Relation  string // "team#member"
	GrantedBy string // as it was written; empty where no actor may
}

// Delegations are the usersets that give something and that an actor may write,
// in the order in which the text first allows them. A schema without rules has
// none: there the application alone decides.
func (s *Schema) Delegations() []Delegation {
	read := make(map[*Relation]bool)
	for _, d := range s.definitions {
		for slot := range d.rulesFrom { // an arrow of a rule gives nothing
			p := place{d, Slot(slot)}
			if plan := d.Plan(p.slot); plan.Kind == Arrow || plan.Kind == All {
				read[plan.Relation] = true
			}
			for _, dep := range s.reads(p) {
				if on := dep.on.definition.Plan(dep.on.slot); dep.on != p && on.Kind == Stored {
					read[on.Relation] = true
				}
			}
		}
	}
	var order []place
	gives := make(map[place][]string)
	type gift struct{ userset, giver place }
	had := make(map[gift]bool)
	for _, d := range s.definitions {
		for _, r := range d.relations {
			for _, f := range r.Forms {
				if f.Relation == "" || !read[r] {
					continue
				}
				userset := place{s.byType[f.Type], s.byType[f.Type].byName[f.Relation].Slot}
				giver := place{d, r.Slot}
				if giver.String() == userset.String() || had[gift{userset, giver}] {
					continue // a team in a team gives what the outer one has, and that is listed
				}
				had[gift{userset, giver}] = true
				if gives[userset] == nil {
					order = append(order, userset)
				}
				gives[userset] = append(gives[userset], giver.String())
			}
		}
	}
	var all []Delegation
	for _, userset := range order {
		writers := userset.definition.writersOf(userset.slot)
		if slices.ContainsFunc(writers, func(w Writing) bool { return w.GrantedBy != "" }) {
			all = append(all, Delegation{userset.String(), gives[userset], writers})
		}
	}
	return all
}

// writersOf are the relations of the same object that a slot is made of, links
// over which arrows walk among them, each with who may write it.
func (d *Definition) writersOf(slot Slot) []Writing {
	var all []Writing
	var seen Slots
	var visit func(slot Slot)
	visit = func(slot Slot) {
		if !seen.Add(slot) {
			return
		}
		plan := d.Plan(slot)
		if plan.Kind == Computed {
			var given Slots
			plan.Expr.given(&given)
			for s := range given.All() {
				visit(s)
			}
			return
		}
		w := Writing{place{d, plan.Relation.Slot}.String(), plan.Relation.GrantedBy.String()}
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	visit(slot)
	return all
}

// given are the slots by which an expression lets somebody in.
func (e *Expr) given(into *Slots) {
	switch e.Op {
	case OpSlot:
		into.Add(e.Slot)
	case OpUnion, OpIntersection:
		e.Left.given(into)
		e.Right.given(into)
	case OpExclusion:
		e.Left.given(into)
	}
}
