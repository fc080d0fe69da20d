package elsewhere_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pemba-io/pemba/internal/elsewhere"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/schema"
)

// Any text is a model, or is told with places why it is none. What becomes of it
// compiles, or says at which line of the model why not.
func FuzzReadModel(f *testing.F) {
	seed(f, "testdata/openfga/modules/*.fga", "testdata/openfga/modules/*/*.fga")
	for _, text := range []string{
		goodModel,
		"model\n  schema 1.1\ntype a\n  relations\n    define b: ([a] or c) and (d but not e)\n",
		"model\n schema 1.1\ncondition c(x: list<string>) { x.exists(y, y == '}' || y == \"\\\"}\" || y == r'\\') # no }\n}\n",
		"model # x\n  schema 1.1 # y\ntype\nextend type a\n define x: [a:*, a#x with c] or [",
		"\ufeffmodel\r\n  schema 1.1\r\ntype Ä\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		mustBeWhole(t, "m.fga", map[string]string{"m.fga": string(text)})
	})
}

// The same holds for a model in JSON, and for a list of modules.
func FuzzReadJSONModel(f *testing.F) {
	seed(f, "testdata/openfga/clinic.json", "testdata/openfga/modules/fga.mod")
	f.Add([]byte(`{"schema_version": "1.1", "type_definitions": [{"type": "a", "relations": {"b": {"this": {}}, "c": {"union": {"child": []}}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		mustBeWhole(t, "s.fga.yaml", map[string]string{"s.fga.yaml": "model_file: m.json\ntuple_file: m.json", "m.json": string(text)})
		mustBeWhole(t, "fga.mod", map[string]string{"fga.mod": string(text), "core.fga": goodModel})
	})
}

// Any text is a store, an error with its place, or told what of it is left out; and
// the files of what is converted are read back.
func FuzzReadStore(f *testing.F) {
	seed(f, "testdata/openfga/*.yaml", "testdata/leftout/*.txt", "testdata/spicedb/*.yaml")
	f.Add([]byte("model: &a x\ntuples: [*a, {<<: *a}]\ntests: [{check: [{context: {a: 1e999, b: .nan, c: 99999999999999999999}}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mustBeWhole(t, "s.fga.yaml", map[string]string{"s.fga.yaml": string(text), "good.fga": goodModel})
		mustBeWhole(t, "v.yaml", map[string]string{"v.yaml": string(text)})
	})
}

func seed(f *testing.F, patterns ...string) {
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("no files %s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
}

func mustBeWhole(t *testing.T, path string, files map[string]string) {
	c, err := elsewhere.Read(path, opening(files))
	if err != nil {
		for _, each := range fault.Of(err).All() {
			mustHavePlace(t, each)
		}
		return
	}
	for _, each := range c.Missing() {
		mustHavePlace(t, each)
	}
	for _, change := range c.Changes {
		if change.At.File == "" || change.At.Line < 1 || change.At.Column < 1 {
			t.Fatalf("a change has no place: %s", change)
		}
	}
	if _, faults := schema.Compile(c.Schema); c.Schema != "" && (len(faults) > 0) != (len(c.SchemaFaults) > 0) {
		t.Fatalf("the schema has %d faults, and %d are told: %s", len(faults), len(c.SchemaFaults), c.Schema)
	}
	written, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range written {
		if filepath.Ext(file.Name) != ".yaml" {
			continue
		}
		_, faults := scenario.ReadPart(file.Name, file.Text)
		for _, each := range faults {
			if each.Code != fault.FileMustBeReadable || each.Summary[:len("the schema file")] != "the schema file" { // it was not written
				t.Fatalf("%s is not read back: %s\n%s", file.Name, each.Sentence(), file.Text)
			}
		}
	}
}

func mustHavePlace(t *testing.T, f *fault.Fault) {
	if f.File == "" || f.Line < 1 || f.Column < 1 {
		t.Fatalf("a fault without a place: %+v", f)
	}
}
