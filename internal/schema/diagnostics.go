package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

const (
	// diagnosticsMax bounds how many errors one compilation reports: a text that
	// is no schema at all should not fill a screen, or a response.
	diagnosticsMax = 100
	// collectedMax bounds how many are kept until the first of them in source
	// order are known.
	collectedMax = 10_000
)

// diagnostics collects what is wrong, and holds every sentence the compiler can say.
type diagnostics struct {
	errors, warnings []*fault.Fault
	// remedies are worked out for those errors alone that are reported: to look
	// through all names of a type for each of a thousand misspelt ones takes
	// longer than anybody waits.
	remedies map[*fault.Fault]func() string
	// where is a line as it is called in a sentence; nil for "line 4".
	where func(line int) string
}

// onLine is a place inside a sentence.
func (d *diagnostics) onLine(at syntax.Pos) string {
	if d.where == nil {
		return fmt.Sprintf("on line %d", at.Line)
	}
	return "on " + d.where(at.Line)
}

func (d *diagnostics) report(at syntax.Pos, f *fault.Fault) {
	if len(d.errors) < collectedMax {
		d.errors = append(d.errors, f.At(at.Line, at.Column))
	}
}

// reportWith reports an error whose remedy is costly to find.
func (d *diagnostics) reportWith(at syntax.Pos, f *fault.Fault, remedy func() string) {
	if d.remedies == nil {
		d.remedies = make(map[*fault.Fault]func() string)
	}
	d.remedies[f] = remedy
	d.report(at, f)
}

// found is what is wrong, as it is reported; the errors are in order.
func (d *diagnostics) found() []*fault.Fault {
	faults := clipped(d.errors)
	for _, f := range faults {
		if remedy := d.remedies[f]; remedy != nil {
			f.Do("%s", remedy())
		}
	}
	return faults
}

func (d *diagnostics) warn(at syntax.Pos, f *fault.Fault) {
	d.warnings = append(d.warnings, f.At(at.Line, at.Column))
}

// inOrder sorts faults by their place.
func inOrder(faults []*fault.Fault) []*fault.Fault {
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return faults
}

// clipped is the first diagnosticsMax of them.
func clipped(faults []*fault.Fault) []*fault.Fault {
	return faults[:min(len(faults), diagnosticsMax)]
}

func (d *diagnostics) definitionMustBeUnique(at syntax.Pos, typ string, first syntax.Pos) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "type %q is defined twice; first %s", typ, d.onLine(first)).
		Do("rename one of them, or join their members in one definition"))
}

func (d *diagnostics) nameMustBeUnique(at syntax.Pos, typ rel.ObjectType, name, where string) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "type %q declares %q twice; %s", typ, name, where).
		Do("a relation, a permission and a role of one type need different names; rename one of them"))
}

func (d *diagnostics) nameMustBeValid(at syntax.Pos, err error) {
	if f := fault.Of(err); f != nil {
		d.report(at, f)
	}
}

func (d *diagnostics) nameMustNotBeReserved(at syntax.Pos, name, why string) {
	d.report(at, fault.Newf(fault.NameMustNotBeReserved, "%q cannot be declared: %s", name, why).
		Do("choose another name"))
}

// nameMustExist is reported for a name used but not declared in any of the types.
// The remedy offers the nearest declared name, and stays silent rather than
// guess badly; never the name whose own expression it stands in.
func (d *diagnostics) nameMustExist(at syntax.Pos, name string, inside rel.Name, in ...*Definition) {
	f := fault.Newf(fault.NameMustExist, "type %q has no relation, permission or role %q", in[0].Type, name)
	d.reportWith(at, f, func() string {
		var declared []string
		for _, x := range in {
			declared = append(declared, x.declaredNames()...)
		}
		others := slices.DeleteFunc(slices.Clone(declared), func(n string) bool { return n == string(inside) })
		if near := fault.Nearest(name, others); near != "" {
			return fmt.Sprintf("did you mean %q? otherwise declare `relation %s` in type %s", near, name, in[0].Type)
		}
		if len(declared) == 0 {
			return fmt.Sprintf("declare `relation %s` in type %s; it has no names yet", name, in[0].Type)
		}
		return fmt.Sprintf("declare `relation %s` in type %s; it has %s", name, in[0].Type, fault.List(declared, 5))
	})
}

func (d *diagnostics) subjectTypeMustExist(at syntax.Pos, typ string, s *Schema) {
	f := fault.Newf(fault.SubjectTypeMustExist, "type %q is not defined", typ)
	d.reportWith(at, f, func() string {
		defined := s.definedTypes()
		if near := fault.Nearest(typ, defined); near != "" {
			return fmt.Sprintf("did you mean %q? otherwise add `definition %s {}`", near, typ)
		}
		return fmt.Sprintf("add `definition %s {}`; the schema defines %s", typ, fault.List(defined, 5))
	})
}

func (d *diagnostics) subjectRelationMustExist(at syntax.Pos, name string, in *Definition) {
	f := fault.Newf(fault.SubjectRelationMustExist, "type %q has no relation, permission or role %q", in.Type, name)
	d.reportWith(at, f, func() string {
		declared := in.declaredNames()
		if near := fault.Nearest(name, declared); near != "" {
			return fmt.Sprintf("did you mean `%s#%s`?", in.Type, near)
		}
		if len(declared) == 0 {
			return fmt.Sprintf("declare %q in type %s; it has no names yet", name, in.Type)
		}
		return fmt.Sprintf("declare %q in type %s; it has %s", name, in.Type, fault.List(declared, 5))
	})
}

func (d *diagnostics) formMustBeUnique(at syntax.Pos, form Form, relation string) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "relation %q allows %s twice", relation, form).Do("leave one of them out"))
}

func (d *diagnostics) mustBeRelation(at syntax.Pos, code fault.Code, in *Definition, clause, name string, kind Kind) {
	what := "is not declared"
	switch kind {
	case KindPermission:
		what = "is a permission"
	case KindRole:
		what = "is a role that nothing can be written to"
	}
	f := fault.Newf(code, "%s needs a relation of type %q, and %q %s", clause, in.Type, name, what)
	d.reportWith(at, f, func() string {
		var relations []string
		for _, r := range in.relations {
			relations = append(relations, string(r.Name))
		}
		if near := fault.Nearest(name, relations); near != "" && kind == 0 {
			return fmt.Sprintf("did you mean %q?", near)
		}
		switch {
		case name == "subject" && kind == 0:
			return "`subject->NAME` stands in `granted by` and `revoked by` alone"
		case len(relations) == 0:
			return fmt.Sprintf("declare a relation in type %s; it has none", in.Type)
		}
		return "name one of its relations: " + fault.List(relations, 5)
	})
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

func (d *diagnostics) arrowGoesOverWildcards(at syntax.Pos, label string, over rel.Name) {
	d.warn(at, fault.Newf(fault.ArrowTargetMustExist, "%s can never hold: relation %q allows wildcards alone, and a wildcard leads nowhere", label, over).
		Do("allow a type by itself, or take the arrow out"))
}

func (d *diagnostics) operatorsAreMixed(at syntax.Pos, outer, inner syntax.Op) {
	d.warn(at, fault.Newf(fault.OperatorsShouldBeParenthesised, "%q and %q stand beside each other without parentheses; %q binds tighter", string(inner), string(outer), string(inner)).
		Do("put parentheses around what belongs together"))
}

func (d *diagnostics) rolesMustStandTogether(at syntax.Pos, typ rel.ObjectType, where string) {
	d.report(at, fault.Newf(fault.RolesMustStandTogether, "type %q has two roles blocks; %s", typ, where).
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

func (d *diagnostics) schemaMustBeOneText(at syntax.Pos, path string) {
	d.report(at, fault.Newf(fault.SchemaMustBeOneText, "the text imports %q, and only files can import files", path).
		Do("write the file with `pemba schema write FILE`, or join it with `pemba schema compile FILE`"))
}

// Partials.

func (d *diagnostics) partialMustBeUnique(at syntax.Pos, name string, first syntax.Pos) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "partial %q is declared twice; first %s", name, d.onLine(first)).
		Do("rename one of them, or join their members in one partial"))
}

func (d *diagnostics) partialMustExist(at syntax.Pos, name, inside string, file *syntax.File) {
	f := fault.Newf(fault.PartialMustExist, "there is no partial %q", name)
	d.reportWith(at, f, func() string {
		var declared, others []string
		for _, p := range file.Partials {
			declared = append(declared, p.Name.Text)
			if p.Name.Text != inside {
				others = append(others, p.Name.Text)
			}
		}
		if slices.ContainsFunc(file.Definitions, func(x *syntax.Definition) bool { return x.Name.Text == name }) {
			return fmt.Sprintf("%s is a definition, and only a partial can be included: move what both need into a partial", name)
		}
		if near := fault.Nearest(name, others); near != "" {
			return fmt.Sprintf("did you mean `...%s`? otherwise add `partial %s { }`", near, name)
		}
		if len(declared) == 0 {
			return fmt.Sprintf("add `partial %s { }`", name)
		}
		return fmt.Sprintf("add `partial %s { }`; the schema has %s", name, fault.List(declared, 5))
	})
}

func (d *diagnostics) partialMustComeOnce(at syntax.Pos, name, typ string, first *syntax.Include) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "partial %q comes into %q twice; first through `...%s` %s", name, typ, first.Name.Text, d.onLine(first.At)).
		Do("take one of the includes out"))
}

// includesMustNotCircle is for partials and for files.
func (d *diagnostics) includesMustNotCircle(at syntax.Pos, what string, circle []string) {
	d.report(at, includesMustNotCircle(what, circle))
}

func includesMustNotCircle(what string, circle []string) *fault.Fault {
	return fault.Newf(fault.IncludesMustNotCircle, "%s %q includes itself: %s", what, circle[0], strings.Join(circle, " -> ")).
		Do("take one of them out of the circle; move what several need to a place of its own")
}

func (d *diagnostics) partialIsUnused(at syntax.Pos, name string) {
	d.warn(at, fault.Newf(fault.PartialShouldBeUsed, "no definition includes partial %q, so what it holds is not looked at", name).
		Do("write `...%s` where it belongs, or take it out", name))
}

// Type annotations.

func (d *diagnostics) annotationMustFit(at syntax.Pos, p place, typ rel.ObjectType, way []string) {
	d.report(at, fault.Newf(fault.TypeAnnotationMustFit, "%s can be held by %q, which its types leave out; it comes in by %s", p, typ, strings.Join(way, " -> ")).
		Do("add `| %s` to the types, or take what lets it in out of the expression", typ))
}

func (d *diagnostics) annotatedTypeMustBeUnique(at syntax.Pos, typ, permission string) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "the types of permission %q name %s twice", permission, typ).Do("leave one of them out"))
}

func (d *diagnostics) annotationIsNotChecked(at syntax.Pos, permission string) {
	d.warn(at, fault.Newf(fault.TypeAnnotationMustFit, "the types of permission %q are not checked", permission).
		Do("add `use typechecking` at the top, or leave the types out"))
}

// What compiles, and is probably not meant.

func (d *diagnostics) caveatIsUnused(at syntax.Pos, name string) {
	d.warn(at, fault.Newf(fault.CaveatShouldBeUsed, "no relation allows a subject with caveat %q", name).
		Do("write `TYPE with %s` where it belongs, or take it out", name))
}

func (d *diagnostics) relationIsUnread(at syntax.Pos, typ rel.ObjectType, name rel.Name) {
	d.warn(at, fault.Newf(fault.NameShouldBeRead, "nothing reads relation %q of type %q, so it gives and takes nothing", name, typ).
		Do("name it in a permission or a role, or take it out; a note that applications read gets a `granted by`"))
}

func (d *diagnostics) nobodyCanHold(at syntax.Pos, p place, circle []string) {
	f := fault.Newf(fault.NameShouldBeHoldable, "nobody can ever hold %s: it takes away all that it gives", p).
		Do("correct the expression; `nil` says on purpose that nobody holds it")
	if circle != nil {
		f.Summary = fmt.Sprintf("nobody can ever hold %s: it is found through itself alone: %s", p, strings.Join(circle, " -> "))
		f.Do("add what it begins with, a relation for example; `nil` says on purpose that nobody holds it")
	}
	d.warn(at, f)
}

func (d *diagnostics) linkShouldBeGuarded(at syntax.Pos, typ rel.ObjectType, name rel.Name, rule string) {
	d.warn(at, fault.Newf(fault.LinkShouldBeGuarded,
		"relation %q of type %q gives access over an arrow, and %s alone can take it away, with no right on the %s itself", name, typ, rule, typ).
		Do("join a right on the object: `revoked by NAME & %s`", rule))
}

func (d *diagnostics) lowerRoleShouldNotGrant(at syntax.Pos, lower, higher rel.Name, r *Relation) {
	f := fault.Newf(fault.LowerRoleShouldNotGrant, "%q is enough to make anybody %q, which is the higher role", lower, higher)
	if r.Rank == NoRank {
		f.Summary = fmt.Sprintf("%q is enough to write relation %q, which makes its subjects %q, the higher role", lower, r.Name, higher)
	}
	d.warn(at, f.Do("ask for %q or more: `granted by %s`", higher, higher))
}

func (s *Schema) typeMustExist(typ rel.ObjectType) error {
	defined := s.definedTypes()
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

func (s *Schema) definedTypes() []string {
	defined := make([]string, len(s.definitions))
	for i, d := range s.definitions {
		defined[i] = string(d.Type)
	}
	return defined
}

func (d *Definition) declaredNames() []string {
	var names []string
	for _, n := range d.names {
		names = append(names, string(n.Name))
	}
	return names
}
