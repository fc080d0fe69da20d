package rpc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/service"
)

var services = []string{"pemba.v1.PermissionService", "pemba.v1.TupleService", "pemba.v1.SchemaService", "pemba.v1.StoreService"}

func TestAServerNeedsItsParts(t *testing.T) {
	s := newService(t, service.Config{})
	for _, c := range []struct {
		config Config
		field  string
	}{
		{Config{Logger: discard}, "Service"},
		{Config{Service: s}, "Logger"},
		{Config{Service: s, Logger: discard, SlowCall: -1}, "SlowCall"},
		{Config{Service: s, Logger: discard}, ""},
	} {
		_, err := NewServer(c.config)
		field := ""
		if f := fault.Of(err); f != nil {
			field = f.Field
		}
		if field != c.field || (c.field == "") != (err == nil) {
			t.Errorf("want a fault about %q, got %v", c.field, err)
		}
	}
}

func TestHealthIsServingUntilTheServerIsDrained(t *testing.T) {
	w := newWorld(t)
	healths := healthpb.NewHealthClient(w.conn)
	for _, name := range append(services, "") {
		answer, err := healths.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", name, answer, err)
		}
	}
	if _, err := healths.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pemba.v1.Nothing"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}

	watch, err := healths.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := watch.Recv(); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(answer, err)
	}
	drained := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.server.Drain(ctx); close(drained) }()
	if answer, err := watch.Recv(); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Error(answer, err)
	}
	cancel() // a watcher never ends by itself, so the bound does it
	<-drained
	if _, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("after draining: %v", err)
	}
}

func TestDrainWaitsForCallsAndThenEndsThem(t *testing.T) {
	for _, patient := range []bool{true, false} {
		entered, release := make(chan struct{}), make(chan struct{})
		w := newWorld(t, func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			close(entered)
			select {
			case <-release:
				return handler(ctx, req)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		answered := make(chan error, 1)
		go func() {
			_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"})
			answered <- err
		}()
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan struct{})
		go func() { w.server.Drain(ctx); close(drained) }()
		if patient {
			for answer := (*healthpb.HealthCheckResponse)(nil); answer.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING; {
				answer, _ = w.server.health.Check(t.Context(), &healthpb.HealthCheckRequest{})
			}
			close(release)
		} else {
			cancel()
		}
		if err := <-answered; (err == nil) != patient {
			t.Errorf("patient %v: %v", patient, err)
		}
		<-drained
		cancel()
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	w := newWorld(t)
	stream, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	listed := answer.String()
	for _, name := range services {
		if !strings.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
		ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}}
		if err := stream.Send(ask); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err != nil || len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("%s: %v %v", name, answer, err)
		}
	}

	// The messages of v1alpha are the same on the wire.
	alpha, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.SendMsg(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer = new(reflectionpb.ServerReflectionResponse)
	if err := alpha.RecvMsg(answer); err != nil || !strings.Contains(answer.String(), services[0]) {
		t.Error(answer, err)
	}
}

func TestAPanicIsInternalAndLoggedWithItsStack(t *testing.T) {
	w := newWorld(t, func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		panic("secret of the house")
	})
	_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{})
	r := mustRefuse(t, err, codes.Internal, "PEMBA_MUST_NOT_PANIC")
	if strings.Contains(r.message, "secret") {
		t.Errorf("the client is told %q", r.message)
	}
	for _, want := range []string{"secret of the house", "server_test.go", "pemba.v1.PermissionService/Check", "level=ERROR"} {
		if !strings.Contains(w.logged.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, w.logged)
		}
	}
}

func TestSlowCallsAreLoggedWithoutIDs(t *testing.T) {
	w := newWorld(t)
	var logged strings.Builder
	e := &edge{log: logTo(&logged), slow: time.Nanosecond}
	info := &grpc.UnaryServerInfo{FullMethod: "/pemba.v1.PermissionService/Check"}
	p := &permissionServer{service: w.service, edge: e}
	_, err := e.unary(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"}, info,
		func(ctx context.Context, req any) (any, error) { return p.Check(ctx, req.(*pembav1.CheckRequest)) })
	if err != nil {
		t.Fatal(err)
	}
	if s := logged.String(); !strings.Contains(s, "slow call") || !strings.Contains(s, "/Check") || strings.Contains(s, "ana") {
		t.Errorf("got %s", s)
	}
}

func TestOrdinaryRefusalsLeaveNoLine(t *testing.T) {
	w := newWorld(t)
	if _, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project"}); err == nil {
		t.Fatal("was answered")
	}
	if _, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"}); err != nil {
		t.Fatal(err)
	}
	if w.logged.Len() > 0 {
		t.Errorf("got %s", w.logged)
	}
}

func TestAClientThatLeavesIsCancelled(t *testing.T) {
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, func(inner context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		cancel()
		<-inner.Done()
		answer, err := handler(inner, req)
		ended <- err
		return answer, err
	})
	_, err := w.permissions.Check(ctx, &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"})
	if status.Code(err) != codes.Canceled {
		t.Errorf("the client sees %v", err)
	}
	if err := <-ended; !fault.Is(err, fault.CallerMustStay) {
		t.Errorf("the handler ended with %v", err)
	}
}

func TestADeadlineThatPassesIsNoAnswer(t *testing.T) {
	w := newWorld(t, func(_ context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
		defer cancel()
		return handler(late, req)
	})
	for _, call := range []func() error{
		func() error {
			_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:ana"})
			return err
		},
		func() error {
			_, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{{Object: "project:p1", Permission: "view", Subject: "user:ana"}}})
			return err
		},
		func() error {
			_, err := w.tuples.Write(t.Context(), &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(tuple("team:x", "member", "user:x"))}})
			return err
		},
	} {
		mustRefuse(t, call(), codes.DeadlineExceeded, "DEADLINE_MUST_NOT_PASS")
	}
}

func TestErrorsThatAreNoFaultsGiveNothingAway(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{errors.New("pebble: /secret/path"), codes.Internal, "PEMBA_MUST_NOT_PANIC"},
		{status.Error(codes.Unknown, "pebble: /secret/path"), codes.Internal, "PEMBA_MUST_NOT_PANIC"},
		{&fault.Fault{Summary: "pebble: /secret/path"}, codes.Internal, "PEMBA_MUST_NOT_PANIC"},
		{context.Canceled, codes.Canceled, "CALLER_MUST_STAY"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_MUST_NOT_PASS"},
	} {
		w := newWorld(t, func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, c.err })
		_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{})
		r := mustRefuse(t, err, c.code, c.reason)
		if strings.Contains(r.message, "secret") {
			t.Errorf("the client is told %q", r.message)
		}
		if told := strings.Contains(w.logged.String(), "secret"); told != (c.code == codes.Internal) {
			t.Errorf("%v: the log is %q", c.err, w.logged)
		}
	}
}
