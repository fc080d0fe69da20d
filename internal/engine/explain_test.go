package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// why asks a question and for its reasons; without a name it is about all that is
// held on the object.
func why(t testing.TB, w *engine.Walk, question string) engine.Explanation {
	t.Helper()
	text, name, _ := strings.Cut(question, "#")
	o := object(t, text)
	var explanation engine.Explanation
	if name == "" {
		access, err := w.Access(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if explanation, err = w.WhyAccess(context.Background(), o, access); err != nil {
			t.Fatal(err)
		}
		return explanation
	}
	answer := check(t, w, question)
	explanation, err := w.WhyCheck(context.Background(), o, rel.Name(name), answer)
	if err != nil {
		t.Fatal(err)
	}
	if r := explanation.Reason; r.Result != answer.Result || r.Object != o || r.Name != name {
		t.Errorf("%s is %v, and explained by %s#%s %v", question, answer.Result, r.Object, r.Name, r.Result)
	}
	return explanation
}

var steps = map[engine.Step]string{
	engine.StepNone: "nothing", engine.StepItself: "itself", engine.StepAnyOf: "any of", engine.StepAllOf: "all of",
	engine.StepMinus: "minus", engine.StepRoleBelow: "role below",
}

// outline writes a reason as a text with a line for each, indented below what it is
// a reason for: yes, if or no, what it is about, and how it follows.
func outline(r *engine.Reason) string {
	var b strings.Builder
	var write func(r *engine.Reason, indent string)
	write = func(r *engine.Reason, indent string) {
		fmt.Fprintf(&b, "%s%s ", indent, [...]string{"no", "if", "yes"}[r.Result])
		if r.Step == engine.StepTuple || r.Step == engine.StepInherited {
			b.WriteString(r.Tuple.String())
		} else {
			fmt.Fprintf(&b, "%s#%s %s", r.Object, r.Name, steps[r.Step])
		}
		if r.ConditionFalse {
			b.WriteString(" false")
		}
		if r.Role != "" {
			b.WriteString(" gives " + string(r.Role))
		}
		if r.Cut {
			b.WriteString(" …")
		}
		if r.Omitted > 0 {
			fmt.Fprintf(&b, "%d", r.Omitted)
		}
		b.WriteString("\n")
		for _, below := range r.Because {
			write(below, indent+" ")
		}
	}
	write(r, "")
	return b.String()
}

const office = `
use roles
caveat at_least(need int, have int) { have >= need }
definition user {}
definition link {}
definition team { relation member: user | user:* | team#member | user with at_least }
definition org { roles { member: user; admin: user | team#member } }
definition doc {
  relation org: org
  relation parent: doc
  relation approver: team
  relation banned: user | team#member | user with at_least
  relation pardoned: user
  roles except banned - pardoned {
    viewer: user | user:* | link | team#member = org->member
    editor: user | user with at_least | team#member = org->admin
  }
  permission view = viewer
  permission both = view & org->member
  permission all = approver.all(member)
  permission up = viewer + parent->up
}`

// The tree of an answer, whatever it is; what is not shown in it is nowhere.
func TestWhy(t *testing.T) {
	for _, c := range []struct {
		name, principal, question string
		tuples                    []string
		want                      string
		openings                  string
	}{
		{
			"one way", "user:ana", "doc:d#view", []string{"doc:d#viewer@user:ana"}, `
yes doc:d#view any of
 yes doc:d#viewer minus gives viewer
  yes doc:d#viewer@user:ana
`, "",
		},
		{
			"the path that decided, and another", "user:ana + link:l", "doc:d#view",
			[]string{"doc:d#viewer@team:t#member", "team:t#member@user:ana", "doc:d#viewer@link:l", "doc:d#org@org:o", "org:o#member@user:ana"}, `
yes doc:d#view any of
 yes doc:d#viewer minus gives viewer
  yes doc:d# any of
   yes doc:d#viewer@link:l
   yes doc:d#viewer@team:t#member
    yes team:t#member@user:ana
   yes doc:d#org@org:o
    yes org:o#member@user:ana
`, "",
		},
		{
			"a way that leads back is none", "user:ana", "team:a#member",
			[]string{"team:a#member@team:b#member", "team:b#member@team:a#member", "team:a#member@user:ana"}, `
yes team:a#member@user:ana
`, "",
		},
		{
			"nothing is there", "user:ana", "doc:d#view", nil, `
no doc:d#view any of
 no doc:d#viewer any of
  no doc:d#org->member nothing
  no doc:d#editor any of
   no doc:d#org->admin nothing
`, "doc:d#viewer@user:ana doc:d#editor@user:ana",
		},
		{
			"as far as it got", "user:ana + link:l", "doc:d#view",
			[]string{"doc:d#viewer@team:t#member", "team:t#member@team:u#member", "doc:d#org@org:o", "org:o#member@user:bob"}, `
no doc:d#view any of
 no doc:d#viewer any of
  no doc:d#viewer@team:t#member
   no team:t#member@team:u#member
    no team:u#member nothing
  no doc:d#org@org:o
   no org:o#member any of
    no org:o#admin nothing
  no doc:d#editor any of
   no doc:d#org@org:o
    no org:o#admin nothing …
`, "doc:d#viewer@user:ana doc:d#viewer@link:l team:t#member@user:ana org:o#member@user:ana team:u#member@user:ana doc:d#editor@user:ana org:o#admin@user:ana",
		},
		{
			"taken away inside a group", "user:ana", "doc:d#view",
			[]string{"doc:d#editor@user:ana", "doc:d#banned@team:t#member", "team:t#member@user:*"}, `
no doc:d#view any of
 no doc:d#viewer any of
  no doc:d#editor minus
   yes doc:d#editor@user:ana
   yes doc:d# minus
    yes doc:d#banned@team:t#member
     yes team:t#member@user:*
  no doc:d#org->member nothing
`, "",
		},
		{
			"a condition that is false", "user:ana", "doc:d#view",
			[]string{`doc:d#editor@user:ana[at_least:{"need":3,"have":1}]`}, `
no doc:d#view any of
 no doc:d#viewer any of
  no doc:d#editor any of
   no doc:d#editor@user:ana[at_least:{"have":1,"need":3}] false
   no doc:d#org->admin nothing
  no doc:d#org->member nothing
`, "doc:d#viewer@user:ana doc:d#editor@user:ana",
		},
		{
			"one of two that are needed", "user:ana", "doc:d#both", []string{"doc:d#viewer@user:ana", "doc:d#org@org:o"}, `
no doc:d#both all of
 no doc:d#org@org:o
  no org:o#member any of
   no org:o#admin nothing
 yes doc:d#view any of
  yes doc:d#viewer minus
   yes doc:d#viewer@user:ana
`, "org:o#member@user:ana org:o#admin@user:ana",
		},
		{
			"two that one tuple opens", "user:ana", "doc:d#both", []string{"doc:d#org@org:o"}, `
no doc:d#both all of
 no doc:d#view any of
  no doc:d#viewer any of
   no doc:d#editor any of
    no doc:d#org@org:o
     no org:o#admin nothing …
   no doc:d#org->member nothing …
 no doc:d#org@org:o
  no org:o#member any of
   no org:o#admin nothing
`, "org:o#member@user:ana org:o#admin@user:ana",
		},
		{
			"all of several objects", "user:ana", "doc:d#all",
			[]string{"doc:d#approver@team:t", "doc:d#approver@team:u", "team:t#member@user:ana"}, `
no doc:d#all any of
 no doc:d#approver.all(member) all of
  no doc:d#approver@team:u
   no team:u#member nothing
  yes doc:d#approver@team:t
   yes team:t#member@user:ana
`, "team:u#member@user:ana",
		},
		{
			"all of none", "user:ana", "doc:d#all", nil, `
no doc:d#all any of
 no doc:d#approver.all(member) nothing
`, "",
		},
		{
			"what hangs on a condition, and what may take it away", "user:ana", "doc:d#view",
			[]string{"doc:d#viewer@user:ana", `doc:d#banned@user:ana[at_least:{"need":3}]`}, `
if doc:d#view any of
 if doc:d#viewer minus gives viewer
  yes doc:d#viewer@user:ana
  if doc:d# minus
   if doc:d#banned@user:ana[at_least:{"need":3}]
`, "",
		},
		{
			"the role, what else gives one, and what took a higher one away", "user:ana", "doc:d",
			[]string{"doc:d#viewer@user:*", "doc:d#viewer@team:t#member", "team:t#member@user:ana", `doc:d#editor@user:ana[at_least:{"need":3,"have":1}]`}, `
yes doc:d# any of
 yes doc:d#viewer minus gives viewer
  yes doc:d#viewer@user:*
 yes doc:d#viewer@team:t#member gives viewer
  yes team:t#member@user:ana
 no doc:d#editor any of …
  no doc:d#editor@user:ana[at_least:{"have":1,"need":3}] false
`, "",
		},
		{
			"a lower role is a runner-up, a way to the same is none", "user:ana", "doc:d",
			[]string{"doc:d#org@org:o", "org:o#admin@user:ana", "doc:d#viewer@user:ana"}, `
yes doc:d# any of
 yes doc:d#editor minus gives editor
  yes doc:d#org@org:o
   yes org:o#admin@user:ana
 yes doc:d#viewer@user:ana gives viewer
`, "",
		},
		{
			"no role", "user:ana", "doc:d", []string{"doc:d#banned@user:ana", "doc:d#viewer@user:ana"}, `
no doc:d# any of
 no doc:d#viewer minus
  yes doc:d#viewer@user:ana
  yes doc:d# minus
   yes doc:d#banned@user:ana
`, "",
		},
		{
			"a permission without a role", "user:ana", "doc:d", []string{"doc:d#approver@team:t", "team:t#member@user:ana"}, `
yes doc:d# any of
 yes doc:d#all any of
  yes doc:d#approver.all(member) all of
   yes doc:d#approver@team:t
    yes team:t#member@user:ana
 no doc:d#viewer any of
  no doc:d#org->member nothing
  no doc:d#editor any of
   no doc:d#org->admin nothing
`, "doc:d#viewer@user:ana doc:d#editor@user:ana",
		},
		{
			"the userset itself", "team:t#member", "team:t#member", nil, `
yes team:t#member itself
`, "",
		},
		{
			"openings are about what may stand there", "team:t#member", "doc:d#view", nil, `
no doc:d#view any of
 no doc:d#viewer any of
  no doc:d#org->member nothing
  no doc:d#editor any of
   no doc:d#org->admin nothing
`, "doc:d#viewer@team:t#member doc:d#editor@team:t#member",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, office, c.tuples...)
			e := why(t, w.walk(c.principal, explained), c.question)
			if got := "\n" + outline(e.Reason); got != c.want {
				t.Errorf("got%s\nwant%s", got, c.want)
			}
			if got := tuplesText(e.Openings); got != c.openings {
				t.Errorf("openings are %s\n       want %s", got, c.openings)
			}
		})
	}
}

func tuplesText(tuples []rel.Tuple) string {
	var texts []string
	for _, tuple := range tuples {
		texts = append(texts, tuple.String())
	}
	return strings.Join(texts, " ")
}

// size is how many reasons a tree has, and how many stand inside one another.
func size(r *engine.Reason) (nodes, depth int) {
	for _, b := range r.Because {
		n, d := size(b)
		nodes, depth = nodes+n, max(depth, d)
	}
	return nodes + 1, depth + 1
}

// Whatever is explained, an explanation stays small and cheap, and says where it was
// cut.
func TestExplanationsAreBounded(t *testing.T) {
	chain := func(n int) []string { return each("doc:f%#parent@doc:g%", 0, n) }
	var deep []string
	for i := range 200 {
		deep = append(deep, fmt.Sprintf("doc:f%d#parent@doc:f%d", i, i+1))
	}
	var ring []string
	for i := range 60 {
		for j := range 60 {
			if i != j {
				ring = append(ring, fmt.Sprintf("team:t%d#member@team:t%d#member", i, j))
			}
		}
	}
	for _, c := range []struct {
		name, question string
		tuples         []string
		want           engine.Result
		reads          int // beside those of the answer
	}{
		{"a thousand groups", "doc:d#view", each("doc:d#viewer@team:t%#member", 0, 1000), engine.Denied, 20_000},
		{"ten thousand users", "doc:d#view", each("doc:d#viewer@user:u%", 0, 10_000), engine.Denied, 1_000},
		{"a thousand groups, and granted", "doc:d#view", append(each("doc:d#viewer@team:t%#member", 0, 1000), "doc:d#viewer@user:ana"), engine.Granted, 5_000},
		{"ten thousand users, and granted", "doc:d#view", append(each("doc:d#viewer@user:u%", 0, 10_000), "doc:d#viewer@user:ana"), engine.Granted, 1_000},
		{"two hundred parents deep", "doc:f0#up", deep, engine.Denied, 60_000},
		{"two hundred parents deep, and granted", "doc:f0#up", append(slices.Clone(deep), "doc:f200#viewer@user:ana"), engine.Granted, 10_000},
		{"groups that are all in each other", "team:t0#member", ring, engine.Denied, 100_000},
		{"groups that are all in each other, and granted", "team:t0#member", append(slices.Clone(ring), "team:t59#member@user:ana"), engine.Granted, 10_000},
		{"many parents", "doc:f0#up", append(chain(300), each("doc:f0#parent@doc:f%", 1, 300)...), engine.Denied, 60_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, office, c.tuples...)
			expect(t, w.walk("user:ana"), c.question, c.want)
			e := why(t, w.walk("user:ana", explained), c.question)
			if nodes, depth := size(e.Reason); nodes > 1000 || depth > 64 {
				t.Errorf("%d reasons, %d inside one another", nodes, depth)
			}
			if e.Cost.Reads > c.reads {
				t.Errorf("%d reads, budget %d", e.Cost.Reads, c.reads)
			}
			if c.want == engine.Denied && (len(e.Openings) == 0 || len(e.Openings) > 10) {
				t.Errorf("%d openings", len(e.Openings))
			}
			for _, opening := range e.Openings {
				expect(t, w.walk("user:ana", func(q *engine.Question) { q.Contextual = []rel.Tuple{opening} }), c.question, engine.Granted)
			}
		})
	}
}

// What is held on an object as a whole stands one deeper than what a name is, and is
// cut at the same depth.
func TestExplanationsOfAccessAreBounded(t *testing.T) {
	deep := []string{"doc:d#viewer@team:t0#member", "team:t110#member@user:ana"}
	for i := range 110 {
		deep = append(deep, fmt.Sprintf("team:t%d#member@team:t%d#member", i, i+1))
	}
	w := newWorld(t, office, deep...)
	for _, subject := range []string{"user:ana", "user:bob"} {
		r := why(t, w.walk(subject, explained), "doc:d").Reason
		if nodes, depth := size(r); nodes > 1000 || depth != 64 {
			t.Errorf("%s: %d reasons, %d inside one another", subject, nodes, depth)
		}
	}
}

// A name that stands thousands of times in an expression of thousands of objects is
// gone to once on each, in search of what would open it.
func TestNamesThatRepeatAreGoneToOnce(t *testing.T) {
	var deep []string
	for i := range 300 {
		deep = append(deep, fmt.Sprintf("n:%d#parent@n:%d", i, i+1))
	}
	w := newWorld(t, "definition user {}\ndefinition n {\n  relation parent: n\n  relation a: user\n  permission p = parent->p"+
		strings.Repeat(" + (a & a)", 2000)+"\n}", deep...)
	if e := why(t, w.walk("user:ana", explained), "n:0#p"); len(e.Openings) != 10 {
		t.Errorf("%d openings", len(e.Openings))
	}
}

// Of many the first are shown, and how many more there are.
func TestAWideDenialShowsAFewAndCountsTheRest(t *testing.T) {
	w := newWorld(t, office, each("doc:d#banned@team:t%#member", 0, 1000)...)
	e := why(t, w.walk("user:ana", explained), "doc:d#banned")
	if r := e.Reason; len(r.Because) != 10 || !r.Cut || r.Omitted != 990 {
		t.Errorf("%d shown, %d omitted", len(r.Because), r.Omitted)
	}
}

// A schema in which every name stands twice in the next has more ways than can be
// told.
func TestNamesThatDoubleAtEveryStepAreCut(t *testing.T) {
	var text strings.Builder
	text.WriteString("definition user {}\ndefinition n {\n  relation a: user\n  relation b: user\n  permission p0 = a & b\n")
	for i := range 30 {
		fmt.Fprintf(&text, "  permission p%d = (p%d & a) + (p%d & b)\n", i+1, i, i)
	}
	text.WriteString("}")
	for _, tuples := range [][]string{{"n:1#a@user:ana", "n:1#b@user:ana"}, {"n:1#a@user:ana"}} {
		e := why(t, newWorld(t, text.String(), tuples...).walk("user:ana", explained), "n:1#p30")
		if nodes, depth := size(e.Reason); nodes > 1000 || depth > 64 {
			t.Errorf("%d reasons, %d inside one another", nodes, depth)
		}
	}
}

// Where explaining runs out of its budget the answer stands, with what was found.
func TestAnExplanationThatRunsOutIsCut(t *testing.T) {
	tuples := append(each("doc:d#viewer@team:t%#member", 0, 3000), "doc:d#viewer@user:ana", "doc:d#parent@doc:e")
	tuples = append(tuples, each("doc:e#viewer@team:t%#member", 0, 3000)...)
	w := newWorld(t, office, tuples...)
	small := func(q *engine.Question) { q.ReadsMax = 100 }
	walk := w.walk("user:ana", explained, small)
	e := why(t, walk, "doc:d#up")
	if path := e.Reason.Path(); tuplesText(path) != "doc:d#viewer@user:ana" {
		t.Errorf("the path is %s", tuplesText(path))
	}
	if !strings.Contains(outline(e.Reason), "…") {
		t.Error("it does not say that it was cut")
	}
}

// A caller who goes away while an answer is explained has it all the same.
func TestAnExplanationWhoseCallerIsGoneIsCut(t *testing.T) {
	w := newWorld(t, office, "doc:d#viewer@team:t#member", "doc:d#viewer@user:ana")
	gone, leave := context.WithCancel(context.Background())
	leave()
	for question, subject := range map[string]string{"granted": "user:ana", "denied": "user:bob"} {
		walk := w.walk(subject, explained)
		answer, err := walk.Check(context.Background(), object(t, "doc:d"), "view")
		if err != nil {
			t.Fatal(err)
		}
		e, err := walk.WhyCheck(gone, object(t, "doc:d"), "view", answer)
		if err != nil || e.Reason.Result != answer.Result {
			t.Errorf("%s: %v, %v", question, e.Reason, err)
		}
	}
}

// A caller who goes away before a condition is decided is not told that it is false.
func TestAConditionThatWasNotDecidedIsNotFalse(t *testing.T) {
	w := newWorld(t, `
caveat at_least(need int, have int) { have >= need }
definition user {}
definition team { relation member: user }
definition doc {
  relation first: team
  relation team: team with at_least
  relation viewer: user | team#member with at_least
  permission all = first->member & team.all(member)
  permission view = first->member & viewer
}`, "team:b#member@user:ana", "doc:d#first@team:b", `doc:d#team@team:a[at_least:{"need":2,"have":1}]`, `doc:d#team@team:b[at_least:{"need":1,"have":2}]`,
		"doc:d#viewer@user:ana", `doc:d#viewer@team:b#member[at_least:{"need":1,"have":3}]`)
	for _, question := range []string{"doc:d#all", "doc:d#view"} {
		for looks := range 20 {
			walk := w.walk("user:ana", explained)
			answer := check(t, walk, question)
			leaving := &leavingCaller{Context: context.Background(), looks: looks}
			o, name, _ := strings.Cut(question, "#")
			e, err := walk.WhyCheck(leaving, object(t, o), rel.Name(name), answer)
			if err != nil {
				t.Fatal(err)
			}
			if told := outline(e.Reason); strings.Contains(told, `"need":1}] false`) {
				t.Fatalf("after %d looks:\n%s", looks, told)
			}
		}
	}
}

// A leavingCaller is gone once its time has been looked at so many times.
type leavingCaller struct {
	context.Context
	looks int
}

func (c *leavingCaller) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// What was explained serves the next question, which is answered as ever.
func TestAWalkGoesOnAfterAnExplanation(t *testing.T) {
	w := newWorld(t, office, "doc:d#org@org:o", "org:o#admin@user:ana", "doc:d#viewer@user:ana", "doc:e#parent@doc:d", "doc:e#banned@user:ana", "doc:e#editor@user:ana")
	walk := w.walk("user:ana", explained)
	for range 2 {
		why(t, walk, "doc:d")
		why(t, walk, "doc:e#view")
		expect(t, walk, "doc:d#both", engine.Granted)
		expect(t, walk, "doc:e#up", engine.Granted)
		expect(t, walk, "doc:e#viewer", engine.Denied)
	}
}

// What came with the question counts in an explanation, and in what would open a
// denial.
func TestExplanationsSeeWhatCameWithTheQuestion(t *testing.T) {
	w := newWorld(t, office, "doc:d#viewer@team:t#member")
	brought := func(q *engine.Question) {
		for _, text := range []string{"team:t#member@team:u#member", "doc:d#banned@user:bob"} {
			tuple, err := rel.ParseTuple(text)
			if err != nil {
				t.Fatal(err)
			}
			q.Contextual = append(q.Contextual, tuple)
		}
	}
	e := why(t, w.walk("user:ana", explained, brought), "doc:d#view")
	if got := tuplesText(e.Openings); !strings.Contains(got, "team:u#member@user:ana") {
		t.Errorf("openings are %s", got)
	}
	if got := why(t, w.walk("user:bob", explained, brought), "doc:d#view").Openings; len(got) > 0 {
		t.Errorf("bob, who is banned for this question, is let in by %s", tuplesText(got))
	}
}
