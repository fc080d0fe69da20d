package main

import (
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
)

type schemaDiffCmd struct {
	File string `arg:"" help:"The file with the new schema; - for the standard input."`
	freshness
}

func (schemaDiffCmd) Help() string {
	return `Shows by what a schema differs in meaning from the one that is in force: order, layout and // comments make no difference, the order of roles does. It looks at no tuple: whether they would fit, schema write --dry-run says. Exit code 0 is no difference, 1 is some.

Examples:

    pemba schema diff drive.zed
    pemba schema diff drive.zed -o json | jq .changes`
}

// Run compares a file with the schema in force.
func (c *schemaDiffCmd) Run(a *app) error {
	loaded, err := a.loadSchema(c.File)
	if err != nil {
		return err
	}
	if loaded.Joined() { // as of a schema that is written
		if _, faults := loaded.Compile(); len(faults) > 0 {
			return fault.Join(faults)
		}
	}
	consistency, err := c.consistency()
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	answer, err := ask(client, client.schemas().DiffSchema, &pembav1.DiffSchemaRequest{
		Store: client.store, Consistency: consistency, Schema: loaded.Text,
	})
	if err != nil {
		return inSchema(err, loaded)
	}
	if a.wantsJSON() {
		err = a.message(answer)
	} else {
		for _, w := range answer.GetWarnings() {
			_, _ = a.out.WriteString(block(warningSentence(w, loaded), w.GetRule(), w.GetHelp()))
		}
		a.differences(answer.GetChanges(), answer.GetChangesCut())
	}
	if err == nil && len(answer.GetChanges()) > 0 {
		return answeredNo{}
	}
	return err
}

// differences prints by what two schemas differ.
func (a *app) differences(changes []*pembav1.SchemaDifference, cut bool) {
	for _, line := range differenceLines(changes) {
		a.line("%s", line)
	}
	switch {
	case cut:
		a.note("there are more differences than an answer holds")
	case len(changes) == 0:
		a.line("no difference")
	}
}

// jsonJudged prints an answer for programs; of a dry run that found conflicts, the
// answer is no.
func jsonJudged(a *app, answer *pembav1.WriteSchemaResponse) error {
	if err := a.message(answer); err != nil || len(answer.GetConflicts()) == 0 {
		return err
	}
	return answeredNo{}
}

// judged prints what would become of a schema, and whether it would be refused.
func (a *app) judged(answer *pembav1.WriteSchemaResponse) error {
	a.differences(answer.GetChanges(), answer.GetChangesCut())
	for _, c := range answer.GetConflicts() {
		// What to do is at the end of a server's message.
		summary, remedy, _ := cutLast(c.GetMessage(), "; ")
		if of := c.GetExamples(); len(of) > 0 { // the tuple that it begins with stands below, with the others
			summary = strings.TrimPrefix(summary, tupleText(of[0])+": ")
		}
		_, _ = a.out.WriteString(block(summary, c.GetReason(), remedy))
		for _, t := range c.GetExamples() {
			a.line("  %s", tupleText(t))
		}
		if more := c.GetTupleCount() - uint64(len(c.GetExamples())); more > 0 && len(c.GetExamples()) > 0 {
			a.line("  and %s more", fault.Counted(more, "tuple"))
		}
	}
	if len(answer.GetConflicts()) > 0 {
		a.line("would be refused")
		return answeredNo{}
	}
	a.line("would be accepted")
	return nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
