package embedded_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
)

func read(t *testing.T, text string) *scenario.File {
	t.Helper()
	file, err := scenario.Read("some.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func driver(t *testing.T) *embedded.Driver {
	t.Helper()
	d := &embedded.Driver{}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

const coveredWorld = `schema: |
  use roles
  definition user {}
  definition group { relation member: user }
  definition folder { relation reader: user }
  definition doc {
    relation folder: folder
    relation banned: user
    relation watcher: user
    roles except banned { viewer: user | group#member; editor: user }
    permission view = viewer + folder->reader
    permission edit = editor
  }
relationships: |
  doc:1#folder@folder:f
  folder:f#reader@user:fay
  doc:1#viewer@group:g#member
  group:g#member@user:ana
  doc:1#editor@user:bad
  doc:1#banned@user:bad
`

// What each kind of case touches, and nothing else.
func TestCasesTouchNames(t *testing.T) {
	for _, c := range []struct{ name, cases, touched string }{
		{"a name that nobody asks for", "", ""},
		{"what an answer leads through", `assertions: {assertTrue: ["doc:1#view@user:ana"]}`,
			"doc#viewer doc#view group#member"},
		{"an arrow, and what it leads to", `assertions: {assertTrue: ["doc:1#view@user:fay"]}`,
			"doc#folder doc#view folder#reader"},
		{"a no, and what it came because of", `assertions: {assertFalse: ["doc:1#edit@user:bad"]}`,
			"doc#banned doc#edit"},
		{"a no that nothing is behind", `assertions: {assertFalse: ["doc:1#edit@user:zoe"]}`, "doc#edit"},
		{"a role", `roles: {"doc:1@user:ana": viewer}`, "doc#viewer group#member"},
		{"no role", `roles: {"doc:1@user:bad": none}`, "doc#banned"},
		{"a write", `writes: [{updates: ["touch doc:1#watcher@user:ana"], expect: accepted}]`, "doc#watcher"},
		{"a refused write", `writes: [{updates: ["create doc:1#banned@user:bad"], expect: refused}]`, "doc#banned"},
		{"what follows on a write", `writes: [{expect: accepted, then: {assertFalse: ["doc:1#watcher@user:zoe"]}}]`, "doc#watcher"},
		{"where listed subjects stand", `validation: {"doc:1#view": []}`, "doc#viewer doc#view folder#reader group#member"},
		{"a question that is an error", `assertions: {assertTrue: ["doc:1#veiw@user:ana"]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var coverage scenario.Coverage
			d := driver(t)
			coverage.Run(t.Context(), read(t, coveredWorld+c.cases+"\n"), d)
			untouched := map[string]bool{}
			for _, u := range coverage.Untouched() {
				for _, n := range u.Names {
					untouched[n.String()] = true
				}
			}
			var touched []string
			for _, n := range d.Names() {
				if !untouched[n.String()] {
					touched = append(touched, n.String())
				}
			}
			want := strings.Fields(c.touched)
			slices.Sort(want)
			slices.Sort(touched)
			if diff := cmp.Diff(strings.Join(want, " "), strings.Join(touched, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const ruledWorld = `schema: |
  use roles
  definition user {}
  definition org { relation member: user }
  definition doc {
    created by org->member
    relation org: org      granted by editor & subject->member
    relation note: user    granted by editor
    roles { viewer: user   granted by editor   revoked by owner
            editor: user   granted by owner except self
            owner: user }
  }
relationships: |
  org:o#member@user:mia
  doc:1#owner@user:olga
  doc:1#editor@user:eva
  doc:1#viewer@user:vic
`

// A rule is touched where it decided on a write of somebody who acts: on its net
// change, or on why it was refused.
func TestWritesOfActorsTouchRules(t *testing.T) {
	const (
		created  = "doc created by org->member"
		org      = "doc#org granted by editor & subject->member"
		note     = "doc#note granted by editor"
		give     = "doc#viewer granted by editor"
		take     = "doc#viewer revoked by owner"
		promote  = "doc#editor granted by owner except self"
		accepted = "accepted"
		refused  = "refused ACTOR_MUST_BE_ALLOWED_TO_GRANT"
	)
	for _, c := range []struct {
		name, actor, updates, expect string
		touched                      []string
	}{
		{"nobody acts", "", `"create doc:1#viewer@user:ana"`, accepted, nil},
		{"what is added", "user:eva", `"create doc:1#viewer@user:ana"`, accepted, []string{give}},
		{"what is taken away", "user:olga", `"delete doc:1#viewer@user:vic"`, accepted, []string{take}},
		{"what is taken away by the rule of giving", "user:olga", `"delete doc:1#editor@user:eva"`, accepted, []string{promote}},
		{"what an assign takes, too", "user:olga", `"assign doc:1#editor@user:vic"`, accepted, []string{promote, take}},
		{"what changes nothing decides nothing", "user:eva", `"touch doc:1#viewer@user:vic"`, accepted, nil},
		{"what is created", "user:mia", `"create doc:2#org@org:o", "create doc:2#note@user:ana"`, accepted, []string{created, org, note}},
		{"what refuses, and not what would let it pass", "user:eva", `"create doc:1#viewer@user:ana", "delete doc:1#viewer@user:vic"`, refused, []string{take}},
		{"all that refuse", "user:zoe", `"delete doc:1#viewer@user:vic", "create doc:1#editor@user:zoe"`, refused, []string{take, promote}},
		{"except self", "user:olga", `"create doc:1#editor@user:olga"`, refused, []string{promote}},
		{"what may not be created", "user:zoe", `"create doc:2#note@user:zoe"`, refused, []string{created}},
		{"without a rule there is none", "user:olga", `"create doc:1#owner@user:ana"`, refused, nil},
		{"what another rule refuses", "user:eva", `"create doc:1#viewer@user:vic"`, "refused ALREADY_EXISTS", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var coverage scenario.Coverage
			d := driver(t)
			write := "writes: [{updates: [" + c.updates + "], expect: " + c.expect
			if c.actor != "" {
				write += ", actor: \"" + c.actor + "\""
			}
			report := coverage.Run(t.Context(), read(t, ruledWorld+write+"}]\n"), d)
			for _, line := range report.Failures() {
				t.Error(line)
			}
			untouched := map[string]bool{}
			for _, u := range coverage.Untouched() {
				for _, n := range u.Names {
					untouched[n.String()] = true
				}
			}
			var touched []string
			for _, n := range d.Names() {
				if n.Kind == "rule" && !untouched[n.String()] {
					touched = append(touched, n.String())
				}
			}
			slices.Sort(touched)
			slices.Sort(c.touched)
			if diff := cmp.Diff(c.touched, touched); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Files with one schema file touch its names together, and one inside each file
// is its own.
func TestFilesShareTheNamesOfTheirSchemaFile(t *testing.T) {
	one := read(t, coveredWorld+`assertions: {assertTrue: ["doc:1#view@user:ana"]}`+"\n")
	two := read(t, coveredWorld+`assertions: {assertFalse: ["doc:1#edit@user:zoe"]}`+"\n")
	var coverage scenario.Coverage
	coverage.Run(t.Context(), one, driver(t))
	coverage.Run(t.Context(), two, driver(t))
	if touched, names := coverage.Counts(); touched != 4 || names != 9 {
		t.Errorf("%d of %d", touched, names)
	}
	two.UseSchema(scenario.Schema{Text: two.Schema.Text, Path: "other.zed"})
	coverage.Run(t.Context(), two, driver(t))
	if touched, names := coverage.Counts(); touched != 5 || names != 18 {
		t.Errorf("%d of %d", touched, names)
	}
	if untouched := coverage.Untouched(); len(untouched) != 2 || untouched[1].Schema != "other.zed" {
		t.Errorf("%v", untouched)
	}
}
