package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type importCmd struct {
	File       *string  `arg:"" optional:"" help:"Tuples, a line each, as export and read print them; or, as FILE.yaml, a test file, a validation file of SpiceDB's, or a store of OpenFGA's. - is the standard input."`
	ImportID   *string  `name:"import-id" help:"Names the import, so that it can go on after an interruption. Without it, what is in the file names it." placeholder:"ID"`
	Discard    bool     `help:"Give an import up that was not finished: what it loaded is dropped, and the store is free."`
	To         *string  `help:"Ask no server, and write what FILE.yaml says into this folder: its schema, its tuples and its tests." placeholder:"FOLDER"`
	LeaveOut   bool     `help:"Leave out what cannot be converted, and go on with the rest."`
	KeepSchema bool     `help:"Import by the schema in force, whatever schema the file has."`
	Metadata   []string `help:"Why: a text that the history keeps beside the import. May be repeated." placeholder:"KEY=VALUE" sep:"none"`
}

func (importCmd) Help() string {
	return `Into a store without tuples it loads in bulk: nobody else reads or writes the store until it is finished, and rules such as how many admins there are at least are judged once, at the end. Run again after an interruption, with the same file, it goes on where it was; a file that was imported is not imported again. An import that breaks a rule at the end is corrected by more tuples, behind the others in the file and under the same --import-id, or given up with --discard.

Into a store with tuples it writes, a thousand tuples at a time. What was written before one that is refused stays.

A YAML file may have a schema: then the store must have the same one, and where it has none, it is written first. SpiceDB's validation files are pemba's test files, and come in as they are. OpenFGA's stores (.fga.yaml, with the model and tuple files that they name) and models (.fga, fga.mod) are converted: what is called otherwise here is told, and what cannot be converted is listed, with its line and why. Then nothing is imported, unless --leave-out says so. Tests are stored nowhere: --to writes them, as files for pemba test, beside the schema and the tuples. Exit code 1 where --to had to leave something out.

Examples:

    pemba import tuples.txt
    pemba import tuples.yaml
    pemba import tuples.txt --import-id moving-in
    pemba import --discard --import-id moving-in
    pemba import validation.yaml
    pemba import store.fga.yaml
    pemba import store.fga.yaml --to drive && pemba test drive/tests/*.yaml
    pemba export --server old:7878 | pemba import -`
}

// What one message holds: far below the 4 MiB that a server takes, and as many tuples
// as it takes.
const (
	importTuplesMax = 10_000
	importBytesMax  = 2 << 20
	importWriteMax  = 1_000 // into a store that has tuples
)

// Run finds out where the import is, and goes on from there.
func (c *importCmd) Run(a *app) error {
	if c.To != nil {
		return c.convert(a)
	}
	i := &importRun{app: a}
	var err error
	if i.source, i.id, err = c.what(a); err != nil {
		return err
	}
	if i.metadata, err = metadata(c.Metadata); err != nil {
		return err
	}
	converted, isConverted := i.source.(*convertedTuples)
	if isConverted && !c.Discard {
		if err := c.checkWhole(a, converted); err != nil {
			return err
		}
		if !c.KeepSchema {
			i.schema = converted.Schema
		}
	}
	// The whole file is read before anything is sent: a line that is no tuple is
	// better found while the store is still everybody's. A stream is read once.
	if c.File != nil && *c.File != standardInput && !c.Discard {
		if err := i.source.each(func(rel.Tuple, int) error { i.total++; return nil }); err != nil {
			return err
		}
	}
	if i.client, err = a.connect(); err != nil {
		return err
	}
	defer i.client.close()
	told, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	if c.Discard {
		return i.discard()
	}
	answer, err := i.run(told)
	if err != nil {
		return i.explained(told, err)
	}
	a.wrote = true
	if isConverted {
		c.tellOfConversion(a, converted)
	}
	if a.wantsJSON() {
		return a.message(answer)
	}
	a.line("%-8s  %s", "imported", fault.Counted(answer.GetLoadedCount(), "tuple"))
	a.line("%-8s  %s", "snapshot", answer.GetSnapshot())
	return nil
}

// what is imported, and what the import is called.
func (c *importCmd) what(a *app) (source tupleSource, id string, err error) {
	if c.ImportID != nil {
		if _, err := rel.ParseImportID(*c.ImportID); err != nil {
			return nil, "", err
		}
		id = *c.ImportID
	}
	if c.File == nil {
		if c.Discard && id != "" {
			return nil, id, nil
		}
		return nil, "", fault.New(fault.FieldMustBeSet, "no file is named").
			Do("name one, or - for the standard input; to discard an import, name its file, or its id with --import-id")
	}
	source, content, err := a.sourceOf(*c.File)
	switch {
	case err != nil || id != "":
		return source, id, err
	case content != "":
		return source, content, nil
	case c.Discard:
		return nil, "", fault.New(fault.FieldMustBeSet, "an import of the standard input has no id of its own").
			Do("name it with --import-id; an answer about the loading store has it")
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return source, fmt.Sprintf("input-%x", random), nil
}

// An importRun is one run of an import.
type importRun struct {
	app      *app
	client   *client
	source   tupleSource
	id       string
	schema   string // what the store must have; empty where it does not matter
	metadata map[string]string
	total    uint64 // 0 where it is not known

	stream grpc.ClientStreamingClient[pembav1.ImportTuplesRequest, pembav1.ImportTuplesResponse]
	sent   uint64 // how many tuples of the source were sent, or skipped
	next   *pembav1.ImportTuplesRequest
	bytes  int
	lines  tupleLineNumbers
}

// asked is where the import is.
func (i *importRun) asked(last *pembav1.ImportTuplesRequest) (*pembav1.ImportTuplesResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), i.client.timeout)
	defer cancel()
	if last.Discard {
		ctx = context.Background() // it takes what it takes
	}
	stream, err := i.client.tuples().ImportTuples(ctx)
	if err == nil {
		last.Store, last.ImportId = i.client.store, i.id
		if err = stream.Send(last); errors.Is(err, io.EOF) {
			err = nil // why, says the answer
		}
	}
	if err != nil {
		return nil, i.client.understood(err)
	}
	answer, err := stream.CloseAndRecv()
	return answer, i.client.understood(err)
}

func (i *importRun) discard() error {
	before, err := i.asked(&pembav1.ImportTuplesRequest{})
	if err != nil {
		return err
	}
	if before.GetFinished() {
		return fault.Newf(fault.ImportMustContinue, "there is nothing to discard: the import %q is not loading the store", i.id).
			Do("to take tuples away that are published, use pemba delete")
	}
	answer, err := i.asked(&pembav1.ImportTuplesRequest{Discard: true})
	if err != nil {
		return err
	}
	i.app.wrote = true
	if i.app.wantsJSON() {
		return i.app.message(answer)
	}
	i.app.line("discarded %s; the store has no tuples", fault.Counted(before.GetLoadedCount(), "tuple"))
	return nil
}

func (i *importRun) run(told context.Context) (*pembav1.ImportTuplesResponse, error) {
	at, err := i.underSchema(i.schema)
	if err != nil {
		return nil, err
	}
	loaded, most := at.GetLoadedCount(), importTuplesMax
	switch {
	case at.GetFinished() && loaded > 0:
		i.app.note("it was imported before, and nothing was done now; to import it once more, give it another --import-id")
		return at, nil
	case at.GetFinished():
		most = importWriteMax
	case loaded > 0:
		i.app.note("going on after %s", fault.Counted(loaded, "tuple"))
	}
	if i.stream, err = i.client.tuples().ImportTuples(told); err != nil {
		return nil, i.client.understood(err)
	}
	i.next = &pembav1.ImportTuplesRequest{Store: i.client.store, ImportId: i.id, Metadata: i.metadata, Offset: loaded}
	progress := i.app.progress("importing", i.total)
	defer progress.end()
	err = i.source.each(func(t rel.Tuple, line int) error {
		i.sent++
		if i.sent <= loaded {
			return nil
		}
		i.lines.add(i.sent-1, line)
		m := tupleMessage(t)
		i.next.Tuples = append(i.next.Tuples, m)
		i.bytes += proto.Size(m)
		if len(i.next.Tuples) < most && i.bytes < importBytesMax {
			return nil
		}
		progress.at(i.sent)
		return i.send()
	})
	if err == nil {
		i.next.Finish = true
		err = i.send()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	// The end of a stream that was refused is why.
	answer, err := i.stream.CloseAndRecv()
	return answer, i.client.understood(err)
}

// send sends what was gathered; io.EOF says that the server has ended the stream.
func (i *importRun) send() error {
	m := i.next
	i.next, i.bytes = &pembav1.ImportTuplesRequest{Offset: i.sent}, 0
	return i.stream.Send(m)
}

// explained says where in the file a refusal is, and how the import goes on.
func (i *importRun) explained(told context.Context, err error) error {
	if told.Err() != nil {
		err = interrupted("the import was interrupted", "run it again: it goes on where it was")
	}
	if at, asked := i.asked(&pembav1.ImportTuplesRequest{}); asked == nil && !at.GetFinished() && at.GetLoadedCount() > 0 {
		i.app.note("the import %s has loaded %s, and has the store until it is finished", i.id, fault.Counted(at.GetLoadedCount(), "tuple"))
		i.app.note("to go on, with a corrected file, too: pemba import FILE --import-id %s", i.id)
		i.app.note("to give it up: pemba import --discard --import-id %s", i.id)
	}
	return &errorInTuples{err, i.source, &i.lines}
}

// An errorInTuples is an error about tuples of a file, which a server knows by their
// number.
type errorInTuples struct {
	error
	source tupleSource
	lines  *tupleLineNumbers
}

func (e *errorInTuples) Unwrap() error { return e.error }

// placed puts the file's place before what the server says of a tuple.
func (e *errorInTuples) placed(f failure) failure {
	position, err := strconv.ParseUint(f.Metadata["position"], 10, 64)
	if err != nil {
		return f
	}
	place := func(position uint64, message string) string {
		if line := e.lines.of(position); line > 0 {
			return e.source.place(line) + ": " + message
		}
		return message
	}
	f.Message = place(position, f.Message)
	first := uint64(0)
	for n, v := range f.Violations {
		number, ok := strings.CutPrefix(v.Field, "tuples[")
		index, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if !ok || err != nil {
			continue
		}
		if n == 0 { // the one that the position is of
			first = position - index
		}
		f.Violations[n].Message = place(first+index, v.Message)
	}
	return f
}

// tupleLineNumbers know on which line each tuple of a file stands. They keep only
// where the lines do not follow one another.
type tupleLineNumbers struct {
	jumps []lineJump
	next  lineJump
}

// A lineJump is a tuple's number and its line.
type lineJump struct {
	tuple uint64
	line  int
}

// add takes the next tuple.
func (l *tupleLineNumbers) add(tuple uint64, line int) {
	if at := (lineJump{tuple, line}); at != l.next || len(l.jumps) == 0 {
		l.jumps = append(l.jumps, at)
	}
	l.next = lineJump{tuple + 1, line + 1}
}

// of is the line of a tuple; 0 where it was not taken.
func (l *tupleLineNumbers) of(tuple uint64) int {
	for i := len(l.jumps) - 1; i >= 0; i-- {
		if jump := l.jumps[i]; jump.tuple <= tuple && tuple < l.next.tuple {
			return jump.line + int(tuple-jump.tuple)
		}
	}
	return 0
}
