package schema_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/schema"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestSentences is the catalogue: every sentence that the tests of errors and
// warnings provoke, whole, so that a change of words is read by somebody. The
// other tests compare rules, places and fragments.
func TestSentences(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var all []string
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(raw), "\n----\n") {
			s, faults := schema.Compile(withoutMarks(part))
			if s != nil {
				faults = s.Warnings()
			}
			for _, f := range faults {
				all = append(all, fmt.Sprintf("%s\n  %s\n  do: %s\n", f.Code, f.Summary, f.Remedy))
			}
		}
	}
	slices.Sort(all)
	got := strings.Join(slices.Compact(all), "")
	const golden = "testdata/sentences.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the sentences differ (run with -update and read the difference):\n%s", diff)
	}
}

// withoutMarks is a case's schema, without its title and what it expects.
func withoutMarks(part string) string {
	_, text, _ := strings.Cut(strings.TrimSpace(part), "\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line, _, _ = strings.Cut(line, "##? ")
		line, _, _ = strings.Cut(line, "### ")
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
