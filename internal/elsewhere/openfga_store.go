package elsewhere

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
)

// storeKeys are what an OpenFGA store file may have at its top, and testKeys what
// each of its tests may.
var (
	storeKeys = []string{"name", "model", "model_file", "tuples", "tuple_file", "tuple_files", "tests"}
	testKeys  = []string{"name", "description", "tuples", "tuple_file", "tuple_files", "check", "list_objects", "list_users"}
)

// A storeFile is a `.fga.yaml`, as OpenFGA's command line reads it.
type storeFile struct {
	Name       scalar       `yaml:"name"`
	Model      scalar       `yaml:"model"`
	ModelFile  scalar       `yaml:"model_file"`
	Tuples     []storeTuple `yaml:"tuples"`
	TupleFile  scalar       `yaml:"tuple_file"`
	TupleFiles []scalar     `yaml:"tuple_files"`
	Tests      []storeTest  `yaml:"tests"`

	unknown []scalar
}

// UnmarshalYAML notes the keys that nothing reads.
func (s *storeFile) UnmarshalYAML(n *yaml.Node) error {
	type plain storeFile
	err := n.Decode((*plain)(s))
	s.unknown = unknownKeys(n, storeKeys...)
	return err
}

// isOpenFGAStore reports whether a file is one: by its name, or by a key that no
// other file has.
func isOpenFGAStore(path string, text []byte) bool {
	base := filepath.Base(path)
	if strings.HasSuffix(base, ".fga.yaml") || strings.HasSuffix(base, ".fga.yml") {
		return true
	}
	var root yaml.Node
	if yaml.Unmarshal(text, &root) != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return false
	}
	top := root.Content[0]
	for i := 0; i < len(top.Content); i += 2 {
		if key := top.Content[i].Value; key != "name" && slices.Contains(storeKeys, key) {
			return true
		}
	}
	return false
}

// An openfga is the conversion of one file of OpenFGA's.
type openfga struct {
	path   string
	read   reading
	into   *Conversion
	words  *vocabulary // of the model
	tuples []Tuple     // of the store, for its tests
}

// leaveOut notes what cannot be converted of a model or tuple.
func (o *openfga) leaveOut(faults ...*fault.Fault) {
	o.into.LeftOut = append(o.into.LeftOut, faults...)
}

// beside is a file that another one names.
func (o *openfga) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(o.path), filepath.FromSlash(name))
}

// convertStore converts a store file, and what it names.
func (o *openfga) convertStore(text []byte) error {
	var in storeFile
	d, err := decode(o.path, text, &in)
	if err != nil {
		return err
	}
	for _, key := range in.unknown {
		remedy := "the keys are " + strings.Join(storeKeys, ", ")
		if near := fault.Nearest(key.value, storeKeys); near != "" {
			remedy = "did you mean " + near + "?"
		}
		o.leaveOut(notConvertible(d.placeOf(key), "an OpenFGA store has no key %q", key.value).Do("%s", remedy))
	}
	o.model(d, in)
	files := in.TupleFiles
	if !in.TupleFile.isZero() {
		files = append([]scalar{in.TupleFile}, files...)
	}
	o.tuples = o.storeTuples(d, in.Tuples, files, o.leaveOut)
	o.into.Tuples = slices.Clone(o.tuples)
	for i := range in.Tests {
		o.test(d, &in.Tests[i])
	}
	return nil
}

// model finds the model of a store, and converts it.
func (o *openfga) model(d *document, in storeFile) {
	switch {
	case in.Model.value != "" && !in.ModelFile.isZero():
		o.leaveOut(notConvertible(d.placeOf(in.ModelFile), "the store has both a model and a model_file; the model is taken").Do("keep one of them"))
		fallthrough
	case in.Model.value != "":
		o.convertModel(parseModel(in.Model.value, d.linesOf(in.Model)))
	case !in.ModelFile.isZero():
		path := o.beside(in.ModelFile.value)
		text, err := readBounded(path, o.read)
		if err != nil {
			o.leaveOut(unreadable(d.placeOf(in.ModelFile), "model", path, err))
			o.convertModel(&model{}, nil)
			return
		}
		o.convertModelFile(path, text)
	default:
		o.leaveOut(notConvertible(Place{o.path, 1, 1}, "the store has no model").Do("give it a model or a model_file: tuples and tests are about one"))
		o.convertModel(&model{}, nil)
	}
}

// unreadable is the fault of a file that another one names.
func unreadable(at Place, what, path string, err error) *fault.Fault {
	f := fault.Of(err)
	return at.on(fault.Newf(fault.FileMustBeReadable, "the %s file %s: %s", what, path, f.Summary).
		Do("name a file relative to this one").Because(err))
}

// convertModelFile converts a model in a file of its own: JSON, the list of a model's
// modules, or OpenFGA's language.
func (o *openfga) convertModelFile(path string, text []byte) {
	switch {
	case filepath.Ext(path) == ".json":
		o.convertModel(parseJSONModel(path, text))
	case filepath.Ext(path) == ".mod":
		o.convertModel(o.modules(path, text))
	default:
		o.convertModel(parseModel(string(text), linesIn(path)))
	}
}

// linesIn places what stands in a file of its own.
func linesIn(path string) func(line, column int) Place {
	return func(line, column int) Place { return Place{path, line, column} }
}

// convertModel makes the schema, and the words that tuples and tests are said in.
func (o *openfga) convertModel(m *model, faults []*fault.Fault) {
	o.leaveOut(faults...)
	o.leaveOut(m.join()...)
	w := newSchemaWriter(m)
	o.words = w.words
	o.into.Schema, o.into.schemaAt = w.write()
	o.into.Changes = append(o.into.Changes, w.words.changes...)
}
