package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

// What a command ends with. The help promises these.
const (
	exitYes         = 0
	exitNo          = 1
	exitNotReadable = 2
	exitNoServer    = 3
	exitRefused     = 4
	exitUnwritten   = 5
)

// A failure is an error as it is printed: the same whether a server said it or
// this process found it out by itself.
type failure struct {
	Code       string            `json:"code"` // the gRPC status code by name
	Reason     string            `json:"reason,omitempty"`
	Message    string            `json:"message"`
	Do         string            `json:"do,omitempty"`
	Violations []violation       `json:"violations"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

// A violation is one of several broken rules.
type violation struct {
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Do      string `json:"do,omitempty"`
}

// fail prints why a command came to nothing.
func (a *app) fail(err error) int {
	f := failureOf(err)
	return a.failWith(f, f.exitCode())
}

func (a *app) failWith(f failure, exitCode int) int {
	if a.wantsJSON() {
		e := json.NewEncoder(a.err)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(map[string]failure{"error": f}) // where the error stream fails, nobody can be told
	} else {
		_, _ = fmt.Fprint(a.err, f.text())
	}
	return exitCode
}

func (f failure) text() string {
	if len(f.Violations) == 0 {
		return block(f.Message, f.Reason, f.Do)
	}
	var b strings.Builder
	for _, v := range f.Violations {
		b.WriteString(block(v.Message, v.Reason, v.Do))
	}
	if more := f.Metadata["violations_omitted"]; more != "" {
		b.WriteString("and " + more + " more\n")
	}
	return b.String()
}

// block is one broken rule: the sentence, the rule, the remedy.
func block(sentence, rule, remedy string) string {
	s := sentence + "\n"
	if rule != "" {
		s += "  rule: " + rule + "\n"
	}
	if remedy != "" {
		s += "  do:   " + remedy + "\n"
	}
	return s
}

func (f failure) exitCode() int {
	switch f.Code {
	case codeName(codes.InvalidArgument):
		return exitNotReadable
	case codeName(codes.Unavailable), codeName(codes.DeadlineExceeded), codeName(codes.Canceled):
		return exitNoServer
	default:
		return exitRefused
	}
}

// inSchema says which files a schema came from that a server found wrong.
func inSchema(err error, from schema.Loaded) error { return &errorInSchema{err, from} }

type errorInSchema struct {
	error
	from schema.Loaded
}

func (e *errorInSchema) Unwrap() error { return e.error }

// placeIn is a place of the server's text, "3:20", as one of the files.
func placeIn(from schema.Loaded, place string) string {
	var at fault.Fault
	if n, err := fmt.Sscanf(place, "%d:%d", &at.Line, &at.Column); n != 2 || err != nil {
		return place
	}
	at.File, at.Line, at.Column = from.Place(at.Line, at.Column)
	return at.Place()
}

// failureOf is an error in the form in which it is printed.
func failureOf(err error) failure {
	var about *errorInTuples
	if errors.As(err, &about) {
		return about.placed(failureOf(about.error))
	}
	var in *errorInSchema
	if errors.As(err, &in) {
		f := failureOf(in.error)
		for i, v := range f.Violations {
			// The server knows the place in the text, and not the file.
			if place, ok := strings.CutPrefix(v.Field, "schema:"); ok {
				f.Violations[i].Message = placeIn(in.from, place) + ": " + strings.TrimPrefix(v.Message, place+": ")
			}
		}
		return f
	}
	if f := fault.Of(err); f != nil {
		return failureOfFault(f)
	}
	// Not status.FromError: it would say how the error was wrapped on its way here.
	var said interface{ GRPCStatus() *status.Status }
	if errors.As(err, &said) {
		return failureOfStatus(said.GRPCStatus())
	}
	return failure{Code: codeName(codes.Unknown), Message: err.Error(), Violations: []violation{}}
}

func failureOfFault(f *fault.Fault) failure {
	out := failure{
		Code:       codeName(codeOfClass[f.Code.Class()]),
		Reason:     f.Code.Reason(),
		Message:    placed(f),
		Do:         f.Remedy,
		Violations: []violation{},
		Metadata:   f.Details,
	}
	if len(f.Others) > 0 {
		for _, each := range inTextOrder(f.All()) {
			out.Violations = append(out.Violations, violation{each.Field, each.Code.Reason(), placed(each), each.Remedy})
		}
	}
	return out
}

// inTextOrder sorts faults that have a place by it; joining them put the gravest
// first.
func inTextOrder(faults []*fault.Fault) []*fault.Fault {
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return faults
}

// placed is a fault's summary after its place in a text.
func placed(f *fault.Fault) string {
	if p := f.Place(); p != "" {
		return p + ": " + f.Summary
	}
	return f.Summary
}

func failureOfStatus(s *status.Status) failure {
	out := failure{Code: codeName(s.Code()), Message: s.Message(), Violations: []violation{}}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			out.Reason, out.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				out.Violations = append(out.Violations, violation{Field: v.GetField(), Reason: v.GetReason(), Message: v.GetDescription()})
			}
		}
	}
	return out
}

// codeOfClass says which gRPC status code a class of faults has.
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

// codeName is a status code as the API's documentation writes it.
func codeName(c codes.Code) string {
	if c == codes.Canceled {
		return "CANCELLED"
	}
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// usageFault is what kong has against a command line.
func usageFault(err error) error {
	f := fault.New(fault.RequestMustBeReadable, err.Error())
	command := "pemba"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return f.Do("see %s --help", command)
}

// asksForJSON finds -o json in a command line that could not be parsed.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == jsonOutput {
				return true
			}
		}
	}
	return false
}

// plainCause is what the operating system said, without the name of the call.
func plainCause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
