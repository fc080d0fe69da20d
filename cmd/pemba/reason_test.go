package main

import (
	"slices"
	"strings"
	"testing"
	"time"

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

func TestReasonsAsText(t *testing.T) {
	denied := explained("banned", pembav1.Reason_STEP_NOTHING)
	denied.Result = pembav1.Result_RESULT_DENIED
	denial := explained("view", pembav1.Reason_STEP_NOTHING)
	denial.Result, denial.Cut = pembav1.Result_RESULT_DENIED, true
	cut := explained("viewer", pembav1.Reason_STEP_ANY_OF)
	cut.Cut = true
	open := stored("viewer", "user:ana")
	open.Result = pembav1.Result_RESULT_CONDITIONAL
	open.Contextual = true
	runnerUp := stored("viewer", "link:l1")
	runnerUp.Role = "viewer"
	for _, c := range []struct {
		name       string
		reason     *pembav1.Reason
		path, tree []string
	}{
		{"none was sent", nil, nil, []string{"why not is not shown in this release"}},
		{"a denial without reasons, cut or not", denial, nil, []string{"why not is not shown in this release"}},
		{
			"a renaming is no step of the path",
			explained("view", pembav1.Reason_STEP_ANY_OF, explained("viewer", pembav1.Reason_STEP_ROLE_BELOW, stored("editor", "user:ana"))),
			[]string{"doc:1#editor@user:ana"},
			[]string{"yes  doc:1#view, by", "yes    doc:1#viewer, a role below", "yes      doc:1#editor@user:ana"},
		},
		{
			"what two things give together is two paths",
			explained("view", pembav1.Reason_STEP_ALL_OF, stored("viewer", "user:ana"), stored("member", "user:ana")),
			[]string{"both", "  doc:1#viewer@user:ana", "and", "  doc:1#member@user:ana"},
			[]string{"yes  doc:1#view, by all of", "yes    doc:1#viewer@user:ana", "yes    doc:1#member@user:ana"},
		},
		{
			"three of them, and one that needs no other",
			explained("view", pembav1.Reason_STEP_ALL_OF,
				stored("a", "user:ana"), stored("b", "user:ana"), explained("c", pembav1.Reason_STEP_ALL_OF, stored("c", "user:ana"))),
			[]string{"all of", "  doc:1#a@user:ana", "and", "  doc:1#b@user:ana", "and", "  doc:1#c@user:ana"},
			[]string{"yes  doc:1#view, by all of", "yes    doc:1#a@user:ana", "yes    doc:1#b@user:ana", "yes    doc:1#c, by all of", "yes      doc:1#c@user:ana"},
		},
		{
			"what did not take access away is not on the path",
			explained("view", pembav1.Reason_STEP_MINUS, stored("viewer", "user:ana"), denied),
			[]string{"doc:1#viewer@user:ana"},
			[]string{"yes  doc:1#view, by the first less the second", "yes    doc:1#viewer@user:ana", "no     doc:1#banned"},
		},
		{
			"the userset itself",
			explained("viewer", pembav1.Reason_STEP_ITSELF),
			[]string{"doc:1#viewer is what asks"},
			[]string{"yes  doc:1#viewer, which is what asks"},
		},
		{
			"a tree that goes on",
			explained("view", pembav1.Reason_STEP_ANY_OF, cut),
			[]string{"…"},
			[]string{"yes  doc:1#view, by", "yes    doc:1#viewer, by …"},
		},
		{
			"conditions and runners-up",
			explained("view", pembav1.Reason_STEP_ANY_OF, open, runnerUp),
			[]string{"doc:1#viewer@user:ana (sent with the question)"},
			[]string{"yes  doc:1#view, by", "if     doc:1#viewer@user:ana (sent with the question)", "yes    doc:1#viewer@link:l1 (role viewer)"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := pathLines(c.reason); !slices.Equal(got, c.path) {
				t.Errorf("path:\n%s", strings.Join(got, "\n"))
			}
			if got := treeLines(c.reason); !slices.Equal(got, c.tree) {
				t.Errorf("tree:\n%s", strings.Join(got, "\n"))
			}
		})
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
