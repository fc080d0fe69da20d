package scenario_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

func lines(texts ...string) string { return strings.Join(texts, "\n") + "\n" }

// Each of these files has one fault, and the fault says on which line it stands.
func TestFaultsOfAFileHaveTheirLine(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		want       fault.Code
	}{
		{"no YAML", lines("schema: |", "  definition user {}", "roles: {"), 3, fault.FileMustBeReadable},
		{"not a mapping", lines("- schema"), 1, fault.FileMustBeReadable},
		{"an unknown key", lines("schema: x", "asserts: {}"), 2, fault.FileMustBeReadable},
		{"an unknown key below", lines("assertions:", "  assertTrue: []", "  assertMaybe: []"), 3, fault.FileMustBeReadable},
		{"an unknown key of a write", lines("writes:", "  - updates: []", "    expects: accepted", "    expect: accepted"), 3, fault.FileMustBeReadable},
		{"an unknown key of then", lines("writes:", "  - expect: accepted", "    then: {assert: []}"), 3, fault.FileMustBeReadable},
		{"a key twice", lines("schema: x", "schema: y"), 2, fault.FileMustBeReadable},
		{"a role twice", lines("roles:", `  "doc:1@user:a": viewer`, `  "doc:1@user:a": editor`), 3, fault.FileMustBeReadable},
		{"a second document", lines("schema: x", "---", "roles: {}"), 2, fault.FileMustBeReadable},
		{"two schemas", lines("schema: x", "schemaFile: y"), 2, fault.FileMustBeReadable},
		{"a schema file that is not there", lines("schemaFile: nowhere.zed"), 1, fault.FileMustBeReadable},
		{"a tuple that is none", lines("schema: x", "relationships: |", "  doc:1#reader@user:ana", "", "  // a comment", "  doc:1#reader"), 6, fault.TupleMustBeReadable},
		{"a tuple with half a caveat", lines("relationships: |", "  doc:1#reader@user:ana[office"), 2, fault.TupleMustBeReadable},
		{"a tuple whose caveat has no JSON", lines("relationships: |", "  doc:1#reader@user:ana[office:{opens:9}]"), 2, fault.ContextMustBeReadable},
		{"a tuple that expires at no time", lines("relationships: |", "  doc:1#reader@user:ana[expiration:tomorrow]"), 2, fault.ExpirationMustBeATime},
		{"relationships as a list", lines("relationships:", "  - doc:1#reader@user:ana"), 2, fault.FileMustBeReadable},
		{"an assertion without a subject", lines("assertions:", "  assertTrue:", "    - doc:1#reader"), 3, fault.FileMustBeReadable},
		{"an assertion about everybody", lines("assertions:", "  assertTrue:", "    - doc:1#reader@user:*"), 3, fault.SubjectMustBeConcrete},
		{"an assertion that is a list", lines("assertions:", "  assertTrue:", "    - [a]"), 3, fault.FileMustBeReadable},
		{"an assertion with half a context", lines("assertions:", "  assertTrue:", `    - 'doc:1#reader@user:a with {"now":'`), 3, fault.ContextMustBeReadable},
		{"an assertion with a list for a context", lines("assertions:", "  assertCaveated:", `    - doc:1#reader@user:a with [1]`), 3, fault.ContextMustBeReadable},
		{"an assertion with something after its context", lines("assertions:", "  assertTrue:", `    - 'doc:1#reader@user:a with {} or not'`), 3, fault.ContextMustBeReadable},
		{"a role with half a context", lines("roles:", `  'doc:1@user:a with {"now"': viewer`), 2, fault.ContextMustBeReadable},
		{"assertions that are none", lines("assertions:", "  assertTrue: doc:1#reader@user:ana"), 2, fault.FileMustBeReadable},
		{"a role without a subject", lines("roles:", "  doc:1: viewer"), 2, fault.FileMustBeReadable},
		{"a role without a name", lines("roles:", `  "doc:1@user:a": Viewer`), 2, fault.NameMustBeValid},
		{"a role left out", lines("roles:", `  "doc:1@user:a":`), 2, fault.FileMustBeReadable},
		{"a write that expects nothing", lines("writes:", `  - updates: ["touch doc:1#reader@user:ana"]`), 2, fault.FileMustBeReadable},
		{"a write that expects anything", lines("writes:", "  - expect: maybe"), 2, fault.FileMustBeReadable},
		{"a reason that is none", lines("writes:", "  - expect: refused LOWER_BOUND"), 2, fault.FileMustBeReadable},
		{"a reason of something else", lines("writes:", "  - expect: refused DISK_MUST_TAKE_WRITES"), 2, fault.FileMustBeReadable},
		{"a refused write that changes", lines("writes:", "  - expect: refused", `    changes: ["create doc:1#reader@user:ana"]`), 2, fault.FileMustBeReadable},
		{"a delete with a caveat", lines("writes:", "  - expect: accepted", `    updates: ["delete doc:1#reader@user:ana[office]"]`), 3, fault.TupleMustBeReadable},
		{"an update that is none", lines("writes:", "  - expect: accepted", "    updates: [insert doc:1#reader@user:ana]"), 3, fault.TupleMustBeReadable},
		{"a change that is none", lines("writes:", "  - expect: accepted", `    changes: ["assign doc:1#reader@user:ana"]`), 3, fault.FileMustBeReadable},
		{"an actor that is none", lines("writes:", "  - expect: accepted", "    actor: mia"), 3, fault.ObjectMustHaveType},
		{"an actor that is everybody", lines("writes:", "  - expect: accepted", "    actor: user:*"), 3, fault.SubjectMustBeConcrete},
		{"an actor that presents something", lines("writes:", "  - expect: accepted", "    actor: user:mia + link:l1"), 3, fault.FileMustBeReadable},
		{"an actor whose context is none", lines("writes:", "  - expect: accepted", "    actor: user:mia with {now"), 3, fault.ContextMustBeReadable},
		{"validation as a list", lines("validation: [a]"), 1, fault.FileMustBeReadable},
		{"validation of an object", lines("validation:", "  doc:1: []"), 2, fault.FileMustBeReadable},
		{"validation of everybody", lines("validation:", `  "doc:*#view": []`), 2, fault.SubjectMustBeConcrete},
		{"validation with no list", lines("validation:", "  doc:1#view: user:ana"), 2, fault.FileMustBeReadable},
		{"a subject without brackets", lines("validation:", "  doc:1#view:", "    - user:ana is <doc:1#view>"), 3, fault.FileMustBeReadable},
		{"a subject without a source", lines("validation:", "  doc:1#view:", `    - "[user:ana]"`), 3, fault.FileMustBeReadable},
		{"a subject with half a source", lines("validation:", "  doc:1#view:", `    - "[user:ana] is <doc:1#view"`), 3, fault.FileMustBeReadable},
		{"a source that is an object", lines("validation:", "  doc:1#view:", `    - "[user:ana] is <doc:1>"`), 3, fault.FileMustBeReadable},
		{"sources without a slash", lines("validation:", "  doc:1#view:", `    - "[user:ana] is <doc:1#a> <doc:1#b>"`), 3, fault.FileMustBeReadable},
		{"a subject that is none", lines("validation:", "  doc:1#view:", `    - "[ana] is <doc:1#view>"`), 3, fault.ObjectMustHaveType},
		{"exceptions of somebody", lines("validation:", "  doc:1#view:", `    - "[user:ana - {user:bob}] is <doc:1#view>"`), 3, fault.FileMustBeReadable},
		{"an exception that is none", lines("validation:", "  doc:1#view:", `    - "[user:* - {bob}] is <doc:1#view>"`), 3, fault.ObjectMustHaveType},
		{"a mark of some other caveat", lines("validation:", "  doc:1#view:", `    - "[user:ana[office]] is <doc:1#view>"`), 3, fault.IDMustBeValid},
		{"an anchor that is not there", lines("schema: x", "roles: *those"), 2, fault.FileMustBeReadable},
		{"a line end of another system", "schema: x\r\nrelationships: |\r\n  doc:1#reader@user:ana\r\n  doc:1#reader\r\n", 4, fault.TupleMustBeReadable},
		{"an editor's mark", "\ufeffnonsense: 1\n", 1, fault.FileMustBeReadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := scenario.Read("some.yaml", []byte(c.text))
			f := fault.Of(err)
			if f == nil {
				t.Fatalf("no fault, error %v", err)
			}
			if f.Code != c.want || f.Line != c.line || f.File != "some.yaml" {
				t.Errorf("%s, and the code is %v; want line %d and %v", f.Sentence(), f.Code, c.line, c.want)
			}
			if len(f.Others) > 0 {
				t.Errorf("one fault made several: %v", f.All())
			}
		})
	}
}

func TestEveryFaultOfAFileIsTold(t *testing.T) {
	_, err := scenario.Read("some.yaml", []byte(lines(
		"nonsense: 1",
		"relationships: |", "  a", "  b",
		"assertions: {assertTrue: [c]}",
	)))
	var places []int
	for _, f := range fault.Of(err).All() {
		places = append(places, f.Line)
	}
	if diff := cmp.Diff([]int{1, 3, 4, 5}, places); diff != "" {
		t.Error(diff)
	}
}

// A tuple stands in a block that is indented, or in a text of one line.
func TestATupleThatIsNoneHasItsColumn(t *testing.T) {
	for text, want := range map[string]string{
		lines("relationships: |", "    // a comment", "", "      doc:1#reader"): "some.yaml:4:7: ",
		lines("relationships: |", "  doc:1#reader  "):                           "some.yaml:2:3: ",
		lines("relationships: |2", "      é", "  b"):                            "some.yaml:2:7: ",
		lines(`{relationships: "doc:1#reader"}`):                                "some.yaml:1:18: ",
		lines(`relationships: >-`, "  doc:1#reader"):                            "some.yaml:1:16: ",
	} {
		_, err := scenario.Read("some.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s%v; want %s", text, err, want)
		}
	}
}

// A file can be one line of a megabyte; what is said about it is a line to read.
func TestALongLineIsShownShortened(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{
		lines(long + ": 1"),
		lines("relationships: |", "  "+long),
		lines("assertions: {assertTrue: [" + long + "]}"),
		lines("assertions: {assertTrue: ['doc:1#view@user:ana with {" + long + "']}"),
		lines("roles: {" + long + ": viewer}"),
		lines("writes: [{expect: " + long + "}]"),
		lines("writes: [{expect: accepted, updates: [" + long + "]}]"),
		lines("validation: {doc:1#view: [" + long + "]}"),
		lines("schemaFile: " + long),
	} {
		_, err := scenario.Read("some.yaml", []byte(text))
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("%.60s…: %.3000v", text, err)
		}
	}
}

// What stands before the first column is no column of it.
func TestMarksOfEditorsMoveNoColumn(t *testing.T) {
	_, err := scenario.Read("some.yaml", []byte("\ufeffroles: {doc:1: viewer}\r\n"))
	if want := "some.yaml:1:9: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
	_, err = scenario.Read("some.yaml", []byte("relationships: |\r\n    doc:1#reader\r\n"))
	if want := "some.yaml:2:5: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
}

func TestWhatStandsAtAnAnchorIsReadWhereItIsNamed(t *testing.T) {
	file, err := scenario.Read("some.yaml", []byte(lines(
		"assertions:",
		"  assertTrue: &readers",
		"    - doc:1#read@user:ana",
		"writes:",
		"  - expect: accepted",
		"    then: {assertTrue: *readers}",
	)))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Assertions) != 1 || len(file.Writes[0].Then.Assertions) != 1 || file.Writes[0].Then.Assertions[0].Line != 3 {
		t.Errorf("got %+v", file)
	}
}

func TestARoleOfAnIDWithAnAtSignIsTaughtItsForm(t *testing.T) {
	for key, want := range map[string]string{
		"doc:a@b@user:ana":           `"doc:a@b#@user:ana"`,
		"doc:a@b@c@user:ana@d":       `"doc:a@b@c#@user:ana@d"`,
		"doc:a@b@user:ana + link:l1": `"doc:a@b#@user:ana + link:l1"`,
		"doc@user@ana":               "", // nothing to suggest
		"doc:a#@user@ana":            "",
	} {
		_, err := scenario.Read("some.yaml", []byte(lines("roles:", "  "+strconv.Quote(key)+": viewer")))
		f := fault.Of(err)
		if f == nil {
			t.Errorf("%s is read", key)
			continue
		}
		if got := strings.Contains(f.Remedy, "'#@'"); got != (want != "") || !strings.Contains(f.Remedy, want) {
			t.Errorf("%s: %s", key, f.Sentence())
		}
	}
}

func TestARefusedWriteMaySayThatItChangesNothing(t *testing.T) {
	if _, err := scenario.Read("some.yaml", []byte(lines("writes:", "  - expect: refused", "    changes: []"))); err != nil {
		t.Error(err)
	}
}

func TestReadTakesWhatOtherToolsWrite(t *testing.T) {
	for name, text := range map[string]string{
		"empty":           "",
		"comments alone":  "# nothing\n",
		"keys of nothing": "schema: x\nrelationships:\nassertions:\nvalidation:\nroles:\nwrites:\n",
		"null":            "null\n",
		"nobody expected": "validation:\n  doc:1#view:\n  doc:1#edit: []\n",
	} {
		if _, err := scenario.Read(name, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadSplitsWhatItReads(t *testing.T) {
	file, err := scenario.Read("some.yaml", []byte(lines(
		"schema: |",
		"",
		"    definition user {}",
		"relationships: |",
		"  doc:a@b#reader@team:x#member",
		"assertions:",
		"  assertTrue:",
		"    - doc:a@b#read@user:ana@c + link:l1",
		"roles:",
		`  "doc:a@b#@user:ana@c": none`,
		`  "doc:a@user:ana@c": viewer`,
		`  'doc:a@user:ana with {"b": 1, "a": " with {"}': viewer`,
		"validation:",
		"  doc:1#view:",
		`    - "[user:ana] is <doc:1#viewer>/<a/group:g#member>"`,
		`    - "[user:bob#...[...]] is  <doc:a>b#viewer>  /  <doc:1#viewer>"`,
		`    - "[user:*[...]  - {user:b[...], user:a}] is <doc:1#viewer>"`,
	)))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{file.Tuples[0].String()}
	for _, a := range file.Assertions {
		got = append(got, a.Object.String(), string(a.Name), a.Principal.String())
	}
	for _, c := range file.Roles {
		got = append(got, c.Object.String(), c.Principal.String(), string(c.Role), c.Context.String())
	}
	for _, f := range file.Validations[0].Subjects {
		got = append(got, f.String())
	}
	want := []string{
		"doc:a@b#reader@team:x#member",
		"doc:a@b", "read", "user:ana@c + link:l1",
		"doc:a@b", "user:ana@c", "", "",
		"doc:a", "user:ana@c", "viewer", "",
		"doc:a", "user:ana", "viewer", `{"a":" with {","b":1}`,
		"[user:ana] is <a/group:g#member>/<doc:1#viewer>",
		"[user:bob[...]] is <doc:1#viewer>/<doc:a>b#viewer>",
		"[user:*[...] - {user:a, user:b[...]}] is <doc:1#viewer>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	place := scenario.Schema{Text: "\ndefinition user {}\n", Path: "some.yaml", LinesBefore: 1, ColumnsBefore: 4}
	if diff := cmp.Diff(place, file.Schema); diff != "" {
		t.Error(diff)
	}
}

func TestSchemaFileIsBesideTheTestFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schema.zed"), []byte("definition user {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := scenario.Read(filepath.Join(dir, "tests", "a.yaml"), []byte("schemaFile: ../schema.zed\n"))
	if err != nil {
		t.Fatal(err)
	}
	if file.Schema.Text != "definition user {}\n" || file.Schema.Path != filepath.Join(dir, "schema.zed") {
		t.Errorf("got %+v", file.Schema)
	}
}

// Whatever is in a file, reading it ends with a file or with faults.
func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("roles: {? [a] : b}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := scenario.Read("fuzz.yaml", text)
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
	})
}

// What is wrong in an imported file is shown there.
func TestFaultsOfAnImportedSchemaAreShownInTheirFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.zed", "use import\nimport \"people.zed\"\ndefinition doc { relation owner: usr }\n")
	write("people.zed", "definition user { relation boss: person }\n")
	file, err := scenario.Read(filepath.Join(dir, "a.yaml"), []byte("schemaFile: main.zed\n"))
	if err != nil {
		t.Fatal(err)
	}
	report := scenario.Run(t.Context(), file, oracledriver.New())
	if lines := report.Failures(); len(lines) == 0 || !strings.HasPrefix(lines[0], filepath.Join(dir, "people.zed")+":1:34: ") && !strings.HasPrefix(lines[0], filepath.Join(dir, "main.zed")+":3:33: ") {
		t.Errorf("failures are %q", lines)
	}
	write("main.zed", "use import\nimport \"nowhere.zed\"\n")
	_, err = scenario.Read(filepath.Join(dir, "a.yaml"), []byte("schemaFile: main.zed\n"))
	if f := fault.Of(err); f == nil || f.Code != fault.ImportMustBeReadable || f.Place() != filepath.Join(dir, "main.zed")+":2:8" {
		t.Errorf("%v", err)
	}
}
