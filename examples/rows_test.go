package examples_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/examples"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
)

// A system is one whose statements have numbers, its rows.
type system struct {
	letter string
	rows   int
	// examples are the folders in which a case must speak of each row.
	examples []string
	// acted are the rows that say who does something: a case of each is accepted to
	// somebody who acts, and one is refused.
	acted []int
}

var systems = []system{
	{"E", 14, []string{"exayard"}, []int{1, 2, 3, 4, 5, 9, 11, 12, 13, 14}},
	{"B", 17, []string{"blue"}, []int{2, 3, 4, 5, 9, 10, 11, 13, 14, 15, 16, 17}},
	{"K", 6, []string{"blue-client"}, []int{1, 3, 4, 5}},
	{"C", 15, []string{"clickup"}, []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
	{"A", 22, []string{"clickup"}, []int{2, 3, 4, 7, 11, 12, 14, 16, 19}},
}

// Every statement of the three systems is shown by a case that is named after it.
// What B12 says of history, B17 of the list and E13 of its preview is shown by
// scripts of the command line, and what they say of access by cases here.
func TestEveryRowHasACase(t *testing.T) {
	for _, s := range systems {
		for _, example := range s.examples {
			shown := rowsShown(t, example)
			for n := 1; n <= s.rows; n++ {
				row := fmt.Sprintf("%s%d", s.letter, n)
				got, named := shown[row]
				switch {
				case !named:
					t.Errorf("%s: no case is named after %s", example, row)
				case slices.Contains(s.acted, n) && !(got.accepted && got.refused):
					t.Errorf("%s: of %s somebody who acts is accepted: %t, and somebody refused: %t", example, row, got.accepted, got.refused)
				}
			}
		}
	}
}

var rowName = regexp.MustCompile(`^([A-Z][0-9]+): .`)

// A shown is what cases show of a row of those who act.
type shown struct{ accepted, refused bool }

// rowsShown are the rows that the names of an example's cases begin with.
func rowsShown(t *testing.T, example string) map[string]shown {
	t.Helper()
	rows := map[string]shown{}
	for _, file := range testFiles(t, example) {
		for _, w := range file.Writes {
			m := rowName.FindStringSubmatch(w.Name)
			if m == nil {
				t.Errorf("%s:%d: the case %q is named after no row", file.Path, w.Line, w.Name)
				continue
			}
			row := rows[m[1]]
			if !w.Actor.IsZero() {
				row.accepted = row.accepted || w.Expect.Accepted
				row.refused = row.refused || w.Expect.Reason == fault.ActorMustBeAllowedToGrant
			}
			rows[m[1]] = row
		}
	}
	return rows
}

// testFiles are the test files of an example.
func testFiles(t *testing.T, example string) []*scenario.File {
	t.Helper()
	paths, err := fs.Glob(examples.Files(), example+"/tests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("%s has no test file", example)
	}
	var files []*scenario.File
	for _, path := range paths {
		text, err := fs.ReadFile(examples.Files(), path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := scenario.Read(path, text)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// The two readings of the client differ in what a client creates (B5) and in whom
// it lets in (B9). All else that is promised of the one holds for the other.
func TestTheReadingsOfTheClientAgreeOnTheRest(t *testing.T) {
	other, err := examples.Load("blue-client")
	if err != nil {
		t.Fatal(err)
	}
	differ := []string{
		"B9: a client does not assign view_only",
		"B9: a client does not assign comment_only",
		"B9: a client does not assign client",
	}
	var differed []string
	for _, file := range testFiles(t, "blue") {
		file.UseSchema(scenario.Schema{Text: other.Schema, Path: "blue-client/schema.zed"})
		var world embedded.Driver
		report := scenario.Run(t.Context(), file, &world)
		if err := world.Close(); err != nil {
			t.Error(err)
		}
		if report.Err != nil {
			t.Error(report.Failures())
		}
		b5 := strings.HasPrefix(file.Path, "blue/tests/b05_")
		for _, r := range report.Results {
			switch {
			case r.Passed:
			case slices.Contains(differ, r.Case):
				differed = append(differed, r.Case)
			case !b5:
				t.Error(r)
			}
		}
		if b5 && report.Failed() == 0 {
			t.Errorf("%s: a client creates records in both readings", file.Path)
		}
	}
	if !slices.Equal(differed, differ) {
		t.Errorf("the readings differ in %q", differed)
	}
}

// Every rule on who may write decides on some write of an example's tests. Those of
// blue-client are shown by the tests of blue, too.
func TestEveryRuleOfAnExampleIsShown(t *testing.T) {
	for _, name := range examples.Names() {
		example, err := examples.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		files := testFiles(t, name)
		if name == "blue-client" {
			files = append(files, testFiles(t, "blue")...)
		}
		var coverage scenario.Coverage
		for _, file := range files {
			file.UseSchema(scenario.Schema{Text: example.Schema, Path: name})
			var world embedded.Driver
			if report := coverage.Run(t.Context(), file, &world); report.Err != nil {
				t.Error(report.Failures())
			}
			if err := world.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, u := range coverage.Untouched() {
			for _, n := range u.Names {
				if n.Rule != "" {
					t.Errorf("%s: no write of the tests is decided by %s", name, n)
				}
			}
		}
	}
}
