package schema_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

// folder is files by their paths.
type folder map[string]string

func (f folder) read(path string) ([]byte, error) {
	text, there := f[path]
	if !there {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

var drive = folder{
	"drive/main.zed": `/** The drive. */
use roles; use partial
use import
import "parts/people.zed"; import 'parts/shared.zed'
/** doc is a file. */
definition doc {
  ...shared
  roles { viewer: user }
}`,
	"drive/parts/people.zed": "definition user {}\r\n// groups\r\ndefinition team { relation member: user }\r\n",
	"drive/parts/shared.zed": "\uFEFFuse partial\nuse import; import \"../parts/people.zed\"\npartial shared { relation owner: user }\n",
}

func load(t *testing.T, f folder, path string) schema.Loaded {
	t.Helper()
	loaded, err := schema.Load(path, f.read)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestAFileIsJoinedWithWhatItImports(t *testing.T) {
	loaded := load(t, drive, "drive/main.zed")
	want := `use partial
use roles

// parts/people.zed
definition user {}
// groups
definition team { relation member: user }

// parts/shared.zed


partial shared { relation owner: user }

// main.zed
/*  The drive. */



/** doc is a file. */
definition doc {
  ...shared
  roles { viewer: user }
}
`
	if got := strings.ReplaceAll(loaded.Text, "\r", ""); got != want {
		t.Errorf("joined:\n%q\nwant:\n%q", got, want)
	}
	s := mustCompile(t, loaded.Text)
	if s.Definition("doc").Relation("owner") == nil {
		t.Error("doc lacks what the partial of another file brings")
	}
	if doc := s.Definition("user").Doc; doc != "" {
		t.Errorf("the file's own comment became that of user: %q", doc)
	}
}

func TestEveryPlaceOfAJoinedTextHasItsFile(t *testing.T) {
	loaded := load(t, drive, "drive/main.zed")
	lines := strings.Split(loaded.Text, "\n")
	for i, line := range lines {
		file, at, column := loaded.Place(i+1, 3)
		if column == 1 || line == "" || strings.HasPrefix(line, "/*  ") {
			continue // of no file, or made blank, or made a plain comment
		}
		own := strings.Split(strings.TrimPrefix(drive[file], "\uFEFF"), "\n")[at-1]
		if line != own {
			t.Errorf("line %d, %q, is to be line %d of %s, %q", i+1, line, at, file, own)
		}
	}
}

func TestWhatImportsNothingStaysAsItIs(t *testing.T) {
	files := folder{"a.zed": "use import\r\ndefinition user {}"}
	loaded := load(t, files, "a.zed")
	if loaded.Text != files["a.zed"] || loaded.Joined() {
		t.Errorf("changed to %q", loaded.Text)
	}
	if file, line, column := loaded.Place(2, 5); file != "a.zed" || line != 2 || column != 5 {
		t.Errorf("2:5 is at %s:%d:%d", file, line, column)
	}
}

func TestFaultsOfAJoinedSchemaStandInTheirFiles(t *testing.T) {
	files := folder{
		"main.zed":  "use import\nimport \"other.zed\"\ndefinition doc { relation a: usr }\ndefinition user {}\n",
		"other.zed": "// one\ndefinition user {}\ndefinition x { permission p = q + r & s }\n",
	}
	_, faults := load(t, files, "main.zed").Compile()
	var got []string
	for _, f := range faults {
		got = append(got, f.Place()+" "+f.Code.Reason())
	}
	want := []string{
		"other.zed:3:31 NAME_MUST_EXIST", "other.zed:3:35 NAME_MUST_EXIST", "other.zed:3:39 NAME_MUST_EXIST",
		"main.zed:3:30 SUBJECT_TYPE_MUST_EXIST", "main.zed:4:12 NAME_MUST_BE_UNIQUE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults %q, want %q", got, want)
	}
	if last := faults[len(faults)-1].Summary; !strings.Contains(last, "first on line 2 of other.zed") {
		t.Errorf("%q does not name the line in its file", last)
	}
}

func TestImportsThatAreRefused(t *testing.T) {
	large := strings.Repeat("// a comment\n", 60_000)
	for _, c := range []struct {
		name  string
		files folder
		want  []string // place, rule and a fragment
	}{
		{"missing", folder{"d/a.zed": "use import\n  import \"b.zed\"\nimport 'c.zed'"},
			[]string{"d/a.zed:2:10 IMPORT_MUST_BE_READABLE d/b.zed: file does not exist", "d/a.zed:3:8 IMPORT_MUST_BE_READABLE d/c.zed"}},
		{"circle", folder{"a.zed": "use import\nimport \"b.zed\"", "b.zed": "use import\nimport \"c.zed\"", "c.zed": "use import\nimport \"b.zed\""},
			[]string{"c.zed:2:8 INCLUDES_MUST_NOT_CIRCLE b.zed -> c.zed -> b.zed"}},
		{"itself", folder{"a.zed": "use import\nimport \"./a.zed\""}, []string{"a.zed:2:8 INCLUDES_MUST_NOT_CIRCLE a.zed -> a.zed"}},
		{"outside", folder{"d/a.zed": "use import\nimport \"../b.zed\"\nimport \"x/../../d.zed\"\nimport \".\"", "b.zed": "", "d.zed": ""},
			[]string{"d/a.zed:2:8 IMPORT_MUST_BE_READABLE outside of the folder of d/a.zed", "d/a.zed:3:8 IMPORT_MUST_BE_READABLE outside", "d/a.zed:4:8 IMPORT_MUST_BE_READABLE outside"}},
		{"no local path", folder{"a.zed": "use import\nimport \"/etc/passwd\"\nimport \"https://x.example/a.zed\"\nimport \"\"\nimport \"b\\c.zed\""},
			[]string{"a.zed:2:8 IMPORT_MUST_BE_READABLE absolute", "a.zed:3:8 IMPORT_MUST_BE_READABLE only local files", "a.zed:4:8 IMPORT_MUST_BE_READABLE no path", "a.zed:5:8 IMPORT_MUST_BE_READABLE no path"}},
		{"form, in every file", folder{"a.zed": "use import\nimport \"b.zed\"\ndefinition {}", "b.zed": "definition user { relation a }\nrole x"},
			[]string{"b.zed:1:30 SCHEMA_MUST_BE_READABLE", "b.zed:2:1 SCHEMA_MUST_BE_READABLE", "a.zed:3:12 SCHEMA_MUST_BE_READABLE"}},
		{"each file says what it uses", folder{"a.zed": "use import\nuse roles\nimport \"b.zed\"", "b.zed": "definition user { roles { a: user } }"},
			[]string{"b.zed:1:19 SCHEMA_MUST_USE_ITS_FEATURES roles"}},
		{"too large", folder{"a.zed": "use import\nimport \"b.zed\"\nimport \"c.zed\"\nimport \"d.zed\"", "b.zed": large, "c.zed": large, "d.zed": large},
			[]string{"a.zed:4:8 SCHEMA_MUST_STAY_WITHIN_BOUNDS too large"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "a.zed"
			if _, there := c.files[path]; !there {
				path = "d/a.zed"
			}
			_, err := schema.Load(path, c.files.read)
			if err == nil {
				t.Fatal("loaded")
			}
			faults := slices.Clone(fault.Of(err).All())
			for _, f := range faults {
				found := slices.ContainsFunc(c.want, func(w string) bool {
					at, fragment, _ := strings.Cut(w, " ")
					rule, fragment, _ := strings.Cut(fragment, " ")
					return f.Place() == at && f.Code.Reason() == rule && strings.Contains(f.Summary, fragment)
				})
				if !found || f.Remedy == "" {
					t.Errorf("not expected: %s %s", f.Code, f.Sentence())
				}
			}
			if len(faults) != len(c.want) {
				t.Errorf("%d faults, want %d", len(faults), len(c.want))
			}
		})
	}
}

func TestAFileThatCannotBeReadIsAFaultOfTheFile(t *testing.T) {
	_, err := schema.Load("gone.zed", folder{}.read)
	if !fault.Is(err, fault.FileMustBeReadable) || fault.Of(err).File != "gone.zed" {
		t.Errorf("error %v", err)
	}
}

// FuzzLoad joins any two files: it ends, and what is joined is read as the two
// were: nothing is lost, and every fault stands in one of them.
func FuzzLoad(f *testing.F) {
	f.Add("use import\nimport \"b.zed\"\ndefinition a {}", "/** x */ use roles; definition b { roles { c: a } }")
	f.Add("use import; import 'b.zed' /* é */; use /*\n*/ partial\npartial p {}", "\uFEFFuse import\r\nimport \"a.zed\"\rdefinition b {}")
	f.Fuzz(func(t *testing.T, a, b string) {
		files := folder{"a.zed": a, "b.zed": b}
		loaded, err := schema.Load("a.zed", files.read)
		if err != nil {
			return
		}
		_, faults := loaded.Compile()
		for _, f := range faults {
			lines := strings.Count(strings.ReplaceAll(files[f.File], "\r", "\n"), "\n") + 1
			if f.File == "" || f.Line < 1 || f.Line > lines {
				t.Fatalf("%s is in no file\n%s", f.Sentence(), loaded.Text)
			}
			if loaded.Joined() && (f.Code == fault.SchemaMustBeReadable || f.Code == fault.SchemaMustBeOneText) {
				t.Fatalf("what was read is not: %s\n%s", f.Sentence(), loaded.Text)
			}
		}
	})
}
