package tupledb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Commit is what a write decided: a value, so that it can be logged, sent
// elsewhere and replayed. Its changes are net: what is put was not there, what is
// touched was there with other attributes, what is deleted was there as it is
// named, and no tuple is named twice. What has expired at the judge's time was
// not there; with the cause Expired it is what is deleted. The zero Commit changes
// nothing.
type Commit struct {
	Put    []rel.Tuple
	Touch  []rel.Tuple    // as they are from now on
	Delete []rel.Tuple    // as they were last, for whoever reads the log
	Schema *SchemaVersion // a new schema, numbered one above the one in force
	// Metadata is kept with the change in the log, in the form of
	// rel.Metadata.Encode. Alone it makes no revision.
	Metadata []byte
	// Actor is on whose behalf it is made, kept with the change; zero for nobody.
	Actor rel.Subject
	Cause Cause
	// Request is kept with the commit. Alone it makes no revision, and is written.
	Request *Request

	expired  [][]byte // the entries of what is deleted with the cause Expired
	imported uint64   // how many tuples were loaded before, with the cause Imported
}

func (c *Commit) isEmpty() bool {
	return c.tuples() == 0 && c.Schema == nil
}

// tuples is how many tuples a commit changes.
func (c *Commit) tuples() int { return len(c.Put) + len(c.Touch) + len(c.Delete) }

// Update is the write turn. It calls judge with the newest state, makes what judge
// decided one revision, and returns when that is on the disk and published. One
// writer has the turn at a time, so nothing changes between what judge sees and
// what it decides. The time of the judge's snapshot is the revision's commit time,
// later than the one before it and than every time that AsOf answered about: so what the judge saw expired is expired for
// whoever reads the log, and nothing else is.
//
// The turn is given on as soon as the revision is in Pebble's log, before the disk
// has it: the next writer judges on top of it meanwhile, and one fsync serves all
// who wait for one. So a judge can see a revision that is not published yet, and
// whatever it decides, a refusal too, is answered only when that one is.
//
// An error of judge changes nothing and is returned as it is. An empty Commit
// makes no revision and returns the snapshot that was judged, after its request,
// where it has one, is on the disk. Judge must not keep its
// snapshot, and must not write: it has the turn. If ctx ends while waiting for
// the turn, or before the commit is handed to the disk, nothing is written;
// after that the result is awaited.
//
// If the disk fails, whether this write is kept is only known after the DB is
// opened again, and every later write is refused until then.
func (s *Store) Update(ctx context.Context, judge func(*Snapshot) (Commit, error)) (rel.Snapshot, error) {
	if err := s.enter(); err != nil {
		return rel.Snapshot{}, err
	}
	defer s.leave()
	select {
	case <-s.turn:
	case <-ctx.Done():
		return rel.Snapshot{}, gone(ctx, nothingWritten)
	}
	p, err := s.takeTurn(ctx, judge)
	if p == nil { // it ended before anything was read
		return rel.Snapshot{}, err
	}
	if failed := p.published(s.db); failed != nil {
		return rel.Snapshot{}, failed
	}
	return s.token(p.head.revision), err
}

// takeTurn judges and hands over to the disk, and gives the turn on. What is
// returned is to be awaited before anything is answered: the revision that was
// made, or else the one that was read.
func (s *Store) takeTurn(ctx context.Context, judge func(*Snapshot) (Commit, error)) (*revising, error) {
	defer func() { s.turn <- struct{}{} }()
	if err := ctx.Err(); err != nil {
		return nil, gone(ctx, nothingWritten)
	}
	if err := s.mustBeHere(); err != nil { // deleted while this one waited for the turn
		return nil, err
	}
	if err := s.db.takesWrites(); err != nil {
		return nil, err
	}
	if err := s.MustNotBeLoading(); err != nil {
		return nil, err
	}
	last := s.newest
	now := inMicros(max(s.db.clock().UnixMicro(), last.head.micros+1, s.settled.Load()+1))
	c, err := s.judged(judge, last.head, now)
	if err != nil || c.isEmpty() && c.Request == nil {
		return last, err
	}
	if err := ctx.Err(); err != nil {
		return last, gone(ctx, nothingWritten)
	}
	next, err := s.write(&c, last, now)
	if err != nil {
		return last, err
	}
	s.newest = next
	return next, nil
}

// A revising is a revision on its way to the disk, or a request on top of one,
// whose head is that one's. It is published after the one
// before it, and waits for that one's fsync as for its own.
type revising struct {
	head   *head
	before *revising     // nil once it is published
	batch  *pebble.Batch // what is synced; nil for a revision that was there at opening
	store  *Store
	once   sync.Once
	failed error
}

// published waits until the revision is on the disk and published, or its fsync
// has failed.
func (r *revising) published(db *DB) error {
	r.once.Do(func() {
		if r.batch == nil {
			return
		}
		err := db.awaitSync(r.batch)
		if before := r.before.published(db); before != nil {
			err = before
		} else if err != nil {
			err = fault.New(fault.DiskMustTakeWrites, "the disk did not confirm the write").
				Do("it may have been kept or not: restart pemba, then read what it changed").Because(err)
		}
		r.failed, r.batch, r.before = err, nil, nil
		if err == nil {
			r.store.head.Store(r.head)
			r.store.news.ring()
		}
	})
	return r.failed
}

// judged asks judge. Its snapshot is closed before the disk is waited for.
func (s *Store) judged(judge func(*Snapshot) (Commit, error), last *head, now time.Time) (Commit, error) {
	snap, err := s.open(last, last.revision, now)
	if err != nil {
		return Commit{}, err
	}
	defer snap.Close()
	c, err := judge(snap)
	if err != nil {
		return Commit{}, err
	}
	if err := c.Fits(); err != nil {
		return Commit{}, err
	}
	if invariant.Enabled {
		if err := c.mustBeNet(snap); err != nil {
			return Commit{}, err
		}
	}
	return c, nil
}

// Fits says whether a commit is small enough for one revision.
func (c *Commit) Fits() error {
	if n := c.tuples(); n > tuplesPerCommitMax {
		return fault.Newf(fault.JudgingMustStayWithinBudget, "the write changes %d tuples at once", n).
			Do("change at most %d in one write", tuplesPerCommitMax)
	}
	if n := c.bytes(); n > bytesPerCommitMax {
		return fault.Newf(fault.JudgingMustStayWithinBudget, "the write changes tuples of %d bytes at once", n).
			Do("change at most %d bytes in one write", bytesPerCommitMax)
	}
	return nil
}

// bytes is how long the texts of a commit are together.
func (c *Commit) bytes() int {
	n := len(c.Metadata)
	for _, tuples := range [][]rel.Tuple{c.Put, c.Touch, c.Delete} {
		for _, t := range tuples {
			n += len(t.Object.Type()) + len(t.Object.ID()) + len(t.Relation) +
				len(t.Subject.Type()) + len(t.Subject.ID()) + len(t.Subject.Relation()) +
				attributesBytes(t)
		}
	}
	return n
}

// write makes a commit the next revision and hands it to the disk. A commit that
// is a request alone is written on top of the last one, and is no revision.
func (s *Store) write(c *Commit, last *revising, now time.Time) (*revising, error) {
	next := last.head
	if !c.isEmpty() {
		next = &head{revision: last.head.revision + 1, micros: now.UnixMicro(), schema: last.head.schema}
	}
	if c.Schema != nil {
		next.schema = &SchemaVersion{Number: c.Schema.Number, Text: c.Schema.Text, Written: now, Revision: next.revision}
	}
	batch := s.db.pebble.NewBatch()
	if !c.isEmpty() {
		if err := s.fill(batch, c, next); err != nil {
			return nil, errors.Join(err, batch.Close())
		}
	}
	oldest, err := s.fillRequests(batch, c, next.revision, now)
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := s.db.beginSync(batch); err != nil {
		return nil, fault.New(fault.DiskMustTakeWrites, "the disk did not take the write").
			Do("it may have been kept or not: restart pemba, then read what it changed").Because(err)
	}
	s.oldestRequest = oldest
	return &revising{head: next, before: last, batch: batch, store: s}, nil
}

// fill puts everything that a revision is into one batch: both indexes, the
// expiries, the schema, and the change log's entry.
func (s *Store) fill(batch *pebble.Batch, c *Commit, next *head) error {
	var key, value, log []byte
	tombstone := []byte{stateTombstone}
	set := func(t rel.Tuple, value []byte) error {
		key = appendSuffix(appendForward(key[:0], s.number, t.Key), next.revision)
		if err := batch.Set(key, value, nil); err != nil {
			return err
		}
		key = appendSuffix(appendReverse(key[:0], s.number, t.Key), next.revision)
		if err := batch.Set(key, value, nil); err != nil || t.Expires.Never() || len(value) == len(tombstone) {
			return err
		}
		key = appendSuffix(appendExpiring(key[:0], s.number, t.Expires, t.Key), next.revision)
		return batch.Set(key, nil, nil)
	}
	for _, tuples := range [][]rel.Tuple{c.Put, c.Touch} {
		for _, t := range tuples {
			value = appendValue(value[:0], t)
			if err := set(t, value); err != nil {
				return err
			}
		}
	}
	for _, t := range c.Delete {
		if err := set(t, tombstone); err != nil {
			return err
		}
	}
	for _, entry := range c.expired {
		if err := batch.Delete(entry, nil); err != nil {
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
func (db *DB) sync(batch *pebble.Batch) error {
	if err := db.beginSync(batch); err != nil {
		return err
	}
	return db.awaitSync(batch)
}

// beginSync makes a batch visible and hands it to the disk.
//
// Batch.Commit is not used: when the fsync fails it calls Fatalf and then
// returns nil, which would end the process for a full disk, or acknowledge what
// is not there. The two halves of it return the error. Whatever else goes wrong,
// a panic of Pebble included, the outcome is unknown, so writing stops.
func (db *DB) beginSync(batch *pebble.Batch) error {
	return db.orStop(func() error { return db.pebble.ApplyNoSyncWait(batch, pebble.Sync) })
}

// awaitSync waits for the fsync of a batch that was handed over.
func (db *DB) awaitSync(batch *pebble.Batch) error {
	if err := db.orStop(batch.SyncWait); err != nil {
		return err
	}
	return batch.Close()
}

// orStop stops writing when half of a commit fails, or does not return.
func (db *DB) orStop(half func() error) error {
	done := false
	defer func() {
		if !done {
			db.stopWriting(errors.New("a commit did not return"))
		}
	}()
	err := half()
	done = true
	if err != nil {
		db.stopWriting(err)
	}
	return err
}

// mustBeNet finds a caller that names a change which is none. Admission hands
// over net changes; were it wrong, the indexes would still agree, but the log
// would tell Watch of changes that never were.
func (c *Commit) mustBeNet(snap *Snapshot) error {
	named := make(map[rel.Key]bool, c.tuples())
	for _, part := range []struct {
		what   string
		tuples []rel.Tuple
		net    func(t, was rel.Tuple, found bool) bool
	}{
		{"put", c.Put, func(_, _ rel.Tuple, found bool) bool { return !found }},
		{"touch", c.Touch, func(t, was rel.Tuple, found bool) bool { return found && t != was }},
		{"delete", c.Delete, func(t, was rel.Tuple, found bool) bool { return found && t == was }},
	} {
		for _, t := range part.tuples {
			if named[t.Key] {
				panic(fmt.Sprintf("pemba: %v is named twice in one commit", t))
			}
			named[t.Key] = true
			was, found, err := snap.Find(t.Key)
			if c.Cause == CauseExpired {
				was, _, found, err = snap.newestVersion(t.Key)
				found = found && was.Expires.PassedAt(snap.now)
			}
			if err != nil {
				return err
			}
			if !part.net(t, was, found) {
				panic(fmt.Sprintf("pemba: to %s %v is no net change at revision %d: there is %v, %t", part.what, t, snap.revision, was, found))
			}
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

// gone says why a caller stopped waiting, and for what. Where the context was
// ended with a fault, as by the server's own patience, that says it.
func gone(ctx context.Context, before string) error {
	if f := fault.Of(context.Cause(ctx)); f != nil {
		return f
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.Newf(fault.DeadlineMustNotPass, "the deadline passed before %s", before).
			Do("retry with more time").Because(context.Cause(ctx))
	}
	return fault.Newf(fault.CallerMustStay, "the caller left before %s", before).
		Do("wait for the answer").Because(context.Cause(ctx))
}
