package rpc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A storeWorld is a world whose store can be written past admission.
type storeWorld struct {
	*world
	store *tupledb.Store
}

// newStoreWorld serves a directory; none is memory.
func newStoreWorld(t testing.TB, dir string) *storeWorld {
	t.Helper()
	db := openDB(t, tupledb.Config{Dir: dir})
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	w := &storeWorld{newEmptyWorld(t, service.Config{DB: db}), store}
	if store.Head().Revision == 0 {
		w.fill(t)
	}
	return w
}

// puts commits tuples as one write.
func (w *storeWorld) puts(t testing.TB, n int, prefix string) {
	t.Helper()
	_, err := w.store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) {
		var c tupledb.Commit
		for i := range n {
			tuple, err := rel.ParseTuple(fmt.Sprintf("project:%s-%d#viewer@user:ana", prefix, i))
			if err != nil {
				return c, err
			}
			c.Put = append(c.Put, tuple)
		}
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// watch starts a watch that ends with the test.
func (w *world) watch(t testing.TB, req *pembav1.WatchRequest) grpc.ServerStreamingClient[pembav1.WatchResponse] {
	t.Helper()
	stream, err := w.tuples.Watch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func from(snapshot string) *pembav1.WatchRequest {
	return &pembav1.WatchRequest{Start: &pembav1.WatchRequest_Snapshot{Snapshot: snapshot}}
}

func received(t testing.TB, stream grpc.ServerStreamingClient[pembav1.WatchResponse]) *pembav1.WatchResponse {
	t.Helper()
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A message says what was written, when and why, and where to start again.
func TestWatchSendsWritesAndSchemas(t *testing.T) {
	w := newWorld(t)
	stream := w.watch(t, &pembav1.WatchRequest{})
	if m := received(t, stream); !m.GetCheckpoint() || m.GetSnapshot() == "" || m.GetRevision() != nil || m.GetLastPiece() {
		t.Fatalf("the first message is %v", m)
	}
	answer, err := w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: []*pembav1.Update{
		create(tuple("project:p2", "viewer", "user:zoe")),
		create(tuple("project:p2", "organization", "organization:acme")),
		deleteTuple(key("project:p1", "viewer", "link:l1")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := received(t, stream)
	var changes []string
	for _, c := range m.GetChanges() {
		changes = append(changes, fmt.Sprint(c.GetOperation(), " ", c.GetTuple().GetObject(), "#", c.GetTuple().GetRelation(), "@", c.GetTuple().GetSubject()))
	}
	slices.Sort(changes)
	want := []string{
		"OPERATION_CREATED project:p2#organization@organization:acme",
		"OPERATION_CREATED project:p2#viewer@user:zoe",
		"OPERATION_DELETED project:p1#viewer@link:l1",
	}
	r := m.GetRevision()
	if !slices.Equal(changes, want) || m.GetSnapshot() != answer.GetSnapshot() || r.GetSnapshot() != answer.GetSnapshot() ||
		r.GetCause() != pembav1.Cause_CAUSE_WRITE || !r.GetCommittedAt().IsValid() || !m.GetLastPiece() || m.GetCheckpoint() || m.GetSchemaChange() != nil {
		t.Errorf("the write is sent as %v", m)
	}
	written, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: worldSchema + "\ndefinition more {}"})
	if err != nil {
		t.Fatal(err)
	}
	m = received(t, stream)
	if m.GetRevision().GetCause() != pembav1.Cause_CAUSE_SCHEMA_WRITTEN || m.GetSchemaChange().GetVersion() != 2 || !m.GetLastPiece() || len(m.GetChanges()) > 0 {
		t.Errorf("the schema is sent as %v", m)
	}
	if got := m.GetSchemaChange().GetChanges(); len(got) != 1 || !proto.Equal(got[0], written.GetChanges()[0]) {
		t.Errorf("its difference is %v, the writer was told %v", got, written.GetChanges())
	}
}

func TestWatchRequestsAreValidated(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	foreign, err := other.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	future, err := rel.ParseSnapshot(at.GetSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	future.Revision++
	filter := func(f *pembav1.TupleFilter) *pembav1.WatchRequest {
		return &pembav1.WatchRequest{Filters: []*pembav1.TupleFilter{{ObjectType: "project"}, f}}
	}
	for name, c := range map[string]struct {
		req    *pembav1.WatchRequest
		code   codes.Code
		reason string
		field  string
	}{
		"now false":           {&pembav1.WatchRequest{Start: &pembav1.WatchRequest_Now{}}, codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", "now"},
		"beginning false":     {&pembav1.WatchRequest{Start: &pembav1.WatchRequest_Beginning{}}, codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", "beginning"},
		"no snapshot":         {from("now"), codes.InvalidArgument, "SNAPSHOT_MUST_BE_READABLE", "snapshot"},
		"an empty snapshot":   {from(""), codes.InvalidArgument, "SNAPSHOT_MUST_BE_READABLE", "snapshot"},
		"a foreign snapshot":  {from(foreign.GetSnapshot()), codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE", ""},
		"a future snapshot":   {from(future.Token()), codes.FailedPrecondition, "SNAPSHOT_MUST_NOT_BE_OF_THE_FUTURE", ""},
		"another store":       {&pembav1.WatchRequest{Store: "other"}, codes.NotFound, "STORE_MUST_EXIST", ""},
		"too many filters":    {&pembav1.WatchRequest{Filters: make([]*pembav1.TupleFilter, filtersMax+1)}, codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", "filters"},
		"a filter of no type": {filter(&pembav1.TupleFilter{ObjectId: "p1"}), codes.InvalidArgument, "FILTER_MUST_BE_READABLE", "filters[1]"},
		"a filter of no name": {filter(&pembav1.TupleFilter{Relation: "No"}), codes.InvalidArgument, "NAME_MUST_BE_VALID", "filters[1].relation"},
		"an unknown type":     {filter(&pembav1.TupleFilter{ObjectType: "projekt"}), codes.InvalidArgument, "TYPE_MUST_EXIST", "filters[1]"},
		"an unknown relation": {filter(&pembav1.TupleFilter{ObjectType: "project", Relation: "reader"}), codes.InvalidArgument, "NAME_MUST_EXIST", "filters[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.watch(t, c.req).Recv()
			if r := mustRefuse(t, err, c.code, c.reason); c.field != "" && !slices.Equal(r.fields(), []string{c.field}) {
				t.Errorf("at %v", r.fields())
			}
		})
	}
	for _, start := range []*pembav1.WatchRequest{
		{Start: &pembav1.WatchRequest_Now{Now: true}},
		{Filters: make([]*pembav1.TupleFilter, filtersMax)},
		from(at.GetSnapshot()),
	} {
		if m := received(t, w.watch(t, start)); !m.GetCheckpoint() || m.GetSnapshot() != at.GetSnapshot() {
			t.Errorf("%v starts with %v", start, m)
		}
	}
	if m := received(t, w.watch(t, &pembav1.WatchRequest{Start: &pembav1.WatchRequest_Beginning{Beginning: true}})); m.GetSchemaChange().GetVersion() != 1 {
		t.Errorf("the beginning is %v", m)
	}
}

// No message takes more than gRPC's buffer of 32 KB, whatever was written: a slow
// client has several on their way.
func TestPiecesFitASmallBuffer(t *testing.T) {
	const tuples = 20_000
	w := newStoreWorld(t, "")
	stream := w.watch(t, &pembav1.WatchRequest{})
	before := received(t, stream).GetSnapshot()
	w.puts(t, tuples, strings.Repeat("long", 40))
	seen := 0
	for last := false; !last; {
		m := received(t, stream)
		seen += len(m.GetChanges())
		last = m.GetLastPiece()
		if size := proto.Size(m); size > 32<<10 || !last && size < 24<<10 {
			t.Errorf("a piece of %d bytes", size)
		}
		if want := last == (seen == tuples) && (m.GetSnapshot() == before) == !last; !want {
			t.Errorf("after %d tuples: last %t, at %s", seen, last, m.GetSnapshot())
		}
	}
	if seen != tuples {
		t.Errorf("%d tuples were sent", seen)
	}
}

// A client that reads nothing while thousands of writes happen holds up no
// writer, and is then given all of them in order.
func TestASlowClientMissesNothing(t *testing.T) {
	const writes = 3_000
	w := newStoreWorld(t, "")
	stream := w.watch(t, &pembav1.WatchRequest{})
	received(t, stream)
	name := strings.Repeat("x", 500) // so that nothing on the way holds them all
	for i := range writes {
		w.puts(t, 1, fmt.Sprint(name, i))
	}
	for i := range writes {
		m := received(t, stream)
		if got, want := m.GetChanges()[0].GetTuple().GetObject(), fmt.Sprintf("project:%s%d-0", name, i); got != want || len(m.GetChanges()) != 1 {
			t.Fatalf("write %d is sent as %d changes, the first of %s", i, len(m.GetChanges()), got)
		}
	}
}

// When the server is told to stop, watches end at once, with what makes a client
// start again, and without a line for each of them.
func TestDrainEndsWatches(t *testing.T) {
	w := newWorld(t)
	var streams []grpc.ServerStreamingClient[pembav1.WatchResponse]
	for range 20 {
		stream := w.watch(t, &pembav1.WatchRequest{})
		received(t, stream)
		streams = append(streams, stream)
	}
	w.server.Drain(context.WithoutCancel(t.Context()))
	for _, stream := range streams {
		_, err := stream.Recv()
		mustRefuse(t, err, codes.Unavailable, "SERVER_MUST_BE_SERVING")
	}
	if w.logged.Len() > 0 {
		t.Errorf("logged %s", w.logged)
	}
}

// A client that goes away leaves nothing behind, whether the watch waits for a
// write or for the client.
func TestAClientThatGoesLeavesNoWatchBehind(t *testing.T) {
	w := newStoreWorld(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	// More than a window takes, and too little for the database to begin flushing,
	// which has goroutines of its own.
	w.puts(t, 2_000, strings.Repeat("long", 40))
	// The first call makes the connection, which stays.
	if _, err := w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{}); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	for range 10 {
		stream, err := w.tuples.Watch(ctx, &pembav1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		received(t, stream)
		slow, err := w.tuples.Watch(ctx, &pembav1.WatchRequest{Start: &pembav1.WatchRequest_Beginning{Beginning: true}})
		if err != nil {
			t.Fatal(err)
		}
		received(t, slow)
	}
	cancel()
	goleak.VerifyNone(t, before)
}

// A cutting dialer's connections can be cut, as networks are.
type cuttingDialer struct {
	to      func(context.Context) (net.Conn, error)
	current atomic.Pointer[net.Conn]
}

func (d *cuttingDialer) dial(ctx context.Context, _ string) (net.Conn, error) {
	c, err := d.to(ctx)
	if err == nil {
		d.current.Store(&c)
	}
	return c, err
}

// A client whose connection is cut at random, in the middle of writes and of
// messages, while others write, sees the change log: every write whole and once,
// in order, over a restart of the server.
func TestACutClientResumesExactly(t *testing.T) {
	const writes = 60 // in each run
	dir := t.TempDir()
	seen := &seenLog{rng: rand.New(rand.NewPCG(7, 7))}
	for _, run := range []string{"before the restart", "after it"} {
		t.Run(run, func(t *testing.T) {
			w := newStoreWorld(t, dir)
			if seen.at == "" {
				seen.at = w.store.Head().Token()
			}
			end := w.store.Head()
			end.Revision += writes
			written := make(chan struct{})
			go func() {
				defer close(written)
				for i := range writes {
					n := 1 + i%5
					if i%8 == 7 {
						n = 2_000 // several pieces, and fewer than a connection lasts for at most
					}
					w.puts(t, n, fmt.Sprintf("%s%d", strings.ReplaceAll(run, " ", "-"), i))
				}
			}()
			// The server is stopped when all is written, not when all is seen.
			for stop := false; !stop && seen.at != end.Token(); {
				seen.session(t, w, end.Token())
				select {
				case <-written:
					stop = run != "after it"
				default:
				}
			}
			<-written
			if run == "after it" {
				seen.mustBeTheLog(t, w.store)
			}
		})
	}
	// Each write is a message at least, and only the last connections are not cut.
	if seen.cuts < 2*writes/connectionMessagesMax-2 {
		t.Errorf("%d connections were cut", seen.cuts)
	}
}

// A seenLog is what a client has seen of the log over its connections.
type seenLog struct {
	rng   *rand.Rand
	at    string   // where to start again
	whole []string // the changes of writes that were seen to their end
	cuts  int
}

// session watches over one connection until that is cut or the end was seen.
func (s *seenLog) session(t *testing.T, w *storeWorld, end string) {
	t.Helper()
	d := &cuttingDialer{to: func(ctx context.Context) (net.Conn, error) { return w.listener.DialContext(ctx) }}
	conn, err := grpc.NewClient("passthrough:///cut", grpc.WithContextDialer(d.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := pembav1.NewTupleServiceClient(conn).Watch(ctx, from(s.at))
	if err != nil {
		t.Fatal(err)
	}
	var begun []string
	for range 1 + s.rng.IntN(connectionMessagesMax) {
		m, err := stream.Recv()
		if err != nil {
			t.Fatalf("the watch ended by itself: %v", err)
		}
		s.at = m.GetSnapshot()
		for _, c := range m.GetChanges() {
			begun = append(begun, m.GetRevision().GetSnapshot()+" "+c.GetTuple().GetObject())
		}
		if m.GetLastPiece() {
			s.whole, begun = append(s.whole, begun...), nil
		}
		if s.at == end {
			return
		}
	}
	s.cuts++
	if s.rng.IntN(2) == 0 {
		(*(d.current.Load())).Close()
	} else {
		cancel()
	}
}

// connectionMessagesMax is how many messages a connection lasts for at most. With
// it the number of cuts does not depend on how fast anybody is.
const connectionMessagesMax = 9

func (s *seenLog) mustBeTheLog(t *testing.T, store *tupledb.Store) {
	t.Helper()
	var log []string
	at := store.Head()
	for c, err := range store.Changes(3) { // after the world's schema and tuples
		if err != nil {
			t.Fatal(err)
		}
		at.Revision = c.Revision
		for _, tuple := range c.Put {
			log = append(log, at.Token()+" "+tuple.Object.String())
		}
	}
	if !slices.Equal(s.whole, log) {
		t.Errorf("%d changes were seen, the log has %d", len(s.whole), len(log))
	}
}
