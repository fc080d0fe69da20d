package lsp_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/lsp"
)

func TestASessionIsPlayedFromHelloToExit(t *testing.T) {
	defer goleak.VerifyNone(t)
	e := startEditor(t, markdownClient())
	p := e.open("file:///drive.zed", "definition user {}\ndefinition doc {\n  relation ‹decl›viewer:   ‹type›usr\n  permission view = ‹use›viewer\n}\n")
	var said diagnostics
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) != 1 || said.URI != p.uri || said.Version != 1 {
		t.Fatalf("%+v", said)
	}
	d := said.Diagnostics[0]
	same(t, "severity, rule and source", []any{d.Severity, d.Code, d.Source}, []any{1, "SUBJECT_TYPE_MUST_EXIST", "pemba"})
	same(t, "place", e.marks([]place{{p.uri, d.Range}}, p), []string{"type"})
	same(t, "message", d.Message, "type \"usr\" is not defined\ndid you mean \"user\"? otherwise add `definition usr {}`")

	if got := e.hover(p, "use"); !strings.HasPrefix(got, "```zed\nrelation viewer: usr\n```\n\nrelation of type doc") {
		t.Errorf("hover: %s", got)
	}
	same(t, "definition", e.definition(p, "use"), []string{"decl"})

	right := strings.Replace(p.text, "usr", "user", 1)
	e.tell("textDocument/didChange", object{
		"textDocument":   object{"uri": p.uri, "version": 2},
		"contentChanges": []object{{"text": right}},
	})
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) != 0 || said.Version != 2 {
		t.Errorf("of the corrected text: %+v", said)
	}
	same(t, "formatted", e.formatted(p.uri, right), strings.Replace(strings.Replace(right, ":   user", ": user", 1), "\n", "\n\n", 1))

	e.tell("textDocument/didClose", object{"textDocument": object{"uri": p.uri}})
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) != 0 {
		t.Errorf("a closed document still has %v", said.Diagnostics)
	}
	if a := e.ask("textDocument/hover", e.at(p, "use")); a.Error == nil || a.Error.Code != -32602 {
		t.Errorf("a closed document is still hovered over: %+v", a)
	}
	e.leave()
}

type diagnostics struct {
	URI         string
	Version     int
	Diagnostics []struct {
		Range        struct{ Start, End position }
		Severity     int
		Code, Source string
		Message      string
	}
}

func TestTheServerSaysWhatItCanDo(t *testing.T) {
	e := startEditor(t, object{})
	defer e.leave()
	a := e.ask("initialize", object{"capabilities": object{}})
	if a.Error == nil || a.Error.Code != -32600 {
		t.Errorf("a second initialize was answered: %+v", a)
	}
	for _, method := range []string{"textDocument/rename", "workspace/symbol", "$/unheard", "no/such"} {
		if a := e.ask(method, object{}); a.Error == nil || a.Error.Code != -32601 {
			t.Errorf("%s: %+v, want that there is no such method", method, a)
		}
	}
	e.tell("workspace/didChangeConfiguration", object{})
	e.tell("$/setTrace", object{"value": "off"})
	if a := e.ask("textDocument/hover", []int{1}); a.Error == nil || a.Error.Code != -32602 {
		t.Errorf("params that are none: %+v", a)
	}
}

func TestRequestsOutOfTheirTimeAreRefused(t *testing.T) {
	var in, out recording
	in.say(`{"jsonrpc":"2.0","id":"a","method":"textDocument/hover","params":{}}`)
	in.say(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a","text":"definition"}}}`)
	in.say(`{"jsonrpc":"2.0","id":"b","method":"initialize","params":{"capabilities":{}}}`)
	in.say(`{"jsonrpc":"2.0","id":"c","method":"shutdown"}`)
	in.say(`{"jsonrpc":"2.0","id":"d","method":"textDocument/hover","params":{}}`)
	in.say(`{"jsonrpc":"2.0","method":"exit"}`)
	if err := lsp.Serve(&in, &out, ""); err != nil {
		t.Fatal(err)
	}
	same(t, "answers", out.outcomes(t), []string{"a: -32002", "b: result", "c: result", "d: -32600"})
}

func TestAMessageThatIsNoJSONIsRefusedAndTheSessionGoesOn(t *testing.T) {
	var in, out recording
	in.say(`{"jsonrpc":`)
	in.say(`[1]`)
	in.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`)
	in.say(`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`)
	in.say(`{"jsonrpc":"2.0","method":"exit"}`)
	if err := lsp.Serve(&in, &out, ""); err != nil {
		t.Fatal(err)
	}
	same(t, "answers", out.outcomes(t), []string{"<nil>: -32700", "<nil>: -32600", "1: result", "2: result"})
}

func TestASessionThatEndsWithoutShutdownSaysSo(t *testing.T) {
	e := startEditor(t, object{})
	e.tell("exit", nil)
	endsBadly(t, e)

	e = startEditor(t, object{})
	e.in.Close()
	endsBadly(t, e)

	e = startEditor(t, object{})
	var nothing any
	e.call("shutdown", nil, &nothing)
	e.in.Close() // the pipe's end says what exit would say
	if err := <-e.ended; err != nil {
		t.Error(err)
	}
}

func TestFramesThatCannotBeReadEndTheSession(t *testing.T) {
	for _, c := range []struct{ name, input, says string }{
		{"no header", "hello\r\n\r\n", `"hello" is no header`},
		{"no length", "Content-Type: x\r\n\r\n{}", "has no Content-Length"},
		{"a length that is none", "Content-Length: two\r\n\r\n{}", `"two" bytes long`},
		{"a length below zero", "Content-Length: -1\r\n\r\n{}", `"-1" bytes long`},
		{"a length beyond the bound", "Content-Length: 67108865\r\n\r\n", "at most 67108864"},
		{"an end in the body", "Content-Length: 10\r\n\r\n{}", "10 bytes ended after 2"},
		{"an end in the header", "Content-Length: 10\r\n", "ended in the header"},
		{"a header without end", strings.Repeat("x", 1<<20), "longer than 4096"},
		{"headers without end", strings.Repeat("a: b\r\n", 1<<20), "longer than 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			err := lsp.Serve(strings.NewReader(c.input), io.Discard, "")
			if !fault.Is(err, fault.RequestMustBeReadable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestAnOutputThatIsGoneEndsTheSession(t *testing.T) {
	var in recording
	in.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`)
	in.say(`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`)
	in.say(`{"jsonrpc":"2.0","method":"exit"}`)
	gone := errors.New("gone")
	if err := lsp.Serve(&in, failing{gone}, ""); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Diagnostics are those of what the editor shows now, of a text over the bound,
// too; the part of it that a client sends as a change is refused.
func TestDocumentsAreKeptAsTheEditorHasThem(t *testing.T) {
	e := startEditor(t, object{})
	defer e.leave()
	var said diagnostics
	p := e.open("untitled:1", strings.Repeat("// text\n", 1<<18))
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) != 1 || said.Diagnostics[0].Code != "SCHEMA_MUST_STAY_WITHIN_BOUNDS" {
		t.Errorf("%+v", said)
	}
	e.tell("textDocument/didChange", object{
		"textDocument": object{"uri": p.uri, "version": 2},
		"contentChanges": []object{{"text": "x", "range": object{
			"start": position{}, "end": position{},
		}}},
	})
	var log struct{ Message string }
	e.await("window/logMessage", &log)
	if !strings.Contains(log.Message, "untitled:1") {
		t.Errorf("it says %q", log.Message)
	}
	e.tell("textDocument/didChange", object{"textDocument": object{"uri": "untitled:2"}, "contentChanges": []object{{"text": ""}}})
	e.await("window/logMessage", &log)
	if !strings.Contains(log.Message, "untitled:2 is not open") {
		t.Errorf("it says %q", log.Message)
	}
}

// A recording is one end of a session whose messages are all there before it begins.
type recording struct{ bytes.Buffer }

func (r *recording) say(body string) { fmt.Fprintf(r, "Content-Length: %d\r\n\r\n%s", len(body), body) }

// outcomes are the answers' ids, each with its error code or the word result.
func (r *recording) outcomes(t *testing.T) []string {
	t.Helper()
	e := &editor{t: t, out: bufio.NewReader(r)}
	var said []string
	for {
		if _, err := e.out.Peek(1); err != nil {
			return said
		}
		outcome := "result"
		a := e.read()
		if a.Method != "" {
			continue
		}
		if a.Error != nil {
			outcome = strconv.Itoa(a.Error.Code)
		}
		said = append(said, fmt.Sprintf("%v: %s", a.ID, outcome))
	}
}
