package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
)

type testCmd struct {
	Files    []string `arg:"" name:"file" help:"Test files, in YAML."`
	Schema   *string  `help:"Use this schema in place of those of the files." placeholder:"FILE"`
	On       *string  `help:"Ask this running server, as host:port, instead of running the files in this process: each in a store of its own, which is deleted afterwards." placeholder:"ADDR"`
	Coverage bool     `help:"Also print which relations, permissions, roles and rules no case touched."`
}

func (testCmd) Help() string {
	return `Each file is a world of its own: its schema and its relationships are loaded into memory, then its cases are judged. Prints a line for each failing case, with what was expected, what came, and the path that gave it. The last line is "N passed, N failed". Exit code 1 where a case failed, 2 where a file cannot be read or understood; the others are run all the same.

With --coverage the names and the rules on who may write that no case touched are printed before the last line, by schema. A case touches the name that it asks for and the role that it says, the names on the path of its answer, the relations of the tuples that it writes, and, where the answer is no, what the subject does hold on that object. Where somebody acts, it touches the rules of what the write changed and created, or those that refused it. What was there and made no difference that a case shows is not touched. Files with the same schema file are taken together. It changes no exit code.

Examples:

    pemba test examples/exayard/tests/*.yaml
    pemba test --schema new.zed drive_test.yaml
    pemba test --coverage examples/blue/tests/*.yaml
    pemba test --on 127.0.0.1:7878 examples/blue/tests/*.yaml
    pemba test -o json drive_test.yaml | jq .failures`
}

// A testReport is what `test -o json` prints.
type testReport struct {
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Failures []testFailure `json:"failures"`

	Coverage *testCoverage `json:"coverage,omitempty"`
}

// A testCoverage says how many names and rules there are, how many of them a case
// touched, and which ones none did.
type testCoverage struct {
	Names     int             `json:"names"`
	Touched   int             `json:"touched"`
	Untouched []testUntouched `json:"untouched"`
}

// A testUntouched is a name or a rule that no case touched.
type testUntouched struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// A testFailure is a case that failed, or a file that could not be run.
type testFailure struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Case     string `json:"case,omitempty"`
	Expected string `json:"expected,omitempty"`
	Came     string `json:"came"`
	Path     string `json:"path,omitempty"`
}

// Run runs each file, whatever became of those before it. Lines are printed as
// they are known.
func (c *testCmd) Run(a *app) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	newDriver, end, err := c.driver(a)
	if err != nil {
		return err
	}
	defer end()
	var schema *scenario.Schema
	if c.Schema != nil {
		loaded, err := a.loadSchema(*c.Schema)
		if err != nil {
			return err
		}
		schema = &scenario.Schema{Text: loaded.Text, Path: *c.Schema, Loaded: &loaded}
	}
	report := testReport{Failures: []testFailure{}}
	var coverage *scenario.Coverage
	if c.Coverage {
		coverage = new(scenario.Coverage)
	}
	var unreadable []*fault.Fault
	for _, path := range c.Files {
		if ctx.Err() != nil {
			return fault.New(fault.CallerMustStay, "the run was interrupted")
		}
		one, understood := a.runFile(ctx, path, schema, newDriver(), coverage)
		report.add(one)
		if f := fault.Of(one.Err); !understood && f != nil {
			unreadable = append(unreadable, f)
		}
		if !a.wantsJSON() {
			for _, line := range one.Failures() {
				a.line("%s", line)
			}
			if err := a.out.Flush(); err != nil {
				return err
			}
		}
	}
	report.cover(coverage)
	if err := a.testReport(report); err != nil {
		return err
	}
	if len(unreadable) > 0 {
		return fault.Join(unreadable)
	}
	if report.Failed > 0 {
		return answeredNo{}
	}
	return nil
}

// testReport prints what remains to be said when all files were run.
func (a *app) testReport(report testReport) error {
	if a.wantsJSON() {
		return a.value(report)
	}
	if c := report.Coverage; c != nil {
		for _, u := range c.Untouched {
			a.line("%s: no case touches the %s %s", u.Schema, u.Kind, u.Name)
		}
		a.line("%d of %d names and rules touched", c.Touched, c.Names)
	}
	a.line("%d passed, %d failed", report.Passed, report.Failed)
	return nil
}

// A testDriver answers the cases of one file, and then lets its world go.
type testDriver interface {
	scenario.Driver
	Close() error
}

// driver says what the files are run by, each by a driver of its own: in memory, or
// on a running server.
func (c *testCmd) driver(a *app) (newDriver func() testDriver, end func(), err error) {
	if c.On == nil {
		return func() testDriver { return new(embedded.Driver) }, func() {}, nil
	}
	if c.Coverage {
		return nil, nil, fault.New(fault.FieldMustNotBeSet, "--coverage needs to know why, and a server of --on does not tell all of it").
			Do("leave one of them out")
	}
	a.Server = *c.On
	client, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	// Where none answers, no file is to blame.
	if _, err := ask(client, client.stores().ListStores, &pembav1.ListStoresRequest{PageSize: 1}); err != nil {
		client.close()
		return nil, nil, err
	}
	return func() testDriver { return &serverDriver{client: client} }, client.close, nil
}

// runFile runs one file. A file that cannot
// be read is a failure like a case that fails, so that the others are run; one that
// is not understood is told from one whose schema or tuples break a rule.
func (a *app) runFile(ctx context.Context, path string, schema *scenario.Schema, driver testDriver, coverage *scenario.Coverage) (report scenario.Report, understood bool) {
	text, name, err := a.file(path)
	if err != nil {
		return scenario.Report{Path: name, Err: err}, false
	}
	file, err := scenario.Read(name, text)
	if err != nil {
		return scenario.Report{Path: name, Err: err}, false
	}
	if schema != nil {
		file.UseSchema(*schema)
	}
	if surveyor, ok := driver.(scenario.Surveyor); ok && coverage != nil {
		report = coverage.Run(ctx, file, surveyor)
	} else {
		report = scenario.Run(ctx, file, driver)
	}
	if err := driver.Close(); err != nil && report.Err == nil {
		report.Err = err
	}
	return report, !fault.Is(report.Err, fault.FileMustBeReadable)
}

func (r *testReport) add(one scenario.Report) {
	r.Passed += one.Passed()
	r.Failed += one.Failed()
	if f := fault.Of(one.Err); f != nil {
		for _, each := range f.All() {
			file := each.File
			if file == "" {
				file = one.Path
			}
			r.Failures = append(r.Failures, testFailure{File: file, Line: each.Line, Came: each.Sentence()})
		}
	} else if one.Err != nil {
		r.Failures = append(r.Failures, testFailure{File: one.Path, Came: one.Err.Error()})
	}
	for _, c := range one.Results {
		if !c.Passed {
			r.Failures = append(r.Failures, testFailure{c.Path, c.Line, c.Case, c.Expected, c.Came, c.Because})
		}
	}
}

// cover takes over what was touched; nil where nobody asked.
func (r *testReport) cover(coverage *scenario.Coverage) {
	if coverage == nil {
		return
	}
	r.Coverage = &testCoverage{Untouched: []testUntouched{}}
	r.Coverage.Touched, r.Coverage.Names = coverage.Counts()
	for _, schema := range coverage.Untouched() {
		for _, n := range schema.Names {
			r.Coverage.Untouched = append(r.Coverage.Untouched, testUntouched{schema.Schema, n.String(), n.Kind})
		}
	}
}
