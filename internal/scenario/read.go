package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Read reads a test file. A schemaFile is looked for beside it. All faults are
// found, each with its line.
func Read(path string, text []byte) (*File, error) {
	file, faults := ReadPart(path, text)
	if len(faults) > 0 {
		return nil, inTextOrder(faults)
	}
	return file, nil
}

// ReadPart reads what can be read of a test file, and says what cannot. The file is
// nil where there is nothing in it that could be taken for one.
func ReadPart(path string, text []byte) (*File, []*fault.Fault) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // an editor's mark, no column of the first line
	r := &reader{file: &File{Path: path}, lines: strings.Split(string(text), "\n")}
	root := r.document(text)
	if root != nil {
		r.top(root)
	}
	if len(r.faults) > 0 && (root == nil || root.Kind != yaml.MappingNode) {
		return nil, r.faults
	}
	return r.file, r.faults
}

// inTextOrder is one error of several faults. Unlike those of a request, whose
// gravest is its reason, faults of a file are read from the top.
func inTextOrder(faults []*fault.Fault) error {
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	head := *faults[0]
	head.Others = slices.Clone(faults[1:])
	return &head
}

// A reader walks the nodes of one file and collects what is wrong with them.
type reader struct {
	file   *File
	lines  []string
	faults []*fault.Fault
}

// fault notes that a line is not as it must be; the caller adds the remedy.
func (r *reader) fault(at *yaml.Node, format string, args ...any) *fault.Fault {
	f := fault.Newf(fault.FileMustBeReadable, format, args...)
	r.note(f, at.Line, at.Column)
	return f
}

func (r *reader) note(f *fault.Fault, line, column int) {
	f.File = r.file.Path
	r.faults = append(r.faults, f.At(line, column))
}

// told notes what another room said about a text of the file.
func (r *reader) told(err error, line, column int) {
	if f := fault.Of(err); f != nil {
		r.note(f, line, column)
	}
}

// document is the root node; nil for an empty file, and for one that is no YAML.
func (r *reader) document(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		// What stands behind a `---` would never be judged.
		if err = decoder.Decode(&second); errors.Is(err, io.EOF) {
			return first.Content[0]
		}
		if err == nil {
			r.fault(&second, "the file has a second document").Do("take the line `---` out, or make two files")
			return nil
		}
	}
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	r.note(fault.Newf(fault.FileMustBeReadable, "the file is not YAML: %s", said), r.lineOf(said), 1)
	return nil
}

// lineOf is the line that the YAML library speaks of. Of an alias without an
// anchor it gives only the name.
func (r *reader) lineOf(said string) int {
	if m := yamlLine.FindStringSubmatch(said); m != nil {
		line, _ := strconv.Atoi(m[1]) // the pattern has only digits there
		return line
	}
	if m := yamlAnchor.FindStringSubmatch(said); m != nil {
		return 1 + max(0, slices.IndexFunc(r.lines, func(line string) bool { return strings.Contains(line, "*"+m[1]) }))
	}
	return 1
}

var (
	yamlLine   = regexp.MustCompile(`line (\d+)`)
	yamlAnchor = regexp.MustCompile(`unknown anchor '(.+)' referenced`)
)

// keys are what a mapping may hold, and who reads each.
type keys map[string]func(key, value *yaml.Node)

// mapping reads a mapping whose keys are all known. A key with nothing after it
// is as good as absent.
func (r *reader) mapping(n *yaml.Node, what string, known keys) {
	if n = resolved(n); n.Kind != yaml.MappingNode {
		r.fault(n, "%s is not a mapping", what).Do("write keys and values")
		return
	}
	r.pairs(n, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		switch {
		case !ok:
			r.fault(key, "%s has no key %s", what, quoted(key.Value)).Do("it may have %s", listed(known))
		case !isNull(value):
			read(key, value)
		}
	})
}

// pairs visits the keys of a mapping; one that stands twice is a fault.
func (r *reader) pairs(n *yaml.Node, visit func(key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolved(n.Content[i])
		if seen[key.Value] {
			r.fault(key, "the key %s stands twice", quoted(key.Value)).Do("keep one of them")
			continue
		}
		seen[key.Value] = true
		visit(key, resolved(n.Content[i+1]))
	}
}

// sequence reads a list.
func (r *reader) sequence(n *yaml.Node, what string, visit func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "%s is not a list", what).Do("write entries that start with '-'")
		return
	}
	for _, entry := range n.Content {
		visit(resolved(entry))
	}
}

// text reads a scalar, whatever YAML takes it for.
func (r *reader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fault(n, "%s is not a text", what).Do("write a text, in quotes where it has a ':' or a '#'")
		return "", false
	}
	return n.Value, true
}

// quoted shows a text of the file.
func quoted(s string) string { return strconv.Quote(shortened(s)) }

// shortened is a text to be read by a person: a line can be as long as a file.
func shortened(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}

func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (r *reader) top(root *yaml.Node) {
	if isNull(root) {
		return
	}
	r.mapping(root, "the file", keys{
		"schema":        func(_, v *yaml.Node) { r.schema(v) },
		"schemaFile":    func(_, v *yaml.Node) { r.schemaFile(v) },
		"relationships": func(k, v *yaml.Node) { r.relationships(k, v) },
		"assertions":    func(_, v *yaml.Node) { r.mapping(v, "assertions", r.assertions(&r.file.Questions)) },
		"roles":         func(_, v *yaml.Node) { r.roles(v, &r.file.Questions) },
		"writes":        func(_, v *yaml.Node) { r.sequence(v, "writes", r.write) },
		"validation":    func(_, v *yaml.Node) { r.validation(v) },
	})
}

func (r *reader) schema(n *yaml.Node) {
	text, ok := r.text(n, "schema")
	if !ok || r.hasSchema(n) {
		return
	}
	r.file.Schema = Schema{Text: text, Path: r.file.Path}
	if n.Style == yaml.LiteralStyle {
		r.file.Schema.LinesBefore = n.Line
		r.file.Schema.ColumnsBefore = r.indentation(n)
	}
}

// indentation is what a literal block is indented by, which YAML takes off.
func (r *reader) indentation(n *yaml.Node) int {
	for i, line := range strings.Split(n.Value, "\n") {
		if raw := n.Line + i; strings.TrimSpace(line) != "" && raw < len(r.lines) {
			return max(0, strings.Index(r.lines[raw], line))
		}
	}
	return 0
}

func (r *reader) schemaFile(n *yaml.Node) {
	name, ok := r.text(n, "schemaFile")
	if !ok || r.hasSchema(n) {
		return
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.file.Path), name)
	}
	loaded, err := schema.Load(path, os.ReadFile)
	switch f := fault.Of(err); {
	case err == nil:
		r.file.Schema = Schema{Text: loaded.Text, Path: path, Loaded: &loaded}
	case fault.Is(err, fault.FileMustBeReadable):
		r.fault(n, "the schema file %s cannot be read", shortened(path)).
			Do("name a file relative to this one").Because(err)
	default: // it, or what it imports, is wrong, and says where
		for _, each := range f.All() {
			one := *each
			one.Others = nil
			r.faults = append(r.faults, &one)
		}
	}
}

func (r *reader) hasSchema(n *yaml.Node) bool {
	if r.file.Schema.Path == "" {
		return false
	}
	r.fault(n, "the file has both a schema and a schemaFile").Do("keep one of them")
	return true
}

func (r *reader) relationships(key, n *yaml.Node) {
	text, ok := r.text(n, "relationships")
	if !ok {
		return
	}
	r.file.Relationships = Place{key.Line, key.Column}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		at := r.place(n, i, line)
		t, err := rel.ParseTuple(line)
		if err != nil {
			r.told(err, at.Line, at.Column)
			continue
		}
		r.file.Tuples = append(r.file.Tuples, t)
		r.file.TuplesAt = append(r.file.TuplesAt, at)
	}
}

// place is where a line of a text stands in the file: its own line where the
// text is a literal block, and otherwise where the text begins.
func (r *reader) place(n *yaml.Node, index int, line string) Place {
	at := Place{n.Line, n.Column}
	if n.Style == yaml.LiteralStyle {
		at = Place{n.Line + 1 + index, 1}
	}
	if at.Line <= len(r.lines) {
		raw := r.lines[at.Line-1]
		if before, _, found := strings.Cut(raw, line); found {
			at.Column = utf8.RuneCountInString(before) + 1
		}
	}
	return at
}
