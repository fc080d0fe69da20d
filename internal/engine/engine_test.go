package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

const drive = `
use roles
definition user {}
definition link {}
definition team {
  relation member: user | team#member
}
definition org {
  roles { member: user; admin: user | team#member }
}
definition folder {
  relation parent: folder
  relation org: org
  relation banned: user | team#member
  roles except banned {
    viewer: user | user:* | link | team#member = org->member
    editor: user | team#member = org->admin
    inherit from parent
  }
  permission view = viewer
  permission edit = editor
  permission clean = (editor & org->member) - banned
}`

// What one check may read. A seek and a step count one each, and the step that
// ends a scan counts none, so an object with n tuples costs at most 1+n.
func TestReadsOfACheck(t *testing.T) {
	for _, c := range []struct {
		name      string
		tuples    []string
		principal string
		question  string
		want      engine.Result
		reads     int
	}{
		{"nothing is stored", nil, "user:ana", "folder:f#view", engine.Denied, 1},
		{"a direct grant", []string{"folder:f#viewer@user:ana"}, "user:ana", "folder:f#view", engine.Granted, 2},
		{"a direct grant among ten", each("folder:f#viewer@user:u%", 0, 10), "user:u3", "folder:f#view", engine.Granted, 11},
		{"a higher role on the same object costs nothing more", []string{"folder:f#editor@user:ana", "folder:f#org@org:o", "folder:f#parent@folder:g"}, "user:ana", "folder:f#view", engine.Granted, 4},
		{"through one group", []string{"folder:f#viewer@team:a#member", "team:a#member@user:ana"}, "user:ana", "folder:f#view", engine.Granted, 4},
		{"through the organization", []string{"folder:f#org@org:o", "org:o#admin@user:ana"}, "user:ana", "folder:f#edit", engine.Granted, 4},
		{"in an object with 10,000 direct subjects", each("folder:f#viewer@user:u%", 0, 10_000), "user:u77", "folder:f#view", engine.Granted, 50},
		{"not in an object with 10,000 direct subjects", each("folder:f#viewer@user:u%", 0, 10_000), "user:nobody", "folder:f#view", engine.Denied, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := expect(t, newWorld(t, drive, c.tuples...).walk(c.principal), c.question, c.want)
			if answer.Cost.Reads > c.reads {
				t.Errorf("%d reads, budget %d", answer.Cost.Reads, c.reads)
			}
		})
	}
}

// Two hundred groups, each a member of all others: the work is linear in the
// 39,800 tuples, not in the paths through them.
func TestGroupsThatAreAllInEachOtherCostTheirTuples(t *testing.T) {
	const groups = 200
	var tuples []string
	for i := range groups {
		for j := range groups {
			if i != j {
				tuples = append(tuples, fmt.Sprintf("team:t%d#member@team:t%d#member", i, j))
			}
		}
	}
	tuples = append(tuples, "folder:f#viewer@team:t0#member")
	w := newWorld(t, drive, tuples...)
	answer := expect(t, w.walk("user:ana"), "folder:f#view", engine.Denied)
	if limit := 2*len(tuples) + 100*groups; answer.Cost.Reads > limit {
		t.Errorf("%d reads for %d tuples, budget %d", answer.Cost.Reads, len(tuples), limit)
	}
	if answer.Cost.Pairs > groups+20 {
		t.Errorf("%d pairs for %d groups", answer.Cost.Pairs, groups)
	}
	w.put("team:t199#member@user:ana")
	expect(t, w.walk("user:ana"), "folder:f#view", engine.Granted)
}

// A ring of 10,000 folders, each inside the next.
func TestARingOfFoldersIsWalkedOnce(t *testing.T) {
	const folders = 10_000
	var tuples []string
	for i := range folders {
		tuples = append(tuples, fmt.Sprintf("folder:f%d#parent@folder:f%d", i, (i+1)%folders))
	}
	w := newWorld(t, drive, tuples...)
	answer := expect(t, w.walk("user:ana"), "folder:f0#edit", engine.Denied)
	if limit := 3 * folders; answer.Cost.Reads > limit {
		t.Errorf("%d reads, budget %d", answer.Cost.Reads, limit)
	}
	w.put("folder:f5000#editor@user:ana")
	expect(t, w.walk("user:ana"), "folder:f0#edit", engine.Granted)
	expect(t, w.walk("user:ana"), "folder:f5001#edit", engine.Granted)
	w.put("folder:f7000#banned@user:ana") // bans there, and does not break the ring for others
	expect(t, w.walk("user:ana"), "folder:f0#edit", engine.Granted)
	expect(t, w.walk("user:ana"), "folder:f5001#edit", engine.Denied)
}

func TestABanThroughACycleOfGroups(t *testing.T) {
	w := newWorld(t, drive,
		"folder:f#editor@user:ana",
		"folder:f#banned@team:a#member",
		"team:a#member@team:b#member", "team:b#member@team:c#member", "team:c#member@team:a#member",
	)
	expect(t, w.walk("user:ana"), "folder:f#view", engine.Granted)
	w.put("team:c#member@user:ana")
	expect(t, w.walk("user:ana"), "folder:f#view", engine.Denied)
	expect(t, w.walk("user:ana"), "folder:f#clean", engine.Denied)
}

// What a check does not need it does not read: the right side of an intersection
// or an exclusion whose left side is 'no', and other objects once the answer is known.
func TestReadingIsLazy(t *testing.T) {
	w := newWorld(t, drive,
		"folder:f#viewer@user:ana", "folder:f#org@org:o", "folder:f#parent@folder:g",
		"folder:g#viewer@team:t#member", "org:o#member@user:zoe",
	)
	if got := expect(t, w.walk("user:ana"), "folder:f#view", engine.Granted).Cost.Reads; got > 4 {
		t.Errorf("%d reads for a direct grant on an object of three tuples", got)
	}
	// clean = (editor & org->member) - banned: not an editor, so org->member is
	// not asked for. Finding that out needs the organization's admins anyway.
	answer := expect(t, w.walk("user:nobody"), "folder:g#clean", engine.Denied)
	if answer.Cost.Pairs > 8 {
		t.Errorf("%d pairs asked for", answer.Cost.Pairs)
	}
}

func TestEffectiveAccessIsOneWalk(t *testing.T) {
	w := newWorld(t, drive,
		"folder:f#viewer@user:ana", "folder:f#org@org:o", "org:o#admin@user:ana",
		"folder:f#parent@folder:g", "folder:g#org@org:o",
	)
	access, err := w.walk("user:ana").Access(context.Background(), object(t, "folder:f"))
	if err != nil {
		t.Fatal(err)
	}
	if access.Role != "editor" || !slices.Equal(access.Permissions, []rel.Name{"view", "edit", "clean"}) {
		t.Errorf("access is %s, %v", access.Role, access.Permissions)
	}
	// org->member is wanted by `clean` beside what `edit` wants; both see org:o once.
	edit := check(t, w.walk("user:ana"), "folder:f#edit")
	if access.Cost.Reads > edit.Cost.Reads+4 {
		t.Errorf("%d reads for all permissions, %d for one", access.Cost.Reads, edit.Cost.Reads)
	}
}

// Items of one principal share what was read, and work that an early answer left
// over is taken up when a later one needs it, and only then.
func TestLaterQuestionsUseWhatEarlierOnesFound(t *testing.T) {
	var tuples []string
	for i := range 100 {
		tuples = append(tuples, fmt.Sprintf("folder:f%d#viewer@team:t#member", i))
	}
	tuples = append(tuples, "team:t#member@team:u#member", "team:u#member@user:ana",
		"folder:x#viewer@user:ana", "folder:x#banned@team:t#member", "folder:x#parent@folder:f0")
	w := newWorld(t, drive, tuples...)
	walk := w.walk("user:ana")
	total := 0
	for i := range 100 {
		total += expect(t, walk, fmt.Sprintf("folder:f%d#view", i), engine.Granted).Cost.Reads
	}
	if limit := 2*100 + 4; total > limit {
		t.Errorf("%d reads for 100 folders of one team, budget %d", total, limit)
	}
	expect(t, walk, "folder:x#view", engine.Denied)
	expect(t, walk, "folder:f0#view", engine.Granted)
}

func TestSuspendedWorkIsFinishedBeforeAnExclusionReadsIt(t *testing.T) {
	w := newWorld(t, drive,
		// Asking for f stops at the direct grant and leaves team:a unread.
		"folder:f#viewer@user:ana", "folder:f#viewer@team:a#member", "folder:f#parent@folder:h",
		"folder:g#viewer@user:ana", "folder:g#banned@team:a#member",
		"team:a#member@team:b#member", "team:b#member@user:ana",
		"folder:h#viewer@team:a#member",
	)
	walk := w.walk("user:ana")
	expect(t, walk, "folder:f#viewer", engine.Granted)
	expect(t, walk, "folder:g#viewer", engine.Denied)
	expect(t, walk, "folder:h#viewer", engine.Granted)
}

func TestABudgetThatRunsOutIsAnErrorNeverNo(t *testing.T) {
	tuples := each("folder:f#viewer@team:t%#member", 0, 500)
	w := newWorld(t, drive, append(tuples, "team:t499#member@user:ana")...)
	need := expect(t, w.walk("user:ana"), "folder:f#view", engine.Granted).Cost.Reads
	for _, c := range []struct {
		reads int
		code  fault.Code
	}{{1, fault.WalkMustStayWithinBudget}, {need / 2, fault.WalkMustStayWithinBudget}, {need + 1, 0}} {
		walk := w.walk("user:ana", func(q *engine.Question) { q.ReadsMax = c.reads })
		answer, err := ask(walk, "folder:f#view")
		if c.code == 0 {
			if err != nil || answer.Result != engine.Granted {
				t.Errorf("with %d reads: %v, %v", c.reads, answer.Result, err)
			}
			continue
		}
		if !fault.Is(err, c.code) || answer.Result != engine.Denied || !walk.Failed() {
			t.Errorf("with %d reads: %v, %v", c.reads, answer.Result, err)
		}
	}
}

func TestACallerThatGoesAwayIsNoAnswer(t *testing.T) {
	w := newWorld(t, drive, "folder:f#viewer@user:ana")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.walk("user:ana").Check(ctx, object(t, "folder:f"), "view"); !fault.Is(err, fault.CallerMustStay) {
		t.Errorf("err = %v", err)
	}
	late, cancelLate := context.WithTimeout(context.Background(), 0)
	defer cancelLate()
	if _, err := w.walk("user:ana").Check(late, object(t, "folder:f"), "view"); !fault.Is(err, fault.DeadlineMustNotPass) {
		t.Errorf("err = %v", err)
	}
}

func TestNamesThatDoNotExistAreNotNo(t *testing.T) {
	w := newWorld(t, drive)
	for question, code := range map[string]fault.Code{
		"folder:f#veiw": fault.NameMustExist,
		"floder:f#view": fault.TypeMustExist,
	} {
		if _, err := ask(w.walk("user:ana"), question); !fault.Is(err, code) {
			t.Errorf("%s: %v", question, err)
		}
	}
	expect(t, w.walk("user:ana"), "folder:unknown#view", engine.Denied)
}

// Each reason must be true: its tuples are stored, and it ends at the principal.
func TestTheWinningPathIsTrue(t *testing.T) {
	for _, c := range []struct {
		name, principal, question string
		tuples                    []string
		want                      string
	}{
		{"a tuple", "user:ana", "folder:f#view",
			[]string{"folder:f#viewer@user:ana"},
			"folder:f#viewer@user:ana"},
		{"the higher role through the organization", "user:ana", "folder:f#view",
			[]string{"folder:f#org@org:o", "org:o#admin@team:t#member", "team:t#member@user:ana"},
			"folder:f#org@org:o org:o#admin@team:t#member team:t#member@user:ana"},
		{"inherited twice", "user:ana", "folder:f#edit",
			[]string{"folder:f#parent@folder:g", "folder:g#parent@folder:h", "folder:h#editor@user:ana"},
			"folder:f#parent@folder:g folder:g#parent@folder:h folder:h#editor@user:ana"},
		{"a wildcard", "user:ana", "folder:f#view",
			[]string{"folder:f#viewer@user:*"},
			"folder:f#viewer@user:*"},
		{"what is presented", "user:ana + link:l", "folder:f#view",
			[]string{"folder:f#viewer@link:l"},
			"folder:f#viewer@link:l"},
		{"the userset itself", "team:t#member", "folder:f#view",
			[]string{"folder:f#viewer@team:t#member"},
			"folder:f#viewer@team:t#member"},
		{"out of a cycle", "user:ana", "folder:f#view",
			[]string{"folder:f#viewer@team:a#member", "team:a#member@team:b#member", "team:b#member@team:a#member", "team:b#member@user:ana"},
			"folder:f#viewer@team:a#member team:a#member@team:b#member team:b#member@user:ana"},
		{"both sides of an intersection", "user:ana", "folder:f#clean",
			[]string{"folder:f#editor@user:ana", "folder:f#org@org:o", "org:o#member@user:ana"},
			"folder:f#editor@user:ana folder:f#org@org:o org:o#member@user:ana"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, drive, c.tuples...)
			answer := expect(t, w.walk(c.principal, explained), c.question, engine.Granted)
			var path []string
			for _, tuple := range answer.Reason.Path() {
				path = append(path, tuple.String())
				if !slices.Contains(c.tuples, tuple.String()) {
					t.Errorf("%s is not stored", tuple)
				}
			}
			if got := strings.Join(path, " "); got != c.want {
				t.Errorf("path is %s\n    want %s", got, c.want)
			}
		})
	}
}

func TestTheReasonOfAllShowsEveryOne(t *testing.T) {
	w := newWorld(t, `
definition user {}
definition team { relation approver: user }
definition release {
  relation asked: team
  permission may_go = asked.all(approver)
}`, "release:r#asked@team:a", "release:r#asked@team:b", "team:a#approver@user:ana", "team:b#approver@user:ana")
	reason := expect(t, w.walk("user:ana", explained), "release:r#may_go", engine.Granted).Reason
	var path []string
	for _, tuple := range reason.Path() {
		path = append(path, tuple.String())
	}
	want := "release:r#asked@team:a team:a#approver@user:ana release:r#asked@team:b team:b#approver@user:ana"
	if got := strings.Join(path, " "); got != want {
		t.Errorf("path is %s", got)
	}
}

// `.all` over more objects than one reading shows, some of them asked before and
// some in a circle with the one that asks.
func TestAllOverAWideObjectInACircle(t *testing.T) {
	var tuples []string
	for i := range 100 {
		tuples = append(tuples,
			fmt.Sprintf("node:root#next@node:n%d", i),
			fmt.Sprintf("node:n%d#next@node:m%d", i, i%3),
			fmt.Sprintf("node:n%d#next@node:n%d", i, (i+1)%100), // a ring, which grounds nothing
		)
	}
	for i := range 3 {
		tuples = append(tuples, fmt.Sprintf("node:m%d#good@user:ana", i))
	}
	w := newWorld(t, `
definition user {}
definition node {
  relation next: node
  relation good: user
  permission every = good + next.all(every)
  permission some = good + next.any(some)
}`, tuples...)
	walk := w.walk("user:ana")
	expect(t, walk, "node:n7#some", engine.Granted)
	expect(t, walk, "node:n7#every", engine.Denied) // around the ring, nobody is first
	expect(t, walk, "node:root#every", engine.Denied)
	w.put("node:n50#good@user:ana")
	walk = w.walk("user:ana")
	expect(t, walk, "node:root#every", engine.Granted)
	expect(t, walk, "node:n51#every", engine.Granted)
}

func TestADenialHasNoPath(t *testing.T) {
	w := newWorld(t, drive, "folder:f#viewer@user:bob")
	answer := expect(t, w.walk("user:ana", explained), "folder:f#view", engine.Denied)
	if r := answer.Reason; r == nil || r.Result != engine.Denied || !r.Cut || len(r.Path()) != 0 {
		t.Errorf("reason is %+v", answer.Reason)
	}
}

func TestTheReasonOfARoleShowsWhatTookNothingAway(t *testing.T) {
	w := newWorld(t, drive, "folder:f#editor@user:ana", "folder:f#banned@user:bob")
	access, err := w.walk("user:ana", explained).Access(context.Background(), object(t, "folder:f"))
	if err != nil {
		t.Fatal(err)
	}
	if r := access.Reason; r.Name != "editor" || r.Step != engine.StepMinus || r.Result != engine.Granted {
		t.Errorf("reason is %+v", r)
	}
}

// "Minus" says that what would take it away does not hold: it may only be said
// where that was found out, and not of a side that was never needed.
func TestAReasonDoesNotNameAnExclusionThatDidNotDecide(t *testing.T) {
	const text = `
definition user {}
definition team { relation member: user }
definition doc {
  relation a: user
  relation b: user
  relation c: user
  relation banned: user | team#member
  permission view = (a - banned) + c
  permission edit = a & (c + (a - b))
}`
	w := newWorld(t, text,
		"doc:1#a@user:u", "doc:1#banned@team:t#member", "team:t#member@user:u", "doc:1#c@user:u", "doc:1#b@user:u")
	for question, want := range map[string]string{
		"doc:1#view": "doc:1#c@user:u",
		"doc:1#edit": "doc:1#a@user:u doc:1#c@user:u",
	} {
		reason := expect(t, w.walk("user:u", explained), question, engine.Granted).Reason
		var path []string
		for _, tuple := range reason.Path() {
			path = append(path, tuple.String())
		}
		if got := strings.Join(path, " "); reason.Step == engine.StepMinus || got != want {
			t.Errorf("%s: step %d by %s, want by %s", question, reason.Step, got, want)
		}
	}
}

func TestStepsOfRolesAreNamedByTheLadder(t *testing.T) {
	const text = `
use roles
definition user {}
definition org {
  relation parent: org
  permission above = parent->member
  roles { member: user; admin: user; boss = member; inherit from parent }
}`
	w := newWorld(t, text, "org:a#member@user:m", "org:a#admin@user:n", "org:b#parent@org:a")
	for _, c := range []struct {
		principal, question string
		want                engine.Step
	}{
		{"user:m", "org:a#boss", engine.StepAnyOf}, // by a lower role
		{"user:n", "org:a#boss", engine.StepAnyOf},
	} {
		if got := expect(t, w.walk(c.principal, explained), c.question, engine.Granted).Reason.Step; got != c.want {
			t.Errorf("%s for %s: step %d, want %d", c.question, c.principal, got, c.want)
		}
	}
	reason := expect(t, w.walk("user:n", explained), "org:b#admin", engine.Granted).Reason
	for reason.Step == engine.StepRoleBelow || reason.Step == engine.StepAnyOf {
		reason = reason.Because[0]
	}
	if reason.Step != engine.StepInherited || reason.Tuple.String() != "org:b#parent@org:a" {
		t.Errorf("what is inherited is shown as step %d by %v", reason.Step, reason.Tuple)
	}
}

// Objects are read once, but followed for every permission that walks to them:
// that work has a bound of its own.
func TestTuplesFollowedHaveABudget(t *testing.T) {
	var text strings.Builder
	text.WriteString("definition user {}\ndefinition n {\n  relation m: user\n  relation r: n\n")
	const permissions = 120
	for i := range permissions {
		fmt.Fprintf(&text, "  permission p%d = m + r->p%d\n", i, (i+1)%permissions)
	}
	text.WriteString("}")
	var tuples []string
	const objects = 700
	for i := range objects {
		for j := range 31 {
			tuples = append(tuples, fmt.Sprintf("n:%d#r@n:%d", i, (i+1+j)%objects))
		}
	}
	w := newWorld(t, text.String(), tuples...)
	_, err := w.walk("user:u").Access(context.Background(), object(t, "n:0"))
	if !fault.Is(err, fault.WalkMustStayWithinBudget) {
		t.Errorf("%d tuples times %d permissions: %v", len(tuples), permissions, err)
	}
}

// A chain longer than an explanation is cut where it says so, and what is kept is
// a path of true tuples from its beginning.
func TestALongReasonIsCutAndSaysSo(t *testing.T) {
	var tuples []string
	for i := range 500 {
		tuples = append(tuples, fmt.Sprintf("folder:f%d#parent@folder:f%d", i, i+1))
	}
	w := newWorld(t, drive, append(tuples, "folder:f500#viewer@user:ana")...)
	reason := expect(t, w.walk("user:ana", explained), "folder:f0#view", engine.Granted).Reason
	path := reason.Path()
	if len(path) < 20 || path[0].String() != "folder:f0#parent@folder:f1" {
		t.Fatalf("path of %d tuples begins with %v", len(path), path[0])
	}
	last := reason
	for len(last.Because) > 0 {
		last = last.Because[len(last.Because)-1]
	}
	if !last.Cut || last.Step == engine.StepNone {
		t.Errorf("the last reason is %+v", last)
	}
}

func explained(q *engine.Question) { q.Explain = true }

func object(t testing.TB, s string) rel.Object {
	t.Helper()
	o, err := rel.ParseObject(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheZeroAnswersDeny(t *testing.T) {
	if (engine.Answer{}).Result != engine.Denied {
		t.Error("the zero Answer grants")
	}
	var held engine.Held
	for s := range schema.SlotsMax {
		if held.Of(schema.Slot(s)) != engine.Denied {
			t.Fatal("the zero Held holds something")
		}
	}
}

// Kleene's table: a minus b is the minimum of a and not b.
func TestMinus(t *testing.T) {
	no, maybe, yes := engine.Denied, engine.Conditional, engine.Granted
	for _, c := range []struct{ left, right, want engine.Result }{
		{no, no, no}, {no, maybe, no}, {no, yes, no},
		{maybe, no, maybe}, {maybe, maybe, maybe}, {maybe, yes, no},
		{yes, no, yes}, {yes, maybe, maybe}, {yes, yes, no},
	} {
		if got := c.left.Minus(c.right); got != c.want {
			t.Errorf("%v - %v = %v, want %v", c.left, c.right, got, c.want)
		}
	}
}
