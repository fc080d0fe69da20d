// Package fault is how pemba says what went wrong and what to do about it.
//
// A fault names the rule that was broken (a Code of the one table in codes.go),
// the thing that broke it, and a remedy. Every room returns faults; only
// internal/rpc knows which gRPC status a Class is, and only cmd prints.
// This package imports nothing of pemba and decides nothing.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one broken rule.
//
// Summary has the thing in it (which object, which name); Remedy is an action
// that the reader can take. Faults are values under construction until they are
// returned: the builders (Do, In, At, With, Because) change the receiver and
// are only called by whoever made it.
type Fault struct {
	Code    Code
	Summary string
	Remedy  string

	// Field is the path of the request's field, like "updates[3].touch.subject",
	// or empty where the fault is not about a field.
	Field string

	// Line and Column are a place in a schema or a file, counted from 1; 0 where
	// the fault is not about a text. Column counts code points.
	Line, Column int
	// File is the name of that text, empty where it has none.
	File string

	// Details are short facts for programs, carried as ErrorInfo's metadata.
	Details map[string]string

	// Others are the further rules that the same request broke, in source order.
	Others []*Fault

	// Cause is what another library said; it is shown to operators, not to clients.
	Cause error
}

// New makes a fault with a fixed summary.
func New(code Code, summary string) *Fault { return &Fault{Code: code, Summary: summary} }

// Newf makes a fault; the summary is formatted as fmt.Sprintf does.
func Newf(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Summary: fmt.Sprintf(format, args...)}
}

// Do sets the remedy.
func (f *Fault) Do(format string, args ...any) *Fault {
	f.Remedy = fmt.Sprintf(format, args...)
	return f
}

// In says which field of the request the fault is about.
func (f *Fault) In(field string) *Fault {
	f.Field = field
	return f
}

// At says which place of a text the fault is about.
func (f *Fault) At(line, column int) *Fault {
	f.Line, f.Column = line, column
	return f
}

// With adds a fact for programs.
func (f *Fault) With(key, value string) *Fault {
	if f.Details == nil {
		f.Details = make(map[string]string, 2)
	}
	f.Details[key] = value
	return f
}

// Because keeps what another library said.
func (f *Fault) Because(cause error) *Fault {
	f.Cause = cause
	return f
}

// Place is "file:line:column" as far as it is known, or empty.
func (f *Fault) Place() string {
	switch {
	case f.Line == 0:
		return f.File
	case f.File == "":
		return fmt.Sprintf("%d:%d", f.Line, f.Column)
	default:
		return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
}

// Sentence is one line: place, summary and remedy.
func (f *Fault) Sentence() string {
	var b strings.Builder
	if p := f.Place(); p != "" {
		b.WriteString(p)
		b.WriteString(": ")
	}
	b.WriteString(f.Summary)
	if f.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(f.Remedy)
	}
	return b.String()
}

// Error is the sentence, and how many more there are.
func (f *Fault) Error() string {
	s := f.Sentence()
	if n := len(f.Others); n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

func (f *Fault) Unwrap() error { return f.Cause }

// All is this fault and the others, in source order as far as it was kept.
func (f *Fault) All() []*Fault {
	return append([]*Fault{f}, f.Others...)
}

// Join makes one error of several faults: nil of none. The first of them in the
// table's order gives the code, all of them are kept.
func Join(faults []*Fault) error {
	if len(faults) == 0 {
		return nil
	}
	first := 0
	for i, f := range faults {
		if f.Code < faults[first].Code {
			first = i
		}
	}
	head := *faults[first]
	head.Others = append(slices.Clone(head.Others), slices.Delete(slices.Clone(faults), first, first+1)...)
	return &head
}

// Of finds the fault in an error; nil where there is none.
func Of(err error) *Fault {
	if err == nil {
		return nil // what goes well is asked this, too, and costs nothing
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// Is reports whether err is a fault with this code.
func Is(err error, code Code) bool {
	f := Of(err)
	return f != nil && f.Code == code
}
