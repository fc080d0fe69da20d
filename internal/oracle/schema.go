package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A schema is the tree with its names looked up once. It adds no meaning.
type schema struct {
	definitions map[rel.ObjectType]*definition
	order       []*definition
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

// isRole reports whether the name is a role of the ladder.
func (d *definition) isRole(name rel.Name) bool { return slices.Contains(d.ladder, name) }

func read(file *syntax.File) (*schema, error) {
	s := &schema{definitions: map[rel.ObjectType]*definition{}}
	if f := outsideThisRelease(file); f != nil {
		return nil, f
	}
	for _, tree := range file.Definitions {
		d, err := readDefinition(tree)
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

// outsideThisRelease finds what this evaluator gives no meaning to. Silence
// would be an answer, and a wrong one.
func outsideThisRelease(file *syntax.File) *fault.Fault {
	refuse := func(what string, at syntax.Pos) *fault.Fault {
		return fault.Newf(fault.NotInThisRelease, "%s is not in this release", what).At(at.Line, at.Column)
	}
	for _, c := range file.Caveats {
		return refuse("a caveat", c.At)
	}
	for _, i := range file.Imports {
		return refuse("an import", i.At)
	}
	for _, p := range file.Partials {
		return refuse("a partial", p.At)
	}
	for _, d := range file.Definitions {
		for _, i := range d.Includes {
			return refuse("a partial", i.At)
		}
		if len(d.Roles) > 1 {
			return fault.New(fault.RolesMustStandTogether, "a definition has two roles blocks").At(d.Roles[1].At.Line, d.Roles[1].At.Column)
		}
		for _, r := range stored(d) {
			for _, t := range r.Types {
				if t.Caveat != nil || t.Expiration {
					return refuse("a subject with a caveat or an expiration", t.At)
				}
			}
		}
	}
	return nil
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
	for _, block := range tree.Roles {
		d.roles = block
		for _, r := range block.Roles {
			d.ladder = append(d.ladder, rel.Name(r.Name.Text))
		}
	}
	return d, nil
}

// fits says why a tuple is not allowed; nil where it is. The subject's form is
// one of the relation's types exactly.
func (s *schema) fits(t rel.Tuple) *fault.Fault {
	d := s.definitions[t.Object.Type()]
	if d == nil {
		return fault.Newf(fault.NotInSchema, "%s: there is no type %s", t, t.Object.Type()).
			Do("write a tuple of a type that the schema defines")
	}
	r := d.relations[t.Relation]
	if r == nil {
		return fault.Newf(fault.NotInSchema, "%s: %s has no relation or role %s", t, d.typ, t.Relation).
			Do("write a relation or a role; a permission is computed")
	}
	for _, form := range r.Types {
		if subjectHasForm(t.Subject, form) {
			return nil
		}
	}
	return fault.Newf(fault.NotInSchema, "%s: %s#%s does not allow such a subject", t, d.typ, t.Relation).
		Do("write a subject of a form that the relation lists")
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
