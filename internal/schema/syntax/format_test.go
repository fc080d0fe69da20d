package syntax

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestFormat(t *testing.T) {
	for _, path := range files(t, "format/*.zed") {
		t.Run(caseName(path), func(t *testing.T) {
			text := read(t, path)
			if !formatKeepsItsPromises(t, text) {
				_, faults := Parse(text)
				t.Fatal(faults[0])
			}
			got, _ := Format(text)
			golden := strings.TrimSuffix(path, ".zed") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(read(t, golden), got); diff != "" {
				t.Errorf("%s differs (run with -update and read the difference):\n%s", filepath.Base(golden), diff)
			}
		})
	}
}

func TestLineEndsOfOtherSystemsAreFormattedToo(t *testing.T) {
	text := read(t, "testdata/format/comments.zed")
	want := read(t, "testdata/format/comments.golden")
	for _, newline := range []string{"\r\n", "\r"} {
		got, faults := Format(byteOrderMark + strings.ReplaceAll(text, "\n", newline))
		if len(faults) > 0 {
			t.Fatal(faults[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %q it differs:\n%s", newline, diff)
		}
	}
}

func TestWhatCannotBeReadIsNotFormatted(t *testing.T) {
	got, faults := Format("definition user {}\ndefinition {}\n")
	if got != "" || len(faults) != 1 || faults[0].Line != 2 {
		t.Errorf("Format = %q, %v; want nothing and one fault on line 2", got, faults)
	}
}

func TestNoLineIsLongerThanItHasToBe(t *testing.T) {
	for _, path := range files(t, "format/*.golden") {
		for i, line := range strings.Split(read(t, path), "\n") {
			switch {
			case strings.TrimRight(line, " \t") != line:
				t.Errorf("%s:%d ends with white space", path, i+1)
			case width(line) > lineMax && !strings.Contains(line, "//") && !strings.Contains(line, "/*"):
				t.Errorf("%s:%d has %d columns", path, i+1, width(line))
			}
		}
	}
}
