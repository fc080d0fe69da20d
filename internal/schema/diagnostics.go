package schema

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// diagnosticsMax bounds how many errors one compilation reports: a text that is
// no schema at all should not fill a screen, or a response.
const diagnosticsMax = 100

// diagnostics collects what is wrong, and holds every sentence the compiler can say.
type diagnostics struct {
	errors, warnings []*fault.Fault
}

func (d *diagnostics) report(at syntax.Pos, f *fault.Fault) {
	d.errors = append(d.errors, f.At(at.Line, at.Column))
}

func (d *diagnostics) warn(at syntax.Pos, f *fault.Fault) {
	d.warnings = append(d.warnings, f.At(at.Line, at.Column))
}

// inOrder sorts faults by their place and keeps at most diagnosticsMax.
func inOrder(faults []*fault.Fault) []*fault.Fault {
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if len(faults) > diagnosticsMax {
		faults = faults[:diagnosticsMax]
	}
	return faults
}

func (d *diagnostics) notInThisRelease(at syntax.Pos, what, instead string) {
	d.report(at, fault.Newf(fault.NotInThisRelease, "%s: this release does not have that part of the language", what).Do("%s", instead))
}

func (d *diagnostics) definitionMustBeUnique(at syntax.Pos, typ string, first syntax.Pos) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "type %q is defined twice; first on line %d", typ, first.Line).
		Do("rename one of them, or join their members in one definition"))
}

func (d *diagnostics) nameMustBeUnique(at syntax.Pos, typ rel.ObjectType, name string, first syntax.Pos) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "type %q declares %q twice; first on line %d", typ, name, first.Line).
		Do("a relation, a permission and a role of one type need different names; rename one of them"))
}

func (d *diagnostics) nameMustBeValid(at syntax.Pos, err error) {
	if f := fault.Of(err); f != nil {
		d.report(at, f)
	}
}

func (d *diagnostics) nameMustNotBeReserved(at syntax.Pos, name string) {
	d.report(at, fault.Newf(fault.NameMustNotBeReserved, "%q is a word of the language in every expression, and nothing could refer to this name", name).
		Do("choose another name"))
}

func (d *diagnostics) nameMustExist(at syntax.Pos, typ rel.ObjectType, name string, declared []string) {
	f := fault.Newf(fault.NameMustExist, "type %q has no relation, permission or role %q", typ, name)
	if near := fault.Nearest(name, declared); near != "" {
		f.Do("did you mean %q? otherwise declare `relation %s` in type %s", near, name, typ)
	} else {
		f.Do("declare `relation %s` in type %s; it has %s", name, typ, fault.List(declared, 5))
	}
	d.report(at, f)
}

func (d *diagnostics) subjectTypeMustExist(at syntax.Pos, typ string, defined []string) {
	f := fault.Newf(fault.SubjectTypeMustExist, "type %q is not defined", typ)
	if near := fault.Nearest(typ, defined); near != "" {
		f.Do("did you mean %q? otherwise add `definition %s {}`", near, typ)
	} else {
		f.Do("add `definition %s {}`; the schema defines %s", typ, fault.List(defined, 5))
	}
	d.report(at, f)
}

func (d *diagnostics) subjectRelationMustExist(at syntax.Pos, typ rel.ObjectType, name string, declared []string) {
	f := fault.Newf(fault.SubjectRelationMustExist, "type %q has no relation, permission or role %q", typ, name)
	if near := fault.Nearest(name, declared); near != "" {
		f.Do("did you mean `%s#%s`?", typ, near)
	} else {
		f.Do("declare %q in type %s; it has %s", name, typ, fault.List(declared, 5))
	}
	d.report(at, f)
}

func (d *diagnostics) formMustBeUnique(at syntax.Pos, form Form, relation string) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "relation %q allows %s twice", relation, form).Do("leave one of them out"))
}

func (d *diagnostics) mustBeRelation(at syntax.Pos, code fault.Code, typ rel.ObjectType, clause, name string, kind Kind, relations []string) {
	what := "is not declared"
	if kind == KindPermission {
		what = "is a permission"
	} else if kind == KindRole {
		what = "is a role that nothing can be written to"
	}
	f := fault.Newf(code, "%s needs a relation of type %q, and %q %s", clause, typ, name, what)
	if near := fault.Nearest(name, relations); near != "" && kind == 0 {
		f.Do("did you mean %q?", near)
	} else {
		f.Do("name one of its relations: %s", fault.List(relations, 5))
	}
	d.report(at, f)
}

func (d *diagnostics) inheritMustFind(at syntax.Pos, typ rel.ObjectType, relation string, behind []string) {
	d.report(at, fault.Newf(fault.ArrowTargetMustExist,
		"inherit from %s: no type behind it (%s) has a name of the ladder of %q", relation, fault.List(behind, 5), typ).
		Do("inherit from a relation whose types have roles of the same names, or take the line out"))
}

func (d *diagnostics) arrowFindsNothing(at syntax.Pos, label string, behind []string) {
	d.warn(at, fault.Newf(fault.ArrowTargetMustExist, "%s can never hold: none of the types behind the arrow (%s) has that name", label, fault.List(behind, 5)).
		Do("correct the name, or take the arrow out"))
}

func (d *diagnostics) operatorsAreMixed(at syntax.Pos, outer, inner syntax.Op) {
	d.warn(at, fault.Newf(fault.ClauseMustFit, "%q and %q stand beside each other without parentheses; %q binds tighter", string(inner), string(outer), string(inner)).
		Do("put parentheses around what belongs together"))
}

func (d *diagnostics) rolesMustStandTogether(at, first syntax.Pos, typ rel.ObjectType) {
	d.report(at, fault.Newf(fault.RolesMustStandTogether, "type %q has two roles blocks; the first is on line %d", typ, first.Line).
		Do("a type has one ladder; join the blocks, lowest role first"))
}

func (d *diagnostics) rolesMustNotBeEmpty(at syntax.Pos, typ rel.ObjectType) {
	d.report(at, fault.Newf(fault.RolesMustStandTogether, "the roles block of type %q has no role", typ).
		Do("list the roles from the lowest to the highest, or take the block out"))
}

func (d *diagnostics) roleMustHaveASource(at syntax.Pos, name string) {
	d.report(at, fault.Newf(fault.ClauseMustFit, "role %q has neither subject types nor an expression, and nobody could hold it", name).
		Do("write `%s: user`, `%s = EXPR`, or both", name, name))
}

func (d *diagnostics) clauseNeedsTypes(at syntax.Pos, name, clause string) {
	d.report(at, fault.Newf(fault.ClauseMustFit, "role %q has no subject types, so nothing is ever written to it and %s says nothing", name, clause).
		Do("add subject types, or take the clause out"))
}

func (d *diagnostics) clauseMustFit(at syntax.Pos, summary, remedy string) {
	d.report(at, fault.New(fault.ClauseMustFit, summary).Do("%s", remedy))
}

func (d *diagnostics) multiplicityMustBePossible(at syntax.Pos, summary, remedy string) {
	d.report(at, fault.New(fault.MultiplicityMustBePossible, summary).Do("%s", remedy))
}

func (d *diagnostics) mustStayWithinBounds(at syntax.Pos, summary, remedy string) {
	d.report(at, fault.New(fault.SchemaMustStayWithinBounds, summary).Do("%s", remedy))
}

func (d *diagnostics) schemaMustBeStratified(at syntax.Pos, cycle []string) {
	d.report(at, fault.Newf(fault.SchemaMustBeStratified, "%s depends on itself through the right side of an exclusion: %s", cycle[0], strings.Join(cycle, " -> ")).
		Do("whoever it excludes must be found without asking it again; name the excluded ones in a relation of their own"))
}

func (s *Schema) typeMustExist(typ rel.ObjectType) error {
	var defined []string
	for _, d := range s.definitions {
		defined = append(defined, string(d.Type))
	}
	f := fault.Newf(fault.TypeMustExist, "the schema has no type %q", typ).With("type", string(typ))
	if near := fault.Nearest(string(typ), defined); near != "" {
		return f.Do("did you mean %q?", near)
	}
	return f.Do("use one of its types: %s", fault.List(defined, 8))
}

func (d *Definition) nameMustExist(name rel.Name) error {
	declared := d.declaredNames()
	f := fault.Newf(fault.NameMustExist, "type %q has no relation, permission or role %q", d.Type, name).
		With("type", string(d.Type)).With("name", string(name))
	if near := fault.Nearest(string(name), declared); near != "" {
		return f.Do("did you mean %q?", near)
	}
	return f.Do("use one of its names: %s", fault.List(declared, 8))
}

func (d *Definition) declaredNames() []string {
	var names []string
	for _, n := range d.names {
		names = append(names, string(n.Name))
	}
	return names
}
