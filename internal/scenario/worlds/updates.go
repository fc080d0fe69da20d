package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// updates draws a write: tuples that fit, tuples that are there, such as are
// there but for one part or with other attributes, such as were there until they
// expired, and now and then one that the schema does not allow; and whatever takes
// more than one tuple away.
func (p *population) updates(there []rel.Tuple) []rel.Update {
	var updates []rel.Update
	gone := slices.DeleteFunc(slices.Clone(there), func(t rel.Tuple) bool { return !t.Expires.PassedAt(p.now) })
	for range 1 + p.IntN(3) {
		if len(there) > 0 && p.chance(30) {
			if u, ok := p.wider(there); ok {
				updates = append(updates, u)
			}
			continue
		}
		op := pick(p.dice, []rel.Op{rel.Create, rel.Touch, rel.Delete, rel.Delete})
		t, ok := p.anyTuple()
		switch n := p.IntN(100); {
		case len(there) > 0 && (op == rel.Delete || n < 10):
			t, ok = pick(p.dice, there), true
		case len(there) > 0 && n < 30:
			op = rel.Touch
			t, ok = p.changed(p.bounded(there))
		case len(gone) > 0 && n < 38:
			op = rel.Create
			t, ok = p.changed(pick(p.dice, gone))
		case len(there) > 0 && n < 55:
			t, ok = p.neighbour(p.bounded(there))
		case n < 58:
			t.Relation = rel.Name(pick(p.dice, permitNames[:]))
		case n < 61:
			t.Subject = rel.Of(p.object(pick(p.dice, p.schema.Definitions).Name.Text))
		case n < 66:
			p.misfit(&t)
		}
		switch {
		case !ok:
		case op == rel.Delete:
			updates = append(updates, rel.Update{Op: op, Tuple: rel.Tuple{Key: t.Key}})
			if other, ok := p.changed(t); ok && p.chance(15) { // and put anew
				updates = append(updates, rel.Update{Op: rel.Create, Tuple: other})
			}
		default:
			updates = append(updates, rel.Update{Op: op, Tuple: t})
		}
	}
	return updates
}

// misfit gives a tuple attributes that it may not have.
func (p *population) misfit(t *rel.Tuple) {
	switch p.IntN(4) {
	case 0:
		t.Caveat = rel.Caveat{Name: "unknown"}
	case 1:
		t.Caveat = rel.Caveat{}
	case 2:
		t.Expires = p.expiry()
	default:
		if c := caveatOf(p.schema, string(t.Caveat.Name)); c != nil {
			t.Caveat.Context = p.context(append(slices.Clone(c.Params), &syntax.Param{Name: ident("unknown"), Type: "int"}), 80, 50)
		}
	}
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

// relation is what a tuple of the world is stored in; an empty one for a tuple
// that the schema does not know.
func (p *population) relation(t rel.Tuple) *syntax.Relation {
	for _, r := range stored(definitionOf(p.schema, string(t.Object.Type()))) {
		if r.Name.Text == string(t.Relation) {
			return r
		}
	}
	return &syntax.Relation{}
}

// neighbour is a tuple of the same object: another subject of the relation, or
// the same subject in another one. Most of the rules speak of such a pair.
func (p *population) neighbour(t rel.Tuple) (other rel.Tuple, ok bool) {
	all := stored(definitionOf(p.schema, string(t.Object.Type())))
	if p.chance(50) {
		return p.tuple(t.Object, p.relation(t))
	}
	t.Relation = rel.Name(pick(p.dice, all).Name.Text)
	return p.changed(t)
}
