package service

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// SchemaTextBytesMax bounds a schema's text, so that one fits a message and a
// log entry with room to spare.
const SchemaTextBytesMax = 1 << 20

// A WriteSchemaCommand replaces a store's schema.
type WriteSchemaCommand struct {
	Store rel.Store
	Text  string
	// Expected, where set, is the version that must be in force; 0 means none yet.
	Expected *uint64
}

// A WriteSchemaAnswer says what is in force now.
type WriteSchemaAnswer struct {
	Snapshot rel.Snapshot
	Version  uint64
	Before   *schema.Schema // what was in force before; nil for the first one
	Schema   *schema.Schema
}

// WriteSchema compiles a schema, judges everything that is stored by it, and
// puts it in force in a revision of its own. The text that is in force already
// makes no revision.
func (s *Service) WriteSchema(ctx context.Context, c WriteSchemaCommand) (WriteSchemaAnswer, error) {
	store, err := s.db.Store(c.Store)
	if err != nil {
		return WriteSchemaAnswer{}, err
	}
	if len(c.Text) > SchemaTextBytesMax {
		return WriteSchemaAnswer{}, fault.Newf(fault.SchemaMustStayWithinBounds, "the schema has %d bytes", len(c.Text)).
			Do("a schema has at most %d bytes; split it over stores", SchemaTextBytesMax).In("schema")
	}
	meaning, faults := schema.Compile(c.Text)
	for _, f := range faults {
		f.In("schema")
	}
	if err := fault.Join(faults); err != nil {
		return WriteSchemaAnswer{}, err
	}
	answer := WriteSchemaAnswer{Schema: meaning}
	at, err := store.Update(ctx, func(snap *tupledb.Snapshot) (tupledb.Commit, error) {
		boundByContext(ctx, snap)
		before, found, err := snap.Schema()
		if err != nil {
			return tupledb.Commit{}, err
		}
		if c.Expected != nil && *c.Expected != before.Number {
			return tupledb.Commit{}, fault.Newf(fault.SchemaVersionMustMatch, "the schema in force is version %d, not %d", before.Number, *c.Expected).
				Do("read the schema again, and decide anew").In("expected_version")
		}
		if found {
			v, err := s.withSchema(c.Store, snap)
			switch {
			case err == nil:
				answer.Before = v.schema
			case !fault.Is(err, fault.DataMustBeReadable):
				return tupledb.Commit{}, err
			} // a version that no longer compiles can be replaced; then all is new
			if before.Text == c.Text {
				answer.Version = before.Number
				return tupledb.Commit{}, nil
			}
			if err := admission.FitData(ctx, meaning, beforeWrite{snap}); err != nil {
				return tupledb.Commit{}, err
			}
		}
		answer.Version = before.Number + 1
		return tupledb.Commit{
			Schema: &tupledb.SchemaVersion{Number: answer.Version, Text: c.Text},
			Cause:  tupledb.CauseSchema,
		}, nil
	})
	if err != nil {
		return WriteSchemaAnswer{}, err
	}
	answer.Snapshot = at
	return answer, nil
}

// A SchemaQuery asks for the schema in force.
type SchemaQuery struct {
	Store       rel.Store
	Consistency Consistency
}

// A SchemaAnswer is the schema in force, as text and compiled.
type SchemaAnswer struct {
	Snapshot rel.Snapshot
	Version  uint64
	Written  time.Time
	Schema   *schema.Schema
}

// ReadSchema answers with the schema in force.
func (s *Service) ReadSchema(ctx context.Context, q SchemaQuery) (SchemaAnswer, error) {
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return SchemaAnswer{}, err
	}
	defer v.Close()
	store, err := s.db.Store(q.Store)
	if err != nil {
		return SchemaAnswer{}, err
	}
	stored, _, err := v.Snapshot.Schema()
	if err != nil {
		return SchemaAnswer{}, err
	}
	answer := SchemaAnswer{Snapshot: v.Token(), Version: v.version, Schema: v.schema}
	for change, err := range store.Changes(stored.Revision) {
		if err != nil {
			return SchemaAnswer{}, err
		}
		answer.Written = change.Time
		break
	}
	return answer, nil
}
