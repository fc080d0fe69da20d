package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pemba-io/pemba/internal/elsewhere"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A tupleSource yields the tuples of a file in its order, with the line that each
// stands on. It ends early with what yield returns, and otherwise at the first thing
// that cannot be read, or with nil.
type tupleSource interface {
	name() string
	place(line int) string
	each(yield func(t rel.Tuple, line int) error) error
}

// sourceOf is the source for a file of a command line, and a name for its content:
// the same for a copy of the file, another one as soon as a byte of it is another.
// The standard input has none, since it can be read once.
func (a *app) sourceOf(path string) (source tupleSource, content string, err error) {
	if path == standardInput {
		return &tupleLines{called: "standard input", open: func() (io.ReadCloser, error) { return io.NopCloser(a.in), nil }}, "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, "", unreadableFile(path, err)
	}
	defer file.Close()
	sum := sha256.New()
	if elsewhere.Reads(path) {
		read, err := elsewhere.Read(path, func(each string) ([]byte, error) {
			text, err := os.ReadFile(each)
			_, _ = sum.Write(text) // it never fails
			return text, err
		})
		return &convertedTuples{path, read}, contentName(sum), err
	}
	if _, err := io.Copy(sum, file); err != nil {
		return nil, "", unreadableFile(path, err)
	}
	return &tupleLines{called: path, open: func() (io.ReadCloser, error) { return os.Open(path) }}, contentName(sum), nil
}

func contentName(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

func unreadableFile(path string, err error) error {
	f := fault.Newf(fault.FileMustBeReadable, "cannot be read: %s", plainCause(err)).Do("name a file that exists and that you may read")
	f.File = path
	return f.Because(err)
}

// lineBytesMax bounds a line: the longest tuple has 23 KB, most of it a caveat's
// values.
const lineBytesMax = 1 << 20

// tupleLines are tuples as export, read and write have them, a line each; empty lines
// and lines that start with // are skipped.
type tupleLines struct {
	called string
	open   func() (io.ReadCloser, error)
}

func (l *tupleLines) name() string { return l.called }

func (l *tupleLines) place(line int) string { return l.called + ":" + strconv.Itoa(line) }

func (l *tupleLines) each(yield func(rel.Tuple, int) error) error {
	file, err := l.open()
	if err != nil {
		return unreadableFile(l.called, err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), lineBytesMax)
	begun, ended := false, false // as exports are
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, exportFirstLine):
			begun, ended = true, false
		case strings.HasPrefix(line, exportLastLine):
			ended = true
		}
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		t, err := rel.ParseTuple(line)
		if f := fault.Of(err); f != nil {
			f.File = l.called
			return f.At(number, 1)
		}
		if err := yield(t, number); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			f := fault.Newf(fault.TupleMustBeReadable, "a line of more than %d bytes", lineBytesMax).Do("write a tuple a line")
			f.File = l.called
			return f.At(number+1, 1)
		}
		return unreadableFile(l.called, err)
	}
	if begun && !ended {
		f := fault.New(fault.FileMustBeReadable, "the export ends before its last line: it was cut off").
			Do("export again; if a part of it is what you want, take the first line out")
		f.File = l.called
		return f.At(number, 1)
	}
	return nil
}
