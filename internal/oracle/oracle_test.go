package oracle_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// What the oracle answers is said in the scenarios, where the engine has to
// answer the same. Here is only what no scenario can ask for.

func parse(t *testing.T, schema string) *syntax.File {
	t.Helper()
	file, faults := syntax.Parse(schema)
	if err := fault.Join(faults); err != nil {
		t.Fatal(err)
	}
	return file
}

func tuples(t *testing.T, texts ...string) []rel.Tuple {
	t.Helper()
	all := make([]rel.Tuple, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = rel.ParseTuple(text); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func updates(t *testing.T, texts ...string) []rel.Update {
	t.Helper()
	all := make([]rel.Update, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = rel.ParseUpdate(text); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func world(t *testing.T, schema string, texts ...string) *oracle.Oracle {
	t.Helper()
	o, err := oracle.Load(parse(t, schema), tuples(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// pair splits "object#name".
func pair(t *testing.T, text string) (rel.Object, rel.Name) {
	t.Helper()
	object, name, _ := strings.Cut(text, "#")
	o, err := rel.ParseObject(object)
	if err != nil {
		t.Fatal(err)
	}
	return o, rel.Name(name)
}

func principal(t *testing.T, text string) rel.Principal {
	t.Helper()
	p, err := rel.ParsePrincipal(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSchemasWithoutAMeaningAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, schema string
		want         fault.Code
	}{
		{"a name excludes itself", `
			definition user {}
			definition doc { relation a: user; permission p = a - p }`, fault.SchemaMustBeStratified},
		{"through another name", `
			definition user {}
			definition doc { relation a: user; permission p = a - q; permission q = p }`, fault.SchemaMustBeStratified},
		{"through a parent", `
			definition user {}
			definition doc { relation a: user; relation up: doc; permission p = a - up->p }`, fault.SchemaMustBeStratified},
		{"through usersets", `
			definition user {}
			definition doc { relation a: user | doc#p; permission p = a - b; relation b: doc#p }`, fault.SchemaMustBeStratified},
		{"an exclusion of an exclusion is still below", `
			definition user {}
			definition doc { relation a: user; permission p = a - (a - p) }`, fault.SchemaMustBeStratified},
		{"a role in its own except", `
			use roles
			definition user {}
			definition doc { roles except boss { worker: user; boss: user } }`, fault.SchemaMustBeStratified},
		{"an except that comes back through the parent", `
			use roles
			definition user {}
			definition doc { relation up: doc; roles except up->worker { inherit from up; worker: user } }`, fault.SchemaMustBeStratified},
		{"a name that is not there", `
			definition user {}
			definition doc { permission p = q }`, fault.NameMustExist},
		{"an arrow over a permission", `
			definition user {}
			definition doc { relation a: user; permission p = a; permission q = p->a }`, fault.ArrowMustStartAtARelation},
		{"a subject of no type", `
			definition doc { relation a: user }`, fault.SubjectTypeMustExist},
		{"a caveat that is not there", `
			definition user {}
			definition doc { relation a: user with c }`, fault.CaveatMustExist},
		{"a caveat that stands twice", `
			caveat c(x int) { x > 1 }
			caveat c(x int) { x > 2 }
			definition user {}`, fault.NameMustBeUnique},
		{"a caveat of an unknown name", `
			caveat c(x int) { y > 1 }
			definition user {}`, fault.CaveatMustBeValid},
		{"another file", `
			use import
			import "other.zed"
			definition user {}`, fault.NotInThisRelease},
		{"a partial that is not there", `
			use partial
			definition user { ...p }`, fault.NameMustExist},
		{"a partial in itself", `
			use partial
			partial p { ...q }
			partial q { ...p }
			definition user { ...p }`, fault.ClauseMustFit},
		{"a partial's name that the definition has, too", `
			use partial
			definition user {}
			partial p { relation a: user }
			definition doc { ...p; relation a: user }`, fault.NameMustBeUnique},
		{"roles of its own and of a partial", `
			use partial
			use roles
			definition user {}
			partial p { roles { a: user } }
			definition doc { ...p; roles { b: user } }`, fault.RolesMustStandTogether},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := oracle.New(parse(t, c.schema), nil); !fault.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestPositiveRecursionIsNoCircle(t *testing.T) {
	world(t, `
		definition user {}
		definition doc {
			relation a: user | doc#p
			relation banned: user | doc#banned
			relation up: doc
			permission p = (a + up->p + q) - (banned - cleared)
			permission q = p
			relation cleared: user
		}`)
}

func TestTuplesMustFit(t *testing.T) {
	file := parse(t, `
		definition user {}
		definition doc { relation a: user; permission p = a }`)
	for _, text := range []string{"doc:1#p@user:1", "doc:1#a@user:*", "doc:1#a@doc:1", "page:1#a@user:1", "doc:1#a@user:1#a"} {
		if _, err := oracle.New(file, tuples(t, text)); !fault.Is(err, fault.NotInSchema) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// The other arrows and self are not in the scenarios of this release; what they
// mean is in the language, and cheap to keep here.
func TestOtherArrowsAndSelf(t *testing.T) {
	o := world(t, `
		use self
		definition user { permission me = self }
		definition team { relation member: user; relation in: org }
		definition org { relation member: user }
		definition doc {
			relation team: team | team:* | user
			permission any = team.any(member)
			permission all = team.all(member)
			permission nested = team->in->member
		}`,
		"team:a#member@user:both", "team:b#member@user:both", "team:a#member@user:one",
		"team:a#in@org:x", "org:x#member@user:far",
		"doc:two#team@team:a", "doc:two#team@team:b",
		"doc:wild#team@team:a", "doc:wild#team@team:*",
		"doc:person#team@team:a", "doc:person#team@user:both",
	)
	for question, want := range map[string]bool{
		"doc:two#any@user:one":       true,
		"doc:two#all@user:one":       false,
		"doc:two#all@user:both":      true,
		"doc:wild#all@user:both":     false, // a wildcard contributes no
		"doc:person#all@user:both":   false, // and so does a type without the name
		"doc:none#all@user:both":     false, // there is at least one such tuple
		"doc:two#nested@user:far":    true,
		"doc:two#nested@user:both":   false,
		"user:one#me@user:one":       true,
		"user:one#me@user:both":      false,
		"user:unseen#me@user:unseen": true,
	} {
		asked, who, _ := strings.Cut(question, "@")
		object, name := pair(t, asked)
		if got := o.For(principal(t, who), rel.Context{}).Holds(object, name); got != want {
			t.Errorf("%s: got %t", question, got)
		}
	}
}

func TestAccessListsRoleAndPermissions(t *testing.T) {
	o := world(t, `
		use roles
		definition user {}
		definition doc {
			relation author: user
			roles { viewer: user; editor: user }
			permission write = editor
			permission read = viewer + author
			permission never = nil
		}`, "doc:1#editor@user:eva", "doc:1#author@user:art")
	object, _ := pair(t, "doc:1#")
	eva := o.For(principal(t, "user:eva"), rel.Context{})
	if got := eva.Role(object); got != "editor" {
		t.Errorf("role %q", got)
	}
	if diff := cmp.Diff([]rel.Name{"write", "read"}, eva.Names(object)); diff != "" {
		t.Error(diff)
	}
	art := o.For(principal(t, "user:art"), rel.Context{})
	if got := art.Role(object); got != "" {
		t.Errorf("role %q", got)
	}
	if diff := cmp.Diff([]rel.Name{"read"}, art.Names(object)); diff != "" {
		t.Error(diff)
	}
}

// The statistics of random worlds rest on these two.
func TestWhatAnAnswerDependsOn(t *testing.T) {
	o := world(t, `
		use roles
		definition user {}
		definition team { relation member: user | team#member }
		definition doc {
			relation reader: user | team#member
			relation banned: user
			permission read = reader - banned
			permission loose = loose
			permission both = read + loose
		}`,
		"team:a#member@team:b#member", "team:b#member@team:a#member", "team:c#member@team:a#member",
		"team:x#member@team:y#member", "team:y#member@user:eva",
		"doc:round#reader@team:c#member", "doc:flat#reader@team:x#member", "doc:flat#reader@user:bob",
		"doc:flat#banned@user:bob", "doc:round#banned@user:bob",
	)
	for text, want := range map[string]bool{
		"team:a#member": true, "team:c#member": true, "doc:round#read": true, "doc:round#both": true,
		"team:x#member": false, "doc:flat#read": false, "doc:round#banned": false,
		"doc:flat#loose": false, // a circle, but not through a tuple
	} {
		object, name := pair(t, text)
		if got := o.ThroughCycle(object, name); got != want {
			t.Errorf("%s through a cycle: %t", text, got)
		}
	}
	for text, want := range map[string]bool{
		"doc:flat#read@user:bob":   true,
		"doc:flat#both@user:bob":   true,
		"doc:flat#read@user:eva":   false,
		"doc:flat#reader@user:bob": false,
		"doc:round#read@user:bob":  false, // banned, but there was nothing to take away
	} {
		asked, who, _ := strings.Cut(text, "@")
		object, name := pair(t, asked)
		if got := o.For(principal(t, who), rel.Context{}).ChangedByExclusion(object, name); got != want {
			t.Errorf("%s changed by exclusion: %t", text, got)
		}
	}
}

func TestPreconditionsAreJudgedOnTheStateBefore(t *testing.T) {
	o := world(t, `
		definition user {}
		definition doc { relation reader: user; permission read = reader }`, "doc:1#reader@user:ana")
	filter, err := rel.ParseFilter("doc:1#reader@user:ana")
	if err != nil {
		t.Fatal(err)
	}
	object, name := pair(t, "doc:1#read")
	deleting := updates(t, "delete doc:1#reader@user:ana")
	for _, c := range []struct {
		name string
		p    rel.Precondition
		met  bool
	}{
		{"must", rel.Precondition{Kind: rel.Must, Filter: filter}, true},
		{"must not", rel.Precondition{Kind: rel.MustNot, Filter: filter}, false},
		{"holds", rel.Precondition{Kind: rel.Holds, Object: object, Name: name, Principal: principal(t, "user:ana")}, true},
		{"does not hold", rel.Precondition{Kind: rel.Holds, Object: object, Name: name, Principal: principal(t, "user:bob")}, false},
		{"the zero precondition", rel.Precondition{}, false},
	} {
		_, _, err := o.Write(rel.Actor{}, deleting, []rel.Precondition{c.p})
		if met := !fault.Is(err, fault.PreconditionMustHold); met != c.met {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// ALREADY_EXISTS is the reason before it.
	_, _, err = o.Write(rel.Actor{}, updates(t, "create doc:1#reader@user:ana"), []rel.Precondition{{Kind: rel.MustNot, Filter: filter}})
	if !fault.Is(err, fault.AlreadyExistsCreate) {
		t.Error(err)
	}
}

func TestEveryBreachOfTheFirstReasonIsTold(t *testing.T) {
	o := world(t, `
		use roles
		definition user {}
		definition doc { roles one per subject { viewer: user; editor: user [0..1] } }`,
		"doc:1#viewer@user:ana", "doc:1#viewer@user:bob")
	_, _, err := o.Write(rel.Actor{}, updates(t, "create doc:1#editor@user:ana", "create doc:1#editor@user:bob"), nil)
	if f := fault.Of(err); f == nil || f.Code != fault.OneRolePerSubject || len(f.All()) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestWriteLeavesTheOracleAsItWas(t *testing.T) {
	o := world(t, `
		definition user {}
		definition doc { relation reader: user }`, "doc:1#reader@user:ana")
	before := slices.Clone(o.Tuples())
	changes, next, err := o.Write(rel.Actor{}, updates(t, "delete doc:1#reader@user:ana", "touch doc:1#reader@user:bob"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, o.Tuples()) {
		t.Errorf("changed to %v", o.Tuples())
	}
	if got := next.Tuples(); len(got) != 1 || got[0].String() != "doc:1#reader@user:bob" {
		t.Errorf("next is %v", got)
	}
	if len(changes) != 2 {
		t.Errorf("changes are %v", changes)
	}
}

func TestLoadJudgesTheRules(t *testing.T) {
	file := parse(t, `
		use roles
		definition user {}
		definition org { roles { member: user; admin: user [1..*] } }`)
	if _, err := oracle.Load(file, tuples(t, "org:a#member@user:ana")); !fault.Is(err, fault.LowerBoundMustHold) {
		t.Error(err)
	}
	if _, err := oracle.New(file, tuples(t, "org:a#member@user:ana")); err != nil {
		t.Error(err)
	}
}
