package main

import (
	"io"
	"os"
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

type schemaCmd struct {
	Read    schemaReadCmd    `cmd:"" takes:"server,output" help:"Print the schema that is in force."`
	Write   schemaWriteCmd   `cmd:"" takes:"server,output" help:"Put a schema in force."`
	Diff    schemaDiffCmd    `cmd:"" takes:"server,output" help:"Show by what a schema differs from the one in force."`
	Check   schemaCheckCmd   `cmd:"" takes:"output" help:"Look for errors in schema files, without a server."`
	Compile schemaCompileCmd `cmd:"" help:"Join a schema file with what it imports, without a server."`
	Format  schemaFormatCmd  `cmd:"" help:"Lay schema files out in the one way, without a server."`
}

type schemaReadCmd struct {
	freshness
}

func (schemaReadCmd) Help() string {
	return `Prints the text as it was written; its version goes to the standard error.

Examples:

    pemba schema read
    pemba schema read > drive.zed
    pemba schema read -o json | jq .version`
}

// Run prints the schema in force.
func (c *schemaReadCmd) Run(a *app) error {
	consistency, err := c.consistency()
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	answer, err := ask(client, client.schemas().ReadSchema, &pembav1.ReadSchemaRequest{Store: client.store, Consistency: consistency})
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.message(answer)
	}
	_, _ = a.out.WriteString(answer.GetSchema())
	if !strings.HasSuffix(answer.GetSchema(), "\n") {
		_ = a.out.WriteByte('\n')
	}
	a.note("version %d, written %s", answer.GetVersion(), timeText(answer.GetWrittenAt().AsTime()))
	return nil
}

type schemaWriteCmd struct {
	File          string  `arg:"" help:"The file with the schema; - for the standard input."`
	ExpectVersion *uint64 `help:"Refuse where another version than this one is in force; 0 where any is." placeholder:"N"`
	DryRun        bool    `help:"Show what would change and what would refuse it, and write nothing. Exit code 1 where it would be refused."`

	As       *string  `help:"On whose behalf it is written, for the history. It is not judged." placeholder:"ACTOR"`
	Metadata []string `help:"Why: a text that the history keeps beside the change. May be repeated." placeholder:"KEY=VALUE" sep:"none"`
}

func (schemaWriteCmd) Help() string {
	return `Replaces the store's schema. It is refused where it has errors, and where stored tuples would no longer fit it. A file that imports others is joined with them first.

Examples:

    pemba schema write drive.zed
    pemba schema write drive.zed --expect-version 3
    pemba schema write drive.zed --dry-run`
}

// Run puts a schema in force.
func (c *schemaWriteCmd) Run(a *app) error {
	loaded, err := a.loadSchema(c.File)
	if err != nil {
		return err
	}
	if loaded.Joined() { // the server knows the joined text alone, and would name its lines
		if _, faults := loaded.Compile(); len(faults) > 0 {
			return fault.Join(faults)
		}
	}
	request := &pembav1.WriteSchemaRequest{Schema: loaded.Text, ExpectedVersion: c.ExpectVersion, DryRun: c.DryRun}
	if request.Actor, _, err = (acting{As: c.As}).actor(a); err != nil {
		return err
	}
	if request.Metadata, err = metadata(c.Metadata); err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	answer, err := ask(client, client.schemas().WriteSchema, request)
	if err != nil {
		return inSchema(err, loaded)
	}
	a.wrote = !c.DryRun
	if a.wantsJSON() {
		return jsonJudged(a, answer)
	}
	for _, w := range answer.GetWarnings() {
		_, _ = a.out.WriteString(block(warningSentence(w, loaded), w.GetRule(), w.GetHelp()))
	}
	if c.DryRun {
		return a.judged(answer)
	}
	for _, line := range differenceLines(answer.GetChanges()) {
		a.line("%s", line)
	}
	a.line("version   %d", answer.GetVersion())
	a.line("snapshot  %s", answer.GetSnapshot())
	return nil
}

func warningSentence(d *pembav1.Diagnostic, in schema.Loaded) string {
	var at fault.Fault
	at.File, at.Line, at.Column = in.Place(int(d.GetLine()), int(d.GetColumn()))
	return at.Place() + ": warning: " + d.GetMessage()
}

// loadSchema reads a schema file, or the standard input, with what it imports.
func (a *app) loadSchema(path string) (schema.Loaded, error) {
	name := path
	if path == standardInput {
		name = "standard input"
	}
	return schema.Load(name, func(file string) ([]byte, error) {
		if path == standardInput && file == name {
			return io.ReadAll(a.in)
		}
		return os.ReadFile(file)
	})
}

// differenceLines are the differences between two schemas. What belongs to a
// definition or caveat that came or went as a whole is not listed beside it.
func differenceLines(changes []*pembav1.SchemaDifference) []string {
	whole := map[string]bool{}
	for _, d := range changes {
		if isWhole(d) {
			whole[d.GetDefinition()] = true
		}
	}
	var lines []string
	for _, d := range changes {
		if isWhole(d) || !whole[d.GetDefinition()] {
			lines = append(lines, differenceText(d)...)
		}
	}
	return lines
}

func isWhole(d *pembav1.SchemaDifference) bool {
	return d.GetKind() != pembav1.SchemaDifference_KIND_CHANGED && d.GetName() == "" &&
		(d.GetElement() == pembav1.SchemaDifference_ELEMENT_DEFINITION || d.GetElement() == pembav1.SchemaDifference_ELEMENT_CAVEAT)
}

// differenceText is one difference: where, and how it is written.
func differenceText(d *pembav1.SchemaDifference) []string {
	element := strings.TrimPrefix(d.GetElement().String(), "ELEMENT_")
	element = strings.ReplaceAll(strings.ToLower(element), "_", " ")
	written := func(text string) string {
		text = strings.Join(strings.Fields(text), " ")
		if text == "" || strings.HasPrefix(text, element+" ") {
			return text
		}
		return element + " " + text
	}
	where := d.GetDefinition() + ": "
	switch {
	case isWhole(d):
		where = ""
	case d.GetName() != "":
		where = d.GetDefinition() + "#" + d.GetName() + ": "
	}
	switch d.GetKind() {
	case pembav1.SchemaDifference_KIND_ADDED:
		return []string{"added     " + where + written(d.GetAfter())}
	case pembav1.SchemaDifference_KIND_REMOVED:
		return []string{"removed   " + where + written(d.GetBefore())}
	default:
		return []string{"changed   " + where + written(d.GetBefore()), "to        " + where + written(d.GetAfter())}
	}
}
