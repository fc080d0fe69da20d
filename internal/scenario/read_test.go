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
		{"a tuple with a condition", lines("relationships: |", "  doc:1#reader@user:ana[office]"), 2, fault.NotInThisRelease},
		{"relationships as a list", lines("relationships:", "  - doc:1#reader@user:ana"), 2, fault.FileMustBeReadable},
		{"an assertion without a subject", lines("assertions:", "  assertTrue:", "    - doc:1#reader"), 3, fault.FileMustBeReadable},
		{"an assertion about everybody", lines("assertions:", "  assertTrue:", "    - doc:1#reader@user:*"), 3, fault.SubjectMustBeConcrete},
		{"an assertion that is a list", lines("assertions:", "  assertTrue:", "    - [a]"), 3, fault.FileMustBeReadable},
		{"assertions that are none", lines("assertions:", "  assertTrue: doc:1#reader@user:ana"), 2, fault.FileMustBeReadable},
		{"a role without a subject", lines("roles:", "  doc:1: viewer"), 2, fault.FileMustBeReadable},
		{"a role without a name", lines("roles:", `  "doc:1@user:a": Viewer`), 2, fault.NameMustBeValid},
		{"a role left out", lines("roles:", `  "doc:1@user:a":`), 2, fault.FileMustBeReadable},
		{"a write that expects nothing", lines("writes:", `  - updates: ["touch doc:1#reader@user:ana"]`), 2, fault.FileMustBeReadable},
		{"a write that expects anything", lines("writes:", "  - expect: maybe"), 2, fault.FileMustBeReadable},
		{"a reason that is none", lines("writes:", "  - expect: refused LOWER_BOUND"), 2, fault.FileMustBeReadable},
		{"a reason of something else", lines("writes:", "  - expect: refused DISK_MUST_TAKE_WRITES"), 2, fault.FileMustBeReadable},
		{"a refused write that changes", lines("writes:", "  - expect: refused", `    changes: ["create doc:1#reader@user:ana"]`), 2, fault.FileMustBeReadable},
		{"a refused write that changes what it cannot", lines("writes:", "  - expect: refused", `    changes: ["create doc:1#reader@user:ana[office]"]`), 2, fault.FileMustBeReadable},
		{"an update that is none", lines("writes:", "  - expect: accepted", "    updates: [insert doc:1#reader@user:ana]"), 3, fault.TupleMustBeReadable},
		{"a change that is none", lines("writes:", "  - expect: accepted", `    changes: ["assign doc:1#reader@user:ana"]`), 3, fault.FileMustBeReadable},
		{"an actor that is none", lines("writes:", "  - expect: accepted", "    actor: mia"), 3, fault.ObjectMustHaveType},
		{"validation as a list", lines("validation: [a]"), 1, fault.FileMustBeReadable},
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
	)))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{file.Tuples[0].String()}
	for _, a := range file.Assertions {
		got = append(got, a.Object.String(), string(a.Name), a.Principal.String())
	}
	for _, c := range file.Roles {
		got = append(got, c.Object.String(), c.Principal.String(), string(c.Role))
	}
	want := []string{
		"doc:a@b#reader@team:x#member",
		"doc:a@b", "read", "user:ana@c + link:l1",
		"doc:a@b", "user:ana@c", "",
		"doc:a", "user:ana@c", "viewer",
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
