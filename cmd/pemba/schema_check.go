package main

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

type schemaCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Schema files; - for the standard input."`
}

func (schemaCheckCmd) Help() string {
	return `Prints every error and every warning with its place, the rule, and what to do. Exit code 1 where there are errors; warnings alone are 0.

Examples:

    pemba schema check drive.zed
    pemba schema check examples/*/schema.zed
    pemba schema check -o json drive.zed | jq '.diagnostics[].rule'`
}

// A checkReport is what `schema check -o json` prints.
type checkReport struct {
	Errors      int          `json:"errors"`
	Warnings    int          `json:"warnings"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

// A diagnostic is one thing to look at in a file.
type diagnostic struct {
	Severity string `json:"severity"` // "error" or "warning"
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
	Help     string `json:"help,omitempty"`
}

const (
	severityError   = "error"
	severityWarning = "warning"
)

// Run compiles each file, whatever became of those before it.
func (c *schemaCheckCmd) Run(a *app) error {
	report := checkReport{Diagnostics: []diagnostic{}}
	for _, path := range c.Files {
		text, name, err := a.file(path)
		if err != nil {
			return err
		}
		compiled, faults := schema.Compile(string(text))
		report.Errors += len(faults)
		report.add(name, severityError, faults)
		if compiled != nil {
			report.Warnings += len(compiled.Warnings())
			report.add(name, severityWarning, compiled.Warnings())
		}
	}
	if a.wantsJSON() {
		if err := a.value(report); err != nil {
			return err
		}
	} else {
		report.print(a, len(c.Files))
	}
	if report.Errors > 0 {
		return answeredNo{}
	}
	return nil
}

func (r *checkReport) add(name, severity string, faults []*fault.Fault) {
	for _, f := range faults {
		r.Diagnostics = append(r.Diagnostics, diagnostic{
			severity, name, f.Line, f.Column, f.Code.Reason(), f.Summary, f.Remedy,
		})
	}
}

func (r *checkReport) print(a *app, files int) {
	for _, d := range r.Diagnostics {
		at := fault.Fault{File: d.File, Line: d.Line, Column: d.Column}
		sentence := at.Place() + ": "
		if d.Severity == severityWarning {
			sentence += "warning: "
		}
		_, _ = a.out.WriteString(block(sentence+d.Message, d.Rule, d.Help))
	}
	a.line("%s: %s, %s", counted(files, "file"), counted(r.Errors, "error"), counted(r.Warnings, "warning"))
}
