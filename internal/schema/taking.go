package schema

// findTakersAway finds the relations that can only take access away. What reads a
// slot is followed through permissions, arrows and usersets, up to the right side
// of a `-` or of `except`. A slot from which no such side is ever reached gives
// something: a permission that nobody reads, or names that read each other. A
// relation takes away only where it leads to no slot that gives.
func (c *compiler) findTakersAway() {
	var excluded, giving []place
	all := c.schema.eachPlace
	all(func(p place) {
		for _, dep := range c.schema.reads(p) {
			if dep.negated {
				excluded = append(excluded, dep.on)
			}
		}
	})
	taken := c.schema.feeding(excluded)
	all(func(p place) {
		if !taken[p] {
			giving = append(giving, p)
		}
	})
	gives := c.schema.feeding(giving)
	for _, d := range c.schema.definitions {
		for _, r := range d.relations {
			r.TakesAwayOnly = !gives[place{d, r.Slot}]
		}
	}
}

func (s *Schema) eachPlace(visit func(place)) {
	for _, d := range s.definitions {
		for slot := range d.slots {
			visit(place{d, Slot(slot)})
		}
	}
}

// feeding are some places, and all that they read without an exclusion, the
// relations that arrows walk among it.
func (s *Schema) feeding(places []place) map[place]bool {
	found := make(map[place]bool)
	for len(places) > 0 {
		p := places[len(places)-1]
		places = places[:len(places)-1]
		if found[p] {
			continue
		}
		found[p] = true
		if plan := p.definition.Plan(p.slot); plan.Kind == Arrow || plan.Kind == All {
			// A role whose tuples are walked is used, as one that is named is.
			places = append(places, place{p.definition, p.definition.byName[plan.Relation.Name].Slot})
		}
		for _, dep := range s.reads(p) {
			if !dep.negated {
				places = append(places, dep.on)
			}
		}
	}
	return found
}
