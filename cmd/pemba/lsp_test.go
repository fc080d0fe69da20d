package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A session with the binary as an editor has it: a process, two pipes, frames.
// What is asked and answered is tested in internal/lsp; here it is that the
// process speaks the protocol, says nothing else, and ends as it should.
func TestAnEditorsSessionWithTheBinary(t *testing.T) {
	c := startLanguageServer(t, "--stdio")
	c.send(`{"id":1,"method":"initialize","params":{"capabilities":{"general":{"positionEncodings":["utf-8"]}}}}`)
	c.expect(`"id":1`, `"positionEncoding":"utf-8"`, `"name":"pemba"`)
	c.send(`{"method":"initialized","params":{}}`)
	text := "definition user {}\ndefinition doc {\n  relation reader:  user\n  permission view = reader + raeder\n}\n"
	open, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	c.send(`{"method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a.zed","version":7,"text":` + string(open) + `}}}`)
	c.expect(`"method":"textDocument/publishDiagnostics"`, `"version":7`, `"code":"NAME_MUST_EXIST"`, `did you mean \"reader\"?`,
		`"start":{"line":3,"character":29},"end":{"line":3,"character":35}`)
	at := `"params":{"textDocument":{"uri":"file:///a.zed"},"position":{"line":3,"character":22}}}`
	c.send(`{"id":2,"method":"textDocument/hover",` + at)
	c.expect(`"id":2`, `relation reader: user`)
	c.send(`{"id":3,"method":"textDocument/definition",` + at)
	c.expect(`"id":3`, `"uri":"file:///a.zed"`, `"start":{"line":2,"character":11}`)
	c.send(`{"id":4,"method":"textDocument/formatting","params":{"textDocument":{"uri":"file:///a.zed"},"options":{}}}`)
	c.expect(`"id":4`, `"newText":"\ndefinition doc {\n  relation reader: user\n"`)
	c.send(`{"id":5,"method":"shutdown"}`)
	c.expect(`"id":5`, `"result":null`)
	c.send(`{"method":"exit"}`)
	c.ends(exitYes, "")
}

func TestALanguageServerEndsAsTheProtocolWants(t *testing.T) {
	c := startLanguageServer(t)
	c.send(`{"method":"exit"}`)
	c.ends(exitNo, "")

	c = startLanguageServer(t)
	c.in.Close()
	c.ends(exitNo, "")

	c = startLanguageServer(t)
	if _, err := io.WriteString(c.in, "definition user {}\r\n"); err != nil {
		t.Fatal(err)
	}
	c.ends(exitNotReadable, `"definition user {}" is no header of a message`)
}

type languageServer struct {
	t       *testing.T
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	said    bytes.Buffer
}

func startLanguageServer(t *testing.T, args ...string) *languageServer {
	t.Helper()
	c := &languageServer{t: t, process: exec.Command("pemba", append([]string{"lsp"}, args...)...)}
	c.process.Stderr = &c.said
	in, err := c.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a message; `jsonrpc` is in none of them, as the server does not ask.
func (c *languageServer) send(body string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads one message that has all of these parts.
func (c *languageServer) expect(parts ...string) {
	c.t.Helper()
	header, err := textproto.NewReader(c.out).ReadMIMEHeader()
	if err != nil {
		c.t.Fatalf("no message: %v; %s", err, c.said.String())
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.out, body); err != nil {
		c.t.Fatal(err)
	}
	for _, part := range parts {
		if !strings.Contains(string(body), part) {
			c.t.Errorf("no %s in %s", part, body)
		}
	}
}

// ends waits for the end: nothing more on the output, and on the standard error
// what it should say.
func (c *languageServer) ends(code int, says string) {
	c.t.Helper()
	rest, err := io.ReadAll(c.out)
	if err != nil || len(rest) > 0 {
		c.t.Errorf("at the end it wrote %q (%v)", rest, err)
	}
	err = c.process.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if got := c.process.ProcessState.ExitCode(); got != code {
		c.t.Errorf("exit code %d, want %d", got, code)
	}
	if said := c.said.String(); !strings.Contains(said, says) || says == "" && said != "" {
		c.t.Errorf("the standard error has %q, want %q", said, says)
	}
}
