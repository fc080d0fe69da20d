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
	"slices"
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

// A child takes a twentieth of a second; -every 1 is all of them.
var everyFlag = flag.Int("every", everyDefault, "one in how many of the failing operations to try")

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
	t.Logf("%d operations, one in %d of them tried", total, *everyFlag)
	for n := 0; n < total; n += *everyFlag {
		t.Run(fmt.Sprint("operation ", n), func(t *testing.T) {
			t.Parallel()
			failAt(t, n)
		})
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
	if n < 0 && (begun != 6*lifeOpenings || acknowledged != begun) {
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
	if n < 0 {
		expired := slices.ContainsFunc(life.history.commits, func(c Commit) bool { return c.Cause == CauseExpired })
		if !expired || s.Floor() == 0 {
			t.Errorf("a life in which something expired: %t, and the history begins at %d", expired, s.Floor())
		}
	}
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

// A shortLife is a history that is the same each time: opened, written, flushed,
// what has expired deleted, what is past the history forgotten, closed, opened again
// and so on.
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

// next is when the next revision is written, and what: every fourth one deletes what
// has expired, where something has.
func (l *shortLife) next() (now time.Time, c Commit) {
	l.clock.step(time.Duration(1+l.rng.IntN(clockStepMax)) * time.Microsecond)
	now = latest(l.clock.Now(), l.history.times[l.history.head()].Add(time.Microsecond))
	if gone := l.history.passed(now); l.history.head()%4 == 3 && len(gone) > 0 {
		return now, Commit{Delete: gone, Cause: CauseExpired}
	}
	for c.isEmpty() {
		c = l.history.randomCommit(l.rng, l.tuples, now, 8)
	}
	return now, c
}

// isOfDisk reports whether an error is one that a failing disk may be answered with.
func isOfDisk(err error) bool {
	f := fault.Of(err)
	return f != nil && (f.Code == fault.DiskMustTakeWrites || f.Code == fault.DataMustBeReadable)
}

const lifeOpenings = 3

func (l *shortLife) run(cfg Config) {
	for range lifeOpenings {
		s := l.open(cfg)
		if s == nil {
			return
		}
		for i := range 6 {
			if !l.writeOnce(s) {
				break
			}
			switch i {
			case 1:
				if _, err := s.Collect(context.Background()); err != nil && !isOfDisk(err) {
					fmt.Println(wrongLine, "collecting:", err)
				}
			case 2, 5:
				_ = s.db.pebble.Flush()
			case 4:
				_ = s.db.pebble.Compact(context.Background(), []byte{0}, []byte{0xff}, false)
			}
		}
		l.readAll(s)
		_ = s.db.Close()
	}
}

// open is nil where the disk does not let it.
func (l *shortLife) open(cfg Config) *Store {
	db, err := Open(cfg)
	if err != nil {
		if !isOfDisk(err) {
			fmt.Println(wrongLine, "opening:", err)
		}
		return nil
	}
	db.history = 5 * clockStepMax * time.Microsecond // shorter than a Config allows
	s, err := db.Store(rel.DefaultStore)
	if err != nil {
		fmt.Println(wrongLine, err)
		return nil
	}
	return s
}

// writeOnce is false where the store has stopped taking writes.
func (l *shortLife) writeOnce(s *Store) bool {
	if s.Head().Revision < l.history.head() {
		return false // a write of unknown fate was not kept: this history ends
	}
	now, c := l.next()
	l.history.add(now, c)
	fmt.Println(begunLine, l.history.head())
	var err error
	if c.Cause == CauseExpired {
		var n int
		if n, _, err = s.DeleteExpired(context.Background()); err == nil && n != len(c.Delete) {
			fmt.Println(wrongLine, "deleted", n, "expired tuples, not", len(c.Delete))
		}
	} else {
		_, err = s.Update(context.Background(), func(*Snapshot) (Commit, error) { return c, nil })
	}
	if err != nil {
		if !isOfDisk(err) {
			fmt.Println(wrongLine, "writing:", err)
		}
		return false
	}
	fmt.Println(ackedLine, s.Head().Revision)
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
