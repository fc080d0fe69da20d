package main

import (
	"slices"
	"strings"
	"testing"
)

func TestListsBreakAfterCommasAndLoseNothing(t *testing.T) {
	list := strings.TrimSuffix(strings.Repeat("permission_name, ", 20), ", ")
	lines := broken(list, 40)
	for _, line := range lines {
		if len(line) > 40 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if got := strings.Join(lines, " "); got != list {
		t.Errorf("%q became %q", list, got)
	}
}

func TestWhatIsLongerThanALineIsNotBroken(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", 100), strings.Repeat("x", 100) + ", y"} {
		got := broken(text, 40)
		want := strings.SplitAfter(text, ", ")
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q became %q", text, got)
		}
	}
}
