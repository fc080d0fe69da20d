package tupledb

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// The stores of a DB are found in a map that is replaced, never changed, when one is
// created or deleted: every request looks its store up, and none of them waits.
//
// A store is deleted in one batch, and is not there from then on; what it was on the
// disk is given back when Pebble merges the tables it is in. Nobody finds half of it:
//
//   - The deletion takes the store's write turn, so every write before it is
//     published, and every write after it is refused.
//   - It takes the turn of a bulk load, too, whose tables are no writes.
//   - Whoever collects what is past the history is waited for, a bounded piece of work.
//   - Readers are told before anything is deleted. Who has an iterator open reads on
//     in what that sees, which is whole; who opens one looks afterwards whether the
//     store is still there, and is refused if not. So what was deleted is never
//     answered as what is not there.
//   - Pebble shows a deletion before the disk has it, as it does a write. Who comes in
//     between waits for the disk: that a store is gone is shown once it is so for ever.

// Store finds a store by its name.
func (db *DB) Store(name rel.Store) (*Store, error) {
	s, ok := (*db.stores.Load())[name]
	if !ok {
		return nil, fault.Newf(fault.StoreMustExist, "there is no store %s", name).
			Do("see which there are: pemba store list, or StoreService.ListStores; or make it: pemba store create %s", name)
	}
	return s, nil
}

// Stores are all of them, by name.
func (db *DB) Stores() []*Store {
	return slices.SortedFunc(maps.Values(*db.stores.Load()), func(a, b *Store) int { return cmp.Compare(a.name, b.name) })
}

// publishStores replaces the map by one that was changed.
func (db *DB) publishStores(change func(map[rel.Store]*Store)) {
	stores := maps.Clone(*db.stores.Load())
	change(stores)
	db.stores.Store(&stores)
}

// Created is when the store was created.
func (s *Store) Created() time.Time { return inMicros(s.createdMicros) }

// takeStoring waits for the turn to create or delete stores, of which there is one
// at a time. Whoever has it gives it back.
func (db *DB) takeStoring(ctx context.Context, before string) error {
	select {
	case <-db.storing:
	case <-ctx.Done():
		return gone(ctx, before)
	}
	err := db.takesWrites()
	if ctx.Err() != nil {
		err = gone(ctx, before)
	}
	if err != nil {
		db.storing <- struct{}{}
	}
	return err
}

// CreateStore makes an empty store, which is on the disk when it is returned. If ctx
// ends before the store is handed to the disk, none is made; after that the result
// is awaited.
func (db *DB) CreateStore(ctx context.Context, name rel.Store) (*Store, error) {
	if !db.use.enter() {
		return nil, errShut()
	}
	defer db.use.leave()
	if err := db.takeStoring(ctx, "the store was created; there is none"); err != nil {
		return nil, err
	}
	defer func() { db.storing <- struct{}{} }()
	stores := *db.stores.Load()
	if stores[name] != nil {
		return nil, fault.Newf(fault.AlreadyExistsCreate, "there is a store %s already", name).
			Do("use that one, or choose another name")
	}
	if len(stores) >= storesMax {
		return nil, fault.Newf(fault.StoresMustStayWithinBounds, "there are %d stores, which is as many as one server keeps", len(stores)).
			Do("delete one that nobody needs, or put further ones on another server")
	}
	batch := db.pebble.NewBatch()
	s, err := db.found(batch, name)
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := db.sync(batch); err != nil {
		return nil, fault.Newf(fault.DiskMustTakeWrites, "the disk did not confirm the store %s", name).
			Do("it may have been created or not: restart pemba, then list the stores").Because(err)
	}
	db.publishStores(func(stores map[rel.Store]*Store) { stores[name] = s })
	return s, nil
}

// found puts into a batch what makes a new store, with a number that no store had.
// A number that is drawn for a batch which is not written is left out.
func (db *DB) found(batch *pebble.Batch, name rel.Store) (*Store, error) {
	incarnation, err := db.newIncarnation()
	if err != nil {
		return nil, err
	}
	if db.lastNumber == storeNumberMax {
		return nil, fault.New(fault.StoresMustStayWithinBounds, "four billion stores have been created here, and no number is used again").
			Do("put further ones on another server")
	}
	db.lastNumber++
	s := db.newStore(name, storeRecord{number: db.lastNumber, incarnation: incarnation, createdMicros: db.clock().UnixMicro()})
	h := new(head)
	s.head.Store(h)
	s.newest = &revising{head: h, store: s}
	if err := batch.Set(appendMetaKey(nil, "number"), binary.AppendUvarint(nil, uint64(db.lastNumber)), nil); err != nil {
		return nil, err
	}
	return s, batch.Set(storeKey(name), s.record().encode(), nil)
}

// newIncarnation draws one that no store has.
func (db *DB) newIncarnation() (rel.Incarnation, error) {
	stores := *db.stores.Load()
	for {
		drawn, err := drawIncarnation(db.random)
		if err != nil {
			return 0, err
		}
		taken := false
		for _, s := range stores {
			taken = taken || s.incarnation == drawn
		}
		if !taken {
			return drawn, nil
		}
	}
}

// DeleteStore takes a store away with all that it holds, and returns the last state
// that it had. The store default is at once made anew, empty: there always is one,
// and it is another one from then on.
//
// It waits for the store's write turn. If ctx ends before the deletion is handed to
// the disk, nothing is deleted; after that the result is awaited.
func (db *DB) DeleteStore(ctx context.Context, name rel.Store) (last rel.Snapshot, err error) {
	s, err := db.Store(name)
	if err != nil {
		return rel.Snapshot{}, err
	}
	if err := s.enter(); err != nil {
		return rel.Snapshot{}, err
	}
	defer s.leave()
	const before = "the store was deleted; it is as it was"
	giveBack, err := s.takeTurns(ctx, before)
	if err != nil {
		return rel.Snapshot{}, err
	}
	defer giveBack()
	if err := s.mustBeHere(); err != nil { // another deletion had the turn before
		return rel.Snapshot{}, err
	}
	if err := s.newest.published(db); err != nil {
		return rel.Snapshot{}, err
	}
	if err := db.takeStoring(ctx, before); err != nil {
		return rel.Snapshot{}, err
	}
	defer func() { db.storing <- struct{}{} }()
	batch := db.pebble.NewBatch()
	heir, err := s.erase(batch)
	if err != nil {
		return rel.Snapshot{}, errors.Join(err, batch.Close())
	}
	s.ending.Store(true)
	s.collecting.Lock()
	defer s.collecting.Unlock()
	return s.Head(), s.end(batch, heir)
}

// takeTurns waits for the write turn, and before it for the turn of a bulk load that
// is under way: its tables come beside all writers, and none may come after the
// deletion. A load can begin and end while nobody has the store's turn.
func (s *Store) takeTurns(ctx context.Context, before string) (giveBack func(), err error) {
	for {
		l := s.load.Load()
		if l != nil {
			select {
			case <-l.turn:
			case <-ctx.Done():
				return nil, gone(ctx, before)
			}
		}
		giveLoadBack := func() {
			if l != nil {
				l.turn <- struct{}{}
			}
		}
		select {
		case <-s.turn:
		case <-ctx.Done():
			giveLoadBack()
			return nil, gone(ctx, before)
		}
		if s.load.Load() == l {
			return func() {
				s.turn <- struct{}{}
				giveLoadBack()
			}, nil
		}
		s.turn <- struct{}{}
		giveLoadBack()
	}
}

// erase puts into a batch what deletes all that is stored of the store, and its
// record. An heir takes the name over.
func (s *Store) erase(batch *pebble.Batch) (heir *Store, err error) {
	from, to := storeBounds(s.number)
	if err := batch.DeleteRange(from, to, nil); err != nil {
		return nil, err
	}
	if s.name == rel.DefaultStore {
		return s.db.found(batch, s.name)
	}
	return nil, batch.Delete(storeKey(s.name), nil)
}

// end commits the deletion. Whoever calls it has the store's write turn, the turn to
// delete stores, and the lock of who collects.
func (s *Store) end(batch *pebble.Batch, heir *Store) error {
	e := &ending{done: make(chan struct{}), failed: errors.New("the deletion did not return")}
	s.ended.Store(e)
	defer func() {
		close(e.done)
		s.news.end() // who watches the store reads on, and is told
	}()
	if e.failed = s.db.sync(batch); e.failed != nil {
		return s.mustBeHereOf(e)
	}
	s.db.publishStores(func(stores map[rel.Store]*Store) {
		delete(stores, s.name)
		if heir != nil {
			stores[s.name] = heir
		}
	})
	return nil
}

// An ending is the deletion of a store: begun before anything of it is deleted, and
// done when the disk has that.
type ending struct {
	done   chan struct{}
	failed error // set before done is closed
}

// enter begins a use of the store's data, which leave ends. The DB is not closed in
// between.
func (s *Store) enter() error {
	if !s.db.use.enter() {
		return errShut()
	}
	if err := s.mustBeHere(); err != nil {
		s.db.use.leave()
		return err
	}
	return nil
}

func (s *Store) leave() { s.db.use.leave() }

// mustBeHere refuses what comes after the store's deletion. Where that is on its way
// to the disk, it waits.
func (s *Store) mustBeHere() error {
	e := s.ended.Load()
	if e == nil {
		return nil
	}
	<-e.done
	return s.mustBeHereOf(e)
}

func (s *Store) mustBeHereOf(e *ending) error {
	if e.failed != nil {
		return fault.Newf(fault.DiskMustTakeWrites, "the disk did not confirm that the store %s was deleted", s.name).
			Do("it may be there or not: restart pemba, then list the stores").Because(e.failed)
	}
	return s.errDeleted()
}

// mustNotEnd refuses work beside requests on a store that is about to be deleted. It
// waits for nothing, since the deletion waits for whoever calls it.
func (s *Store) mustNotEnd() error {
	if s.ending.Load() {
		return s.errDeleted()
	}
	return nil
}

func (s *Store) errDeleted() error {
	return fault.Newf(fault.StoreMustExist, "the store %s was deleted", s.name).
		Do("see which there are: pemba store list, or StoreService.ListStores; a store made since under this name is another one, so begin anew there")
}
