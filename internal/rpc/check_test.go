package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
)

func TestCheckAnswersWhoHoldsWhat(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		object, permission, subject string
		additional                  []string
		granted                     bool
	}{
		{"project:p1", "edit", "user:eve", nil, true},
		{"project:p1", "editor", "user:ana", nil, true}, // by the organization
		{"project:p1", "view", "user:sam", nil, true},   // through two teams
		{"project:p1", "edit", "user:sam", nil, false},
		{"project:p1", "view", "user:mia", nil, true},
		{"project:p1", "view", "user:nobody", nil, false},
		{"project:p1", "view", "user:nobody", []string{"link:l1"}, true},
		{"project:p1", "view", "team:core#member", nil, true},
		{"project:p1", "view", "user:bad", nil, false},
		{"project:p1", "view", "user:bad", []string{"link:l1"}, false},
		{"project:nowhere", "view", "user:ana", nil, false},
		{"team:core", "member", "user:sam", nil, true}, // a relation
	} {
		answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{
			Object: c.object, Permission: c.permission, Subject: c.subject, AdditionalSubjects: c.additional,
		})
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		want := pembav1.Result_RESULT_DENIED
		if c.granted {
			want = pembav1.Result_RESULT_GRANTED
		}
		if answer.GetGranted() != c.granted || answer.GetResult() != want {
			t.Errorf("%v: got %v %v", c, answer.GetGranted(), answer.GetResult())
		}
		if answer.GetSnapshot() == "" || answer.GetExplanation() != nil {
			t.Errorf("%v: snapshot %q, explanation %v", c, answer.GetSnapshot(), answer.GetExplanation())
		}
	}
}

func TestAnUnknownNameIsAnErrorAndAnUnknownIDIsNot(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		object, permission, subject string
		reason                      string
	}{
		{"projekt:p1", "view", "user:ana", "TYPE_MUST_EXIST"},
		{"project:p1", "vew", "user:ana", "NAME_MUST_EXIST"},
		{"project:p1", "view", "usr:ana", "TYPE_MUST_EXIST"},
		{"project:p1", "view", "team:core#membr", "NAME_MUST_EXIST"},
	} {
		_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: c.object, Permission: c.permission, Subject: c.subject})
		r := mustRefuse(t, err, codes.InvalidArgument, c.reason)
		if len(r.metadata) == 0 {
			t.Errorf("%v: no metadata", c)
		}
	}
}

func TestExplainShowsThePath(t *testing.T) {
	w := newWorld(t)
	answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:sam", Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	got := outline(answer.GetExplanation(), 0)
	const want = `
project:p1#view GRANTED ANY_OF
 project:p1#viewer GRANTED MINUS
  project:p1#viewer GRANTED TUPLE project:p1#viewer@team:core#member
   team:core#member GRANTED TUPLE team:core#member@team:sub#member
    team:sub#member GRANTED TUPLE team:sub#member@user:sam
`
	if got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%swant%s", got, want)
	}

	answer, err = w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "edit", Subject: "user:sam", Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	const denied = `
project:p1#edit DENIED ANY_OF
 project:p1#editor DENIED ANY_OF
  project:p1#organization->admin DENIED INHERITED project:p1#organization@organization:acme
   organization:acme#admin DENIED NOTHING
  project:p1#owner DENIED ALL_OF
   project:p1#editor DENIED NOTHING CUT
   project:p1#organization->admin DENIED NOTHING CUT
`
	if got := outline(answer.GetExplanation(), 0); got != strings.TrimPrefix(denied, "\n") {
		t.Errorf("got\n%swant%s", got, denied)
	}
	var openings []string
	for _, x := range answer.GetOpenings() {
		openings = append(openings, x.GetObject()+"#"+x.GetRelation()+"@"+x.GetSubject())
		again, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "edit", Subject: "user:sam", ContextualTuples: []*pembav1.Tuple{x}})
		if err != nil || !again.GetGranted() {
			t.Errorf("%v opens nothing: %v, %v", x, again, err)
		}
	}
	if got := strings.Join(openings, " "); got != "project:p1#editor@user:sam organization:acme#admin@user:sam" {
		t.Errorf("openings are %s", got)
	}
	if quiet, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "edit", Subject: "user:sam"}); err != nil || quiet.GetOpenings() != nil || quiet.GetExplanation() != nil {
		t.Errorf("without explain: %v, %v", quiet, err)
	}
}

// These two are of somebody who is banned, and of a role that needs two things.
func TestADenialSaysWhatTookItAwayAndWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ subject, permission, want string }{
		{"user:bad", "view", `
  project:p1#editor DENIED MINUS
   project:p1#editor GRANTED TUPLE project:p1#editor@user:bad
   project:p1#banned GRANTED TUPLE project:p1#banned@user:bad
`},
		{"user:eve", "owner", `
project:p1#owner DENIED ALL_OF
 project:p1#organization->admin DENIED INHERITED project:p1#organization@organization:acme
  organization:acme#admin DENIED NOTHING
 project:p1#editor GRANTED MINUS
  project:p1#editor GRANTED TUPLE project:p1#editor@user:eve
`},
	} {
		answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: c.permission, Subject: c.subject, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := "\n" + outline(answer.GetExplanation(), 0); !strings.Contains(got, c.want) {
			t.Errorf("%v: got %s", c, got)
		}
	}
	answer, err := w.permissions.EffectiveAccess(t.Context(), &pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: "user:bad", Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := outline(answer.GetExplanation(), 0); !strings.HasPrefix(got, "project:p1# DENIED ANY_OF\n project:p1#viewer DENIED ANY_OF\n  project:p1#editor DENIED MINUS\n") || answer.GetOpenings() != nil {
		t.Errorf("got %s, opened by %v", got, answer.GetOpenings())
	}
}

// outline writes a reason as an indented text.
func outline(r *pembav1.Reason, depth int) string {
	tuple := ""
	if x := r.GetTuple(); x != nil {
		tuple = fmt.Sprintf(" %s#%s@%s", x.GetObject(), x.GetRelation(), x.GetSubject())
	}
	cut := ""
	if r.GetCut() {
		cut = " CUT"
	}
	s := fmt.Sprintf("%s%s#%s %s %s%s%s\n", strings.Repeat(" ", depth), r.GetObject(), r.GetName(),
		strings.TrimPrefix(r.GetResult().String(), "RESULT_"), strings.TrimPrefix(r.GetStep().String(), "STEP_"), tuple, cut)
	for _, b := range r.GetBecause() {
		s += outline(b, depth+1)
	}
	return s
}

func TestALongExplanationIsCutAndSaysSo(t *testing.T) {
	const deep = 100
	w := newEmptyWorld(t, service.Config{})
	var tuples strings.Builder
	long := strings.Repeat("x", 1000)
	for i := range deep {
		fmt.Fprintf(&tuples, "team:%s%d#member@team:%s%d#member\n", long, i, long, i+1)
	}
	fmt.Fprintf(&tuples, "team:%s%d#member@user:ana", long, deep)
	fill(t, w.service, worldSchema, tuples.String())
	answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "team:" + long + "0", Permission: "member", Subject: "user:ana", Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	if !answer.GetGranted() || proto.Size(answer) > explanationBytesMax+10_000 {
		t.Errorf("granted %v, %d bytes", answer.GetGranted(), proto.Size(answer))
	}
	last := answer.GetExplanation()
	for len(last.GetBecause()) > 0 {
		last = last.GetBecause()[0]
	}
	if !last.GetCut() || last.GetStep() == pembav1.Reason_STEP_UNSPECIFIED || last.GetStep() == pembav1.Reason_STEP_NOTHING {
		t.Errorf("ends with %v %v", last.GetStep(), last.GetCut())
	}
}

func TestEffectiveAccessAnswersRoleAndPermissions(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ subject, role, permissions string }{
		{"user:ana", "owner", "view edit"},
		{"user:eve", "editor", "view edit"},
		{"user:sam", "viewer", "view"},
		{"user:bad", "", ""},
		{"user:nobody", "", ""},
	} {
		answer, err := w.permissions.EffectiveAccess(t.Context(), &pembav1.EffectiveAccessRequest{Object: "project:p1", Subject: c.subject, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetRole() != c.role || strings.Join(answer.GetPermissions(), " ") != c.permissions {
			t.Errorf("%s: got %q %v", c.subject, answer.GetRole(), answer.GetPermissions())
		}
		if answer.GetSnapshot() == "" || answer.GetExplanation() == nil {
			t.Errorf("%s: snapshot %q, explanation %v", c.subject, answer.GetSnapshot(), answer.GetExplanation())
		}
		if r := answer.GetExplanation(); c.role != "" && (r.GetName() != "" || r.GetBecause()[0].GetRole() != c.role || r.GetResult() != pembav1.Result_RESULT_GRANTED) {
			t.Errorf("%s: explained by %s", c.subject, outline(r, 0))
		}
	}
}

func TestABatchFailsItemByItem(t *testing.T) {
	w := newWorld(t)
	item := func(object, permission, subject string) *pembav1.BatchCheckItem {
		return &pembav1.BatchCheckItem{Object: object, Permission: permission, Subject: subject}
	}
	answer, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{
		item("project:p1", "edit", "user:eve"),
		item("project:p1", "", "user"),
		item("projekt:p1", "edit", "user:eve"),
		{Object: "project:p1", Permission: "edit", Subject: "user:eve", ContextualTuples: []*pembav1.Tuple{tuple("project:p1", "viewer", "user:eve"), tuple("project:p1", "viewr", "user:eve")}},
		item("project:p1", "edit", "user:sam"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetAnswers()
	if len(got) != 5 || !got[0].GetAnswer().GetGranted() || got[0].GetAnswer().GetResult() != pembav1.Result_RESULT_GRANTED {
		t.Fatalf("got %v", got)
	}
	if a := got[4].GetAnswer(); a.GetGranted() || a.GetResult() != pembav1.Result_RESULT_DENIED {
		t.Errorf("got %v", a)
	}
	for i, want := range map[int]struct {
		code   codes.Code
		reason string
		fields string
	}{
		1: {codes.InvalidArgument, "FIELD_MUST_BE_SET", "permission subject"},
		2: {codes.InvalidArgument, "TYPE_MUST_EXIST", "object"},
		3: {codes.FailedPrecondition, "NOT_IN_SCHEMA", "contextual_tuples[1]"},
	} {
		e := got[i].GetError()
		var fields []string
		for _, v := range e.GetViolations() {
			fields = append(fields, v.GetField())
			if v.GetReason() == "" || v.GetMessage() == "" {
				t.Errorf("item %d: %v", i, v)
			}
		}
		if codes.Code(e.GetCode()) != want.code || e.GetReason() != want.reason || strings.Join(fields, " ") != want.fields || e.GetMessage() == "" {
			t.Errorf("item %d: got %v", i, e)
		}
	}
	if got[2].GetError().GetMetadata()["type"] != "projekt" {
		t.Errorf("got %v", got[2].GetError())
	}
}

func TestTheWorstBatchStillFitsAMessage(t *testing.T) {
	w := newWorld(t)
	wrong := make([]string, presentedMax)
	for i := range wrong {
		wrong[i] = strings.Repeat("\x01", 30)
	}
	items := make([]*pembav1.BatchCheckItem, batchItemsMax)
	for i := range items {
		items[i] = &pembav1.BatchCheckItem{Object: strings.Repeat("\x02", 80), Permission: strings.Repeat("\u200b", 30), Subject: "é", AdditionalSubjects: wrong}
	}
	answer, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: items}) // the client takes 4 MiB
	if err != nil {
		t.Fatal(err)
	}
	last := answer.GetAnswers()[batchItemsMax-1].GetError()
	if n := len(last.GetViolations()); n != itemViolationsMax {
		t.Errorf("%d violations", n)
	}
	// Object, permission, subject, and what is presented.
	if got, want := last.GetMetadata()["violations_omitted"], strconv.Itoa(3+presentedMax-itemViolationsMax); got != want {
		t.Errorf("%s are omitted, want %s", got, want)
	}
}

func TestABudgetIsAnErrorOfItsOwn(t *testing.T) {
	w := newEmptyWorld(t, service.Config{ReadsMax: 3})
	w.fill(t)
	_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:nobody"})
	mustRefuse(t, err, codes.ResourceExhausted, "WALK_MUST_STAY_WITHIN_BUDGET")
	lines := strings.Count(w.logged.String(), "\n")

	// In a batch it is the item's own, and a thousand of them are one line.
	items := make([]*pembav1.BatchCheckItem, batchItemsMax)
	for i := range items {
		items[i] = &pembav1.BatchCheckItem{Object: "project:p1", Permission: "view", Subject: "user:nobody"}
	}
	items[7] = &pembav1.BatchCheckItem{Object: "project:p9", Permission: "none", Subject: "user:nobody"}
	answer, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answer.GetAnswers() {
		if i == 7 {
			if a.GetAnswer().GetResult() != pembav1.Result_RESULT_DENIED {
				t.Errorf("item %d: %v", i, a)
			}
		} else if a.GetError().GetReason() != "WALK_MUST_STAY_WITHIN_BUDGET" || codes.Code(a.GetError().GetCode()) != codes.ResourceExhausted {
			t.Errorf("item %d: %v", i, a)
		}
	}
	if logged := w.logged.String(); strings.Count(logged, "\n") != lines+1 || strings.Contains(logged, "nobody") {
		t.Errorf("the log is %s", logged)
	}
}
