package lsp_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/lsp"
)

// An editor plays the client of one session, over two pipes. Its framing, and how
// it counts characters, are its own: nothing here is shared with the server.
type editor struct {
	t     *testing.T
	in    *io.PipeWriter // what the server reads
	out   *bufio.Reader
	ended chan error
	calls int
	notes []note // what the server said by itself, and nobody has looked at
	units string
}

type note struct {
	Method string
	Params json.RawMessage
}

type object = map[string]any

// startEditor starts a server and says hello with these capabilities.
func startEditor(t *testing.T, client object) *editor {
	t.Helper()
	serverIn, in := io.Pipe()
	out, serverOut := io.Pipe()
	e := &editor{t: t, in: in, out: bufio.NewReader(out), ended: make(chan error, 1)}
	go func() {
		err := lsp.Serve(serverIn, serverOut, "1.2.3")
		serverOut.Close()
		e.ended <- err
	}()
	var hello struct {
		Capabilities struct{ PositionEncoding string }
	}
	e.call("initialize", object{"processId": nil, "capabilities": client}, &hello)
	e.units = hello.Capabilities.PositionEncoding
	e.tell("initialized", object{})
	return e
}

// markdownClient is what the tests offer where it does not matter to them.
func markdownClient() object {
	return object{"textDocument": object{
		"hover":          object{"contentFormat": []string{"markdown"}},
		"documentSymbol": object{"hierarchicalDocumentSymbolSupport": true},
	}}
}

func (e *editor) write(body string) {
	e.t.Helper()
	if _, err := fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) tell(method string, params any) {
	e.t.Helper()
	e.write(e.json(object{"jsonrpc": "2.0", "method": method, "params": params}))
}

func (e *editor) json(v any) string {
	e.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(b)
}

// An answer is a frame that the server wrote.
type answer struct {
	JSONRPC string
	ID      any
	Method  string
	Params  json.RawMessage
	Result  json.RawMessage
	Error   *struct {
		Code    int
		Message string
	}
}

func (e *editor) read() answer {
	e.t.Helper()
	header, err := textproto.NewReader(e.out).ReadMIMEHeader()
	if err != nil {
		e.t.Fatalf("the server wrote no frame: %v", err)
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		e.t.Fatal(err)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(e.out, body); err != nil {
		e.t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.JSONRPC != "2.0" {
		e.t.Fatalf("not a message: %s (%v)", body, err)
	}
	return a
}

// ask sends a request and waits for its answer.
func (e *editor) ask(method string, params any) answer {
	e.t.Helper()
	e.calls++
	e.write(e.json(object{"jsonrpc": "2.0", "id": e.calls, "method": method, "params": params}))
	for {
		a := e.read()
		if a.Method == "" {
			if a.ID != float64(e.calls) {
				e.t.Fatalf("%s: the answer is to %v, not to %d", method, a.ID, e.calls)
			}
			return a
		}
		e.notes = append(e.notes, note{a.Method, a.Params})
	}
}

// call is ask, for an answer that is no refusal.
func (e *editor) call(method string, params, result any) {
	e.t.Helper()
	a := e.ask(method, params)
	if a.Error != nil {
		e.t.Fatalf("%s was refused: %d %s", method, a.Error.Code, a.Error.Message)
	}
	if a.Result == nil {
		e.t.Fatalf("%s has neither a result nor an error", method)
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		e.t.Fatalf("%s: %v in %s", method, err, a.Result)
	}
}

// await is the next thing of this kind that the server says by itself.
func (e *editor) await(method string, params any) {
	e.t.Helper()
	for {
		for i, n := range e.notes {
			if n.Method != method {
				continue
			}
			e.notes = append(e.notes[:i], e.notes[i+1:]...)
			if err := json.Unmarshal(n.Params, params); err != nil {
				e.t.Fatalf("%s: %v in %s", method, err, n.Params)
			}
			return
		}
		a := e.read()
		e.notes = append(e.notes, note{a.Method, a.Params})
	}
}

// leave ends the session as an editor should.
func (e *editor) leave() {
	e.t.Helper()
	var nothing any
	e.call("shutdown", nil, &nothing)
	e.tell("exit", nil)
	if err := <-e.ended; err != nil {
		e.t.Errorf("the session ended with %v", err)
	}
}

// A page is a document as a test writes it: ‹name› marks a place, and is no part
// of the text.
type page struct {
	uri, text string
	places    map[string]int
}

var markForm = regexp.MustCompile(`‹([^›]*)›`)

func newPage(uri, marked string) page {
	p := page{uri: uri, places: make(map[string]int)}
	for {
		m := markForm.FindStringSubmatchIndex(marked)
		if m == nil {
			p.text += marked
			return p
		}
		p.text += marked[:m[0]]
		p.places[marked[m[2]:m[3]]] = len(p.text)
		marked = marked[m[1]:]
	}
}

func (e *editor) open(uri, marked string) page {
	e.t.Helper()
	p := newPage(uri, marked)
	e.tell("textDocument/didOpen", object{"textDocument": object{
		"uri": uri, "languageId": "zed", "version": 1, "text": p.text,
	}})
	return p
}

type position struct{ Line, Character int }

// position is where an offset is, in the units of the session.
func (e *editor) position(p page, offset int) position {
	before := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(p.text[:offset])
	line := before[strings.LastIndex(before, "\n")+1:]
	at := position{Line: strings.Count(before, "\n")}
	switch e.units {
	case "utf-8":
		at.Character = len(line)
	case "utf-32":
		at.Character = utf8.RuneCountInString(line)
	default:
		at.Character = len(utf16.Encode([]rune(line)))
	}
	return at
}

// at are the params of a question about a marked place.
func (e *editor) at(p page, mark string) object {
	e.t.Helper()
	offset, found := p.places[mark]
	if !found {
		e.t.Fatalf("there is no mark %s", mark)
	}
	return object{"textDocument": object{"uri": p.uri}, "position": e.position(p, offset)}
}

type place struct {
	URI   string
	Range struct{ Start, End position }
}

// marks says to which marks places lead; a place without one is written out. A
// place is right where it begins at a mark and ends with the name there.
func (e *editor) marks(places []place, pages ...page) []string {
	e.t.Helper()
	names := []string{}
	for _, at := range places {
		name := fmt.Sprint(at)
		for _, p := range pages {
			for mark, offset := range p.places {
				end := offset + len(regexp.MustCompile(`^[a-z0-9_/]*`).FindString(p.text[offset:]))
				if p.uri == at.URI && e.position(p, offset) == at.Range.Start && e.position(p, end) == at.Range.End {
					name = mark
				}
			}
		}
		names = append(names, name)
	}
	return names
}

func (e *editor) definition(p page, mark string, pages ...page) []string {
	e.t.Helper()
	var places []place
	e.call("textDocument/definition", e.at(p, mark), &places)
	return e.marks(places, append(pages, p)...)
}

func (e *editor) hover(p page, mark string) string {
	e.t.Helper()
	var h *struct {
		Contents struct{ Kind, Value string }
	}
	e.call("textDocument/hover", e.at(p, mark), &h)
	if h == nil {
		return ""
	}
	return h.Contents.Value
}

// formatted is a document after the edits that formatting it takes.
func (e *editor) formatted(uri, text string) string {
	e.t.Helper()
	var edits []struct {
		Range   struct{ Start, End position }
		NewText string
	}
	e.call("textDocument/formatting", object{
		"textDocument": object{"uri": uri}, "options": object{"tabSize": 8, "insertSpaces": false},
	}, &edits)
	p := page{text: text}
	for i := len(edits) - 1; i >= 0; i-- {
		from, to := -1, -1
		for offset := 0; offset <= len(text); offset++ {
			at := e.position(p, offset)
			if at == edits[i].Range.Start && from < 0 {
				from = offset
			}
			if at == edits[i].Range.End && to < 0 {
				to = offset
			}
		}
		if from < 0 || to < 0 {
			e.t.Fatalf("the edit %v is at no place of the text", edits[i])
		}
		text = text[:from] + edits[i].NewText + text[to:]
	}
	return text
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func endsBadly(t *testing.T, e *editor) {
	t.Helper()
	if err := <-e.ended; !errors.As(err, new(lsp.EndedWithoutShutdown)) {
		t.Errorf("the session ended with %v", err)
	}
}
