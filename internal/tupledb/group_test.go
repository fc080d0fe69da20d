package tupledb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A slowLog is a file system whose syncs of Pebble's log wait while it is held, and
// are counted; then they go well, or fail.
type slowLog struct {
	vfs.FS
	held  sync.Mutex
	syncs atomic.Int64
	fails atomic.Bool
	began chan struct{} // something was said when a sync begins
}

func newSlowLog() *slowLog {
	s := &slowLog{began: make(chan struct{}, 1)}
	s.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		select {
		case s.began <- struct{}{}:
		default:
		}
		s.held.Lock()
		defer s.held.Unlock()
		s.syncs.Add(1)
		if s.fails.Load() {
			return errorfs.ErrInjected
		}
		return nil
	}))
	return s
}

// hold makes the next sync wait; what opening synced is over.
func (s *slowLog) hold() {
	s.held.Lock()
	select {
	case <-s.began:
	default:
	}
	s.syncs.Store(0)
}

// Writers do not wait for each other's fsyncs: while one is under way, all others
// are judged, each on what the one before it left, and one fsync acknowledges all
// of them. Nothing is acknowledged, refused or shown before.
func TestOneFsyncAcknowledgesManyWriters(t *testing.T) {
	const writers = 50
	disk := newSlowLog()
	s := opened(t, onMem(disk))
	disk.hold()
	type outcome struct {
		at  rel.Snapshot
		err error
	}
	outcomes := make(chan outcome, writers+2)
	judged := make(chan rel.Revision, writers+2)
	write := func(judge func(*Snapshot) (Commit, error)) {
		at, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
			judged <- snap.Revision()
			return judge(snap)
		})
		outcomes <- outcome{at, err}
	}
	for i := range writers {
		go write(func(snap *Snapshot) (Commit, error) {
			return Commit{Put: []rel.Tuple{tuple(t, fmt.Sprintf("doc:d%d#viewer@user:u%d", i, snap.Revision()))}}, nil
		})
		if on := <-judged; on != rel.Revision(i) {
			t.Fatalf("writer %d was judged on revision %d", i, on)
		}
		if i == 0 {
			<-disk.began // the others come while the first one's fsync is under way
		}
	}
	refusal := errors.New("refused")
	go write(func(*Snapshot) (Commit, error) { return Commit{}, refusal })
	go write(func(*Snapshot) (Commit, error) { return Commit{}, nil })
	for range 2 {
		if on := <-judged; on != writers {
			t.Fatalf("what changes nothing was judged on revision %d", on)
		}
	}
	select {
	case o := <-outcomes:
		t.Fatalf("%v, %v was answered while the fsync runs", o.at, o.err)
	default:
	}
	if r := s.Head().Revision; r != 0 {
		t.Fatalf("revision %d is published while its fsync runs", r)
	}
	disk.held.Unlock()
	refused := 0
	for range writers + 2 {
		o := <-outcomes
		switch {
		case errors.Is(o.err, refusal):
			refused++
		case o.err != nil:
			t.Error(o.err)
		case s.Head().Revision < o.at.Revision:
			t.Errorf("%v was acknowledged, and the head is %v", o.at, s.Head())
		}
	}
	if r := s.Head().Revision; r != writers || refused != 1 {
		t.Errorf("the head is %d, %d refused", r, refused)
	}
	if n := disk.syncs.Load(); n > 3 {
		t.Errorf("%d fsyncs for %d writers", n, writers)
	}
	inOrder(t, s)
}

// When the fsync fails that many wait for, none of them is acknowledged, and what
// was decided on their revisions is not answered either.
func TestAFailedFsyncAcknowledgesNobody(t *testing.T) {
	const writers = 10
	disk := newSlowLog()
	s := opened(t, onMem(disk))
	disk.hold()
	outcomes := make(chan error, writers+1)
	judged := make(chan struct{}, writers+1)
	for i := range writers + 1 {
		go func() {
			_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
				judged <- struct{}{}
				if i == writers {
					return Commit{}, errors.New("refused")
				}
				return Commit{Put: []rel.Tuple{tuple(t, fmt.Sprintf("doc:d%d#viewer@user:u", i))}}, nil
			})
			outcomes <- err
		}()
		<-judged
	}
	disk.fails.Store(true)
	disk.held.Unlock()
	for range writers + 1 {
		wantFault(t, "a write on a failing disk", <-outcomes, fault.DiskMustTakeWrites)
	}
	if r := s.Head().Revision; r != 0 {
		t.Errorf("revision %d is published", r)
	}
	_ = s.db.Close() // says what failed
}
