package lsp

// This file has those types of the protocol that are read or written here, and of
// them those fields. The names are the protocol's.

type initializeParams struct {
	Capabilities struct {
		General struct {
			PositionEncodings []encoding `json:"positionEncodings"`
		} `json:"general"`
		TextDocument struct {
			Hover struct {
				ContentFormat []markupKind `json:"contentFormat"`
			} `json:"hover"`
			DocumentSymbol struct {
				Hierarchical bool `json:"hierarchicalDocumentSymbolSupport"`
			} `json:"documentSymbol"`
		} `json:"textDocument"`
	} `json:"capabilities"`
}

type initializeResult struct {
	Capabilities capabilities `json:"capabilities"`
	ServerInfo   serverInfo   `json:"serverInfo"`
}

type serverInfo struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type capabilities struct {
	PositionEncoding           encoding          `json:"positionEncoding"`
	TextDocumentSync           syncOptions       `json:"textDocumentSync"`
	HoverProvider              bool              `json:"hoverProvider"`
	DefinitionProvider         bool              `json:"definitionProvider"`
	ReferencesProvider         bool              `json:"referencesProvider"`
	DocumentSymbolProvider     bool              `json:"documentSymbolProvider"`
	DocumentFormattingProvider bool              `json:"documentFormattingProvider"`
	CompletionProvider         completionOptions `json:"completionProvider"`
}

type syncOptions struct {
	OpenClose bool `json:"openClose"`
	Change    int  `json:"change"`
}

// syncFull: a change carries the whole text. It is at most a mebibyte, down a
// pipe, and there is no state that could come apart from the editor's.
const syncFull = 1

type completionOptions struct {
	TriggerCharacters []string `json:"triggerCharacters"`
}

type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

type textRange struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

type location struct {
	URI   string    `json:"uri"`
	Range textRange `json:"range"`
}

type textDocument struct {
	URI     string `json:"uri"`
	Version *int   `json:"version"`
	Text    string `json:"text"`
}

type didOpenParams struct {
	TextDocument textDocument `json:"textDocument"`
}

type didChangeParams struct {
	TextDocument   textDocument `json:"textDocument"`
	ContentChanges []struct {
		Range *textRange `json:"range"`
		Text  string     `json:"text"`
	} `json:"contentChanges"`
}

// documentParams are the params of whatever is about a document, or a place in it.
type documentParams struct {
	TextDocument textDocument `json:"textDocument"`
	Position     position     `json:"position"`
	Context      struct {
		IncludeDeclaration bool `json:"includeDeclaration"`
	} `json:"context"`
}

type publishDiagnosticsParams struct {
	URI         string       `json:"uri"`
	Version     *int         `json:"version,omitempty"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Range    textRange `json:"range"`
	Severity severity  `json:"severity"`
	Code     string    `json:"code"`
	Source   string    `json:"source"`
	Message  string    `json:"message"`
}

type severity int

const (
	severityError   severity = 1
	severityWarning severity = 2
)

type logMessageParams struct {
	Type    int    `json:"type"`
	Message string `json:"message"`
}

const logError = 1

type markupKind string

const (
	markdown  markupKind = "markdown"
	plaintext markupKind = "plaintext"
)

type markupContent struct {
	Kind  markupKind `json:"kind"`
	Value string     `json:"value"`
}

type hover struct {
	Contents markupContent `json:"contents"`
	Range    textRange     `json:"range"`
}

type textEdit struct {
	Range   textRange `json:"range"`
	NewText string    `json:"newText"`
}

type completionItem struct {
	Label         string         `json:"label"`
	Kind          completionKind `json:"kind"`
	Detail        string         `json:"detail,omitempty"`
	Documentation string         `json:"documentation,omitempty"`
	TextEdit      textEdit       `json:"textEdit"`
}

type completionKind int

// The protocol's kinds are those of programming languages; these come nearest.
const (
	completionMethod     completionKind = 2
	completionFunction   completionKind = 3
	completionField      completionKind = 5
	completionClass      completionKind = 7
	completionModule     completionKind = 9
	completionKeyword    completionKind = 14
	completionEnumMember completionKind = 20
)

type symbolKind int

const (
	symbolModule     symbolKind = 2
	symbolClass      symbolKind = 5
	symbolMethod     symbolKind = 6
	symbolField      symbolKind = 8
	symbolFunction   symbolKind = 12
	symbolVariable   symbolKind = 13
	symbolEnumMember symbolKind = 22
)

type documentSymbol struct {
	Name           string           `json:"name"`
	Detail         string           `json:"detail,omitempty"`
	Kind           symbolKind       `json:"kind"`
	Range          textRange        `json:"range"`
	SelectionRange textRange        `json:"selectionRange"`
	Children       []documentSymbol `json:"children,omitempty"`
}

// A symbolInformation is the flat form, for clients that know no other.
type symbolInformation struct {
	Name          string     `json:"name"`
	Kind          symbolKind `json:"kind"`
	Location      location   `json:"location"`
	ContainerName string     `json:"containerName,omitempty"`
}
