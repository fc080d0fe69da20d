// Package embedded answers scenarios with the product itself, without a server:
// the service over a database in memory, as `pemba test` and `serve --data
// memory` run it.
package embedded

import (
	"context"
	"strings"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A Driver is a scenario.Driver. The zero Driver is ready to load a world;
// whoever is done with it closes it. It is used by one goroutine at a time.
type Driver struct {
	db      *tupledb.DB
	service *service.Service
}

// Load makes a new database in memory and writes schema and tuples, the tuples
// as one write: every rule is judged on the whole.
func (d *Driver) Load(ctx context.Context, schema string, tuples []rel.Tuple) error {
	if err := d.Close(); err != nil {
		return err
	}
	db, err := tupledb.Open(tupledb.Config{})
	if err != nil {
		return err
	}
	d.db, d.service = db, service.New(service.Config{DB: db})
	return Load(ctx, d.service, schema, tuples)
}

// Load writes a schema and tuples into the default store of a service.
func Load(ctx context.Context, s *service.Service, schema string, tuples []rel.Tuple) error {
	if _, err := s.WriteSchema(ctx, service.WriteSchemaCommand{Store: rel.DefaultStore, Text: schema}); err != nil {
		return err
	}
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	_, err := s.Write(ctx, service.WriteCommand{Store: rel.DefaultStore, Write: admission.Write{Updates: updates}})
	return err
}

// Close lets the world go.
func (d *Driver) Close() error {
	if d.db == nil {
		return nil
	}
	db := d.db
	d.db, d.service = nil, nil
	return db.Close()
}

// Service is what answers; tests ask it more than a scenario can.
func (d *Driver) Service() *service.Service { return d.service }

// Check asks whether the principal holds a name.
func (d *Driver) Check(ctx context.Context, object rel.Object, name rel.Name, principal rel.Principal) (granted bool, path string, err error) {
	answer, err := d.service.Check(ctx, service.CheckQuery{
		Store:   rel.DefaultStore,
		Item:    service.CheckItem{Object: object, Name: name, Principal: principal},
		Explain: true,
	})
	return err == nil && answer.Result == engine.Granted, pathText(answer.Reason), err
}

// Role asks for the effective role.
func (d *Driver) Role(ctx context.Context, object rel.Object, principal rel.Principal) (role rel.Name, path string, err error) {
	access, err := d.service.EffectiveAccess(ctx, service.AccessQuery{
		Store: rel.DefaultStore, Object: object, Principal: principal, Explain: true,
	})
	return access.Role, pathText(access.Reason), err
}

// Write writes as the application itself.
func (d *Driver) Write(ctx context.Context, updates []rel.Update) ([]rel.Change, error) {
	answer, err := d.service.Write(ctx, service.WriteCommand{Store: rel.DefaultStore, Write: admission.Write{Updates: updates}})
	return answer.Changes, err
}

func pathText(r *engine.Reason) string {
	var tuples []string
	for _, t := range r.Path() {
		tuples = append(tuples, t.String())
	}
	return strings.Join(tuples, ", ")
}
