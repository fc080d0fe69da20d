package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
)

type testCmd struct {
	Files  []string `arg:"" name:"file" help:"Test files, in YAML."`
	Schema *string  `help:"Use this schema in place of those of the files." placeholder:"FILE"`
}

func (testCmd) Help() string {
	return `Each file is a world of its own: its schema and its relationships are loaded into memory, then its cases are judged. Prints a line for each failing case, with what was expected, what came, and the path that gave it. The last line is "N passed, N failed". Exit code 1 where a case failed, 2 where a file cannot be read or understood; the others are run all the same.

Examples:

    pemba test examples/exayard/tests/*.yaml
    pemba test --schema new.zed drive_test.yaml
    pemba test -o json drive_test.yaml | jq .failures`
}

// A testReport is what `test -o json` prints.
type testReport struct {
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Failures []testFailure `json:"failures"`
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
	var schema *scenario.Schema
	if c.Schema != nil {
		text, name, err := a.file(*c.Schema)
		if err != nil {
			return err
		}
		schema = &scenario.Schema{Text: string(text), Path: name}
	}
	report := testReport{Failures: []testFailure{}}
	var unreadable []*fault.Fault
	for _, path := range c.Files {
		if ctx.Err() != nil {
			return fault.New(fault.CallerMustStay, "the run was interrupted")
		}
		one := a.runFile(ctx, path, schema)
		report.add(one)
		if fault.Is(one.Err, fault.FileMustBeReadable) {
			unreadable = append(unreadable, fault.Of(one.Err))
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
	if a.wantsJSON() {
		if err := a.value(report); err != nil {
			return err
		}
	} else {
		a.line("%d passed, %d failed", report.Passed, report.Failed)
	}
	if len(unreadable) > 0 {
		return fault.Join(unreadable)
	}
	if report.Failed > 0 {
		return answeredNo{}
	}
	return nil
}

// runFile runs one file in a service of its own, in memory. A file that cannot
// be read is a failure like a case that fails, so that the others are run.
func (a *app) runFile(ctx context.Context, path string, schema *scenario.Schema) scenario.Report {
	text, name, err := a.file(path)
	if err != nil {
		return scenario.Report{Path: name, Err: err}
	}
	file, err := scenario.Read(name, text)
	if err != nil {
		return scenario.Report{Path: name, Err: err}
	}
	if schema != nil {
		file.UseSchema(schema.Path, schema.Text)
	}
	var driver embedded.Driver
	report := scenario.Run(ctx, file, &driver)
	if err := driver.Close(); err != nil && report.Err == nil {
		report.Err = err
	}
	return report
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
