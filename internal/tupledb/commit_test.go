package tupledb

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestCommitTimesIncreaseWhenTheClockStepsBack(t *testing.T) {
	disk := vfs.NewMem()
	clock := newSteppingClock()
	cfg := onMem(disk)
	cfg.Clock = clock.Now
	s := opened(t, cfg)
	if !s.HeadTime().IsZero() {
		t.Errorf("an empty store was committed at %v", s.HeadTime())
	}
	all := everyTuple()
	for i, step := range []time.Duration{0, 0, -time.Hour, time.Nanosecond, time.Hour + time.Second, -1} {
		clock.step(step)
		write(t, s, Commit{Put: all[i : i+1]})
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	clock.step(-24 * time.Hour)
	s = opened(t, cfg)
	write(t, s, Commit{Put: all[100:101]})
	var times []time.Time
	for c, err := range s.Changes(1) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, c.Time)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	us := time.Microsecond
	want := []time.Time{
		start, start.Add(us), start.Add(2 * us), start.Add(3 * us),
		start.Add(time.Second), start.Add(time.Second + us), start.Add(time.Second + 2*us),
	}
	if !slices.Equal(times, want) {
		t.Errorf("committed at\n%v, want\n%v", times, want)
	}
	if s.HeadTime() != want[6] {
		t.Errorf("the head was committed at %v, want %v", s.HeadTime(), want[6])
	}
}

func TestConcurrentWritersGetDenseRevisions(t *testing.T) {
	s := opened(t, Config{})
	all := everyTuple()
	const writers, each = 8, 25
	var wg sync.WaitGroup
	got := make([][]rel.Revision, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				mine := all[w*each+i]
				var judgedAt rel.Revision
				token, err := s.Update(t.Context(), func(snap *Snapshot) (Commit, error) {
					judgedAt = snap.Revision()
					return Commit{Put: []rel.Tuple{mine}}, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				if token.Revision != judgedAt+1 {
					t.Errorf("judged at %d and written as %d", judgedAt, token.Revision)
				}
				snap, err := s.At(token)
				if err != nil {
					t.Error(err)
					return
				}
				if has, err := snap.Has(mine.Key); err != nil || !has {
					t.Errorf("%v is not there at its own revision: %v", mine, err)
				}
				snap.Close()
				got[w] = append(got[w], token.Revision)
			}
		})
	}
	wg.Wait()
	revisions := slices.Concat(got...)
	slices.Sort(revisions)
	for i, r := range revisions {
		if r != rel.Revision(i+1) {
			t.Fatalf("revision %d stands where %d belongs", r, i+1)
		}
	}
	if report := inOrder(t, s); report.Tuples != writers*each {
		t.Errorf("%d tuples, want %d", report.Tuples, writers*each)
	}
}

func TestWaitingForTheTurnEndsWithTheCaller(t *testing.T) {
	s := opened(t, Config{})
	judging, release := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
			close(judging)
			<-release
			return Commit{Put: everyTuple()[:1]}, nil
		})
		first <- err
	}()
	<-judging
	never := func(*Snapshot) (Commit, error) { panic("judged without the turn") }
	left, leave := context.WithCancel(context.Background())
	leave()
	_, err := s.Update(left, never)
	wantFault(t, "a caller who left", err, fault.CallerMustStay)
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	_, err = s.Update(late, never)
	wantFault(t, "a caller out of time", err, fault.DeadlineMustNotPass)
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}

	// Left while judging: nothing is written.
	left, leave = context.WithCancel(context.Background())
	_, err = s.Update(left, func(*Snapshot) (Commit, error) {
		leave()
		return Commit{Put: everyTuple()[1:2]}, nil
	})
	wantFault(t, "a caller who left while judged", err, fault.CallerMustStay)
	if r := s.Head().Revision; r != 1 {
		t.Errorf("the head is %d, want 1", r)
	}
}

func TestJudgeThatPanicsChangesNothingAndPassesTheTurn(t *testing.T) {
	s := opened(t, Config{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = s.Update(t.Context(), func(*Snapshot) (Commit, error) { panic("judge") })
	}()
	if r := write(t, s, Commit{Put: everyTuple()[:1]}); r != 1 {
		t.Errorf("the next write is revision %d", r)
	}
}

func TestCommitBeyondItsBoundIsRefused(t *testing.T) {
	s := opened(t, Config{})
	context, err := rel.NewContext(map[string]any{"s": strings.Repeat("x", bytesPerCommitMax/1000)})
	if err != nil {
		t.Fatal(err)
	}
	key := tuple(t, "doc:1#r@u:1").Key
	wide := make([]rel.Tuple, 1000)
	for i := range wide {
		wide[i] = rel.Tuple{Key: key, Caveat: rel.Caveat{Name: "c", Context: context}}
	}
	most, one := make([]rel.Tuple, tuplesPerCommitMax), make([]rel.Tuple, 1)
	for name, c := range map[string]Commit{
		"one delete too many":       {Put: most, Delete: one},
		"one touch too many":        {Delete: most, Touch: one},
		"one put too many":          {Touch: most, Put: one},
		"contexts of too many puts": {Put: wide},
		"contexts of the touched":   {Touch: wide},
		"contexts of the deleted":   {Delete: wide},
	} {
		_, err := s.Update(t.Context(), func(*Snapshot) (Commit, error) { return c, nil })
		wantFault(t, name, err, fault.JudgingMustStayWithinBudget)
	}
}

// Only a build with invariants looks: admission is trusted otherwise.
func TestCommitThatIsNotNetIsABug(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("needs the build tag invariants")
	}
	s := opened(t, Config{})
	there, absent := tuple(t, "doc:1#r@u:1"), tuple(t, "doc:1#r@u:2")
	expired := until(t, "doc:1#r@u:3", time.Unix(1, 0))
	write(t, s, Commit{Put: []rel.Tuple{there, expired}})
	for name, c := range map[string]Commit{
		"put of what is there":           {Put: []rel.Tuple{there}},
		"put of what is there otherwise": {Put: []rel.Tuple{{Key: there.Key, Caveat: rel.Caveat{Name: "c"}}}},
		"touch of what is not":           {Touch: []rel.Tuple{absent}},
		"touch that changes nothing":     {Touch: []rel.Tuple{there}},
		"touch of what has expired":      {Touch: []rel.Tuple{{Key: expired.Key}}},
		"delete of what is not":          {Delete: []rel.Tuple{absent}},
		"delete of what has expired":     {Delete: []rel.Tuple{expired}},
		"delete with other attributes":   {Delete: []rel.Tuple{{Key: there.Key, Expires: 1}}},
		"put and touched in one":         {Put: []rel.Tuple{absent}, Touch: []rel.Tuple{absent}},
		"a tuple named twice":            {Put: []rel.Tuple{absent, absent}},
		"a schema out of number":         {Schema: &SchemaVersion{Number: 2}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was written", name)
				}
			}()
			_, _ = s.Update(t.Context(), func(*Snapshot) (Commit, error) { return c, nil })
		}()
	}
	if r := s.Head().Revision; r != 1 {
		t.Errorf("the head is %d, want 1", r)
	}
}

// A revision is not shown before the disk has it, although Pebble would.
func TestNothingIsPublishedBeforeItsFsync(t *testing.T) {
	var armed sync.Mutex // held by the test while syncs of the log may pass
	syncing := make(chan struct{}, 1)
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			select {
			case syncing <- struct{}{}:
			default:
			}
			armed.Lock()
			defer armed.Unlock()
		}
		return nil
	}))
	s := opened(t, onMem(disk))
	there := tuple(t, "doc:p1#viewer@user:ana")
	select {
	case <-syncing: // what opening synced
	default:
	}

	armed.Lock()
	written := make(chan rel.Snapshot)
	go func() {
		token, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
			return Commit{Put: []rel.Tuple{there}}, nil
		})
		if err != nil {
			t.Error(err)
		}
		written <- token
	}()
	<-syncing
	_, closer, err := s.db.pebble.Get(appendSuffix(appendForward(nil, 1, there.Key), 1))
	if err != nil {
		t.Fatalf("this test expects Pebble to show what it has not synced: %v", err)
	}
	closer.Close()
	if r := s.Head().Revision; r != 0 {
		t.Errorf("revision %d is published while its fsync runs", r)
	}
	snap := newest(t, s)
	if must(t)(snap.Has(there.Key)) {
		t.Error("the tuple is shown while its fsync runs")
	}
	snap.Close()
	select {
	case token := <-written:
		t.Errorf("%v was acknowledged while its fsync runs", token)
	default:
	}
	armed.Unlock()
	if token := <-written; token != s.Head() || token.Revision != 1 {
		t.Errorf("written as %v, the head is %v", token, s.Head())
	}
}

// When an fsync fails, the write is not acknowledged, nothing is published, no
// later write is taken, and reads go on.
func TestFailedFsyncEndsWriting(t *testing.T) {
	mem := vfs.NewMem()
	failing := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			return errorfs.ErrInjected
		}
		return nil
	})}
	s := opened(t, onMem(errorfs.Wrap(mem, failing)))
	kept, lost := tuple(t, "doc:p1#viewer@user:ana"), tuple(t, "doc:p1#viewer@user:bob")
	write(t, s, Commit{Put: []rel.Tuple{kept}})
	failing.On()
	_, err := s.Update(t.Context(), func(*Snapshot) (Commit, error) {
		return Commit{Put: []rel.Tuple{lost}}, nil
	})
	wantFault(t, "the write whose fsync fails", err, fault.DiskMustTakeWrites)
	if !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("%v does not keep its cause", err)
	}
	failing.Off() // a disk that is well again is not believed
	_, err = s.Update(t.Context(), func(*Snapshot) (Commit, error) { panic("judged after the disk failed") })
	wantFault(t, "the write after it", err, fault.DiskMustTakeWrites)
	if !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("%v does not keep its cause", err)
	}
	snap := newest(t, s)
	if snap.Revision() != 1 || !must(t)(snap.Has(kept.Key)) || must(t)(snap.Has(lost.Key)) {
		t.Errorf("reads at %d are not what was acknowledged", snap.Revision())
	}
	snap.Close()
	_ = s.db.Close() // says what failed

	s = opened(t, onMem(mem))
	snap = newest(t, s)
	if !must(t)(snap.Has(kept.Key)) || snap.Revision() < 1 || must(t)(snap.Has(lost.Key)) != (snap.Revision() == 2) {
		t.Errorf("opened again at %d, which is neither with the lost write nor without", snap.Revision())
	}
	snap.Close()
	inOrder(t, s)
}

// While what is in memory cannot be written to tables, writes are refused at
// once, reads go on, and writes are taken again when the disk is.
func TestWritesAreRefusedWhileFlushesFail(t *testing.T) {
	full := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			return syscall.ENOSPC
		}
		return nil
	})}
	s := opened(t, onMem(errorfs.Wrap(vfs.NewMem(), full)))
	write(t, s, Commit{Put: everyTuple()[:10]})
	full.On()
	flushed, err := s.db.pebble.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	refused := func() bool {
		_, err := s.Update(t.Context(), func(*Snapshot) (Commit, error) { return Commit{}, nil })
		if err != nil {
			wantFault(t, "a write while flushes fail", err, fault.DiskMustTakeWrites)
		}
		return err != nil
	}
	for !refused() { // until the first flush has failed
		runtime.Gosched()
	}
	snap := newest(t, s)
	if !must(t)(snap.Has(everyTuple()[0].Key)) {
		t.Error("reads fail while the disk is full")
	}
	snap.Close()
	full.Off()
	<-flushed
	for refused() { // until the flush that succeeded was heard of
		runtime.Gosched()
	}
	write(t, s, Commit{Put: everyTuple()[10:20]})
	inOrder(t, s)

	// A flush of nothing is none that failed.
	for range 2 {
		if err := s.db.pebble.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if refused() {
		t.Error("writes are refused after a flush that had nothing to do")
	}
}
