package engine_test

import (
	"fmt"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
)

const groups = `
use roles
definition user {}
definition flat { relation member: user | user:* }
definition deep { relation member: user | deep#member }
definition ranked { roles { member: user; lead: user } }
definition doc {
  relation flat: flat#member
  relation deep: deep#member
  relation ranked: ranked#member
  permission in_flat = flat
  permission in_deep = deep
  permission in_ranked = ranked
}`

// A principal in a thousand groups, on an object shared with a thousand: its own
// tuples are read from its side, in one go, and no group is looked into.
func TestAThousandGroupsOnEitherSide(t *testing.T) {
	const n = 1000
	var tuples []string
	for i := range n {
		tuples = append(tuples,
			fmt.Sprintf("doc:d#flat@flat:shared%d#member", i), fmt.Sprintf("flat:other%d#member@user:ana", i),
			fmt.Sprintf("doc:d#ranked@ranked:shared%d#member", i), fmt.Sprintf("ranked:other%d#lead@user:ana", i),
			fmt.Sprintf("doc:d#deep@deep:shared%d#member", i), fmt.Sprintf("deep:other%d#member@user:ana", i))
	}
	w := newWorld(t, groups, tuples...)
	// What an object of more than 32 tuples shows at first, then a seek and the
	// steps of each side.
	const first = 33
	for _, c := range []struct {
		name, more, question string
		want                 engine.Result
		reads                int
	}{
		{"in none of them", "", "doc:d#in_flat", engine.Denied, first + 2*n + 4},
		{"roles are two relations", "", "doc:d#in_ranked", engine.Denied, first + 2*n + 4},
		{"in the last of them", "flat:shared999#member@user:ana", "doc:d#in_flat", engine.Granted, first + 2*n + 5},
		{"in one of them, as a higher role", "ranked:shared500#lead@user:ana", "doc:d#in_ranked", engine.Granted, first + 2*n + 5},
		{"in one of groups that nest", "deep:shared999#member@user:ana", "doc:d#in_deep", engine.Granted, first + 2*n + 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.more != "" {
				w.put(c.more)
			}
			if got := expect(t, w.walk("user:ana"), c.question, c.want).Cost.Reads; got > c.reads {
				t.Errorf("%d reads, budget %d", got, c.reads)
			}
		})
	}
	w.put("flat:shared3#member@user:*")
	expect(t, w.walk("user:bob"), "doc:d#in_flat", engine.Granted)
}

// A principal in very many groups is not read to the end for the few of an object.
func TestMembershipsAreNotAllReadForAFewGroups(t *testing.T) {
	var tuples []string
	for i := range 20_000 {
		tuples = append(tuples, fmt.Sprintf("flat:other%d#member@user:ana", i))
	}
	for i := range 20 {
		tuples = append(tuples, fmt.Sprintf("doc:d#flat@flat:shared%d#member", i))
	}
	w := newWorld(t, groups, tuples...)
	if got := expect(t, w.walk("user:ana"), "doc:d#in_flat", engine.Denied).Cost.Reads; got > 500 {
		t.Errorf("%d reads", got)
	}
	w.put("flat:shared19#member@user:ana")
	expect(t, w.walk("user:ana"), "doc:d#in_flat", engine.Granted)
}

// Where groups nest, what is nested is found although the direct members were read
// from the other side.
func TestNestedGroupsAreLookedIntoAllTheSame(t *testing.T) {
	var tuples []string
	for i := range 100 {
		tuples = append(tuples, fmt.Sprintf("doc:d#deep@deep:g%d#member", i))
	}
	w := newWorld(t, groups, append(tuples, "deep:g77#member@deep:inner#member", "deep:inner#member@user:ana")...)
	expect(t, w.walk("user:ana"), "doc:d#in_deep", engine.Granted)
	expect(t, w.walk("user:bob"), "doc:d#in_deep", engine.Denied)
}

// Each of twenty groups in one another costs what looking into it costs: a seek, and
// the tuple that leads on.
func TestTwentyNestedGroupsCostALookEach(t *testing.T) {
	const groupsDeep = 20
	tuples := []string{"doc:d#deep@deep:g0#member", "deep:g19#member@user:ana"}
	for i := range groupsDeep - 1 {
		tuples = append(tuples, fmt.Sprintf("deep:g%d#member@deep:g%d#member", i, i+1))
	}
	w := newWorld(t, groups, tuples...)
	for principal, want := range map[string]engine.Result{"user:ana": engine.Granted, "user:bob": engine.Denied} {
		if got := expect(t, w.walk(principal), "doc:d#in_deep", want).Cost.Reads; got > 2*(groupsDeep+1) {
			t.Errorf("%s: %d reads, budget %d", principal, got, 2*(groupsDeep+1))
		}
	}
}
