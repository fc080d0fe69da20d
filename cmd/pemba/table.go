package main

import (
	"strings"
	"time"
	"unicode/utf8"
)

// What is printed for people is laid out for this many columns. A reference is
// never broken, so one that is longer stands over.
const columnsMax = 80

// A row is a label and what it says, each entry on a line of its own.
type row struct {
	label   string
	entries []string
}

// labelWidth is the width of the labels' column; the longest is "permissions".
const labelWidth = 11

// row prints a label, and beside it its entries, those that are lists broken
// after commas.
func (a *app) row(r row) {
	label := r.label
	for _, entry := range r.entries {
		for _, line := range broken(entry, columnsMax-labelWidth-2) {
			a.line("%-*s  %s", labelWidth, label, line)
			label = ""
		}
	}
}

// broken parts a list after its commas into lines of a width.
func broken(list string, width int) []string { return brokenAt(list, ", ", width) }

// brokenAt parts a text after a separator into lines of a width.
func brokenAt(list, separator string, width int) []string {
	if utf8.RuneCountInString(list) <= width {
		return []string{list}
	}
	var lines []string
	line := ""
	for i, word := range strings.SplitAfter(list, separator) {
		if i > 0 && utf8.RuneCountInString(line+strings.TrimSpace(word)) > width {
			lines = append(lines, strings.TrimSpace(line))
			line = ""
		}
		line += word
	}
	return append(lines, line)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
