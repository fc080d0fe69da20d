package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

const firm = `
use roles
use expiration
caveat on_duty(duty bool) { duty }
definition user {}
definition team {
  relation member: user | team#member   granted by lead
  relation lead: user                   granted by lead
}
definition org {
  roles one per subject {
    member: user                          granted by admin
    admin: user | user with on_duty [1..*]   granted by admin
  }
}
definition project {
  within org
  created by org->member
  relation org: org [1]   granted by editor
  relation banned: user   granted by editor
  roles except banned {
    viewer: user | user:* | team#member | user with expiration = org->member   granted by editor
    editor: user | team#member = org->admin   granted by editor
  }
  permission view = viewer
}
definition document {
  within project
  created by project->editor
  relation project: project [1]   granted by editor
  roles {
    inherit from project
    viewer: user   granted by editor
    editor: user   granted by editor
  }
}`

var firmTuples = []string{
	"create org:acme#admin@user:mia", "create org:acme#member@user:joe", "create org:globex#admin@user:gus",
	"create project:p1#org@org:acme", "create project:p1#editor@user:joe", "create project:p1#viewer@team:core#member",
	"create project:p2#org@org:acme", "create project:p2#viewer@user:joe", "create project:p2#banned@user:joe",
	"create project:p9#org@org:globex", "create project:p9#editor@user:joe",
	"create document:d1#project@project:p1", "create document:d1#editor@user:joe",
	"create document:d3#project@project:p3", "create project:p3#org@org:acme", "create project:p3#viewer@user:*",
	"create team:core#lead@user:lea", "create team:core#member@user:joe",
}

func withFirm(t *testing.T) fixture {
	t.Helper()
	f := open(t, "")
	f.schema(firm)
	f.mustWrite(firmTuples...)
	return f
}

// acted is a write by an actor.
func (f fixture) acted(actor string, updates ...string) service.WriteCommand {
	f.Helper()
	c := command(f.T, "", updates...)
	a, err := rel.NewActor(actor, rel.Context{})
	if err != nil {
		f.Fatal(err)
	}
	c.Actor = a.Subject
	return c
}

func remainingTexts(a service.WriteAnswer) []string {
	var texts []string
	for _, r := range a.Remaining {
		text := fmt.Sprintf("%s: %s", r.Object, r.Role)
		for _, s := range r.Sources {
			text += fmt.Sprintf(" by %s through %s", s.Tuple, s.Through)
		}
		texts = append(texts, text)
	}
	return texts
}

// Offboarding takes what joe was given inside acme, and says what he has there
// through others; the ban stays, and so does what is elsewhere. A dry run and a
// replay answer the same.
func TestARevokeTellsWhatWentAndWhatRemains(t *testing.T) {
	f := withFirm(t)
	c := f.acted("user:mia", "revoke user:joe within org:acme")
	c.DryRun = true
	preview := f.mustDo(c)
	wantChanges := "delete document:d1#editor@user:joe, delete org:acme#member@user:joe, delete project:p1#editor@user:joe, delete project:p2#viewer@user:joe"
	wantRemaining := []string{
		"project:p1: viewer by project:p1#viewer@team:core#member through team:core#member",
		"project:p3: viewer by project:p3#viewer@user:* through :",
		"document:d1: viewer by document:d1#project@project:p1 through project:p1#viewer",
		"document:d3: viewer by document:d3#project@project:p3 through project:p3#viewer",
	}
	check := func(what string, a service.WriteAnswer) {
		t.Helper()
		texts := make([]string, len(a.Changes))
		for i, change := range a.Changes {
			texts[i] = change.String()
		}
		if got := strings.Join(texts, ", "); got != wantChanges {
			t.Errorf("%s: %s", what, got)
		}
		if got := remainingTexts(a); !slices.Equal(got, wantRemaining) || a.RemainingCut {
			t.Errorf("%s: remains\n%s", what, strings.Join(got, "\n"))
		}
	}
	check("preview", preview)
	c.DryRun, c.RequestID = false, "off-1"
	check("write", f.mustDo(c))
	f.mustWrite("delete team:core#member@user:joe") // what comes later does not show in a replay
	again := f.mustDo(c)
	if !again.Replayed {
		t.Error("not replayed")
	}
	check("replay", again)
}

// Admins of a partner take nothing away from where they have no right, and a write
// is whole or not at all.
func TestOffboardingEndsWhereRightsEnd(t *testing.T) {
	f := withFirm(t)
	before := f.store.Head()
	for _, actor := range []string{"user:gus", "user:joe", "user:nobody", "team:core#member"} {
		_, err := f.Write(context.Background(), f.acted(actor, "revoke user:joe within org:acme"))
		if !fault.Is(err, fault.ActorMustBeAllowedToGrant) {
			t.Errorf("%s: %v", actor, err)
		}
	}
	if f.store.Head() != before {
		t.Error("something was written")
	}
}

// Two admins who remove each other at the same moment: one of them was first, and
// then the other had no right any more, or would have left the organization empty.
func TestTwoAdminsWhoRemoveEachOther(t *testing.T) {
	for range 20 {
		f := withFirm(t)
		f.mustWrite("create org:acme#admin@user:max")
		var removed sync.WaitGroup
		errs := make([]error, 2)
		for i, names := range [][2]string{{"user:mia", "user:max"}, {"user:max", "user:mia"}} {
			c := f.acted(names[0], "delete org:acme#admin@"+names[1])
			removed.Go(func() { _, errs[i] = f.Write(context.Background(), c) })
		}
		removed.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%v, %v", errs[0], errs[1])
		}
		refused := errs[0]
		if refused == nil {
			refused = errs[1]
		}
		if !fault.Is(refused, fault.ActorMustBeAllowedToGrant) {
			t.Fatal(refused)
		}
	}
}

// A refusal names the tuple, the rule with its line, what is lacking, and what is
// held instead.
func TestARefusalSaysWhatIsLacking(t *testing.T) {
	f := withFirm(t)
	f.mustWrite("create org:acme#admin@user:dot[on_duty]")
	for _, c := range []struct{ actor, update, want string }{
		{"user:lea", "create project:p1#viewer@user:zoe",
			"user:lea may not add project:p1#viewer@user:zoe: that takes editor on project:p1 (granted by editor, line 22 of the schema), and user:lea holds nothing on project:p1; let somebody act who holds it"},
		{"user:dot", "create org:acme#member@user:zoe",
			"user:dot may not add org:acme#member@user:zoe: that takes admin on org:acme, and not under a condition (granted by admin, line 12 of the schema), and user:dot holds nothing on org:acme; let somebody act who holds it"},
		{"user:lea", "create project:new#org@org:acme",
			"user:lea may not create project:new: that takes org->member on project:new (created by org->member, line 18 of the schema), and user:lea holds nothing on org:acme; let somebody act who holds it"},
		{"user:lea", "create team:new#lead@user:lea",
			"user:lea may not create team:new: type \"team\" has no `created by`, so no actor creates objects of it; write it as the application itself, without an actor, or give the type a `created by`"},
	} {
		_, err := f.Write(context.Background(), f.acted(c.actor, c.update))
		got := fault.Of(err)
		if got == nil || got.Code != fault.ActorMustBeAllowedToGrant || got.Sentence() != c.want {
			t.Errorf("%s %s:\ngot  %v\nwant %s", c.actor, c.update, err, c.want)
		}
	}
	_, err := f.Write(context.Background(), f.acted("usr:lea", "create project:p1#viewer@user:zoe"))
	if got := fault.Of(err); got == nil || got.Code != fault.TypeMustExist || got.Field != "actor" {
		t.Errorf("an actor of no type: %v", err)
	}
}

// A condition that the actor's own context decides makes a right; one left open does not.
func TestAnActorBringsItsContext(t *testing.T) {
	f := withFirm(t)
	f.mustWrite("create org:acme#admin@user:dot[on_duty]")
	c := f.acted("user:dot", "create org:acme#member@user:zoe")
	for json, accepted := range map[string]bool{`{"duty":true}`: true, `{"duty":false}`: false, `{}`: false} {
		given, err := rel.ParseContext(json)
		if err != nil {
			t.Fatal(err)
		}
		c.ActorContext, c.DryRun = given, true
		if _, err := f.Write(context.Background(), c); (err == nil) != accepted {
			t.Errorf("%s: %v", json, err)
		}
	}
}

// What a share dialog asks: the roles that somebody may give and take away here.
func TestGrantableRoles(t *testing.T) {
	f := withFirm(t)
	for _, c := range []struct{ object, subject, grant, revoke string }{
		{"project:p1", "user:joe", "viewer editor", "viewer editor"},
		{"project:p1", "user:mia", "viewer editor", "viewer editor"},
		{"project:p2", "user:joe", "", ""},
		{"org:acme", "user:joe", "", ""},
		{"org:acme", "user:mia", "member admin", "member admin"},
		{"project:none", "user:mia", "", ""},
		{"team:core", "user:lea", "", ""}, // relations are no roles
	} {
		object, err := rel.ParseObject(c.object)
		if err != nil {
			t.Fatal(err)
		}
		who, err := rel.ParsePrincipal(c.subject)
		if err != nil {
			t.Fatal(err)
		}
		a, err := f.EffectiveAccess(context.Background(), service.AccessQuery{Store: rel.DefaultStore, Object: object, Principal: who, Grantable: true})
		if err != nil {
			t.Fatal(err)
		}
		grant, revoke := fmt.Sprint(a.Grantable), fmt.Sprint(a.Revocable)
		if grant != "["+c.grant+"]" || revoke != "["+c.revoke+"]" {
			t.Errorf("%s on %s may grant %s and revoke %s", c.subject, c.object, grant, revoke)
		}
	}
}

// Who acted is told to whoever watches, of a schema as well.
func TestTheActorIsKeptWithTheChange(t *testing.T) {
	f := withFirm(t)
	w := f.watch(after(f.store.Head()))
	defer w.stop()
	f.mustDo(f.acted("user:mia", "assign org:acme#admin@user:joe"))
	m := w.next()
	for m.Revision.Snapshot == (rel.Snapshot{}) { // a checkpoint
		m = w.next()
	}
	if m.Revision.Actor.String() != "user:mia" {
		t.Errorf("the actor is %v", m.Revision.Actor)
	}
}
