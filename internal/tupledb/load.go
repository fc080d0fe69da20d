package tupledb

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Load is the bulk load of a store without tuples: many tuples become one
// revision, the one after the store's head.
//
// While it lasts nobody else reads or writes the store, so that nobody takes the
// revision, and nothing has to be judged before the end. Tuples come in chunks:
// each is sorted and written as tables, which Pebble takes in as they are, together
// with the mark that says how far the load has come. So what the mark counts is
// there, through every power cut. Where a tuple comes twice, the later one covers
// the earlier: both are of one revision, and of two equal keys Pebble shows the
// one that it took in later.
//
// A load through batches would write each tuple into Pebble's log, a memtable and a
// table before it comes to where a chunk is written at once, and costs four times
// as much.
type Load struct {
	store    *Store
	revision rel.Revision

	turn  chan struct{} // holds one token: whoever has it may change the load
	mark  atomic.Pointer[loadMark]
	ended bool // it is finished or discarded; for whoever has the turn
}

func newLoad(s *Store, m loadMark) *Load {
	l := &Load{store: s, revision: m.revision, turn: make(chan struct{}, 1)}
	l.mark.Store(&m)
	l.turn <- struct{}{}
	return l
}

// ID is the import's.
func (l *Load) ID() rel.ImportID { return l.mark.Load().id }

// Loaded is how many tuples of the import are on the disk.
func (l *Load) Loaded() uint64 { return l.mark.Load().loaded }

// Before shows the store as the load found it, without a tuple: its schema is the
// one that the tuples must fit. The caller closes it.
func (l *Load) Before() (*Snapshot, error) {
	s := l.store
	if err := s.enter(); err != nil {
		return nil, err
	}
	h := s.head.Load()
	return &Snapshot{store: s, head: h, revision: h.revision, now: s.now(h)}, nil
}

// NewChunk is an empty chunk that begins after what is loaded.
func (l *Load) NewChunk() *Chunk { return &Chunk{load: l, first: l.Loaded()} }

// Load is the bulk load under way; nil where there is none.
func (s *Store) Load() *Load { return s.load.Load() }

// Imported is the import that was the last to be loaded in bulk and published: its
// id, how many tuples it sent, and the state with them. The id is empty where there
// was none.
func (s *Store) Imported() (id rel.ImportID, sent uint64, at rel.Snapshot) {
	m := s.imported.Load()
	if m == nil {
		return "", 0, rel.Snapshot{}
	}
	return m.id, m.loaded, s.token(m.revision)
}

// MustNotBeLoading refuses whatever needs the store while a load has it.
func (s *Store) MustNotBeLoading() error {
	if l := s.load.Load(); l != nil {
		return errLoading(s.name, l)
	}
	return nil
}

func errLoading(name rel.Store, l *Load) error {
	m := l.mark.Load()
	return fault.Newf(fault.StoreMustNotBeLoading, "the store %s is being loaded by the import %q, which has loaded %s", name, m.id, fault.Counted(m.loaded, "tuple")).
		Do("retry when the import is finished; if nobody goes on with it, finish or discard it, with ImportTuples or pemba import").
		With("import_id", string(m.id))
}

// BeginLoad begins the bulk load of an import, if the store has no tuples and judge
// has nothing against it, who sees the store as it is. A load of the same import
// that is under way is gone on with. Nil without an error says that the store has
// tuples, and nothing was begun.
func (s *Store) BeginLoad(ctx context.Context, id rel.ImportID, judge func(*Snapshot) error) (*Load, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	// What has expired is no tuple, but it is stored, and would be in the way of
	// the history: a version that nobody deleted.
	for more := true; more && s.load.Load() == nil; {
		var err error
		if _, more, err = s.DeleteExpired(ctx); err != nil {
			return nil, err
		}
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return nil, gone(ctx, nothingWritten)
	}
	defer func() { s.turn <- struct{}{} }()
	if err := s.mustBeHere(); err != nil {
		return nil, err
	}
	if l := s.load.Load(); l != nil {
		if l.ID() != id {
			return nil, errLoading(s.name, l)
		}
		return l, nil
	}
	if err := s.db.takesWrites(); err != nil {
		return nil, err
	}
	if err := s.newest.published(s.db); err != nil {
		return nil, err
	}
	h := s.head.Load()
	empty, fresh, err := s.isWithoutTuples(ctx, h)
	if err != nil || !empty {
		return nil, err
	}
	snap, err := s.open(h, h.revision, s.now(h))
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	if err := judge(snap); err != nil {
		return nil, err
	}
	l := newLoad(s, loadMark{state: loadLoading, fresh: fresh, revision: h.revision + 1, id: id})
	if err := l.ingest(*l.mark.Load()); err != nil {
		return nil, err
	}
	s.load.Store(l)
	return l, nil
}

// isWithoutTuples reports whether no tuple is stored, an expired one neither, and
// whether none ever was as far as is remembered.
func (s *Store) isWithoutTuples(ctx context.Context, h *head) (empty, fresh bool, err error) {
	for _, k := range []kind{kindForward, kindReverse, kindExpiry} {
		it, err := s.iteratorOver(s.boundsOf(k))
		if err != nil {
			return false, false, err
		}
		found := it.First()
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return false, false, unreadable(err)
		}
		if found {
			empty, err := s.hasTombstonesAlone(ctx, h)
			return empty, false, err
		}
	}
	return true, true, nil
}

func (s *Store) hasTombstonesAlone(ctx context.Context, h *head) (bool, error) {
	snap, err := s.open(h, h.revision, time.UnixMicro(0)) // when nothing had expired
	if err != nil {
		return false, err
	}
	defer snap.Close()
	snap.Bound(verifyStride, func(int) error { return fault.Ended(ctx) })
	for _, err := range snap.Tuples(rel.Filter{}, nil) {
		return false, err
	}
	return true, nil
}

// HasTuples reports whether the store has any tuple, which ends the chance of a bulk
// load.
func (s *Store) HasTuples(ctx context.Context) (bool, error) {
	if err := s.MustNotBeLoading(); err != nil {
		return false, err
	}
	empty, err := s.hasTombstonesAlone(ctx, s.head.Load())
	return !empty, err
}

// boundsOf are all keys of a kind.
func (s *Store) boundsOf(k kind) (from, to []byte) {
	return append(appendKind(nil, s.number, k), 0), appendKindEnd(nil, s.number, k)
}

// begin takes the load's turn. A load that has ended in the meantime is gone on with
// by nobody, and so is one whose store was deleted.
func (l *Load) begin(ctx context.Context) (leave func(), err error) {
	if err := l.store.enter(); err != nil {
		return nil, err
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		l.store.leave()
		return nil, gone(ctx, "the import's turn came")
	}
	leave = func() {
		l.turn <- struct{}{}
		l.store.leave()
	}
	if err := l.store.mustBeHere(); err != nil {
		leave()
		return nil, err
	}
	if ctx.Err() != nil { // and the turn was free, too
		leave()
		return nil, gone(ctx, "the import's turn came")
	}
	if l.ended {
		leave()
		return nil, fault.Newf(fault.ImportMustContinue, "the import %q was finished or discarded by another call", l.ID()).
			Do("ask how far it is: open a stream with its import_id, send no tuples, and close it")
	}
	return leave, nil
}

// Write takes a chunk in. When it returns, the chunk's tuples are on the disk and
// counted, or none of them is.
//
// Where another stream of the same import has loaded all of the chunk meanwhile,
// nothing is left to do. Where it has loaded a part of it, loading that again does
// no harm: the chunk has everything that came after it, too.
func (l *Load) Write(ctx context.Context, c *Chunk) error {
	leave, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m := *l.mark.Load()
	switch {
	case m.state != loadLoading:
		return errDiscarding(m)
	case c.Reaches() <= m.loaded:
		return nil
	case c.first > m.loaded:
		return fault.Newf(fault.ImportMustContinue, "tuples from %d on were sent, and %s of the import %q were loaded", c.first, fault.Counted(m.loaded, "tuple"), m.id).
			Do("go on from %d", m.loaded).With("loaded_count", strconv.FormatUint(m.loaded, 10))
	}
	if err := l.store.db.takesWrites(); err != nil {
		return err
	}
	if err := l.settle(ctx, loadSublevelsMax); err != nil {
		return err
	}
	paths, err := c.tables()
	if err != nil {
		l.store.db.loads.remove(paths...)
		return errNotLoaded(err)
	}
	m.loaded = c.Reaches()
	if err := l.ingest(m, paths...); err != nil {
		return err
	}
	l.mark.Store(&m)
	return nil
}

// settle lets a load wait for compactions that do not keep up with it. They do where
// they have a core of their own, but tables are taken in whatever is there already:
// in the end reads would be slow, and ordinary writes would be stopped.
func (l *Load) settle(ctx context.Context, sublevels int32) error {
	db := l.store.db
	if db.pebble.Metrics().Levels[0].Sublevels <= sublevels {
		return nil
	}
	from, to := storeBounds(l.store.number)
	err := db.pebble.Compact(ctx, from, to, false)
	if ended := fault.Ended(ctx); ended != nil {
		return ended
	} else if err != nil {
		return errNotLoaded(err)
	}
	return nil
}

func errDiscarding(m loadMark) error {
	return fault.Newf(fault.ImportMustContinue, "the import %q is being discarded", m.id).
		Do("discard it once more, then begin anew")
}

func errNotLoaded(err error) error {
	return fault.New(fault.DiskMustTakeWrites, "the disk did not take the tuples").
		Do("make room on the disk of the data directory, then go on with the import from where it is").Because(err)
}

// ingest hands tables over to Pebble, and with them the mark: all of it is there
// afterwards, through a power cut too, or none of it is.
//
// The mark stands in a table, and not in a batch, because a key of it in a memtable
// would let every further chunk wait for a flush.
func (l *Load) ingest(m loadMark, paths ...string) error {
	db := l.store.db
	mark, err := db.loads.table(func(w *sstable.Writer) error {
		return w.Set(appendLoadKey(nil, l.store.number), m.encode())
	})
	if err != nil {
		db.loads.remove(paths...)
		return errNotLoaded(err)
	}
	paths = append(paths, mark)
	// Whatever goes wrong from here on, what Pebble has of it is unknown.
	if err := db.orStop(func() error { return db.pebble.Ingest(context.Background(), paths) }); err != nil {
		db.loads.remove(paths...)
		return errNotLoaded(err)
	}
	return nil
}

// Finish publishes what was loaded, if judge has nothing against it, who sees the
// store with it; otherwise the load stays as it is. The entry in the change log is
// what makes the revision, so until that is on the disk nothing of the load is in
// any state.
func (l *Load) Finish(ctx context.Context, metadata []byte, judge func(*Snapshot) error) (rel.Snapshot, error) {
	leave, err := l.begin(ctx)
	if err != nil {
		return rel.Snapshot{}, err
	}
	defer leave()
	s := l.store
	m := *l.mark.Load()
	if m.state != loadLoading {
		return rel.Snapshot{}, errDiscarding(m)
	}
	count, err := l.tidy(ctx)
	if err != nil {
		return rel.Snapshot{}, err
	}
	if count == 0 { // it has begun, and no more: there is nothing to publish
		return s.Head(), l.drop(s.db.pebble.NewBatch())
	}
	if err := l.judged(judge); err != nil {
		return rel.Snapshot{}, err
	}
	if err := fault.Ended(ctx); err != nil {
		return rel.Snapshot{}, err
	}
	// The turn is free but for those who find the store loading.
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	last := s.newest.head
	now := max(s.db.clock().UnixMicro(), last.micros+1, s.settled.Load()+1)
	next := &head{revision: l.revision, micros: now, schema: last.schema}
	m.state = loadFinished
	batch := s.db.pebble.NewBatch()
	change := appendChange(nil, &Commit{Cause: CauseImported, Metadata: metadata, imported: count}, now)
	if err := errors.Join(
		batch.Set(appendChangeKey(nil, s.number, l.revision), change, nil),
		batch.Set(appendLoadKey(nil, s.number), m.encode(), nil),
	); err != nil {
		return rel.Snapshot{}, errors.Join(err, batch.Close())
	}
	if err := s.db.sync(batch); err != nil {
		return rel.Snapshot{}, fault.New(fault.DiskMustTakeWrites, "the disk did not confirm the import").
			Do("it may have been finished or not: restart pemba, then finish it again").Because(err)
	}
	s.newest = &revising{head: next, store: s}
	s.head.Store(next)
	s.imported.Store(&m)
	l.ended = true
	s.load.Store(nil)
	s.news.ring()
	return s.token(l.revision), nil
}

// judged shows the store to judge as it will be.
func (l *Load) judged(judge func(*Snapshot) error) error {
	s := l.store
	h := *s.head.Load()
	h.revision = l.revision
	if err := s.enter(); err != nil {
		return err
	}
	snap := &Snapshot{store: s, head: &h, revision: l.revision, now: s.now(&h)}
	defer snap.Close()
	return judge(snap)
}

// tidy counts the tuples that were loaded, and deletes the expiries of those that
// came twice, the later time with another expiry or none.
func (l *Load) tidy(ctx context.Context) (count uint64, err error) {
	s := l.store
	if err := l.versions(ctx, kindForward, func(iterator) error { count++; return nil }); err != nil {
		return 0, err
	}
	probe, err := s.iterator()
	if err != nil {
		return 0, err
	}
	defer func() { _ = probe.Close() }()
	var covered [][]byte
	var key []byte
	err = l.versions(ctx, kindExpiry, func(it iterator) error {
		expires, k, ok := parseExpiring(it.Key()[fieldsAt:splitKey(it.Key())])
		if !ok {
			return corrupt("key %v is not of the form that pemba writes", keyText(it.Key()))
		}
		key = appendSuffix(appendForward(key[:0], s.number, k), l.revision)
		there := probe.SeekPrefixGE(key) && bytes.Equal(probe.Key(), key)
		if err := probe.Error(); err != nil {
			return unreadable(err)
		}
		if !there {
			return corrupt("%v is to expire, and is not in the forward index", keyText(key))
		}
		if _, carried, ok := parseValue(probe.Value()); !ok {
			return corrupt("%v has a value that is not of the form that pemba writes", keyText(key))
		} else if carried.expires != expires {
			covered = append(covered, bytes.Clone(it.Key()))
		}
		if len(covered) < loadSweptAtOnceMax {
			return nil
		}
		err := s.forget(covered)
		covered = covered[:0]
		return err
	})
	if err == nil {
		err = s.forget(covered)
	}
	return count, err
}

// versions visits the keys of a kind that are of the load's revision.
func (l *Load) versions(ctx context.Context, k kind, each func(iterator) error) error {
	it, err := l.store.iteratorOver(l.store.boundsOf(k))
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	n := 0
	for it.First(); it.Valid(); it.Next() {
		if n++; n%verifyStride == 0 {
			if err := fault.Ended(ctx); err != nil {
				return err
			}
		}
		if key := it.Key(); revisionOf(key[splitKey(key):]) != l.revision {
			continue
		}
		if err := each(it); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return unreadable(err)
	}
	return nil
}

// Discard gives the load up: its tuples are deleted, and the store is as it was
// before. Of a store that never had a tuple everything goes at once; where history
// is between the tuples, they go one by one, and a Discard that was interrupted is
// to be repeated.
func (l *Load) Discard(ctx context.Context) error {
	leave, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s := l.store
	if err := s.db.takesWrites(); err != nil {
		return err
	}
	m, batch := *l.mark.Load(), s.db.pebble.NewBatch()
	if !m.fresh {
		err = l.sweep(ctx, m)
	}
	for _, k := range []kind{kindForward, kindReverse, kindExpiry} {
		if from, to := s.boundsOf(k); m.fresh && err == nil {
			err = batch.DeleteRange(from, to, nil)
		}
	}
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	return l.drop(batch)
}

// drop ends the load with a batch that leaves nothing of it.
func (l *Load) drop(batch *pebble.Batch) error {
	s := l.store
	if err := batch.Delete(appendLoadKey(nil, s.number), nil); err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := s.db.sync(batch); err != nil {
		return fault.New(fault.DiskMustTakeWrites, "the disk did not confirm that the import was discarded").
			Do("restart pemba, then discard it again").Because(err)
	}
	l.ended = true
	s.load.Store(nil)
	return nil
}

// sweep deletes the load's versions. From its first deletion on the load cannot be
// gone on with, and the mark says so.
func (l *Load) sweep(ctx context.Context, m loadMark) error {
	s := l.store
	m.state = loadDiscarding
	if err := l.ingest(m); err != nil {
		return err
	}
	l.mark.Store(&m)
	var keys [][]byte
	for _, k := range []kind{kindExpiry, kindForward, kindReverse} {
		err := l.versions(ctx, k, func(it iterator) error {
			keys = append(keys, bytes.Clone(it.Key()))
			if len(keys) < loadSweptAtOnceMax {
				return nil
			}
			err := s.forget(keys)
			keys = keys[:0]
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.forget(keys)
}
