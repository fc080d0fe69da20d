package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A schema is the tree with its names looked up once. It adds no meaning.
type schema struct {
	definitions map[rel.ObjectType]*definition
	order       []*definition
	caveats     map[rel.CaveatName]*condition.Caveat
	strata      [][]unit // lowest first; see strata.go
}

// A unit is one name of one type.
type unit struct {
	typ  rel.ObjectType
	name rel.Name
}

// A definition is one `definition NAME { … }`.
type definition struct {
	typ         rel.ObjectType
	names       []rel.Name                      // all of them, in source order
	relations   map[rel.Name]*syntax.Relation   // what can be stored: relations, and roles
	permissions map[rel.Name]*syntax.Permission // what is computed alone
	listed      []rel.Name                      // the permissions, in source order
	ladder      []rel.Name                      // the roles, lowest first
	roles       *syntax.Roles                   // nil where there is no roles block
	within      []rel.Name                      // the relations that put an object inside another
	createdBy   syntax.Expr                     // nil where no actor creates
}

// has reports whether a name is declared here, as whatever.
func (d *definition) has(name rel.Name) bool {
	return d.relations[name] != nil || d.permissions[name] != nil
}

// above is the role one higher than this one; empty for the highest, and for
// what is no role.
func (d *definition) above(role rel.Name) rel.Name {
	i := slices.Index(d.ladder, role)
	if i < 0 || i+1 == len(d.ladder) {
		return ""
	}
	return d.ladder[i+1]
}

// computed is what a role is computed from beside what is stored and the role
// above: its own EXPR, and REL->role for each `inherit from REL`.
func (d *definition) computed(role rel.Name) []syntax.Expr {
	var all []syntax.Expr
	r := d.relations[role]
	if r.Expr != nil {
		all = append(all, r.Expr)
	}
	for _, from := range d.roles.Inherits {
		all = append(all, arrow(from.Rel, r.Name))
	}
	return all
}

// isRole reports whether the name is a role of the ladder.
func (d *definition) isRole(name rel.Name) bool { return slices.Contains(d.ladder, name) }

func read(file *syntax.File) (*schema, error) {
	for _, i := range file.Imports {
		// What another text says cannot be known here.
		return nil, fault.New(fault.NotInThisRelease, "an import is not read here").At(i.At.Line, i.At.Column)
	}
	s := &schema{definitions: map[rel.ObjectType]*definition{}}
	var err error
	if s.caveats, err = readCaveats(file); err != nil {
		return nil, err
	}
	for _, tree := range file.Definitions {
		whole, err := included(file, tree, nil)
		if err != nil {
			return nil, err
		}
		d, err := readDefinition(whole)
		if err != nil {
			return nil, err
		}
		if s.definitions[d.typ] != nil {
			return nil, fault.Newf(fault.NameMustBeUnique, "definition %s stands twice", d.typ).At(tree.Name.At.Line, tree.Name.At.Column)
		}
		s.definitions[d.typ] = d
		s.order = append(s.order, d)
	}
	if f := s.resolve(); f != nil {
		return nil, f
	}
	if f := s.stratify(); f != nil {
		return nil, f
	}
	return s, nil
}

// included is a definition with the members of the partials that it includes, as
// if they were written in it. A partial may include others; within are those that
// this one stands in.
func included(file *syntax.File, d *syntax.Definition, within []string) (*syntax.Definition, error) {
	whole := *d
	for _, include := range d.Includes {
		name := include.Name.Text
		i := slices.IndexFunc(file.Partials, func(p *syntax.Definition) bool { return p.Name.Text == name })
		if i < 0 {
			return nil, fault.Newf(fault.NameMustExist, "there is no partial %s", name).At(include.At.Line, include.At.Column)
		}
		if slices.Contains(within, name) {
			return nil, fault.Newf(fault.ClauseMustFit, "the partial %s includes itself", name).At(include.At.Line, include.At.Column)
		}
		p, err := included(file, file.Partials[i], append(slices.Clone(within), name))
		if err != nil {
			return nil, err
		}
		whole.Relations = slices.Concat(whole.Relations, p.Relations)
		whole.Permissions = slices.Concat(whole.Permissions, p.Permissions)
		whole.Roles = slices.Concat(whole.Roles, p.Roles)
		whole.Withins = slices.Concat(whole.Withins, p.Withins)
		whole.CreatedBys = slices.Concat(whole.CreatedBys, p.CreatedBys)
	}
	return &whole, nil
}

// stored is every relation and role of a definition.
func stored(d *syntax.Definition) []*syntax.Relation {
	all := slices.Clone(d.Relations)
	for _, block := range d.Roles {
		all = append(all, block.Roles...)
	}
	return all
}

func readDefinition(tree *syntax.Definition) (*definition, error) {
	d := &definition{
		typ:         rel.ObjectType(tree.Name.Text),
		relations:   map[rel.Name]*syntax.Relation{},
		permissions: map[rel.Name]*syntax.Permission{},
	}
	add := func(id syntax.Ident) error {
		if name := rel.Name(id.Text); d.has(name) {
			return fault.Newf(fault.NameMustBeUnique, "%s declares %s twice", d.typ, name).At(id.At.Line, id.At.Column)
		}
		d.names = append(d.names, rel.Name(id.Text))
		return nil
	}
	for _, r := range stored(tree) {
		if err := add(r.Name); err != nil {
			return nil, err
		}
		d.relations[rel.Name(r.Name.Text)] = r
	}
	for _, p := range tree.Permissions {
		if err := add(p.Name); err != nil {
			return nil, err
		}
		d.permissions[rel.Name(p.Name.Text)] = p
		d.listed = append(d.listed, rel.Name(p.Name.Text))
	}
	if len(tree.Roles) > 1 {
		second := tree.Roles[1].At
		return nil, fault.Newf(fault.RolesMustStandTogether, "%s has two roles blocks", d.typ).At(second.Line, second.Column)
	}
	for _, block := range tree.Roles {
		d.roles = block
		for _, r := range block.Roles {
			d.ladder = append(d.ladder, rel.Name(r.Name.Text))
		}
	}
	for _, within := range tree.Withins {
		for _, r := range within.Rels {
			d.within = append(d.within, rel.Name(r.Text))
		}
	}
	if len(tree.CreatedBys) > 1 {
		second := tree.CreatedBys[1].At
		return nil, fault.Newf(fault.ClauseMustFit, "%s says twice who creates it", d.typ).At(second.Line, second.Column)
	}
	for _, created := range tree.CreatedBys {
		d.createdBy = created.Expr
	}
	return d, nil
}

// allFit is what is wrong with tuples, all of it; nil where they are allowed.
func (s *schema) allFit(tuples []rel.Tuple) error {
	var faults []*fault.Fault
	for _, t := range tuples {
		if f := s.fits(t); f != nil {
			faults = append(faults, f)
		}
	}
	return fault.Join(faults)
}

// fits says why a tuple is not allowed; nil where it is. Its form is one of the
// relation's types exactly: the subject's, its caveat, and whether it expires.
// What it brings for the caveat are parameters of that, of their types.
func (s *schema) fits(t rel.Tuple) *fault.Fault {
	forms, f := s.forms(t.Key)
	if f != nil {
		return f
	}
	if !slices.ContainsFunc(forms, func(form *syntax.TypeRef) bool { return tupleHasForm(t, form) }) {
		return fault.Newf(fault.NotInSchema, "%s: %s#%s does not allow such a subject with this caveat and expiration", t, t.Object.Type(), t.Relation).
			Do("write a subject of a form that the relation lists")
	}
	if t.Caveat.IsZero() {
		return nil
	}
	if err := s.caveats[t.Caveat.Name].CheckContext(t.Caveat.Context); err != nil {
		return fault.Newf(fault.NotInSchema, "%s: the values do not fit the caveat", t).
			Do("write parameters of the caveat with values of their types").Because(err)
	}
	return nil
}

// forms are the forms of the relation that allow a key's subject, whatever they
// say of caveat and expiration; there is at least one, or a fault.
func (s *schema) forms(k rel.Key) ([]*syntax.TypeRef, *fault.Fault) {
	d := s.definitions[k.Object.Type()]
	if d == nil {
		return nil, fault.Newf(fault.NotInSchema, "%s: there is no type %s", k, k.Object.Type()).
			Do("write a tuple of a type that the schema defines")
	}
	r := d.relations[k.Relation]
	if r == nil {
		return nil, fault.Newf(fault.NotInSchema, "%s: %s has no relation or role %s", k, d.typ, k.Relation).
			Do("write a relation or a role; a permission is computed")
	}
	var forms []*syntax.TypeRef
	for _, form := range r.Types {
		if subjectHasForm(k.Subject, form) {
			forms = append(forms, form)
		}
	}
	if len(forms) == 0 {
		return nil, fault.Newf(fault.NotInSchema, "%s: %s#%s does not allow such a subject", k, d.typ, k.Relation).
			Do("write a subject of a form that the relation lists")
	}
	return forms, nil
}

func tupleHasForm(t rel.Tuple, form *syntax.TypeRef) bool {
	caveat := ""
	if form.Caveat != nil {
		caveat = form.Caveat.Text
	}
	return string(t.Caveat.Name) == caveat && t.Expires.Never() == !form.Expiration
}

func subjectHasForm(s rel.Subject, form *syntax.TypeRef) bool {
	return string(s.Type()) == form.Type.Text &&
		s.IsWildcard() == form.Wildcard &&
		s.Relation() == relationOf(form)
}

// relationOf is the name after '#' of a form; `type#...` says the object itself.
func relationOf(form *syntax.TypeRef) rel.Name {
	if form.Relation == nil || form.Relation.Text == "..." {
		return ""
	}
	return rel.Name(form.Relation.Text)
}
