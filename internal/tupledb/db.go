package tupledb

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A DB is an open data directory: one Pebble database and the stores in it.
//
// It is safe for concurrent use. Whoever opens it closes it, after everybody
// else has gone.
type DB struct {
	pebble  *pebble.DB
	log     pebbleLogger
	clock   func() time.Time
	history time.Duration // how much of the past is kept
	lock    *pebble.Lock
	random  io.Reader
	reads   func(key []byte) // a Config's Reads
	loads   *loadFiles
	ledger  *ledger

	stores     atomic.Pointer[map[rel.Store]*Store]
	storing    chan struct{} // holds one token: whoever has it may create and delete stores
	lastNumber storeNumber   // the highest that a store ever had; for whoever has storing

	use     gate
	serving atomic.Bool           // it is open: Pebble panics where it returned an error before
	refused atomic.Pointer[error] // the last time that the disk took no write
	// refusal is why nothing is written any more, nil while all is well. A write
	// whose fsync failed may or may not be on the disk, and so may anything
	// after it, so the first failure is the last write until the DB is reopened.
	refusal       atomic.Pointer[refusal]
	flushFailures atomic.Int64 // since the last flush that succeeded
	trouble       bell         // rung when writes come to be refused, or to be taken again
}

type refusal struct{ cause error }

// A Store is one tenant's tuples, schema versions and change log.
//
// Numbers of revisions are dense. What was published is durable, and what was
// not is never read: Head never runs ahead of the disk.
type Store struct {
	db          *DB
	name        rel.Store
	number      storeNumber
	incarnation rel.Incarnation
	epoch       rel.Epoch

	createdMicros int64

	// readOptions are those of every read: bounds around all keys of the store; and
	// the filters are asked on the last level too, which Pebble leaves out otherwise,
	// and where most keys are.
	readOptions pebble.IterOptions

	turn   chan struct{} // holds one token: whoever has it may write
	newest *revising     // on its way to the disk, or published; for whoever has the turn
	// oldestRequest is the time of the oldest request that may be kept; for whoever
	// has the turn. Zero, as after opening, is unknown.
	oldestRequest int64
	settled       atomic.Int64         // every commit has a later time; raised by whoever has the turn
	head          atomic.Pointer[head] // the newest that is published
	news          bell                 // rung when another head is published

	load     atomic.Pointer[Load]     // the bulk load under way; nil where there is none
	imported atomic.Pointer[loadMark] // the last load that was finished; nil where none was

	floor      atomic.Uint64 // the oldest revision that can be read
	collecting sync.Mutex    // held by whoever deletes what nobody reads any more
	// What Collect knows of before, so that a store in which nothing happens costs it
	// nothing; for whoever has the lock.
	collected rel.Revision // up to below this one all is collected, with collects
	collects  bool         // a collection has come to its end since opening
	floorNext rel.Revision // a revision whose time is known, and that time
	floorTime int64

	ending atomic.Bool            // the store is about to be deleted
	ended  atomic.Pointer[ending] // its deletion, once that has begun
}

// A head is the newest published state of a store.
type head struct {
	revision rel.Revision
	micros   int64 // its commit time
	schema   *SchemaVersion
}

// Close releases the data directory. It waits for the writes that were begun
// and for the snapshots that are open; what comes later is refused.
func (db *DB) Close() error {
	db.endNews()
	if !db.use.shut() {
		return nil // closed before
	}
	db.endNews() // of a store that was created meanwhile
	err := db.pebble.Close()
	if err == nil && db.refusal.Load() == nil {
		db.ledger.seal() // whoever could not write does not know what is there
	}
	return errors.Join(err, db.ledger.close(), db.lock.Close())
}

// endNews lets nobody wait for a write any more: none comes.
func (db *DB) endNews() {
	for _, s := range *db.stores.Load() {
		s.news.end()
	}
}

// stopWriting refuses all writes from now on. The first cause is kept; it
// reports whether this is the one.
func (db *DB) stopWriting(cause error) (first bool) {
	first = db.refusal.CompareAndSwap(nil, &refusal{cause})
	if first {
		db.trouble.ring()
	}
	return first
}

// flushed hears how a flush ended.
func (db *DB) flushed(err error) {
	if err != nil && db.flushFailures.Add(1) == 1 || err == nil && db.flushFailures.Swap(0) > 0 {
		db.trouble.ring()
	}
}

// A DiskState says whether the disk is written.
type DiskState uint8

const (
	DiskTakesWrites DiskState = iota
	// DiskWaits refuses writes until a flush succeeds, as when the disk is full.
	DiskWaits
	// DiskFailed refuses writes until the DB is opened again.
	DiskFailed
)

// Disk is how it is with the disk now, and what is closed when that changes, which
// it may have already. Reads go on in every state.
func (db *DB) Disk() (now DiskState, changed <-chan struct{}) {
	changed = db.trouble.heard() // before the state: a change in between rings it
	switch {
	case db.refusal.Load() != nil:
		return DiskFailed, changed
	case db.flushFailures.Load() > 0:
		return DiskWaits, changed
	}
	return DiskTakesWrites, changed
}

// takesWrites says whether the disk may be written.
func (db *DB) takesWrites() error {
	r := db.refusal.Load()
	if r == nil && db.flushFailures.Load() > 0 {
		return fault.New(fault.DiskMustTakeWrites, "the disk takes no writes at the moment").
			Do("make room on the disk of the data directory and retry: pemba goes on by itself")
	} else if r == nil {
		return nil
	}
	return fault.New(fault.DiskMustTakeWrites, "nothing is written since the disk failed").
		Do("make room on the disk of the data directory, or mend it, then restart pemba: what was acknowledged is kept").
		Because(r.cause)
}

// errShut is the answer to whoever comes after Close.
func errShut() error {
	return fault.New(fault.ServerMustBeServing, "the data directory is being closed").
		Do("retry against a server that is running")
}

// Name is the store's name.
func (s *Store) Name() rel.Store { return s.name }

// Head is the newest published state.
func (s *Store) Head() rel.Snapshot { return s.token(s.head.Load().revision) }

// HeadTime is when the newest published revision was committed; the zero time
// where there is none. No later revision has an earlier time.
func (s *Store) HeadTime() time.Time {
	h := s.head.Load()
	if h.revision == 0 {
		return time.Time{}
	}
	return inMicros(h.micros)
}

func (s *Store) token(r rel.Revision) rel.Snapshot {
	return rel.Snapshot{Incarnation: s.incarnation, Epoch: s.epoch, Revision: r}
}

// A gate counts who is inside, lets nobody in once it is shut, and shuts only
// when everybody has left: Pebble must not be closed under an open iterator.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // made by whoever waits for the last one to leave
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// shut waits until nobody is inside; false where it was shut before.
func (g *gate) shut() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.closed = true
	var wait chan struct{}
	if g.inside > 0 {
		wait = make(chan struct{})
		g.empty = wait
	}
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return true
}
