package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

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

// String is one line. A case without a name is shown by its text, shortened;
// the line number leads to the rest.
func (r Result) String() string {
	at := fmt.Sprintf("%s:%d: %s: ", r.Path, r.Line, shortened(r.Case))
	if r.Passed {
		return at + r.Came
	}
	if r.Unjudged {
		return at + "expected " + r.Expected + "; " + r.Came
	}
	s := at + "expected " + r.Expected + ", came " + r.Came
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
	r := &run{ctx: ctx, driver: driver}
	return r.file(file)
}

func (r *run) file(file *File) Report {
	r.report.Path = file.Path
	if file.Schema.Path == "" {
		f := fault.New(fault.FileMustBeReadable, "the file has no schema").Do("give it a schema or a schemaFile")
		f.File = file.Path
		r.report.Err = f
		return r.report
	}
	if err := r.driver.Load(r.ctx, file.Schema.Text, file.Tuples); err != nil {
		r.report.Err = file.placed(err)
		return r.report
	}
	if r.coverage != nil {
		r.coverage.note(r.schema, r.surveyor.Names())
	}
	r.questions(file.Questions)
	for _, w := range file.Writes {
		r.write(w)
	}
	r.validations(file)
	return r.report
}

type run struct {
	ctx    context.Context
	driver Driver
	report Report

	coverage *Coverage // nil where nobody asks for it
	schema   string    // whose names it is about
	surveyor Surveyor  // the driver, where there is a coverage
}

func (r *run) add(result Result) {
	result.Path = r.report.Path
	r.report.Results = append(r.report.Results, result)
}

// validations judges who is found, on the tuples that were loaded, in a world of
// their own: the writes have changed the other one.
func (r *run) validations(file *File) {
	if len(file.Validations) == 0 {
		return
	}
	tuples := withoutValues(file.Tuples)
	if err := r.driver.Load(r.ctx, file.Schema.Text, tuples); err != nil {
		for _, v := range file.Validations {
			r.unjudged(v.Line, v.caseText(), subjectsAsListed, errorText(err))
		}
		return
	}
	now := r.driver.Now()
	for _, v := range file.Validations {
		r.validation(v, newFinder(r.ctx, r.driver, v, tuples, now))
	}
}

const subjectsAsListed = "the subjects that it lists"

func (v Validation) caseText() string { return "validation of " + v.Text }

func (r *run) validation(v Validation, f *finder) {
	result := Result{Line: v.Line, Case: v.caseText(), Expected: subjectsAsListed}
	found, err := f.all()
	var why unknowable
	switch {
	case errors.As(err, &why):
		r.unjudged(v.Line, v.caseText(), subjectsAsListed, string(why))
		return
	case err != nil:
		result.Came = errorText(err)
	default:
		differences := v.differences(found)
		result.Passed = len(differences) == 0
		result.Came = "the same"
		if !result.Passed {
			result.Came = strings.Join(differences, "; ")
		}
	}
	r.add(result)
	if err == nil && r.coverage != nil {
		r.coverValidation(v, found)
	}
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
	answer, err := r.driver.Check(r.ctx, a.Question)
	result := Result{Line: a.Line, Case: a.Text, Expected: a.Value.String(), Came: answer.Value.String(), Because: answer.Path}
	if answer.Value == Conditional && len(answer.Missing) > 0 {
		result.Came += ": " + missingText(answer.Missing)
	}
	if err != nil {
		result.Came, result.Because = errorText(err), ""
	}
	result.Passed = err == nil && answer.Value == a.Value
	r.add(result)
	if err == nil && r.coverage != nil {
		r.coverQuestion(a.Question, answer)
	}
}

func (r *run) role(c Role) {
	answer, err := r.driver.Role(r.ctx, c.Object, c.Principal, c.Context)
	result := Result{Line: c.Line, Case: c.Text, Expected: roleText(c.Role), Came: roleText(answer.Role), Because: answer.Path}
	if answer.Possible != "" {
		result.Came += ", and " + string(answer.Possible) + " is conditional"
		if len(answer.Missing) > 0 {
			result.Came += ": " + missingText(answer.Missing)
		}
	}
	if err != nil {
		result.Came, result.Because = errorText(err), ""
	}
	result.Passed = err == nil && answer.Role == c.Role
	r.add(result)
	if err == nil && r.coverage != nil {
		r.coverRole(c, answer)
	}
}

func (r *run) write(w Write) {
	expected := w.Expect.String()
	if w.Changes != nil && w.Expect.Accepted {
		expected += " with " + changesText(w.Changes)
	}
	changes, err := r.driver.Write(r.ctx, w.Actor, w.Updates)
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
	if r.coverage != nil {
		r.coverWrite(w, changes, err)
	}
	r.questions(w.Then)
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
			x.File, x.Line, x.Column = f.Schema.Place(x.Line, x.Column)
		case isRefusal(x.Code):
			f.placeTuple(&x)
		}
		moved = append(moved, &x)
	}
	return inTextOrder(moved)
}

// Place is where a place of a schema's text stands: in which file, and where there.
func (s Schema) Place(line, column int) (file string, fileLine, fileColumn int) {
	if s.Loaded != nil {
		return s.Loaded.Place(line, column)
	}
	return s.Path, line + s.LinesBefore, column + s.ColumnsBefore
}

// placeTuple shows a rule that the relationships break at the tuple that the
// fault is about, and where it is about none of them alone (or does not say), at
// the whole block.
func (f *File) placeTuple(x *fault.Fault) {
	at := f.Relationships
	if about := x.Details["tuple"]; about != "" {
		for i, t := range f.Tuples {
			if t.String() == about || t.Key.String() == about {
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
