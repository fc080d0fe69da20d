package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Driver is one way of asking. What two of them answer differently is a fault
// of one.
type Driver interface {
	// Load makes a world of its own out of a schema and tuples, in place of
	// whatever was loaded before. The tuples must satisfy the schema's rules.
	Load(ctx context.Context, schema string, tuples []rel.Tuple) error
	// Check says whether the principal holds a name, and by which path where it knows one.
	Check(ctx context.Context, object rel.Object, name rel.Name, principal rel.Principal) (granted bool, path string, err error)
	// Role is the effective role, "" for none, and the path that gives it.
	Role(ctx context.Context, object rel.Object, principal rel.Principal) (role rel.Name, path string, err error)
	// Write applies updates as the application itself, and answers with the net change.
	Write(ctx context.Context, updates []rel.Update) ([]rel.Change, error)
}

// A Report is what came of one file.
type Report struct {
	Path    string
	Err     error // why the file could not be loaded; then there are no results
	Results []Result
}

// A Result is what came of one case.
type Result struct {
	Path     string // the file
	Line     int
	Case     string // its name, or its text
	Passed   bool
	Unjudged bool // it was not asked; Came says why
	Expected string
	Came     string
	Because  string // the path that gave the answer, empty where the driver knows none
}

func (r Result) String() string {
	if r.Passed {
		return fmt.Sprintf("%s:%d: %s: %s", r.Path, r.Line, r.Case, r.Came)
	}
	if r.Unjudged {
		return fmt.Sprintf("%s:%d: %s: expected %s; %s", r.Path, r.Line, r.Case, r.Expected, r.Came)
	}
	s := fmt.Sprintf("%s:%d: %s: expected %s, came %s", r.Path, r.Line, r.Case, r.Expected, r.Came)
	if r.Because != "" {
		s += ", by " + r.Because
	}
	return s
}

// Passed counts the cases that passed.
func (r Report) Passed() int {
	n := 0
	for _, c := range r.Results {
		if c.Passed {
			n++
		}
	}
	return n
}

// Failed counts the cases that failed; a file that could not be loaded is one.
func (r Report) Failed() int {
	if r.Err != nil {
		return 1
	}
	return len(r.Results) - r.Passed()
}

// Failures are a line for each failing case, and for each fault of a file that
// could not be loaded.
func (r Report) Failures() []string {
	var lines []string
	if f := fault.Of(r.Err); f != nil {
		for _, each := range f.All() {
			line := each.Sentence()
			if each.File == "" {
				line = r.Path + ": " + line
			}
			lines = append(lines, line)
		}
	} else if r.Err != nil {
		lines = append(lines, r.Path+": "+r.Err.Error())
	}
	for _, c := range r.Results {
		if !c.Passed {
			lines = append(lines, c.String())
		}
	}
	return lines
}

// Run loads a file into a driver and judges its cases: the questions about what
// was loaded first, then the writes in their order.
func Run(ctx context.Context, file *File, driver Driver) Report {
	r := &run{ctx: ctx, driver: driver, report: Report{Path: file.Path}}
	if file.Schema.Path == "" {
		r.report.Err = fault.Newf(fault.FileMustBeReadable, "%s has no schema", file.Path).Do("give it a schema or a schemaFile")
		return r.report
	}
	if err := driver.Load(ctx, file.Schema.Text, file.Tuples); err != nil {
		r.report.Err = file.placed(err)
		return r.report
	}
	r.questions(file.Questions)
	for _, w := range file.Writes {
		r.write(w)
	}
	for _, c := range file.Outside {
		r.outside(c.Line, c.Text, "the subjects that it lists", c.Fault)
	}
	return r.report
}

type run struct {
	ctx    context.Context
	driver Driver
	report Report
}

func (r *run) add(result Result) {
	result.Path = r.report.Path
	r.report.Results = append(r.report.Results, result)
}

func (r *run) outside(line int, text, expected string, why *fault.Fault) {
	r.unjudged(line, text, expected, why.Sentence())
}

// unjudged fails a case that nobody was asked about.
func (r *run) unjudged(line int, text, expected, why string) {
	r.add(Result{Line: line, Case: text, Unjudged: true, Expected: expected, Came: "cannot be judged: " + why})
}

func (r *run) questions(q Questions) {
	for _, a := range q.Assertions {
		r.assertion(a)
	}
	for _, c := range q.Roles {
		r.role(c)
	}
}

func (r *run) assertion(a Assertion) {
	expected := a.expected()
	if a.Outside != nil {
		r.outside(a.Line, a.Text, expected, a.Outside)
		return
	}
	granted, path, err := r.driver.Check(r.ctx, a.Object, a.Name, a.Principal)
	result := Result{Line: a.Line, Case: a.Text, Expected: expected, Came: grantedText(granted), Because: path}
	if err != nil {
		result.Came, result.Because = errorText(err), ""
	}
	result.Passed = err == nil && granted == a.Granted
	r.add(result)
}

func (r *run) role(c Role) {
	expected := roleText(c.Role)
	if c.Outside != nil {
		r.outside(c.Line, c.Text, expected, c.Outside)
		return
	}
	role, path, err := r.driver.Role(r.ctx, c.Object, c.Principal)
	result := Result{Line: c.Line, Case: c.Text, Expected: expected, Came: roleText(role), Because: path}
	if err != nil {
		result.Came, result.Because = errorText(err), ""
	}
	result.Passed = err == nil && role == c.Role
	r.add(result)
}

func (r *run) write(w Write) {
	expected := w.Expect.String()
	if w.Changes != nil && w.Expect.Accepted {
		expected += " with " + changesText(w.Changes)
	}
	if w.Outside != nil {
		r.outside(w.Line, w.Name, expected, w.Outside)
		r.untried(w.Then)
		return
	}
	changes, err := r.driver.Write(r.ctx, w.Updates)
	result := Result{Line: w.Line, Case: w.Name, Expected: expected, Came: "accepted"}
	switch f := fault.Of(err); {
	case err == nil:
		result.Passed = w.Expect.Accepted
		if w.Changes != nil {
			result.Passed = result.Passed && changesText(changes) == changesText(w.Changes)
			result.Came += " with " + changesText(changes)
		}
	case f != nil && isRefusal(f.Code):
		result.Passed = !w.Expect.Accepted && (w.Expect.Reason == 0 || w.Expect.Reason == f.Code)
		result.Came = "refused " + f.Code.Reason()
		if !result.Passed {
			result.Came += ": " + f.Error()
		}
	default:
		result.Came = errorText(err)
	}
	r.add(result)
	r.questions(w.Then)
}

// untried fails what follows on a write that was never tried: an answer on the
// state without it would be an answer to another question.
func (r *run) untried(q Questions) {
	const why = "the write before it was not tried"
	for _, a := range q.Assertions {
		r.unjudged(a.Line, a.Text, a.expected(), why)
	}
	for _, c := range q.Roles {
		r.unjudged(c.Line, c.Text, roleText(c.Role), why)
	}
}

func (a Assertion) expected() string {
	if a.Caveated {
		return "conditional"
	}
	return grantedText(a.Granted)
}

func grantedText(granted bool) string {
	if granted {
		return "granted"
	}
	return "denied"
}

func roleText(role rel.Name) string {
	if role == "" {
		return noRole
	}
	return string(role)
}

func errorText(err error) string { return "an error: " + err.Error() }

// changesText is the same for the same changes in any order.
func changesText(changes []rel.Change) string {
	if len(changes) == 0 {
		return "no change"
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// placed says of the faults of a world where in the file their cause stands.
func (f *File) placed(err error) error {
	head := fault.Of(err)
	if head == nil {
		return err
	}
	moved := make([]*fault.Fault, 0, 1+len(head.Others))
	for _, each := range head.All() {
		x := *each
		x.Others = nil
		switch {
		case x.File != "":
		case x.Line > 0:
			f.Schema.place(&x)
		case isRefusal(x.Code):
			f.placeTuple(&x)
		}
		moved = append(moved, &x)
	}
	return inTextOrder(moved)
}

// place moves a fault of a schema to where its text stands.
func (s Schema) place(x *fault.Fault) {
	x.File = s.Path
	x.Line += s.LinesBefore
	x.Column += s.ColumnsBefore
}

// placeTuple shows a rule that the relationships break at the tuple that the
// fault is about, and where it is about none of them alone (or does not say), at
// the whole block.
func (f *File) placeTuple(x *fault.Fault) {
	at := f.Relationships
	if about := x.Details["tuple"]; about != "" {
		for i, t := range f.Tuples {
			if t.String() == about {
				at = f.TuplesAt[i]
				break
			}
		}
	}
	if at.Line > 0 {
		x.File = f.Path
		x.At(at.Line, at.Column)
	}
}
