package admission_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func changesOf(d admission.Decision) string {
	var texts []string
	for _, c := range d.Changes() {
		texts = append(texts, c.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}

func TestWhatFiltersAndObjectsTakeAway(t *testing.T) {
	for _, c := range []struct{ name, updates, want string }{
		{"by object and relation", "delete_matching item:i#assignee", "delete item:i#assignee@user:bob"},
		{"by subject", "delete_matching @user:cid", "delete custom_role:c#holder@user:cid"},
		{"nothing", "delete_matching item:none", ""},
		{"a subject's tuples, on either index", "delete_matching item:#assignee@user:bob; delete_matching #insider",
			"delete item:i#assignee@user:bob; delete item:i#insider@user:bob"},
		{"a whole object", "delete_object item:i",
			"delete item:i#assignee@user:bob; delete item:i#insider@user:bob; delete item:i#workspace@workspace:w"},
		{"an object that stands nowhere", "delete_object item:none", ""},
		{"an object as a subject, too", "delete_object workspace:w; delete_matching item:; delete_object custom_role:c",
			"delete custom_role:c#holder@user:cid; delete custom_role:c#workspace@workspace:w; " +
				"delete item:i#assignee@user:bob; delete item:i#insider@user:bob; delete item:i#workspace@workspace:w; " +
				"delete workspace:w#admin@user:ana; delete workspace:w#member@user:bob"},
		{"its usersets, too", "create team:t#member@user:x; create workspace:w#member@team:t#member; create team:u#member@team:t#member; delete_object team:t",
			""},
		// Each on the state that the ones before it left.
		{"what was created before it", "create item:i#insider@user:new; delete_matching item:i#insider@user:new", ""},
		{"not what is created after it", "delete_matching item:i#insider; delete_matching item:i#assignee; create item:i#insider@user:bob",
			"delete item:i#assignee@user:bob"},
		{"what went may be created", "delete_matching item:i#assignee; create item:i#assignee@user:bob", ""},
		{"what was deleted before it is not there twice", "delete item:i#assignee@user:bob; delete_matching item:i#assignee; delete_object item:i",
			"delete item:i#assignee@user:bob; delete item:i#insider@user:bob; delete item:i#workspace@workspace:w"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := admit(t, base, c.updates)
			if err != nil {
				t.Fatal(err)
			}
			if got := changesOf(d); got != c.want || d.Partial {
				t.Errorf("got %q, partial %t, want %q", got, d.Partial, c.want)
			}
		})
	}
}

func TestWhatRefusesFiltersAndObjects(t *testing.T) {
	for _, c := range []struct {
		name, updates string
		code          fault.Code
		field         string
	}{
		{"an unknown type", "delete item:i#insider@user:x; delete_matching itm:i", fault.TypeMustExist, "updates[1].delete_matching.filter"},
		{"an unknown relation", "delete_matching item:i#insidr", fault.NameMustExist, "updates[0].delete_matching.filter"},
		{"a permission", "delete_matching item:#view", fault.NameMustExist, "updates[0].delete_matching.filter"},
		{"an unknown subject type", "delete_matching @usr:bob", fault.TypeMustExist, "updates[0].delete_matching.filter"},
		{"an object of an unknown type", "delete_object itm:i", fault.NotInSchema, "updates[0].delete_object.object"},
		{"the last admin", "delete_matching workspace:w#admin", fault.LowerBoundMustHold, ""},
		{"the admin as an object", "delete_object user:ana", fault.LowerBoundMustHold, ""},
		{"an insider who is assigned", "delete_matching item:#insider", fault.SubjectMustBeIn, ""},
		{"a workspace that things are in", "delete_matching workspace:w", fault.LowerBoundMustHold, ""},
		{"created twice, once too early", "create item:i#assignee@user:bob; delete_matching item:i#assignee", fault.AlreadyExistsCreate, "updates[0].create"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := admit(t, base, c.updates)
			f := fault.Of(err)
			if f == nil || f.Code != c.code || f.Field != c.field || f.Remedy == "" {
				t.Errorf("%v (field %q), want %v", err, f.Field, c.code)
			}
		})
	}
}

func matching(t *testing.T, filter string, limit int, partial bool) rel.Update {
	t.Helper()
	f, err := rel.ParseFilter(filter)
	if err != nil {
		t.Fatal(err)
	}
	return rel.Update{Op: rel.DeleteMatching, Matching: rel.Matching{Filter: f, Limit: limit, Partial: partial}}
}

func crowd(n int) string {
	var b strings.Builder
	b.WriteString(base)
	for i := range n {
		fmt.Fprintf(&b, "\nitem:i#insider@user:u%d", i)
	}
	return b.String()
}

func TestALimitIsKept(t *testing.T) {
	const many = rel.MatchingLimitDefault
	before := reader(t, crowd(many)) // and bob, who is assigned
	s := compile(t, strings.ReplaceAll(office, " of insider", ""))
	for _, c := range []struct {
		name    string
		updates []rel.Update
		deleted int
		partial bool
	}{
		{"at the limit", []rel.Update{matching(t, "item:i#insider", many+1, false)}, many + 1, false},
		{"one below it", []rel.Update{matching(t, "item:i#insider", many, false)}, -1, false},
		{"zero is the default", []rel.Update{matching(t, "item:i#insider", 0, false)}, -1, false},
		{"partial", []rel.Update{matching(t, "item:i#insider", 7, true)}, 7, true},
		{"partial with the default", []rel.Update{matching(t, "item:i#insider", 0, true)}, many, true},
		{"partial, and all of it", []rel.Update{matching(t, "item:i#insider", many+1, true)}, many + 1, false},
		{"partial twice", []rel.Update{matching(t, "item:i#insider", many, true), matching(t, "item:i#insider", 1, true)}, many + 1, true},
		{"one of two is partial", []rel.Update{matching(t, "item:i#insider", 7, true), matching(t, "item:i#assignee", 7, true)}, 8, true},
		{"each has its own", []rel.Update{matching(t, "item:i#insider", many+1, false), matching(t, "item:i#assignee", 1, false)}, many + 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := admission.Admit(context.Background(), s, before, admission.Write{Updates: c.updates}, nil, nil, admission.ReadsMax)
			if c.deleted < 0 {
				if f := fault.Of(err); f == nil || f.Code != fault.MatchesMustStayWithinLimit || f.Field != "updates[0].delete_matching.filter" {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || len(d.Delete) != c.deleted || len(d.Put)+len(d.Touch) > 0 || d.Partial != c.partial {
				t.Errorf("%d deleted, partial %t, %v; want %d, %t", len(d.Delete), d.Partial, err, c.deleted, c.partial)
			}
		})
	}
}

// Behind a filter that is refused nothing is judged: what would be there is not known.
func TestARefusedFilterEndsTheUpdates(t *testing.T) {
	before := reader(t, crowd(3))
	create, err := rel.ParseUpdate("create item:i#insider@user:bob")
	if err != nil {
		t.Fatal(err)
	}
	tooWide := matching(t, "item:i#insider", 2, false)
	for code, updates := range map[fault.Code][]rel.Update{
		fault.MatchesMustStayWithinLimit: {tooWide, create},
		fault.AlreadyExistsCreate:        {create, tooWide},
	} {
		_, err := admission.Admit(context.Background(), compile(t, office), before, admission.Write{Updates: updates}, nil, nil, admission.ReadsMax)
		if !fault.Is(err, code) || code == fault.MatchesMustStayWithinLimit && len(fault.Of(err).Others) > 0 {
			t.Errorf("%v: %v", updates, err)
		}
	}
}

// A filter that is too wide is refused for no more than its limit costs, and what
// it takes is not looked up twice.
func TestDeletingReadsWhatItTakes(t *testing.T) {
	before := reader(t, crowd(5000))
	s := compile(t, office)
	for _, c := range []struct {
		update rel.Update
		most   int
	}{
		{matching(t, "item:i#insider", 10, false), 20},
		{matching(t, "item:i#insider", 10, true), 60},
	} {
		reads := before.Reads()
		_, err := admission.Admit(context.Background(), s, before, admission.Write{Updates: []rel.Update{c.update}}, nil, nil, admission.ReadsMax)
		if reads = before.Reads() - reads; reads > c.most {
			t.Errorf("%v: %d reads, %v", c.update, reads, err)
		}
	}
}

func TestDeletingStaysWithinTheBudget(t *testing.T) {
	before := reader(t, crowd(5000))
	s := compile(t, office)
	item, err := rel.ParseObject("item:i")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []rel.Update{
		{Op: rel.DeleteObject, Object: item},
		matching(t, "item:i#insider", 4000, true),
		matching(t, "@user:nobody#*", 10, false), // found none, and another one after it
	} {
		w := admission.Write{Updates: []rel.Update{u}}
		_, err := admission.Admit(context.Background(), s, before, w, nil, nil, 3000)
		if want := u.Op != rel.DeleteMatching || u.Matching.Limit > 10; fault.Is(err, fault.JudgingMustStayWithinBudget) != want {
			t.Errorf("%v: %v", u, err)
		}
	}
	// No update reads, but each looks at all that the first one took.
	w := admission.Write{Updates: []rel.Update{matching(t, "item:i#insider", 5001, false)}}
	for range 900 {
		w.Updates = append(w.Updates, matching(t, "team:", 10, false))
	}
	if _, err := admission.Admit(context.Background(), s, before, w, nil, nil, 100_000); !fault.Is(err, fault.JudgingMustStayWithinBudget) {
		t.Errorf("looking through what was taken, 900 times: %v", err)
	}
}
