// Package oracle is the meaning of the schema language (docs: sections 2 to 4
// of the language) as the slowest, shortest program that can obviously be right.
//
// It promises one thing: whoever doubts an answer of the engine can read this
// instead. It evaluates the syntax tree as it was parsed and a plain list of
// tuples; it imports neither the compiled schema, nor the engine, nor the store,
// so that a misunderstanding in one of them cannot hide here, too. Only what a
// caveat's CEL comes to is asked elsewhere, of internal/condition; which values
// count, and what follows from the verdict, is decided here. It is for tests:
// nothing that is served links it.
//
// Start reading at Access.value, which is the definition of holds(object, name),
// line by line. rules.go is the definition of what a write must leave behind,
// actor.go of who may write what, and revoke.go of what assign and revoke take away.
package oracle

import (
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// An Oracle is a schema and the tuples that are stored under it, seen at a time.
// It is never changed: At, With and Write answer with another one.
type Oracle struct {
	schema *schema
	stored []rel.Tuple // sorted, each key once; expired ones, too
	now    time.Time   // the zero time comes before every expiry

	// The rest is derived from stored and now.
	tuples  []rel.Tuple // the live ones
	at      map[place][]rel.Tuple
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

// New makes an oracle of a schema and tuples that fit it, seen at the zero time,
// when nothing has expired. It refuses a schema that has no meaning (a name that
// does not exist, negation through recursion) and tuples that the schema does not
// allow; it does not judge multiplicities and one-role rules, which Load and
// Write do.
func New(file *syntax.File, tuples []rel.Tuple) (*Oracle, error) {
	s, err := read(file)
	if err != nil {
		return nil, err
	}
	if err := s.allFit(tuples); err != nil {
		return nil, err
	}
	return state(s, tuples, time.Time{}), nil
}

// Load makes an oracle of a schema and tuples that must also satisfy the
// schema's rules, as if all of them were written at once, at the zero time.
func Load(file *syntax.File, tuples []rel.Tuple) (*Oracle, error) {
	return LoadAt(file, tuples, time.Time{})
}

// LoadAt is Load at a time: a tuple that has expired by then is accepted, and
// counts for no rule.
func LoadAt(file *syntax.File, tuples []rel.Tuple, now time.Time) (*Oracle, error) {
	empty, err := New(file, nil)
	if err != nil {
		return nil, err
	}
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	_, loaded, err := empty.At(now).Write(rel.Actor{}, updates, nil)
	return loaded, err
}

// At is what is stored, seen at another time: tuples whose expiry has passed are
// not there. At the zero time nothing has expired.
func (o *Oracle) At(now time.Time) *Oracle { return state(o.schema, o.stored, now) }

// With is what one request sees that brings contextual tuples: each must fit the
// schema's types, none is judged by any rule, and one with the key of a stored
// tuple stands in its place; one that has expired, too, and then neither is there.
// Of two with one key the last counts.
func (o *Oracle) With(contextual []rel.Tuple) (*Oracle, error) {
	if err := o.schema.allFit(contextual); err != nil {
		return nil, err
	}
	joined := slices.Clone(o.stored)
	for _, t := range contextual {
		joined = put(joined, t)
	}
	return state(o.schema, joined, o.now), nil
}

// put is the list with a tuple in it, in place of one that has its key.
func put(tuples []rel.Tuple, t rel.Tuple) []rel.Tuple {
	if i := indexOf(tuples, t.Key); i >= 0 {
		tuples[i] = t
		return tuples
	}
	return append(tuples, t)
}

// indexOf is where the tuple with a key is; -1 where there is none.
func indexOf(tuples []rel.Tuple, key rel.Key) int {
	return slices.IndexFunc(tuples, func(t rel.Tuple) bool { return t.Key == key })
}

// state is an oracle over tuples that are known to fit.
func state(s *schema, stored []rel.Tuple, now time.Time) *Oracle {
	o := &Oracle{schema: s, stored: slices.Clone(stored), now: now, at: map[place][]rel.Tuple{}}
	slices.SortFunc(o.stored, rel.Tuple.Compare)
	o.stored = slices.Compact(o.stored)
	for _, t := range o.stored {
		if !o.live(t) {
			continue
		}
		p := place{t.Object, t.Relation}
		o.tuples = append(o.tuples, t)
		o.at[p] = append(o.at[p], t)
		o.objects = append(o.objects, t.Object)
		if named, ok := t.Subject.Object(); ok {
			o.objects = append(o.objects, named)
		}
	}
	o.objects = sorted(o.objects)
	return o
}

// live reports whether a stored tuple counts: its expiry, where it has one, is
// later than the time.
func (o *Oracle) live(t rel.Tuple) bool {
	return t.Expires.Never() || t.Expires.Time().After(o.now)
}

// Tuples are the live tuples, sorted. The slice is not to be changed.
func (o *Oracle) Tuples() []rel.Tuple { return o.tuples }

// Stored are the live tuples and those that have expired, sorted. The slice is
// not to be changed.
func (o *Oracle) Stored() []rel.Tuple { return o.stored }

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

// LadderOf are the roles that a type declares, lowest first.
func (o *Oracle) LadderOf(typ rel.ObjectType) []rel.Name {
	if d := o.schema.definitions[typ]; d != nil {
		return d.ladder
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
