package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// An app is what a command runs with: the streams and the global flags. What is
// printed is held back until the command is done or flushes.
type app struct {
	*globals
	in  io.Reader
	out *bufio.Writer
	err io.Writer

	wrote bool // a write was acknowledged: what comes after it cannot undo it
}

func newApp(g *globals) *app {
	return &app{globals: g, in: os.Stdin, out: bufio.NewWriter(os.Stdout), err: os.Stderr}
}

// finish prints what is left to print and turns a command's end into an exit code.
func (a *app) finish(err error) int {
	if flushed := a.out.Flush(); flushed != nil {
		sentence := "the answer could not be written: "
		if a.wrote {
			sentence = "the write was done, but the answer could not be written: "
		}
		return a.failWith(failure{
			Code: codeName(codes.Unknown), Message: sentence + plainCause(flushed), Violations: []violation{},
		}, exitUnwritten)
	}
	var no answeredNo
	switch {
	case err == nil:
		return exitYes
	case errors.As(err, &no):
		return exitNo
	default:
		return a.fail(err)
	}
}

// answeredNo ends a command that did its work and whose answer is no.
type answeredNo struct{}

func (answeredNo) Error() string { return "the answer is no" }

// jsonOutput is the --output for programs.
const jsonOutput = "json"

func (a *app) wantsJSON() bool { return a.Output == jsonOutput }

// line prints a line for people. A failing write shows when the app finishes.
func (a *app) line(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format+"\n", args...) }

// note prints a line that is no part of the answer.
func (a *app) note(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format+"\n", args...) }

// message prints an answer as JSON: every field that the message has, under its
// name in the .proto files.
func (a *app) message(m proto.Message) error {
	compact, err := protoJSON(m)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "  "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	_, err = indented.WriteTo(a.out)
	return err
}

// protoJSON is a message on one line. protojson varies its white space on
// purpose; Compact takes it out, so that equal answers are equal texts.
func protoJSON(m proto.Message) ([]byte, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// value prints an answer that is no message of the API.
func (a *app) value(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// store is the store that the flags name.
func (a *app) store() (string, error) {
	if a.Store == "" { // an unset variable of a script must not mean another store
		return "", fault.New(fault.FieldMustBeSet, "--store is empty").Do("give the name of a store, or leave --store out for default")
	}
	s, err := rel.ParseStore(a.Store)
	return string(s), err
}

// standardInput is how a command line names it where a file or a tuple may stand.
const standardInput = "-"

// file reads a file, or the standard input.
func (a *app) file(path string) (text []byte, name string, err error) {
	if path == standardInput {
		text, err = io.ReadAll(a.in)
		name = "standard input"
	} else {
		text, err = os.ReadFile(path)
		name = path
	}
	if err != nil {
		f := fault.Newf(fault.FileMustBeReadable, "cannot be read: %s", plainCause(err)).Do("name a file that exists and that you may read")
		f.File = name
		return nil, name, f
	}
	return text, name, nil
}

// A duration is a time.Duration above zero: how long something may take.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time; write for example 500ms, 10s or 2m", text)
	}
	if parsed <= 0 {
		return fmt.Errorf("%s is no time to wait; give a time above 0, for example 500ms, 10s or 2m", text)
	}
	*d = duration(parsed)
	return nil
}
