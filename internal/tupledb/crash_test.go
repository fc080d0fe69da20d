package tupledb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
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
var (
	cutsFlag = flag.Int("cuts", 600, "how many power cuts to make")
	seedFlag = flag.Uint64("seed", 1, "the first seed of the power cuts")
	// A child takes a twentieth of a second; -every 1 is all of them.
	everyFlag = flag.Int("every", 13, "which of the failing operations to try")
)

// The power goes at a random operation of the file system, and any part of
// what was not synced may be there or not. What was acknowledged is there, what
// was shown is there, the next state is one that was written, nothing is half,
// and the store goes on.
func TestPowerCutsLoseNothingAcknowledged(t *testing.T) {
	kept, lost := 0, 0
	for i := range (*cutsFlag + cutsPerHistory - 1) / cutsPerHistory {
		seed := *seedFlag + uint64(i)
		cut := newPowerCut(t, seed)
		cut.run()
		kept += cut.keptUnacknowledged
		lost += cut.lostUnacknowledged
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// Were one of these 0, the cuts would not fall where it is hard.
	t.Logf("%d cuts; of the writes under way %d were kept and %d lost", *cutsFlag, kept, lost)
	if *cutsFlag >= 100 && (kept == 0 || lost == 0) {
		t.Errorf("of the writes that were under way %d were kept and %d lost: the cuts miss them", kept, lost)
	}
}

// A powerCut is one history of writes on one crashable disk after another.
type powerCut struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	clock   *steppingClock
	history *history
	tuples  []rel.Tuple
	begun   atomic.Uint64 // the newest revision that somebody wanted written
	shown   atomic.Uint64 // the newest revision that anybody was told of
	named   namedWrites

	keptUnacknowledged, lostUnacknowledged int
}

func newPowerCut(t *testing.T, seed uint64) *powerCut {
	p := &powerCut{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 2)), clock: newSteppingClock(), history: newHistory()}
	p.tuples = few(p.rng, 40)
	return p
}

// cutsPerHistory is enough that a life often ends while it recovers what the
// one before it left.
const cutsPerHistory = 3

func (p *powerCut) run() {
	disk := vfs.NewCrashableMem()
	for range cutsPerHistory {
		operations := p.rng.IntN(150)
		if p.rng.IntN(3) == 0 {
			operations = p.rng.IntN(20) // among the first: opening, recovering
		}
		disk = p.live(disk, operations)
		if p.t.Failed() {
			return
		}
	}
	p.live(disk, -1)
}

// live opens the store, writes to it, and returns what the disk is after the
// cut at the given operation. Before it writes, it sees that all is there.
func (p *powerCut) live(disk *vfs.MemFS, operations int) (after *vfs.MemFS) {
	var left atomic.Int64
	left.Store(int64(operations))
	var begunAtCut, shownAtCut uint64
	var namedAtCut [2]uint64
	cutting := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == -1 && operations >= 0 {
			// A table that is written beside the writer can be what is cut: what the
			// clone must have is asked before it is made, what it may have after.
			shownAtCut = p.shown.Load()
			namedAtCut[0] = p.named.shown.Load()
			after = disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: 50,
				RNG:                 rand.New(rand.NewPCG(p.seed, uint64(operations))),
			})
			begunAtCut = p.begun.Load()
			namedAtCut[1] = p.named.begun.Load()
		}
		return nil
	})
	cfg := onMem(errorfs.Wrap(disk, cutting))
	cfg.Clock = p.clock.Now
	db, err := Open(cfg)
	if err != nil {
		p.t.Errorf("seed %d: %v (%v)", p.seed, err, errors.Unwrap(fault.Of(err)))
		return nil
	}
	db.history = 3 * clockStepMax * time.Microsecond // shorter than a Config allows: a life has few commits
	s := defaultStore(p.t, db)
	p.comeBack(s)
	for n := 3 + p.rng.IntN(25); n > 0 && !p.t.Failed(); n-- {
		p.writeOnce(s)
		if p.rng.IntN(4) == 0 {
			p.expireOnce(s)
		}
		if p.rng.IntN(3) == 0 {
			if _, err := s.Collect(context.Background()); err != nil {
				p.t.Errorf("seed %d: collecting: %v", p.seed, err)
			}
		}
		if p.rng.IntN(8) == 0 {
			if err := db.pebble.Flush(); err != nil {
				p.t.Errorf("seed %d: flushing: %v", p.seed, err)
			}
		}
	}
	if err := db.Close(); err != nil {
		p.t.Errorf("seed %d: closing: %v", p.seed, err)
	}
	if left.Load() >= 0 || operations < 0 { // cut at rest
		return disk.CrashClone(vfs.CrashCloneCfg{})
	}
	// What came later came in another world.
	p.begun.Store(begunAtCut)
	p.shown.Store(shownAtCut)
	p.named.shown.Store(namedAtCut[0])
	p.named.begun.Store(namedAtCut[1])
	return after
}

// comeBack compares what the store is after a cut with what it may be.
func (p *powerCut) comeBack(s *Store) {
	r := s.Head().Revision
	begun, shown := rel.Revision(p.begun.Load()), rel.Revision(p.shown.Load())
	switch {
	case r < shown || r > begun:
		p.t.Errorf("seed %d: came back at revision %d; %d was shown, %d was begun", p.seed, r, shown, begun)
		return
	case r > shown:
		p.keptUnacknowledged++
	case shown < begun:
		p.lostUnacknowledged++
	}
	p.history.cutTo(r)
	p.begun.Store(uint64(r))
	p.shown.Store(uint64(r))
	snap := newest(p.t, s)
	defer snap.Close()
	p.history.agrees(p.t, snap, p.tuples)
	p.named.comeBack(p.t, snap)
	// The history is whole from its floor on, whatever was forgotten when it was cut.
	if floor := s.Floor(); floor < r {
		old := at(p.t, s, floor+rel.Revision(p.rng.Uint64N(uint64(r-floor))))
		p.history.agrees(p.t, old, p.tuples)
		old.Close()
	}
	report := inOrder(p.t, s)
	if report.Head != r || report.Tuples+report.Expired != len(p.history.newest()) {
		p.t.Errorf("seed %d: verified as %+v", p.seed, report)
	}
}

func (p *powerCut) writeOnce(s *Store) {
	p.clock.step(time.Duration(p.rng.IntN(clockStepMax)) * time.Microsecond)
	token, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		c := p.decide(snap.Time())
		if !c.isEmpty() {
			p.history.add(snap.Time(), c)
			p.begun.Store(uint64(p.history.head()))
		}
		if p.rng.IntN(3) == 0 {
			c.Request = p.named.begin(&c, p.history.head(), snap.Time())
		}
		return c, nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.named.acknowledge()
	if token.Revision != p.history.head() {
		p.t.Errorf("seed %d: revision %d was written as %d", p.seed, p.history.head(), token.Revision)
	}
	p.shown.Store(uint64(token.Revision))
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
		p.t.Errorf("seed %d: %d expired tuples were deleted as revision %d, not %d as %d", p.seed, n, s.Head().Revision, len(gone), p.history.head())
	}
	p.shown.Store(uint64(s.Head().Revision))
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (p *powerCut) decide(now time.Time) Commit {
	c := p.history.randomCommit(p.rng, p.tuples, now, 8)
	if p.rng.IntN(10) == 0 {
		last := p.history.schemas[p.history.head()]
		c.Schema = &SchemaVersion{Number: 1, Text: strings.Repeat("x", p.rng.IntN(5000))}
		if last != nil {
			c.Schema.Number = last.Number + 1
		}
	}
	return c
}

// Each operation of the file system fails once, in turn: the answer is an error
// or the end of the process, and never an acknowledgement of what is not there.
//
// The process is a child: where Pebble cannot go on it panics with locks in
// disorder, and no test survives that.
func TestEveryFailingOperationIsAnErrorOrTheEnd(t *testing.T) {
	total := failAt(t, -1)
	if total < 100 {
		t.Fatalf("the history has only %d operations", total)
	}
	for n := 0; n < total && !t.Failed(); n += *everyFlag {
		failAt(t, n)
	}
}

// What a child is told, and how it answers: a line for each revision that it
// has begun and each that was acknowledged.
const (
	failAtVariable = "PEMBA_TEST_FAIL_AT"
	dirVariable    = "PEMBA_TEST_DIR"
	begunLine      = "begun"
	ackedLine      = "acknowledged"
	wrongLine      = "wrong"
	operationsLine = "operations"
)

// failAt lets a child live through one short history in which operation n
// fails, then sees what a restart finds. It returns how many operations there
// were, where the child lived to say it.
func failAt(t *testing.T, n int) (operations int) {
	dir := filepath.Join(t.TempDir(), "data")
	child := exec.Command(os.Args[0], "-test.run=^TestShortLifeOfAChild$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", failAtVariable, n), dirVariable+"="+dir, "GORACE=atexit_sleep_ms=0")
	output, _ := child.Output() // how it ends does not matter
	var begun, acknowledged int
	for line := range strings.Lines(string(output)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, _ := strconv.Atoi(rest)
		switch word {
		case begunLine:
			begun = number
		case ackedLine:
			acknowledged = number
		case operationsLine:
			operations = number
		case wrongLine:
			t.Errorf("operation %d: %s", n, rest)
		}
	}
	if n < 0 && (begun == 0 || acknowledged != begun) {
		t.Fatalf("a child with a good disk said\n%s", output)
	}
	life := newShortLife()
	db, err := Open(Config{Dir: dir, Clock: life.clock.Now})
	if err != nil {
		t.Errorf("operation %d: not opened again: %v (%v)", n, err, errors.Unwrap(fault.Of(err)))
		return operations
	}
	defer db.Close()
	s := defaultStore(t, db)
	r := s.Head().Revision
	if int(r) < acknowledged || int(r) > begun {
		t.Errorf("operation %d: at revision %d, acknowledged %d, begun %d", n, r, acknowledged, begun)
		return operations
	}
	for life.history.head() < r {
		life.history.add(life.next())
	}
	snap := newest(t, s)
	defer snap.Close()
	life.history.agrees(t, snap, life.tuples)
	inOrder(t, s)
	return operations
}

// TestShortLifeOfAChild is run by the test above in a process of its own.
func TestShortLifeOfAChild(t *testing.T) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		t.Skip("only a child does this")
	}
	n, err := strconv.ParseInt(os.Getenv(failAtVariable), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	broken := []error{errorfs.ErrInjected, syscall.ENOSPC}[n&1]
	var count atomic.Int64
	life := newShortLife()
	life.run(Config{Dir: dir, Clock: life.clock.Now, fs: errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(errorfs.Op) error {
		if count.Add(1)-1 == n {
			return broken
		}
		return nil
	}))})
	fmt.Println(operationsLine, count.Load())
}

// A shortLife is a history that is the same each time: opened, written,
// flushed, closed, opened again, written.
type shortLife struct {
	rng     *rand.Rand
	clock   *steppingClock
	history *history
	tuples  []rel.Tuple
}

func newShortLife() *shortLife {
	rng := rand.New(rand.NewPCG(7, 7))
	return &shortLife{rng: rng, clock: newSteppingClock(), history: newHistory(), tuples: few(rng, 30)}
}

// next is when the next revision is written, and what.
func (l *shortLife) next() (now time.Time, c Commit) {
	l.clock.step(time.Duration(1+l.rng.IntN(clockStepMax)) * time.Microsecond)
	now = l.clock.Now()
	for c.isEmpty() {
		c = l.history.randomCommit(l.rng, l.tuples, now, 8)
	}
	return now, c
}

func (l *shortLife) run(cfg Config) {
	for range 2 {
		db, err := Open(cfg)
		if err != nil {
			if f := fault.Of(err); f == nil || f.Code != fault.DiskMustTakeWrites && f.Code != fault.DataMustBeReadable {
				fmt.Println(wrongLine, "opening:", err)
			}
			return
		}
		s, err := db.Store(rel.DefaultStore)
		if err != nil {
			fmt.Println(wrongLine, err)
			return
		}
		for i := range 6 {
			if !l.writeOnce(s) {
				break
			}
			if i%3 == 2 {
				_ = db.pebble.Flush()
			}
		}
		l.readAll(s)
		_ = db.Close()
	}
}

// writeOnce is false where the store has stopped taking writes.
func (l *shortLife) writeOnce(s *Store) bool {
	if s.Head().Revision < l.history.head() {
		return false // a write of unknown fate was not kept: this history ends
	}
	now, c := l.next()
	l.history.add(now, c)
	fmt.Println(begunLine, l.history.head())
	token, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) { return c, nil })
	if err != nil {
		if f := fault.Of(err); f == nil || f.Code != fault.DiskMustTakeWrites && f.Code != fault.DataMustBeReadable {
			fmt.Println(wrongLine, "writing:", err)
		}
		return false
	}
	fmt.Println(ackedLine, token.Revision)
	return true
}

// readAll sees that answers are right or errors.
func (l *shortLife) readAll(s *Store) {
	snap, err := s.Newest()
	if err != nil {
		fmt.Println(wrongLine, "reading:", err)
		return
	}
	defer snap.Close()
	there := map[rel.Key]rel.Tuple{}
	for _, u := range l.history.where(snap.Revision(), snap.Time(), func(rel.Tuple) bool { return true }) {
		there[u.Key] = u
	}
	for _, u := range l.tuples {
		want, wantFound := there[u.Key]
		if got, found, err := snap.Find(u.Key); err == nil && (got != want || found != wantFound) {
			fmt.Println(wrongLine, "read", got, found, "at", snap.Revision())
		}
	}
}
