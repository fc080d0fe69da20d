// Package oracledriver asks the oracle: what a test file says is first a promise
// about the definition itself. It is for tests.
package oracledriver

import (
	"context"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Driver answers from an oracle. The zero Driver has no world yet.
type Driver struct {
	world *oracle.Oracle
}

// New makes a driver without a world.
func New() *Driver { return &Driver{} }

// Load parses the schema and writes the tuples all at once, by the schema's rules.
func (d *Driver) Load(_ context.Context, schema string, tuples []rel.Tuple) error {
	d.world = nil
	file, faults := syntax.Parse(schema)
	if err := fault.Join(faults); err != nil {
		return err
	}
	world, err := oracle.Load(file, tuples)
	if err != nil {
		return err
	}
	d.world = world
	return nil
}

// Check asks for one name. The oracle knows no paths.
func (d *Driver) Check(_ context.Context, object rel.Object, name rel.Name, principal rel.Principal) (bool, string, error) {
	if err := d.known(object, principal); err != nil {
		return false, "", err
	}
	if !d.world.Declares(object.Type(), name) {
		return false, "", nameMustExist(object.Type(), name)
	}
	return d.world.For(principal).Holds(object, name), "", nil
}

// Role asks for the effective role.
func (d *Driver) Role(_ context.Context, object rel.Object, principal rel.Principal) (rel.Name, string, error) {
	if err := d.known(object, principal); err != nil {
		return "", "", err
	}
	return d.world.For(principal).Role(object), "", nil
}

// known refuses what the schema does not have: a typing mistake must not look
// like 'no'. The oracle itself takes everything for an id that nobody wrote.
func (d *Driver) known(object rel.Object, principal rel.Principal) error {
	if !d.world.Defines(object.Type()) {
		return typeMustExist(object.Type())
	}
	for _, s := range principal.Subjects() {
		switch {
		case !d.world.Defines(s.Type()):
			return typeMustExist(s.Type())
		case s.IsUserset() && !d.world.Declares(s.Type(), s.Relation()):
			return nameMustExist(s.Type(), s.Relation())
		}
	}
	return nil
}

func typeMustExist(typ rel.ObjectType) error {
	return fault.Newf(fault.TypeMustExist, "there is no type %s", typ).Do("ask about a type that the schema defines")
}

func nameMustExist(typ rel.ObjectType, name rel.Name) error {
	return fault.Newf(fault.NameMustExist, "%s has no name %s", typ, name).
		Do("ask for a relation, a role or a permission of the type")
}

// Write judges the updates, and keeps the state after them where they are accepted.
func (d *Driver) Write(_ context.Context, updates []rel.Update) ([]rel.Change, error) {
	changes, next, err := d.world.Write(updates, nil)
	if err != nil {
		return nil, err
	}
	d.world = next
	return changes, nil
}
