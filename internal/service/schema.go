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

const (
	// changesHeldMax is how many changed tuples are judged while writers wait. More
	// are judged beside them first.
	changesHeldMax = 1000
	// passesMax bounds how often a schema runs after writers who change more in the
	// meantime than is judged: then they wait, however much it is.
	passesMax = 10
)

// A WriteSchemaCommand replaces a store's schema.
type WriteSchemaCommand struct {
	Store rel.Store
	Text  string
	// Expected, where set, is the version that must be in force; 0 means none yet.
	Expected *uint64
	// Actor is on whose behalf it is written. It is kept, and not judged.
	Actor    rel.Subject
	Metadata rel.Metadata
	// DryRun judges alone, and answers with the conflicts instead of refusing.
	DryRun bool
}

// A WriteSchemaAnswer says what is in force now; of a dry run, what was judged.
type WriteSchemaAnswer struct {
	Snapshot  rel.Snapshot
	Version   uint64         // of the schema that is in force
	Before    *schema.Schema // what was in force before; nil for the first one
	Schema    *schema.Schema
	Conflicts []admission.Conflict // of a dry run: what would refuse the schema
}

// WriteSchema compiles a schema, judges everything that is stored by it, and
// puts it in force in a revision of its own. The text that is in force already
// makes no revision.
//
// The judging goes on beside writers. When it has come to the end, what they have
// changed meanwhile is judged, again beside them while it is much; only for the
// last of it do they wait.
func (s *Service) WriteSchema(ctx context.Context, c WriteSchemaCommand) (WriteSchemaAnswer, error) {
	store, err := s.db.Store(c.Store)
	if err != nil {
		return WriteSchemaAnswer{}, err
	}
	meaning, wrong := compileText(c.Text, "schema")
	if len(wrong) > 0 {
		return WriteSchemaAnswer{}, fault.Join(wrong)
	}
	f := &fittingSchema{service: s, store: store, command: c, answer: WriteSchemaAnswer{Schema: meaning}}
	if err := f.besideWriters(ctx); err != nil {
		return WriteSchemaAnswer{}, err
	}
	if c.DryRun {
		return f.answer, nil
	}
	if err := admission.Refusal(f.answer.Conflicts); err != nil {
		return WriteSchemaAnswer{}, err
	}
	at, err := store.Update(ctx, func(snap *tupledb.Snapshot) (tupledb.Commit, error) { return f.commit(ctx, snap) })
	if err != nil {
		return WriteSchemaAnswer{}, err
	}
	f.answer.Snapshot = at
	return f.answer, nil
}

// compileText is what a schema's text means, or all that is wrong with it.
func compileText(text, field string) (*schema.Schema, []*fault.Fault) {
	if len(text) > SchemaTextBytesMax {
		return nil, []*fault.Fault{fault.Newf(fault.SchemaMustStayWithinBounds, "the schema has %d bytes", len(text)).
			Do("a schema has at most %d bytes; split it over stores", SchemaTextBytesMax).In(field)}
	}
	meaning, faults := schema.Compile(text)
	for _, f := range faults {
		f.In(field)
	}
	return meaning, faults
}

// A fittingSchema is a schema on its way into force.
type fittingSchema struct {
	service *Service
	store   *tupledb.Store
	command WriteSchemaCommand
	answer  WriteSchemaAnswer
	judged  rel.Revision // up to here everything stored fits
}

// besideWriters judges what is stored, and what changes meanwhile, until little is left.
func (f *fittingSchema) besideWriters(ctx context.Context) error {
	for pass := range passesMax {
		done, err := f.pass(ctx, pass == 0)
		if done || err != nil {
			return err
		}
	}
	return nil
}

// pass judges the newest snapshot: all of it at first, then what has changed since
// the pass before. It reports whether so little has changed that writers may wait.
func (f *fittingSchema) pass(ctx context.Context, first bool) (done bool, err error) {
	snap, err := f.store.Newest()
	if err != nil {
		return false, err
	}
	defer snap.Close()
	boundByContext(ctx, snap)
	if first {
		f.answer.Snapshot = snap.Token()
		fits, err := f.lookBefore(snap)
		if err == nil && !fits {
			f.answer.Conflicts, err = admission.FitData(ctx, f.answer.Schema, beforeWrite{snap})
		}
		f.judged = snap.Revision()
		return f.command.DryRun || len(f.answer.Conflicts) > 0, err
	}
	changed, err := f.changed(ctx, snap)
	if err != nil || len(changed) <= changesHeldMax {
		return true, err
	}
	f.answer.Conflicts, err = admission.FitChanges(ctx, f.answer.Schema, beforeWrite{snap}, changed, noReadsMax)
	f.judged = snap.Revision()
	return len(f.answer.Conflicts) > 0, err
}

// noReadsMax: what is judged beside writers holds nobody up; the caller's time bounds it.
const noReadsMax = int(^uint(0) >> 1)

// lookBefore finds the schema in force, and reports whether what is stored fits the
// new one as it is: nothing is, or it is the same text.
func (f *fittingSchema) lookBefore(snap *tupledb.Snapshot) (fits bool, err error) {
	before, found, err := snap.Schema()
	if err != nil {
		return false, err
	}
	if err := f.mustBeExpected(before.Number); err != nil {
		return false, err
	}
	f.answer.Version, f.answer.Before = before.Number, nil
	if !found {
		return true, nil
	}
	v, err := f.service.withSchema(f.command.Store, snap)
	switch {
	case err == nil:
		f.answer.Before = v.schema
	case !fault.Is(err, fault.DataMustBeReadable):
		return false, err
	} // a version that no longer compiles can be replaced; then all is new
	return before.Text == f.command.Text, nil
}

func (f *fittingSchema) mustBeExpected(inForce uint64) error {
	if f.command.Expected == nil || *f.command.Expected == inForce {
		return nil
	}
	return fault.Newf(fault.SchemaVersionMustMatch, "the schema in force is version %d, not %d", inForce, *f.command.Expected).
		Do("read the schema again, and decide anew").In("expected_version")
}

// changed are the tuples that were written after what is judged, up to a snapshot.
func (f *fittingSchema) changed(ctx context.Context, snap *tupledb.Snapshot) ([]rel.Key, error) {
	var keys []rel.Key
	for change, err := range snap.Changes(f.judged + 1) {
		if err == nil {
			err = fault.Ended(ctx)
		}
		if err != nil {
			return nil, err
		}
		if change.Cause == tupledb.CauseImported { // the log does not name its tuples
			return nil, fault.Newf(fault.StoreMustNotBeLoading, "an import was finished while the schema was judged").
				Do("write the schema again: it is then judged with what was imported")
		}
		for _, tuples := range [][]rel.Tuple{change.Put, change.Touch, change.Delete} {
			for _, t := range tuples {
				keys = append(keys, t.Key)
			}
		}
	}
	return keys, nil
}

// commit is the write turn: it judges what is left, and decides.
func (f *fittingSchema) commit(ctx context.Context, snap *tupledb.Snapshot) (tupledb.Commit, error) {
	boundByContext(ctx, snap)
	same, err := f.lookBefore(snap)
	if err != nil || same && f.answer.Before != nil {
		return tupledb.Commit{}, err
	}
	changed, err := f.changed(ctx, snap)
	if err != nil {
		return tupledb.Commit{}, err
	}
	f.service.boundJudging(ctx, snap)
	conflicts, err := admission.FitChanges(ctx, f.answer.Schema, beforeWrite{snap}, changed, f.service.judging)
	if err == nil {
		err = admission.Refusal(conflicts)
	}
	if err != nil {
		return tupledb.Commit{}, err
	}
	f.answer.Version++
	return tupledb.Commit{
		Schema: &tupledb.SchemaVersion{Number: f.answer.Version, Text: f.command.Text},
		Cause:  tupledb.CauseSchema,
		Actor:  f.command.Actor, Metadata: f.command.Metadata.Encode(),
	}, nil
}

// A DiffSchemaQuery asks how a schema differs from the one of a store, or two texts
// from each other.
type DiffSchemaQuery struct {
	Store       rel.Store
	Consistency Consistency
	Text        string
	Old         *string // nil for the store's; empty is a schema without definitions
}

// A DiffSchemaAnswer has both schemas. Snapshot and Version are of the store's, zero
// where two texts were compared.
type DiffSchemaAnswer struct {
	Snapshot rel.Snapshot
	Version  uint64
	Before   *schema.Schema // nil where there is none
	Schema   *schema.Schema
}

// DiffSchema compiles what is compared. It looks at no tuple.
func (s *Service) DiffSchema(ctx context.Context, q DiffSchemaQuery) (DiffSchemaAnswer, error) {
	answer, err := compileBoth(q)
	if err != nil || q.Old != nil {
		return answer, err
	}
	snap, err := s.snapshot(ctx, q.Store, q.Consistency)
	if err != nil {
		return DiffSchemaAnswer{}, err
	}
	defer snap.Close()
	answer.Snapshot = snap.Token()
	v, err := s.withSchema(q.Store, snap)
	switch {
	case err == nil:
		answer.Version, answer.Before = v.version, v.schema
	case !fault.Is(err, fault.SchemaMustExist):
		return DiffSchemaAnswer{}, err
	}
	return answer, nil
}

// compileBoth compiles the texts that were sent, and says what is wrong with either.
func compileBoth(q DiffSchemaQuery) (DiffSchemaAnswer, error) {
	meaning, wrong := compileText(q.Text, "schema")
	answer := DiffSchemaAnswer{Schema: meaning}
	if q.Old != nil && *q.Old != "" {
		before, faults := compileText(*q.Old, "old_schema")
		answer.Before, wrong = before, append(wrong, faults...)
	}
	if len(wrong) > 0 {
		return DiffSchemaAnswer{}, fault.Join(wrong)
	}
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
	stored, _, err := v.Snapshot.Schema()
	if err != nil {
		return SchemaAnswer{}, err
	}
	return SchemaAnswer{Snapshot: v.Token(), Version: v.version, Written: stored.Written, Schema: v.schema}, nil
}
