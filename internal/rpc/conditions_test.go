package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

const conditionsSchema = `use roles
use expiration

definition user {}

definition team {
  relation member: user | user with office_hours
}

caveat office_hours(now int, opens int, closes int) {
  opens <= now && now < closes
}

definition doc {
  roles {
    viewer: user | user with office_hours | user with expiration | team#member with office_hours
    editor: user | user with office_hours and expiration
  }
  permission view = viewer
  permission edit = editor
}
`

const conditionsTuples = `
doc:1#viewer@user:ana[office_hours:{"opens":9,"closes":18}]
doc:1#editor@user:bob[office_hours:{"opens":9,"closes":18}][expiration:2027-01-01T00:00:00Z]
doc:1#viewer@user:bob
doc:1#viewer@user:joe[expiration:2027-06-01T00:00:00.5Z]
doc:1#viewer@team:core#member[office_hours]
team:core#member@user:sam[office_hours:{"closes":24}]
`

// newConditions is a world with caveats and expirations, at the end of 2026.
func newConditions(t testing.TB) (*world, *clock) {
	c := clockAt(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))
	w := newEmptyWorld(t, service.Config{DB: openDB(t, tupledb.Config{Clock: c.now})})
	fill(t, w.service, conditionsSchema, conditionsTuples)
	return w, c
}

func structOf(t testing.TB, values map[string]any) *structpb.Struct {
	t.Helper()
	if values == nil {
		return nil
	}
	s, err := structpb.NewStruct(values)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// missingText writes open conditions, each as "CAVEAT TUPLE PARAMETERS".
func missingText(missing []*pembav1.Missing) string {
	var all []string
	for _, m := range missing {
		k := m.GetTuple()
		text := fmt.Sprintf("%s %s#%s@%s %s", m.GetCaveat(), k.GetObject(), k.GetRelation(), k.GetSubject(), strings.Join(m.GetParameters(), ","))
		if m.GetProblem() != "" {
			text += "problem"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func TestACaveatIsDecidedByWhatTheRequestBrings(t *testing.T) {
	w, _ := newConditions(t)
	const granted, denied, open = pembav1.Result_RESULT_GRANTED, pembav1.Result_RESULT_DENIED, pembav1.Result_RESULT_CONDITIONAL
	questions := []struct {
		subject, permission string
		context             map[string]any
		result              pembav1.Result
		missing             string
	}{
		{"user:ana", "view", nil, open, "office_hours doc:1#viewer@user:ana now"},
		{"user:ana", "view", map[string]any{"other": 1}, open, "office_hours doc:1#viewer@user:ana now"},
		{"user:ana", "view", map[string]any{"now": 9}, granted, ""},
		{"user:ana", "view", map[string]any{"now": "9"}, granted, ""},
		{"user:ana", "view", map[string]any{"now": 18}, denied, ""},
		{"user:ana", "view", map[string]any{"now": 5, "opens": 0}, denied, ""}, // the tuple's own wins
		{"user:ana", "view", map[string]any{"now": true}, open, "office_hours doc:1#viewer@user:ana problem"},
		{"user:ana", "edit", nil, denied, ""},
		{"user:bob", "view", nil, granted, ""},
		{"user:bob", "edit", nil, open, "office_hours doc:1#editor@user:bob now"},
		{"user:sam", "view", nil, open, "office_hours doc:1#viewer@team:core#member closes,now,opens; office_hours team:core#member@user:sam now,opens"},
		{"user:sam", "view", map[string]any{"now": 8, "opens": 8}, open, "office_hours doc:1#viewer@team:core#member closes"},
		{"user:sam", "view", map[string]any{"now": 8, "opens": 8, "closes": 9}, granted, ""},
		{"user:sam", "view", map[string]any{"now": 7, "opens": 8}, denied, ""},
	}
	batch := new(pembav1.BatchCheckRequest)
	for _, q := range questions {
		answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "doc:1", Permission: q.permission, Subject: q.subject, Context: structOf(t, q.context)})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetResult() != q.result || answer.GetGranted() != (q.result == granted) || missingText(answer.GetMissing()) != q.missing {
			t.Errorf("%v: got %v, %s", q, answer.GetResult(), missingText(answer.GetMissing()))
		}
		batch.Items = append(batch.Items, &pembav1.BatchCheckItem{Object: "doc:1", Permission: q.permission, Subject: q.subject, Context: structOf(t, q.context)})
	}

	// In a batch each item has a context of its own.
	answer, err := w.permissions.BatchCheck(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range questions {
		a := answer.GetAnswers()[i].GetAnswer()
		if a.GetResult() != q.result || a.GetGranted() != (q.result == granted) || missingText(a.GetMissing()) != q.missing {
			t.Errorf("in a batch, %v: got %v", q, answer.GetAnswers()[i])
		}
	}
}

func TestAccessTellsWhatHangsOnACondition(t *testing.T) {
	w, _ := newConditions(t)
	for _, c := range []struct {
		subject                      string
		context                      map[string]any
		role, permissions            string
		conditionalRole, conditional string
		missing                      string
		until                        string
	}{
		{"user:bob", nil, "viewer", "view", "editor", "edit", "office_hours doc:1#editor@user:bob now", "2027-01-01T00:00:00Z"},
		{"user:bob", map[string]any{"now": 9}, "editor", "view edit", "", "", "", "2027-01-01T00:00:00Z"},
		{"user:ana", nil, "", "", "viewer", "view", "office_hours doc:1#viewer@user:ana now", ""},
		{"user:joe", nil, "viewer", "view", "", "", "", "2027-06-01T00:00:00.5Z"},
		{"user:nobody", nil, "", "", "", "", "", ""},
	} {
		answer, err := w.permissions.EffectiveAccess(t.Context(), &pembav1.EffectiveAccessRequest{Object: "doc:1", Subject: c.subject, Context: structOf(t, c.context)})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetRole() != c.role || strings.Join(answer.GetPermissions(), " ") != c.permissions ||
			answer.GetConditionalRole() != c.conditionalRole || strings.Join(answer.GetConditionalPermissions(), " ") != c.conditional ||
			missingText(answer.GetMissing()) != c.missing || untilText(answer.GetValidUntil()) != c.until {
			t.Errorf("%s: got %v", c.subject, answer)
		}
	}
}

func untilText(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

func TestATupleCountsUntilItExpires(t *testing.T) {
	w, c := newConditions(t)
	ask := func() (*pembav1.CheckResponse, *pembav1.CheckAnswer) {
		t.Helper()
		question := &pembav1.CheckRequest{Object: "doc:1", Permission: "view", Subject: "user:joe"}
		answer, err := w.permissions.Check(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{{Object: "doc:1", Permission: "view", Subject: "user:joe"}}})
		if err != nil {
			t.Fatal(err)
		}
		return answer, batch.GetAnswers()[0].GetAnswer()
	}
	const until = "2027-06-01T00:00:00.5Z"
	for _, now := range []time.Time{c.now(), time.Date(2027, 6, 1, 0, 0, 0, 499_999_000, time.UTC)} {
		c.set(now)
		if one, batched := ask(); !one.GetGranted() || untilText(one.GetValidUntil()) != until || !batched.GetGranted() || untilText(batched.GetValidUntil()) != until {
			t.Errorf("at %v: got %v and %v", now, one, batched)
		}
	}
	c.set(time.Date(2027, 6, 1, 0, 0, 0, 500_000_000, time.UTC))
	if one, batched := ask(); one.GetGranted() || one.ValidUntil != nil || batched.GetGranted() || batched.ValidUntil != nil {
		t.Errorf("afterwards: got %v and %v", one, batched)
	}
	list, err := w.tuples.ReadTuples(t.Context(), readWith(&pembav1.TupleFilter{SubjectType: "user", SubjectId: "joe"}))
	if err != nil || len(list.GetTuples()) != 0 {
		t.Errorf("it is listed still: %v, %v", list, err)
	}
}

func TestContextualTuplesCountForOneRequest(t *testing.T) {
	w, _ := newConditions(t)
	brought := func(texts ...string) []*pembav1.Tuple {
		t.Helper()
		var tuples []*pembav1.Tuple
		for _, text := range texts {
			read, err := rel.ParseTuple(text)
			if err != nil {
				t.Fatal(err)
			}
			tuples = append(tuples, tupleToProto(read))
		}
		return tuples
	}
	check := func(subject string, tuples ...string) *pembav1.CheckResponse {
		t.Helper()
		answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "doc:1", Permission: "view", Subject: subject, ContextualTuples: brought(tuples...), Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	joined := check("user:new", "doc:1#viewer@user:new[expiration:2026-12-02T00:00:00Z]")
	if !joined.GetGranted() || untilText(joined.GetValidUntil()) != "2026-12-02T00:00:00Z" {
		t.Errorf("got %v", joined)
	}
	reason := joined.GetExplanation()
	for reason.GetTuple() == nil && len(reason.GetBecause()) > 0 {
		reason = reason.GetBecause()[0]
	}
	if !reason.GetContextual() || untilText(reason.GetTuple().GetExpiresAt()) != "2026-12-02T00:00:00Z" {
		t.Errorf("the reason is %v", reason)
	}
	if check("user:new").GetGranted() {
		t.Error("it counts for the next request, too")
	}
	// One with a stored tuple's key stands in its place; one whose time has passed
	// takes it away.
	if a := check("user:ana", "doc:1#viewer@user:ana"); !a.GetGranted() {
		t.Errorf("got %v", a)
	}
	if a := check("user:joe", "doc:1#viewer@user:joe[expiration:2026-01-01T00:00:00Z]"); a.GetResult() != pembav1.Result_RESULT_DENIED {
		t.Errorf("got %v", a)
	}

	batch, err := w.permissions.BatchCheck(t.Context(), &pembav1.BatchCheckRequest{Items: []*pembav1.BatchCheckItem{
		{Object: "doc:1", Permission: "view", Subject: "user:new", ContextualTuples: brought("doc:1#viewer@user:new")},
		{Object: "doc:1", Permission: "view", Subject: "user:new"},
	}})
	if err != nil || !batch.GetAnswers()[0].GetAnswer().GetGranted() || batch.GetAnswers()[1].GetAnswer().GetResult() != pembav1.Result_RESULT_DENIED {
		t.Errorf("got %v, %v", batch, err)
	}
	access, err := w.permissions.EffectiveAccess(t.Context(), &pembav1.EffectiveAccessRequest{Object: "doc:1", Subject: "user:new", ContextualTuples: brought("doc:1#editor@user:new")})
	if err != nil || access.GetRole() != "editor" {
		t.Errorf("got %v, %v", access, err)
	}
	for text, field := range map[string]string{
		"doc:1#viewr@user:x":                        "contextual_tuples[1]",
		"doc:1#view@user:x":                         "contextual_tuples[1]",
		"doc:1#viewer@team:core#member":             "contextual_tuples[1]", // only with the caveat
		"doc:1#viewer@user:x[nope]":                 "contextual_tuples[1]",
		`doc:1#viewer@user:x[office_hours:{"x":1}]`: "contextual_tuples[1]",
	} {
		_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "doc:1", Permission: "view", Subject: "user:x", ContextualTuples: brought("doc:1#viewer@user:x", text)})
		r := mustRefuse(t, err, codes.FailedPrecondition, "NOT_IN_SCHEMA")
		if fields := r.fields(); !slices.Equal(fields, []string{field}) {
			t.Errorf("%s: the violations are in %q", text, fields)
		}
	}
}

func TestWritesCarryAttributesThrough(t *testing.T) {
	w, _ := newConditions(t)
	changed := func(updates ...*pembav1.Update) []string {
		t.Helper()
		answer, err := w.tuples.Write(t.Context(), goodWrite(updates...))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range answer.GetChanges() {
			var f form
			all = append(all, strings.TrimPrefix(c.GetOperation().String(), "OPERATION_")+" "+f.tuple(c.GetTuple()).String())
			if err := f.err(); err != nil {
				t.Fatal(err)
			}
		}
		if n := answer.GetCreatedCount() + answer.GetTouchedCount() + answer.GetDeletedCount(); n != uint64(len(all)) {
			t.Errorf("%d changes are counted, of %q", n, all)
		}
		return all
	}
	hours := func() *pembav1.Tuple {
		return caveated(tuple("doc:2", "viewer", "user:ana"), "office_hours", structOf(t, map[string]any{"opens": 9}))
	}
	until := func(year int) *pembav1.Tuple {
		return expiring(tuple("doc:2", "viewer", "user:ana"), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), 0)
	}
	for _, c := range []struct {
		update *pembav1.Update
		want   string
	}{
		{create(hours()), `CREATED doc:2#viewer@user:ana[office_hours:{"opens":9}]`},
		{touch(hours()), ""},
		{touch(until(2027)), "TOUCHED doc:2#viewer@user:ana[expiration:2027-01-01T00:00:00Z]"},
		{touch(until(2028)), "TOUCHED doc:2#viewer@user:ana[expiration:2028-01-01T00:00:00Z]"},
		{deleteTuple(key("doc:2", "viewer", "user:ana")), "DELETED doc:2#viewer@user:ana[expiration:2028-01-01T00:00:00Z]"},
	} {
		if got := strings.Join(changed(c.update), "; "); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for _, c := range []struct{ tuple *pembav1.Tuple }{
		{caveated(tuple("doc:2", "viewer", "user:ana"), "nope", nil)},
		{caveated(tuple("doc:2", "viewer", "user:ana"), "office_hours", structOf(t, map[string]any{"opens": true}))},
		{expiring(tuple("doc:2", "editor", "user:ana"), 1_900_000_000, 0)},
		{tuple("doc:2", "viewer", "team:core#member")},
	} {
		_, err := w.tuples.Write(t.Context(), goodWrite(touch(tuple("doc:2", "viewer", "user:ana")), touch(c.tuple)))
		if r := mustRefuse(t, err, codes.FailedPrecondition, "NOT_IN_SCHEMA"); !slices.Equal(r.fields(), []string{"updates[1].touch"}) {
			t.Errorf("the violations are in %q", r.fields())
		}
	}

	list, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range list.GetTuples() {
		var f form
		got = append(got, f.tuple(x).String())
	}
	want := strings.Fields(conditionsTuples)
	slices.Sort(got)
	slices.Sort(want)
	for i, text := range want { // as it is stored, names in order
		read, err := rel.ParseTuple(text)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = read.String()
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAPreconditionBringsItsContext(t *testing.T) {
	w, _ := newConditions(t)
	for _, c := range []struct {
		context map[string]any
		holds   bool
	}{
		{nil, false}, // a conditional answer is not enough
		{map[string]any{"now": 20}, false},
		{map[string]any{"now": 9}, true},
	} {
		request := goodWrite(touch(tuple("doc:3", "viewer", "user:ana")))
		request.Preconditions = []*pembav1.Precondition{mustHold(&pembav1.PermissionCondition{Object: "doc:1", Permission: "view", Subject: "user:ana", Context: structOf(t, c.context)})}
		_, err := w.tuples.Write(t.Context(), request)
		if c.holds != (err == nil) {
			t.Errorf("%v: %v", c.context, err)
		}
		if err != nil {
			mustRefuse(t, err, codes.FailedPrecondition, "PRECONDITION_MUST_HOLD")
		}
	}
}

func TestExplanationsAndTreesShowAttributes(t *testing.T) {
	w, _ := newConditions(t)
	answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Object: "doc:1", Permission: "edit", Subject: "user:bob", Context: structOf(t, map[string]any{"now": 9}), Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	reason := answer.GetExplanation()
	for reason.GetTuple() == nil && len(reason.GetBecause()) > 0 {
		reason = reason.GetBecause()[0]
	}
	tree, err := w.permissions.Expand(t.Context(), &pembav1.ExpandRequest{Object: "doc:1", Permission: "editor"})
	if err != nil {
		t.Fatal(err)
	}
	edges := tree.GetTree()
	for edges.GetOperator() != pembav1.UsersetTree_OPERATOR_STORED {
		edges = edges.GetOperands()[0]
	}
	const want = `doc:1#editor@user:bob[office_hours:{"closes":18,"opens":9}][expiration:2027-01-01T00:00:00Z]`
	for _, x := range []*pembav1.Tuple{reason.GetTuple(), edges.GetEdges()[0].GetTuple()} {
		var f form
		if got := f.tuple(x).String(); got != want || f.err() != nil || reason.GetContextual() {
			t.Errorf("got %s", got)
		}
	}
}

// A page of tuples with large contexts is short, and none is lost.
func TestAPageOfLargeContextsFitsAMessage(t *testing.T) {
	const all = 120
	sixteen := rel.TupleContextBytesMax - len(`{"x":[1]}`)
	numbers, err := rel.ParseContext(`{"x":[` + strings.Repeat("1,", sixteen/2) + `1]}`)
	if err != nil {
		t.Fatal(err)
	}
	w := newStoreWorld(t, "")
	if _, err := w.store.Update(t.Context(), func(*tupledb.Snapshot) (tupledb.Commit, error) {
		c := tupledb.Commit{Put: make([]rel.Tuple, all)}
		for i := range c.Put {
			c.Put[i] = rel.Tuple{Key: rel.Key{Object: rel.Trusted("project", fmt.Sprint("large", i)), Relation: "viewer", Subject: rel.Of(rel.Trusted("user", "ana"))}, Caveat: rel.Caveat{Name: "c", Context: numbers}}
		}
		return c, nil
	}); err != nil {
		t.Fatal(err)
	}
	read, pages := map[string]bool{}, 0
	request := &pembav1.ReadTuplesRequest{PageSize: service.PageSizeMax, Filter: &pembav1.TupleFilter{ObjectType: "project", ObjectIdPrefix: "large"}}
	for more := true; more; pages++ {
		response, err := w.tuples.ReadTuples(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range response.GetTuples() {
			read[x.GetObject()] = true
		}
		request.PageToken = response.GetNextPageToken()
		more = request.GetPageToken() != ""
		if size := proto.Size(response); size > answerBytesMax+1000 || more && size < answerBytesMax*9/10 {
			t.Errorf("a page of %d bytes", size)
		}
	}
	if len(read) != all || pages < 3 {
		t.Errorf("%d tuples on %d pages", len(read), pages)
	}
}

// A thousand items that each hang on a hundred conditions are answered, each with
// its share of them.
func TestTheMostConditionalBatchFitsAMessage(t *testing.T) {
	long := strings.Repeat("x", 1000)
	var missing []engine.Missing
	for i := range 100 {
		missing = append(missing, engine.Missing{
			Tuple:      rel.Key{Object: rel.Trusted("doc", fmt.Sprint(i, long)), Relation: "viewer", Subject: rel.Of(rel.Trusted("user", long))},
			Caveat:     "office_hours",
			Parameters: []string{"now", "opens"},
		})
	}
	outcome := service.BatchOutcome{Answer: engine.Answer{Result: engine.Conditional, Missing: missing}}
	answer := service.BatchAnswer{Outcomes: slices.Repeat([]service.BatchOutcome{outcome}, batchItemsMax)}
	response := new(permissionServer).batchResponse(t.Context(), answer)
	if size := proto.Size(response); size > answerBytesMax+100_000 {
		t.Errorf("%d bytes", size)
	}
	for i, a := range response.GetAnswers() {
		if len(a.GetAnswer().GetMissing()) == 0 || a.GetAnswer().GetGranted() {
			t.Fatalf("item %d: %v", i, a)
		}
	}
	answer.Outcomes = answer.Outcomes[:1]
	if shown := new(permissionServer).batchResponse(t.Context(), answer).GetAnswers()[0].GetAnswer().GetMissing(); len(shown) != 100 {
		t.Errorf("a batch of one shows %d", len(shown))
	}
	if shown := missingToProto(missing, missingBytesMax); len(shown) != 100 {
		t.Errorf("a check shows %d", len(shown))
	}
}
