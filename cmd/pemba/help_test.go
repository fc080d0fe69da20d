package main

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every help text is laid out for columnsMax, and shows how its command is used.
func TestEveryHelpTextFits(t *testing.T) {
	var line commandLine
	parser, err := newParser(&line)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{""}
	for _, command := range parser.Model.Leaves(false) {
		texts = append(texts, command.Path())
	}
	if len(texts) < 12 {
		t.Fatalf("only %q have help", texts)
	}
	for _, path := range texts {
		t.Run(path, func(t *testing.T) {
			said, err := exec.Command("pemba", append(strings.Fields(path), "--help")...).Output()
			if err != nil {
				t.Fatal(err)
			}
			for text := range strings.SplitSeq(string(said), "\n") {
				if n := utf8.RuneCountInString(text); n > columnsMax {
					t.Errorf("%d columns: %s", n, text)
				}
			}
			if path != "" && !strings.Contains(string(said), "\nExamples:\n") {
				t.Error("it has no examples")
			}
		})
	}
}
