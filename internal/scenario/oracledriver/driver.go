// Package oracledriver asks the oracle: what a test file says is first a promise
// about the definition itself. It is for tests.
package oracledriver

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Driver answers from an oracle. The zero Driver has no world yet.
type Driver struct {
	// Clock is what the driver takes for the time; nil means the real one. It is
	// set before the first Load.
	Clock func() time.Time

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
	world, err := oracle.LoadAt(file, tuples, d.Now())
	if err != nil {
		return err
	}
	d.world = world
	return nil
}

// Now is the time by the driver's clock.
func (d *Driver) Now() time.Time {
	if d.Clock == nil {
		return time.Now()
	}
	return d.Clock()
}

// Check asks for one name. The oracle knows no paths.
func (d *Driver) Check(_ context.Context, q scenario.Question) (scenario.Answer, error) {
	if err := d.known(q.Object, q.Principal); err != nil {
		return scenario.Answer{}, err
	}
	if !d.world.Declares(q.Object.Type(), q.Name) {
		return scenario.Answer{}, nameMustExist(q.Object.Type(), q.Name)
	}
	access := d.world.At(d.Now()).For(q.Principal, q.Context)
	return scenario.Answer{
		Value:   value(access.Result(q.Object, q.Name)),
		Missing: missing(access.Missing(q.Object, q.Name)),
	}, nil
}

func value(t oracle.Truth) scenario.Value {
	switch t {
	case oracle.Yes:
		return scenario.Granted
	case oracle.Conditional:
		return scenario.Conditional
	default:
		return scenario.Denied
	}
}

func missing(all []oracle.Missing) []scenario.Missing {
	var told []scenario.Missing
	for _, m := range all {
		one := scenario.Missing{Tuple: m.Key, Caveat: m.Caveat, Parameters: m.Parameters}
		if m.Problem {
			one.Problem = "the caveat cannot be evaluated"
		}
		told = append(told, one)
	}
	return told
}

// Role asks for the effective role.
func (d *Driver) Role(_ context.Context, object rel.Object, principal rel.Principal, given rel.Context) (scenario.RoleAnswer, error) {
	if err := d.known(object, principal); err != nil {
		return scenario.RoleAnswer{}, err
	}
	access := d.world.At(d.Now()).For(principal, given)
	answer := scenario.RoleAnswer{Role: access.Role(object), Possible: access.ConditionalRole(object)}
	if answer.Possible != "" {
		answer.Missing = missing(access.Missing(object, answer.Possible))
	}
	return answer, nil
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
func (d *Driver) Write(_ context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error) {
	changes, next, err := d.world.At(d.Now()).Write(actor, updates, nil)
	if err != nil {
		return nil, err
	}
	d.world = next
	return changes, nil
}
