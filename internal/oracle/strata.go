package oracle

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A need is what a name's value is computed from: another name, of this type or
// of a type behind a relation. A finished one is read to the right of a `-` or
// in an `except`, where a value that may still grow would be wrong.
type need struct {
	unit
	finished bool
}

// stratify puts every name into the lowest stratum that is not below what it
// needs, and above what it needs finished. It raises strata until nothing moves;
// a name that has risen past the number of names stands in a circle through a
// `-`, and has no meaning.
func (s *schema) stratify() *fault.Fault {
	needs := map[unit][]need{}
	stratum := map[unit]int{}
	for _, d := range s.order {
		for _, name := range d.names {
			needs[unit{d.typ, name}] = s.needs(d, name)
		}
	}
	for moved := true; moved; {
		moved = false
		for _, d := range s.order {
			for _, name := range d.names {
				u := unit{d.typ, name}
				for _, n := range needs[u] {
					least := stratum[n.unit]
					if n.finished {
						least++
					}
					if stratum[u] < least {
						stratum[u], moved = least, true
					}
				}
				if stratum[u] > len(needs) {
					return fault.Newf(fault.SchemaMustBeStratified, "%s#%s depends on itself through the right side of a '-'", u.typ, u.name).
						Do("take it out of the '-' or the except")
				}
			}
		}
	}
	for _, d := range s.order {
		for _, name := range d.names {
			u := unit{d.typ, name}
			for len(s.strata) <= stratum[u] {
				s.strata = append(s.strata, nil)
			}
			s.strata[stratum[u]] = append(s.strata[stratum[u]], u)
		}
	}
	return nil
}

// needs lists what one name is computed from.
func (s *schema) needs(d *definition, name rel.Name) []need {
	var all []need
	add := func(typ rel.ObjectType, name rel.Name, finished bool) {
		all = append(all, need{unit{typ, name}, finished})
	}
	if p := d.permissions[name]; p != nil {
		s.needsOf(d, p.Expr, false, add)
		return all
	}
	r := d.relations[name]
	for _, form := range r.Types {
		if userset := relationOf(form); userset != "" {
			add(rel.ObjectType(form.Type.Text), userset, false)
		}
	}
	if !d.isRole(name) {
		return all
	}
	for _, e := range d.computed(name) {
		s.needsOf(d, e, false, add)
	}
	if higher := d.above(name); higher != "" {
		add(d.typ, higher, false)
	}
	if d.roles.Except != nil {
		s.needsOf(d, d.roles.Except, true, add)
	}
	return all
}

func (s *schema) needsOf(d *definition, e syntax.Expr, finished bool, add func(rel.ObjectType, rel.Name, bool)) {
	switch e := e.(type) {
	case *syntax.NameExpr:
		add(d.typ, rel.Name(e.Name.Text), finished)
	case *syntax.ArrowExpr:
		for _, typ := range s.behind(d, e.Left) {
			if s.has(typ, e.Target) {
				add(typ, rel.Name(e.Target.Text), finished)
			}
		}
	case *syntax.BinaryExpr:
		s.needsOf(d, e.Left, finished, add)
		s.needsOf(d, e.Right, finished || e.Op == syntax.Exclusion, add)
	case *syntax.ParenExpr:
		s.needsOf(d, e.X, finished, add)
	}
}

// behind lists the types of the objects that the left side of an arrow leads to.
func (s *schema) behind(d *definition, left syntax.Expr) []rel.ObjectType {
	switch left := syntax.Strip(left).(type) {
	case *syntax.NameExpr:
		return typesOf(d.relations[rel.Name(left.Name.Text)])
	case *syntax.ArrowExpr:
		var all []rel.ObjectType
		for _, typ := range s.behind(d, left.Left) {
			if next := s.definitions[typ]; next != nil {
				all = append(all, typesOf(next.relations[rel.Name(left.Target.Text)])...)
			}
		}
		return all
	default:
		return nil
	}
}

// typesOf are the types of the objects that a relation leads to; a wildcard leads
// to none.
func typesOf(r *syntax.Relation) []rel.ObjectType {
	var all []rel.ObjectType
	if r != nil {
		for _, form := range r.Types {
			if !form.Wildcard {
				all = append(all, rel.ObjectType(form.Type.Text))
			}
		}
	}
	return all
}

func (s *schema) has(typ rel.ObjectType, name syntax.Ident) bool {
	d := s.definitions[typ]
	return d != nil && d.has(rel.Name(name.Text))
}

// arrow is what `inherit from REL` adds to a role: REL->role.
func arrow(relation, target syntax.Ident) *syntax.ArrowExpr {
	return &syntax.ArrowExpr{Left: &syntax.NameExpr{Name: relation}, Kind: syntax.Arrow, At: relation.At, Target: target}
}

// resolve reports the first name that the schema uses and nobody declares.
func (s *schema) resolve() *fault.Fault {
	for _, d := range s.order {
		for _, name := range d.names {
			if p := d.permissions[name]; p != nil {
				if f := s.resolveExpr(d, p.Expr); f != nil {
					return f
				}
				continue
			}
			if f := s.resolveRelation(d, d.relations[name]); f != nil {
				return f
			}
		}
		if f := s.resolveExpr(d, d.createdBy); f != nil {
			return f
		}
		for _, name := range d.within {
			if d.relations[name] == nil {
				return fault.Newf(fault.ClauseMustFit, "%s has no relation %s to be within", d.typ, name)
			}
		}
		if d.roles == nil {
			continue
		}
		if f := s.resolveExpr(d, d.roles.Except); f != nil {
			return f
		}
		for _, from := range d.roles.Inherits {
			if f := d.mustHaveRelation(from.Rel); f != nil {
				return f
			}
		}
	}
	return nil
}

func (s *schema) resolveRelation(d *definition, r *syntax.Relation) *fault.Fault {
	for _, form := range r.Types {
		if s.definitions[rel.ObjectType(form.Type.Text)] == nil {
			return fault.Newf(fault.SubjectTypeMustExist, "there is no type %s", form.Type.Text).At(form.At.Line, form.At.Column)
		}
		if form.Caveat != nil && s.caveats[rel.CaveatName(form.Caveat.Text)] == nil {
			return fault.Newf(fault.CaveatMustExist, "there is no caveat %s", form.Caveat.Text).At(form.Caveat.At.Line, form.Caveat.At.Column)
		}
		if relationOf(form) != "" && !s.has(rel.ObjectType(form.Type.Text), *form.Relation) {
			return fault.Newf(fault.SubjectRelationMustExist, "%s has no %s", form.Type.Text, form.Relation.Text).At(form.At.Line, form.At.Column)
		}
	}
	for _, other := range []*syntax.Ident{r.Of, r.OnePerWith} {
		if other == nil {
			continue
		}
		if f := d.mustHaveRelation(*other); f != nil {
			return f
		}
	}
	for _, rule := range []*syntax.Rule{r.Granted, r.Revoked} {
		if rule == nil {
			continue
		}
		if f := s.resolveExpr(d, withoutSubject(rule.Expr)); f != nil {
			return f
		}
	}
	return s.resolveExpr(d, r.Expr)
}

// withoutSubject is a rule's expression with nil where it asks for rights on the
// tuple's subject: what these find depends on the subject's type.
func withoutSubject(e syntax.Expr) syntax.Expr {
	switch e := syntax.Strip(e).(type) {
	case *syntax.SubjectExpr:
		return &syntax.NilExpr{At: e.At}
	case *syntax.BinaryExpr:
		return &syntax.BinaryExpr{Op: e.Op, At: e.At, Left: withoutSubject(e.Left), Right: withoutSubject(e.Right)}
	default:
		return e
	}
}

func (s *schema) resolveExpr(d *definition, e syntax.Expr) *fault.Fault {
	switch e := e.(type) {
	case nil, *syntax.NilExpr, *syntax.SelfExpr:
		return nil
	case *syntax.NameExpr:
		if !d.has(rel.Name(e.Name.Text)) {
			return fault.Newf(fault.NameMustExist, "%s has no %s", d.typ, e.Name.Text).At(e.Name.At.Line, e.Name.At.Column)
		}
		return nil
	case *syntax.ArrowExpr:
		switch left := syntax.Strip(e.Left).(type) {
		case *syntax.NameExpr:
			return d.mustHaveRelation(left.Name)
		case *syntax.ArrowExpr:
			return s.resolveExpr(d, left)
		}
		return fault.New(fault.ArrowMustStartAtARelation, "an arrow starts at an expression").At(e.At.Line, e.At.Column)
	case *syntax.BinaryExpr:
		if f := s.resolveExpr(d, e.Left); f != nil {
			return f
		}
		return s.resolveExpr(d, e.Right)
	case *syntax.ParenExpr:
		return s.resolveExpr(d, e.X)
	default:
		at := e.Pos()
		return fault.New(fault.ClauseMustFit, "this has no meaning outside of a rule").At(at.Line, at.Column)
	}
}

func (d *definition) mustHaveRelation(id syntax.Ident) *fault.Fault {
	if d.relations[rel.Name(id.Text)] != nil {
		return nil
	}
	return fault.Newf(fault.ArrowMustStartAtARelation, "%s has no relation %s", d.typ, id.Text).At(id.At.Line, id.At.Column)
}
