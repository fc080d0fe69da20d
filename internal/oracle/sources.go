package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Way is how a subject may have come to what it holds on an object: by a tuple of
// the object, and through somebody that the subject belongs to, where it is not the
// subject whom the tuple names. The zero Tuple is by being the object or the userset.
type Way struct {
	Tuple   rel.Tuple
	Through rel.Subject
}

// Stands reports whether a way begins with a live tuple of the object, just as it is
// stored, or with none.
func (a *Access) Stands(o rel.Object, w Way) bool {
	if w.Tuple == (rel.Tuple{}) {
		return w.Through.IsZero()
	}
	return w.Tuple.Object == o && slices.Contains(a.oracle.at[place{o, w.Tuple.Relation}], w.Tuple)
}

// Given is what a way gives on an object, name by name, no more than is held: what
// the tuple alone can be without for a union, and what it cannot for an intersection.
// Where two ways are needed together, both give it.
func (a *Access) Given(o rel.Object, w Way) map[rel.Name]Truth {
	g := &giving{Access: a, object: o, way: w, given: map[rel.Name]Truth{}}
	for moved := true; moved; {
		moved = false
		for _, name := range a.oracle.NamesOf(o.Type()) {
			if v := min(g.value(name), a.Result(o, name)); v != g.given[name] {
				g.given[name], moved = v, true
			}
		}
	}
	return g.given
}

// giving is Access.value once more, with the names of one object alone, and of its
// tuples one.
type giving struct {
	*Access
	object rel.Object
	way    Way
	given  map[rel.Name]Truth
}

func (g *giving) byItself() bool { return g.way.Tuple == (rel.Tuple{}) }

func (g *giving) value(name rel.Name) Truth {
	if g.byItself() && g.principal.Holds(rel.Userset(g.object, name)) {
		return Yes
	}
	d := g.oracle.schema.definitions[g.object.Type()]
	if p := d.permissions[name]; p != nil {
		return g.expr(p.Expr)
	}
	v := g.tuple(name)
	if !d.isRole(name) {
		return v
	}
	for _, e := range d.computed(name) {
		v = max(v, g.expr(e))
	}
	if higher := d.above(name); higher != "" {
		v = max(v, g.given[higher])
	}
	if d.roles.Except != nil {
		v = g.without(v, g.object, d.roles.Except)
	}
	return v
}

// tuple is what the tuple gives to those whom it names. Through is for whom it does
// not name.
func (g *giving) tuple(relation rel.Name) Truth {
	t := g.way.Tuple
	switch direct := g.principal.Matches(t.Subject); {
	case g.byItself() || t.Relation != relation,
		direct != g.way.Through.IsZero(),
		!direct && g.way.Through != t.Subject:
		return No
	}
	return min(g.verdict(t).truth, g.match(t.Subject))
}

func (g *giving) expr(e syntax.Expr) Truth {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		return g.given[rel.Name(e.Name.Text)]
	case *syntax.ArrowExpr:
		return g.arrow(e)
	case *syntax.SelfExpr:
		return truthOf(g.byItself() && g.principal.Holds(rel.Of(g.object)))
	case *syntax.BinaryExpr:
		left, right := g.expr(e.Left), g.expr(e.Right)
		switch e.Op {
		case syntax.Union:
			return max(left, right)
		case syntax.Intersection:
			return max(min(left, g.eval(g.object, e.Right)), min(g.eval(g.object, e.Left), right))
		case syntax.Exclusion:
			return g.without(left, g.object, e.Right)
		}
	}
	return No
}

// arrow is what the tuple gives where an arrow begins with it, and ends at what the
// way is through.
func (g *giving) arrow(e *syntax.ArrowExpr) Truth {
	t, end := g.way.Tuple, g.way.Through
	relations := leftOf(e)
	first, named := t.Subject.Object()
	last, through := end.Object()
	if g.byItself() || t.Relation != relations[0] || !named || !through || end.Relation() != rel.Name(e.Target.Text) {
		return No
	}
	there := []rel.Object{first}
	for _, relation := range relations[1:] {
		var next []rel.Object
		for _, o := range there {
			for _, t := range g.oracle.at[place{o, relation}] {
				if o2, ok := t.Subject.Object(); ok {
					next = append(next, o2)
				}
			}
		}
		there = next
	}
	if !slices.Contains(there, last) {
		return No
	}
	return min(g.verdict(t).truth, g.held[pair{last, end.Relation()}], g.eval(g.object, e))
}

// leftOf are the relations that an arrow walks, the first one first.
func leftOf(e *syntax.ArrowExpr) []rel.Name {
	switch left := syntax.Strip(e.Left).(type) {
	case *syntax.ArrowExpr:
		return append(leftOf(left), rel.Name(left.Target.Text))
	case *syntax.NameExpr:
		return []rel.Name{rel.Name(left.Name.Text)}
	}
	return nil
}
