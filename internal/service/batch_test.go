package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// screens is a world that a screen asks many questions of at once: projects in a
// workspace with a hundred permissions, shared with teams nested three deep, in whose
// innermost there are ana and five others each.
func screens(t *testing.T, c service.Config) fixture {
	f := openService(t, "", c)
	var text strings.Builder
	text.WriteString(`use roles
definition user {}
caveat at_work(office bool) { office }
definition team { relation member: user | team#member }
definition workspace { roles { viewer: user | team#member; editor: user | team#member } }
definition project {
  relation workspace: workspace
  relation banned: user
  roles except banned {
    viewer: user | team#member | user with at_work
    editor: user | team#member
    inherit from workspace
  }
`)
	for i := range 100 {
		fmt.Fprintf(&text, "permission p%d = %s\n", i, []string{"viewer", "editor", "editor - banned", "workspace->editor"}[i%4])
	}
	f.schema(text.String() + "}")
	updates := []string{"touch workspace:w#viewer@user:lea"}
	for i := range 20 {
		updates = append(updates,
			fmt.Sprintf("touch team:outer%d#member@team:middle%d#member", i, i),
			fmt.Sprintf("touch team:middle%d#member@team:inner%d#member", i, i),
			fmt.Sprintf("touch team:inner%d#member@user:ana", i),
			fmt.Sprintf("touch project:all#viewer@team:outer%d#member", i))
		for k := range 5 {
			updates = append(updates, fmt.Sprintf("touch team:inner%d#member@user:u%d", i, i*5+k))
		}
	}
	for i := range 100 {
		updates = append(updates,
			fmt.Sprintf("touch project:p%d#workspace@workspace:w", i),
			fmt.Sprintf("touch project:p%d#viewer@team:outer%d#member", i, i%20),
			fmt.Sprintf("touch project:p%d#editor@user:u%d", i, i),
			fmt.Sprintf("touch project:wide#viewer@user:w%d", i))
	}
	f.mustWrite(append(updates, "touch project:wide#viewer@team:outer0#member", "touch project:office#viewer@user:max[at_work]")...)
	return f
}

// itemsOf are questions with their number in place of every %.
func itemsOf(t *testing.T, n int, question string) []service.BatchItem {
	items := make([]service.BatchItem, n)
	for i := range items {
		items[i].CheckItem = item(t, strings.ReplaceAll(question, "%", fmt.Sprint(i)))
	}
	return items
}

// batch asks a batch, and sees that every item is answered as it is alone.
func (f fixture) batch(items []service.BatchItem) (b service.BatchAnswer, readsApart int) {
	f.Helper()
	b, err := f.BatchCheck(context.Background(), service.BatchQuery{Store: rel.DefaultStore, Items: items})
	if err != nil {
		f.Fatal(err)
	}
	for i, item := range items {
		alone, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item.CheckItem})
		if got := b.Outcomes[i]; got.Answer.Result != alone.Result || len(got.Answer.Missing) != len(alone.Missing) || fmt.Sprint(got.Err) != fmt.Sprint(err) {
			f.Errorf("%v#%s@%v is %v, %v; alone it is %v, %v", item.Object, item.Name, item.Principal, got.Answer.Result, got.Err, alone.Result, err)
		}
		readsApart += alone.Cost.Reads
	}
	return b, readsApart
}

// What the items of a batch have in common is read once. A narrow object costs a read
// for each of its tuples.
func TestReadsOfABatch(t *testing.T) {
	f := screens(t, service.Config{})
	const (
		project = 3                   // workspace, viewer, editor; of one that has them
		teams   = 1 + 1 + 6           // an outer one, what is in it, and in that
		one     = project + 1 + teams // and the workspace
		wide    = 33 + 8              // what shows that it is wide, and its usersets
	)
	for _, c := range []struct {
		name, question string
		reads          int
	}{
		{"a hundred names of one object", "project:p7#p%@user:ana", one},
		{"a hundred names that a stranger asks for", "project:p7#p%@user:nobody", one},
		{"a hundred objects of one subject in twenty groups", "project:p%#p0@user:ana", 100*project + 1 + 20*teams},
		{"a hundred subjects on one object", "project:p3#p0@user:u%", one},
		// From sixteen groups on a subject's own tuples are read instead of the groups'.
		{"a hundred subjects on an object of twenty groups", "project:all#p0@user:u%", 20 + 20*teams + 100},
		{"a hundred subjects on a wide object", "project:wide#p0@user:u%", wide + teams + 4*100},
		{"a subject each and an object each", "project:p%#p0@user:u%", 100*project + 1 + 20*teams},
		{"one question a hundred times", "project:p7#p0@user:ana", one},
		{"a subject beside another one", "project:p3#p0@user:nobody + user:x%", one},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fixture{t, f.Service, f.store, f.close}
			answer, apart := f.batch(itemsOf(t, 100, c.question))
			if answer.Cost.Reads > c.reads {
				t.Errorf("%d reads, budget %d; apart they are %d", answer.Cost.Reads, c.reads, apart)
			}
		})
	}
	names, err := f.EffectiveAccess(context.Background(), service.AccessQuery{
		Store: rel.DefaultStore, Object: item(t, "project:p7#p0@user:ana").Object, Principal: item(t, "project:p7#p0@user:ana").Principal,
	})
	if err != nil || names.Cost.Reads != one {
		t.Errorf("all names at once cost %d reads, %v", names.Cost.Reads, err)
	}
}

// An item's context and contextual tuples are its own, whatever it shares.
func TestItemsOfABatchShareNothingThatTheyBring(t *testing.T) {
	f := screens(t, service.Config{})
	context := func(text string) rel.Context {
		c, err := rel.ParseContext(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bringing := func(question string, c rel.Context, tuples ...string) (i service.BatchItem) {
		i.CheckItem = item(t, question)
		i.Context = c
		for _, text := range tuples {
			tuple, err := rel.ParseTuple(text)
			if err != nil {
				t.Fatal(err)
			}
			i.Contextual = append(i.Contextual, tuple)
		}
		return i
	}
	none := rel.Context{}
	in, out := context(`{"office":true}`), context(`{"office":false}`)
	items := []service.BatchItem{
		bringing("project:office#p0@user:max", none),
		bringing("project:office#p0@user:max", in),
		bringing("project:office#p0@user:max", out),
		bringing("project:office#p0@user:max", none, "project:office#viewer@user:max"), // in the place of the stored one
		bringing("project:office#p0@user:max", none),
		bringing("project:office#p0@user:lea", none),
		bringing("project:office#p0@user:lea", none, "project:office#workspace@workspace:w"),
		bringing("project:office#p0@user:lea", none),
		bringing("project:office#p0@user:max", in, "project:office#banned@user:max"),
		bringing("project:office#p0@user:max", in),
		bringing("project:office#p0@user:max", in, "project:offices#banned@user:max"),
	}
	b, _ := f.batch(items)
	want := []engine.Result{
		engine.Conditional, engine.Granted, engine.Denied, engine.Granted, engine.Conditional,
		engine.Denied, engine.Granted, engine.Denied, engine.Denied, engine.Granted, engine.Granted,
	}
	for i := range want {
		if got := b.Outcomes[i].Answer.Result; got != want[i] {
			t.Errorf("item %d is %v, want %v", i, got, want[i])
		}
	}
	// The office, and the workspace that one item brings.
	if b.Cost.Reads > 1+1 {
		t.Errorf("%d reads", b.Cost.Reads)
	}
}

// What the schema does not have is said of each item that names it, in any order and
// beside any other.
func TestUnknownNamesOfABatchStayWithTheirItems(t *testing.T) {
	f := screens(t, service.Config{})
	var items []service.BatchItem
	for _, question := range []string{
		"project:p0#p0@user:u0", "project:p0#nope@user:u0", "projekt:p0#p0@user:u0", "project:p0#p0@usr:u0", "project:p0#nope@usr:u0",
		"project:p0#p0@usr:u0", "project:p0#p0@user:u0 + team:outer0#members", "project:p0#p0@user:u0",
	} {
		items = append(items, service.BatchItem{CheckItem: item(t, question)})
	}
	items = append(items, service.BatchItem{CheckItem: item(t, "project:p0#p0@user:u0")})
	items[8].Contextual = []rel.Tuple{{Key: rel.Key{Object: items[0].Object, Relation: "owner", Subject: items[0].Principal.Subjects()[0]}}}
	b, _ := f.batch(items)
	for i, fields := range []string{"", "permission", "object", "subject", "subject permission", "subject", "additional_subjects", "", "contextual_tuples[0]"} {
		var got []string
		if f := fault.Of(b.Outcomes[i].Err); f != nil {
			for _, each := range f.All() {
				got = append(got, each.Field)
			}
		}
		if strings.Join(got, " ") != fields {
			t.Errorf("item %d fails for %v, want %s", i, got, fields)
		}
	}
}

// A thousand askers of a thousand objects share what they can, and an item that costs
// more than it may fails for itself: those after it find what they would find alone.
func TestAThousandAskersInABatch(t *testing.T) {
	const budget = 60
	f := screens(t, service.Config{ReadsMax: budget})
	var expensive []string
	for i := range 20 {
		expensive = append(expensive, fmt.Sprintf("touch project:huge#viewer@team:outer%d#member", i))
	}
	f.mustWrite(expensive...)
	items := itemsOf(t, 1000, "project:p%#p0@user:x%")
	for i := range items {
		if i%250 == 0 { // the first pays for all groups of which no other has read one
			items[i].CheckItem = item(t, fmt.Sprintf("project:huge#p0@user:y%d", i))
		}
	}
	b, err := f.BatchCheck(context.Background(), service.BatchQuery{Store: rel.DefaultStore, Items: items})
	if err != nil {
		t.Fatal(err)
	}
	for i, outcome := range b.Outcomes {
		if i%250 == 0 {
			if outcome.Err != nil && !fault.Is(outcome.Err, fault.WalkMustStayWithinBudget) || outcome.Answer.Result != engine.Denied {
				t.Errorf("item %d: %v, %v", i, outcome.Answer.Result, outcome.Err)
			}
		} else if outcome.Err != nil || outcome.Answer.Result != engine.Denied {
			t.Errorf("item %d: %v, %v", i, outcome.Answer.Result, outcome.Err)
		}
	}
	if first := b.Outcomes[0].Err; !fault.Is(first, fault.WalkMustStayWithinBudget) {
		t.Errorf("the first one: %v", first)
	}
}
