package examples_test

import (
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/examples"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/schema"
)

func TestEveryFolderIsAnExample(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, entry.Name())
		}
	}
	names := examples.Names()
	slices.Sort(names)
	if !slices.Equal(folders, names) {
		t.Errorf("the folders are %v, the examples %v", folders, names)
	}
}

func TestEveryExampleCompilesAndKeepsItsOwnRules(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			example, err := examples.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			compiled, faults := schema.Compile(example.Schema)
			for _, f := range faults {
				t.Error(f)
			}
			if compiled != nil {
				for _, w := range compiled.Warnings() {
					t.Errorf("warning: %v", w)
				}
			}
			var world embedded.Driver
			defer world.Close()
			if err := world.Load(t.Context(), example.Schema, example.Tuples); err != nil {
				t.Fatal(err)
			}
			if len(example.Tuples) == 0 || len(example.Try) == 0 {
				t.Error("there is nothing to play with")
			}
		})
	}
}

func TestEveryExamplePassesItsTests(t *testing.T) {
	paths, err := fs.Glob(examples.Files(), "*/tests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("no test file is embedded")
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			text, err := fs.ReadFile(examples.Files(), path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := scenario.Read(path, text)
			if err != nil {
				t.Fatal(err)
			}
			var world embedded.Driver
			defer world.Close()
			report := scenario.Run(t.Context(), file, &world)
			for _, line := range report.Failures() {
				t.Error(line)
			}
			if report.Passed() == 0 {
				t.Error("it has no case")
			}
		})
	}
}

func TestAnUnknownExampleIsRefusedWithTheKnownOnes(t *testing.T) {
	_, err := examples.Load("exayrad")
	if err == nil || err.Error() != `there is no example "exayrad"; did you mean exayard? the examples are exayard, blue, blue-client, clickup` {
		t.Error(err)
	}
}
