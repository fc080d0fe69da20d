package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// updates draws a write: tuples that fit, tuples that are there, such as are
// there but for one part, and now and then one that the schema does not allow.
func (p *population) updates(there []rel.Tuple) []rel.Update {
	var updates []rel.Update
	for range 1 + p.IntN(3) {
		op := pick(p.dice, []rel.Op{rel.Create, rel.Touch, rel.Delete, rel.Delete})
		t, ok := p.anyTuple()
		switch n := p.IntN(100); {
		case len(there) > 0 && (op == rel.Delete || n < 10):
			t, ok = pick(p.dice, there), true
		case len(there) > 0 && n < 50:
			t, ok = p.neighbour(p.bounded(there))
		case n < 53:
			t.Relation = rel.Name(pick(p.dice, permitNames[:]))
		case n < 56:
			t.Subject = rel.Of(p.object(pick(p.dice, p.schema.Definitions).Name.Text))
		}
		if ok {
			updates = append(updates, rel.Update{Op: op, Tuple: t})
		}
	}
	return updates
}

func (p *population) anyTuple() (t rel.Tuple, ok bool) {
	def := pick(p.dice, p.schema.Definitions)
	if all := stored(def); len(all) > 0 {
		return p.tuple(p.object(def.Name.Text), pick(p.dice, all))
	}
	return rel.Tuple{}, false
}

// bounded draws a tuple, and where it can one of a relation that has a
// multiplicity: few relations do, and a bound is only met where somebody stands.
func (p *population) bounded(there []rel.Tuple) rel.Tuple {
	t := pick(p.dice, there)
	for range 4 {
		if p.relation(t).Multiplicity != nil {
			break
		}
		t = pick(p.dice, there)
	}
	return t
}

// relation is what a tuple of the world is stored in.
func (p *population) relation(t rel.Tuple) *syntax.Relation {
	all := stored(definitionOf(p.schema, string(t.Object.Type())))
	return all[slices.IndexFunc(all, func(r *syntax.Relation) bool { return r.Name.Text == string(t.Relation) })]
}

// neighbour is a tuple of the same object: another subject of the relation, or
// the same subject in another one. Most of the rules speak of such a pair.
func (p *population) neighbour(t rel.Tuple) (other rel.Tuple, ok bool) {
	all := stored(definitionOf(p.schema, string(t.Object.Type())))
	if p.chance(50) {
		return p.tuple(t.Object, p.relation(t))
	}
	t.Relation = rel.Name(pick(p.dice, all).Name.Text)
	return t, fits(p.schema, t)
}
