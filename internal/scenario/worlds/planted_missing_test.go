package worlds

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// missing gathers what a pair that is conditional hangs on: of each pair the
// tuples, and the pairs that it reads; then of those.
func (w *walk) missing(from heldPair) []oracle.Missing {
	var found []oracle.Missing
	queue, seen := []heldPair{from}, map[heldPair]bool{}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p] || w.truth(p) != oracle.Conditional {
			continue
		}
		seen[p] = true
		d := definitionOf(w.file, string(p.object.Type()))
		g := &gathering{walk: w}
		if block, i := roleOf(d, p.name); block != nil {
			g.role(p.object, block, i)
		} else if i := slices.IndexFunc(d.Permissions, func(q *syntax.Permission) bool { return q.Name.Text == string(p.name) }); i >= 0 {
			g.expr(p.object, d.Permissions[i].Expr)
		} else {
			g.stored(p.object, p.name)
		}
		for _, m := range g.found {
			if !slices.ContainsFunc(found, func(n oracle.Missing) bool { return n.Key == m.Key }) {
				found = append(found, m)
			}
		}
		if w.planted != "missing does not look behind" {
			queue = append(queue, g.next...)
		}
	}
	slices.SortFunc(found, func(m, n oracle.Missing) int { return strings.Compare(m.Key.String(), n.Key.String()) })
	return found
}

func (w *walk) truth(p heldPair) oracle.Truth {
	return w.fresh(func(w *walk) oracle.Truth { return w.visit(p) })
}

// gathering is what one pair reads that is open.
type gathering struct {
	*walk
	found []oracle.Missing
	next  []heldPair
}

func (g *gathering) tuple(t rel.Tuple, behind oracle.Truth) bool {
	caveat, v := g.caveat(t)
	if min(caveat, behind) == oracle.No || caveat == oracle.Yes && behind == oracle.Yes {
		return false
	}
	if caveat == oracle.Conditional {
		g.found = append(g.found, oracle.Missing{Key: t.Key, Caveat: t.Caveat.Name, Parameters: v.Missing, Problem: v.Problem != ""})
	}
	return behind == oracle.Conditional
}

func (g *gathering) stored(o rel.Object, relation rel.Name) {
	for _, t := range g.at[o][relation] {
		behind := g.fresh(func(w *walk) oracle.Truth { return w.match(t.Subject) })
		if there, ok := t.Subject.Object(); g.tuple(t, behind) && ok {
			g.next = append(g.next, heldPair{there, t.Subject.Relation()})
		}
	}
}

func (g *gathering) role(o rel.Object, block *syntax.Roles, i int) {
	r := block.Roles[i]
	union := g.fresh(func(w *walk) oracle.Truth {
		return max(w.stored(o, rel.Name(r.Name.Text)), w.computed(o, block, i))
	})
	if union == oracle.Conditional {
		g.stored(o, rel.Name(r.Name.Text))
		if r.Expr != nil {
			g.expr(o, r.Expr)
		}
		for _, from := range block.Inherits {
			g.expr(o, inherited(from, r))
		}
		if i+1 < len(block.Roles) {
			g.next = append(g.next, heldPair{o, rel.Name(block.Roles[i+1].Name.Text)})
		}
	}
	if block.Except != nil && g.planted != "missing forgets the except" {
		g.expr(o, block.Except)
	}
}

func (g *gathering) expr(o rel.Object, e syntax.Expr) {
	if g.fresh(func(w *walk) oracle.Truth { return w.eval(o, e) }) != oracle.Conditional {
		return
	}
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		g.next = append(g.next, heldPair{o, rel.Name(e.Name.Text)})
	case *syntax.ArrowExpr:
		g.arrow(o, hops(e))
	case *syntax.BinaryExpr:
		g.expr(o, e.Left)
		g.expr(o, e.Right)
	}
}

// hop is one step of an arrow: over a relation, in a kind, or at the end to a name.
type hop struct {
	name rel.Name
	kind syntax.ArrowKind
}

func hops(e *syntax.ArrowExpr) []hop {
	last := hop{name: rel.Name(e.Target.Text)}
	switch left := syntax.Strip(e.Left).(type) {
	case *syntax.ArrowExpr:
		before := hops(left)
		before[len(before)-1].kind = e.Kind
		return append(before, last)
	default:
		return []hop{{rel.Name(left.(*syntax.NameExpr).Name.Text), e.Kind}, last}
	}
}

// arrow gathers over the tuples of the first hop that are open with what is behind.
func (g *gathering) arrow(o rel.Object, way []hop) {
	if len(way) == 1 {
		g.next = append(g.next, heldPair{o, way[0].name})
		return
	}
	for _, t := range g.at[o][way[0].name] {
		there, ok := t.Subject.Object()
		if ok && g.tuple(t, g.fresh(func(w *walk) oracle.Truth { return w.along(there, way[1:]) })) {
			g.arrow(there, way[1:])
		}
	}
}

func (w *walk) along(o rel.Object, way []hop) oracle.Truth {
	if len(way) == 1 {
		return w.visit(heldPair{o, way[0].name})
	}
	return w.over(o, way[0].name, way[0].kind, func(there rel.Object) oracle.Truth { return w.along(there, way[1:]) })
}
