package tupledb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A campaign is the same test with more of everything:
//
//	go test ./internal/tupledb -run PowerCuts -args -cuts 100000 -seed 7
//
// A seed gives the same histories and the same cuts but for what goroutines do
// beside each other.
var (
	cutsFlag = flag.Int("cuts", cutsDefault, "how many power cuts to make")
	seedFlag = flag.Uint64("seed", 1, "the first seed of the power cuts")
)

// The power goes at a random operation of the file system, and any part of
// what was not synced may be there or not. What was acknowledged is there, what
// was shown is there, the next state is one that was written, nothing is half,
// and the store goes on.
func TestPowerCutsLoseNothingAcknowledged(t *testing.T) {
	var seen tally
	seeds := atomic.Uint64{}
	var workers sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) { // each waits for flushes now and then
		workers.Go(func() {
			for !t.Failed() && seen.count(&seen.cuts) < *cutsFlag {
				seed := *seedFlag + seeds.Add(1) - 1
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newPowerCut(t, seed, &seen).run() })
			}
		})
	}
	workers.Wait()
	t.Logf("%d histories; %+v", seeds.Load(), &seen)
	// Were one of these 0, the cuts would not fall where it is hard.
	if n := seen.least(); *cutsFlag >= 1000 && n == 0 && !t.Failed() {
		t.Errorf("the cuts miss something: %+v", &seen)
	}
}

// A tally is what a test has seen, so that it is known that it sees everything.
type tally struct {
	mu                         sync.Mutex
	cuts, recovering           int // of them, how many while another cut was recovered from
	kept, lost                 int // writes under way at a cut
	together, refused, replays int // writers at once; refusals awaited; commits of a request alone
	expired, collected         int // revisions that deleted; floors above 0
	schemas, large             int // revisions with a schema; batches as large as a memtable
	tables, compacted          int // lives that ended with tables; compactions asked for
}

func (t *tally) add(what *int, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*what += n
}

func (t *tally) count(what *int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *what
}

func (t *tally) least() int {
	return min(t.cuts, t.recovering, t.kept, t.lost, t.together, t.refused, t.replays, t.expired, t.collected, t.schemas, t.large, t.tables, t.compacted)
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d cuts, %d of them in recovery; of the writes under way %d kept, %d lost; %d writers together, %d refusals, %d requests alone; %d expiries, %d collections, %d schemas, %d large batches, %d lives with tables, %d compactions",
		t.cuts, t.recovering, t.kept, t.lost, t.together, t.refused, t.replays, t.expired, t.collected, t.schemas, t.large, t.tables, t.compacted)
}

// A powerCut is one history of writes. Each of its lives begins with a disk after a
// cut, and is itself cut many times; one of these cuts is where the next one begins.
type powerCut struct {
	t       *testing.T
	rng     *rand.Rand // whoever has the write turn may use it, or is alone
	clock   *steppingClock
	history *history
	tuples  []rel.Tuple
	begun   atomic.Uint64 // the newest revision that somebody wanted written
	shown   atomic.Uint64 // the newest revision that anybody was told of
	named   namedWrites
	seen    *tally
}

func newPowerCut(t *testing.T, seed uint64, seen *tally) *powerCut {
	p := &powerCut{t: t, rng: rand.New(rand.NewPCG(seed, 2)), clock: newSteppingClock(), history: newHistory(), seen: seen}
	p.tuples = few(p.rng, 40)
	return p
}

// raise makes a number at least this large.
func raise(to *atomic.Uint64, n uint64) {
	for {
		was := to.Load()
		if was >= n || to.CompareAndSwap(was, n) {
			return
		}
	}
}

// Bounds are what a disk must and may have after a cut: at least what anybody was
// told of before, at most what somebody had begun.
type bounds struct {
	shown, begun           rel.Revision
	namedShown, namedBegun int
}

// A cut is a disk after one.
type cut struct {
	disk *vfs.MemFS
	bounds
}

// cuts are made in the background, too, where Pebble merges: beside those of a test.
type cuts struct {
	mu  sync.Mutex
	all []cut
}

func (c *cuts) add(made cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, made)
}

// bound has a clone made while others go on: what it must have is asked before, what
// it may have after.
func (p *powerCut) bound(clone func()) bounds {
	b := bounds{shown: rel.Revision(p.shown.Load()), namedShown: int(p.named.shown.Load())}
	clone()
	b.begun, b.namedBegun = rel.Revision(p.begun.Load()), int(p.named.begun.Load())
	return b
}

// same are bounds that do not move.
func (b bounds) same(clone func()) bounds {
	clone()
	return b
}

const (
	livesPerHistory = 4
	// Between two cuts are this many writing operations on the average.
	operationsPerCut = 22
	// An fsync in memory takes no time, and what must wait for one would hardly ever
	// have to: so others go on before it.
	yieldsPerSync = 20
	// Two writes of a hundred tuples fill a memtable, so one large one is bigger.
	powerCutMemTable = 32 << 10
)

func (p *powerCut) run() {
	disk := vfs.NewCrashableMem()
	for range livesPerHistory {
		cuts := p.live(disk)
		if p.t.Failed() {
			return
		}
		goesOn := p.rng.IntN(len(cuts))
		for i, c := range cuts {
			if i == goesOn {
				disk = c.disk.CrashClone(vfs.CrashCloneCfg{}) // before it is recovered
			}
		}
		var r rel.Revision
		var named int
		for i, c := range cuts {
			head, there := p.comesBack(c, p.rng.IntN(3) == 0)
			if p.t.Failed() {
				return
			}
			if i == goesOn {
				r, named = head, there
			}
		}
		p.seen.add(&p.seen.cuts, len(cuts))
		// What came later came in another world.
		p.history.cutTo(r)
		p.named.cutTo(named)
		p.begun.Store(uint64(r))
		p.shown.Store(uint64(r))
	}
}

// cutting cuts the power now and then, before an operation that writes.
func cutting(disk *vfs.MemFS, seed uint64, bound func(func()) bounds, made *cuts) vfs.FS {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 3))
	next := rng.IntN(2 * operationsPerCut)
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			for range yieldsPerSync {
				runtime.Gosched()
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if next--; next < 0 {
			next = rng.IntN(2 * operationsPerCut)
			made.add(cutNow(disk, rng, bound))
		}
		return nil
	}))
}

// cutNow leaves nothing, half or all of what was not synced.
func cutNow(disk *vfs.MemFS, rng *rand.Rand, bound func(func()) bounds) (c cut) {
	c.bounds = bound(func() {
		c.disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 50, 100}[rng.IntN(4)], RNG: rng})
	})
	return c
}

func (p *powerCut) open(fs vfs.FS) *Store {
	cfg := onMem(fs)
	cfg.Clock, cfg.memTable = p.clock.Now, powerCutMemTable
	db, err := Open(cfg)
	if err != nil {
		p.t.Fatalf("not opened: %v (%v)", err, errors.Unwrap(fault.Of(err)))
	}
	db.history = 6 * clockStepMax * time.Microsecond // shorter than a Config allows: a life has few commits
	return defaultStore(p.t, db)
}

// live opens the store and writes to it, and returns the cuts that were made.
func (p *powerCut) live(disk *vfs.MemFS) []cut {
	var made cuts
	s := p.open(cutting(disk, p.rng.Uint64(), p.bound, &made))
	for n := 2 + p.rng.IntN(10); n > 0 && !p.t.Failed(); n-- {
		switch p.rng.IntN(8) {
		case 0, 1:
			p.writeTogether(s)
		case 2:
			p.expireOnce(s)
		case 3:
			p.collect(s)
		case 4:
			p.settle(s)
		default:
			p.writeOnce(s)
		}
	}
	if s.db.pebble.Metrics().Total().TablesCount > 0 {
		p.seen.add(&p.seen.tables, 1)
	}
	if err := s.db.Close(); err != nil {
		p.t.Errorf("closing: %v", err)
	}
	return append(made.all, cutNow(disk, p.rng, p.bound)) // at rest
}

// comesBack opens a disk after a cut, compares what the store is with what it may
// be, and returns that. Some are cut off again while they recover, and then once
// more when somebody has read what was recovered.
func (p *powerCut) comesBack(c cut, again bool) (head rel.Revision, named int) {
	var made cuts
	var fs vfs.FS = c.disk
	if again {
		fs = cutting(c.disk, p.rng.Uint64(), c.same, &made)
	}
	s := p.open(fs)
	if head, named = p.compare(s, c.bounds); p.t.Failed() {
		return head, named
	}
	if again {
		read := bounds{head, head, named, named}
		made.add(cutNow(c.disk, p.rng, read.same))
	}
	if err := s.db.Close(); err != nil {
		p.t.Errorf("closing: %v", err)
	}
	for _, second := range made.all {
		if r, there := p.comesBack(second, false); r != head || there != named {
			p.t.Errorf("at revision %d with %d requests, and after a cut in recovery at %d with %d", head, named, r, there)
		}
	}
	p.seen.add(&p.seen.cuts, len(made.all))
	p.seen.add(&p.seen.recovering, len(made.all))
	return head, named
}

// compare reads a store as a cut left it.
func (p *powerCut) compare(s *Store, b bounds) (head rel.Revision, named int) {
	r := s.Head().Revision
	switch {
	case r < b.shown || r > b.begun:
		p.t.Fatalf("came back at revision %d; %d was shown, %d was begun", r, b.shown, b.begun)
	case r > b.shown:
		p.seen.add(&p.seen.kept, 1)
	case b.shown < b.begun:
		p.seen.add(&p.seen.lost, 1)
	}
	snap := newest(p.t, s)
	defer snap.Close()
	p.history.agrees(p.t, snap, p.tuples)
	named = p.named.agrees(p.t, snap, b.namedBegun, b.namedShown)
	// The history is whole from its floor on, whatever was forgotten when it was cut.
	if floor := s.Floor(); floor < r {
		old := at(p.t, s, floor+rel.Revision(p.rng.Uint64N(uint64(r-floor))))
		p.history.agrees(p.t, old, p.tuples)
		old.Close()
	}
	report := inOrder(p.t, s)
	if report.Head != r || report.Tuples+report.Expired != len(p.history.states[r]) {
		p.t.Errorf("verified as %+v", report)
	}
	return r, named
}

// writeTogether lets several write at once, and others look on: one is refused what
// it asks, one reads, one follows the log, one forgets what is past the history.
func (p *powerCut) writeTogether(s *Store) {
	writers := 2 + p.rng.IntN(5)
	p.seen.add(&p.seen.together, writers)
	var all, reading sync.WaitGroup
	var done atomic.Bool
	reading.Go(func() {
		for !done.Load() && !p.t.Failed() {
			p.readOnce(s)
			runtime.Gosched()
		}
	})
	for range writers {
		all.Go(func() { p.writeOnce(s) })
	}
	all.Go(func() { p.isRefused(s) })
	all.Go(func() { p.collect(s) })
	all.Wait()
	done.Store(true)
	reading.Wait()
}

// errRefused is a rule that a write breaks.
var errRefused = errors.New("refused")

// isRefused is told no, on a state that it may be the first to hear of.
func (p *powerCut) isRefused(s *Store) {
	var judged rel.Revision
	_, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		judged = snap.Revision()
		return Commit{}, errRefused
	})
	if !errors.Is(err, errRefused) {
		p.t.Errorf("refused with %v", err)
		return
	}
	raise(&p.shown, uint64(judged))
	p.seen.add(&p.seen.refused, 1)
}

// readOnce sees the newest state, and the log up to there.
func (p *powerCut) readOnce(s *Store) {
	snap, err := s.Newest()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer snap.Close()
	for c, err := range snap.Changes(snap.Revision()) {
		if err != nil {
			p.t.Errorf("the log at revision %d: %v", snap.Revision(), err)
			return
		}
		raise(&p.shown, uint64(c.Revision))
	}
}

func (p *powerCut) collect(s *Store) {
	if _, err := s.Collect(context.Background()); err != nil {
		p.t.Errorf("collecting: %v", err)
	}
	if s.Floor() > 0 {
		p.seen.add(&p.seen.collected, 1)
	}
}

// settle flushes, and lets Pebble merge its tables.
func (p *powerCut) settle(s *Store) {
	if err := s.db.pebble.Flush(); err != nil {
		p.t.Errorf("flushing: %v", err)
	}
	if p.rng.IntN(2) == 0 {
		if err := s.db.pebble.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
			p.t.Errorf("compacting: %v", err)
		}
		p.seen.add(&p.seen.compacted, 1)
	}
}

// writeOnce writes what is decided in its turn, where nobody else looks at the
// history.
func (p *powerCut) writeOnce(s *Store) {
	var mine rel.Revision
	named := 0
	token, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		p.clock.step(time.Duration(p.rng.IntN(clockStepMax)) * time.Microsecond)
		c := p.decide(snap.Time())
		if !c.isEmpty() {
			p.history.add(snap.Time(), c)
			p.begun.Store(uint64(p.history.head()))
		}
		mine = p.history.head()
		if p.rng.IntN(3) == 0 {
			c.Request = p.named.begin(&c, mine, snap.Time())
			named = len(p.named.all)
			if c.isEmpty() {
				p.seen.add(&p.seen.replays, 1)
			}
		}
		return c, nil
	})
	if err != nil {
		p.t.Errorf("writing: %v", err)
		return
	}
	if token.Revision != mine {
		p.t.Errorf("revision %d was written as %d", mine, token.Revision)
	}
	raise(&p.shown, uint64(token.Revision))
	p.named.acknowledge(named)
}

// expireOnce lets what has expired be deleted.
func (p *powerCut) expireOnce(s *Store) {
	last := p.history.times[p.history.head()]
	now := p.clock.Now()
	if len(p.history.passed(latest(now, last))) == 0 {
		return
	}
	at := latest(now, last.Add(time.Microsecond))
	gone := p.history.passed(at)
	p.history.add(at, Commit{Delete: gone, Cause: CauseExpired})
	p.begun.Store(uint64(p.history.head()))
	n, _, err := s.DeleteExpired(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	if n != len(gone) || s.Head().Revision != p.history.head() {
		p.t.Errorf("%d expired tuples were deleted as revision %d, not %d as %d", n, s.Head().Revision, len(gone), p.history.head())
	}
	raise(&p.shown, uint64(s.Head().Revision))
	p.seen.add(&p.seen.expired, 1)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// decide is what a write does: a few tuples, now and then all that there are, or
// a schema; and some are larger than a memtable.
func (p *powerCut) decide(now time.Time) Commit {
	c := p.history.randomCommit(p.rng, p.tuples, now, 8)
	switch p.rng.IntN(12) {
	case 0:
		last := p.history.schemas[p.history.head()]
		c.Schema = &SchemaVersion{Number: 1, Text: strings.Repeat("x", p.rng.IntN(5000))}
		if last != nil {
			c.Schema.Number = last.Number + 1
		}
		p.seen.add(&p.seen.schemas, 1)
	case 1:
		c = Commit{Delete: p.history.where(p.history.head(), now, func(rel.Tuple) bool { return true })}
	case 2:
		c = p.history.randomCommit(p.rng, p.tuples, now, 3*len(p.tuples))
		c.Metadata = []byte(strings.Repeat("m", powerCutMemTable))
		p.seen.add(&p.seen.large, 1)
	}
	return c
}
