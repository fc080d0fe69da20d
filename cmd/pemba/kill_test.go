package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// A campaign is the same test with more of it:
//
//	go test ./cmd/pemba -run Killed -args -kills 200 -seed 7
var (
	killsFlag    = flag.Int("kills", killsDefault, "how often the server is killed")
	killSeedFlag = flag.Uint64("seed", 1, "what the clients do, and when the server is killed")
)

const (
	killClients = 6
	// killedAfterMax is how many writes a life acknowledges at most before it is killed.
	killedAfterMax = 400
	killPatience   = time.Minute
)

// A server is killed at any moment under load, and started again on what it left,
// again and again. What it acknowledged is there, what was deleted is not, a write of
// unknown fate is repeated without harm, and who follows the changes goes on where it
// was and sees each of them once. What a killed server leaves is in order.
func TestAKilledServerKeepsWhatItAcknowledgedAndShowed(t *testing.T) {
	k := &killing{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(*killSeedFlag, 9)), shown: map[string]bool{}}
	for i := range killClients {
		k.clients = append(k.clients, &rememberingClient{
			number: i, rng: rand.New(rand.NewPCG(*killSeedFlag, uint64(100+i))), there: map[string]bool{},
		})
	}
	k.start()
	schema := "definition user {}\ndefinition doc {\n  relation viewer: user\n}\n"
	if _, err := pembav1.NewSchemaServiceClient(k.conn).WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	for range *killsFlag {
		k.killUnderLoad()
		k.mustBeInOrder()
		k.start()
		k.compare()
		if t.Failed() {
			return
		}
	}
	k.server.kill()
	t.Logf("%d writes acknowledged in %d lives; of the writes under way at a kill %d were kept and %d lost; ready again after %v at most",
		k.acknowledged, *killsFlag, k.kept, k.lost, k.slowest.Round(time.Millisecond))
}

// A killing is a server and those who remember what it said.
type killing struct {
	t       *testing.T
	dir     string
	rng     *rand.Rand
	server  *testServer
	conn    *grpc.ClientConn
	clients []*rememberingClient

	shown map[string]bool // the tuples that are there, by the changes that were shown
	last  string          // the snapshot up to which they were

	acknowledged, kept, lost int
	slowest                  time.Duration // from the start to the greeting
}

func (k *killing) data() string { return filepath.Join(k.dir, "data") }

func (k *killing) start() {
	k.t.Helper()
	begun := time.Now()
	var err error
	if k.server, err = startServer(k.dir, nil, "--data", k.data()); err != nil {
		k.t.Fatal(err)
	}
	k.slowest = max(k.slowest, time.Since(begun))
	server := k.server
	k.t.Cleanup(server.kill)
	go func() { _, _ = io.Copy(io.Discard, server.said) }() // so that it never waits for a reader
	if k.conn, err = grpc.NewClient(k.server.address, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		k.t.Fatal(err)
	}
}

// killUnderLoad lets everybody write and one follow, and kills the server after some
// answer.
func (k *killing) killUnderLoad() {
	k.t.Helper()
	answered := make(chan struct{}, killClients*killedAfterMax)
	ctx, cancel := context.WithTimeout(k.t.Context(), killPatience)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range k.clients {
		all.Go(func() { c.writeUntilItEnds(ctx, k.t, k.conn, answered) })
	}
	all.Go(func() { k.followUntilItEnds(ctx, "") })
	for range 1 + k.rng.IntN(killedAfterMax) {
		select {
		case <-answered:
			k.acknowledged++
		case <-ctx.Done():
			k.t.Error("the server does not answer")
		}
	}
	k.server.kill()
	all.Wait()
	k.acknowledged += len(answered)
	if err := k.conn.Close(); err != nil {
		k.t.Error(err)
	}
}

// followUntilItEnds keeps what the changes say, up to the last piece that was shown,
// until the server ends or a snapshot is reached.
func (k *killing) followUntilItEnds(ctx context.Context, until string) {
	request := &pembav1.WatchRequest{Start: &pembav1.WatchRequest_Beginning{Beginning: true}}
	if k.last != "" {
		request.Start = &pembav1.WatchRequest_Snapshot{Snapshot: k.last}
	}
	changes, err := pembav1.NewTupleServiceClient(k.conn).Watch(ctx, request)
	if err != nil {
		k.t.Error(err)
		return
	}
	var pieces []*pembav1.TupleChange
	for {
		answer, err := changes.Recv()
		if err != nil {
			if until != "" || status.Code(err) != codes.Unavailable {
				k.t.Errorf("following from %q: %v", k.last, err)
			}
			return
		}
		pieces = append(pieces, answer.GetChanges()...)
		if !answer.GetLastPiece() && !answer.GetCheckpoint() {
			continue
		}
		for _, c := range pieces {
			tuple := c.GetTuple().GetObject() + " " + c.GetTuple().GetSubject()
			deleted := c.GetOperation() == pembav1.TupleChange_OPERATION_DELETED
			if k.shown[tuple] != deleted {
				k.t.Errorf("%v of %s is shown, which is there: %t", c.GetOperation(), tuple, k.shown[tuple])
			}
			if delete(k.shown, tuple); !deleted {
				k.shown[tuple] = true
			}
		}
		pieces, k.last = nil, answer.GetSnapshot()
		if k.last == until {
			return
		}
	}
}

// mustBeInOrder has what the killed server left verified.
func (k *killing) mustBeInOrder() {
	k.t.Helper()
	said, err := exec.Command("pemba", "verify", k.data(), "-o", "json").Output()
	if err != nil {
		k.t.Fatalf("verify: %v\n%s", err, said)
	}
	var report verifyReport
	if err := json.Unmarshal(said, &report); err != nil || !report.InOrder || len(report.Stores) == 0 || report.Stores[0].Head == 0 {
		k.t.Errorf("verified as %s, %v", said, err)
	}
}

// compare asks the server that was started again for what it said before.
func (k *killing) compare() {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), killPatience)
	defer cancel()
	tuples := pembav1.NewTupleServiceClient(k.conn)
	all := map[string]bool{}
	newest := ""
	for _, c := range k.clients {
		if c.pending != nil {
			answer, err := tuples.Write(ctx, c.pending)
			if err != nil {
				k.t.Fatalf("a write of unknown fate, repeated: %v", err)
			}
			if answer.GetReplayed() {
				k.kept++
			} else {
				k.lost++
			}
			c.apply(c.pending, answer)
		}
		if c.snapshot == "" {
			continue
		}
		// What was acknowledged last is the least that a later question sees.
		read, err := tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{
			Filter: &pembav1.TupleFilter{SubjectType: "user", SubjectId: c.user()}, PageSize: 10_000,
			Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: c.snapshot}},
		})
		if err != nil {
			k.t.Fatal(err)
		}
		found := map[string]bool{}
		for _, u := range read.GetTuples() {
			found[u.GetObject()] = true
			all[u.GetObject()+" "+u.GetSubject()] = true
		}
		if !maps.Equal(found, c.there) {
			k.t.Errorf("client %d wrote %d documents and reads %d", c.number, len(c.there), len(found))
		}
		newest = read.GetSnapshot()
	}
	k.followUntilItEnds(ctx, newest)
	if !maps.Equal(k.shown, all) {
		k.t.Errorf("the changes make %d tuples, and %d are there", len(k.shown), len(all))
	}
}

// A rememberingClient writes tuples that nobody else writes, one request at a time,
// and remembers what it was told of them.
type rememberingClient struct {
	number   int
	rng      *rand.Rand
	begun    int
	there    map[string]bool
	snapshot string
	pending  *pembav1.WriteRequest // what was not answered
}

func (c *rememberingClient) user() string { return fmt.Sprint("u", c.number) }

func (c *rememberingClient) writeUntilItEnds(ctx context.Context, t *testing.T, conn *grpc.ClientConn, answered chan<- struct{}) {
	tuples := pembav1.NewTupleServiceClient(conn)
	for {
		c.pending = c.next()
		answer, err := tuples.Write(ctx, c.pending)
		if status.Code(err) == codes.Unavailable {
			return
		}
		if err != nil {
			t.Errorf("client %d: %v", c.number, err)
			return
		}
		c.apply(c.pending, answer)
		select {
		case answered <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// next creates some documents, or takes some of them away.
func (c *rememberingClient) next() *pembav1.WriteRequest {
	c.begun++
	request := &pembav1.WriteRequest{RequestId: fmt.Sprintf("%d-%d", c.number, c.begun)}
	n := 1 + c.rng.IntN(4)
	if c.rng.IntN(3) == 0 && len(c.there) > n {
		for _, object := range slices.Sorted(maps.Keys(c.there))[:n] {
			request.Updates = append(request.Updates, &pembav1.Update{Operation: &pembav1.Update_DeleteTuple{
				DeleteTuple: &pembav1.TupleKey{Object: object, Relation: "viewer", Subject: "user:" + c.user()},
			}})
		}
		return request
	}
	for i := range n {
		request.Updates = append(request.Updates, &pembav1.Update{Operation: &pembav1.Update_Create{
			Create: &pembav1.Tuple{Object: fmt.Sprintf("doc:%d-%d-%d", c.number, c.begun, i), Relation: "viewer", Subject: "user:" + c.user()},
		}})
	}
	return request
}

// apply remembers what was acknowledged.
func (c *rememberingClient) apply(request *pembav1.WriteRequest, answer *pembav1.WriteResponse) {
	for _, u := range request.GetUpdates() {
		if created := u.GetCreate(); created != nil {
			c.there[created.GetObject()] = true
		} else {
			delete(c.there, u.GetDeleteTuple().GetObject())
		}
	}
	c.snapshot, c.pending = answer.GetSnapshot(), nil
}
