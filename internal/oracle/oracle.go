// Package oracle is the meaning of the schema language (docs: sections 3 and 4
// of the language) as the slowest, shortest program that can obviously be right.
//
// It promises one thing: whoever doubts an answer of the engine can read this
// instead. It evaluates the syntax tree as it was parsed and a plain list of
// tuples; it imports neither the compiled schema, nor the engine, nor the store,
// so that a misunderstanding in one of them cannot hide here, too. It is for
// tests: nothing that is served links it.
//
// Start reading at Access.value, which is the definition of holds(object, name),
// line by line. rules.go is the definition of what a write must leave behind.
package oracle

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// An Oracle is a schema and the tuples that are live under it. It is never
// changed: Write answers with another one.
type Oracle struct {
	schema *schema
	tuples []rel.Tuple // sorted, each once

	// The rest is derived from tuples.
	at      map[place][]rel.Subject
	objects []rel.Object
	cycles  map[pair]bool // nil until ThroughCycle is asked
}

// A place is where a tuple is stored: one relation of one object.
type place struct {
	object   rel.Object
	relation rel.Name
}

// A pair is the unit of the fixpoint: one name of one object.
type pair struct {
	object rel.Object
	name   rel.Name
}

// New makes an oracle of a schema and tuples that fit it. It refuses a schema
// that has no meaning (a name that does not exist, negation through recursion)
// and tuples that the schema does not allow; it does not judge multiplicities
// and one-role rules, which Load and Write do.
func New(file *syntax.File, tuples []rel.Tuple) (*Oracle, error) {
	s, err := read(file)
	if err != nil {
		return nil, err
	}
	var faults []*fault.Fault
	for _, t := range tuples {
		if f := s.fits(t); f != nil {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return nil, fault.Join(faults)
	}
	return state(s, tuples), nil
}

// Load makes an oracle of a schema and tuples that must also satisfy the
// schema's rules, as if all of them were written at once.
func Load(file *syntax.File, tuples []rel.Tuple) (*Oracle, error) {
	empty, err := New(file, nil)
	if err != nil {
		return nil, err
	}
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	_, loaded, err := empty.Write(updates, nil)
	return loaded, err
}

// state is an oracle over tuples that are known to fit.
func state(s *schema, tuples []rel.Tuple) *Oracle {
	o := &Oracle{schema: s, tuples: slices.Clone(tuples), at: map[place][]rel.Subject{}}
	slices.SortFunc(o.tuples, rel.Tuple.Compare)
	o.tuples = slices.Compact(o.tuples)
	for _, t := range o.tuples {
		p := place{t.Object, t.Relation}
		o.at[p] = append(o.at[p], t.Subject)
		o.objects = append(o.objects, t.Object)
		if named, ok := t.Subject.Object(); ok {
			o.objects = append(o.objects, named)
		}
	}
	o.objects = sorted(o.objects)
	return o
}

// Tuples are the live tuples, sorted. The slice is not to be changed.
func (o *Oracle) Tuples() []rel.Tuple { return o.tuples }

// Objects are the objects that stand in any live tuple, sorted. The slice is
// not to be changed.
func (o *Oracle) Objects() []rel.Object { return o.objects }

// NamesOf are all names that a type declares, in source order: relations, roles
// and permissions.
func (o *Oracle) NamesOf(typ rel.ObjectType) []rel.Name {
	if d := o.schema.definitions[typ]; d != nil {
		return d.names
	}
	return nil
}

// PermissionsOf are the permissions that a type declares, in source order.
func (o *Oracle) PermissionsOf(typ rel.ObjectType) []rel.Name {
	if d := o.schema.definitions[typ]; d != nil {
		return d.listed
	}
	return nil
}

// Defines reports whether the schema has a type.
func (o *Oracle) Defines(typ rel.ObjectType) bool { return o.schema.definitions[typ] != nil }

// Declares reports whether a type has a name: a relation, a role or a permission.
func (o *Oracle) Declares(typ rel.ObjectType, name rel.Name) bool {
	return slices.Contains(o.NamesOf(typ), name)
}

// sorted puts objects in order, each once.
func sorted(objects []rel.Object) []rel.Object {
	slices.SortFunc(objects, rel.Object.Compare)
	return slices.Compact(objects)
}
