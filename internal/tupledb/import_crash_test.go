package tupledb

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// The power goes at a random operation of the file system while a store is loaded,
// finished, discarded and written to. Each step is there whole or not at all, what
// was acknowledged is there, and whoever goes on with an import from where the
// store says it is gets what nobody interrupted would have got. More of them, as
// with the other power cuts:
//
//	go test ./internal/tupledb -run PowerCutsDuringLoads -args -cuts 100000 -seed 7
func TestPowerCutsDuringLoads(t *testing.T) {
	const cutsPerHistory = 3
	kept, lost, loading := 0, 0, 0
	for i := range (*cutsFlag/4 + cutsPerHistory - 1) / cutsPerHistory {
		c := newLoadCut(t, *seedFlag+uint64(i))
		disk := vfs.NewCrashableMem()
		for range cutsPerHistory {
			if disk = c.live(disk, c.rng.IntN(220)); t.Failed() {
				t.Fatalf("seed %d", c.seed)
			}
		}
		if c.live(disk, -1); t.Failed() {
			t.Fatalf("seed %d", c.seed)
		}
		kept, lost, loading = kept+c.kept, lost+c.lost, loading+c.loading
	}
	t.Logf("of the steps under way %d were kept and %d lost; %d loads came back", kept, lost, loading)
	if *cutsFlag >= 100 && (kept == 0 || lost == 0 || loading == 0) {
		t.Errorf("of the steps under way %d were kept and %d lost, and %d loads came back: the cuts miss them", kept, lost, loading)
	}
}

// A loadPlace is where a store is between two steps.
type loadPlace struct {
	head   rel.Revision
	id     rel.ImportID // of the import that loads it; empty where none does
	loaded uint64
}

// A loadCut is one history of loads on one crashable disk after another.
type loadCut struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	clock   *steppingClock
	history *history // of what was published
	tuples  []rel.Tuple
	imports int

	// The steps are the test's, but a cut may fall into a write of Pebble's own, in the
	// background: who writes at and going, and who reads them there, holds moving.
	moving sync.Mutex
	at     loadPlace
	going  loadPlace // where the step under way goes

	kept, lost, loading int
}

func newLoadCut(t *testing.T, seed uint64) *loadCut {
	rng := rand.New(rand.NewPCG(seed, 9))
	return &loadCut{t: t, seed: seed, rng: rng, clock: newSteppingClock(), history: newHistory(), tuples: few(rng, 40)}
}

// tuple is the n-th of an import, the same whenever it is sent.
func (c *loadCut) tuple(id rel.ImportID, n uint64) rel.Tuple {
	number, _ := strconv.ParseUint(string(id), 10, 64)
	return c.draw(rand.New(rand.NewPCG(c.seed<<8|number, n)))
}

// draw draws a tuple. None of them expires while the test lasts: a load deletes what
// has, and would be two steps.
func (c *loadCut) draw(rng *rand.Rand) rel.Tuple {
	return randomAttributes(rng, c.tuples[rng.IntN(len(c.tuples))].Key, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
}

// commit puts or touches a tuple, or deletes one.
func (c *loadCut) commit() Commit {
	for {
		u := c.draw(c.rng)
		was, there := c.history.newest()[u.Key]
		switch {
		case !there:
			return Commit{Put: []rel.Tuple{u}}
		case u != was:
			return Commit{Touch: []rel.Tuple{u}}
		case c.rng.IntN(2) == 0:
			return Commit{Delete: []rel.Tuple{was}}
		}
	}
}

func (c *loadCut) sent(id rel.ImportID, n uint64) []rel.Tuple {
	var all []rel.Tuple
	for i := range n {
		all = append(all, c.tuple(id, i))
	}
	return all
}

// live opens the store, sees that all is there, takes steps, and returns what the
// disk is after the cut at the given operation.
func (c *loadCut) live(disk *vfs.MemFS, operations int) (after *vfs.MemFS) {
	var left atomic.Int64
	left.Store(int64(operations))
	var at, going loadPlace
	links := &linksAlone{FS: disk}
	cutting := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == -1 && operations >= 0 {
			c.moving.Lock()
			at, going = c.at, c.going
			c.moving.Unlock()
			links.mu.Lock()
			after = disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: 50,
				RNG:                 rand.New(rand.NewPCG(c.seed, uint64(operations))),
			})
			links.mu.Unlock()
		}
		return nil
	})
	cfg := onMem(errorfs.Wrap(links, cutting))
	cfg.Clock = c.clock.Now
	db, err := Open(cfg)
	if err != nil {
		c.t.Errorf("seed %d: %v (%v)", c.seed, err, errors.Unwrap(fault.Of(err)))
		return nil
	}
	s := defaultStore(c.t, db)
	c.comeBack(s)
	for n := 3 + c.rng.IntN(20); n > 0 && !c.t.Failed(); n-- {
		c.clock.step(time.Duration(1+c.rng.IntN(clockStepMax)) * time.Microsecond)
		c.goes(c.at)
		c.step(s)
		c.arrives()
		if c.rng.IntN(6) == 0 {
			if err := db.pebble.Flush(); err != nil {
				c.t.Errorf("seed %d: flushing: %v", c.seed, err)
			}
		}
	}
	if err := db.Close(); err != nil {
		c.t.Errorf("seed %d: closing: %v", c.seed, err)
	}
	if left.Load() >= 0 || operations < 0 { // cut at rest
		return disk.CrashClone(vfs.CrashCloneCfg{})
	}
	c.at, c.going = at, going
	return after
}

// linksAlone makes no link while a cut is made. The crashable file system takes the lock
// that a clone waits for twice to make one, and would wait for ever in between.
type linksAlone struct {
	vfs.FS
	mu sync.Mutex
}

func (l *linksAlone) Link(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.FS.Link(from, to)
}

// placeOf is where a store is.
func placeOf(s *Store) loadPlace {
	p := loadPlace{head: s.Head().Revision}
	if l := s.Load(); l != nil {
		p.id, p.loaded = l.ID(), l.Loaded()
	}
	return p
}

func (c *loadCut) comeBack(s *Store) {
	is := placeOf(s)
	switch {
	case is != c.at && is != c.going:
		c.t.Errorf("seed %d: came back at %+v; %+v was reached, %+v begun", c.seed, is, c.at, c.going)
		return
	case is != c.at:
		c.kept++
	case c.at != c.going:
		c.lost++
	}
	if is.id != "" {
		c.loading++
	}
	if is.head < c.history.head() {
		c.history.cutTo(is.head)
	}
	c.goes(is)
	c.arrives()
	c.agrees(s)
}

func (c *loadCut) goes(to loadPlace) {
	c.moving.Lock()
	c.going = to
	c.moving.Unlock()
}

func (c *loadCut) arrives() {
	c.moving.Lock()
	c.at = c.going
	c.moving.Unlock()
}

// agrees compares what the store shows with the history. What is being loaded shows
// itself to nobody but a judge.
func (c *loadCut) agrees(s *Store) {
	report := inOrder(c.t, s)
	if l := s.Load(); l != nil {
		last := lastOf(c.sent(c.at.id, c.at.loaded))
		if report.Loading > len(last) {
			c.t.Errorf("seed %d: %d of %d tuples are loaded", c.seed, report.Loading, len(last))
		}
		if l.mark.Load().state == loadDiscarding {
			return // some of it is gone
		}
		if err := l.judged(func(snap *Snapshot) error {
			same(c.t, snap, "what is loaded", collect(c.t, snap.Tuples(rel.Filter{}, nil)), last)
			return nil
		}); err != nil {
			c.t.Error(err)
		}
		return
	}
	snap := newest(c.t, s)
	defer snap.Close()
	c.history.agrees(c.t, snap, c.tuples)
}

// step does one thing, and says before where it goes.
func (c *loadCut) step(s *Store) {
	ctx := context.Background()
	l := s.Load()
	switch dice := c.rng.IntN(10); {
	case l == nil && len(c.history.newest()) > 0 && dice < 5:
		gone := slices.Collect(maps.Values(c.history.newest()))
		c.write(s, Commit{Delete: gone})
	case l == nil && (len(c.history.newest()) > 0 || dice < 2):
		c.write(s, c.commit())
	case l == nil:
		c.imports++
		c.goes(loadPlace{head: c.at.head, id: rel.ImportID(strconv.Itoa(c.imports))})
		begun(c.t, s, c.going.id)
	case dice < 2 && l.mark.Load().state == loadLoading:
		c.finish(s, l)
	case dice < 4 || l.mark.Load().state == loadDiscarding:
		c.goes(loadPlace{head: c.at.head})
		if err := l.Discard(ctx); err != nil {
			c.t.Errorf("seed %d: discarding: %v", c.seed, err)
		}
		c.agrees(s)
	default:
		chunk := l.NewChunk()
		for range 1 + c.rng.IntN(20) {
			chunk.Add(c.tuple(c.at.id, chunk.Reaches()))
		}
		c.goes(loadPlace{head: c.at.head, id: c.at.id, loaded: chunk.Reaches()})
		taken(c.t, l, chunk)
	}
	if is := placeOf(s); is != c.going {
		c.t.Errorf("seed %d: at %+v, and not at %+v", c.seed, is, c.going)
	}
}

func (c *loadCut) write(s *Store, commit Commit) {
	c.history.add(c.clock.Now(), commit)
	c.goes(loadPlace{head: c.history.head()})
	write(c.t, s, commit)
}

func (c *loadCut) finish(s *Store, l *Load) {
	last := lastOf(c.sent(c.at.id, c.at.loaded))
	if len(last) > 0 {
		c.history.add(c.clock.Now(), Commit{Put: last})
	}
	c.goes(loadPlace{head: c.history.head()})
	if _, err := l.Finish(context.Background(), nil, acceptAll); err != nil {
		c.t.Errorf("seed %d: finishing: %v", c.seed, err)
	}
	c.agrees(s)
}
