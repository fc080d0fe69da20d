package rpc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/service"
)

// everyCode is all rules of the table.
func everyCode() []fault.Code {
	var all []fault.Code
	for c := fault.Code(1); !strings.HasPrefix(c.Reason(), "CODE_"); c++ {
		all = append(all, c)
	}
	return all
}

// Every rule arrives as itself: code, reason, sentence, remedy, facts and field.
func TestEveryFaultArrives(t *testing.T) {
	var said error
	w := newWorld(t, func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, said })
	seen := make(map[codes.Code]bool)
	for _, code := range everyCode() {
		said = fault.Newf(code, "project:p1 broke %s", code).Do("mend %s", "it").With("object", "project:p1").In("updates[3].touch")
		_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{})
		r := refusalOf(t, err)
		seen[r.code] = true
		if code.Class() == fault.Internal {
			if r.code != codes.Internal || r.reason != "PEMBA_MUST_NOT_PANIC" || strings.Contains(r.message, "project:p1") {
				t.Errorf("%v: got %+v", code, r)
			}
			continue
		}
		sentence := fmt.Sprintf("project:p1 broke %s; mend it", code)
		if r.code == codes.Internal || r.code == codes.Unknown || r.reason != code.Reason() || r.message != sentence || r.metadata["object"] != "project:p1" {
			t.Errorf("%v: got %+v", code, r)
		}
		if len(r.violations) != 1 || r.violations[0].GetField() != "updates[3].touch" || r.violations[0].GetReason() != code.Reason() || r.violations[0].GetDescription() != sentence {
			t.Errorf("%v: violations %v", code, r.violations)
		}
	}
	for _, want := range []codes.Code{
		codes.Internal, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.PermissionDenied,
		codes.OutOfRange, codes.ResourceExhausted, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented, codes.DataLoss,
	} {
		if !seen[want] {
			t.Errorf("no rule has the code %v", want)
		}
	}
}

func TestEveryClassHasACodeOfItsOwn(t *testing.T) {
	seen := make(map[codes.Code]fault.Class)
	for c := fault.Internal; c <= fault.DataLoss; c++ {
		code := codeOf(c)
		if other, twice := seen[code]; twice || code == codes.OK || code == codes.Unknown {
			t.Errorf("class %d has the code %v, and so has %d", c, code, other)
		}
		seen[code] = c
	}
	if codeOf(fault.DataLoss+1) != codes.Internal {
		t.Error("a class without a code is not INTERNAL")
	}
}

func TestTheGravestRuleIsTheReasonAndAllAreViolations(t *testing.T) {
	err := fault.Join([]*fault.Fault{
		fault.New(fault.NameMustBeValid, "c").At(3, 1).In("schema"),
		fault.New(fault.FieldMustBeSet, "a").At(1, 12).In("schema"),
		fault.New(fault.NameMustBeValid, "b").Do("mend it").At(1, 18).In("schema"),
	})
	r := refusalOf(t, failureOf(err).status().Err())
	if r.code != codes.InvalidArgument || r.reason != "FIELD_MUST_BE_SET" || r.message != "1:12: a (and 2 more)" {
		t.Errorf("got %+v", r)
	}
	var got []string
	for _, v := range r.violations {
		got = append(got, v.GetField()+" | "+v.GetReason()+" | "+v.GetDescription())
	}
	want := []string{
		"schema:1:12 | FIELD_MUST_BE_SET | 1:12: a",
		"schema:1:18 | NAME_MUST_BE_VALID | 1:18: b; mend it",
		"schema:3:1 | NAME_MUST_BE_VALID | 3:1: c",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestSeveralRulesWithoutFieldsAreViolations(t *testing.T) {
	err := fault.Join([]*fault.Fault{fault.New(fault.OneRolePerSubject, "a"), fault.New(fault.OneRolePerSubject, "b")})
	if r := refusalOf(t, failureOf(err).status().Err()); len(r.violations) != 2 || r.violations[0].GetField() != "" {
		t.Errorf("got %+v", r)
	}
	if r := refusalOf(t, failureOf(fault.New(fault.OneRolePerSubject, "a")).status().Err()); len(r.violations) != 0 {
		t.Errorf("got %+v", r)
	}
}

// However much is wrong, the trailers stay within what any client takes.
func TestTrailersStayWithinTheirBound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := []string{"x", "%", "é", "\u200b", "\x01", "\xff", "𝄞"}
	text := func(max int) string { return strings.Repeat(letters[random.IntN(len(letters))], random.IntN(max)) }
	for range 200 {
		var faults []*fault.Fault
		for range 1 + random.IntN(120) {
			f := fault.New(fault.SchemaMustBeReadable, text(3_000)).Do("%s", text(200)).At(random.IntN(3), 1+random.IntN(9_999)).In("schema")
			for range random.IntN(4) {
				f.With(fmt.Sprintf("key%d", random.IntN(9)), text(3_000))
			}
			faults = append(faults, f)
		}
		s := failureOf(fault.Join(faults)).status()
		full, err := proto.Marshal(s.Proto())
		if err != nil {
			t.Fatal(err)
		}
		// Name, value and 32 bytes each, as RFC 9113 counts them.
		bytes := len("grpc-status-details-bin") + 32 + (len(full)+2)/3*4 +
			len("grpc-message") + 32 + percentEncodedBytes(s.Message()) +
			len("grpc-status") + 32 + 2 + len(":status") + 32 + 3 + len("content-type") + 32 + len("application/grpc")
		if bytes > trailerBytesMax {
			t.Fatalf("%d bytes for %d faults", bytes, len(faults))
		}
		var info *errdetails.ErrorInfo
		violations := 0
		for _, d := range s.Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				info = d
			case *errdetails.BadRequest:
				violations = len(d.GetFieldViolations())
			}
		}
		omitted := 0
		if x := info.GetMetadata()["violations_omitted"]; x != "" {
			_, _ = fmt.Sscan(x, &omitted)
		}
		if violations+omitted != len(faults) || violations == 0 {
			t.Fatalf("%d violations and %d omitted of %d", violations, omitted, len(faults))
		}
	}
}

// A body that is not the message is the client's fault: without the edge's help
// grpc-go says INTERNAL.
func TestABodyThatIsNotTheMessageIsInvalid(t *testing.T) {
	w := newWorld(t)
	inside := func(number protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), body)
	}
	field := func(number protowire.Number, text string) []byte { return inside(number, []byte(text)) }
	for _, c := range []struct {
		name   string
		rpc    string
		stream bool
		body   []byte
		reason string
		field  string
	}{
		{"cut off", pembav1.PermissionService_Check_FullMethodName, false, field(3, "project:p1")[:5], "REQUEST_MUST_BE_READABLE", ""},
		{"no tag", pembav1.PermissionService_Check_FullMethodName, false, []byte{0x80}, "REQUEST_MUST_BE_READABLE", ""},
		{"another type", pembav1.PermissionService_Check_FullMethodName, false, []byte{0x1a, 0xff}, "REQUEST_MUST_BE_READABLE", ""},
		{"no UTF-8", pembav1.PermissionService_Check_FullMethodName, false, field(3, "project:\xff"), "FIELD_MUST_BE_UTF8", "object"},
		{"no UTF-8 in a list", pembav1.PermissionService_Check_FullMethodName, false, append(field(6, "link:l1"), field(6, "\xff")...), "FIELD_MUST_BE_UTF8", "additional_subjects[1]"},
		{
			"no UTF-8 further in", pembav1.TupleService_Write_FullMethodName, false,
			append(inside(2, inside(2, field(3, "user:ana"))), inside(2, inside(2, field(3, "\xff")))...), "FIELD_MUST_BE_UTF8", "updates[1].touch.subject",
		},
		{"no UTF-8 in a map", pembav1.TupleService_Write_FullMethodName, false, inside(6, field(2, "\xff")), "FIELD_MUST_BE_UTF8", "metadata"},
		{"no UTF-8, and cut off", pembav1.PermissionService_Check_FullMethodName, false, append(field(3, "\xff"), 0x80), "FIELD_MUST_BE_UTF8", "object"},
		{"the mark itself", pembav1.PermissionService_Check_FullMethodName, false, inside(protowire.MaxValidNumber, nil), "REQUEST_MUST_BE_READABLE", ""},
		{"a stream", pembav1.TupleService_Watch_FullMethodName, true, []byte{0x80}, "REQUEST_MUST_BE_READABLE", ""},
		{"a stream without UTF-8", pembav1.TupleService_ExportTuples_FullMethodName, true, field(1, "\xff"), "FIELD_MUST_BE_UTF8", "store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.stream {
				stream, openErr := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, c.rpc, grpc.ForceCodecV2(rawCodec{}))
				if openErr != nil {
					t.Fatal(openErr)
				}
				_ = stream.SendMsg(raw(c.body)) // the answer is what is looked at
				_ = stream.CloseSend()
				err = stream.RecvMsg(new(pembav1.WatchResponse))
			} else {
				err = w.conn.Invoke(t.Context(), c.rpc, raw(c.body), new(pembav1.CheckResponse), grpc.ForceCodecV2(rawCodec{}))
			}
			r := mustRefuse(t, err, codes.InvalidArgument, c.reason)
			if fields := strings.Join(r.fields(), " "); fields != c.field {
				t.Errorf("the violations are in %q", fields)
			}
		})
	}
	if w.logged.Len() > 0 {
		t.Errorf("the log has %s", w.logged)
	}
}

// A context that nests without end comes from a good client, too.
func TestABodyThatNestsTooDeepIsSaidToDoSo(t *testing.T) {
	w := newWorld(t)
	value := structpb.NewBoolValue(true)
	for range 9_000 {
		value = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"a": value}})
	}
	r := mustRefuse(t, w.send(t, goodCheck(func(r *pembav1.CheckRequest) { r.Context = value.GetStructValue() })), codes.InvalidArgument, "REQUEST_MUST_BE_READABLE")
	if !strings.Contains(r.message, "nests too deep") {
		t.Errorf("the message is %q", r.message)
	}
}

// grpc-go refuses a message that is too large itself, and leaves no room for a
// reason.
func TestARequestThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.permissions.Check(t.Context(), goodCheck(func(r *pembav1.CheckRequest) { r.Object = strings.Repeat("x", requestBytesMax) }))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
	r := mustRefuse(t, w.send(t, goodCheck(func(r *pembav1.CheckRequest) { r.Object = strings.Repeat("x", requestBytesMax-100) })), codes.InvalidArgument, "OBJECT_MUST_HAVE_TYPE")
	if len(r.message) > 300 {
		t.Errorf("the message has %d bytes", len(r.message))
	}
}

func TestSchemaDiagnosticsComeInTheOrderOfTheText(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	_, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: `definition user {}
definition doc {
  relation viewer: usr
  relation viewer: user
  permission view = veiwer
}
`})
	r := refusalOf(t, err)
	if r.code != codes.InvalidArgument || len(r.violations) < 3 {
		t.Fatalf("got %+v", r)
	}
	for i, place := range []string{"3:20", "4:12", "5:21"} {
		v := r.violations[i]
		if v.GetField() != "schema:"+place || !strings.HasPrefix(v.GetDescription(), place+": ") || v.GetReason() == "" {
			t.Errorf("violation %d is %v", i, v)
		}
	}
}
