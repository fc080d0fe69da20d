package rpc

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/service"
)

// Bounds on what one connection may cost, before a request is even read.
const (
	// requestBytesMax holds the largest valid request, a write of a thousand
	// tuples with the longest ids (2.7 MB), and no more: a message is decoded
	// whole, and decoding can take forty times its size in memory.
	requestBytesMax = 4 << 20

	// headerBytesMax holds a large token of an identity provider several times.
	// grpc-go's own limit is 16 MiB a request.
	headerBytesMax = 64 << 10

	// streamsPerConnectionMax bounds the handlers that one connection can hold
	// at once; grpc-go's own limit is four billion. Whoever needs more opens
	// another connection, which is faster, too.
	streamsPerConnectionMax = 1_000

	// handshakeTimeMax frees what a connection that never speaks HTTP/2 holds.
	handshakeTimeMax = 20 * time.Second

	// pingEveryMin is how often a client may ask whether the server is there.
	// grpc-go's own limit, five minutes, ends connections of ordinary clients
	// that keep a NAT entry open.
	pingEveryMin = 10 * time.Second

	// A client that has vanished without a word is asked for after
	// quietTimeMax, and given up after pingTimeMax: it must not hold a stream
	// for the two hours that are grpc-go's default.
	quietTimeMax = 2 * time.Minute
	pingTimeMax  = 20 * time.Second
)

// drainTimeMax is how long calls that run may take to end: docker kills after ten
// seconds, and a client that watches our health never ends by itself.
const drainTimeMax = 8 * time.Second

// slowCallDefault is far above what any question within its budget needs on an
// idle machine, so that a line about it means something.
const slowCallDefault = time.Second

// A Config is what a Server is made of.
type Config struct {
	// Service answers. Required.
	Service *service.Service
	// Logger hears of failures that are not the client's, of slow calls, and,
	// where it wants debug lines, of every refusal. Required.
	Logger *slog.Logger
	// SlowCall is how long a call may take before a line says so; 0 means a second.
	SlowCall time.Duration
}

// Validate says whether the parts are there and fit together.
func (c Config) Validate() error {
	switch {
	case c.Service == nil:
		return fault.New(fault.FieldMustBeSet, "the server has no service").Do("give it the service that answers").In("Service")
	case c.Logger == nil:
		return fault.New(fault.FieldMustBeSet, "the server has no logger").Do("give it one; slog.New(slog.DiscardHandler) hears and says nothing").In("Logger")
	case c.SlowCall < 0:
		return fault.Newf(fault.FieldMustBeWithinBounds, "a slow call of %v", c.SlowCall).Do("give a time above 0, or 0 for the default").In("SlowCall")
	}
	return nil
}

// A Server serves pemba's API, the health service and reflection.
//
// The health of a service is SERVING while its calls are answered. While the disk
// takes no writes the services that write are NOT_SERVING, and PermissionService,
// which only reads, goes on. The health of the whole server, whose name is empty,
// says whether a restart would help: it turns to NOT_SERVING when writes are refused
// until then, and not where the disk is full, since room is what helps there. So a
// probe that restarts asks for the empty name, and one that sends questions here
// asks for PermissionService. Draining turns all of them to NOT_SERVING.
type Server struct {
	grpc    *grpc.Server
	health  *health.Server
	service *service.Service
	serving context.Context
	stop    context.CancelFunc // ends the calls that last until they are ended
}

// NewServer makes a server. Serve starts it, Drain ends it.
func NewServer(c Config) (*Server, error) { return newServer(c) }

// newServer lets tests put interceptors between the edge and the handlers.
func newServer(c Config, inside ...grpc.UnaryServerInterceptor) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.SlowCall == 0 {
		c.SlowCall = slowCallDefault
	}
	serving, stop := context.WithCancel(context.Background())
	e := &edge{log: c.Logger, slow: c.SlowCall, serving: serving}
	s := &Server{
		service: c.Service,
		serving: serving,
		stop:    stop,
		grpc: grpc.NewServer(
			grpc.ChainUnaryInterceptor(append(e.unaryInterceptors(), inside...)...),
			grpc.ChainStreamInterceptor(e.stream, recovery.StreamServerInterceptor(recovery.WithRecoveryHandlerContext(panicked))),
			// Stop then returns only when no handler is left that could still
			// use the database.
			grpc.WaitForHandlers(true),
			grpc.ForceServerCodecV2(newRequestCodec()),
			grpc.MaxRecvMsgSize(requestBytesMax),
			grpc.MaxHeaderListSize(headerBytesMax),
			grpc.MaxConcurrentStreams(streamsPerConnectionMax),
			grpc.ConnectionTimeout(handshakeTimeMax),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingEveryMin, PermitWithoutStream: true}),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: quietTimeMax, Timeout: pingTimeMax}),
		),
		health: health.NewServer(),
	}
	s.register(c.Service, e)
	return s, nil
}

func (s *Server) register(answering *service.Service, e *edge) {
	for _, r := range []struct {
		desc    grpc.ServiceDesc
		handler any
	}{
		{pembav1.PermissionService_ServiceDesc, &permissionServer{service: answering, edge: e}},
		{pembav1.TupleService_ServiceDesc, &tupleServer{service: answering, edge: e}},
		{pembav1.SchemaService_ServiceDesc, &schemaServer{service: answering}},
		{pembav1.StoreService_ServiceDesc, &storeServer{service: answering}},
	} {
		s.grpc.RegisterService(&r.desc, r.handler)
		s.health.SetServingStatus(r.desc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	}
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc) // v1, and v1alpha for grpcurl before 1.9
}

// Serve answers on a listener until the server is drained, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	ctx, end := context.WithCancel(s.serving)
	var following sync.WaitGroup
	following.Go(func() { s.followDisk(ctx) })
	defer following.Wait()
	defer end()
	return s.grpc.Serve(l)
}

// followDisk keeps the health true, until ctx ends.
func (s *Server) followDisk(ctx context.Context) {
	for {
		disk, changed := s.service.Disk()
		for _, written := range []*grpc.ServiceDesc{&pembav1.TupleService_ServiceDesc, &pembav1.SchemaService_ServiceDesc, &pembav1.StoreService_ServiceDesc} {
			s.health.SetServingStatus(written.ServiceName, servingIf(disk.TakesWrites))
		}
		s.health.SetServingStatus("", servingIf(!disk.NeedsRestart))
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func servingIf(well bool) healthpb.HealthCheckResponse_ServingStatus {
	if well {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// Drain ends serving. Health turns to NOT_SERVING at once, so that load
// balancers look elsewhere; no call is accepted any more, and those that run
// are waited for until ctx ends or drainTimeMax is over, then cut off. Watches
// are told to start again elsewhere at once; one whose client takes nothing in
// cannot be told, and is cut off with the rest. When it returns no handler is
// running: the database may be closed.
func (s *Server) Drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeMax)
	defer cancel()
	s.health.Shutdown()
	s.stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.grpc.GracefulStop()
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		s.grpc.Stop() // ends the contexts of what runs, and waits for it
		<-drained
	}
}
