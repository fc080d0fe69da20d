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
	c, faults := compile(text, nil)
	if len(faults) > 0 {
		return nil, faults
	}
	return c.schema, nil
}

// compile is Compile that leaves the compiler, with its trees, to whoever looks
// for more in them. The sentences place what they speak of by where; nil is by
// its line.
func compile(text string, where func(line int) string) (*compiler, []*fault.Fault) {
	file, faults := syntax.Parse(text)
	if len(faults) > 0 {
		return nil, inOrder(faults)
	}
	c := &compiler{
		diagnostics: diagnostics{where: where},
		file:        file,
		schema:      &Schema{text: text, byType: make(map[rel.ObjectType]*Definition)},
		trees:       make(map[*Definition]*syntax.Definition),
		stored:      make(map[*syntax.Relation]*Relation),
	}
	for _, x := range file.Imports {
		c.schemaMustBeOneText(x.At, x.Path)
	}
	c.readPartials()
	c.declare()
	c.compileCaveats()
	// What lies beyond a bound is not looked at, and would be missed elsewhere.
	if !c.tooLarge {
		c.resolveForms()
		c.resolveClauses()
		c.buildSlots()
	}
	if !c.tooLarge {
		c.findTakersAway()
		c.compileRules()
	}
	if !c.tooLarge {
		c.stratify()
		c.checkAnnotations()
	}
	if len(c.errors) > 0 {
		c.errors = c.onceInPartials(inOrder(c.errors))
		return nil, c.found()
	}
	c.lookForWhatIsNotMeant()
	c.schema.warnings = clipped(c.onceInPartials(inOrder(c.warnings)))
	return c, nil
}

// A compiler carries one text through the passes of Compile. Each pass goes on
// over what it could not make sense of, so that one run finds all errors.
type compiler struct {
	diagnostics
	file     *syntax.File
	schema   *Schema
	partials partials
	trees    map[*Definition]*syntax.Definition // with the members of their partials
	stored   map[*syntax.Relation]*Relation
	arrows   map[arrowKey]Slot

	tooLarge bool // a bound on the schema's size is broken
	steps    int  // that arrows take, see stepsMax
	expanded int  // bytes that partials put into definitions
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
		c.trees[d] = c.expand(tree)
		c.declareNames(d, c.trees[d])
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
			place, where := c.declaredTwice(tree, at, name.At)
			c.nameMustBeUnique(place, d.Type, name.Text, where)
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
			place, where := c.declaredTwice(tree, tree.Roles[0].At, block.At)
			c.rolesMustStandTogether(place, d.Type, where)
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
			known := c.hasCaveat(t.Caveat)
			target := c.schema.byType[rel.ObjectType(t.Type.Text)]
			if target == nil {
				c.subjectTypeMustExist(t.Type.At, t.Type.Text, c.schema)
				continue
			}
			form := Form{Type: target.Type, Wildcard: t.Wildcard, Expiration: t.Expiration}
			if t.Caveat != nil {
				form.Caveat = rel.CaveatName(t.Caveat.Text)
			}
			if t.Relation != nil {
				form.Relation = rel.Name(t.Relation.Text)
				if target.byName[form.Relation] == nil {
					c.subjectRelationMustExist(t.Relation.At, t.Relation.Text, target)
					continue
				}
			}
			if !known {
				continue
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
			c.resolveOnePer(d, r, tree)
		}
	})
	c.eachRelation(func(d *Definition, r *Relation, tree *syntax.Relation) {
		if tree.Of != nil { // after all multiplicities, since it compares two
			c.resolveOf(d, r, tree)
		}
	})
	for _, d := range c.schema.definitions {
		tree := c.trees[d]
		c.resolveWithin(d, tree)
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
		if r.Multiplicity != nil {
			c.clauseNeedsTypes(r.Multiplicity.At, r.Name.Text, "a multiplicity")
		}
		if r.Of != nil {
			c.clauseNeedsTypes(r.Of.At, r.Name.Text, "of")
		}
		if r.OnePerWith != nil {
			c.clauseNeedsTypes(r.OnePerWith.At, r.Name.Text, "one per subject with")
		}
		if r.Granted != nil {
			c.clauseNeedsTypes(r.Granted.At, r.Name.Text, "granted by")
		}
		if r.Revoked != nil {
			c.clauseNeedsTypes(r.Revoked.At, r.Name.Text, "revoked by")
		}
	}
}

func (c *compiler) resolveOnePer(d *Definition, r *Relation, tree *syntax.Relation) {
	with := c.storedRelation(d, *tree.OnePerWith, fault.ClauseMustFit, "one per subject with")
	if with == nil {
		return
	}
	r.With = with.Name
	if with == r {
		c.clauseMustFit(tree.OnePerWith.At, fmt.Sprintf("relation %q is to be spread over what it points to itself", r.Name), "name the relation that leads to the other objects")
		return
	}
	leads := false
	for _, f := range with.Forms {
		if f.Relation == "" && !f.Wildcard {
			leads = true
			c.schema.spreading[f.Type] = append(c.schema.spreading[f.Type], r)
		}
	}
	if !leads && len(with.Forms) > 0 {
		c.clauseMustFit(tree.OnePerWith.At, fmt.Sprintf("relation %q leads to no object: it allows usersets and wildcards alone", with.Name), "name a relation that allows a type by itself")
	}
}

func (c *compiler) resolveWithin(d *Definition, tree *syntax.Definition) {
	for _, w := range tree.Withins {
		for _, name := range w.Rels {
			r := c.storedRelation(d, name, fault.ClauseMustFit, "within")
			switch {
			case r == nil:
			case slices.Contains(d.within, r.Name):
				c.clauseMustFit(name.At, fmt.Sprintf("type %q is within %q twice", d.Type, r.Name), "name it once")
			case len(typesBehind(r)) == 0 && len(r.Forms) > 0:
				c.clauseMustFit(name.At, fmt.Sprintf("nothing is within %q: it allows wildcards alone", r.Name), "name a relation that points to objects")
			default:
				d.within = append(d.within, r.Name)
			}
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
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q needs at least %s and may have at most %d", r.Name, fault.Counted(r.Min, "subject"), r.Max),
			"write the smaller number first")
	case r.Max == 0:
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q may have no subject at all", r.Name), "raise the upper bound, or take the relation out")
	}
	if r.Min == 0 {
		return
	}
	counted := slices.ContainsFunc(r.Forms, func(f Form) bool { return !f.Wildcard && f.Always() })
	if !counted && len(r.Forms) == len(tree.Types) { // otherwise a form is the error
		c.multiplicityMustBePossible(m.At, fmt.Sprintf("relation %q needs at least %s, and allows none that counts: wildcards do not, nor do tuples with a caveat or an expiration", r.Name, fault.Counted(r.Min, "subject")),
			"allow a type without `:*`, a caveat or an expiration, or let the multiplicity begin at 0")
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
		c.multiplicityMustBePossible(tree.Of.At, fmt.Sprintf("relation %q needs at least %s, and %q, in which they must stand, may have at most %d", r.Name, fault.Counted(r.Min, "subject"), of.Name, of.Max),
			"lower the one bound or raise the other")
		return
	}
	common := slices.ContainsFunc(r.Forms, func(f Form) bool {
		return slices.ContainsFunc(of.Forms, func(g Form) bool { return f.Subject() == g.Subject() })
	})
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
