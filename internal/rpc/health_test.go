package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// patience is how long a test waits for what happens in the background.
const patience = time.Minute

// A healthWatch follows the health of one service.
type healthWatch struct {
	*testing.T
	stream healthpb.Health_WatchClient
	name   string
}

func watchHealth(t *testing.T, w *world, name string) *healthWatch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := healthpb.NewHealthClient(w.conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	return &healthWatch{t, stream, name}
}

// becomes waits until the health is this.
func (h *healthWatch) becomes(want healthpb.HealthCheckResponse_ServingStatus) {
	h.Helper()
	for {
		answer, err := h.stream.Recv()
		if err != nil {
			h.Fatalf("the health of %q never became %v: %v", h.name, want, err)
		}
		if answer.GetStatus() == want {
			return
		}
	}
}

// healthOf asks for the health of a service.
func healthOf(t *testing.T, w *world, name string) healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	answer, err := healthpb.NewHealthClient(w.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetStatus()
}

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// silent is the Logger of a disk that is expected to fail.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// While no table can be made, as on a full disk, the services that write are not
// healthy, writes are refused and questions answered; and the server is well: a
// restart would not help. When there is room again, it goes on by itself.
func TestOnAFullDiskTheServicesThatWriteAreNotHealthy(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, tupledb.Config{Dir: dir, Logger: silent{}})
	w := newEmptyWorld(t, service.Config{DB: db})
	w.fill(t)
	// No table can be made under a name that a full directory has.
	var obstacles []string
	for n := range 200 {
		table := filepath.Join(dir, fmt.Sprintf("%06d.sst", n))
		if _, err := os.Lstat(table); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(table, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		obstacles = append(obstacles, table)
	}
	health := watchHealth(t, w, "pemba.v1.TupleService")
	ended := make(chan error, 1)
	go func() { // until a memtable is full, and its flush has failed
		for i := 0; ; i++ {
			var updates []*pembav1.Update
			for n := range 200 {
				updates = append(updates, create(tuple(fmt.Sprintf("team:t%d", i), "member", fmt.Sprintf("user:u%d", n))))
			}
			if _, err := w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: updates}); err != nil {
				ended <- err
				return
			}
		}
	}()
	mustRefuse(t, <-ended, codes.Unavailable, "DISK_MUST_TAKE_WRITES")
	health.becomes(notServing)
	for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"pemba.v1.PermissionService": serving, "pemba.v1.SchemaService": notServing, "pemba.v1.StoreService": notServing, "": serving,
	} {
		if got := healthOf(t, w, name); got != want {
			t.Errorf("the health of %q is %v", name, got)
		}
	}
	if answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:eve"}); err != nil || !answer.GetGranted() {
		t.Errorf("a question while the disk is full: %v, %v", answer, err)
	}
	for _, table := range obstacles { // which are empty then, and give way
		if err := os.Remove(filepath.Join(table, "full")); err != nil {
			t.Fatal(err)
		}
	}
	health.becomes(serving)
	if _, err := w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(tuple("team:core", "member", "user:zoe"))}}); err != nil {
		t.Errorf("a write when there is room again: %v", err)
	}
	for _, name := range append(services, "") {
		if got := healthOf(t, w, name); got != serving {
			t.Errorf("at the end the health of %q is %v", name, got)
		}
	}
}

// A block that cannot be read ends writing until the server is started again, and
// that is what the health of the whole server says.
func TestAServerThatNeedsARestartIsNotHealthy(t *testing.T) {
	dir := t.TempDir()
	cfg := tupledb.Config{Dir: dir, Logger: silent{}}
	func() { // two lives: what the first one has in its log, the second one puts into tables
		for range 2 {
			db, err := tupledb.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := service.New(service.Config{DB: db})
			if head, err := s.ReadSchema(t.Context(), service.SchemaQuery{Store: "default"}); err != nil {
				fill(t, s, worldSchema, worldTuples)
				for i := range 20 {
					var lines strings.Builder
					for n := range 300 {
						fmt.Fprintf(&lines, "team:t%d#member@user:u%d-%d\n", i, n, i)
					}
					write(t, s, lines.String())
				}
			} else if head.Version != 1 {
				t.Fatal(head)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	largest, size := "", int64(0)
	for _, table := range tables {
		if info, err := os.Stat(table); err == nil && info.Size() > size {
			largest, size = table, info.Size()
		}
	}
	spoil(t, largest)
	w := newEmptyWorld(t, service.Config{DB: openDB(t, cfg)})
	health := watchHealth(t, w, "")
	health.becomes(serving)
	changes, err := w.tuples.Watch(t.Context(), &pembav1.WatchRequest{Start: &pembav1.WatchRequest_Beginning{Beginning: true}})
	for err == nil { // until the damage is met
		_, err = changes.Recv()
	}
	mustRefuse(t, err, codes.DataLoss, "DATA_MUST_BE_READABLE")
	health.becomes(notServing)
	for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"pemba.v1.PermissionService": serving, "pemba.v1.TupleService": notServing, "pemba.v1.SchemaService": notServing,
	} {
		if got := healthOf(t, w, name); got != want {
			t.Errorf("the health of %q is %v", name, got)
		}
	}
	_, err = w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(tuple("team:core", "member", "user:zoe"))}})
	mustRefuse(t, err, codes.Unavailable, "DISK_MUST_TAKE_WRITES")
}

// spoil turns a byte where a large table has the beginning of the change log, which
// opening does not read.
func spoil(t *testing.T, table string) {
	t.Helper()
	f, err := os.OpenFile(table, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	at := info.Size() / 20
	if _, err = f.ReadAt(b[:], at); errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
