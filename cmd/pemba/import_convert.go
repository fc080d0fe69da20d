package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/elsewhere"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// convertedTuples are the tuples of a YAML file, or of a model of OpenFGA's, which has
// none: a test file, a validation file of SpiceDB's tools, or a store of OpenFGA's.
type convertedTuples struct {
	path string
	*elsewhere.Conversion
}

func (c *convertedTuples) name() string { return c.path }

// place is where a tuple stands; its line is its number here, since stores name files.
func (c *convertedTuples) place(line int) string { return c.Tuples[line-1].At.String() }

func (c *convertedTuples) each(yield func(rel.Tuple, int) error) error {
	for i, t := range c.Tuples {
		if err := yield(t.Tuple, i+1); err != nil {
			return err
		}
	}
	return nil
}

// checkWhole refuses to import a part of a file.
func (c *importCmd) checkWhole(a *app, from *convertedTuples) error {
	missing := from.LeftOut
	if !c.KeepSchema {
		missing = append(from.SchemaFaults[:len(from.SchemaFaults):len(from.SchemaFaults)], missing...)
	}
	switch {
	case len(missing) == 0:
		return nil
	case c.LeaveOut && len(missing) == len(from.LeftOut):
		for _, f := range missing {
			a.note("left out: %s", f.Sentence())
		}
		return nil
	}
	if len(missing) == len(from.LeftOut) && !a.wantsJSON() { // an error is one JSON document
		a.note("nothing was imported; to import all but what follows, add --leave-out")
	}
	return fault.Join(missing)
}

// tellOfConversion says what an application has to know, and where the tests are.
func (c *importCmd) tellOfConversion(a *app, from *convertedTuples) {
	for _, change := range from.Changes {
		a.note("%s", change)
	}
	cases := 0
	for _, t := range from.Tests {
		cases += t.Cases()
	}
	switch {
	case cases == 0:
	case from.IsTestFile:
		a.note("its %s are tests, which no store keeps; they are run by: pemba test %s", fault.Counted(cases, "case"), from.path)
	default:
		a.note("its %s are tests, which no store keeps; to have them as test files: pemba import %s --to FOLDER", fault.Counted(cases, "case"), from.path)
	}
}

// underSchema sees that the store has the schema of the file: it is written where the
// store has none, and another one is a refusal. The answer is where the import is.
func (i *importRun) underSchema(text string) (*pembav1.ImportTuplesResponse, error) {
	at, err := i.asked(&pembav1.ImportTuplesRequest{})
	switch {
	case text == "" || err == nil && at.GetLoadedCount() > 0: // it goes on, or was finished
		return at, err
	case err != nil && failureOf(err).Reason == fault.SchemaMustExist.Reason():
		answer, err := ask(i.client, i.client.schemas().WriteSchema, &pembav1.WriteSchemaRequest{Store: i.client.store, Schema: text, Metadata: i.metadata})
		if err != nil {
			return nil, err
		}
		i.app.wrote = true
		i.app.note("the schema was written: version %d", answer.GetVersion())
		return i.asked(&pembav1.ImportTuplesRequest{})
	case err != nil:
		return nil, err
	}
	difference, err := ask(i.client, i.client.schemas().DiffSchema, &pembav1.DiffSchemaRequest{Store: i.client.store, Schema: text})
	if err != nil {
		return nil, err
	}
	if n := len(difference.GetChanges()); n > 0 {
		return nil, fault.Newf(fault.SchemaVersionMustMatch, "the store %s has another schema than %s: %s", i.client.store, i.source.name(), fault.Counted(n, "difference")).
			Do("import into a store without a schema (pemba store create, --store), put this schema in force first with pemba schema write, or import the tuples by the schema in force with --keep-schema")
	}
	return at, nil
}

// A conversionReport is what `import --to -o json` prints.
type conversionReport struct {
	Files   []convertedFile   `json:"files"`
	Changes []convertedChange `json:"changes"`
	LeftOut []leftOut         `json:"left_out"`
}

type convertedFile struct {
	Path string `json:"path"`
	Has  string `json:"has"`
}

type convertedChange struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	What   string `json:"what"`
}

type leftOut struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Do      string `json:"do"`
}

// convert writes what a file says as files of pemba's, and asks no server.
func (c *importCmd) convert(a *app) error {
	switch {
	case c.File == nil || *c.File == standardInput:
		return fault.New(fault.FieldMustBeSet, "--to needs a file to convert").Do("name one: what it says of other files is relative to it")
	case c.ImportID != nil || c.Discard || c.KeepSchema || len(c.Metadata) > 0:
		return fault.New(fault.FieldMustNotBeSet, "--to asks no server").Do("leave --import-id, --discard, --keep-schema and --metadata out")
	case !elsewhere.Reads(*c.File):
		return fault.Newf(fault.SourceMustBeConvertible, "%s has tuples alone, and nothing to convert", *c.File).Do("import it as it is")
	case *c.To == "":
		return fault.New(fault.FieldMustBeSet, "--to is empty").Do("name a folder")
	}
	from, err := elsewhere.Read(*c.File, os.ReadFile)
	if err != nil {
		return err
	}
	files, err := from.Files()
	if err != nil {
		return err
	}
	report := conversionReport{Files: []convertedFile{}, Changes: []convertedChange{}, LeftOut: []leftOut{}}
	if err := report.write(*c.To, files); err != nil {
		return err
	}
	a.wrote = true
	for _, change := range from.Changes {
		report.Changes = append(report.Changes, convertedChange{change.At.File, change.At.Line, change.At.Column, change.What})
	}
	missing := from.Missing()
	for _, f := range missing {
		report.LeftOut = append(report.LeftOut, leftOut{f.File, f.Line, f.Column, f.Code.Reason(), f.Summary, f.Remedy})
	}
	if err := report.print(a, from, missing); err != nil {
		return err
	}
	if len(missing) > 0 && !c.LeaveOut {
		return answeredNo{}
	}
	return nil
}

// write writes the files into a folder, none of which may be there.
func (r *conversionReport) write(folder string, files []elsewhere.File) error {
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Name))
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			f := fault.New(fault.FileMustBeReadable, "the file is there already").Do("name a folder that is empty or new")
			f.File = path
			return f
		}
	}
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Name))
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = os.WriteFile(path, f.Text, 0o666)
		}
		if err != nil {
			f := fault.Newf(fault.FileMustBeReadable, "cannot be written: %s", plainCause(err)).Do("name a folder that you may write")
			f.File = path
			return f
		}
		r.Files = append(r.Files, convertedFile{path, f.Has})
	}
	return nil
}

func (r *conversionReport) print(a *app, from *elsewhere.Conversion, missing []*fault.Fault) error {
	if a.wantsJSON() {
		return a.value(r)
	}
	for _, f := range r.Files {
		a.line("wrote    %s: %s", f.Path, f.Has)
	}
	for _, change := range from.Changes {
		a.line("changed  %s", change)
	}
	if err := a.out.Flush(); err != nil || len(missing) == 0 {
		return err
	}
	for _, f := range missing {
		_, _ = io.WriteString(a.err, block(placed(f), f.Code.Reason(), f.Remedy))
	}
	a.note("%s could not be converted", fault.Counted(len(missing), "thing"))
	return nil
}
