package tupledb

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// How long the past is kept, where nobody says so, for ever, and at the least. The
// least is far above the time of one question: what was the newest state when a
// question began is within the history until it ends.
const (
	HistoryDefault = 30 * 24 * time.Hour
	HistoryForever = time.Duration(1<<63 - 1)
	HistoryMin     = time.Minute
)

// The floor is the oldest revision of a store that can be read: the last one that
// was committed before the history begins, 0 while there is none. It only rises.
// It is on the disk before anything below it is deleted, and in memory before
// that: so whoever finds it at or below their revision, after they have opened an
// iterator, reads through that iterator a history that is whole.

// Floor is the oldest revision that can be read.
func (s *Store) Floor() rel.Revision { return rel.Revision(s.floor.Load()) }

// mustBeWithinHistory refuses what is below the floor.
func (s *Store) mustBeWithinHistory(r rel.Revision) error {
	floor := s.Floor()
	if r >= floor {
		return nil
	}
	return fault.Newf(fault.SnapshotMustBeWithinHistory, "revision %d of store %s is past the history that is kept, which begins at revision %d", r, s.name, floor).
		Do("ask for a newer state, or begin the list anew; how much is kept is said where pemba is started, by --history")
}

// Collect forgets a bounded piece of what is past the history; more says whether
// some is left. It holds nobody up but for the disk.
//
// It goes along the change log from its beginning to below the floor. What a change
// replaced is needed by no revision from the change's own on, so the version before
// it goes, in both indexes and among the expiries, and a deletion goes itself, since
// then nothing is below it. The change goes with the last of that, so the beginning
// of the log is how far it has come, and doing the last piece again does no harm. An
// import replaced nothing: it found no tuple, an expired one neither.
// None of it waits for an fsync.
func (s *Store) Collect(ctx context.Context) (more bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	if s.load.Load() != nil {
		return false, nil // it would write between the keys that are being loaded
	}
	s.collecting.Lock()
	defer s.collecting.Unlock()
	if err := s.mustNotEnd(); err != nil {
		return false, err
	}
	if err := s.raiseFloor(); err != nil {
		return false, err
	}
	floor := s.Floor()
	if s.collects && s.collected == floor {
		return false, nil
	}
	c := collector{store: s, batch: s.db.pebble.NewBatch()}
	defer func() { _ = c.batch.Close() }()
	if c.probe, err = s.iterator(); err != nil {
		return false, err
	}
	defer func() { _ = c.probe.Close() }()
	if more, err = c.run(ctx); err == nil && !more {
		s.collected, s.collects = floor, true
	}
	return more, err
}

// raiseFloor publishes a floor on the disk, and then in memory. A look at the
// change after the floor says whether there is a higher one.
func (s *Store) raiseFloor() error {
	h, floor := s.head.Load(), s.Floor()
	if s.db.history == HistoryForever || floor == h.revision {
		return nil
	}
	begins := s.db.clock().Add(-s.db.history).UnixMicro()
	if s.floorNext != floor+1 {
		next, err := s.timeOf(floor + 1)
		if err != nil {
			return err
		}
		s.floorNext, s.floorTime = floor+1, next
	}
	if s.floorTime > begins {
		return nil
	}
	r, _, err := s.revisionAt(h, begins)
	if err != nil || r <= floor {
		return err
	}
	if err := s.db.takesWrites(); err != nil {
		return err
	}
	batch := s.db.pebble.NewBatch()
	if err := batch.Set(appendFloorKey(nil, s.number), binary.AppendUvarint(nil, uint64(r)), nil); err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := s.db.sync(batch); err != nil {
		return fault.New(fault.DiskMustTakeWrites, "the disk did not confirm where the history begins").
			Do("restart pemba: nothing was forgotten").Because(err)
	}
	s.floor.Store(uint64(r))
	return nil
}

// timeOf is when a revision that the log has was committed.
func (s *Store) timeOf(r rel.Revision) (micros int64, err error) {
	it, err := s.iterator()
	if err != nil {
		return 0, err
	}
	defer func() { _ = it.Close() }()
	return s.commitTime(it, r)
}

// loadFloor reads the floor when the store is opened.
func (s *Store) loadFloor() error {
	value, closer, err := s.get(appendFloorKey(nil, s.number))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = closer.Close() }()
	floor, rest, ok := nextCount(value)
	if !ok || len(rest) > 0 || floor == 0 {
		return corrupt("where the history of store %s begins is not of the form that pemba writes", s.name)
	}
	s.floor.Store(floor)
	return nil
}

// A collector deletes what is past the history.
type collector struct {
	store   *Store
	probe   iterator
	batch   *pebble.Batch
	changes int // looked at since the last batch was applied
	key     []byte
}

func (c *collector) run(ctx context.Context) (more bool, err error) {
	log, err := c.store.iteratorOver(appendChangeKey(nil, c.store.number, 0), appendChangeKey(nil, c.store.number, c.store.Floor()))
	if err != nil {
		return false, err
	}
	defer func() { _ = log.Close() }()
	changes := 0
	for log.First(); log.Valid(); log.Next() {
		if changes >= collectedAtOnceMax {
			return true, c.apply(ctx)
		}
		r, ok := revisionOfChangeKey(log.Key())
		if !ok {
			return false, corrupt("key %v is not of the form that pemba writes", keyText(log.Key()))
		}
		change, err := readChange(log, r)
		if err != nil {
			return false, err
		}
		if err := c.collect(ctx, &change); err != nil {
			return false, err
		}
		changes += 1 + len(change.Put) + len(change.Touch) + len(change.Delete)
	}
	if err := log.Error(); err != nil {
		return false, unreadable(err)
	}
	return false, c.apply(ctx)
}

// collect forgets one change, in several batches where it is a large one.
func (c *collector) collect(ctx context.Context, change *Change) error {
	for _, part := range []struct {
		tuples  []rel.Tuple
		deleted bool
	}{{change.Put, false}, {change.Touch, false}, {change.Delete, true}} {
		for _, t := range part.tuples {
			if err := c.tuple(t.Key, change.Revision, part.deleted); err != nil {
				return err
			}
			if c.changes >= collectedAtOnceMax {
				if err := c.apply(ctx); err != nil {
					return err
				}
			}
		}
	}
	if change.Schema != 0 {
		older, err := c.before(appendSchemaPrefix(c.key[:0], c.store.number), change.Revision)
		if err == nil && older != 0 {
			err = c.batch.Delete(c.probe.Key(), nil)
		}
		if err != nil {
			return err
		}
	}
	c.changes++
	return c.batch.Delete(appendChangeKey(nil, c.store.number, change.Revision), nil)
}

// tuple forgets the version that a change replaced, and the change's own where it
// is a deletion. An older one is not there: the change that made this one took it.
func (c *collector) tuple(k rel.Key, r rel.Revision, deleted bool) error {
	c.changes++
	n := c.store.number
	older, err := c.before(appendForward(c.key[:0], n, k), r)
	if err != nil {
		return err
	}
	if older != 0 {
		_, carried, ok := parseValue(c.probe.Value())
		if !ok {
			return corrupt("%v has a value that is not of the form that pemba writes", keyText(c.probe.Key()))
		}
		if err := c.version(k, older); err != nil {
			return err
		}
		if carried.expires != 0 {
			if err := c.batch.Delete(appendSuffix(appendExpiring(nil, n, carried.expires, k), older), nil); err != nil {
				return err
			}
		}
	}
	if deleted {
		return c.version(k, r)
	}
	return nil
}

func (c *collector) version(k rel.Key, r rel.Revision) error {
	if err := c.batch.Delete(appendSuffix(appendForward(nil, c.store.number, k), r), nil); err != nil {
		return err
	}
	return c.batch.Delete(appendSuffix(appendReverse(nil, c.store.number, k), r), nil)
}

// before goes to the newest version of a prefix below a revision; 0 where there is
// none.
func (c *collector) before(prefix []byte, r rel.Revision) (older rel.Revision, err error) {
	c.key = appendSuffix(prefix, r-1)
	if c.probe.SeekPrefixGE(c.key) {
		key := c.probe.Key()
		return revisionOf(key[splitKey(key):]), nil
	}
	if err := c.probe.Error(); err != nil {
		return 0, unreadable(err)
	}
	return 0, nil
}

// apply deletes what was found so far.
func (c *collector) apply(ctx context.Context) error {
	if err := fault.Ended(ctx); err != nil {
		return err
	}
	if err := c.store.mustNotEnd(); err != nil {
		return err
	}
	if c.batch.Empty() {
		return nil
	}
	if err := c.store.db.applyUnsynced(c.batch); err != nil {
		return err
	}
	err := c.batch.Close()
	c.batch, c.changes = c.store.db.pebble.NewBatch(), 0
	return err
}
