package schema

import (
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// definitionsMax bounds a schema: what is walked over when one is written.
const definitionsMax = 1000

// formsMax bounds the forms of subjects that one relation allows: each tuple is
// compared with them.
const formsMax = 256

// Compile reads a schema text. Where it has errors, the schema is nil and the
// faults are all of them, in source order, up to diagnosticsMax; errors of form
// are reported alone, since what could not be read would be missed elsewhere.
func Compile(text string) (*Schema, []*fault.Fault) {
	file, faults := syntax.Parse(text)
	if len(faults) > 0 {
		return nil, inOrder(faults)
	}
	c := &compiler{
		file:   file,
		schema: &Schema{text: text, byType: make(map[rel.ObjectType]*Definition)},
		trees:  make(map[*Definition]*syntax.Definition),
		stored: make(map[*syntax.Relation]*Relation),
	}
	c.refuseWhatIsNotThere()
	c.declare()
	if !c.tooLarge { // what lies beyond a bound is not looked at, and would be missed elsewhere
		c.resolveForms()
		c.resolveClauses()
		c.buildSlots()
		c.checkRules()
	}
	if len(c.errors) == 0 {
		c.stratify()
	}
	if len(c.errors) > 0 {
		return nil, c.found()
	}
	c.schema.warnings = inOrder(c.warnings)
	return c.schema, nil
}

// A compiler carries one text through the passes of Compile. Each pass goes on
// over what it could not make sense of, so that one run finds all errors.
type compiler struct {
	diagnostics
	file   *syntax.File
	schema *Schema
	trees  map[*Definition]*syntax.Definition
	stored map[*syntax.Relation]*Relation
	arrows map[arrowKey]Slot

	tooLarge bool // a bound on the schema's size is broken
}

// refuseWhatIsNotThere names the parts of the language that this release reads
// but does not evaluate; expressions are looked through where they are compiled.
func (c *compiler) refuseWhatIsNotThere() {
	for _, x := range c.file.Imports {
		c.notInThisRelease(x.At, "import", "put all definitions into one text")
	}
	for _, x := range c.file.Caveats {
		c.notInThisRelease(x.At, fmt.Sprintf("caveat %q", x.Name.Text), "leave the caveat and its uses out")
	}
	for _, x := range c.file.Partials {
		c.notInThisRelease(x.At, fmt.Sprintf("partial %q", x.Name.Text), "write its members into the definitions that use it")
	}
	for _, d := range c.file.Definitions {
		for _, x := range d.Includes {
			c.notInThisRelease(x.At, fmt.Sprintf("...%s", x.Name.Text), "write the partial's members here")
		}
	}
}

// declare makes the definitions and their names.
func (c *compiler) declare() {
	first := make(map[rel.ObjectType]syntax.Pos)
	for i, tree := range c.file.Definitions {
		if i == definitionsMax {
			c.tooLarge = true
			c.mustStayWithinBounds(tree.Name.At, fmt.Sprintf("the schema has %d definitions", len(c.file.Definitions)),
				fmt.Sprintf("a schema has at most %d; split it over stores", definitionsMax))
			return
		}
		typ, err := rel.ParseType(tree.Name.Text)
		if err != nil {
			c.nameMustBeValid(tree.Name.At, err)
			continue
		}
		if at, twice := first[typ]; twice {
			c.definitionMustBeUnique(tree.Name.At, tree.Name.Text, at)
			continue
		}
		first[typ] = tree.Name.At
		d := &Definition{Type: typ, Doc: tree.Doc, byName: make(map[rel.Name]*Declared)}
		c.schema.definitions = append(c.schema.definitions, d)
		c.schema.byType[typ] = d
		c.trees[d] = tree
		c.declareNames(d, tree)
	}
}

func (c *compiler) declareNames(d *Definition, tree *syntax.Definition) {
	first := make(map[string]syntax.Pos)
	add := func(name syntax.Ident, kind Kind, doc string) *Declared {
		parsed, err := rel.ParseName(name.Text)
		if err != nil {
			c.nameMustBeValid(name.At, err)
			return nil
		}
		if len(d.names) == SlotsMax {
			if !c.tooLarge {
				c.tooManySlots(d)
			}
			c.tooLarge = true
			return nil
		}
		if why := c.reserved(name.Text, kind); why != "" {
			c.nameMustNotBeReserved(name.At, name.Text, why)
			return nil
		}
		if at, twice := first[name.Text]; twice {
			c.nameMustBeUnique(name.At, d.Type, name.Text, at)
			return nil
		}
		first[name.Text] = name.At
		n := &Declared{Name: parsed, Kind: kind, Doc: doc}
		d.names = append(d.names, n)
		d.byName[parsed] = n
		return n
	}
	relation := func(n *Declared, r *syntax.Relation, rank int) {
		if n == nil || len(r.Types) == 0 {
			return
		}
		n.Relation = &Relation{Type: d.Type, Name: n.Name, Rank: rank, Max: Unbounded}
		d.relations = append(d.relations, n.Relation)
		c.stored[r] = n.Relation
	}
	for _, r := range tree.Relations {
		relation(add(r.Name, KindRelation, r.Doc), r, NoRank)
	}
	for i, block := range tree.Roles {
		if i > 0 {
			c.rolesMustStandTogether(block.At, tree.Roles[0].At, d.Type)
			continue
		}
		if len(block.Roles) == 0 {
			c.rolesMustNotBeEmpty(block.At, d.Type)
		}
		d.onePer = block.OnePerSubject
		for _, r := range block.Roles {
			n := add(r.Name, KindRole, r.Doc)
			if n == nil {
				continue
			}
			if len(r.Types) == 0 && r.Expr == nil && len(block.Inherits) == 0 {
				c.roleMustHaveASource(r.Name.At, r.Name.Text)
			}
			relation(n, r, len(d.ladder))
			d.ladder = append(d.ladder, n)
		}
	}
	for _, p := range tree.Permissions {
		add(p.Name, KindPermission, p.Doc)
		if len(p.Annotation) > 0 {
			c.notInThisRelease(p.Annotation[0].At, fmt.Sprintf("the type annotation of permission %q", p.Name.Text), "write `permission NAME = EXPR`")
		}
	}
}

// reserved says why a name cannot be declared; empty where it can.
func (c *compiler) reserved(name string, kind Kind) string {
	switch {
	case name == "nil":
		return "every expression reads it as nobody, so nothing could refer to it"
	case name == "self" && slices.ContainsFunc(c.file.Uses, func(u *syntax.Use) bool { return u.Feature.Text == "self" }):
		return "under `use self` every expression reads it as the object itself"
	case name == "none" && kind == KindRole:
		return "it stands for no role in test files and on the command line"
	default:
		return ""
	}
}

// eachRelation visits what is stored, with its tree; roles with a stored part among them.
func (c *compiler) eachRelation(visit func(*Definition, *Relation, *syntax.Relation)) {
	for _, d := range c.schema.definitions {
		tree := c.trees[d]
		all := tree.Relations
		if len(tree.Roles) > 0 {
			all = slices.Concat(all, tree.Roles[0].Roles)
		}
		for _, r := range all {
			if stored := c.stored[r]; stored != nil {
				visit(d, stored, r)
			}
		}
	}
}

// resolveForms reads the subject forms of every relation.
func (c *compiler) resolveForms() {
	c.eachRelation(func(_ *Definition, r *Relation, tree *syntax.Relation) {
		if len(tree.Types) > formsMax {
			c.mustStayWithinBounds(tree.Types[formsMax].At, fmt.Sprintf("relation %q allows %d forms of subjects", r.Name, len(tree.Types)),
				fmt.Sprintf("a relation allows at most %d", formsMax))
			return
		}
		for _, t := range tree.Types {
			if t.Caveat != nil {
				c.notInThisRelease(t.Caveat.At, "with "+t.Caveat.Text, "leave the caveat out")
			}
			if t.Expiration {
				c.notInThisRelease(t.At, "with expiration", "leave the expiration out")
			}
			target := c.schema.byType[rel.ObjectType(t.Type.Text)]
			if target == nil {
				c.subjectTypeMustExist(t.Type.At, t.Type.Text, c.schema)
				continue
			}
			form := Form{Type: target.Type, Wildcard: t.Wildcard}
			if t.Relation != nil {
				form.Relation = rel.Name(t.Relation.Text)
				if target.byName[form.Relation] == nil {
					c.subjectRelationMustExist(t.Relation.At, t.Relation.Text, target)
					continue
				}
			}
			if slices.Contains(r.Forms, form) {
				c.formMustBeUnique(t.At, form, string(r.Name))
				continue
			}
			r.Forms = append(r.Forms, form)
		}
	})
}

// resolveClauses reads multiplicities, `of`, `one per subject with` and `within`.
func (c *compiler) resolveClauses() {
	c.schema.spreading = make(map[rel.ObjectType][]*Relation)
	c.eachRelation(func(d *Definition, r *Relation, tree *syntax.Relation) {
		if m := tree.Multiplicity; m != nil {
			c.resolveMultiplicity(d, r, tree)
		}
		if tree.OnePerWith != nil {
			if with := c.storedRelation(d, *tree.OnePerWith, fault.ClauseMustFit, "one per subject with"); with != nil {
				r.With = with.Name
				for _, f := range with.Forms {
					if f.Relation == "" && !f.Wildcard {
						c.schema.spreading[f.Type] = append(c.schema.spreading[f.Type], r)
					}
				}
			}
		}
	})
	c.eachRelation(func(d *Definition, r *Relation, tree *syntax.Relation) {
		if tree.Of != nil { // after all multiplicities, since it compares two
			c.resolveOf(d, r, tree)
		}
	})
	for _, d := range c.schema.definitions {
		tree := c.trees[d]
		if len(tree.CreatedBys) > 0 {
			d.createdBy = syntax.Text(tree.CreatedBys[0].Expr)
		}
		for _, w := range tree.Withins {
			for _, name := range w.Rels {
				if r := c.storedRelation(d, name, fault.ClauseMustFit, "within"); r != nil {
					d.within = append(d.within, r.Name)
				}
			}
		}
		if len(tree.CreatedBys) > 1 {
			c.clauseMustFit(tree.CreatedBys[1].At, fmt.Sprintf("type %q says twice who creates it", d.Type), "join them with `+` in one `created by`")
		}
		if len(tree.Roles) > 0 {
			c.checkComputedRoles(tree.Roles[0])
		}
	}
}

// checkComputedRoles refuses clauses about stored tuples on roles that store none.
func (c *compiler) checkComputedRoles(block *syntax.Roles) {
	for _, r := range block.Roles {
		if len(r.Types) > 0 {
			continue
		}
		switch {
		case r.Multiplicity != nil:
			c.clauseNeedsTypes(r.Multiplicity.At, r.Name.Text, "a multiplicity")
		case r.Of != nil:
			c.clauseNeedsTypes(r.Of.At, r.Name.Text, "of")
		case r.OnePerWith != nil:
			c.clauseNeedsTypes(r.OnePerWith.At, r.Name.Text, "one per subject with")
		case r.Granted != nil:
			c.clauseNeedsTypes(r.Granted.At, r.Name.Text, "granted by")
		case r.Revoked != nil:
			c.clauseNeedsTypes(r.Revoked.At, r.Name.Text, "revoked by")
		}
	}
}

func (c *compiler) resolveMultiplicity(d *Definition, r *Relation, tree *syntax.Relation) {
	m := tree.Multiplicity
	r.Min, r.Max = m.Min, m.Max
	if m.Unbounded {
		r.Max = Unbounded
	}
	switch {
	case r.Max != Unbounded && r.Max < r.Min:
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q needs at least %d subjects and may have at most %d", r.Name, r.Min, r.Max),
			"write the smaller number first")
	case r.Max == 0:
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q may have no subject at all", r.Name), "raise the upper bound, or take the relation out")
	}
	if r.Min == 0 {
		return
	}
	concrete := false
	for _, f := range r.Forms {
		concrete = concrete || !f.Wildcard
	}
	if !concrete && len(r.Forms) == len(tree.Types) { // otherwise a form is the error
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q needs at least %d subjects, and allows wildcards alone, which do not count", r.Name, r.Min),
			"allow a type without `:*`, or let the multiplicity begin at 0")
	}
	d.lower = append(d.lower, r)
}

func (c *compiler) resolveOf(d *Definition, r *Relation, tree *syntax.Relation) {
	of := c.storedRelation(d, *tree.Of, fault.ClauseMustFit, "of")
	if of == nil {
		return
	}
	r.Of = of.Name
	if of == r {
		c.clauseMustFit(tree.Of.At, fmt.Sprintf("relation %q stands in itself, so `of` says nothing", r.Name), "name another relation")
		return
	}
	if of.Max != Unbounded && r.Min > of.Max {
		c.multiplicityMustBePossible(tree.Of.At, fmt.Sprintf("relation %q needs at least %d subjects, and %q, in which they must stand, may have at most %d", r.Name, r.Min, of.Name, of.Max),
			"lower the one bound or raise the other")
		return
	}
	common := slices.ContainsFunc(r.Forms, func(f Form) bool { return slices.Contains(of.Forms, f) })
	if !common && len(r.Forms) == len(tree.Types) && len(of.Forms) > 0 {
		c.clauseMustFit(tree.Of.At, fmt.Sprintf("relation %q and relation %q have no subject form in common, so nothing could ever be written to %q", r.Name, of.Name, r.Name),
			"let both allow the same type")
	}
}

// storedRelation is a name of d that tuples are written to; where it is none,
// that is reported and the answer is nil.
func (c *compiler) storedRelation(d *Definition, name syntax.Ident, code fault.Code, clause string) *Relation {
	n := d.byName[rel.Name(name.Text)]
	if n != nil && n.Relation != nil {
		return n.Relation
	}
	var kind Kind
	if n != nil {
		kind = n.Kind
	}
	c.mustBeRelation(name.At, code, d, clause, name.Text, kind)
	return nil
}

// typesBehind are the types that an arrow from this relation can lead to. The
// relation of a userset is left aside, and a wildcard leads nowhere.
func typesBehind(r *Relation) []rel.ObjectType {
	var types []rel.ObjectType
	seen := make(map[rel.ObjectType]bool)
	for _, f := range r.Forms {
		if !f.Wildcard && !seen[f.Type] {
			seen[f.Type] = true
			types = append(types, f.Type)
		}
	}
	return types
}

func texts[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}
