package elsewhere

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A storeTuple is a tuple as OpenFGA's files have it.
type storeTuple struct {
	User      scalar          `yaml:"user"`
	Relation  scalar          `yaml:"relation"`
	Object    scalar          `yaml:"object"`
	Condition *storeCondition `yaml:"condition"`

	line, column int
	unknown      []scalar
}

type storeCondition struct {
	Name    scalar    `yaml:"name"`
	Context yaml.Node `yaml:"context"`

	unknown []scalar
}

// UnmarshalYAML notes the keys that nothing reads.
func (c *storeCondition) UnmarshalYAML(n *yaml.Node) error {
	type plain storeCondition
	c.unknown = unknownKeys(n, "name", "context")
	return n.Decode((*plain)(c))
}

// UnmarshalYAML keeps the place, and the keys that nothing reads.
func (t *storeTuple) UnmarshalYAML(n *yaml.Node) error {
	type plain storeTuple
	err := n.Decode((*plain)(t))
	t.line, t.column = n.Line, n.Column
	t.unknown = unknownKeys(n, "user", "relation", "object", "condition")
	return err
}

// storeTuples are the tuples that stand in a file and those of the files that it
// names. What cannot be converted is left out.
func (o *openfga) storeTuples(d *document, inline []storeTuple, files []scalar, leaveOut func(...*fault.Fault)) []Tuple {
	var tuples []Tuple
	take := func(d *document, all []storeTuple) {
		for i := range all {
			t, f := o.tuple(d, &all[i])
			if f != nil {
				leaveOut(f)
				continue
			}
			tuples = append(tuples, t)
		}
	}
	for _, name := range files {
		path := o.beside(name.value)
		text, err := readBounded(path, o.read)
		if err != nil {
			leaveOut(unreadable(d.placeOf(name), "tuple file", path, err))
			continue
		}
		of, all, err := tupleFile(path, text)
		if err != nil {
			leaveOut(fault.Of(err).All()...)
			continue
		}
		take(of, all)
	}
	take(d, inline)
	kept := withoutTwins(tuples)
	tellOfTwins(tuples, kept, leaveOut)
	return kept
}

// withoutTwins keeps of the same tuple the last: a tuple of a test comes behind those
// of the store.
func withoutTwins(tuples []Tuple) []Tuple {
	last := make(map[rel.Key]int, len(tuples))
	for i, t := range tuples {
		last[t.Key] = i
	}
	if len(last) == len(tuples) {
		return tuples
	}
	var kept []Tuple
	for i, t := range tuples {
		if last[t.Key] == i {
			kept = append(kept, t)
		}
	}
	return kept
}

// tellOfTwins leaves those out that say something else than the one that is kept.
func tellOfTwins(tuples, kept []Tuple, leaveOut func(...*fault.Fault)) {
	if len(tuples) == len(kept) {
		return
	}
	by := make(map[rel.Key]Tuple, len(kept))
	for _, t := range kept {
		by[t.Key] = t
	}
	for _, t := range tuples {
		if other := by[t.Key]; t.Tuple != other.Tuple {
			leaveOut(notConvertible(t.At, "the tuple %s stands twice, with another condition at %s", t.Key, other.At).Do("keep one of them"))
		}
	}
}

// tupleFile reads a file of tuples by its ending.
func tupleFile(path string, text []byte) (*document, []storeTuple, error) {
	var all []storeTuple
	switch filepath.Ext(path) {
	case ".json":
		text = jsonAsYAML(text)
	case ".jsonl":
		// A list in YAML's other form: each line is an entry of its own.
		text = jsonAsYAML(text)
		for _, line := range bytes.Split(text, []byte("\n")) {
			if len(bytes.TrimSpace(line)) == 0 {
				all = append(all, storeTuple{})
				continue
			}
			var one storeTuple
			if _, err := decode(path, line, &one); err != nil {
				f := fault.Of(err)
				return nil, nil, f.At(len(all)+1, 1)
			}
			one.line = len(all) + 1
			all = append(all, one)
		}
		return &document{path: path}, slices.DeleteFunc(all, func(t storeTuple) bool { return t.line == 0 }), nil
	case ".csv":
		all, err := csvTuples(path, text)
		return &document{path: path}, all, err
	case ".yaml", ".yml":
	default:
		f := notConvertible(Place{path, 1, 1}, "the file is none that has tuples").Do("tuples stand in files that end with .yaml, .json, .jsonl or .csv")
		return nil, nil, f
	}
	d, err := decode(path, text, &all)
	return d, all, err
}

// csvTuples reads a table whose first line names its columns.
func csvTuples(path string, text []byte) ([]storeTuple, error) {
	table := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	table.ReuseRecord = true
	wrong := func(err error) error {
		var at *csv.ParseError
		place := Place{path, 1, 1}
		if errors.As(err, &at) {
			place, err = Place{path, at.Line, at.Column}, at.Err
		}
		return place.on(fault.Newf(fault.FileMustBeReadable, "the file is no table: %s", err).Do("correct the line"))
	}
	head, err := table.Read()
	if err != nil {
		return nil, wrong(err)
	}
	column := map[string]int{}
	for i, name := range head {
		if !slices.Contains(csvColumns, name) {
			return nil, notConvertible(Place{path, 1, 1}, "there is no column %q", name).Do("the columns are %s", strings.Join(csvColumns, ", "))
		}
		column[name] = i
	}
	for _, name := range csvColumns[:5] {
		if _, is := column[name]; !is {
			return nil, notConvertible(Place{path, 1, 1}, "the column %s is missing", name).Do("the first line names the columns")
		}
	}
	var all []storeTuple
	for {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, wrong(err)
		}
		t, err := csvTuple(table, column, record)
		if err != nil {
			return nil, Place{path, t.line, t.column}.on(fault.Newf(fault.ContextMustBeReadable, "the condition_context is not JSON").Do("write a JSON object"))
		}
		all = append(all, t)
	}
}

// csvColumns are the columns; the last three may be left out.
var csvColumns = []string{"user_type", "user_id", "relation", "object_type", "object_id", "user_relation", "condition_name", "condition_context"}

func csvTuple(table *csv.Reader, column map[string]int, record []string) (storeTuple, error) {
	var t storeTuple
	t.line, t.column = table.FieldPos(0)
	cell := func(name string) string {
		if i, is := column[name]; is {
			return strings.Clone(record[i])
		}
		return ""
	}
	text := func(s string) scalar { return scalar{value: s, line: t.line, column: t.column} }
	user := cell("user_type") + ":" + cell("user_id")
	if r := cell("user_relation"); r != "" {
		user += "#" + r
	}
	t.User, t.Relation, t.Object = text(user), text(cell("relation")), text(cell("object_type")+":"+cell("object_id"))
	name, values := cell("condition_name"), cell("condition_context")
	if name == "" && values == "" {
		return t, nil
	}
	t.Condition = &storeCondition{Name: text(name)}
	if values == "" {
		return t, nil
	}
	var root yaml.Node
	err := yaml.Unmarshal([]byte(values), &root)
	if err == nil && len(root.Content) == 1 {
		t.Condition.Context = *root.Content[0]
	}
	return t, err
}

// tuple converts one tuple.
func (o *openfga) tuple(d *document, in *storeTuple) (Tuple, *fault.Fault) {
	at := Place{d.path, in.line, max(1, in.column)}
	for _, missing := range []struct {
		what string
		text scalar
	}{{"user", in.User}, {"relation", in.Relation}, {"object", in.Object}} {
		if missing.text.value == "" {
			return Tuple{}, notConvertible(at, "the tuple has no %s", missing.what).Do("a tuple has user, relation and object")
		}
	}
	if len(in.unknown) > 0 {
		return Tuple{}, notConvertible(d.placeOf(in.unknown[0]), "a tuple has no key %q", in.unknown[0].value).Do("it has user, relation, object and condition")
	}
	out := Tuple{At: at}
	object, err := o.words.object(in.Object.value)
	if err != nil {
		return Tuple{}, at.on(fault.Of(err))
	}
	out.Object = object
	typ, _, _ := strings.Cut(in.Object.value, ":")
	if f := o.words.lacks(typ, in.Relation.value); f != nil {
		return Tuple{}, at.on(f)
	}
	name, is := o.words.written[typeRelation{typ, in.Relation.value}]
	if !is {
		return Tuple{}, notConvertible(at, "relation %q of type %q takes no tuples", in.Relation.value, typ).
			Do("write tuples to a relation that has [types] in the model")
	}
	out.Relation = rel.Name(name)
	if out.Subject, err = o.words.subject(in.User.value); err != nil {
		return Tuple{}, at.on(fault.Of(err))
	}
	// Without its condition a tuple would give more.
	if c := in.Condition; c != nil && len(c.unknown) > 0 {
		return Tuple{}, notConvertible(d.placeOf(c.unknown[0]), "the condition of a tuple has no key %q", c.unknown[0].value).Do("it has name and context")
	}
	if c := in.Condition; c != nil && c.Name.value == "" && c.Context.Kind != 0 && c.Context.Tag != "!!null" {
		return Tuple{}, notConvertible(at, "the condition of the tuple has a context and no name").Do("name the condition")
	}
	if in.Condition != nil && in.Condition.Name.value != "" {
		if out.Caveat, err = o.words.caveat(in.Condition.Name.value, &in.Condition.Context); err != nil {
			return Tuple{}, at.on(fault.Of(err))
		}
	}
	return out, nil
}
