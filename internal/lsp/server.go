package lsp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// EndedWithoutShutdown is how a session ends whose client said `exit`, or went
// away, without `shutdown` before it: the protocol wants the exit code 1 then.
type EndedWithoutShutdown struct{}

func (EndedWithoutShutdown) Error() string { return "the client ended the session without a shutdown" }

// Serve plays one session. It returns nil after `shutdown` and `exit`,
// EndedWithoutShutdown where the client left otherwise, and a fault where the
// input is not the protocol or the output cannot be written. version is what the
// server tells of itself.
func Serve(in io.Reader, out io.Writer, version string) error {
	s := &server{out: out, version: version, encoding: utf16Units}
	stop := make(chan struct{})
	defer close(stop)
	s.queue = newQueue(in, stop)
	for a := range s.queue.arrived {
		switch {
		case a.err == io.EOF: // itself; it may also be the cause of a fault
			return s.end()
		case a.err != nil:
			return a.err
		case a.refused != nil:
			s.send(response{Version: jsonrpcVersion, Error: a.refused})
		case a.message.Method == "exit":
			return s.end()
		default:
			s.take(a.message)
		}
		if s.queue.idle() {
			s.publish()
		}
		if s.unwritten != nil {
			return s.unwritten
		}
	}
	return s.end()
}

// A server is one session's state. All of it belongs to the goroutine of Serve.
type server struct {
	out       io.Writer
	unwritten error // why the output cannot be written
	version   string
	queue     *queue

	initialized, shutDown bool
	encoding              encoding
	markup                markupKind
	hierarchical          bool // the client knows symbols in symbols

	documents []*document // in the order in which they were opened
}

// A document is a text that the client has open.
type document struct {
	*source
	version *int
	judged  bool // its diagnostics were sent
}

func (s *server) end() error {
	if s.shutDown {
		return nil
	}
	return EndedWithoutShutdown{}
}

// take answers a request, or notes a notification.
func (s *server) take(m *message) {
	if !m.isRequest() {
		if err := s.guarded(func() error { return s.note(m) }); err != nil {
			s.log(m.Method + ": " + err.Error())
		}
		return
	}
	r := response{Version: jsonrpcVersion, ID: m.ID}
	wanted := s.queue.take(m)
	err := s.guarded(func() (err error) {
		if !wanted {
			return &refusal{requestCancelled, "the client cancelled it"}
		}
		result, err := s.answer(m)
		if err == nil {
			r.Result, err = json.Marshal(result)
		}
		return err
	})
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			refused = &refusal{internalError, err.Error()}
		}
		r.Result, r.Error = nil, refused
	}
	s.send(r)
}

// guarded runs f; a panic in it costs one answer, and not the session.
func (s *server) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pemba is wrong here, and would like to hear of it: %v", p)
		}
	}()
	return f()
}

func (s *server) answer(m *message) (any, error) {
	switch {
	case s.shutDown:
		return nil, &refusal{invalidRequest, "the session was shut down"}
	case m.Method == "initialize" && s.initialized:
		return nil, &refusal{invalidRequest, "the session is initialized already"}
	case m.Method == "initialize":
		return s.initialize(m.Params)
	case !s.initialized:
		return nil, &refusal{serverNotInitialized, "the session is not initialized"}
	case m.Method == "shutdown":
		s.publish() // what was opened is judged, however soon the end comes
		s.shutDown = true
		return nil, nil
	}
	var answer func(*document, documentParams) any
	switch m.Method {
	case "textDocument/hover":
		answer = s.hover
	case "textDocument/definition":
		answer = s.definition
	case "textDocument/references":
		answer = s.references
	case "textDocument/documentSymbol":
		answer = s.symbols
	case "textDocument/formatting":
		answer = s.format
	case "textDocument/completion":
		answer = s.completion
	default:
		return nil, &refusal{methodNotFound, fmt.Sprintf("there is no %s here", m.Method)}
	}
	var params documentParams
	if err := read(m, &params); err != nil {
		return nil, err
	}
	d := s.document(params.TextDocument.URI)
	if d == nil {
		return nil, &refusal{invalidParams, fmt.Sprintf("the document %s is not open", params.TextDocument.URI)}
	}
	return answer(d, params), nil
}

func read(m *message, params any) error {
	if err := json.Unmarshal(m.Params, params); err != nil {
		return &refusal{invalidParams, "the params cannot be read: " + err.Error()}
	}
	return nil
}

func (s *server) initialize(raw json.RawMessage) (any, error) {
	var params initializeParams
	if err := read(&message{Params: raw}, &params); err != nil {
		return nil, err
	}
	s.initialized = true
	client := params.Capabilities
	s.encoding = chooseEncoding(client.General.PositionEncodings)
	s.hierarchical = client.TextDocument.DocumentSymbol.Hierarchical
	s.markup = plaintext
	if slices.Contains(client.TextDocument.Hover.ContentFormat, markdown) {
		s.markup = markdown
	}
	return initializeResult{
		Capabilities: capabilities{
			PositionEncoding:           s.encoding,
			TextDocumentSync:           syncOptions{OpenClose: true, Change: syncFull},
			HoverProvider:              true,
			DefinitionProvider:         true,
			ReferencesProvider:         true,
			DocumentSymbolProvider:     true,
			DocumentFormattingProvider: true,
			CompletionProvider:         completionOptions{TriggerCharacters: []string{">", "#", "("}},
		},
		ServerInfo: serverInfo{Name: "pemba", Version: s.version},
	}, nil
}

// note takes in what the client tells. What it need not know of is passed over,
// as the protocol wants it.
func (s *server) note(m *message) error {
	if !s.initialized || s.shutDown {
		return nil
	}
	switch m.Method {
	case "textDocument/didOpen":
		var params didOpenParams
		if err := read(m, &params); err != nil {
			return err
		}
		s.open(params.TextDocument)
	case "textDocument/didChange":
		var params didChangeParams
		if err := read(m, &params); err != nil {
			return err
		}
		return s.change(params)
	case "textDocument/didClose":
		var params documentParams
		if err := read(m, &params); err != nil {
			return err
		}
		s.close(params.TextDocument.URI)
	}
	return nil
}

func (s *server) document(uri string) *document {
	for _, d := range s.documents {
		if d.uri == uri {
			return d
		}
	}
	return nil
}

func (s *server) open(t textDocument) {
	d := s.document(t.URI)
	if d == nil {
		d = &document{}
		s.documents = append(s.documents, d)
	}
	*d = document{source: newSource(t.URI, t.Text, s.encoding), version: t.Version}
	s.judgeImportersAnew()
}

// judgeImportersAnew lets every document that imports be judged again: what it
// imports may have changed.
func (s *server) judgeImportersAnew() {
	for _, d := range s.documents {
		if len(d.source.file.Imports) > 0 {
			d.judged = false
		}
	}
}

func (s *server) change(params didChangeParams) error {
	d := s.document(params.TextDocument.URI)
	if d == nil {
		return fmt.Errorf("the document %s is not open", params.TextDocument.URI)
	}
	changes := params.ContentChanges
	if len(changes) == 0 {
		d.version = params.TextDocument.Version
		return nil
	}
	last := changes[len(changes)-1]
	if last.Range != nil {
		// To go on with the old text would be to answer for another document.
		s.close(d.uri)
		return fmt.Errorf("a part of %s changed, and only whole texts are understood here; open it again", d.uri)
	}
	*d = document{source: newSource(d.uri, last.Text, s.encoding), version: params.TextDocument.Version}
	s.judgeImportersAnew()
	return nil
}

// close forgets a document; what was wrong with it is no longer shown.
func (s *server) close(uri string) {
	s.documents = slices.DeleteFunc(s.documents, func(d *document) bool { return d.uri == uri })
	s.judgeImportersAnew()
	s.notify("textDocument/publishDiagnostics", publishDiagnosticsParams{URI: uri, Diagnostics: []diagnostic{}})
}

// world is what a request about a document can see.
func (s *server) world(d *document) *world {
	open := make([]*source, len(s.documents))
	for i, d := range s.documents {
		open[i] = d.source
	}
	return newWorld(d.source, open)
}

func (s *server) notify(method string, params any) {
	s.send(notification{jsonrpcVersion, method, params})
}

// log tells the client what no answer can tell.
func (s *server) log(text string) {
	s.notify("window/logMessage", logMessageParams{logError, text})
}

func (s *server) send(v any) {
	body, err := json.Marshal(v)
	if err == nil {
		err = writeFrame(s.out, body)
	}
	if err != nil && s.unwritten == nil {
		s.unwritten = fmt.Errorf("an answer could not be written: %w", err)
	}
}
