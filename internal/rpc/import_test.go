package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// bigSchema has what a tuple can carry.
const bigSchema = `use expiration
definition user {}
definition team { relation member: user | team#member }
caveat hours(now int, from int) { from <= now }
definition doc {
  relation team: team
  relation viewer: user | user:* | team#member | user with hours | user with expiration | user with hours and expiration
  relation editor: user | team#member with expiration
  permission view = viewer + editor + team->member
}
`

// randomTuples are n different ones of the schema above.
func randomTuples(t testing.TB, seed uint64, n int) []*pembav1.Tuple {
	rng := rand.New(rand.NewPCG(seed, 1))
	id := func(typ string) string { return fmt.Sprintf("%s:%x", typ, rng.IntN(n)) }
	seen := map[string]bool{}
	var all []*pembav1.Tuple
	for len(all) < n {
		var x *pembav1.Tuple
		expires := func() { x = expiring(x, 4_000_000_000+int64(rng.IntN(1000)), int32(rng.IntN(1_000_000)*1000)) }
		switch rng.IntN(8) {
		case 0:
			x = tuple(id("team"), "member", id("team")+"#member")
		case 1:
			x = tuple(id("team"), "member", id("user"))
		case 2:
			x = tuple(id("doc"), "viewer", "user:*")
		case 3:
			x = tuple(id("doc"), "team", id("team"))
		case 4:
			x = tuple(id("doc"), "editor", id("team")+"#member")
			expires()
		case 5:
			x = caveated(tuple(id("doc"), "viewer", id("user")), "hours", nil)
		case 6:
			x = caveated(tuple(id("doc"), "viewer", id("user")), "hours", structOf(t, map[string]any{"from": rng.IntN(24)}))
			expires()
		default:
			x = tuple(id("doc"), "viewer", id("user"))
		}
		if !seen[text(x)] {
			seen[text(x)] = true
			all = append(all, x)
		}
	}
	return all
}

// whole is a tuple as text with all that it carries.
func whole(x *pembav1.Tuple) string {
	context := ""
	if x.GetCaveat().GetContext() != nil {
		context = fmt.Sprint(x.GetCaveat().GetContext().AsMap())
	}
	return fmt.Sprint(text(x), "[", x.GetCaveat().GetName(), context, "]", x.GetExpiresAt().AsTime())
}

func wholes(all []*pembav1.Tuple) []string {
	texts := make([]string, len(all))
	for i, x := range all {
		texts[i] = whole(x)
	}
	slices.Sort(texts)
	return texts
}

// importStream opens a stream of an import.
func (w *world) importStream(t testing.TB, ctx context.Context) grpc.ClientStreamingClient[pembav1.ImportTuplesRequest, pembav1.ImportTuplesResponse] {
	t.Helper()
	stream, err := w.tuples.ImportTuples(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// imports sends messages on one stream, and closes it. What ends it early is its answer.
func (w *world) imports(t testing.TB, messages ...*pembav1.ImportTuplesRequest) (*pembav1.ImportTuplesResponse, error) {
	t.Helper()
	stream := w.importStream(t, t.Context())
	for _, m := range messages {
		if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

func (w *world) imported(t testing.TB, messages ...*pembav1.ImportTuplesRequest) *pembav1.ImportTuplesResponse {
	t.Helper()
	answer, err := w.imports(t, messages...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// exported is all that an export sends.
func (w *world) exported(t testing.TB, req *pembav1.ExportTuplesRequest) (all []*pembav1.Tuple, snapshot string, messages int) {
	t.Helper()
	stream, err := w.tuples.ExportTuples(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, snapshot, messages
		}
		if err != nil {
			t.Fatal(err)
		}
		messages++
		if size := proto.Size(m); size > 1<<20 {
			t.Errorf("a message of %d bytes", size)
		}
		if messages > 1 && m.GetSnapshot() != snapshot {
			t.Errorf("message %d is of %s, the one before of %s", messages, m.GetSnapshot(), snapshot)
		}
		snapshot = m.GetSnapshot()
		all = append(all, m.GetTuples()...)
	}
}

func newWorldOf(t testing.TB, schema string) *world {
	t.Helper()
	w := newEmptyWorld(t, service.Config{})
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	return w
}

// What was imported is what is exported, and what is exported makes the same store
// again, caveats and expirations included.
func TestExportAndImportGiveTheSameStore(t *testing.T) {
	for seed := range uint64(2) {
		all := randomTuples(t, seed, 20_000)
		first := newWorldOf(t, bigSchema)
		for offset := 0; offset < len(all); {
			n := min(1+int(seed)*6_999, len(all)-offset)
			if seed == 0 {
				n = min(10_000, len(all)-offset)
			}
			if got := first.imported(t, &pembav1.ImportTuplesRequest{ImportId: "first", Offset: uint64(offset), Tuples: all[offset : offset+n]}); got.GetLoadedCount() != uint64(offset+n) || got.GetFinished() || got.GetSnapshot() != "" {
				t.Fatalf("answered %v after %d", got, offset+n)
			}
			offset += n
		}
		answer := first.imported(t, &pembav1.ImportTuplesRequest{ImportId: "first", Finish: true})
		if !answer.GetFinished() || answer.GetLoadedCount() != 20_000 {
			t.Fatalf("finished as %v", answer)
		}
		out, snapshot, messages := first.exported(t, &pembav1.ExportTuplesRequest{})
		if snapshot != answer.GetSnapshot() || messages < 2 || !slices.Equal(wholes(out), wholes(all)) {
			t.Fatalf("exported %d tuples of %s in %d messages", len(out), snapshot, messages)
		}

		second := newWorldOf(t, bigSchema)
		stream := second.importStream(t, t.Context())
		for chunk := range slices.Chunk(out, 3_000) {
			// The offsets of one stream may be left to the server to know.
			if err := stream.Send(&pembav1.ImportTuplesRequest{ImportId: "second", Offset: uint64(slices.Index(out, chunk[0])), Tuples: chunk}); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Send(&pembav1.ImportTuplesRequest{Finish: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			t.Fatal(err)
		}
		again, _, _ := second.exported(t, &pembav1.ExportTuplesRequest{})
		if len(again) != len(out) {
			t.Fatalf("%d tuples came back as %d", len(out), len(again))
		}
		for i := range again { // in the same order, too: the stores are alike down to their keys
			if whole(again[i]) != whole(out[i]) {
				t.Fatalf("%v came back as %v", out[i], again[i])
			}
		}
	}
}

// Connections that are cut anywhere cost nothing but time: whoever asks how far the
// import is and goes on from there ends with all of it.
func TestAnImportWhoseConnectionIsCutGoesOn(t *testing.T) {
	w := newWorldOf(t, bigSchema)
	all := randomTuples(t, 7, 3_000)
	rng := rand.New(rand.NewPCG(7, 7))
	streams := 0
	for loaded := uint64(0); loaded < uint64(len(all)); streams++ {
		ctx, cut := context.WithCancel(t.Context())
		stream := w.importStream(t, ctx)
		for offset, left := loaded, rng.IntN(8); left > 0 && offset < uint64(len(all)); left-- {
			end := min(offset+uint64(1+rng.IntN(200)), uint64(len(all)))
			if err := stream.Send(&pembav1.ImportTuplesRequest{ImportId: "cut", Offset: offset, Tuples: all[offset:end]}); err != nil {
				t.Fatal(err)
			}
			offset = end
		}
		cut()
		_, _ = stream.CloseAndRecv()
		was := loaded
		loaded = w.imported(t, &pembav1.ImportTuplesRequest{ImportId: "cut"}).GetLoadedCount()
		if loaded < was || loaded > uint64(len(all)) {
			t.Fatalf("it went back from %d to %d", was, loaded)
		}
	}
	if answer := w.imported(t, &pembav1.ImportTuplesRequest{ImportId: "cut", Finish: true}); answer.GetLoadedCount() != uint64(len(all)) {
		t.Errorf("finished as %v", answer)
	}
	if out, _, _ := w.exported(t, &pembav1.ExportTuplesRequest{}); !slices.Equal(wholes(out), wholes(all)) {
		t.Errorf("%d tuples sent on %d streams became %d", len(all), streams, len(out))
	}
}

// A server that is stopped in the middle keeps what it was sent, tells the client
// that it stops, and the next one goes on.
func TestAnImportGoesOnWithTheNextServer(t *testing.T) {
	dir := t.TempDir()
	db, err := tupledb.Open(tupledb.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := newEmptyWorld(t, service.Config{DB: db})
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: bigSchema}); err != nil {
		t.Fatal(err)
	}
	all := randomTuples(t, 3, 100)
	stream := w.importStream(t, t.Context())
	if err := stream.Send(&pembav1.ImportTuplesRequest{ImportId: "moved", Tuples: all[:60]}); err != nil {
		t.Fatal(err)
	}
	for loading := false; !loading; { // until the first message has come
		_, err := w.service.ReadSchema(t.Context(), service.SchemaQuery{Store: rel.DefaultStore})
		loading = fault.Is(err, fault.StoreMustNotBeLoading)
	}
	w.server.Drain(t.Context())
	_, err = stream.CloseAndRecv()
	mustRefuse(t, err, codes.Unavailable, "SERVER_MUST_BE_SERVING")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	next := newEmptyWorld(t, service.Config{DB: openDB(t, tupledb.Config{Dir: dir})})
	if got := next.imported(t, &pembav1.ImportTuplesRequest{ImportId: "moved"}); got.GetLoadedCount() != 60 {
		t.Errorf("the next server is at %v", got)
	}
	next.imported(t, &pembav1.ImportTuplesRequest{ImportId: "moved", Offset: 60, Tuples: all[60:], Finish: true})
	if out, _, _ := next.exported(t, &pembav1.ExportTuplesRequest{}); !slices.Equal(wholes(out), wholes(all)) {
		t.Errorf("%d tuples became %d", len(all), len(out))
	}
}

// While a store is loaded every call about it is told so, and by whom.
func TestCallsToALoadingStoreAreUnavailable(t *testing.T) {
	w := newWorldOf(t, bigSchema)
	watch := w.watch(t, &pembav1.WatchRequest{})
	if m := received(t, watch); !m.GetCheckpoint() {
		t.Fatalf("got %v", m)
	}
	all := randomTuples(t, 1, 20)
	w.imported(t, &pembav1.ImportTuplesRequest{ImportId: "mine", Tuples: all})
	ctx := t.Context()
	first := func(stream interface {
		Recv() (*pembav1.WatchResponse, error)
	}, err error) error {
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	for name, call := range map[string]func() error{
		"Check": func() error {
			_, err := w.permissions.Check(ctx, &pembav1.CheckRequest{Object: "doc:1", Permission: "view", Subject: "user:1"})
			return err
		},
		"Write": func() error { _, err := w.tuples.Write(ctx, goodWrite(touch(all[0]))); return err },
		"a dry run": func() error {
			_, err := w.tuples.Write(ctx, &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(all[0])}, DryRun: true})
			return err
		},
		"ReadTuples": func() error { _, err := w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{}); return err },
		"ReadSchema": func() error { _, err := w.schemas.ReadSchema(ctx, &pembav1.ReadSchemaRequest{}); return err },
		"WriteSchema": func() error {
			_, err := w.schemas.WriteSchema(ctx, &pembav1.WriteSchemaRequest{Schema: bigSchema})
			return err
		},
		"Watch": func() error { stream, err := w.tuples.Watch(ctx, &pembav1.WatchRequest{}); return first(stream, err) },
		"ExportTuples": func() error {
			stream, err := w.tuples.ExportTuples(ctx, &pembav1.ExportTuplesRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"another import": func() error {
			_, err := w.imports(t, &pembav1.ImportTuplesRequest{ImportId: "other", Tuples: all})
			return err
		},
	} {
		r := mustRefuse(t, call(), codes.Unavailable, "STORE_MUST_NOT_BE_LOADING")
		if r.metadata["import_id"] != "mine" || !strings.Contains(r.message, "20 tuples") {
			t.Errorf("%s: %s, %v", name, r.message, r.metadata)
		}
	}
	answer := w.imported(t, &pembav1.ImportTuplesRequest{ImportId: "mine", Finish: true, Metadata: map[string]string{"why": "new"}})
	m := received(t, watch)
	if m.GetImportedCount() != 20 || m.GetRevision().GetCause() != pembav1.Cause_CAUSE_IMPORTED || m.GetSnapshot() != answer.GetSnapshot() || !m.GetLastPiece() || m.GetRevision().GetMetadata()["why"] != "new" {
		t.Errorf("watched as %v", m)
	}
}

func TestRefusedImports(t *testing.T) {
	w := newWorldOf(t, bigSchema)
	ana := tuple("doc:1", "viewer", "user:ana")
	for name, c := range map[string]struct {
		messages []*pembav1.ImportTuplesRequest
		code     codes.Code
		reason   string
		fields   []string
	}{
		"no message": {nil, codes.InvalidArgument, "FIELD_MUST_BE_SET", []string{"import_id"}},
		"no id":      {[]*pembav1.ImportTuplesRequest{{Tuples: []*pembav1.Tuple{ana}}}, codes.InvalidArgument, "FIELD_MUST_BE_SET", []string{"import_id"}},
		"a bad id, store and metadata": {
			[]*pembav1.ImportTuplesRequest{{Store: "No", ImportId: strings.Repeat("x", 129), Metadata: map[string]string{"": "x"}}},
			codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", []string{"import_id", "store", "metadata"},
		},
		"an id with a control character": {[]*pembav1.ImportTuplesRequest{{ImportId: "a\nb"}}, codes.InvalidArgument, "ID_MUST_BE_VALID", []string{"import_id"}},
		"no such store":                  {[]*pembav1.ImportTuplesRequest{{Store: "nope", ImportId: "x"}}, codes.NotFound, "STORE_MUST_EXIST", nil},
		"malformed tuples": {
			[]*pembav1.ImportTuplesRequest{{ImportId: "x", Tuples: []*pembav1.Tuple{ana, tuple("doc", "viewer", ""), {}}}},
			codes.InvalidArgument, "FIELD_MUST_BE_SET", []string{"tuples[1].subject", "tuples[1].object", "tuples[2].object", "tuples[2].relation", "tuples[2].subject"},
		},
		"too many tuples": {
			[]*pembav1.ImportTuplesRequest{{ImportId: "x", Tuples: slices.Repeat([]*pembav1.Tuple{ana}, importedMax+1)}},
			codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", []string{"tuples"},
		},
		"discard and finish": {[]*pembav1.ImportTuplesRequest{{ImportId: "x", Discard: true, Finish: true}}, codes.InvalidArgument, "FIELD_MUST_NOT_BE_SET", []string{"discard"}},
		"discard and tuples": {[]*pembav1.ImportTuplesRequest{{ImportId: "x", Discard: true, Tuples: []*pembav1.Tuple{ana}}}, codes.InvalidArgument, "FIELD_MUST_NOT_BE_SET", []string{"discard"}},
		"an absurd offset":   {[]*pembav1.ImportTuplesRequest{{ImportId: "x", Offset: 1<<64 - 1, Tuples: []*pembav1.Tuple{ana}}}, codes.InvalidArgument, "FIELD_MUST_BE_WITHIN_BOUNDS", []string{"offset"}},
		"a hole":             {[]*pembav1.ImportTuplesRequest{{ImportId: "x", Offset: 1, Tuples: []*pembav1.Tuple{ana}}}, codes.FailedPrecondition, "IMPORT_MUST_CONTINUE", []string{"offset"}},
		"not in the schema": {
			[]*pembav1.ImportTuplesRequest{{ImportId: "x", Tuples: []*pembav1.Tuple{ana, tuple("doc:1", "owner", "user:ana")}}},
			codes.FailedPrecondition, "NOT_IN_SCHEMA", []string{"tuples[1]"},
		},
		"a caveat that the relation does not allow": {
			[]*pembav1.ImportTuplesRequest{{ImportId: "x", Tuples: []*pembav1.Tuple{caveated(tuple("doc:1", "editor", "user:ana"), "hours", nil)}}},
			codes.FailedPrecondition, "NOT_IN_SCHEMA", []string{"tuples[0]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.imports(t, c.messages...)
			if r := mustRefuse(t, err, c.code, c.reason); !slices.Equal(r.fields(), c.fields) && len(r.fields())+len(c.fields) > 0 {
				t.Errorf("at %q, want %q", r.fields(), c.fields)
			}
		})
	}
	// None of it has begun a load, and ten thousand tuples are not too many.
	w.imported(t, &pembav1.ImportTuplesRequest{ImportId: "x", Tuples: slices.Repeat([]*pembav1.Tuple{ana}, importedMax), Finish: true})

	for name, req := range map[string]*pembav1.ExportTuplesRequest{
		"TYPE_MUST_EXIST":             {Filter: &pembav1.TupleFilter{ObjectType: "nope"}},
		"FILTER_MUST_BE_READABLE":     {Filter: &pembav1.TupleFilter{ObjectId: "1"}},
		"STORE_NAME_MUST_BE_VALID":    {Store: "No"},
		"FIELD_MUST_BE_WITHIN_BOUNDS": {Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{}}},
	} {
		stream, err := w.tuples.ExportTuples(t.Context(), req)
		if err == nil {
			_, err = stream.Recv()
		}
		mustRefuse(t, err, codes.InvalidArgument, name)
	}
}

// An export of nothing says of which state that is.
func TestAnExportOfNothing(t *testing.T) {
	w := newWorldOf(t, bigSchema)
	if all, snapshot, messages := w.exported(t, &pembav1.ExportTuplesRequest{}); len(all) != 0 || snapshot == "" || messages != 1 {
		t.Errorf("%d tuples of %q in %d messages", len(all), snapshot, messages)
	}
}

// A sentStream is a stream of which all messages are there, without a wire.
type sentStream struct {
	ctx      context.Context
	bodies   [][]byte
	answered proto.Message
}

func (s *sentStream) RecvMsg(message any) error {
	if len(s.bodies) == 0 {
		return io.EOF
	}
	body := s.bodies[0]
	s.bodies = s.bodies[1:]
	return newRequestCodec().Unmarshal(raw(body).slice(), message)
}

func (s *sentStream) SendMsg(message any) error {
	s.answered = message.(proto.Message)
	return nil
}

func (s *sentStream) Context() context.Context   { return s.ctx }
func (*sentStream) SetHeader(metadata.MD) error  { return nil }
func (*sentStream) SendHeader(metadata.MD) error { return nil }
func (*sentStream) SetTrailer(metadata.MD)       {}

// FuzzImports sends streams of two messages to ImportTuples. Whatever they are,
// nothing panics, no status is UNKNOWN or INTERNAL, every refusal has a reason, and
// what is finished can be exported.
func FuzzImports(f *testing.F) {
	s := newService(f, service.Config{})
	if _, err := s.WriteSchema(f.Context(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: bigSchema}); err != nil {
		f.Fatal(err)
	}
	e := &edge{log: discard, slow: slowCallDefault, serving: context.Background()}
	server := &tupleServer{service: s, edge: e}
	handlers := map[string]grpc.StreamDesc{}
	for _, d := range pembav1.TupleService_ServiceDesc.Streams {
		handlers[d.StreamName] = d
	}
	call := func(t *testing.T, name string, bodies ...[]byte) (proto.Message, error) {
		stream := &sentStream{ctx: t.Context(), bodies: bodies}
		err := e.stream(server, stream, &grpc.StreamServerInfo{FullMethod: name}, handlers[name].Handler)
		if code := status.Code(err); code == codes.Unknown || code == codes.Internal {
			t.Fatalf("%s: %v", name, err)
		} else if err != nil {
			refusalOf(t, err)
		}
		return stream.answered, err
	}
	body := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	all := randomTuples(f, 1, 12)
	for _, seed := range []struct{ first, second *pembav1.ImportTuplesRequest }{
		{&pembav1.ImportTuplesRequest{ImportId: "a", Tuples: all}, &pembav1.ImportTuplesRequest{Offset: 12, Tuples: all[:3]}},
		{&pembav1.ImportTuplesRequest{ImportId: "a", Offset: 3, Tuples: all}, &pembav1.ImportTuplesRequest{Discard: true}},
		{&pembav1.ImportTuplesRequest{ImportId: "a", Metadata: map[string]string{"k": "v"}}, &pembav1.ImportTuplesRequest{Tuples: all, Finish: true}},
		{&pembav1.ImportTuplesRequest{ImportId: "b", Store: "default"}, &pembav1.ImportTuplesRequest{Finish: true}},
		{&pembav1.ImportTuplesRequest{ImportId: "b", Tuples: []*pembav1.Tuple{caveated(tuple("doc:1", "viewer", "user:1"), "hours", &structpb.Struct{})}}, &pembav1.ImportTuplesRequest{}},
		{&pembav1.ImportTuplesRequest{}, &pembav1.ImportTuplesRequest{}},
	} {
		f.Add(body(seed.first), body(seed.second), body(&pembav1.ExportTuplesRequest{Filter: &pembav1.TupleFilter{ObjectType: "doc"}}))
	}
	f.Add([]byte{0x80}, []byte(nil), []byte{0x0a, 0x01, 0xff})
	f.Fuzz(func(t *testing.T, first, second, export []byte) {
		answer, err := call(t, "ImportTuples", first, second)
		if err == nil && answer == nil {
			t.Fatal("neither an answer nor a refusal")
		}
		call(t, "ExportTuples", export)
	})
}
