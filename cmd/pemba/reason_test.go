package main

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

// explained makes a reason about doc:1#name.
func explained(name string, step pembav1.Reason_Step, because ...*pembav1.Reason) *pembav1.Reason {
	return &pembav1.Reason{Object: "doc:1", Name: name, Result: pembav1.Result_RESULT_GRANTED, Step: step, Because: because}
}

func stored(relation, subject string, because ...*pembav1.Reason) *pembav1.Reason {
	r := explained(relation, pembav1.Reason_STEP_TUPLE, because...)
	r.Tuple = &pembav1.Tuple{Object: "doc:1", Relation: relation, Subject: subject}
	return r
}

func denial(name string, step pembav1.Reason_Step, because ...*pembav1.Reason) *pembav1.Reason {
	r := explained(name, step, because...)
	r.Result = pembav1.Result_RESULT_DENIED
	return r
}

// changed is a reason with something set.
func changed(r *pembav1.Reason, change func(*pembav1.Reason)) *pembav1.Reason {
	change(r)
	return r
}

func goesOn(r *pembav1.Reason)    { r.Cut = true }
func isDenied(r *pembav1.Reason)  { r.Result = pembav1.Result_RESULT_DENIED }
func isOpen(r *pembav1.Reason)    { r.Result = pembav1.Result_RESULT_CONDITIONAL }
func wasSent(r *pembav1.Reason)   { r.Contextual = true }
func isFalse(r *pembav1.Reason)   { r.Result, r.ConditionFalse = pembav1.Result_RESULT_DENIED, true }
func isAViewer(r *pembav1.Reason) { r.Role = "viewer" }

func TestReasonsAsText(t *testing.T) {
	long := "user:" + strings.Repeat("x", 60)
	for _, c := range []struct {
		name       string
		reason     *pembav1.Reason
		path, tree string
	}{
		{"none was sent", nil, "", ""},
		{"a denial that is cut", changed(denial("view", pembav1.Reason_STEP_NOTHING), goesOn), "", "no   doc:1#view …"},
		{"a denial of what nothing gives", denial("view", pembav1.Reason_STEP_NOTHING), "", "no   doc:1#view, which nothing gives"},
		{
			"a renaming is no step of the path",
			explained("view", pembav1.Reason_STEP_ANY_OF, explained("viewer", pembav1.Reason_STEP_ROLE_BELOW, stored("editor", "user:ana"))),
			"doc:1#editor@user:ana",
			"yes  doc:1#view, by|yes  doc:1#viewer, a role below|yes  doc:1#editor@user:ana",
		},
		{
			"what two things give together is two paths",
			explained("view", pembav1.Reason_STEP_ALL_OF, stored("viewer", "user:ana"), stored("member", "user:ana")),
			"both|  doc:1#viewer@user:ana|and|  doc:1#member@user:ana",
			"yes  doc:1#view, by all of|yes  - doc:1#viewer@user:ana|yes  - doc:1#member@user:ana",
		},
		{
			"three of them, and one that needs no other",
			explained("view", pembav1.Reason_STEP_ALL_OF,
				stored("a", "user:ana"), stored("b", "user:ana"), explained("c", pembav1.Reason_STEP_ALL_OF, stored("c", "user:ana"))),
			"all of|  doc:1#a@user:ana|and|  doc:1#b@user:ana|and|  doc:1#c@user:ana",
			"yes  doc:1#view, by all of|yes  - doc:1#a@user:ana|yes  - doc:1#b@user:ana|yes  - doc:1#c, by all of|yes    doc:1#c@user:ana",
		},
		{
			"what did not take access away",
			explained("view", pembav1.Reason_STEP_MINUS, stored("viewer", "user:ana")),
			"doc:1#viewer@user:ana",
			"yes  doc:1#view, which nothing takes away, by|yes  doc:1#viewer@user:ana",
		},
		{
			"what did",
			denial("view", pembav1.Reason_STEP_MINUS, stored("viewer", "user:ana"), stored("banned", "user:ana")),
			"",
			"no   doc:1#view, taken away: the first, less the second|yes  - doc:1#viewer@user:ana|yes  - doc:1#banned@user:ana",
		},
		{
			"what may",
			changed(explained("view", pembav1.Reason_STEP_MINUS, stored("viewer", "user:ana"), changed(stored("banned", "user:ana"), isOpen)), isOpen),
			"doc:1#viewer@user:ana",
			"if   doc:1#view, may be taken away: the first, less the second|yes  - doc:1#viewer@user:ana|if   - doc:1#banned@user:ana",
		},
		{
			"what may, of a long reference",
			changed(explained(strings.Repeat("v", 40), pembav1.Reason_STEP_MINUS, stored("viewer", "user:ana"), changed(stored("banned", "user:ana"), isOpen)), isOpen),
			"doc:1#viewer@user:ana",
			"if   doc:1#" + strings.Repeat("v", 40) + ", may be taken away:|       the first, less the second|yes  - doc:1#viewer@user:ana|if   - doc:1#banned@user:ana",
		},
		{
			"what nothing takes away, and is cut before it says so",
			changed(explained("view", pembav1.Reason_STEP_MINUS), goesOn),
			"…",
			"yes  doc:1#view …",
		},
		{
			"the userset itself",
			explained("viewer", pembav1.Reason_STEP_ITSELF),
			"doc:1#viewer is what asks",
			"yes  doc:1#viewer, which is what asks",
		},
		{
			"a tree that goes on",
			explained("view", pembav1.Reason_STEP_ANY_OF, changed(explained("viewer", pembav1.Reason_STEP_ANY_OF), goesOn)),
			"…",
			"yes  doc:1#view, by|yes  doc:1#viewer, by …",
		},
		{
			"runners-up, what hangs on a condition, what a false one took, and more",
			changed(explained("view", pembav1.Reason_STEP_ANY_OF,
				changed(stored("viewer", "user:ana", changed(explained("x", pembav1.Reason_STEP_ITSELF), isAViewer)), wasSent),
				changed(stored("viewer", "link:l1"), isAViewer),
				changed(stored("viewer", "link:l2"), isOpen),
				changed(stored("viewer", "link:l3"), isFalse),
			), func(r *pembav1.Reason) { r.Cut, r.Omitted = true, 7 }),
			"doc:1#viewer@user:ana (sent with the question)|doc:1#x is what asks",
			"yes  doc:1#view, by any of|yes  - doc:1#viewer@user:ana (sent with the question)|yes    doc:1#x, which is what asks|" +
				"yes  - doc:1#viewer@link:l1 (role viewer)|if   - doc:1#viewer@link:l2|no   - doc:1#viewer@link:l3 (its condition is false)|     - … 7 more",
		},
		{
			"a part without a name",
			denial("view", pembav1.Reason_STEP_ALL_OF,
				changed(denial("", pembav1.Reason_STEP_ANY_OF, denial("a", pembav1.Reason_STEP_NOTHING), denial("b", pembav1.Reason_STEP_NOTHING)), isDenied),
				stored("c", "user:ana")),
			"",
			"no   doc:1#view, needs all of|no   - one of|no     - doc:1#a, which nothing gives|no     - doc:1#b, which nothing gives|yes  - doc:1#c@user:ana",
		},
		{
			"such a part alone",
			explained("view", pembav1.Reason_STEP_MINUS, explained("", pembav1.Reason_STEP_ANY_OF, stored("a", "user:ana"), stored("b", "user:ana"))),
			"doc:1#a@user:ana",
			"yes  doc:1#view, which nothing takes away, by any of|yes  - doc:1#a@user:ana|yes  - doc:1#b@user:ana",
		},
		{
			"an object as a whole",
			explained("", pembav1.Reason_STEP_ANY_OF, changed(stored("editor", "user:ana"), isAViewer), changed(stored("viewer", "user:ana"), isAViewer)),
			"doc:1#editor@user:ana",
			"yes  - doc:1#editor@user:ana (role viewer)|yes  - doc:1#viewer@user:ana (role viewer)",
		},
		{
			"a note that does not fit beside a long reference",
			changed(stored("viewer", long), wasSent),
			"doc:1#viewer@" + long + " (sent with the question)",
			"yes  doc:1#viewer@" + long + "|       (sent with the question)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(pathLines(c.reason), "|"); got != c.path {
				t.Errorf("path:\n%s", strings.ReplaceAll(got, "|", "\n"))
			}
			if got := strings.Join(treeLines(c.reason), "|"); got != c.tree {
				t.Errorf("tree:\n%s", strings.ReplaceAll(got, "|", "\n"))
			}
		})
	}
}

// However deep a path is and however often it branches, a tree stays on the screen.
func TestADeepTreeIsNotIndentedBeyondTheScreen(t *testing.T) {
	chain, branching := stored("viewer", "user:ana"), stored("viewer", "user:ana")
	for range 60 {
		chain = stored("viewer", "team:core#member", chain)
		branching = explained("view", pembav1.Reason_STEP_ALL_OF, stored("a", "user:ana"), branching)
	}
	for _, r := range []*pembav1.Reason{chain, branching} {
		for _, line := range treeLines(r) {
			if n := utf8.RuneCountInString(line); n > treeWidth {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestTuplesAreWrittenWithTheirConditions(t *testing.T) {
	hours, err := structpb.NewStruct(map[string]any{"opens": 9, "closes": 18})
	if err != nil {
		t.Fatal(err)
	}
	got := tupleText(&pembav1.Tuple{
		Object: "doc:1", Relation: "viewer", Subject: "user:ana",
		Caveat:    &pembav1.Caveat{Name: "office_hours", Context: hours},
		ExpiresAt: timestamppb.New(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
	})
	if got != `doc:1#viewer@user:ana[office_hours:{"closes":18,"opens":9}][expiration:2027-01-01T00:00:00Z]` {
		t.Error(got)
	}
}

func TestDifferencesBetweenSchemas(t *testing.T) {
	kind := func(k pembav1.SchemaDifference_Kind, e pembav1.SchemaDifference_Element, definition, name, before, after string) *pembav1.SchemaDifference {
		return &pembav1.SchemaDifference{Kind: k, Element: e, Definition: definition, Name: name, Before: before, After: after}
	}
	got := differenceLines([]*pembav1.SchemaDifference{
		kind(pembav1.SchemaDifference_KIND_ADDED, pembav1.SchemaDifference_ELEMENT_DEFINITION, "team", "", "", "definition team"),
		kind(pembav1.SchemaDifference_KIND_ADDED, pembav1.SchemaDifference_ELEMENT_RELATION, "team", "member", "", "relation member"),
		kind(pembav1.SchemaDifference_KIND_ADDED, pembav1.SchemaDifference_ELEMENT_ALLOWED_SUBJECT, "doc", "viewer", "", "team#member"),
		kind(pembav1.SchemaDifference_KIND_CHANGED, pembav1.SchemaDifference_ELEMENT_PERMISSION, "doc", "view", "permission view = a", "permission view = a\n  + b"),
		kind(pembav1.SchemaDifference_KIND_REMOVED, pembav1.SchemaDifference_ELEMENT_CREATED_BY, "doc", "", "parent->edit", ""),
	})
	want := []string{
		"added     definition team",
		"added     doc#viewer: allowed subject team#member",
		"changed   doc#view: permission view = a",
		"to        doc#view: permission view = a + b",
		"removed   doc: created by parent->edit",
	}
	if !slices.Equal(got, want) {
		t.Error(strings.Join(got, "\n"))
	}
}

// The texts of a context can hold what a terminal would obey, and are still read back.
func TestContextsAreHarmlessToATerminal(t *testing.T) {
	given, err := structpb.NewStruct(map[string]any{"x": "\u009b31m \u202e \U000e0041 ü\U0001f600"})
	if err != nil {
		t.Fatal(err)
	}
	got := tupleText(&pembav1.Tuple{Object: "doc:1", Relation: "viewer", Subject: "user:ana", Caveat: &pembav1.Caveat{Name: "c", Context: given}})
	if want := `doc:1#viewer@user:ana[c:{"x":"\u009b31m \u202e \udb40\udc41 ü😀"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	read, err := rel.ParseTuple(got)
	if err != nil || !proto.Equal(tupleMessage(read).GetCaveat().GetContext(), given) {
		t.Errorf("it reads back as %v, %v", read, err)
	}
}
