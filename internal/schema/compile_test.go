package schema_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// TestErrorsStandOnTheLineThatCausesThem reads schemas in which every wrong line
// says what is wrong with it: "### RULE: fragment of the sentence", and several
// of them split by " ### ". A line with "##? " says so of a warning. Nothing else may be reported.
func TestErrorsStandOnTheLineThatCausesThem(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(raw), "\n----\n") {
			name, text, _ := strings.Cut(strings.TrimSpace(part), "\n")
			t.Run(fmt.Sprintf("%s/%d %s", filepath.Base(path), i, strings.TrimPrefix(name, "// ")), func(t *testing.T) {
				expectOnLines(t, text)
			})
		}
	}
}

func expectOnLines(t *testing.T, text string) {
	t.Helper()
	var clean []string
	expected := make(map[int][]string)
	warned := make(map[int][]string)
	for i, line := range strings.Split(text, "\n") {
		line, warning, _ := strings.Cut(line, "##? ")
		line, marks, found := strings.Cut(line, "### ")
		if found {
			expected[i+1] = strings.Split(marks, " ### ")
		}
		if warning != "" {
			warned[i+1] = strings.Split(warning, " ##? ")
		}
		clean = append(clean, strings.TrimRight(line, " "))
	}
	s, faults := schema.Compile(strings.Join(clean, "\n"))
	matchLines(t, "error", faults, expected)
	if s != nil {
		matchLines(t, "warning", s.Warnings(), warned)
	}
}

func matchLines(t *testing.T, what string, faults []*fault.Fault, expected map[int][]string) {
	t.Helper()
	for _, f := range faults {
		found := false
		for i, want := range expected[f.Line] {
			rule, fragment, _ := strings.Cut(want, ": ")
			if f.Code.Reason() == rule && strings.Contains(f.Summary+"; "+f.Remedy, strings.TrimSpace(fragment)) {
				expected[f.Line] = append(expected[f.Line][:i], expected[f.Line][i+1:]...)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("%s not expected: %s: %s", what, f.Code, f.Sentence())
		}
		if f.Remedy == "" {
			t.Errorf("%s without a remedy: %s", what, f.Sentence())
		}
	}
	for line, missing := range expected {
		for _, m := range missing {
			t.Errorf("line %d: no %s %q", line, what, m)
		}
	}
}

func mustCompile(t *testing.T, text string) *schema.Schema {
	t.Helper()
	s, faults := schema.Compile(text)
	for _, f := range faults {
		t.Errorf("%s: %s", f.Code, f.Sentence())
	}
	if s == nil {
		t.FailNow()
	}
	return s
}

func TestExamplesCompileWithoutWarnings(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/schema.zed")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d examples, %v; want 4", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range mustCompile(t, string(text)).Warnings() {
			t.Errorf("%s: %s", path, w.Sentence())
		}
	}
}

func TestALadderIsListedLowestFirst(t *testing.T) {
	s := mustCompile(t, `use roles
definition user {}
definition doc { roles { viewer: user; editor: user; owner: user } }`)
	var got []string
	for _, r := range s.Definition("doc").Ladder() {
		got = append(got, string(r.Name))
	}
	if want := "viewer editor owner"; strings.Join(got, " ") != want {
		t.Errorf("ladder is %v, want %s", got, want)
	}
}

func TestWhatIsExcludedLiesInALowerStratum(t *testing.T) {
	s := mustCompile(t, `
definition user {}
definition team { relation member: user | team#member }
definition doc {
  relation viewer: user | team#member
  relation banned: user | team#member
  relation muted: user
  permission out = banned - muted
  permission view = viewer - out
}`)
	d := s.Definition("doc")
	stratum := func(name rel.Name) int { return d.Plan(d.Name(name).Slot).Stratum }
	if !(stratum("muted") < stratum("out") && stratum("out") < stratum("view")) {
		t.Errorf("muted %d, out %d, view %d do not rise", stratum("muted"), stratum("out"), stratum("view"))
	}
	if stratum("banned") > stratum("out") || s.Strata() != 3 {
		t.Errorf("banned %d, out %d, %d strata", stratum("banned"), stratum("out"), s.Strata())
	}
}

func TestASlotIsSharedByEqualArrows(t *testing.T) {
	s := mustCompile(t, `
definition user {}
definition org { relation admin: user }
definition doc {
  relation org: org
  permission a = org->admin
  permission b = org->admin + org->admin
}`)
	if got := s.Definition("doc").Slots(); got != 4 {
		t.Errorf("doc has %d slots, want 4: org, a, b and one arrow", got)
	}
}

// FuzzCompile feeds any text to the compiler: it ends, it does not panic, and it
// gives a schema or says why not, in source order.
func FuzzCompile(f *testing.F) {
	examples, _ := filepath.Glob("../../examples/*/schema.zed")
	for _, path := range examples {
		if text, err := os.ReadFile(path); err == nil {
			f.Add(string(text))
		}
	}
	f.Add("use roles\ndefinition a { roles except b { c: a#c = d->c; inherit from d } relation b: a; relation d: a [1] }")
	f.Add("definition a { permission b = b - b }")
	f.Add("caveat c(x list<int>, y any) {\n x.all(z, z > y) }\ndefinition a { relation b: a with c }")
	f.Fuzz(func(t *testing.T, text string) {
		s, faults := schema.Compile(text)
		if (s == nil) == (len(faults) == 0) {
			t.Fatalf("schema %v and %d faults", s != nil, len(faults))
		}
		for i, fa := range faults {
			if fa.Line < 1 || fa.Column < 1 || fa.Summary == "" {
				t.Errorf("fault without a place or a sentence: %+v", fa)
			}
			if i > 0 && (fa.Line < faults[i-1].Line || fa.Line == faults[i-1].Line && fa.Column < faults[i-1].Column) {
				t.Errorf("faults out of order: %s after %s", fa.Place(), faults[i-1].Place())
			}
		}
	})
}

// A hostile text is refused by a bound; it is not worked through first.
func TestBoundsOfASchema(t *testing.T) {
	for _, c := range []struct {
		name, text string
		faults     int
	}{
		{"forms of one relation", "definition user {}\ndefinition doc { relation a: " + strings.Repeat("user | ", 4000) + "user }", 1},
		{"forms written twice", "definition user {}\ndefinition doc { relation a: " + strings.Repeat("user | ", 99) + "user }", 99},
		{"names of a type", "definition user {}\ndefinition doc {\n" + strings.Repeat("relation a%: user\n", 300) + "}", 1},
		{"names and arrows of a type", "definition user { relation x: user\n" + strings.Repeat("permission p% = x->q%\n", 200) + "}", 1},
		{"caveats", strings.Repeat("caveat c%(x int) { x > 1 }\n", 501), 1},
		{"what is wrong in caveats", strings.Repeat("caveat c%(x int) { y + z > 1 }\n", 80), 100},
		{"conditions of caveats", strings.Repeat("caveat c%(x int) { x > 1"+strings.Repeat(" && x > 1000000000", 400)+" }\n", 20), 1},
		{"text that partials stand for", "use partial\ndefinition user {}\npartial p {\n" + strings.Repeat("relation a%: "+strings.Repeat("user | ", 100)+"user\n", 10) + "}\n" + strings.Repeat("definition d% { ...p }\n", 200), 1},
		{"hops of an arrow", "definition user { relation r: user\npermission p = r" + strings.Repeat("->r", 9000) + " }", 1},
		{"definitions", strings.Repeat("definition d% {}\n", 1001), 1},
		{"members of partials", "use partial\ndefinition user {}\npartial p {\n" + strings.Repeat("relation a%: user\n", 900) + "}\n" + strings.Repeat("definition d% { ...p }\n", 900), 1},
		{"partials", "use partial\n" + strings.Repeat("partial p% { }\n", 1001), 1},
		{"names that are not there", "definition doc {\n" + strings.Repeat("permission p% = nope%\n", 250) + "}", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.text
			for i := 0; strings.Contains(text, "%"); i++ { // each line numbers its own
				line := strings.Index(text, "%")
				end := strings.IndexByte(text[line:], '\n') + line
				text = text[:line] + strings.ReplaceAll(text[line:end], "%", fmt.Sprint(i)) + text[end:]
			}
			s, faults := schema.Compile(text)
			if s != nil || len(faults) != c.faults {
				t.Fatalf("schema %v, %d faults, want %d; first %v", s != nil, len(faults), c.faults, faults)
			}
		})
	}
}

// Each partial includes the next one twice: written out, there would be 2^60 names.
func TestPartialsThatDoubleAreNotWrittenOut(t *testing.T) {
	var text strings.Builder
	text.WriteString("use partial\ndefinition user { ...p0 }\npartial p60 { relation a: user }\n")
	for i := range 60 {
		fmt.Fprintf(&text, "partial p%d { ...p%d; ...p%d }\n", i, i+1, i+1)
	}
	_, faults := schema.Compile(text.String())
	if len(faults) != 60 {
		t.Fatalf("%d faults, want one for each partial that comes in twice; %v", len(faults), faults)
	}
}

// Each hop of these arrows leads from all types to all types. They are counted in
// permissions, which are compiled, and in rules, which are only looked through.
func TestBoundOnTheStepsOfArrows(t *testing.T) {
	types := make([]string, 200)
	for i := range types {
		types[i] = fmt.Sprintf("t%d", i)
	}
	for _, reads := range []string{"permission p = %s", "relation p: t0 granted by %s"} {
		var text strings.Builder
		text.WriteString("use roles\n")
		for _, typ := range types {
			fmt.Fprintf(&text, "definition %s { relation r: %s }\n", typ, strings.Join(types, "|"))
		}
		fmt.Fprintf(&text, "definition doc { relation r: t0\n"+reads+" }", "r"+strings.Repeat("->r", 1000))
		_, faults := schema.Compile(text.String())
		if len(faults) != 1 || faults[0].Code != fault.SchemaMustStayWithinBounds || !strings.Contains(faults[0].Summary, "steps") {
			t.Errorf(reads+": %v", "…", faults)
		}
	}
}

// Each permission reads the next one twice: there are 2^60 ways to the role.
func TestPermissionsThatDoubleAreRankedOnce(t *testing.T) {
	var text strings.Builder
	text.WriteString("use roles\ndefinition user {}\ndefinition doc {\nroles { low: user granted by low\nhigh: user granted by p0 }\npermission p60 = low\n")
	for i := range 60 {
		fmt.Fprintf(&text, "permission p%d = p%d + p%d\n", i, i+1, i+1)
	}
	text.WriteString("}")
	s, faults := schema.Compile(text.String())
	if len(faults) > 0 || len(s.Warnings()) != 1 || s.Warnings()[0].Code != fault.LowerRoleShouldNotGrant {
		t.Fatalf("faults %v, warnings %v", faults, s.Warnings())
	}
}
