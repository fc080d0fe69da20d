package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// displaced are the tuples that an assigned one takes the place of: every other
// role of its subject in its ladder, and whatever a spread rule does not let stand
// beside it.
func (o *Oracle) displaced(assigned rel.Tuple) []rel.Tuple {
	return slices.DeleteFunc(slices.Clone(o.tuples), func(t rel.Tuple) bool {
		return t.Subject != assigned.Subject || t.Key == assigned.Key || !o.excludes(assigned, t)
	})
}

// excludes reports whether two tuples of one subject are roles of one ladder on one
// object, or count together around some object.
func (o *Oracle) excludes(a, b rel.Tuple) bool {
	own := o.schema.definitions[a.Object.Type()]
	if a.Object == b.Object && own.isRole(a.Relation) && own.isRole(b.Relation) {
		return true
	}
	for _, d := range o.schema.order {
		for _, name := range d.names {
			if r := d.relations[name]; r != nil && r.OnePerWith != nil {
				link := rel.Name(r.OnePerWith.Text)
				if slices.ContainsFunc(o.objects, func(w rel.Object) bool {
					return o.countsAround(w, d, name, link, a) && o.countsAround(w, d, name, link, b)
				}) {
					return true
				}
			}
		}
	}
	return false
}

// revoked are the tuples of a subject on an object and inside it that give it
// something: roles, and relations that are administered, but none that can only
// take access away.
func (o *Oracle) revoked(r rel.Revoking) []rel.Tuple {
	inside := o.inside(r.Within)
	var gone []rel.Tuple
	for _, t := range o.tuples {
		d := o.schema.definitions[t.Object.Type()]
		administered := d.isRole(t.Relation) || d.relations[t.Relation].Granted != nil
		if t.Subject == r.Subject && slices.Contains(inside, t.Object) && administered && !o.schema.onlyTakes(unit{d.typ, t.Relation}) {
			gone = append(gone, t)
		}
	}
	return gone
}

// inside are an object and all objects inside it, at any depth.
func (o *Oracle) inside(outer rel.Object) []rel.Object {
	all := []rel.Object{outer}
	for i := 0; i < len(all); i++ {
		for _, t := range o.tuples {
			within := slices.Contains(o.schema.definitions[t.Object.Type()].within, t.Relation)
			if within && t.Subject == rel.Of(all[i]) && !slices.Contains(all, t.Object) {
				all = append(all, t.Object)
			}
		}
	}
	return all
}

// onlyTakes reports whether a name can only take access away: wherever it is
// followed to, by uses that give, there is a way on that ends to the right of a
// `-` or in an except. What is used by itself alone ends nowhere, and gives.
func (s *schema) onlyTakes(u unit) bool {
	for _, v := range s.followed(u) {
		if !slices.ContainsFunc(s.followed(v), s.excluded) {
			return false
		}
	}
	return true
}

// followed are a name and all that is computed from it, except by exclusion.
func (s *schema) followed(u unit) []unit {
	all := []unit{u}
	for i := 0; i < len(all); i++ {
		s.eachUse(func(user unit, n need) {
			if n.unit == all[i] && !n.finished && !slices.Contains(all, user) {
				all = append(all, user)
			}
		})
	}
	return all
}

// excluded reports whether a name is used to the right of a `-` or in an except.
func (s *schema) excluded(u unit) (is bool) {
	s.eachUse(func(_ unit, n need) { is = is || n.unit == u && n.finished })
	return is
}

// eachUse visits what every name is computed from: what strata.go lists, and the
// relations that arrows go over.
func (s *schema) eachUse(visit func(unit, need)) {
	for _, d := range s.order {
		for _, name := range d.names {
			user := unit{d.typ, name}
			for _, n := range s.needs(d, name) {
				visit(user, n)
			}
			for _, n := range s.overs(d, name) {
				visit(user, n)
			}
		}
	}
}

// overs lists the relations that the arrows of a name's meaning go over.
func (s *schema) overs(d *definition, name rel.Name) []need {
	switch {
	case d.permissions[name] != nil:
		return s.oversOf(d, d.permissions[name].Expr, false)
	case !d.isRole(name):
		return nil
	}
	all := s.oversOf(d, d.roles.Except, true)
	for _, e := range d.computed(name) {
		all = append(all, s.oversOf(d, e, false)...)
	}
	return all
}

func (s *schema) oversOf(d *definition, e syntax.Expr, finished bool) []need {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return s.oversOf(d, e.X, finished)
	case *syntax.BinaryExpr:
		return slices.Concat(s.oversOf(d, e.Left, finished), s.oversOf(d, e.Right, finished || e.Op == syntax.Exclusion))
	case *syntax.ArrowExpr:
		switch left := syntax.Strip(e.Left).(type) {
		case *syntax.NameExpr:
			return []need{{unit{d.typ, rel.Name(left.Name.Text)}, finished}}
		case *syntax.ArrowExpr: // of a->b->c: a, and b of the types behind a
			all := s.oversOf(d, left, finished)
			for _, typ := range s.behind(d, left.Left) {
				all = append(all, need{unit{typ, rel.Name(left.Target.Text)}, finished})
			}
			return all
		}
	}
	return nil
}
