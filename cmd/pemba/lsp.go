package main

import (
	"bufio"
	"errors"
	"runtime/debug"

	"github.com/pemba-io/pemba/internal/lsp"
)

type lspCmd struct {
	Stdio bool `help:"Accepted because some editors add it. There is no other way to talk to it."`
}

func (lspCmd) Help() string {
	return `Speaks the Language Server Protocol on its standard input and output, until the editor that started it ends the session. The exit code is 1 where the editor left without a shutdown, and 2 where the input is not the protocol. docs/editors.md shows how editors start it.

Examples:

    pemba lsp
    pemba lsp --stdio`
}

// Run plays one session.
func (lspCmd) Run(a *app) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	err := lsp.Serve(a.in, atOnce{a.out}, versionOf(info).Version)
	if errors.As(err, new(lsp.EndedWithoutShutdown)) {
		return answeredNo{}
	}
	return err
}

// atOnce holds nothing back: whoever waits for an answer sends no more before it.
type atOnce struct{ *bufio.Writer }

func (w atOnce) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, errors.Join(err, w.Flush())
}
