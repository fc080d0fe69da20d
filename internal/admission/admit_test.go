package admission_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

const office = `
use roles
definition user {}
definition team { relation member: user | team#member [0..3] }
definition workspace {
  roles one per subject { guest: user; member: user | team#member; admin: user [1..2] }
}
definition custom_role {
  relation workspace: workspace [1]
  relation holder: user one per subject with workspace
}
definition item {
  relation workspace: workspace [1]
  relation insider: user | user:*
  relation assignee: user [0..2] of insider
  permission view = insider + workspace->member
}`

const base = `
workspace:w#admin@user:ana
workspace:w#member@user:bob
custom_role:c#workspace@workspace:w
custom_role:c#holder@user:cid
item:i#workspace@workspace:w
item:i#insider@user:bob
item:i#assignee@user:bob`

// A refusal says which forms there are for the subject, and what each of them carries.
func TestARefusalListsTheFormsOfItsSubject(t *testing.T) {
	s, faults := schema.Compile(`
use expiration
caveat open(now int) { now > 8 }
definition user {}
definition doc {
  relation plain: user | user:* with open
  relation either: user | user with open
  relation timed: user with expiration
}`)
	if len(faults) > 0 {
		t.Fatal(faults[0])
	}
	for _, c := range []struct{ tuple, allowed string }{
		{"doc:d#plain@user:ana[open]", "user without a caveat or an expiration"},
		{"doc:d#either@user:ana[open][expiration:2999-01-01T00:00:00Z]", "user without a caveat or an expiration, user with open"},
		{"doc:d#timed@user:ana", "user with expiration"},
	} {
		tuple, err := rel.ParseTuple(c.tuple)
		if err != nil {
			t.Fatal(err)
		}
		f := admission.NotInSchema(s, tuple)
		if f == nil || !strings.HasSuffix(f.Sentence(), "; of this subject it allows only "+c.allowed) {
			t.Errorf("%s: %v", c.tuple, f)
		}
	}
}

func TestReasonsOfRefusal(t *testing.T) {
	for _, c := range []struct {
		name    string
		updates string
		code    fault.Code
		tuple   string // what the refusal names
	}{
		{"an unknown type", "create itm:i#insider@user:x", fault.NotInSchema, "itm:i#insider@user:x"},
		{"an unknown relation", "touch item:i#insidr@user:x", fault.NotInSchema, ""},
		{"a permission", "touch item:i#view@user:x", fault.NotInSchema, ""},
		{"a subject form that is not allowed", "touch item:i#assignee@user:*", fault.NotInSchema, ""},
		{"a userset of the wrong relation", "touch workspace:w#member@team:t#lead", fault.NotInSchema, ""},
		{"deleting what cannot be there", "delete item:i#nope@user:x", fault.NotInSchema, ""},
		{"creating what is there", "create workspace:w#member@user:bob", fault.AlreadyExistsCreate, "workspace:w#member@user:bob"},
		{"creating twice in one write", "create item:i#insider@user:x; create item:i#insider@user:x", fault.AlreadyExistsCreate, ""},
		{"a second role", "touch workspace:w#guest@user:bob", fault.OneRolePerSubject, "workspace:w#guest@user:bob"},
		{"two new roles in one write", "touch workspace:w#guest@user:x; touch workspace:w#member@user:x", fault.OneRolePerSubject, ""},
		{"a role beside a custom role", "touch workspace:w#guest@user:cid", fault.OneRolePerSubject, ""},
		{"a custom role beside a role", "touch custom_role:c#holder@user:bob", fault.OneRolePerSubject, ""},
		{"a second custom role", "touch custom_role:d#workspace@workspace:w; touch custom_role:d#holder@user:cid", fault.OneRolePerSubject, ""},
		{"three admins", "touch workspace:w#admin@user:x; touch workspace:w#admin@user:y", fault.UpperBoundMustHold, ""},
		{"the last admin", "delete workspace:w#admin@user:ana", fault.LowerBoundMustHold, ""},
		{"an item without a workspace", "touch item:j#insider@user:x", fault.LowerBoundMustHold, ""},
		{"an item in a workspace that has no admin", "touch item:j#workspace@workspace:none", fault.LowerBoundMustHold, ""},
		{"an item in two workspaces", "touch workspace:v#admin@user:ana; touch item:i#workspace@workspace:v", fault.UpperBoundMustHold, ""},
		{"an assignee from outside", "touch item:i#assignee@user:x", fault.SubjectMustBeIn, "item:i#assignee@user:x"},
		{"an insider who is assigned leaves", "delete item:i#insider@user:bob", fault.SubjectMustBeIn, "item:i#assignee@user:bob"},
		// The first reason in the language's order wins.
		{"not in the schema before all", "delete workspace:w#admin@user:ana; touch itm:x#y@user:z", fault.NotInSchema, ""},
		{"one role before the bounds", "delete workspace:w#admin@user:ana; touch workspace:w#guest@user:bob", fault.OneRolePerSubject, ""},
		{"upper before lower bounds", "touch workspace:w#admin@user:x; touch workspace:w#admin@user:y; touch item:j#insider@user:x", fault.UpperBoundMustHold, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := admit(t, base, c.updates)
			f := fault.Of(err)
			if f == nil || f.Code != c.code {
				t.Fatalf("%s: %v, want %v", c.updates, err, c.code)
			}
			if f.Remedy == "" {
				t.Errorf("%q says nothing to do", f.Summary)
			}
			if c.tuple != "" && !strings.Contains(f.Summary, c.tuple) && f.Details["tuple"] != c.tuple {
				t.Errorf("%q (%v) does not name %s", f.Summary, f.Details, c.tuple)
			}
		})
	}
}

func TestNetChanges(t *testing.T) {
	for _, c := range []struct{ name, updates, want string }{
		{"a touch of what is there", "touch workspace:w#member@user:bob", ""},
		{"a delete of what is not there", "delete workspace:w#member@user:zoe", ""},
		{"there and back", "create item:i#insider@user:x; delete item:i#insider@user:x", ""},
		{"away and back", "delete item:i#insider@user:bob; create item:i#insider@user:bob", ""},
		{"back and forth and back", "delete item:i#insider@user:bob; touch item:i#insider@user:bob; delete item:i#insider@user:bob; delete item:i#assignee@user:bob",
			"delete item:i#assignee@user:bob; delete item:i#insider@user:bob"},
		{"another role in the same write", "delete workspace:w#member@user:bob; create workspace:w#guest@user:bob",
			"create workspace:w#guest@user:bob; delete workspace:w#member@user:bob"},
		{"another role, the new one first", "create workspace:w#guest@user:bob; delete workspace:w#member@user:bob",
			"create workspace:w#guest@user:bob; delete workspace:w#member@user:bob"},
		{"the last admin is followed by another", "delete workspace:w#admin@user:ana; create workspace:w#admin@user:zoe",
			"delete workspace:w#admin@user:ana; create workspace:w#admin@user:zoe"},
		{"from a custom role to a role", "delete custom_role:c#holder@user:cid; touch workspace:w#guest@user:cid",
			"delete custom_role:c#holder@user:cid; create workspace:w#guest@user:cid"},
		{"a whole item goes", "delete item:i#workspace@workspace:w; delete item:i#insider@user:bob; delete item:i#assignee@user:bob",
			"delete item:i#assignee@user:bob; delete item:i#insider@user:bob; delete item:i#workspace@workspace:w"},
		{"one team of three", "touch team:t#member@user:a; touch team:t#member@user:b; touch team:t#member@team:u#member",
			"create team:t#member@team:u#member; create team:t#member@user:a; create team:t#member@user:b"},
		{"the same subject in two workspaces", "touch workspace:v#admin@user:bob", "create workspace:v#admin@user:bob"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := admit(t, base, c.updates)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, change := range d.Changes() {
				got = append(got, change.String())
			}
			want := strings.Split(c.want, "; ")
			if c.want == "" {
				want = nil
			}
			if len(got) != len(want) {
				t.Fatalf("changes %v, want %v", got, want)
			}
			for _, w := range want {
				if !strings.Contains(strings.Join(got, "; "), w) {
					t.Errorf("changes %v lack %s", got, w)
				}
			}
		})
	}
}

func TestAllViolationsOfTheFirstReasonAreListed(t *testing.T) {
	_, err := admit(t, base, "touch a:b#c@user:x; touch workspace:w#guest@user:bob; touch item:i#nope@user:y")
	if all := fault.Of(err).All(); len(all) != 2 || all[0].Code != fault.NotInSchema || all[1].Code != fault.NotInSchema {
		t.Errorf("violations are %v", all)
	}
	if f := fault.Of(err); f.Field != "updates[0].touch" || f.Others[0].Field != "updates[2].touch" {
		t.Errorf("fields are %q and %q", f.Field, f.Others[0].Field)
	}
}

func TestALinkBringsItsHoldersAlong(t *testing.T) {
	stored := strings.ReplaceAll(base, "custom_role:c#workspace@workspace:w\n", "custom_role:c#workspace@workspace:v\nworkspace:v#admin@user:ana\n")
	stored += "\nworkspace:w#guest@user:cid"
	_, err := admit(t, stored, "delete custom_role:c#workspace@workspace:v; touch custom_role:c#workspace@workspace:w")
	if !fault.Is(err, fault.OneRolePerSubject) {
		t.Errorf("moving a custom role to where its holder has a role: %v", err)
	}
}

func TestPreconditionsAreJudgedOnTheStateBefore(t *testing.T) {
	filter := func(text string) rel.Filter {
		f, err := rel.ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	ana, err := rel.ParsePrincipal("user:ana")
	if err != nil {
		t.Fatal(err)
	}
	item, _ := rel.ParseObject("item:i")
	for _, c := range []struct {
		name string
		p    rel.Precondition
		code fault.Code
	}{
		{"must, and is", rel.Precondition{Kind: rel.Must, Filter: filter("item:i#insider@user:bob")}, 0},
		{"must, and is only after the write", rel.Precondition{Kind: rel.Must, Filter: filter("item:i#insider@user:new")}, fault.PreconditionMustHold},
		{"must not, and is not", rel.Precondition{Kind: rel.MustNot, Filter: filter("item:i#insider@user:new")}, 0},
		{"must not, and is", rel.Precondition{Kind: rel.MustNot, Filter: filter("item:i#insider")}, fault.PreconditionMustHold},
		{"a misspelt filter is no precondition", rel.Precondition{Kind: rel.MustNot, Filter: filter("itm:i")}, fault.TypeMustExist},
		{"holds, and does", rel.Precondition{Kind: rel.Holds, Object: item, Name: "yes", Principal: ana}, 0},
		{"holds, and does not", rel.Precondition{Kind: rel.Holds, Object: item, Name: "no", Principal: ana}, fault.PreconditionMustHold},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := admitWith(t, base, "touch item:i#insider@user:new", c.p)
			if c.code == 0 && err != nil || c.code != 0 && !fault.Is(err, c.code) {
				t.Errorf("%v, want %v", err, c.code)
			}
		})
	}
}

func TestDataIsJudgedByANewSchema(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		code           fault.Code
		count          int
	}{
		{"nothing changes", "", "", 0, 0},
		{"a type goes that is used", "definition item {", "definition thing {", fault.NotInSchema, 3},
		{"a relation goes that is used", "relation insider:", "relation outsider:", fault.NotInSchema, 2},
		{"a subject form goes that is used", "member: user | team#member [0..3]", "member: team#member [0..3]", 0, 0},
		{"a lower bound that is not met", "roles one per subject { guest: user; member: user", "roles one per subject { guest: user [1]; member: user", fault.LowerBoundMustHold, 1},
		{"a lower bound on what stands only as a subject", "definition user {}", "definition user { relation boss: user [1] }", fault.LowerBoundMustHold, 3},
		{"an upper bound that is not met", "relation insider: user | user:*", "relation insider: user | user:* [0..1]", fault.UpperBoundMustHold, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(office, c.from, c.to, 1)
			if c.name == "a relation goes that is used" {
				text = strings.ReplaceAll(office, "insider", "outsider")
			}
			extra := "\nitem:i#insider@user:zoe"
			err := fitData(t, compile(t, text), reader(t, base+extra))
			if c.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !fault.Is(err, fault.TuplesMustFitTheSchema) {
				t.Fatal(err)
			}
			for _, f := range fault.Of(err).Others {
				if f.Code == c.code {
					return
				}
			}
			t.Errorf("no %v in %v", c.code, fault.Of(err).Others)
		})
	}
	t.Run("one role, and one over many objects", func(t *testing.T) {
		loose := strings.ReplaceAll(strings.ReplaceAll(office, "roles one per subject", "roles"), " one per subject with workspace", "")
		stored := base + "\nworkspace:w#guest@user:bob\ncustom_role:c#holder@user:bob\nitem:i#assignee@user:x"
		if err := fitData(t, compile(t, strings.ReplaceAll(loose, " of insider", "")), reader(t, stored)); err != nil {
			t.Fatal(err)
		}
		err := fitData(t, compile(t, office), reader(t, stored))
		found := make(map[fault.Code]int)
		if fault.Of(err) == nil {
			t.Fatal(err)
		}
		for _, f := range fault.Of(err).Others {
			found[f.Code]++
		}
		if found[fault.OneRolePerSubject] < 2 || found[fault.SubjectMustBeIn] != 1 {
			t.Errorf("found %v", found)
		}
	})
}

func TestPreconditionsThatAreMalformedAreAllListedWithTheirFields(t *testing.T) {
	filter := func(typ rel.ObjectType) rel.Precondition {
		return rel.Precondition{Kind: rel.Must, Filter: rel.Filter{ObjectType: typ}}
	}
	_, err := admitWith(t, base, "touch item:i#insider@user:new", filter("itm"), filter("item"), filter("usr"))
	all := fault.Of(err).All()
	if len(all) != 2 || all[0].Field != "preconditions[0]" || all[1].Field != "preconditions[2]" || all[0].Code != fault.TypeMustExist {
		t.Errorf("violations are %v", all)
	}
}

func TestABrokenRuleIsListedOnce(t *testing.T) {
	_, err := admit(t, base, "delete item:i#insider@user:bob; delete item:i#assignee@user:bob; touch item:i#assignee@user:bob; touch item:i#assignee@user:x")
	if all := fault.Of(err).All(); len(all) != 2 {
		t.Errorf("violations are %v", all)
	}
}

// A subject that is everywhere, and a workspace that has everything: the shorter
// of the two lists is read.
func TestOnePerSubjectReadsTheShorterList(t *testing.T) {
	var stored strings.Builder
	stored.WriteString(base)
	for i := range 500 {
		fmt.Fprintf(&stored, "\nworkspace:w%d#admin@user:ana\ncustom_role:c%d#workspace@workspace:w%d\ncustom_role:c%d#holder@user:bot", i, i, i, i)
	}
	before := reader(t, stored.String())
	u, err := rel.ParseUpdate("touch custom_role:c#holder@user:bot")
	if err != nil {
		t.Fatal(err)
	}
	reads := before.Reads()
	if _, err := admission.Admit(context.Background(), compile(t, office), before, admission.Write{Updates: []rel.Update{u}}, nil, nil, admission.ReadsMax); err != nil {
		t.Fatal(err)
	}
	if reads = before.Reads() - reads; reads > 40 {
		t.Errorf("%d reads", reads)
	}
}

func TestDataIsJudgedWithoutTripping(t *testing.T) {
	loose := "definition user {}\ndefinition ws {}\ndefinition item { relation ws: ws; relation member: user | user:* }"
	stored := "item:1#ws@ws:a item:1#member@user:u item:1#member@user:v item:1#member@user:*"
	compile(t, loose)
	for _, c := range []struct {
		name, text string
		code       fault.Code
	}{
		{"a link whose type is gone", "use roles\ndefinition user {}\ndefinition space {}\ndefinition item { relation ws: space; relation member: user | user:* one per subject with ws }", fault.NotInSchema},
		{"wildcards count for the upper bound", "use roles\ndefinition user {}\ndefinition ws {}\ndefinition item { relation ws: ws; relation member: user | user:* [1..2] }", fault.UpperBoundMustHold},
		{"and not for the lower", "use roles\ndefinition user {}\ndefinition ws {}\ndefinition item { relation ws: ws; relation member: user | user:* [3..9] }", fault.LowerBoundMustHold},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := fitData(t, compile(t, c.text), reader(t, stored))
			if !fault.Is(err, fault.TuplesMustFitTheSchema) || fault.Of(err).Others[0].Code != c.code {
				t.Errorf("%v, want %v", err, c.code)
			}
		})
	}
}

func admit(t *testing.T, stored, updates string) (admission.Decision, error) {
	t.Helper()
	return admitWith(t, stored, updates)
}

func admitWith(t *testing.T, stored, updates string, preconditions ...rel.Precondition) (admission.Decision, error) {
	t.Helper()
	w := admission.Write{Preconditions: preconditions}
	for _, text := range strings.Split(updates, "; ") {
		u, err := rel.ParseUpdate(text)
		if err != nil {
			t.Fatal(err)
		}
		w.Updates = append(w.Updates, u)
	}
	holds := func(_ context.Context, p rel.Precondition) (bool, error) {
		return p.Name == "yes", nil
	}
	return admission.Admit(context.Background(), compile(t, office), reader(t, stored), w, holds, nil, admission.ReadsMax)
}

func compile(t *testing.T, text string) *schema.Schema {
	t.Helper()
	s, faults := schema.Compile(text)
	for _, f := range faults {
		t.Fatal(f.Sentence())
	}
	return s
}

// snapshotReader is a snapshot as the service shows it to admission.
type snapshotReader struct{ *tupledb.Snapshot }

func (r snapshotReader) Tuples(f rel.Filter) iter.Seq2[rel.Tuple, error] {
	return r.Snapshot.Tuples(f, nil)
}

func reader(t *testing.T, stored string) admission.Reader {
	t.Helper()
	var tuples []rel.Tuple
	for _, line := range strings.Fields(stored) {
		tuple, err := rel.ParseTuple(line)
		if err != nil {
			t.Fatal(err)
		}
		tuples = append(tuples, tuple)
	}
	db, err := tupledb.Open(tupledb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) {
		return tupledb.Commit{Put: tuples}, nil
	}); err != nil {
		t.Fatal(err)
	}
	snap, err := store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		snap.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return snapshotReader{snap}
}

// fitData is what refuses a schema for what is stored; nil for nothing.
func fitData(t *testing.T, s *schema.Schema, stored admission.Reader) error {
	t.Helper()
	conflicts, err := admission.FitData(context.Background(), s, stored)
	if err != nil {
		t.Fatal(err)
	}
	return admission.Refusal(conflicts)
}

// What changed since everything stored was judged is judged like a write, and only that.
func TestChangesAreJudgedWithoutTheRest(t *testing.T) {
	const text = `use roles
definition user { relation boss: user [0..1] }
definition team { relation lead: user [1..*]
  relation second: user [0..1] of lead }
definition ws { roles one per subject { low: user; high: user } }`
	many := strings.Join(func() (all []string) {
		for i := range 2000 {
			all = append(all, fmt.Sprintf("team:t%d#lead@user:u%d", i, i))
		}
		return all
	}(), " ")
	for _, c := range []struct {
		name, stored, changed string
		want                  fault.Code
	}{
		{"nothing is wrong", many, "team:t1#lead@user:u1 team:gone#lead@user:u1", 0},
		{"a relation that is not there", many + " team:t1#lead@user:x", "team:t1#leads@user:x", 0},
		{"a deleted tuple of a type that is not there", many, "group:g#member@user:x", 0},
		{"two roles", many + " ws:w#low@user:x ws:w#high@user:x", "ws:w#high@user:x", fault.OneRolePerSubject},
		{"two bosses", many + " user:x#boss@user:a user:x#boss@user:b", "user:x#boss@user:b", fault.UpperBoundMustHold},
		{"the last lead is gone", many + " ws:w#low@user:x team:t#second@user:x", "team:t#lead@user:x", fault.LowerBoundMustHold},
		{"the second is no lead", many + " team:t#lead@user:a team:t#second@user:x", "team:t#second@user:x", fault.SubjectMustBeIn},
		{"what did not change is not looked at", many + " ws:w#low@user:x ws:w#high@user:x", "ws:w#low@user:y", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			stored := reader(t, c.stored)
			var changed []rel.Key
			for _, text := range strings.Fields(c.changed) {
				k, err := rel.ParseKey(text)
				if err != nil {
					t.Fatal(err)
				}
				changed = append(changed, k)
			}
			reads := stored.Reads()
			conflicts, err := admission.FitChanges(context.Background(), compile(t, text), stored, changed, admission.ReadsMax)
			if err != nil {
				t.Fatal(err)
			}
			if got := stored.Reads() - reads; got > 100 {
				t.Errorf("%d reads for %d changes among 2,000 tuples", got, len(changed))
			}
			if c.want == 0 && len(conflicts) > 0 || c.want != 0 && (len(conflicts) == 0 || conflicts[0].Code != c.want) {
				t.Errorf("conflicts are %v, want %v", conflicts, c.want)
			}
		})
	}
}

// Time can take a tuple away that `of` needs. What a write then changes is judged,
// and what it leaves alone is not.
func TestSubjectsInAreJudgedForWhatAWriteChanges(t *testing.T) {
	const text = `use roles
use expiration
definition user {}
definition doc {
  relation floor: user with expiration | user
  relation guest: user | user with expiration of floor
}`
	const past, future = "[expiration:2001-01-01T00:00:00Z]", "[expiration:2100-01-01T00:00:00Z]"
	hanging := "doc:d#guest@user:ana doc:d#floor@user:ana" + past
	for _, c := range []struct {
		name, stored, update string
		want                 fault.Code
	}{
		{"another tuple", hanging, "touch doc:e#floor@user:bob", 0},
		{"the tuple that hangs in the air", hanging, "touch doc:d#guest@user:ana" + future, fault.SubjectMustBeIn},
		{"it is put right", hanging, "touch doc:d#floor@user:ana", 0},
		{"with one that has expired, too", hanging, "touch doc:d#floor@user:ana" + past, 0},
		{"it goes", hanging, "delete doc:d#guest@user:ana", 0},
		{"what is needed is taken away", "doc:d#guest@user:ana doc:d#floor@user:ana", "delete doc:d#floor@user:ana", fault.SubjectMustBeIn},
		{"what is needed ends", "doc:d#guest@user:ana doc:d#floor@user:ana", "touch doc:d#floor@user:ana" + past, fault.SubjectMustBeIn},
		{"what is needed will end", "doc:d#guest@user:ana doc:d#floor@user:ana", "touch doc:d#floor@user:ana" + future, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := rel.ParseUpdate(c.update)
			if err != nil {
				t.Fatal(err)
			}
			_, err = admission.Admit(context.Background(), compile(t, text), reader(t, c.stored), admission.Write{Updates: []rel.Update{u}}, nil, nil, admission.ReadsMax)
			if c.want == 0 && err != nil || c.want != 0 && !fault.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
