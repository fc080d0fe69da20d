package elsewhere_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/elsewhere"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every one of these files is converted whole, but for what it is known to leave out.
// What must hold there holds here: the tests of the OpenFGA ones were seen to pass in
// OpenFGA 1.8.0.
func TestFilesFromElsewhereConvert(t *testing.T) {
	leftOut := map[string]int{"drive.fga.yaml": 1} // whom a list with user:* does not have
	for _, pattern := range []string{"testdata/openfga/*.fga.yaml", "testdata/spicedb/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) {
				c := read(t, path, os.ReadFile)
				missing := c.Missing()
				if len(missing) != leftOut[filepath.Base(path)] {
					t.Errorf("%d things are left out", len(missing))
				}
				for _, f := range missing {
					t.Log(f.Sentence())
				}
				asGolden(t, strings.TrimSuffix(path, ".yaml")+".golden", c)
				runFiles(t, c)
			})
		}
	}
}

func read(t *testing.T, path string, open func(string) ([]byte, error)) *elsewhere.Conversion {
	t.Helper()
	c, err := elsewhere.Read(path, open)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asGolden compares the schema, and what is told about it.
func asGolden(t *testing.T, golden string, c *elsewhere.Conversion) {
	t.Helper()
	var got strings.Builder
	got.WriteString(c.Schema)
	for _, change := range c.Changes {
		fmt.Fprintf(&got, "// %s\n", change)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the conversion differs (run with -update and read the difference):\n%s", diff)
	}
	if laidOut, faults := syntax.Format(c.Schema); len(faults) > 0 || laidOut != c.Schema {
		t.Errorf("the schema is not laid out in the one way")
	}
}

// runFiles writes the files of a conversion and runs its tests by every way of asking.
func runFiles(t *testing.T, c *elsewhere.Conversion) {
	t.Helper()
	folder := t.TempDir()
	files, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tuples := read(t, filepath.Join(folder, "tuples.yaml"), os.ReadFile)
	if len(tuples.Missing()) > 0 || len(tuples.Tuples) != len(c.Tuples) || tuples.Schema != c.Schema {
		t.Errorf("the tuples' file is read back with %d tuples of %d: %v", len(tuples.Tuples), len(c.Tuples), tuples.Missing())
	}
	tests, err := filepath.Glob(filepath.Join(folder, "tests", "*.yaml"))
	if err != nil || len(tests) != len(c.Tests) {
		t.Fatalf("%d files of tests, of %d: %v", len(tests), len(c.Tests), err)
	}
	asked := 0
	for _, path := range tests {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		product := &embedded.Driver{}
		for _, driver := range []scenario.Driver{oracledriver.New(), product} {
			file, err := scenario.Read(path, text)
			if err != nil {
				t.Fatal(err)
			}
			report := scenario.Run(t.Context(), file, driver)
			for _, line := range report.Failures() {
				t.Error(line)
			}
			asked += report.Passed()
		}
		if err := product.Close(); err != nil {
			t.Error(err)
		}
	}
	if asked == 0 {
		t.Error("no case passed")
	}
}

// What cannot be converted is marked at the line that says it, and nothing else is.
func TestWhatIsLeftOutIsToldAtItsLine(t *testing.T) {
	paths, err := filepath.Glob("testdata/leftout/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(raw), "----\n") {
			name, _, _ := strings.Cut(strings.TrimPrefix(part, "# "), "\n")
			t.Run(filepath.Base(path)+" "+name, func(t *testing.T) { expectOnLines(t, part) })
		}
	}
}

// What is left out of a test takes with it what would be another question without it,
// and the file of the test can be read, whatever the test is called.
func TestWhatIsLeftOfATestIsTrue(t *testing.T) {
	c := read(t, "s.fga.yaml", opening(map[string]string{"good.fga": goodModel, "s.fga.yaml": `
model_file: good.fga
tests:
  - name: "a\rrelationships: x\u2028b\e[1m\nc"
    tuples:
      - {user: "link:l", relation: viewer, object: "doc:1"}
      - {user: "user:ana", relation: owner, object: "doc:1"}
    check:
      - {user: "user:bob", object: "doc:1", contextual_tuples: [], assertions: {viewer: true}}
      - {user: "user:ana", object: "doc:1", assertions: {viewer: true, guest: false}}
`}))
	if len(c.TestsLeftOut) != 2 {
		t.Errorf("left out: %v", c.TestsLeftOut)
	}
	files, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	test := string(files[len(files)-1].Text)
	want := `# a relationships: x b [1m
# c
schemaFile: ../schema.zed
relationships: |
  doc:1#owner@user:ana
assertions:
  assertTrue:
    - doc:1#viewer@user:ana
  assertFalse:
    - doc:1#guest@user:ana
`
	if diff := cmp.Diff(want, test); diff != "" {
		t.Error(diff)
	}
}

const goodModel = `model
  schema 1.1
type user
type doc
  relations
    define owner: [user]
    define viewer: [user] or owner
    define public: [user:*]
    define can_view: viewer
    define guest: [user with in_time]
condition in_time(now: int, until: int, reason: string) { now < until }
`

func expectOnLines(t *testing.T, text string) {
	t.Helper()
	var clean []string
	expected := map[int]string{}
	for i, line := range strings.Split(text, "\n") {
		line, mark, found := strings.Cut(line, " ### ")
		if found {
			expected[i+1] = mark
		}
		clean = append(clean, line)
	}
	files := map[string]string{"store.yaml": strings.Join(clean, "\n"), "good.fga": goodModel}
	c := read(t, "store.yaml", opening(files))
	for _, f := range c.Missing() {
		code, fragment, _ := strings.Cut(expected[f.Line], ": ")
		if f.File != "store.yaml" || f.Code.Reason() != code || !strings.Contains(f.Sentence(), fragment) {
			t.Errorf("not expected: %s: %s", f.Code, f.Sentence())
			continue
		}
		delete(expected, f.Line)
	}
	for line, mark := range expected {
		t.Errorf("line %d: nothing says %s", line, mark)
	}
}

// opening reads files out of a map.
func opening(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		text, is := files[path]
		if !is {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

// A tuple file is read by its ending, and what is wrong in it is told with its line.
func TestTupleFiles(t *testing.T) {
	const head = "user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context\n"
	for _, c := range []struct {
		name, text string
		want       []string
		at         string // of what is left out
		code       fault.Code
	}{
		{name: "t.csv", text: head + "user,ana,,viewer,doc,1,,\nuser,bob,,guest,doc,1,in_time,\"{\"\"until\"\":7}\"\n",
			want: []string{"doc:1#viewer@user:ana", `doc:1#guest@user:bob[in_time:{"until":7}]`}},
		{name: "t.csv", text: "relation,object_id,object_type,user_id,user_type\nviewer,1,doc,ana,user\n", want: []string{"doc:1#viewer@user:ana"}},
		{name: "t.csv", text: head + "user,ana,,viewer,doc,1,,\nuser,a na,,viewer,doc,1,,\n", want: []string{"doc:1#viewer@user:ana"}, at: "t.csv:3:1", code: fault.IDMustBeValid},
		{name: "t.csv", text: head + "user,ana\n", at: "t.csv:2:1", code: fault.FileMustBeReadable},
		{name: "t.csv", text: head + "user,bob,,guest,doc,1,in_time,{\n", at: "t.csv:2:1", code: fault.ContextMustBeReadable},
		{name: "t.csv", text: head + "user,bob,,guest,doc,1,,\"{\"\"until\"\":7}\"\n", at: "t.csv:2:1", code: fault.SourceMustBeConvertible},
		{name: "t.csv", text: "user,relation,object\n", at: "t.csv:1:1", code: fault.SourceMustBeConvertible},
		{name: "t.csv", text: "user_type,user_id,relation,object_type\n", at: "t.csv:1:1", code: fault.SourceMustBeConvertible},
		{name: "t.csv", text: "", at: "t.csv:1:1", code: fault.FileMustBeReadable},
		{name: "t.json", text: "[\n\t{\"user\": \"user:ana\", \"relation\": \"viewer\", \"object\": \"doc:1\", \"condition\": null},\n\t{\"user\": \"user:bob\"}\n]", want: []string{"doc:1#viewer@user:ana"}, at: "t.json:3:2", code: fault.SourceMustBeConvertible},
		{name: "t.json", text: "{}", at: "t.json:1:1", code: fault.FileMustBeReadable},
		{name: "t.jsonl", text: "{\"user\": \"user:ana\", \"relation\": \"viewer\", \"object\": \"doc:1\"}\n\n{\"user\": \"user:bob\", \"relation\": \"viewer\", \"object\": \"doc\"}\n", want: []string{"doc:1#viewer@user:ana"}, at: "t.jsonl:3:1", code: fault.ObjectMustHaveType},
		{name: "t.jsonl", text: "\n{\"user\"\n", at: "t.jsonl:2:1", code: fault.FileMustBeReadable},
		{name: "t.yaml", text: "- user: user:ana\n  relation: viewer\n  object: doc:1\n- user: user:ana\n  relation: viewer\n  object: doc:1\n", want: []string{"doc:1#viewer@user:ana"}},
		{name: "t.yaml", text: "- user: [ana]\n", at: "t.yaml:1:1", code: fault.FileMustBeReadable},
		{name: "t.xml", text: "<x/>", at: "t.xml:1:1", code: fault.SourceMustBeConvertible},
	} {
		store := "model_file: good.fga\ntuple_file: " + c.name + "\n"
		got := read(t, "s.fga.yaml", opening(map[string]string{"s.fga.yaml": store, "good.fga": goodModel, c.name: c.text}))
		var tuples []string
		for _, tuple := range got.Tuples {
			tuples = append(tuples, tuple.String())
		}
		if !slices.Equal(tuples, c.want) {
			t.Errorf("%s %q: read %q, not %q", c.name, c.text, tuples, c.want)
		}
		missing := got.Missing()
		switch {
		case c.at == "" && len(missing) == 0:
		case c.at == "" || len(missing) != 1 || missing[0].Place() != c.at || missing[0].Code != c.code:
			t.Errorf("%s %q: left out %v, not %s at %s", c.name, c.text, missing, c.code, c.at)
		}
	}
}

// A model in JSON says nothing that is passed over, for without it there could be more
// access.
func TestJSONModelsAreTakenWhole(t *testing.T) {
	for _, c := range []struct {
		rewrite, user string
		leftOut       string
	}{
		{`{"this": {}, "union": null}`, `{"type": "user", "wildcard": null, "condition": null}`, ""},
		{`{"this": null, "computedUserset": {"relation": "a"}}`, `{"type": "user"}`, ""},
		{`{"this": {}}`, `{"type": "user", "conditon": "c"}`, "has no key conditon"},
		{`{"this": {}, "difference": {"base": {"this": {}}, "subtract": {"computedUserset": {"relation": "b"}}}}`, `{"type": "user"}`, "several at once"},
	} {
		text := `{"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "doc", "relations": {"a": ` + c.rewrite +
			`}, "metadata": {"relations": {"a": {"directly_related_user_types": [` + c.user + `]}}}}]}`
		got := read(t, "s.fga.yaml", opening(map[string]string{"s.fga.yaml": "model_file: m.json\n", "m.json": text}))
		said := ""
		for _, f := range got.LeftOut {
			said += f.Sentence()
		}
		if c.leftOut == "" && said != "" || !strings.Contains(said, c.leftOut) {
			t.Errorf("%s: %s", text, said)
		}
	}
}

// A file that cannot be understood at all is an error, with its line.
func TestFilesThatAreNone(t *testing.T) {
	for _, c := range []struct {
		path, text string
		line       int
	}{
		{"a.fga.yaml", "model: |\n  model\n tests: [", 2},
		{"a.fga.yaml", "tuples: 3\n", 1},
		{"a.fga.yaml", "model: [x]\n", 1},
		{"a.fga.yaml", "name: x\n---\nname: y\n", 2},
		{"a.yaml", "- relationships\n", 1},
		{"a.yaml", "model: x\ntests:\n  - check: 3\n", 3},
	} {
		_, err := elsewhere.Read(c.path, opening(map[string]string{c.path: c.text}))
		if f := fault.Of(err); f == nil || f.Line != c.line || f.File != c.path {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}
