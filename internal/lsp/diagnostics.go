package lsp

import (
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

// publish sends the diagnostics of every document that changed since they were
// last sent. It runs when nothing else waits: who types fast is not judged at
// every letter.
func (s *server) publish() {
	if s.shutDown {
		return
	}
	for _, d := range s.documents {
		if d.judged {
			continue
		}
		d.judged = true
		found := []diagnostic{}
		err := s.guarded(func() error {
			found = s.diagnose(d.source)
			return nil
		})
		if err != nil {
			s.log(err.Error())
		}
		s.notify("textDocument/publishDiagnostics", publishDiagnosticsParams{URI: d.uri, Version: d.version, Diagnostics: found})
	}
}

// diagnose is what the compiler says of a text, and of what it imports.
func (s *server) diagnose(text *source) []diagnostic {
	found := []diagnostic{}
	compiled, faults := s.compile(text)
	for _, f := range faults {
		found = append(found, s.diagnostic(text, text.hereOrImported(f), severityError))
	}
	if compiled == nil {
		return found
	}
	for _, f := range compiled.Warnings() {
		if f.File == "" || f.File == text.path { // the others are shown in their own files
			found = append(found, s.diagnostic(text, f, severityWarning))
		}
	}
	return found
}

// compile compiles a text, with what it imports as the client has it open, and else
// as it is on the disk.
func (s *server) compile(text *source) (*schema.Schema, []*fault.Fault) {
	if text.path == "" || len(text.file.Imports) == 0 {
		return schema.Compile(text.text)
	}
	loaded, err := schema.Load(text.path, func(path string) ([]byte, error) {
		for _, d := range s.documents {
			if d.source.path == filepath.Clean(path) {
				return []byte(d.source.text), nil
			}
		}
		return readFile(path)
	})
	if f := fault.Of(err); f != nil {
		return nil, f.All()
	}
	return loaded.Compile()
}

// hereOrImported is a fault as it is shown in a text: one of a file that it imports
// stands at the import, and says where it is.
func (s *source) hereOrImported(f *fault.Fault) *fault.Fault {
	if f.File == "" || f.File == s.path {
		return f
	}
	at := s.file.Imports[0].PathAt
	for _, statement := range s.file.Imports {
		if importPath(s, statement) == filepath.Clean(f.File) {
			at = statement.PathAt
		}
	}
	one := *f
	one.Summary = f.Place() + ": " + f.Summary
	return one.At(at.Line, at.Column)
}

func (s *server) diagnostic(text *source, f *fault.Fault, sev severity) diagnostic {
	message := f.Summary
	if f.Remedy != "" {
		message += "\n" + f.Remedy
	}
	start := 0
	if f.Line > 0 { // otherwise it is about the text as a whole
		start = text.place(f.Line, f.Column)
	}
	return diagnostic{
		Range:    text.textRange(start, start+tokenLength(text.text[start:])),
		Severity: sev,
		Code:     f.Code.Reason(),
		Source:   "pemba",
		Message:  message,
	}
}

// tokenLength is how much of the text a fault at its beginning is shown under:
// the name or path that stands there, or else one character; nothing at the end
// of a line.
func tokenLength(text string) int {
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case size == 0 || r == '\n' || r == '\r':
		return 0
	case isNameRune(r):
		return len(text) - len(strings.TrimLeftFunc(text, func(r rune) bool { return isNameRune(r) || r == '/' }))
	case strings.HasPrefix(text, "->"):
		return 2
	}
	return size
}

func isNameRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
