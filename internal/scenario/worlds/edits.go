package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// edits lists every single way to make a schema smaller, each as a change of
// this tree. What an edit leaves without meaning, tidied puts right.
func edits(file *syntax.File) []func() {
	var all []func()
	for i := range file.Caveats {
		all = append(all, func() { file.Caveats = slices.Delete(file.Caveats, i, i+1) })
	}
	for i, d := range file.Definitions {
		all = append(all, func() { file.Definitions = slices.Delete(file.Definitions, i, i+1) })
		for j := range d.Relations {
			all = append(all, func() { d.Relations = slices.Delete(d.Relations, j, j+1) })
		}
		for j := range d.Permissions {
			all = append(all, func() { d.Permissions = slices.Delete(d.Permissions, j, j+1) })
		}
		for j := range d.Roles {
			all = append(all, func() { d.Roles = slices.Delete(d.Roles, j, j+1) })
			all = append(all, blockEdits(d.Roles[j])...)
		}
		for _, r := range stored(d) {
			all = append(all, relationEdits(r)...)
		}
		if len(d.CreatedBys) > 0 {
			all = append(all, func() { d.CreatedBys = nil })
		}
		for j, w := range d.Withins {
			all = append(all, func() { d.Withins = slices.Delete(d.Withins, j, j+1) })
			for k := range w.Rels {
				all = append(all, func() { w.Rels = slices.Delete(w.Rels, k, k+1) })
			}
		}
	}
	for _, site := range sites(file.Definitions) {
		for _, simpler := range simpler(*site) {
			all = append(all, func() { *site = simpler })
		}
	}
	return all
}

func blockEdits(block *syntax.Roles) []func() {
	var all []func()
	for i := range block.Roles {
		all = append(all, func() { block.Roles = slices.Delete(block.Roles, i, i+1) })
	}
	for i := range block.Inherits {
		all = append(all, func() { block.Inherits = slices.Delete(block.Inherits, i, i+1) })
	}
	if block.Except != nil {
		all = append(all, func() { block.Except = nil })
	}
	if block.OnePerSubject {
		all = append(all, func() { block.OnePerSubject = false })
	}
	return all
}

func relationEdits(r *syntax.Relation) []func() {
	var all []func()
	for i, form := range r.Types {
		all = append(all, func() { r.Types = slices.Delete(r.Types, i, i+1) })
		if form.Caveat != nil {
			all = append(all, func() { r.Types = reformed(r.Types, i, func(t *syntax.TypeRef) { t.Caveat = nil }) })
		}
		if form.Expiration {
			all = append(all, func() { r.Types = reformed(r.Types, i, func(t *syntax.TypeRef) { t.Expiration = false }) })
		}
	}
	if r.Expr != nil {
		all = append(all, func() { r.Expr = nil })
	}
	if r.Multiplicity != nil {
		all = append(all, func() { r.Multiplicity = nil })
	}
	if r.Of != nil {
		all = append(all, func() { r.Of = nil })
	}
	if r.OnePerWith != nil {
		all = append(all, func() { r.OnePerWith = nil })
	}
	for _, rule := range []**syntax.Rule{&r.Granted, &r.Revoked} {
		if *rule == nil {
			continue
		}
		all = append(all, func() { *rule = nil })
		if (*rule).ExceptSelf {
			all = append(all, func() { (*rule).ExceptSelf = false })
		}
	}
	return all
}

// reformed are the forms with one of them changed, each once.
func reformed(forms []*syntax.TypeRef, i int, change func(*syntax.TypeRef)) []*syntax.TypeRef {
	other := *forms[i]
	change(&other)
	if slices.ContainsFunc(forms, func(t *syntax.TypeRef) bool { return formText(t) == formText(&other) }) {
		return slices.Delete(forms, i, i+1)
	}
	forms[i] = &other
	return forms
}

// sites are the places of definitions that hold an expression.
func sites(definitions []*syntax.Definition) []*syntax.Expr {
	var all []*syntax.Expr
	for _, d := range definitions {
		for _, block := range d.Roles {
			if block.Except != nil {
				all = append(all, &block.Except)
			}
		}
		for _, r := range stored(d) {
			if r.Expr != nil {
				all = append(all, &r.Expr)
			}
			for _, rule := range []*syntax.Rule{r.Granted, r.Revoked} {
				if rule != nil {
					all = append(all, &rule.Expr)
				}
			}
		}
		for _, p := range d.Permissions {
			all = append(all, &p.Expr)
		}
		for _, c := range d.CreatedBys {
			all = append(all, &c.Expr)
		}
	}
	return all
}

// simpler lists expressions with one part of this one taken away.
func simpler(e syntax.Expr) []syntax.Expr {
	switch e := e.(type) {
	case *syntax.NilExpr:
		return nil
	case *syntax.BinaryExpr:
		all := []syntax.Expr{e.Left, e.Right}
		for _, left := range simpler(e.Left) {
			all = append(all, &syntax.BinaryExpr{Op: e.Op, Left: left, Right: e.Right})
		}
		for _, right := range simpler(e.Right) {
			all = append(all, &syntax.BinaryExpr{Op: e.Op, Left: e.Left, Right: right})
		}
		return all
	default:
		return []syntax.Expr{&syntax.NilExpr{}}
	}
}

// tidied puts right what a change has left without meaning: names that are gone
// are nil where they were computed with, and what stood in them is gone, too.
func tidied(t Trial) Trial {
	t.Schema = cloned(t.Schema)
	for changed := true; changed; {
		changed = tidyTypes(t.Schema)
	}
	for _, site := range sites(t.Schema.Definitions) {
		d := definitionAt(t.Schema, site)
		*site = resolved(t.Schema, d, relationAt(d, site), *site)
	}
	t.Tuples = fitting(t.Schema, t.Tuples)
	var steps []Step
	for _, step := range t.Steps {
		step = tidyStep(t.Schema, step)
		if len(step.Questions) > 0 || len(step.Updates) > 0 || len(step.Lists) > 0 || step.Way == Advance {
			steps = append(steps, step)
		}
	}
	t.Steps = steps
	return t
}

// fitting are the tuples that fit, sorted, each key once.
func fitting(file *syntax.File, tuples []rel.Tuple) []rel.Tuple {
	kept := slices.DeleteFunc(slices.Clone(tuples), func(t rel.Tuple) bool { return !fits(file, t) })
	slices.SortFunc(kept, rel.Tuple.Compare)
	return slices.CompactFunc(kept, func(t, u rel.Tuple) bool { return t.Key == u.Key })
}

// refitted takes attributes off tuples that a change of the schema has taken off
// their form. It needs the schema before, because an update that never fitted is
// there to be refused.
func refitted(before *syntax.File, t Trial) Trial {
	fit := func(tuple rel.Tuple) rel.Tuple {
		if !fits(before, tuple) || fits(t.Schema, tuple) {
			return tuple
		}
		for _, other := range []rel.Tuple{
			{Key: tuple.Key, Caveat: tuple.Caveat},
			{Key: tuple.Key, Expires: tuple.Expires},
			{Key: tuple.Key},
		} {
			if fits(t.Schema, other) {
				return other
			}
		}
		return tuple
	}
	return t.mapped(mapping{tuple: fit})
}

// tidyTypes takes away subjects of what is gone, and what is left without any;
// it reports whether there was such a thing, since more may follow from it.
func tidyTypes(file *syntax.File) bool {
	changed := false
	shorter := func(before, after int) { changed = changed || after < before }
	for _, d := range file.Definitions {
		for _, r := range stored(d) {
			n := len(r.Types)
			r.Types = slices.DeleteFunc(r.Types, func(t *syntax.TypeRef) bool {
				return !has(file, t.Type.Text, t.Relation) || t.Caveat != nil && caveatOf(file, t.Caveat.Text) == nil
			})
			shorter(n, len(r.Types))
			if r.Of != nil && !sharesForm(d, r, *r.Of) {
				r.Of, changed = nil, true
			}
			if r.OnePerWith != nil && (len(r.Types) == 0 || !hasRelation(d, *r.OnePerWith)) {
				r.OnePerWith, changed = nil, true
			}
			concrete := slices.ContainsFunc(r.Types, counts)
			if len(r.Types) == 0 && (r.Granted != nil || r.Revoked != nil) {
				r.Granted, r.Revoked, changed = nil, nil, true
			}
			if r.Multiplicity != nil && (len(r.Types) == 0 || (r.Multiplicity.Min > 0 && !concrete)) {
				r.Multiplicity, changed = nil, true
			}
		}
		n := len(d.Relations)
		d.Relations = slices.DeleteFunc(d.Relations, func(r *syntax.Relation) bool { return len(r.Types) == 0 })
		shorter(n, len(d.Relations))
		for _, block := range d.Roles {
			n := len(block.Roles) + len(block.Inherits)
			block.Roles = slices.DeleteFunc(block.Roles, func(r *syntax.Relation) bool { return len(r.Types) == 0 && r.Expr == nil })
			block.Inherits = slices.DeleteFunc(block.Inherits, func(from *syntax.Inherit) bool { return !inherits(file, d, block, from) })
			shorter(n, len(block.Roles)+len(block.Inherits))
		}
		for _, w := range d.Withins {
			n := len(w.Rels)
			w.Rels = slices.DeleteFunc(w.Rels, func(id syntax.Ident) bool { return !leadsWithin(d, id) })
			shorter(n, len(w.Rels))
		}
		n = len(d.Withins)
		d.Withins = slices.DeleteFunc(d.Withins, func(w *syntax.Within) bool { return len(w.Rels) == 0 })
		shorter(n, len(d.Withins))
		n = len(d.Roles)
		d.Roles = slices.DeleteFunc(d.Roles, func(block *syntax.Roles) bool { return len(block.Roles) == 0 })
		shorter(n, len(d.Roles))
	}
	return changed
}

// leadsWithin reports whether a relation is there and can put an object inside another.
func leadsWithin(d *syntax.Definition, id syntax.Ident) bool {
	return slices.ContainsFunc(stored(d), func(r *syntax.Relation) bool {
		return r.Name.Text == id.Text && leadsSomewhere(r)
	})
}

func inherits(file *syntax.File, d *syntax.Definition, block *syntax.Roles, from *syntax.Inherit) bool {
	return slices.ContainsFunc(block.Roles, func(role *syntax.Relation) bool {
		return leads(file, d, from.Rel, role.Name)
	})
}

// leads reports whether an arrow over a relation finds the name on any type.
func leads(file *syntax.File, d *syntax.Definition, relation, target syntax.Ident) bool {
	return slices.ContainsFunc(stored(d), func(r *syntax.Relation) bool {
		return r.Name.Text == relation.Text && slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool {
			return !t.Wildcard && has(file, t.Type.Text, &target)
		})
	})
}

// walks reports whether the first relation of an arrow is there, and some type has
// what comes next; further on an arrow may find nothing.
func walks(file *syntax.File, d *syntax.Definition, e *syntax.ArrowExpr) bool {
	for {
		switch left := e.Left.(type) {
		case *syntax.NameExpr:
			return leads(file, d, left.Name, e.Target)
		case *syntax.ArrowExpr:
			e = left
		default:
			return false
		}
	}
}

func hasRelation(d *syntax.Definition, id syntax.Ident) bool {
	return slices.ContainsFunc(d.Relations, func(r *syntax.Relation) bool { return r.Name.Text == id.Text })
}

// has reports whether the type is there, and has the name where one is given.
func has(file *syntax.File, typ string, name *syntax.Ident) bool {
	return slices.ContainsFunc(file.Definitions, func(d *syntax.Definition) bool {
		return d.Name.Text == typ && (name == nil || slices.Contains(declared(d), name.Text))
	})
}

// definitionAt is the definition that holds a site.
func definitionAt(file *syntax.File, site *syntax.Expr) *syntax.Definition {
	for _, d := range file.Definitions {
		if slices.Contains(sites([]*syntax.Definition{d}), site) {
			return d
		}
	}
	return &syntax.Definition{}
}

// relationAt is the relation whose rule a site is; nil for another site.
func relationAt(d *syntax.Definition, site *syntax.Expr) *syntax.Relation {
	for _, r := range stored(d) {
		for _, rule := range []*syntax.Rule{r.Granted, r.Revoked} {
			if rule != nil && site == &rule.Expr {
				return r
			}
		}
	}
	return nil
}

// resolved is the expression with nil in place of names that are gone; of is the
// relation whose rule it is, nil for none.
func resolved(file *syntax.File, d *syntax.Definition, of *syntax.Relation, e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.NameExpr:
		if slices.Contains(declared(d), e.Name.Text) {
			return e
		}
		return &syntax.NilExpr{}
	case *syntax.ArrowExpr:
		if walks(file, d, e) {
			return e
		}
		return &syntax.NilExpr{}
	case *syntax.SubjectExpr:
		if of != nil && leads(file, d, of.Name, e.Target) {
			return e
		}
		return &syntax.NilExpr{}
	case *syntax.BinaryExpr:
		return &syntax.BinaryExpr{Op: e.Op, Left: resolved(file, d, of, e.Left), Right: resolved(file, d, of, e.Right)}
	default:
		return e
	}
}

// fits reports whether the relation has the tuple's form. Whether its own values
// fit the caveat is not asked: those that are drawn do, but for such as are there
// to be refused.
func fits(file *syntax.File, t rel.Tuple) bool {
	return slices.ContainsFunc(stored(definitionOf(file, string(t.Object.Type()))), func(r *syntax.Relation) bool {
		return r.Name.Text == string(t.Relation) && slices.ContainsFunc(r.Types, func(form *syntax.TypeRef) bool {
			caveat := ""
			if form.Caveat != nil {
				caveat = form.Caveat.Text
			}
			return subjectFits(form, t.Subject) && caveat == string(t.Caveat.Name) && form.Expiration == !t.Expires.Never()
		})
	})
}

func subjectFits(form *syntax.TypeRef, s rel.Subject) bool {
	relation := ""
	if form.Relation != nil {
		relation = form.Relation.Text
	}
	return form.Type.Text == string(s.Type()) && relation == string(s.Relation()) && form.Wildcard == s.IsWildcard()
}

// tidyStep takes away questions about what is gone, and subjects that are gone
// from the principals, and writes of actors that are gone. Updates may be of
// anything: refusing them is an answer.
func tidyStep(file *syntax.File, step Step) Step {
	known := func(s rel.Subject) bool {
		if s.IsUserset() {
			return has(file, string(s.Type()), new(ident(string(s.Relation()))))
		}
		return has(file, string(s.Type()), nil)
	}
	var kept []Question
	for _, q := range step.Questions {
		q.Principal = keeping(q.Principal, known)
		if len(q.Contextual) > 0 {
			q.Contextual = fitting(file, q.Contextual)
		}
		named := q.Name == "" || has(file, string(q.Object.Type()), new(ident(string(q.Name))))
		if named && has(file, string(q.Object.Type()), nil) && !slices.ContainsFunc(q.Principal.Subjects(), func(s rel.Subject) bool { return !known(s) }) {
			kept = append(kept, q)
		}
	}
	step.Questions = kept
	step.Lists = slices.DeleteFunc(slices.Clone(step.Lists), func(q Listing) bool { return !asksSomething(file, q) })
	for i := range step.Lists {
		q := &step.Lists[i]
		if len(q.Contextual) > 0 {
			q.Contextual = fitting(file, q.Contextual)
		}
		if len(q.Principal.Subjects()) > 0 {
			q.Principal = keeping(q.Principal, known)
		}
	}
	step.Lists = slices.DeleteFunc(step.Lists, func(q Listing) bool {
		return slices.ContainsFunc(q.Principal.Subjects(), func(s rel.Subject) bool { return !known(s) })
	})
	if !step.Actor.IsZero() && !known(step.Actor.Subject) {
		step.Updates = nil // nobody is left to write
	}
	return step
}
