package elsewhere

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A document is a file of YAML or JSON while it is read. JSON is YAML, too, and read
// as such it has lines.
type document struct {
	path  string
	lines []string
}

// decode reads the one document of a text into a value. The error is all that does
// not fit it.
func decode(path string, text []byte, into any) (*document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	d := &document{path, strings.Split(string(text), "\n")}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return d, d.faults(err)
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return d, d.faults(err)
	default: // what stands behind a `---` would never be read
		return d, d.at(&second).on(fault.New(fault.FileMustBeReadable, "the file has a second document").
			Do("take the line `---` out, or make two files"))
	}
}

// jsonAsYAML is a JSON text that YAML reads, too: outside of strings it has no tabs.
func jsonAsYAML(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) }

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:)?\s*line (\d+): `)

// faults are what the YAML library says, each at its line.
func (d *document) faults(err error) error {
	said := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		said = types.Errors
	}
	var all []*fault.Fault
	for _, s := range said {
		line := 1
		if m := yamlLine.FindStringSubmatch(s); m != nil {
			line, _ = strconv.Atoi(m[1]) // the pattern has only digits there
			s = strings.TrimPrefix(s, m[0])
		}
		s = strings.TrimPrefix(s, "yaml: ")
		all = append(all, Place{d.path, line, 1}.on(fault.Newf(fault.FileMustBeReadable, "the file cannot be read: %s", s).
			Do("correct the line")))
	}
	return fault.Join(all)
}

func (d *document) at(n *yaml.Node) Place { return Place{d.path, n.Line, n.Column} }

func (d *document) placeOf(t scalar) Place { return Place{d.path, t.line, t.column} }

// linesOf places the lines of a text that stands in the document: on lines of its
// own where it is a literal block, and otherwise where it begins.
func (d *document) linesOf(t scalar) func(line, column int) Place {
	if !t.literal {
		return func(int, int) Place { return d.placeOf(t) }
	}
	indentation := 0
	for i, line := range strings.Split(t.value, "\n") {
		if at := t.line + i; strings.TrimSpace(line) != "" && at < len(d.lines) {
			indentation = max(0, strings.Index(d.lines[at], line))
			break
		}
	}
	return func(line, column int) Place { return Place{d.path, t.line + line, column + indentation} }
}

// A scalar is a text with its place, whatever YAML takes it for.
type scalar struct {
	value        string
	line, column int
	literal      bool
}

// UnmarshalYAML keeps the place.
func (t *scalar) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return wrongKind(n, "is not a text")
	}
	*t = scalar{n.Value, n.Line, n.Column, n.Style&yaml.LiteralStyle != 0}
	return nil
}

func (t scalar) isZero() bool { return t.line == 0 }

func wrongKind(n *yaml.Node, what string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: what stands here %s", n.Line, what)}}
}

// An ordered is a mapping in the order of its text.
type ordered[V any] []entry[V]

type entry[V any] struct {
	key   scalar
	value V
}

// UnmarshalYAML keeps the order.
func (o *ordered[V]) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return wrongKind(n, "is not a mapping")
	}
	var wrong []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		var e entry[V]
		err := errors.Join(n.Content[i].Decode(&e.key), n.Content[i+1].Decode(&e.value))
		var types *yaml.TypeError
		switch {
		case errors.As(err, &types):
			wrong = append(wrong, types.Errors...)
		case err != nil:
			return err
		}
		*o = append(*o, e)
	}
	if len(wrong) > 0 {
		return &yaml.TypeError{Errors: wrong}
	}
	return nil
}

// unknownKeys are the keys of a mapping that a reader would pass over.
func unknownKeys(n *yaml.Node, known ...string) []scalar {
	var unknown []scalar
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) && key.Tag != "!!merge" {
			unknown = append(unknown, scalar{key.Value, key.Line, key.Column, false})
		}
	}
	return unknown
}

// contextValuesMax bounds the values in a context: an alias can stand for any number of
// them, and for itself. No context that is short enough has so many.
const contextValuesMax = rel.RequestContextBytesMax

// A jsonReader reads values as long as there are no more than it may read.
type jsonReader struct{ left int }

// value is a value as encoding/json decodes it. A time that stands there without
// quotes is a text, as it is in JSON; a whole number that a double would not hold is
// the text of its digits.
func (r *jsonReader) value(n *yaml.Node) (any, error) {
	if r.left--; r.left < 0 {
		return nil, fault.Newf(fault.ContextMustBeReadable, "the context has more than %d values", contextValuesMax).
			Do("look for an alias that stands for itself")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias)
	case yaml.MappingNode:
		values := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := r.value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			values[n.Content[i].Value] = v
		}
		return values, nil
	case yaml.SequenceNode:
		values := make([]any, len(n.Content))
		for i, each := range n.Content {
			v, err := r.value(each)
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		return values, nil
	}
	return jsonScalar(n)
}

func jsonScalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil {
			return nil, err
		}
		const exact = 1 << 53
		if n.Tag == "!!int" && (f > exact || f < -exact) {
			return n.Value, nil
		}
		return f, nil
	default:
		return n.Value, nil
	}
}

// causeOf is why a file could not be read, without its path.
func causeOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
