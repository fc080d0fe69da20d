package rpc

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

const worldSchema = `use roles
use typechecking

definition user {}

/** link is a share link. */
definition link {}

definition team {
  relation member: user | team#member
  relation lead: user
}

definition organization {
  roles one per subject {
    /** member is everybody. */
    member: user           granted by admin
    admin:  user [1..*]    granted by admin revoked by admin except self
  }
  permission manage = admin
}

definition project {
  within organization
  created by organization->manage

  relation organization: organization [1]
  relation banned: user
  relation reviewer: user [0..2] of banned

  roles except banned {
    viewer: user | user:* | link | team#member = organization->member   granted by editor
    editor: user | team#member = organization->admin                    granted by editor
    owner = editor & organization->admin
  }

  /** view is the least. */
  permission view = viewer
  permission edit = editor
  permission none: link | user = nil
}
`

const worldTuples = `
organization:acme#admin@user:ana
organization:acme#member@user:mia
project:p1#organization@organization:acme
project:p1#editor@user:eve
project:p1#viewer@team:core#member
project:p1#viewer@link:l1
project:p1#banned@user:bad
project:p1#editor@user:bad
team:core#member@team:sub#member
team:sub#member@user:sam
`

// A world is a server over a real service in memory, and clients of it.
type world struct {
	service     *service.Service
	server      *Server
	listener    *bufconn.Listener
	conn        *grpc.ClientConn
	permissions pembav1.PermissionServiceClient
	tuples      pembav1.TupleServiceClient
	schemas     pembav1.SchemaServiceClient
	stores      pembav1.StoreServiceClient
	logged      *strings.Builder // read it when no call is running
}

func newWorld(t testing.TB, inside ...grpc.UnaryServerInterceptor) *world {
	t.Helper()
	w := newEmptyWorld(t, service.Config{}, inside...)
	w.fill(t)
	return w
}

func newService(t testing.TB, c service.Config) *service.Service {
	t.Helper()
	if c.DB == nil {
		c.DB = openDB(t, tupledb.Config{})
	}
	return service.New(c)
}

func openDB(t testing.TB, c tupledb.Config) *tupledb.DB {
	t.Helper()
	db, err := tupledb.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A clock stands still until it is set.
type clock struct{ micros atomic.Int64 }

func clockAt(t time.Time) *clock {
	c := new(clock)
	c.set(t)
	return c
}

func (c *clock) now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

func (c *clock) set(t time.Time) { c.micros.Store(t.UnixMicro()) }

func newEmptyWorld(t testing.TB, c service.Config, inside ...grpc.UnaryServerInterceptor) *world {
	t.Helper()
	w := &world{service: newService(t, c), logged: &strings.Builder{}}
	logger := slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	w.server, err = newServer(Config{Service: w.service, Logger: logger, SlowCall: time.Minute}, inside...)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	w.listener = listener
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(listener) }()
	w.conn = dial(t, listener)
	t.Cleanup(func() {
		_ = w.conn.Close()
		w.server.Drain(t.Context()) // which has ended: whatever runs is cut off
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	w.permissions = pembav1.NewPermissionServiceClient(w.conn)
	w.tuples = pembav1.NewTupleServiceClient(w.conn)
	w.schemas = pembav1.NewSchemaServiceClient(w.conn)
	w.stores = pembav1.NewStoreServiceClient(w.conn)
	return w
}

func dial(t testing.TB, listener *bufconn.Listener, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///bufconn", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// fill writes the world's schema and tuples, past the API.
func (w *world) fill(t testing.TB) { fill(t, w.service, worldSchema, worldTuples) }

func fill(t testing.TB, s *service.Service, schema, tuples string) {
	t.Helper()
	if _, err := s.WriteSchema(t.Context(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: schema}); err != nil {
		t.Fatal(err)
	}
	write(t, s, tuples)
}

// write writes tuples, a line each, past the API.
func write(t testing.TB, s *service.Service, tuples string) {
	t.Helper()
	command := service.WriteCommand{Store: rel.DefaultStore}
	for _, line := range strings.Fields(tuples) {
		tuple, err := rel.ParseTuple(line)
		if err != nil {
			t.Fatal(err)
		}
		command.Updates = append(command.Updates, rel.Update{Op: rel.Create, Tuple: tuple})
	}
	if _, err := s.Write(t.Context(), command); err != nil {
		t.Fatal(err)
	}
}

// A refusal is what a client can read from a status.
type refusal struct {
	code       codes.Code
	reason     string
	message    string
	metadata   map[string]string
	violations []*errdetails.BadRequest_FieldViolation
}

// refusalOf takes a status apart, and sees that it is one of pemba's.
func refusalOf(t testing.TB, err error) refusal {
	t.Helper()
	s, ok := status.FromError(err)
	if !ok || err == nil {
		t.Fatalf("got %v, want a status", err)
	}
	r := refusal{code: s.Code(), message: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != "pemba" {
				t.Errorf("the domain is %q", d.GetDomain())
			}
			r.reason, r.metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.BadRequest:
			r.violations = d.GetFieldViolations()
		default:
			t.Errorf("unexpected detail %v", detail)
		}
	}
	if r.reason == "" {
		t.Errorf("%v has no ErrorInfo", err)
	}
	if r.message == "" {
		t.Errorf("%v says nothing", err)
	}
	return r
}

func (r refusal) fields() []string {
	fields := make([]string, len(r.violations))
	for i, v := range r.violations {
		fields[i] = v.GetField()
	}
	return fields
}

// mustRefuse sees that an error has this code and reason.
func mustRefuse(t testing.TB, err error, code codes.Code, reason string) refusal {
	t.Helper()
	if err == nil {
		t.Fatalf("was answered, want %v %s", code, reason)
	}
	r := refusalOf(t, err)
	if r.code != code || r.reason != reason {
		t.Errorf("got %v %s (%s), want %v %s", r.code, r.reason, r.message, code, reason)
	}
	return r
}

func key(object, relation, subject string) *pembav1.TupleKey {
	return &pembav1.TupleKey{Object: object, Relation: relation, Subject: subject}
}

func tuple(object, relation, subject string) *pembav1.Tuple {
	return &pembav1.Tuple{Object: object, Relation: relation, Subject: subject}
}

func create(t *pembav1.Tuple) *pembav1.Update {
	return &pembav1.Update{Operation: &pembav1.Update_Create{Create: t}}
}

func touch(t *pembav1.Tuple) *pembav1.Update {
	return &pembav1.Update{Operation: &pembav1.Update_Touch{Touch: t}}
}

func deleteTuple(k *pembav1.TupleKey) *pembav1.Update {
	return &pembav1.Update{Operation: &pembav1.Update_DeleteTuple{DeleteTuple: k}}
}

var discard = logTo(io.Discard)

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func protoString(s string) protoreflect.Value { return protoreflect.ValueOfString(s) }

// raw is a body that goes over the wire as it is.
type raw []byte

func (r raw) slice() mem.BufferSlice { return mem.BufferSlice{mem.SliceBuffer(r)} }

// rawCodec sends raw bodies, and reads answers as proto.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return v.(raw).slice(), nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}
