package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
)

type exportCmd struct {
	File     *string `arg:"" optional:"" help:"The file to write. Without it, the standard output."`
	Matching *string `help:"Export only the tuples that fit this filter, as for read." placeholder:"FILTER"`
	freshness
}

func (exportCmd) Help() string {
	return `Writes every tuple of one state, a line each, in the notation that import, write and delete take. The first line says of which state, and the last one that it is whole: import refuses a file that was cut off. A file is there when all of it is, and not before. With -o json it is one ExportTuplesResponse.

The schema of that state: pemba schema read --at-snapshot TOKEN. What changes after it: pemba watch --from TOKEN.

Examples:

    pemba export tuples.txt
    pemba export > tuples.txt
    pemba export --matching project:p1
    pemba export yesterday.txt --at 2027-01-01T00:00:00Z
    pemba export | pemba import - --server other:7878`
}

// Run writes message by message, so that a store of any size passes through.
func (c *exportCmd) Run(a *app) error {
	request := &pembav1.ExportTuplesRequest{}
	var err error
	if c.Matching != nil {
		if request.Filter, err = parseFilter("--matching", *c.Matching); err != nil {
			return err
		}
	}
	if request.Consistency, err = c.consistency(); err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	told, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	if c.File == nil {
		_, _, err := a.export(told, client, request, a.out)
		return err
	}
	count, snapshot, err := a.exportFile(told, client, request, *c.File)
	if err == nil {
		a.note("exported %s at snapshot %s", fault.Counted(count, "tuple"), snapshot)
	}
	return err
}

// exportFile writes beside the file's place, and puts it there when it is whole.
func (a *app) exportFile(told context.Context, client *client, request *pembav1.ExportTuplesRequest, path string) (count uint64, snapshot string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return 0, "", unwritable(path, err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	out := bufio.NewWriterSize(file, 1<<20)
	if count, snapshot, err = a.export(told, client, request, out); err != nil {
		return 0, "", err
	}
	// Everybody may read what a redirection would have made.
	if err = errors.Join(out.Flush(), file.Chmod(0o644), file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return 0, "", unwritable(path, err)
	}
	return count, snapshot, nil
}

func unwritable(path string, err error) error {
	f := fault.Newf(fault.FileMustBeReadable, "cannot be written: %s", plainCause(err)).Do("name a file in a directory that exists and that you may write, on a disk with room")
	f.File = path
	return f.Because(err)
}

// export writes an export. --timeout is for its first message.
func (a *app) export(told context.Context, client *client, request *pembav1.ExportTuplesRequest, out *bufio.Writer) (count uint64, snapshot string, err error) {
	ctx, cancel := context.WithCancel(told)
	defer cancel()
	late := time.AfterFunc(client.timeout, cancel)
	defer late.Stop()
	shown := &progress{}
	if out != a.out || !isTerminal(os.Stdout) { // tuples that are printed are progress enough
		shown = a.progress("exporting", 0)
	}
	defer shown.end()
	var to exportForm = &exportLines{out: out, store: request.GetStore(), whole: request.GetFilter() == nil}
	if a.wantsJSON() {
		to = &exportJSON{out: out}
	}
	stream, err := client.tuples().ExportTuples(ctx, request)
	if err != nil {
		return 0, "", client.understood(err)
	}
	for first := true; ; first = false {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return count, snapshot, errors.Join(to.end(count), out.Flush())
		case told.Err() != nil:
			return 0, "", interrupted("the export was interrupted, and what was written of it is not the whole state", "run it again")
		case first && !late.Stop() && err != nil:
			err = status.Error(codes.DeadlineExceeded, "no sign of an export came")
		}
		if err != nil {
			return 0, "", client.understood(err)
		}
		snapshot = m.GetSnapshot()
		if first {
			to.begin(snapshot)
		}
		for _, t := range m.GetTuples() {
			if err := to.tuple(t); err != nil {
				return 0, "", err
			}
		}
		count += uint64(len(m.GetTuples()))
		shown.at(count)
		if err := out.Flush(); err != nil {
			return 0, "", err
		}
	}
}

func interrupted(what, remedy string) error {
	return fault.New(fault.CallerMustStay, what).Do("%s", remedy)
}

// An exportForm is how an export is written. What cannot be written shows when it is
// flushed.
type exportForm interface {
	begin(snapshot string)
	tuple(t *pembav1.Tuple) error
	end(count uint64) error
}

// The first and the last line of an export are comments to whoever reads tuples; an
// import knows by them whether it has the whole file.
const (
	exportFirstLine = "// pemba export of "
	exportLastLine  = "// end of the export: "
)

type exportLines struct {
	out   *bufio.Writer
	store string
	whole bool
}

func (l *exportLines) begin(snapshot string) {
	what := "some tuples of the store "
	if l.whole {
		what = "the store "
	}
	_, _ = fmt.Fprintf(l.out, "%s%s%s at snapshot %s\n", exportFirstLine, what, l.store, snapshot)
}

func (l *exportLines) tuple(t *pembav1.Tuple) error {
	_, _ = l.out.WriteString(tupleText(t))
	return l.out.WriteByte('\n')
}

func (l *exportLines) end(count uint64) error {
	_, err := fmt.Fprintf(l.out, "%s%s\n", exportLastLine, fault.Counted(count, "tuple"))
	return err
}

// exportJSON writes one ExportTuplesResponse with all tuples.
type exportJSON struct {
	out   *bufio.Writer
	begun bool
}

func (j *exportJSON) begin(snapshot string) {
	text, _ := json.Marshal(snapshot) // a text is always JSON
	_, _ = fmt.Fprintf(j.out, "{\n  \"snapshot\": %s,\n  \"tuples\": [", text)
}

func (j *exportJSON) tuple(t *pembav1.Tuple) error {
	text, err := protoJSON(t)
	if err != nil {
		return err
	}
	comma := ","
	if !j.begun {
		comma, j.begun = "", true
	}
	_, err = fmt.Fprintf(j.out, "%s\n    %s", comma, text)
	return err
}

func (j *exportJSON) end(uint64) error {
	_, err := j.out.WriteString("\n  ]\n}\n")
	return err
}
