package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/rel"
)

// An Element is a kind of thing in which two schemas can differ.
type Element uint8

const (
	_ Element = iota
	ElementDefinition
	ElementRelation
	ElementPermission
	ElementRole
	ElementLadder
	ElementAllowedSubject
	ElementRoleExpression
	ElementMultiplicity
	ElementOnePerSubject
	ElementSubjectsOf
	ElementGrantedBy
	ElementRevokedBy
	ElementCreatedBy
	ElementWithin
	ElementRolesExcept
	ElementRolesInherited
	ElementCaveat
	ElementCaveatParameter
	ElementDoc
)

// A Difference is one thing that two schemas do not have alike. An empty Before
// says that it was added, an empty After that it was removed.
type Difference struct {
	Element       Element
	Definition    rel.ObjectType // or a caveat
	Name          rel.Name       // or a parameter; empty where it belongs to the whole of it
	Before, After string         // as it is written in either schema
}

// Diff is how a schema differs from the one before it, in the order of the new
// schema's text, with what was removed after it; definitions first, then caveats.
// A nil schema has nothing. Comments that are no doc comments, and layout, make no
// difference.
func Diff(before, after *Schema) []Difference {
	var all differences
	old := func(typ rel.ObjectType) *Definition {
		if before == nil {
			return nil
		}
		return before.byType[typ]
	}
	if after != nil {
		for _, d := range after.definitions {
			all.definition(old(d.Type), d)
		}
	}
	if before != nil {
		for _, d := range before.definitions {
			if after == nil || after.byType[d.Type] == nil {
				all.definition(d, nil)
			}
		}
	}
	all.caveats(before, after)
	return all.list
}

type differences struct {
	list       []Difference
	definedAs  rel.ObjectType
	nameInside rel.Name
}

func (all *differences) add(e Element, before, after string) {
	if before != after {
		all.list = append(all.list, Difference{e, all.definedAs, all.nameInside, before, after})
	}
}

// definition compares two definitions of one type; either may be nil.
func (all *differences) definition(a, b *Definition) {
	none := &Definition{}
	switch {
	case a == nil:
		all.definedAs = b.Type
		all.nameInside = ""
		all.add(ElementDefinition, "", "definition "+string(b.Type))
		a = none
	case b == nil:
		all.definedAs = a.Type
		all.nameInside = ""
		all.add(ElementDefinition, "definition "+string(a.Type), "")
		b = none
	default:
		all.definedAs = b.Type
		all.nameInside = ""
	}
	all.add(ElementDoc, a.Doc, b.Doc)
	all.add(ElementWithin, names(a.within), names(b.within))
	all.add(ElementCreatedBy, a.createdBy.String(), b.createdBy.String())
	if len(a.ladder) > 0 && len(b.ladder) > 0 { // otherwise its roles were added or removed
		all.add(ElementLadder, ladder(a), ladder(b))
	}
	all.add(ElementOnePerSubject, onePer(a), onePer(b))
	all.add(ElementRolesExcept, a.except, b.except)
	all.add(ElementRolesInherited, names(a.inherits), names(b.inherits))
	for _, n := range b.names {
		all.name(a.byName[n.Name], n)
	}
	for _, n := range a.names {
		if b.byName[n.Name] == nil {
			all.name(n, nil)
		}
	}
}

// name compares two names of a definition; either may be nil. A name that became
// another kind was removed and added.
func (all *differences) name(a, b *Declared) {
	if a != nil && b != nil && a.Kind != b.Kind {
		all.name(a, nil)
		all.name(nil, b)
		return
	}
	none := &Declared{}
	var kind Kind
	switch {
	case a == nil:
		all.nameInside, kind = b.Name, b.Kind
		a = none
	case b == nil:
		all.nameInside, kind = a.Name, a.Kind
		b = none
	default:
		all.nameInside, kind = b.Name, b.Kind
	}
	all.add(elementOf[kind], a.written(), b.written())
	all.add(ElementDoc, a.Doc, b.Doc)
	if kind == KindRole {
		all.add(ElementRoleExpression, a.Text, b.Text)
	}
	all.stored(a.Relation, b.Relation)
}

var elementOf = map[Kind]Element{
	KindRelation:   ElementRelation,
	KindPermission: ElementPermission,
	KindRole:       ElementRole,
}

// written is a name as its own element shows it: a permission with its types and
// its expression, which is all it has; of the others what they are made of are
// elements of their own.
func (n *Declared) written() string {
	switch n.Kind {
	case 0:
		return ""
	case KindPermission:
		if len(n.Types) > 0 {
			return fmt.Sprintf("permission %s: %s = %s", n.Name, strings.Join(texts(n.Types), " | "), n.Text)
		}
		return fmt.Sprintf("permission %s = %s", n.Name, n.Text)
	default:
		return fmt.Sprintf("%s %s", n.Kind, n.Name)
	}
}

// stored compares what is stored under a name; either may be nil.
func (all *differences) stored(a, b *Relation) {
	none := &Relation{Max: Unbounded}
	if a == nil {
		a = none
	}
	if b == nil {
		b = none
	}
	for _, f := range b.Forms {
		if !slices.Contains(a.Forms, f) {
			all.add(ElementAllowedSubject, "", f.String())
		}
	}
	for _, f := range a.Forms {
		if !slices.Contains(b.Forms, f) {
			all.add(ElementAllowedSubject, f.String(), "")
		}
	}
	all.add(ElementMultiplicity, a.multiplicity(), b.multiplicity())
	all.add(ElementSubjectsOf, string(a.Of), string(b.Of))
	all.add(ElementOnePerSubject, string(a.With), string(b.With))
	all.add(ElementGrantedBy, a.GrantedBy.String(), b.GrantedBy.String())
	all.add(ElementRevokedBy, a.RevokedBy.String(), b.RevokedBy.String())
}

// multiplicity is how many subjects are allowed, empty where any number is.
func (r *Relation) multiplicity() string {
	switch {
	case r.Max == Unbounded && r.Min == 0:
		return ""
	case r.Max == Unbounded:
		return fmt.Sprintf("[%d..*]", r.Min)
	case r.Min == r.Max:
		return fmt.Sprintf("[%d]", r.Min)
	default:
		return fmt.Sprintf("[%d..%d]", r.Min, r.Max)
	}
}

func names(list []rel.Name) string { return strings.Join(texts(list), ", ") }

func ladder(d *Definition) string {
	var roles []string
	for _, n := range d.ladder {
		roles = append(roles, string(n.Name))
	}
	return strings.Join(roles, " < ")
}

func onePer(d *Definition) string {
	if d.onePer {
		return "roles one per subject"
	}
	return ""
}
