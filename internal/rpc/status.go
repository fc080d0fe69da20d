package rpc

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
)

// errorDomain is the domain of every ErrorInfo of pemba's own.
const errorDomain = "pemba"

// Bounds on what a failure says.
const (
	// trailerBytesMax is what the trailers of an answer may take, counted as
	// HTTP/2 does. Clients in C++, Python, Ruby and Java refuse more than 8 KiB
	// with a RESOURCE_EXHAUSTED or INTERNAL of their own, and the real failure
	// is lost.
	trailerBytesMax = 8 << 10
	// trailerBytesFixed is generously what all trailers but the message and the
	// details take, with their names.
	trailerBytesFixed = 400
	messageBytesMax   = 1 << 10
	violationBytesMax = 512 // of one description

	// itemViolationsMax bounds the violations of one item of a batch: a thousand
	// items that are wrong in every way still fit the 4 MiB that a client takes.
	itemViolationsMax = 4
)

// codeOfClass is the one place that knows both classes and codes.
var codeOfClass = [...]codes.Code{
	fault.Internal:           codes.Internal,
	fault.InvalidArgument:    codes.InvalidArgument,
	fault.NotFound:           codes.NotFound,
	fault.AlreadyExists:      codes.AlreadyExists,
	fault.FailedPrecondition: codes.FailedPrecondition,
	fault.PermissionDenied:   codes.PermissionDenied,
	fault.Unauthenticated:    codes.Unauthenticated,
	fault.OutOfRange:         codes.OutOfRange,
	fault.Aborted:            codes.Aborted,
	fault.ResourceExhausted:  codes.ResourceExhausted,
	fault.Unavailable:        codes.Unavailable,
	fault.DeadlineExceeded:   codes.DeadlineExceeded,
	fault.Canceled:           codes.Canceled,
	fault.Unimplemented:      codes.Unimplemented,
	fault.DataLoss:           codes.DataLoss,
}

// codeOf is the gRPC code of a class. A class without one is a bug, and shows
// as what bugs are.
func codeOf(c fault.Class) codes.Code {
	if int(c) >= len(codeOfClass) || codeOfClass[c] == codes.OK {
		return codes.Internal
	}
	return codeOfClass[c]
}

// A failure is what a client is told of an error, as the status of its call or
// as the error of one item.
type failure struct {
	code       codes.Code
	reason     string // empty where the error is not pemba's
	message    string
	metadata   map[string]string
	violations []*pembav1.Violation
	omitted    int            // violations that were found beside these, and only counted
	dressed    *status.Status // what gRPC's own rooms (health, reflection) said
}

// failureOf says what becomes of an error. A fault speaks for itself. What is
// no fault and nobody's business outside is INTERNAL, with a sentence that
// gives nothing away.
func failureOf(err error) failure {
	f := fault.Of(err)
	switch {
	case f != nil:
	case errors.Is(err, context.Canceled):
		f = fault.New(fault.CallerMustStay, "the caller went away").Do("wait for the answer")
	case errors.Is(err, context.DeadlineExceeded):
		f = fault.New(fault.DeadlineMustNotPass, "the request's time ran out before the answer was known").Do("give the request more time")
	default:
		if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown && s.Code() != codes.OK {
			return failure{code: s.Code(), message: s.Message(), dressed: s}
		}
		f = fault.New(fault.PembaMustNotPanic, "")
	}
	if f.Code.Class() == fault.Internal {
		return failure{
			code:    codes.Internal,
			reason:  fault.PembaMustNotPanic.Reason(),
			message: "pemba failed in a way that it must not; the cause is in the server's log; report it to whoever runs the server",
		}
	}
	x := failure{
		code:       codeOf(f.Code.Class()),
		reason:     f.Code.Reason(),
		message:    f.Error(),
		metadata:   f.Details,
		violations: violationsOf(f),
	}
	var many *tooManyFaults
	if errors.As(err, &many) {
		x.message, x.omitted = many.Error(), many.omitted
	}
	x.message = cut(x.message, messageBytesMax)
	return x
}

// violationsOf lists the rules that were broken, where a field is at fault or
// several rules are. What is wrong with a text comes in the order of the text.
func violationsOf(f *fault.Fault) []*pembav1.Violation {
	all := f.All()
	if len(all) == 1 && f.Field == "" {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *fault.Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	violations := make([]*pembav1.Violation, 0, len(all))
	for _, x := range all {
		field := x.Field
		if place := x.Place(); place != "" && field != "" {
			field += ":" + place
		}
		violations = append(violations, &pembav1.Violation{
			Field:   field,
			Reason:  x.Code.Reason(),
			Message: cut(x.Sentence(), violationBytesMax),
		})
	}
	return violations
}

// violationsOmitted is the key of the metadata that counts the violations which
// were found and are not shown. It is absent where all are.
const violationsOmitted = "violations_omitted"

// omittedAfter is how many violations are not shown where only the first few are.
func (x failure) omittedAfter(shown int) int { return len(x.violations) - shown + x.omitted }

// item is the failure as the error of one item among many.
func (x failure) item() *pembav1.Error {
	shown := min(len(x.violations), itemViolationsMax)
	metadata := x.metadata
	if omitted := x.omittedAfter(shown); omitted > 0 {
		metadata = maps.Clone(metadata) // which are the fault's own
		if metadata == nil {
			metadata = make(map[string]string, 1)
		}
		metadata[violationsOmitted] = strconv.Itoa(omitted)
	}
	return &pembav1.Error{
		Code:       int32(x.code),
		Reason:     x.reason,
		Message:    x.message,
		Violations: x.violations[:shown],
		Metadata:   metadata,
	}
}

// status is the failure as the status of a call. Metadata and violations that
// the trailers have no room for are left out; `violations_omitted` then says
// how many violations are missing.
func (x failure) status() *status.Status {
	if x.dressed != nil {
		return x.dressed
	}
	room := (trailerBytesMax-trailerBytesFixed-percentEncodedBytes(x.message))*3/4 - len(x.message) - len(x.reason)
	info := &errdetails.ErrorInfo{Reason: x.reason, Domain: errorDomain, Metadata: make(map[string]string, len(x.metadata)+1)}
	// Half of the room at most is for facts: a tuple can take 2.7 KB.
	facts := room / 2
	for _, key := range slices.Sorted(maps.Keys(x.metadata)) {
		value := strings.ToValidUTF8(x.metadata[key], "\uFFFD")
		if cost := len(key) + len(value) + 16; cost <= facts {
			info.Metadata[key] = value
			facts -= cost
			room -= cost
		}
	}
	bad := &errdetails.BadRequest{}
	for _, v := range x.violations {
		if room -= len(v.Field) + len(v.Reason) + len(v.Message) + 16; room < 0 {
			break
		}
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: v.Field, Description: v.Message, Reason: v.Reason,
		})
	}
	if omitted := x.omittedAfter(len(bad.FieldViolations)); omitted > 0 {
		info.Metadata[violationsOmitted] = strconv.Itoa(omitted)
	}
	details := []protoadapt.MessageV1{info}
	if len(bad.FieldViolations) > 0 {
		details = append(details, bad)
	}
	plain := status.New(x.code, x.message)
	if full, err := plain.WithDetails(details...); err == nil {
		return full
	}
	return plain // details of valid UTF-8 always fit into an Any
}

// level is how much an operator wants to know of the failure.
func (x failure) level() slog.Level {
	switch x.code {
	case codes.Internal, codes.DataLoss:
		return slog.LevelError
	case codes.Unavailable, codes.ResourceExhausted:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// percentEncodedBytes is how long a message is in the trailers.
func percentEncodedBytes(s string) int {
	n := len(s)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			n += 2
		}
	}
	return n
}

// cut shortens a text to at most max bytes of UTF-8, and shows that it did.
func cut(s string, max int) string {
	const more = "…"
	if len(s) > max {
		end := max - len(more)
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + more
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
