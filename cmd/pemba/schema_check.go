package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

type schemaCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Schema files, each with what it imports; - for the standard input."`
	Cost  bool     `help:"Also print what each name costs to check and to list, and why."`
}

func (schemaCheckCmd) Help() string {
	return `Prints every error and every warning with its place, the rule, and what to do; then the groups that relations allow, and who may write them: that gives what the relations give. Exit code 1 where there are errors; warnings alone are 0.

With --cost it prints for each name how ListObjects gets at its objects: "found" by following tuples back from the subject, about 2 us for each, or "verified", where a candidate may turn out to be none and is checked, about 8 us for each, with the operators that make it so; and what Check reads for it.

Examples:

    pemba schema check drive.zed
    pemba schema check examples/*/schema.zed
    pemba schema check --cost drive.zed
    pemba schema check -o json drive.zed | jq '.diagnostics[].rule'`
}

// A checkReport is what `schema check -o json` prints.
type checkReport struct {
	Errors      int          `json:"errors"`
	Warnings    int          `json:"warnings"`
	Diagnostics []diagnostic `json:"diagnostics"`
	Delegations []delegation `json:"delegations"`
	Costs       []nameCost   `json:"costs,omitempty"`
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

// A delegation is a userset: whoever writes it gives what the relations give that
// allow it.
type delegation struct {
	File    string             `json:"file"`
	Userset string             `json:"userset"`
	Gives   []string           `json:"gives"`
	Writers []delegationWriter `json:"writers"`
}

// A delegationWriter is who may write one of the relations that make a userset.
type delegationWriter struct {
	Relation  string `json:"relation"`
	GrantedBy string `json:"granted_by"` // empty: the application alone
}

// Run compiles each file, whatever became of those before it.
func (c *schemaCheckCmd) Run(a *app) error {
	report := checkReport{Diagnostics: []diagnostic{}, Delegations: []delegation{}}
	for _, path := range c.Files {
		loaded, err := a.loadSchema(path)
		if fault.Is(err, fault.FileMustBeReadable) {
			return err
		}
		if err != nil { // of the imports, or of the form of what is imported
			report.add(severityError, byPlace(fault.Of(err).All()))
			continue
		}
		compiled, faults := loaded.Compile()
		report.add(severityError, faults)
		if compiled == nil {
			continue
		}
		report.add(severityWarning, compiled.Warnings())
		report.addDelegations(path, compiled)
		if c.Cost {
			report.addCosts(loaded, compiled)
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

// byPlace sorts faults by their files and places; one error of many begins with
// the one that names its class.
func byPlace(faults []*fault.Fault) []*fault.Fault {
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	return faults
}

func (r *checkReport) add(severity string, faults []*fault.Fault) {
	if severity == severityError {
		r.Errors += len(faults)
	} else {
		r.Warnings += len(faults)
	}
	for _, f := range faults {
		r.Diagnostics = append(r.Diagnostics, diagnostic{
			severity, f.File, f.Line, f.Column, f.Code.Reason(), f.Summary, f.Remedy,
		})
	}
}

func (r *checkReport) addDelegations(path string, s *schema.Schema) {
	for _, d := range s.Delegations() {
		one := delegation{File: path, Userset: d.Userset, Gives: d.Gives}
		for _, w := range d.Writers {
			one.Writers = append(one.Writers, delegationWriter{w.Relation, w.GrantedBy})
		}
		r.Delegations = append(r.Delegations, one)
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
	r.printDelegations(a)
	r.printCosts(a)
	a.line("%s: %s, %s", fault.Counted(files, "file"), fault.Counted(r.Errors, "error"), fault.Counted(r.Warnings, "warning"))
}

// printDelegations lists the usersets of each file.
func (r *checkReport) printDelegations(a *app) {
	file := ""
	for _, d := range r.Delegations {
		if d.File != file {
			file = d.File
			a.line("%s: who may write a group gives what the group has", file)
		}
		a.line("  %s", d.Userset)
		a.listed("gives", strings.Join(d.Gives, ", "))
		for _, w := range d.Writers {
			a.listed("written by", writerText(d.Userset, w))
		}
	}
}

// writerText is who may write one relation of a userset; the relation is named
// where it is another one.
func writerText(userset string, w delegationWriter) string {
	who := w.GrantedBy
	if who == "" {
		who = "the application alone"
	}
	if w.Relation != userset {
		return fmt.Sprintf("%s, in %s", who, w.Relation)
	}
	return who
}

// listed prints one line below a name, and breaks it after commas.
func (a *app) listed(label, list string) {
	const width = len("written by")
	for _, line := range broken(list, columnsMax-width-len("      ")) {
		a.line("    %-*s  %s", width, label, line)
		label = ""
	}
}
