package tupledb

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Commit is what a write decided: a value, so that it can be logged, sent
// elsewhere and replayed. Its changes are net: what is put was not there, what
// is deleted was, and no tuple is named twice. The zero Commit changes nothing.
type Commit struct {
	Put    []rel.Tuple
	Delete []rel.Tuple
	Schema *SchemaVersion // a new schema, numbered one above the one in force
	// Metadata is kept with the change in the log. Alone it makes no revision.
	Metadata []byte
	Cause    Cause
}

func (c *Commit) isEmpty() bool {
	return len(c.Put) == 0 && len(c.Delete) == 0 && c.Schema == nil
}

// Update is the write turn. It calls judge with the newest published state,
// makes what judge decided one revision, and returns when that is on the disk
// and published. One writer has the turn at a time, so nothing changes between
// what judge sees and what it decides.
//
// An error of judge changes nothing and is returned as it is. An empty Commit
// makes no revision and returns the current snapshot. Judge must not keep its
// snapshot, and must not write: it has the turn. If ctx ends while waiting for
// the turn, or before the commit is handed to the disk, nothing is written;
// after that the result is awaited.
//
// If the disk fails, whether this write is kept is only known after the DB is
// opened again, and every later write is refused until then.
func (s *Store) Update(ctx context.Context, judge func(*Snapshot) (Commit, error)) (rel.Snapshot, error) {
	if !s.db.use.enter() {
		return rel.Snapshot{}, errShut()
	}
	defer s.db.use.leave()
	select {
	case <-s.turn:
	case <-ctx.Done():
		return rel.Snapshot{}, gone(ctx, nothingWritten)
	}
	defer func() { s.turn <- struct{}{} }()

	if err := ctx.Err(); err != nil {
		return rel.Snapshot{}, gone(ctx, nothingWritten)
	}
	if err := s.db.takesWrites(); err != nil {
		return rel.Snapshot{}, err
	}
	c, err := s.judged(judge)
	if err != nil {
		return rel.Snapshot{}, err
	}
	if c.isEmpty() {
		return s.Head(), nil
	}
	if err := ctx.Err(); err != nil {
		return rel.Snapshot{}, gone(ctx, nothingWritten)
	}
	next, err := s.write(&c)
	if err != nil {
		return rel.Snapshot{}, err
	}
	s.head.Store(next)
	return s.token(next.revision), nil
}

// judged asks judge. Its snapshot is closed before the disk is waited for.
func (s *Store) judged(judge func(*Snapshot) (Commit, error)) (Commit, error) {
	snap, err := s.Newest()
	if err != nil {
		return Commit{}, err
	}
	defer snap.Close()
	c, err := judge(snap)
	if err != nil {
		return Commit{}, err
	}
	if n := len(c.Put) + len(c.Delete); n > tuplesPerCommitMax {
		return Commit{}, fault.Newf(fault.JudgingMustStayWithinBudget, "the write changes %d tuples at once", n).
			Do("change at most %d in one write", tuplesPerCommitMax)
	}
	if n := c.bytes(); n > bytesPerCommitMax {
		return Commit{}, fault.Newf(fault.JudgingMustStayWithinBudget, "the write changes tuples of %d bytes at once", n).
			Do("change at most %d bytes in one write", bytesPerCommitMax)
	}
	if invariant.Enabled {
		if err := c.mustBeNet(snap); err != nil {
			return Commit{}, err
		}
	}
	return c, nil
}

// bytes is how long the texts of a commit are together.
func (c *Commit) bytes() int {
	n := len(c.Metadata)
	for _, tuples := range [][]rel.Tuple{c.Put, c.Delete} {
		for _, t := range tuples {
			n += len(t.Object.Type()) + len(t.Object.ID()) + len(t.Relation) +
				len(t.Subject.Type()) + len(t.Subject.ID()) + len(t.Subject.Relation())
		}
	}
	return n
}

// write makes a commit the next revision and waits until the disk has it. It
// does not publish it.
func (s *Store) write(c *Commit) (*head, error) {
	last := s.head.Load()
	next := &head{
		revision: last.revision + 1,
		micros:   max(s.db.clock().UnixMicro(), last.micros+1),
		schema:   last.schema,
	}
	if c.Schema != nil {
		next.schema = &SchemaVersion{Number: c.Schema.Number, Text: c.Schema.Text, Revision: next.revision}
	}
	batch := s.db.pebble.NewBatch()
	if err := s.fill(batch, c, next); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := s.db.sync(batch); err != nil {
		return nil, fault.New(fault.DiskMustTakeWrites, "the disk did not confirm the write").
			Do("it may have been kept or not: restart pemba, then read what it changed").Because(err)
	}
	return next, nil
}

// fill puts everything that a revision is into one batch: both indexes, the
// schema, and the change log's entry.
func (s *Store) fill(batch *pebble.Batch, c *Commit, next *head) error {
	var key, log []byte
	live, tombstone := []byte{stateLive}, []byte{stateTombstone}
	set := func(t rel.Tuple, state []byte) error {
		key = appendSuffix(appendForward(key[:0], s.number, t), next.revision)
		if err := batch.Set(key, state, nil); err != nil {
			return err
		}
		key = appendSuffix(appendReverse(key[:0], s.number, t), next.revision)
		return batch.Set(key, state, nil)
	}
	for _, t := range c.Put {
		if err := set(t, live); err != nil {
			return err
		}
	}
	for _, t := range c.Delete {
		if err := set(t, tombstone); err != nil {
			return err
		}
	}
	if c.Schema != nil {
		key = appendSuffix(appendSchemaPrefix(key[:0], s.number), next.revision)
		if err := batch.Set(key, encodeSchema(*next.schema), nil); err != nil {
			return err
		}
	}
	key = appendChangeKey(key[:0], s.number, next.revision)
	log = appendChange(log, c, next.micros)
	return batch.Set(key, log, nil)
}

// sync commits a batch and waits for its fsync.
//
// Batch.Commit is not used: when the fsync fails it calls Fatalf and then
// returns nil, which would end the process for a full disk, or acknowledge what
// is not there. The two halves of it return the error. Whatever else goes wrong,
// a panic of Pebble included, the outcome is unknown, so writing stops.
func (db *DB) sync(batch *pebble.Batch) (err error) {
	done := false
	defer func() {
		if !done {
			db.stopWriting(errors.New("a commit did not return"))
		}
	}()
	if err := db.pebble.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		done = true
		db.stopWriting(err)
		return err
	}
	err = batch.SyncWait()
	done = true
	if err != nil {
		db.stopWriting(err)
		return err
	}
	return batch.Close()
}

// mustBeNet finds a caller that names a change which is none. Admission hands
// over net changes; were it wrong, the indexes would still agree, but the log
// would tell Watch of changes that never were.
func (c *Commit) mustBeNet(snap *Snapshot) error {
	named := make(map[rel.Tuple]bool, len(c.Put)+len(c.Delete))
	check := func(t rel.Tuple, want bool) error {
		if named[t] {
			panic(fmt.Sprintf("pemba: %v is named twice in one commit", t))
		}
		named[t] = true
		has, err := snap.Has(t)
		if err == nil && has != want {
			panic(fmt.Sprintf("pemba: %v is no net change at revision %d: there is %t", t, snap.revision, has))
		}
		return err
	}
	for _, t := range c.Put {
		if err := check(t, false); err != nil {
			return err
		}
	}
	for _, t := range c.Delete {
		if err := check(t, true); err != nil {
			return err
		}
	}
	if c.Schema == nil {
		return nil
	}
	last, _, err := snap.Schema()
	if err == nil && c.Schema.Number != last.Number+1 {
		panic(fmt.Sprintf("pemba: schema version %d follows %d", c.Schema.Number, last.Number))
	}
	return err
}

const nothingWritten = "the write's turn came; nothing was written"

// gone says why a caller stopped waiting, and for what.
func gone(ctx context.Context, before string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.Newf(fault.DeadlineMustNotPass, "the deadline passed before %s", before).
			Do("retry with more time").Because(context.Cause(ctx))
	}
	return fault.Newf(fault.CallerMustStay, "the caller left before %s", before).
		Do("wait for the answer").Because(context.Cause(ctx))
}
