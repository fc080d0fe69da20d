package oracle

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/rel"
)

// What a list must be is what asking for everything one by one comes to: for every
// object that stands anywhere, or for every subject that does. sources.go says what
// a source of a listed subject may be.

// Listed is what a list says of one of its entries.
type Listed struct {
	Result                Truth
	Role, ConditionalRole rel.Name
}

// listed is what the principal has on an object, with a result for what was asked.
func (a *Access) listed(o rel.Object, result Truth) Listed {
	return Listed{result, a.Role(o), a.ConditionalRole(o)}
}

// An ObjectsQuestion asks for the objects of a type on which a principal holds a name.
type ObjectsQuestion struct {
	Type        rel.ObjectType
	Name        rel.Name
	Within      rel.Object // zero: anywhere
	MinRole     rel.Name   // empty: whatever the role
	IDPrefix    string
	Conditional bool // whether what hangs on a condition is listed, too
}

// Objects are the objects that a question asks for. On an object that stands nowhere
// nobody holds anything, so those that do are all.
func (a *Access) Objects(q ObjectsQuestion) map[rel.Object]Listed {
	var contained []rel.Object
	if !q.Within.IsZero() {
		contained = a.oracle.contained(q.Within)
	}
	list := map[rel.Object]Listed{}
	for _, o := range a.Known() {
		if o.Type() != q.Type || !strings.HasPrefix(o.ID(), q.IDPrefix) ||
			!q.Within.IsZero() && !slices.Contains(contained, o) {
			continue
		}
		result := a.Result(o, q.Name)
		if q.MinRole != "" {
			result = min(result, a.atLeast(o, q.MinRole))
		}
		if result >= least(q.Conditional) {
			list[o] = a.listed(o, result)
		}
	}
	return list
}

// least is how much must be held for a list to tell of it.
func least(conditional bool) Truth {
	if conditional {
		return Conditional
	}
	return Yes
}

// atLeast is whether the effective role is this one or a higher one. That is not
// whether this role is held: who is the userset of a higher role holds that, and may
// be excluded from every other.
func (a *Access) atLeast(o rel.Object, role rel.Name) Truth {
	ladder := a.oracle.schema.definitions[o.Type()].ladder
	v := No
	for _, r := range ladder[slices.Index(ladder, role):] {
		v = max(v, a.Result(o, r))
	}
	return v
}

// contained are the objects inside an object, at any depth. The object itself is one
// only where it stands inside itself. As for revoke, it is the stored tuples that put
// an object inside another, whatever their caveats come to.
func (o *Oracle) contained(outer rel.Object) []rel.Object {
	around := o.inside(outer)
	return slices.DeleteFunc(slices.Clone(around), func(object rel.Object) bool {
		return object == outer && !slices.ContainsFunc(o.tuples, func(t rel.Tuple) bool {
			within := slices.Contains(o.schema.definitions[t.Object.Type()].within, t.Relation)
			named, ok := t.Subject.Object()
			return within && t.Object == outer && ok && !t.Subject.IsUserset() && slices.Contains(around, named)
		})
	})
}

// ObjectsOpen are the tuples that a conditional entry of a list of objects can hang
// on: those of the name, and of the roles from the least one on.
func (a *Access) ObjectsOpen(o rel.Object, q ObjectsQuestion) []Missing {
	open := a.Missing(o, q.Name)
	if q.MinRole != "" {
		ladder := a.oracle.schema.definitions[o.Type()].ladder
		for _, r := range ladder[slices.Index(ladder, q.MinRole):] {
			open = append(open, a.Missing(o, r)...)
		}
	}
	return open
}

// Everybody is what all subjects hold, each alone, in requests with one context.
type Everybody struct {
	oracle   *Oracle
	context  rel.Context
	verdicts map[rel.Key]verdict // no caveat asks who it is
	alone    map[rel.Subject]*Access
	apart    map[rel.Subject]*Access // see Apart
}

// Everybody begins with nobody: each subject is computed when it is asked for.
func (o *Oracle) Everybody(context rel.Context) *Everybody {
	return &Everybody{o, context, map[rel.Key]verdict{}, map[rel.Subject]*Access{}, map[rel.Subject]*Access{}}
}

// Alone is what a subject holds; for a wildcard, what somebody of the type holds who
// stands nowhere.
func (e *Everybody) Alone(s rel.Subject) *Access {
	if s.IsWildcard() {
		s = rel.Of(e.oracle.stranger(s.Type()))
	}
	if e.alone[s] == nil {
		principal, err := rel.NewPrincipal(s)
		if err != nil {
			panic("oracle: unreachable: a subject that is no principal: " + err.Error())
		}
		e.alone[s] = e.oracle.solved(principal, e.context, e.verdicts)
	}
	return e.alone[s]
}

// stranger is an object of a type that stands nowhere.
func (o *Oracle) stranger(typ rel.ObjectType) rel.Object {
	for id := "stranger"; ; id += "_" {
		if s := rel.Trusted(typ, id); !slices.Contains(o.objects, s) {
			return s
		}
	}
}

// Apart is what a subject certainly comes to without the wildcards of its type: these
// match nobody, but what is taken away stays taken away. It is never more than what
// the subject holds.
func (e *Everybody) Apart(s rel.Subject) *Access {
	if e.apart[s] == nil {
		apart := *e.Alone(s)
		apart.whole, apart.generous = e.Alone(s), nil
		apart.solve()
		e.apart[s] = &apart
	}
	return e.apart[s]
}

// A SubjectsQuestion asks for the subjects of a type that hold a name of an object.
type SubjectsQuestion struct {
	Object      rel.Object
	Name        rel.Name // empty: any role or permission
	Type        rel.ObjectType
	Relation    rel.Name // of usersets; empty: subjects without one, and wildcards
	Conditional bool
}

// Subjects are what a question asks for. The zero Listed of Wildcard is that not
// everybody is meant.
type Subjects struct {
	Wildcard   Listed
	Exceptions map[rel.Subject]Truth  // those of the type that have less than the wildcard
	Each       map[rel.Subject]Listed // all that hold it, whether by the wildcard or not
	// Own are those of Each that must have an entry of their own: they have something
	// else than the wildcard, or have it in another way, too.
	Own   map[rel.Subject]bool
	Asked int // how many subjects were asked for
}

// Subjects asks for every subject of the type that stands anywhere; the others have
// what the wildcard has. The object itself may stand nowhere, and yet hold its name.
func (e *Everybody) Subjects(q SubjectsQuestion) Subjects {
	list := Subjects{Exceptions: map[rel.Subject]Truth{}, Each: map[rel.Subject]Listed{}, Own: map[rel.Subject]bool{}}
	everybody := e.Alone(rel.Wildcard(q.Type))
	if v := everybody.best(q.Object, q.Name); q.Relation == "" && v >= least(q.Conditional) {
		list.Wildcard = everybody.listed(q.Object, v)
	}
	for _, o := range sorted(append(slices.Clone(e.oracle.objects), q.Object)) {
		if o.Type() != q.Type {
			continue
		}
		s := rel.Of(o)
		if q.Relation != "" {
			s = rel.Userset(o, q.Relation)
		}
		list.Asked++
		entry := e.Alone(s).listed(q.Object, e.Alone(s).best(q.Object, q.Name))
		if entry.Result < list.Wildcard.Result {
			list.Exceptions[s] = entry.Result
		}
		if entry.Result >= least(q.Conditional) {
			list.Each[s] = entry
			list.Own[s] = entry != list.Wildcard || e.Apart(s).best(q.Object, q.Name) == entry.Result
		}
	}
	return list
}

// best is the value of a name; without a name, the greatest of all roles and
// permissions.
func (a *Access) best(o rel.Object, name rel.Name) Truth {
	if name != "" {
		return a.Result(o, name)
	}
	v := No
	for _, each := range a.oracle.rolesAndPermissions(o.Type()) {
		v = max(v, a.Result(o, each))
	}
	return v
}

func (o *Oracle) rolesAndPermissions(typ rel.ObjectType) []rel.Name {
	if d := o.schema.definitions[typ]; d != nil {
		return slices.Concat(d.ladder, d.listed)
	}
	return nil
}

// SubjectsOpen are the tuples that an entry or an exception of a list of subjects can
// hang on.
func (a *Access) SubjectsOpen(o rel.Object, name rel.Name) []Missing {
	if name != "" {
		return a.Missing(o, name)
	}
	var open []Missing
	for _, each := range a.oracle.rolesAndPermissions(o.Type()) {
		open = append(open, a.Missing(o, each)...)
	}
	return open
}
