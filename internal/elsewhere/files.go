package elsewhere

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A File is a file of the conversion, to be read by people and by pemba's commands.
type File struct {
	Name string // with `/` between folders
	Text []byte
	Has  string // "12 tuples"
}

// schemaName is what the schema's file is called.
const schemaName = "schema.zed"

// Files are the schema, the tuples, and a file for each test, laid out as pemba's
// examples are.
func (c *Conversion) Files() ([]File, error) {
	var files []File
	if c.Schema != "" {
		definitions := strings.Count("\n"+c.Schema, "\ndefinition ")
		files = append(files, File{schemaName, []byte(c.Schema), fault.Counted(definitions, "definition")})
	}
	if len(c.Tuples) > 0 {
		tuples := make([]rel.Tuple, len(c.Tuples))
		for i, t := range c.Tuples {
			tuples[i] = t.Tuple
		}
		var top mapping
		if c.Schema != "" {
			top.text("schemaFile", schemaName)
		}
		top.relationships(tuples)
		text, err := top.encode("")
		if err != nil {
			return nil, err
		}
		files = append(files, File{"tuples.yaml", text, fault.Counted(len(tuples), "tuple")})
	}
	names := newDictionary(rel.IsName)
	for _, t := range c.Tests {
		text, err := t.encode(c.Schema != "")
		if err != nil {
			return nil, err
		}
		name := names.free(nameLike(t.shortName()))
		files = append(files, File{"tests/" + name + ".yaml", text, fault.Counted(t.Cases(), "case")})
	}
	return files, nil
}

// shortName is a test's name as far as a file's name may hold it.
func (t Test) shortName() string {
	name, _, _ := strings.Cut(t.Name, ": ")
	if strings.Trim(name, " \t\n") == "" {
		return "test"
	}
	return name
}

// encode is the test as a test file.
func (t Test) encode(hasSchema bool) ([]byte, error) {
	var top, asserted mapping
	if hasSchema {
		top.text("schemaFile", "../"+schemaName)
	}
	top.relationships(t.Tuples)
	for _, list := range []struct {
		key   string
		texts []string
	}{{"assertTrue", t.True}, {"assertFalse", t.False}, {"assertCaveated", t.Caveated}} {
		if len(list.texts) > 0 {
			asserted.list(list.key, list.texts)
		}
	}
	if len(asserted.Content) > 0 {
		top.add("assertions", (*yaml.Node)(&asserted))
	}
	if len(t.Validations) > 0 {
		var all mapping
		for _, v := range t.Validations {
			found := make([]string, len(v.Subjects))
			for i, s := range v.Subjects {
				found[i] = s.String()
			}
			all.list(v.Text, found)
		}
		top.add("validation", (*yaml.Node)(&all))
	}
	return top.encode(t.Name)
}

// A mapping is a YAML mapping under construction.
type mapping yaml.Node

func (m *mapping) add(key string, value *yaml.Node) {
	m.Kind = yaml.MappingNode
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key, Tag: "!!str"}, value)
}

func (m *mapping) text(key, value string) {
	m.add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
}

func (m *mapping) list(key string, texts []string) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, each := range texts {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: each})
	}
	m.add(key, list)
}

func (m *mapping) relationships(tuples []rel.Tuple) {
	if len(tuples) == 0 {
		return
	}
	var lines strings.Builder
	for _, t := range tuples {
		lines.WriteString(t.String() + "\n")
	}
	m.add("relationships", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.LiteralStyle, Value: lines.String()})
}

// asComment replaces what may not stand in a comment of YAML, or ends it.
func asComment(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return ' '
}

// encode is the text of the mapping below a comment.
func (m *mapping) encode(comment string) ([]byte, error) {
	var out bytes.Buffer
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&out, "# %s\n", strings.TrimSpace(strings.Map(asComment, line)))
	}
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode((*yaml.Node)(m)); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}
