// Package embedded answers scenarios with the product itself, without a server:
// the service over a database in memory, as `pemba test` and `serve --data
// memory` run it.
package embedded

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A Driver is a scenario.Surveyor. The zero Driver is ready to load a world;
// whoever is done with it closes it. It is used by one goroutine at a time.
type Driver struct {
	// Clock is what the worlds take for the time; nil means the real one. It is
	// set before the first Load.
	Clock func() time.Time

	db      *tupledb.DB
	service *service.Service
	schema  *schema.Schema
}

// Load makes a new database in memory and writes schema and tuples, the tuples
// as one write: every rule is judged on the whole.
func (d *Driver) Load(ctx context.Context, text string, tuples []rel.Tuple) error {
	if err := d.Close(); err != nil {
		return err
	}
	db, err := tupledb.Open(tupledb.Config{Clock: d.Clock})
	if err != nil {
		return err
	}
	d.db, d.service = db, service.New(service.Config{DB: db})
	d.schema, err = load(ctx, d.service, text, tuples)
	return err
}

// Load writes a schema and tuples into the default store of a service.
func Load(ctx context.Context, s *service.Service, schema string, tuples []rel.Tuple) error {
	_, err := load(ctx, s, schema, tuples)
	return err
}

func load(ctx context.Context, s *service.Service, text string, tuples []rel.Tuple) (*schema.Schema, error) {
	written, err := s.WriteSchema(ctx, service.WriteSchemaCommand{Store: rel.DefaultStore, Text: text})
	if err != nil {
		return nil, err
	}
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	_, err = s.Write(ctx, service.WriteCommand{Store: rel.DefaultStore, Write: admission.Write{Updates: updates}})
	return written.Schema, err
}

// Close lets the world go.
func (d *Driver) Close() error {
	if d.db == nil {
		return nil
	}
	db := d.db
	d.db, d.service, d.schema = nil, nil, nil
	return db.Close()
}

// Service is what answers; tests ask it more than a scenario can.
func (d *Driver) Service() *service.Service { return d.service }

// Schema is the one that was loaded last; nil before.
func (d *Driver) Schema() *schema.Schema { return d.schema }

// Now is the time by the driver's clock.
func (d *Driver) Now() time.Time {
	if d.Clock == nil {
		return time.Now()
	}
	return d.Clock()
}

// Check asks whether the principal holds a name.
func (d *Driver) Check(ctx context.Context, q scenario.Question) (scenario.Answer, error) {
	answer, err := d.service.Check(ctx, service.CheckQuery{
		Store: rel.DefaultStore,
		Item: service.CheckItem{
			Object: q.Object, Name: q.Name, Principal: q.Principal, Brought: service.Brought{Context: q.Context},
		},
		Explain: true,
	})
	if err != nil {
		return scenario.Answer{}, err
	}
	return scenario.Answer{
		Value:   value(answer.Result),
		Path:    pathText(answer.Reason),
		Missing: missing(answer.Missing),
		Through: through(answer.Reason),
	}, nil
}

func value(r engine.Result) scenario.Value {
	switch r {
	case engine.Granted:
		return scenario.Granted
	case engine.Conditional:
		return scenario.Conditional
	default:
		return scenario.Denied
	}
}

// Role asks for the effective role.
func (d *Driver) Role(ctx context.Context, object rel.Object, principal rel.Principal, given rel.Context) (scenario.RoleAnswer, error) {
	access, err := d.service.EffectiveAccess(ctx, service.AccessQuery{
		Store: rel.DefaultStore, Object: object, Principal: principal, Brought: service.Brought{Context: given}, Explain: true,
	})
	if err != nil {
		return scenario.RoleAnswer{}, err
	}
	answer := scenario.RoleAnswer{
		Role:     access.Role,
		Possible: access.ConditionalRole,
		Path:     pathText(access.Reason),
		Through:  through(access.Reason),
	}
	if answer.Possible != "" {
		answer.Missing = missing(access.Missing)
	}
	return answer, nil
}

// Write writes on behalf of an actor, for the zero Actor as the application itself.
func (d *Driver) Write(ctx context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error) {
	answer, err := d.service.Write(ctx, service.WriteCommand{
		Store: rel.DefaultStore, Write: admission.Write{Actor: actor.Subject, Updates: updates}, ActorContext: actor.Context,
	})
	return answer.Changes, err
}

// Names are the names of the schema that was loaded last, and its rules on who may
// write.
func (d *Driver) Names() []scenario.Declared {
	if d.schema == nil {
		return nil
	}
	var names []scenario.Declared
	for _, definition := range d.schema.Definitions() {
		for _, n := range definition.Names() {
			names = append(names, scenario.Declared{Name: scenario.Name{Type: definition.Type, Name: n.Name}, Kind: n.Kind.String()})
		}
		for _, c := range clauses(definition) {
			names = append(names, scenario.Declared{Name: c.name, Kind: "rule"})
		}
	}
	return names
}

func pathText(r *engine.Reason) string {
	var tuples []string
	for _, t := range r.Path() {
		tuples = append(tuples, t.String())
	}
	return strings.Join(tuples, ", ")
}

func missing(all []engine.Missing) []scenario.Missing {
	var told []scenario.Missing
	for _, m := range all {
		told = append(told, scenario.Missing(m))
	}
	return told
}

// through are the names that a reason speaks of: what holds, and the relations
// of the tuples that it goes over. An arrow is no name; what it leads to stands
// below it.
func through(r *engine.Reason) []scenario.Name {
	var names []scenario.Name
	note := func(o rel.Object, name rel.Name) {
		if n := (scenario.Name{Type: o.Type(), Name: name}); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	var walk func(*engine.Reason)
	walk = func(r *engine.Reason) {
		if r.Result == engine.Denied {
			return
		}
		if name, err := rel.ParseName(r.Name); err == nil {
			note(r.Object, name)
		}
		if r.Step == engine.StepTuple || r.Step == engine.StepInherited {
			note(r.Tuple.Object, r.Tuple.Relation)
		}
		for _, b := range r.Deciding() {
			walk(b)
		}
	}
	if r != nil {
		walk(r)
	}
	return names
}
