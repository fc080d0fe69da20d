package tupledb

import (
	"context"
	"errors"
	"fmt"
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

// The disk is full from a point on, and after some more that it is asked for there
// is room again. What is refused says so, what is read is right, writes are taken
// again by themselves or, where the DB says that it needs that, when it is opened
// again; and nothing acknowledged is lost. Where Pebble cannot go on, the process
// ends, and the next one finds all of it.
func TestAFullDiskLosesNothingAndIsLeftBehind(t *testing.T) {
	total, points, _ := onFullDisk(t, -1)
	if total < 100 || len(points) < lifeOpenings {
		t.Fatalf("the history asks for room %d times, and for a table at %v", total, points)
	}
	for n := 0; n < total; n += max(1, *everyFlag/4) {
		points = append(points, n)
	}
	var saw [fateEnd]atomic.Int64
	t.Run("from", func(t *testing.T) {
		for _, n := range points {
			t.Run(fmt.Sprint("operation ", n), func(t *testing.T) {
				t.Parallel()
				_, _, fates := onFullDisk(t, n)
				for f := range fates {
					saw[f].Add(1)
				}
			})
		}
	})
	t.Logf("room is asked for %d times; writes waited in %d lives, needed a restart in %d, and %d processes ended", total, saw[fateWaited].Load(), saw[fateRestarted].Load(), saw[fateEnded].Load())
	for f := range fateEnd {
		if saw[f].Load() == 0 && !t.Failed() {
			t.Errorf("in no life %v", f)
		}
	}
}

// A fate is what came of a disk that was full.
type fate int

const (
	fateWaited    fate = iota // writes were taken again by themselves
	fateRestarted             // when the DB was opened again
	fateEnded                 // the process ended

	fateEnd
)

func (f fate) String() string {
	return [...]string{"writes were taken again by themselves", "writes needed a restart", "the process ended"}[f]
}

const (
	fullAtVariable = "PEMBA_TEST_FULL_AT"
	fateLine       = "fate"
	tableLine      = "table"
	exitOfChild    = 3
)

// onFullDisk lets a child live on a disk that is full from its operation n on, and
// sees what the next process finds. It returns how many operations there were, and
// which of them make a table.
func onFullDisk(t *testing.T, n int) (operations int, tables []int, fates map[fate]bool) {
	dir := filepath.Join(t.TempDir(), "data")
	child := exec.Command(os.Args[0], "-test.run=^TestLifeOnAFullDisk$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", fullAtVariable, n), dirVariable+"="+dir, "GORACE=atexit_sleep_ms=0")
	var said strings.Builder
	child.Stderr = &said
	output, err := child.Output()
	fates = map[fate]bool{}
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
		case tableLine:
			tables = append(tables, number)
		case fateLine:
			fates[fate(number)] = true
		}
	}
	if err != nil {
		fates[fateEnded] = true
		// It says that the disk is full, or Pebble panics over that.
		why := strings.Contains(said.String(), syscall.ENOSPC.Error()) || strings.Contains(said.String(), "cockroachdb/pebble")
		if !why || strings.Contains(string(output), "_test.go:") || n < 0 {
			t.Errorf("operation %d: it ended with %v, having said\n%s\n%s", n, err, output, said.String())
		}
	}
	life := newShortLife()
	db, err := Open(Config{Dir: dir, Clock: life.clock.Now})
	if err != nil {
		t.Errorf("operation %d: not opened again: %v (%v)", n, err, errors.Unwrap(fault.Of(err)))
		return operations, tables, fates
	}
	defer db.Close()
	s := defaultStore(t, db)
	if r := int(s.Head().Revision); r < acknowledged || r > begun {
		t.Errorf("operation %d: at revision %d, acknowledged %d, begun %d", n, r, acknowledged, begun)
	}
	inOrder(t, s)
	return operations, tables, fates
}

// asksForRoom reports whether a full disk refuses an operation.
func asksForRoom(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpLink, errorfs.OpMkdirAll, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate:
		return true
	}
	return false
}

// TestLifeOnAFullDisk is run by the test above in a process of its own.
func TestLifeOnAFullDisk(t *testing.T) {
	dir := os.Getenv(dirVariable)
	text, there := os.LookupEnv(fullAtVariable)
	if dir == "" || !there {
		t.Skip("only a child does this")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	life := &fullLife{t: t, shortLife: newShortLife()}
	refused := 1 + n%6 // so often before there is room again
	life.run(Config{Dir: dir, Clock: life.clock.Now, fs: errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !asksForRoom(op) {
			return nil
		}
		i := asked.Add(1) - 1
		if n < 0 && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, tableEnd) {
			fmt.Println(tableLine, i)
		}
		if n >= 0 && i >= n && i < n+refused {
			return syscall.ENOSPC
		}
		return nil
	}))})
	fmt.Println(operationsLine, asked.Load())
}

// A fullLife goes on where a shortLife ends.
type fullLife struct {
	*shortLife
	t            *testing.T
	acknowledged rel.Revision
}

func (l *fullLife) run(cfg Config) {
	for range lifeOpenings {
		s := l.reopen(cfg)
		for i := range 6 {
			for !l.tryOnce(s) {
				s = l.await(s, cfg)
			}
			if i%3 == 2 {
				if _, err := s.db.pebble.AsyncFlush(); err != nil {
					fmt.Println("not flushed:", err)
				}
			}
		}
		if _, err := s.Collect(context.Background()); err != nil {
			l.mustBeOfDisk("collecting", err)
		}
		l.compare(s)
		_ = s.db.Close() // says what failed
	}
}

func (l *fullLife) mustBeOfDisk(what string, err error) {
	l.t.Helper()
	wantFault(l.t, what, err, fault.DiskMustTakeWrites)
}

// reopen opens, or ends the process as a server would: the directory stays locked.
func (l *fullLife) reopen(cfg Config) *Store {
	db, err := Open(cfg)
	if err != nil {
		l.mustBeOfDisk("opening", err)
		fmt.Fprintln(os.Stderr, "not opened:", errors.Unwrap(fault.Of(err)))
		if l.t.Failed() {
			l.t.FailNow()
		}
		os.Exit(exitOfChild)
	}
	db.history = 5 * clockStepMax * time.Microsecond // shorter than a Config allows
	s := defaultStore(l.t, db)
	r := s.Head().Revision
	if r < l.acknowledged || r > l.history.head() {
		l.t.Fatalf("opened at revision %d; %d was acknowledged, %d was begun", r, l.acknowledged, l.history.head())
	}
	l.history.cutTo(r) // a write of unknown fate is kept or not
	l.acknowledged = r
	l.compare(s)
	return s
}

// tryOnce is false where the write is refused.
func (l *fullLife) tryOnce(s *Store) bool {
	now, c := l.next()
	l.history.add(now, c)
	fmt.Println(begunLine, l.history.head())
	var err error
	if c.Cause == CauseExpired {
		_, _, err = s.DeleteExpired(context.Background())
	} else {
		_, err = s.Update(context.Background(), func(*Snapshot) (Commit, error) { return c, nil })
	}
	if err == nil {
		l.acknowledged = s.Head().Revision
		if l.acknowledged != l.history.head() {
			l.t.Fatalf("revision %d was written as %d", l.history.head(), l.acknowledged)
		}
		fmt.Println(ackedLine, l.acknowledged)
		return true
	}
	l.mustBeOfDisk("writing", err)
	return false
}

// await sees that what was acknowledged is read while the disk is full, and waits
// until writes are taken again.
func (l *fullLife) await(s *Store, cfg Config) *Store {
	begun := l.history.head()
	state, changed := s.db.Disk()
	switch r := s.Head().Revision; {
	case r == begun: // what had expired was deleted, and its leftovers were not
		l.acknowledged = r
	case state != DiskFailed:
		l.history.cutTo(begun - 1) // it was refused before anything was written
	}
	l.compare(s)
	for state == DiskWaits {
		<-changed
		state, changed = s.db.Disk()
	}
	if state == DiskTakesWrites {
		fmt.Println(fateLine, int(fateWaited))
		return s
	}
	fmt.Println(fateLine, int(fateRestarted))
	_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) { return Commit{Put: l.tuples[:1]}, nil })
	l.mustBeOfDisk("a write before the restart", err)
	_ = s.db.Close() // says what failed
	return l.reopen(cfg)
}

// compare reads what was acknowledged.
func (l *fullLife) compare(s *Store) {
	snap, err := s.Newest()
	if err != nil {
		l.t.Fatal(err)
	}
	defer snap.Close()
	if snap.Revision() != l.acknowledged {
		l.t.Fatalf("revision %d is read, %d was acknowledged", snap.Revision(), l.acknowledged)
	}
	l.history.agrees(l.t, snap, l.tuples)
}

// Pebble goes on in the background with what a failed opening has begun, so nobody
// may open the directory before the process has ended.
func TestADirectoryWhoseOpeningFailedStaysLocked(t *testing.T) {
	disk := vfs.NewCrashableMem()
	closedDB(t, disk)
	// The new log is made after the old one's tables.
	full := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, logEnd) {
			return syscall.ENOSPC
		}
		return nil
	})
	_, err := Open(onMem(errorfs.Wrap(disk, full)))
	wantFault(t, "opening on a full disk", err, fault.DiskMustTakeWrites)
	_, err = Open(onMem(disk))
	wantFault(t, "opening it again", err, fault.DataDirectoryMustBeFree)
	// The next process has a lock of its own.
	inOrder(t, opened(t, onMem(disk.CrashClone(vfs.CrashCloneCfg{}))))
}
