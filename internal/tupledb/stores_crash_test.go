package tupledb

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/rel"
)

// The power goes while stores are created, written and deleted. Of the one that was
// under way there is the whole or nothing; all others are as they were acknowledged.
func TestPowerCutsLeaveWholeStores(t *testing.T) {
	kept, lost := 0, 0
	cuts := max(*cutsFlag/12, 2)
	for i := range cuts {
		c := &storesCut{t: t, rng: rand.New(rand.NewPCG(*seedFlag+uint64(i), 3)), states: []storesModel{{rel.DefaultStore: {number: 1}}}, last: 1}
		disk := vfs.NewCrashableMem()
		for range 3 {
			disk = c.live(disk, c.rng.IntN(120))
		}
		c.live(disk, -1)
		kept, lost = kept+c.kept, lost+c.lost
		if t.Failed() {
			t.Fatalf("seed %d", *seedFlag+uint64(i))
		}
	}
	t.Logf("%d histories; of what was under way %d were kept and %d lost", cuts, kept, lost)
	if cuts >= 30 && (kept == 0 || lost == 0) {
		t.Errorf("of what was under way %d were kept and %d lost: the cuts miss it", kept, lost)
	}
}

// A storesModel is what stores there are: by which number, and how often written.
type storesModel map[rel.Store]modelStore

type modelStore struct {
	number   storeNumber
	revision rel.Revision
}

// A storesCut is one life of some stores on one crashable disk after another.
type storesCut struct {
	t   *testing.T
	rng *rand.Rand

	mu     sync.Mutex
	states []storesModel // one after another; a step leads to the next, the last one was begun
	shown  int           // the last one that was acknowledged

	last       storeNumber // the highest number that was given
	kept, lost int
}

// live opens the stores, sees what there is, and goes on until the cut.
func (c *storesCut) live(disk *vfs.MemFS, operations int) (after *vfs.MemFS) {
	var left atomic.Int64
	left.Store(int64(operations))
	var possible []storesModel // what the clone may have, from what it must have on
	cutting := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == -1 && operations >= 0 {
			// A table that is written beside can be what is cut: what the clone must
			// have is asked before it is made, what it may have after.
			shown, _ := c.between(0)
			after = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(operations), 4))})
			_, possible = c.between(shown)
		}
		return nil
	})
	db, err := Open(onMem(errorfs.Wrap(disk, cutting)))
	if err != nil {
		c.t.Error(err)
		return disk
	}
	c.comeBack(db)
	for n := 3 + c.rng.IntN(12); n > 0 && !c.t.Failed(); n-- {
		c.step(db)()
		c.acknowledge()
	}
	if err := db.Close(); err != nil {
		c.t.Error(err)
	}
	if left.Load() >= 0 || operations < 0 { // cut at rest
		return disk.CrashClone(vfs.CrashCloneCfg{})
	}
	c.states, c.shown = possible, 0 // what came later came in another world
	return after
}

// between is which state was shown last, and all from one on.
func (c *storesCut) between(from int) (shown int, states []storesModel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown, slices.Clone(c.states[from:])
}

func (c *storesCut) begin(s storesModel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
}

func (c *storesCut) acknowledge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = len(c.states) - 1
}

// step decides what is done next, and what there is when it is done.
func (c *storesCut) step(db *DB) (do func()) {
	next := maps.Clone(c.states[len(c.states)-1])
	defer c.begin(next)
	name := rel.Store(fmt.Sprint("s", c.rng.IntN(3)))
	if c.rng.IntN(8) == 0 {
		name = rel.DefaultStore
	}
	s, there := next[name]
	switch {
	case !there:
		c.last++
		next[name] = modelStore{number: c.last}
		return func() { created(c.t, db, name) }
	case c.rng.IntN(3) == 0:
		delete(next, name)
		if name == rel.DefaultStore {
			c.last++
			next[name] = modelStore{number: c.last}
		}
		return func() { deleted(c.t, db, name) }
	}
	s.revision++
	next[name] = s
	return func() {
		store, err := db.Store(name)
		if err != nil {
			c.t.Error(err)
			return
		}
		write(c.t, store, Commit{Put: []rel.Tuple{tuple(c.t, fmt.Sprintf("doc:d%d#viewer@user:ana", s.revision))}})
		if c.rng.IntN(4) == 0 {
			_ = db.pebble.Flush()
		}
	}
}

// comeBack compares what stores there are after a cut with what there may be, and
// sees that each is whole and that nothing is left of any other.
func (c *storesCut) comeBack(db *DB) {
	found := storesModel{}
	for _, s := range db.Stores() {
		found[s.name] = modelStore{s.number, s.Head().Revision}
	}
	shown, begun := c.shown, len(c.states)-1
	at := begun
	for at >= shown && !maps.Equal(found, c.states[at]) {
		at--
	}
	switch {
	case at < shown:
		c.t.Errorf("there are %v; there may be one of %v", found, c.states[shown:begun+1])
		return
	case at > shown:
		c.kept++
	case begun > shown:
		c.lost++
	}
	c.begin(found)
	c.acknowledge()
	numbers := []storeNumber{0}
	for _, s := range db.Stores() {
		numbers = append(numbers, s.number)
		report := inOrder(c.t, s)
		if rel.Revision(report.Tuples) != found[s.name].revision {
			c.t.Errorf("store %s at revision %d has %d tuples", s.name, found[s.name].revision, report.Tuples)
		}
	}
	it, err := db.openIterator(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = it.Close() }()
	for it.First(); it.Valid(); it.Next() {
		if n := storeNumber(binary.BigEndian.Uint32(it.Key())); !slices.Contains(numbers, n) {
			c.t.Errorf("%v is of no store", keyText(it.Key()))
		}
	}
	// A number that was given to what the cut took back may be given again; one that
	// was shown may not.
	if db.lastNumber > c.last {
		c.t.Errorf("the last number is %d, and %d was given", db.lastNumber, c.last)
	}
	for _, s := range found {
		if s.number > db.lastNumber {
			c.t.Errorf("store number %d is above the last one, %d", s.number, db.lastNumber)
		}
	}
	c.last = db.lastNumber
	if _, err := db.DeleteStore(context.Background(), "never"); err == nil {
		c.t.Error("deleted what never was")
	}
}
