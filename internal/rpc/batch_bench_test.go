package rpc

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
)

// batchWorld is what the batches are asked of: projects in a workspace, shared with
// teams nested three deep, and a hundred permissions.
func batchWorld() (schema, tuples string) {
	var text strings.Builder
	text.WriteString(`use roles
definition user {}
definition team { relation member: user | team#member }
definition workspace { roles { viewer: user | team#member; editor: user | team#member } }
definition project {
  relation workspace: workspace
  roles { viewer: user | team#member; editor: user | team#member; inherit from workspace }
`)
	for i := range 100 {
		fmt.Fprintf(&text, "permission p%d = %s\n", i, []string{"viewer", "editor"}[i%2])
	}
	var b strings.Builder
	fmt.Fprintln(&b, "workspace:w#viewer@user:lea")
	for i := range 100 {
		fmt.Fprintf(&b, "team:inner%d#member@user:u%d\n", i%20, i)
	}
	for i := range 20 {
		fmt.Fprintf(&b, "team:outer%d#member@team:middle%d#member team:middle%d#member@team:inner%d#member team:inner%d#member@user:ana\n", i, i, i, i, i)
	}
	for i := range 100 {
		fmt.Fprintf(&b, "project:p%d#workspace@workspace:w project:p%d#viewer@team:outer%d#member project:p%d#editor@user:u%d\n", i, i, i%20, i, i)
	}
	return text.String() + "}", b.String()
}

// batchShapes are batches of a hundred, with the number in place of every %. Of the
// answers every so many is granted, beginning with the first.
var batchShapes = []struct {
	name, object, permission, subject string
	granted                           int
}{
	{"names of one object", "project:p0", "p%", "user:ana", 2},
	{"objects of one subject", "project:p%", "p0", "user:ana", 1},
	{"subjects on one object", "project:p0", "p0", "user:u%", 20},
	{"a subject each and an object each", "project:p%", "p0", "user:u%", 1},
}

func batchOf(object, permission, subject string) *pembav1.BatchCheckRequest {
	request := new(pembav1.BatchCheckRequest)
	for i := range 100 {
		here := func(text string) string { return strings.ReplaceAll(text, "%", strconv.Itoa(i)) }
		request.Items = append(request.Items, &pembav1.BatchCheckItem{Object: here(object), Permission: here(permission), Subject: here(subject)})
	}
	return request
}

// BenchmarkBatchCheck compares the processor time of a server that answers batches of
// a hundred with that of a server whose handler answers the same bytes and does
// nothing. Both are in a process of their own and are asked in turns, a round of one
// and a round of the other, so that what else the machine does meets both alike; the
// client sends and takes in bytes.
func BenchmarkBatchCheck(b *testing.B) {
	const round, inFlight = 256, 32
	server := startBatchServer(b)
	for _, shape := range batchShapes {
		request, err := proto.Marshal(batchOf(shape.object, shape.permission, shape.subject))
		if err != nil {
			b.Fatal(err)
		}
		want := server.mustAnswer(b, server.pemba, request)
		for i, answer := range decoded(b, want).GetAnswers() {
			if answer.GetAnswer() == nil || answer.GetAnswer().GetGranted() != (i%shape.granted == 0) {
				b.Fatalf("%s, item %d: %v", shape.name, i, answer)
			}
		}
		server.mustAnswer(b, server.empty, request) // it answers the same from now on
		b.Run(shape.name, func(b *testing.B) {
			var took [2]time.Duration
			for b.Loop() {
				for i, conn := range []*grpc.ClientConn{server.empty, server.pemba} {
					before := server.processorTime(b)
					var asking sync.WaitGroup
					for range inFlight {
						asking.Go(func() {
							for range round / inFlight {
								if got, err := server.answer(b, conn, request); err != nil || !bytes.Equal(got, want) {
									b.Error("another answer", err)
								}
							}
						})
					}
					asking.Wait()
					took[i] += server.processorTime(b) - before
				}
			}
			each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N*round) }
			b.ReportMetric(0, "ns/op") // a round of each
			b.ReportMetric(each(took[0]), "empty-us")
			b.ReportMetric(each(took[1]), "pemba-us")
			b.ReportMetric(float64(took[1])/float64(took[0]), "times")
		})
	}
}

func decoded(b *testing.B, body []byte) *pembav1.BatchCheckResponse {
	answer := new(pembav1.BatchCheckResponse)
	if err := proto.Unmarshal(body, answer); err != nil {
		b.Fatal(err)
	}
	return answer
}

// A batchServer is the process that serves.
type batchServer struct {
	pemba, empty *grpc.ClientConn
	ask          io.WriteCloser
	told         *bufio.Scanner
}

// benchServerVariable says to a process of this package's tests that it is to serve.
const benchServerVariable = "PEMBA_BENCH_SERVER"

func startBatchServer(b *testing.B) *batchServer {
	command := exec.Command(os.Args[0], "-test.run=^TestServeForTheBenchmark$")
	command.Env = append(os.Environ(), benchServerVariable+"=1")
	command.Stderr = os.Stderr
	ask, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	told, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	s := &batchServer{ask: ask, told: bufio.NewScanner(told)}
	b.Cleanup(func() {
		_ = ask.Close()
		_ = command.Wait()
	})
	for _, conn := range []**grpc.ClientConn{&s.pemba, &s.empty} {
		*conn, err = grpc.NewClient(s.line(b), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = (*conn).Close() })
	}
	return s
}

func (s *batchServer) line(b *testing.B) string {
	if !s.told.Scan() {
		b.Fatal("the server is gone", s.told.Err())
	}
	return s.told.Text()
}

func (s *batchServer) processorTime(b *testing.B) time.Duration {
	if _, err := fmt.Fprintln(s.ask); err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(s.line(b), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}

func (s *batchServer) answer(b *testing.B, conn *grpc.ClientConn, request []byte) (got raw, err error) {
	return got, conn.Invoke(b.Context(), pembav1.PermissionService_BatchCheck_FullMethodName, raw(request), &got)
}

func (s *batchServer) mustAnswer(b *testing.B, conn *grpc.ClientConn, request []byte) raw {
	got, err := s.answer(b, conn, request)
	if err != nil {
		b.Fatal(err)
	}
	return got
}

// bytesCodec sends and takes in bodies as they are.
type bytesCodec struct{ rawCodec }

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*raw) = data.Materialize()
	return nil
}

// TestServeForTheBenchmark is no test: it is the process that BenchmarkBatchCheck
// measures.
func TestServeForTheBenchmark(t *testing.T) {
	if os.Getenv(benchServerVariable) == "" {
		t.Skip("serves for a benchmark alone")
	}
	answering := newService(t, service.Config{})
	schema, tuples := batchWorld()
	fill(t, answering, schema, tuples)
	pemba, err := NewServer(Config{Service: answering, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	empty := grpc.NewServer()
	empty.RegisterService(&pembav1.PermissionService_ServiceDesc, &emptyHandler{answers: make(map[string]*pembav1.BatchCheckResponse), real: &permissionServer{service: answering}})
	for _, serve := range []func(net.Listener) error{pemba.Serve, empty.Serve} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(l.Addr())
		go func() { _ = serve(l) }()
	}
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
	empty.Stop()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	pemba.Drain(ended)
}

// An emptyHandler answers each batch as it has answered it the first time.
type emptyHandler struct {
	pembav1.UnimplementedPermissionServiceServer
	answers map[string]*pembav1.BatchCheckResponse // by the shape's ends; filled by one client before many ask
	real    *permissionServer
}

func (h *emptyHandler) BatchCheck(ctx context.Context, req *pembav1.BatchCheckRequest) (*pembav1.BatchCheckResponse, error) {
	last := req.GetItems()[len(req.GetItems())-1]
	key := last.GetObject() + last.GetPermission() + last.GetSubject()
	if answer := h.answers[key]; answer != nil {
		return answer, nil
	}
	answer, err := h.real.BatchCheck(ctx, req)
	h.answers[key] = answer
	return answer, err
}
