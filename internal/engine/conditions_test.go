package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

const guarded = `
use roles
use expiration
caveat at_least(have int, need int) { have >= need }
caveat safe(ratio int, by int) { ratio / by > 1 }
definition user {}
definition team { relation member: user | user with at_least | team#member | team#member with at_least }
definition doc {
  relation parent: doc | doc with at_least
  relation banned: user with at_least
  relation approver: team | team with at_least
  roles except banned {
    viewer: user | user with at_least | user with expiration | team#member | team#member with at_least | user with safe | user:* with at_least
    editor: user | user with at_least | user with at_least and expiration
    inherit from parent
  }
  permission view = viewer
  permission edit = editor
  permission both = viewer & editor
  permission signed = approver.all(member)
}`

func given(t testing.TB, text string) func(*engine.Question) {
	t.Helper()
	c, err := rel.ParseContext(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(q *engine.Question) { q.Context = c }
}

func bringing(t testing.TB, now time.Time, texts ...string) func(*engine.Question) {
	t.Helper()
	var tuples []rel.Tuple
	for _, text := range texts {
		tuple, err := rel.ParseTuple(text)
		if err != nil {
			t.Fatal(err)
		}
		tuples = append(tuples, tuple)
	}
	return func(q *engine.Question) { q.Contextual, q.Time = tuples, now }
}

// missingText is what an answer hangs on, as "tuple parameters", one after another.
func missingText(all []engine.Missing) string {
	var texts []string
	for _, m := range all {
		text := m.Tuple.String() + " " + strings.Join(m.Parameters, ",")
		if m.Problem != "" {
			text += "!"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// A conditional answer names every open condition that it hangs on, and none that
// it does not.
func TestAConditionalAnswerSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name, tuples, context, question string
		want                            engine.Result
		missing                         string
	}{
		{"nothing is open", `doc:d#viewer@user:ana[at_least:{"need":3}]`, `{"have":5}`, "view", engine.Granted, ""},
		{"it is false", `doc:d#viewer@user:ana[at_least:{"need":3}]`, `{"have":2}`, "view", engine.Denied, ""},
		{"one parameter", `doc:d#viewer@user:ana[at_least:{"need":3}]`, `{}`, "view", engine.Conditional, "doc:d#viewer@user:ana have"},
		{"the tuple's own wins", `doc:d#viewer@user:ana[at_least:{"need":3,"have":1}]`, `{"have":9,"need":0}`, "view", engine.Denied, ""},
		{"both sides of a union", `doc:d#viewer@user:ana[at_least:{"need":3}] doc:d#editor@user:ana[at_least:{"need":5}]`, `{}`, "view", engine.Conditional,
			"doc:d#editor@user:ana have; doc:d#viewer@user:ana have"},
		{"only the open side of a union", `doc:d#viewer@user:ana[at_least:{"need":3}] doc:d#editor@user:ana[at_least:{"need":9,"have":1}]`, `{}`, "view", engine.Conditional, "doc:d#viewer@user:ana have"},
		{"a certain side decides", `doc:d#viewer@user:ana[at_least:{"need":3}] doc:d#editor@user:ana`, `{}`, "view", engine.Granted, ""},
		{"a denied side of an intersection decides", `doc:d#viewer@user:ana[at_least:{"need":3}]`, `{}`, "both", engine.Denied, ""},
		{"a group and its member", `doc:d#viewer@team:t#member[at_least:{"need":3}] team:t#member@user:ana[at_least:{"need":4}]`, `{}`, "view", engine.Conditional,
			"doc:d#viewer@team:t#member have; team:t#member@user:ana have"},
		{"a group that the user is not in", `doc:d#viewer@team:t#member[at_least:{"need":3}] doc:d#viewer@user:ana[at_least:{"need":4}]`, `{}`, "view", engine.Conditional, "doc:d#viewer@user:ana have"},
		{"a group in itself", `doc:d#viewer@team:t#member team:t#member@team:u#member[at_least:{"need":1}] team:u#member@team:t#member team:u#member@user:ana[at_least:{"need":2}]`, `{}`, "view", engine.Conditional,
			"team:t#member@team:u#member have; team:u#member@user:ana have"},
		{"a ban that hangs", `doc:d#viewer@user:ana doc:d#banned@user:ana[at_least:{"need":3}]`, `{}`, "view", engine.Conditional, "doc:d#banned@user:ana have"},
		{"and one that is certain", `doc:d#viewer@user:ana[at_least:{"need":3}] doc:d#banned@user:ana[at_least:{"need":0,"have":1}]`, `{}`, "view", engine.Denied, ""},
		{"a ban and what it takes", `doc:d#viewer@user:ana[at_least:{"need":3}] doc:d#banned@user:ana[at_least:{"need":9}]`, `{}`, "view", engine.Conditional,
			"doc:d#banned@user:ana have; doc:d#viewer@user:ana have"},
		{"on an arrow", `doc:d#parent@doc:e[at_least:{"need":3}] doc:e#viewer@user:ana`, `{}`, "view", engine.Conditional, "doc:d#parent@doc:e have"},
		{"behind an arrow", `doc:d#parent@doc:e doc:e#viewer@user:ana[at_least:{"need":3}]`, `{}`, "view", engine.Conditional, "doc:e#viewer@user:ana have"},
		{"all of several", `doc:d#approver@team:t[at_least:{"need":3}] doc:d#approver@team:u team:t#member@user:ana team:u#member@user:ana[at_least:{"need":4}]`, `{}`, "signed", engine.Conditional,
			"doc:d#approver@team:t have; team:u#member@user:ana have"},
		{"all of several, one false", `doc:d#approver@team:t[at_least:{"need":3,"have":0}] doc:d#approver@team:u team:t#member@user:ana team:u#member@user:ana`, `{}`, "signed", engine.Denied, ""},
		{"all of several, one not in", `doc:d#approver@team:t[at_least:{"need":3}] doc:d#approver@team:u team:t#member@user:ana`, `{}`, "signed", engine.Denied, ""},
		{"an evaluation error", `doc:d#viewer@user:ana[safe]`, `{"ratio":4,"by":0}`, "view", engine.Conditional, "doc:d#viewer@user:ana !"},
		{"a wrong type", `doc:d#viewer@user:ana[at_least:{"need":3}]`, `{"have":"many"}`, "view", engine.Conditional, "doc:d#viewer@user:ana !"},
		{"a wildcard", `doc:d#viewer@user:*[at_least:{"need":3}]`, `{}`, "view", engine.Conditional, "doc:d#viewer@user:* have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := expect(t, newWorld(t, guarded, strings.Fields(c.tuples)...).walk("user:ana", given(t, c.context)), "doc:d#"+c.question, c.want)
			if got := missingText(answer.Missing); got != c.missing {
				t.Errorf("missing %q, want %q", got, c.missing)
			}
		})
	}
}

func TestConditionalRolesStandAboveCertainOnes(t *testing.T) {
	w := newWorld(t, guarded, "doc:d#viewer@user:ana", `doc:d#editor@user:ana[at_least:{"need":3}]`)
	access, err := w.walk("user:ana").Access(context.Background(), object(t, "doc:d"))
	if err != nil {
		t.Fatal(err)
	}
	if access.Role != "viewer" || access.ConditionalRole != "editor" || !slices.Equal(access.Permissions, []rel.Name{"view"}) ||
		!slices.Equal(access.ConditionalPermissions, []rel.Name{"edit", "both"}) || missingText(access.Missing) != "doc:d#editor@user:ana have" {
		t.Errorf("%+v", access)
	}
	low := newWorld(t, guarded, `doc:d#viewer@user:ana[at_least:{"need":3}]`, "doc:d#editor@user:ana")
	if access, err = low.walk("user:ana").Access(context.Background(), object(t, "doc:d")); err != nil || access.Role != "editor" || access.ConditionalRole != "" || len(access.Missing) > 0 {
		t.Errorf("a lower role that hangs: %+v, %v", access, err)
	}
}

// Where nothing is certain, the reason is that of what may be.
func TestAccessExplainsWhatHangsOnAConditionWhereNothingIsCertain(t *testing.T) {
	for _, c := range []struct {
		name, tuples, reason string
		result               engine.Result
	}{
		{"the highest role", `doc:d#viewer@user:ana[at_least:{"need":1}] doc:d#editor@user:ana[at_least:{"need":3}]`, `doc:d#editor@user:ana[at_least:{"need":3}]`, engine.Conditional},
		{"a role by a permission alone", `doc:d#approver@team:t team:t#member@user:ana[at_least:{"need":3}]`, `doc:d#approver@team:t team:t#member@user:ana[at_least:{"need":3}]`, engine.Conditional},
		{"a certain permission before", `doc:d#approver@team:t team:t#member@user:ana doc:d#editor@user:ana[at_least:{"need":3}]`, `doc:d#approver@team:t team:t#member@user:ana`, engine.Granted},
		{"a certain role before", `doc:d#viewer@user:ana doc:d#editor@user:ana[at_least:{"need":3}]`, `doc:d#viewer@user:ana`, engine.Granted},
		{"nothing", ``, ``, engine.Denied},
	} {
		access, err := newWorld(t, guarded, strings.Fields(c.tuples)...).walk("user:ana", explained).Access(context.Background(), object(t, "doc:d"))
		if err != nil {
			t.Fatal(err)
		}
		var path []string
		for _, tuple := range access.Reason.Path() {
			path = append(path, tuple.String())
		}
		if got := strings.Join(path, " "); got != c.reason || access.Reason.Result != c.result {
			t.Errorf("%s: %v by %q, want %v by %q", c.name, access.Reason.Result, got, c.result, c.reason)
		}
	}
}

// What a batch has found serves the next item, conditional or not.
func TestAWalkAnswersConditionalQuestionsAgain(t *testing.T) {
	w := newWorld(t, guarded, `doc:d#parent@doc:e[at_least:{"need":3}]`, "doc:e#editor@user:ana", `doc:f#parent@doc:d`).walk("user:ana")
	for range 2 {
		for question, want := range map[string]engine.Result{"doc:f#edit": engine.Conditional, "doc:d#view": engine.Conditional, "doc:e#view": engine.Granted} {
			answer := expect(t, w, question, want)
			if want == engine.Conditional && missingText(answer.Missing) != "doc:d#parent@doc:e have" {
				t.Errorf("%s: missing %q", question, missingText(answer.Missing))
			}
		}
	}
}

// An answer is good until the first of the tuples that made a difference expires.
func TestAnAnswerSaysUntilWhenItIsGood(t *testing.T) {
	soon, late := time.Now().Add(time.Hour).UTC().Truncate(time.Second), time.Now().Add(2*time.Hour).UTC().Truncate(time.Second)
	expiring := func(tuple string, at time.Time) string { return tuple + "[expiration:" + at.Format(time.RFC3339) + "]" }
	for _, c := range []struct {
		name, question string
		tuples         []string
		want           time.Time
	}{
		{"nothing expires", "view", []string{"doc:d#viewer@user:ana"}, time.Time{}},
		{"the grant expires", "view", []string{expiring("doc:d#viewer@user:ana", late)}, late},
		{"somebody else's grant expires", "view", []string{"doc:d#viewer@user:ana", expiring("doc:d#viewer@user:bob", soon)}, time.Time{}},
		{"the first of two", "both", []string{expiring("doc:d#viewer@user:ana", late), expiring(`doc:d#editor@user:ana[at_least:{"need":1,"have":1}]`, soon)}, soon},
		{"one whose condition is false", "view", []string{"doc:d#viewer@user:ana", expiring(`doc:d#editor@user:ana[at_least:{"need":1,"have":0}]`, soon)}, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := expect(t, newWorld(t, guarded, c.tuples...).walk("user:ana"), "doc:d#"+c.question, engine.Granted)
			if got := answer.ValidUntil.Time(); !got.Equal(c.want) {
				t.Errorf("good until %v, want %v", got, c.want)
			}
		})
	}
}

// Tuples that come with a question join the stored ones for it, in the place of
// those that they are.
func TestContextualTuplesJoinForOneQuestion(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	w := newWorld(t, guarded, append(each("doc:wide#viewer@user:u%", 0, 100), "doc:d#viewer@user:ana", "team:t#member@user:bob", `doc:d#banned@user:eve[at_least:{"need":0,"have":1}]`, "doc:d#viewer@user:eve")...)
	for _, c := range []struct {
		name, principal, question string
		brought                   []string
		want                      engine.Result
	}{
		{"a grant", "user:zoe", "doc:d#view", []string{"doc:d#viewer@user:zoe"}, engine.Granted},
		{"on an object of many tuples", "user:zoe", "doc:wide#view", []string{"doc:wide#viewer@user:zoe"}, engine.Granted},
		{"a stored one on such an object", "user:u7", "doc:wide#view", []string{"doc:wide#viewer@user:zoe"}, engine.Granted},
		{"one in its place", "user:u7", "doc:wide#view", []string{`doc:wide#viewer@user:u7[at_least:{"need":1}]`}, engine.Conditional},
		{"a group", "user:bob", "doc:d#edit", []string{"doc:d#editor@user:x", "doc:d#parent@doc:p", "doc:p#editor@user:bob"}, engine.Granted},
		{"into a stored group", "user:bob", "doc:d#view", []string{"doc:d#viewer@team:t#member"}, engine.Granted},
		{"from a stored tuple", "user:zoe", "doc:d#view", []string{"team:t#member@user:zoe"}, engine.Denied},
		{"in the place of a stored one", "user:ana", "doc:d#view", []string{`doc:d#viewer@user:ana[at_least:{"need":3}]`}, engine.Conditional},
		{"an expired one", "user:zoe", "doc:d#view", []string{"doc:d#viewer@user:zoe[expiration:2027-01-01T00:00:00Z]"}, engine.Denied},
		{"an expired one in the place of a stored one", "user:ana", "doc:d#view", []string{"doc:d#viewer@user:ana[expiration:2026-01-01T00:00:00Z]"}, engine.Denied},
		{"the later of two", "user:zoe", "doc:d#view", []string{"doc:d#viewer@user:zoe[expiration:2026-01-01T00:00:00Z]", "doc:d#viewer@user:zoe"}, engine.Granted},
		{"a ban that is lifted", "user:eve", "doc:d#view", []string{`doc:d#banned@user:eve[at_least:{"need":2,"have":1}]`}, engine.Granted},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, w.walk(c.principal, bringing(t, now, c.brought...)), c.question, c.want)
		})
	}
	explained := w.walk("user:zoe", bringing(t, now, "doc:d#viewer@user:zoe"), func(q *engine.Question) { q.Explain = true })
	reason := expect(t, explained, "doc:d#view", engine.Granted).Reason
	for reason.Step != engine.StepTuple {
		reason = reason.Because[0]
	}
	if !reason.Contextual {
		t.Errorf("the reason does not say that %s came with the question", reason.Tuple)
	}
}

// A thousand groups are asked for from the principal's side, with what their tuples
// carry, and with what the question brings.
func TestConditionsHoldForManyGroups(t *testing.T) {
	var tuples []string
	for i := range 100 {
		tuples = append(tuples, fmt.Sprintf("doc:d#viewer@team:t%d#member", i))
	}
	w := newWorld(t, guarded, append(tuples, `team:t50#member@user:ana[at_least:{"need":3}]`)...)
	answer := expect(t, w.walk("user:ana"), "doc:d#view", engine.Conditional)
	if got := missingText(answer.Missing); got != "team:t50#member@user:ana have" {
		t.Errorf("missing %q", got)
	}
	expect(t, w.walk("user:ana", given(t, `{"have":3}`)), "doc:d#view", engine.Granted)
	expect(t, w.walk("user:bob", bringing(t, time.Now(), "team:t77#member@user:bob")), "doc:d#view", engine.Granted)
	expect(t, w.walk("user:ana", bringing(t, time.Now(), `team:t50#member@user:ana[at_least:{"need":3,"have":1}]`)), "doc:d#view", engine.Denied)
}

// Of very many open conditions the first are named.
func TestAHundredMissingConditionsAreNamed(t *testing.T) {
	var tuples []string
	for i := range 150 {
		tuples = append(tuples, fmt.Sprintf(`doc:d#viewer@team:t%03d#member[at_least:{"need":%d}]`, i, i), fmt.Sprintf("team:t%03d#member@user:ana", i))
	}
	answer := expect(t, newWorld(t, guarded, tuples...).walk("user:ana"), "doc:d#view", engine.Conditional)
	if len(answer.Missing) != 100 || answer.Missing[99].Tuple.String() != "doc:d#viewer@team:t099#member" {
		t.Errorf("%d are named, the last of them %v", len(answer.Missing), answer.Missing[len(answer.Missing)-1].Tuple)
	}
}

// A leaving reader shows what another does, and its caller goes away while it reads.
type leaving struct {
	engine.Reader
	leave context.CancelFunc
}

func (l leaving) Object(o rel.Object, buf []rel.Tuple, max int) ([]rel.Tuple, bool, error) {
	l.leave()
	return l.Reader.Object(o, buf, max)
}

// The caller's time is looked at before every decision, since each can take as long
// as many steps.
func TestDecidingEndsWithItsCaller(t *testing.T) {
	gone, leave := context.WithCancel(context.Background())
	w := newWorld(t, guarded, `doc:d#viewer@user:ana[at_least:{"need":3}]`).walk("user:ana", func(q *engine.Question) { q.Reader = leaving{q.Reader, leave} })
	if answer, err := w.Check(gone, object(t, "doc:d"), "view"); !fault.Is(err, fault.CallerMustStay) {
		t.Errorf("%v, %v", answer.Result, err)
	}
}

// Contexts of caveats are bounded by their bytes, wherever they are kept: on the way
// to groups, on the principal's own tuples, and of tuples that turn out not to count.
func TestLongContextsHaveABudget(t *testing.T) {
	note := strings.Repeat("x", 1_000_000)
	for _, c := range []struct{ name, carrier, context string }{
		{"open, to groups", "doc:d#viewer@team:t%d#member", `{"need":1,"note":%[2]q}`},
		{"open, of the principal", "team:t%d#member@user:ana", `{"need":1,"note":%[2]q}`},
		{"false and different", "doc:d#viewer@team:t%d#member", `{"have":-1,"need":%[1]d,"note":%[2]q}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, guarded, each("doc:d#viewer@team:t%#member", 0, 100)...)
			for n, over := range map[int]bool{20: false, 100: true} {
				_, err := ask(w.walk("user:ana", func(q *engine.Question) {
					for i := range n {
						tuple, err := rel.ParseTuple(fmt.Sprintf(c.carrier, i))
						if err != nil {
							t.Fatal(err)
						}
						tuple.Caveat = rel.Caveat{Name: "at_least", Context: rel.TrustedContext(fmt.Sprintf(c.context, i, note))}
						q.Contextual = append(q.Contextual, tuple)
					}
				}), "doc:d#view")
				if over && !fault.Is(err, fault.WalkMustStayWithinBudget) || !over && err != nil {
					t.Errorf("%d contexts: %v", n, err)
				}
			}
		})
	}
}

// What the items of a batch hang on is put in order once: an item that the walk
// knows costs its own conditions, however much the walk has met.
func TestCollectingConditionsAgainCostsWhatIsNew(t *testing.T) {
	const groups = 5_000
	texts := append(each("doc:big#viewer@team:t%#member", 0, groups), each(`team:t%#member@user:ana[at_least:{"need":1}]`, 0, groups)...)
	texts = append(texts, `doc:small#viewer@user:ana[at_least:{"need":2}]`)
	walk := newWorld(t, guarded, texts...).walk("user:ana")
	mallocs := func(question string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		expect(t, walk, question, engine.Conditional)
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	first, second := mallocs("doc:big#view"), mallocs("doc:small#view")
	if first < groups || second > groups/10 {
		t.Errorf("%d allocations for %d conditions, then %d for one", first, groups, second)
	}
}

// What a conditional answer hangs on is collected after the last read, and ends with
// the caller all the same.
func TestCollectingConditionsEndsWithItsCaller(t *testing.T) {
	w := newWorld(t, guarded, `doc:d#viewer@team:t#member[at_least:{"need":1}]`, "team:t#member@user:ana")
	for _, of := range []struct {
		name string
		ask  func(context.Context, *engine.Walk, rel.Object) error
	}{
		{"check", func(ctx context.Context, walk *engine.Walk, o rel.Object) error {
			_, err := walk.Check(ctx, o, "view")
			return err
		}},
		{"access", func(ctx context.Context, walk *engine.Walk, o rel.Object) error {
			_, err := walk.Access(ctx, o)
			return err
		}},
	} {
		t.Run(of.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			doc, err := rel.ParseObject("doc:d")
			if err != nil {
				t.Fatal(err)
			}
			walk := w.walk("user:ana", func(q *engine.Question) {
				q.Reader = leavingAt{leaving{q.Reader, cancel}, "team:t"}
			})
			if err := of.ask(ctx, walk, doc); !fault.Is(err, fault.CallerMustStay) {
				t.Errorf("%v", err)
			}
		})
	}
}

// leavingAt leaves when it reads one object.
type leavingAt struct {
	leaving
	object string
}

func (l leavingAt) Object(o rel.Object, buf []rel.Tuple, max int) ([]rel.Tuple, bool, error) {
	if o.String() != l.object {
		return l.Reader.Object(o, buf, max)
	}
	return l.leaving.Object(o, buf, max)
}
