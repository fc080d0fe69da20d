// Package scenariotest runs test files as Go tests: every file against every way
// of asking.
package scenariotest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pemba-io/pemba/internal/scenario"
)

// A Driver is a way of asking, by name. New is called once for every file.
type Driver struct {
	Name string
	New  func(t *testing.T) scenario.Driver
}

// Files runs each file that the pattern matches against each of the drivers. A
// pattern that matches nothing fails: a moved folder must not pass for a good one.
func Files(t *testing.T, pattern string, drivers ...Driver) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := scenario.Read(path, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range drivers {
				t.Run(d.Name, func(t *testing.T) {
					for _, line := range scenario.Run(t.Context(), file, d.New(t)).Failures() {
						t.Error(line)
					}
				})
			}
		})
	}
}
