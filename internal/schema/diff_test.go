package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/schema"
)

const beforeDiff = `use roles
definition user {}
definition org { relation member: user }
/** doc is a document. */
definition doc {
  relation org: org [1]
  relation banned: user granted by editor
  roles { viewer: user; editor: user }
  permission view = viewer
}
/** hours are ours. */
caveat hours(hour int, opens int) { hour > opens }`

func TestDiffNamesWhatIsNotAlike(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"nothing", "", "", ""},
		{"layout and comments", "relation org: org [1]", "// one\n  relation   org : org [1]", ""},
		{"a definition is added", "definition user {}", "definition user {}\ndefinition link {}", `link#: "" -> "definition link"`},
		{"a definition's doc", "a document", "a text", `doc#: "doc is a document." -> "doc is a text."`},
		{"a subject form", "viewer: user;", "viewer: user | user:*;", `doc#viewer: "" -> "user:*"`},
		{"a multiplicity", "org [1]", "org [0..2]", `doc#org: "[1]" -> "[0..2]"`},
		{"a permission's expression", "= viewer", "= editor", `doc#view: "permission view = viewer" -> "permission view = editor"`},
		{"a permission's types", "view = viewer", "view: user | org = viewer", `doc#view: "permission view = viewer" -> "permission view: user | org = viewer"`},
		{"the ladder's order", "viewer: user; editor: user", "editor: user; viewer: user", `doc#: "viewer < editor" -> "editor < viewer"`},
		{"a rule, and its copy", "granted by editor", "granted by editor except self", `doc#banned: "editor" -> "editor except self"; doc#banned: "editor" -> "editor except self"`},
		{"a relation that becomes a permission", "relation member: user", "permission member = nil",
			`org#member: "relation member" -> ""; org#member: "user" -> ""; org#member: "" -> "permission member = nil"`},
		{"one role per subject", "roles {", "roles one per subject {", `doc#: "" -> "roles one per subject"`},
		{"a caveat is added", "definition user {}", "caveat c(x int, y int) { x > y }\ndefinition user {}", `c#: "" -> "caveat c(x int, y int) { x > y }"; c#x: "" -> "x int"; c#y: "" -> "y int"`},
		{"a caveat is taken out", "caveat hours(hour int, opens int) { hour > opens }", "", `hours#: "caveat hours(hour int, opens int) { hour > opens }" -> ""; hours#: "hours are ours." -> ""; hours#hour: "hour int" -> ""; hours#opens: "opens int" -> ""`},
		{"a caveat's layout", "hour > opens", "(\n  hour > opens // in UTC\n)", ""},
		{"the order of its parameters", "hour int, opens int", "opens int, hour int", ""},
		{"its condition", "hour > opens", "hour >= opens", `hours#: "caveat hours { hour > opens }" -> "caveat hours { hour >= opens }"`},
		{"its doc", "hours are ours", "hours are yours", `hours#: "hours are ours." -> "hours are yours."`},
		{"a parameter's type", "opens int", "opens uint", `hours#opens: "opens int" -> "opens uint"`},
		{"a parameter is renamed", "hour int, opens int) { hour > opens", "hour int, open int) { hour > open", `hours#: "caveat hours { hour > opens }" -> "caveat hours { hour > open }"; hours#open: "" -> "open int"; hours#opens: "opens int" -> ""`},
		{"except", "roles {", "roles except banned {", `doc#: "" -> "banned"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := strings.Replace(beforeDiff, c.from, c.to, 1)
			var got []string
			for _, d := range schema.Diff(mustCompile(t, beforeDiff), mustCompile(t, after)) {
				got = append(got, fmt.Sprintf("%s#%s: %q -> %q", d.Definition, d.Name, d.Before, d.After))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("difference is\n%s, want\n%s", s, c.want)
			}
		})
	}
}

func TestDiffToNothingRemovesEverything(t *testing.T) {
	s := mustCompile(t, beforeDiff)
	added, removed := schema.Diff(nil, s), schema.Diff(s, nil)
	if len(added) != len(removed) || len(added) < 10 {
		t.Fatalf("%d added, %d removed", len(added), len(removed))
	}
	for i := range added {
		if added[i].Before != "" || removed[i].After != "" || added[i].After != removed[i].Before {
			t.Errorf("added %+v, removed %+v", added[i], removed[i])
		}
	}
}
