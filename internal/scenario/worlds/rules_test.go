package worlds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
	"github.com/pemba-io/pemba/internal/service"
)

// crowded is a schema in which almost every tuple breaks some rule: ladders that
// are one per subject and spread over objects of their own type, links of every
// form, `of` beside bounds.
const crowded = `use roles
definition user {}
definition ws {
  relation up: ws | ws#admin
  relation pal: user | user:* | ws one per subject with up
  roles one per subject {
    guest: user | ws one per subject with up
    admin: user | ws#guest | user:* [1..2]
  }
}
definition c {
  relation link: ws | c | ws#admin | ws:* [0..2]
  relation holder: user | ws#admin | user:* one per subject with link
  relation ins: user | user:* | ws [2..*]
  relation act: user | user:* [0..1] of ins
  roles one per subject {
    r: user | c one per subject with link
    s: user | user:* of holder one per subject with link
  }
}`

var crowdedSubjects = map[string][]string{
	"ws#up":    {"ws:1", "ws:2", "ws:1#admin"},
	"ws#pal":   {"user:1", "user:2", "user:*", "ws:1"},
	"ws#guest": {"user:1", "user:2", "ws:1", "ws:2"},
	"ws#admin": {"user:1", "user:2", "user:3", "ws:1#guest", "user:*"},
	"c#link":   {"ws:1", "ws:2", "c:1", "c:2", "ws:1#admin", "ws:*"},
	"c#holder": {"user:1", "user:2", "ws:1#admin", "user:*"},
	"c#ins":    {"user:1", "user:2", "user:3", "user:*", "ws:1"},
	"c#act":    {"user:1", "user:2", "user:*"},
	"c#r":      {"user:1", "user:2", "c:1"},
	"c#s":      {"user:1", "user:2", "user:*"},
}

// enough are tuples that satisfy all lower bounds.
var enough = []string{"ws:1#admin@user:3", "ws:2#admin@user:1", "c:1#ins@user:1", "c:1#ins@user:2", "c:2#ins@user:1", "c:2#ins@ws:1"}

func crowdedTuple(t *testing.T, d *rand.Rand) rel.Tuple {
	places := make([]string, 0, len(crowdedSubjects))
	for place := range crowdedSubjects {
		places = append(places, place)
	}
	slices.Sort(places)
	place := places[d.IntN(len(places))]
	typ, relation, _ := strings.Cut(place, "#")
	subjects := crowdedSubjects[place]
	return tupleOf(t, fmt.Sprintf("%s:%d#%s@%s", typ, 1+d.IntN(2), relation, subjects[d.IntN(len(subjects))]))
}

func tupleOf(t *testing.T, text string) rel.Tuple {
	t.Helper()
	tuple, err := rel.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return tuple
}

func crowdedFile(t *testing.T) *syntax.File {
	t.Helper()
	file, faults := syntax.Parse(crowded)
	if len(faults) > 0 {
		t.Fatal(faults[0])
	}
	return file
}

// The product and the oracle accept and refuse the same writes, for the same
// reason and with the same net change; and what writes leave fits the schema.
func TestWritesAgreeWhereRulesAreDense(t *testing.T) {
	file := crowdedFile(t)
	system := product(t)
	outcomes := make(map[string]int)
	for seed := range uint64(60) {
		d := rand.New(rand.NewPCG(seed, 7))
		if err := system.Load(t.Context(), start, crowded, nil); err != nil {
			t.Fatal(err)
		}
		o, err := oracle.New(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			updates := crowdedUpdates(t, d, o)
			changes, next, want := o.Write(rel.Actor{}, updates, nil)
			answer, came := system.Service().Write(t.Context(), service.WriteCommand{
				Store: rel.DefaultStore, Write: admission.Write{Updates: updates},
			})
			if got, want := writeText(answer.Changes, came), writeText(changes, want); got != want {
				t.Fatalf("seed %d: %v on %v: the product says %s, the oracle %s", seed, updates, o.Tuples(), got, want)
			}
			if want == nil {
				o = next
				outcomes["accepted"]++
			} else {
				outcomes[fault.Of(want).Code.Reason()]++
			}
		}
		// The same rules, written anew, find nothing to refuse.
		if _, err := system.Service().WriteSchema(t.Context(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: crowded + "\n// again"}); err != nil {
			t.Fatalf("seed %d: what was accepted does not fit: %v in %v", seed, err, o.Tuples())
		}
	}
	for _, reason := range []string{"accepted", "ONE_ROLE_PER_SUBJECT", "UPPER_BOUND_MUST_HOLD", "LOWER_BOUND_MUST_HOLD", "SUBJECT_MUST_BE_IN"} {
		if outcomes[reason] < 10 {
			t.Errorf("only %d of the writes ended as %s: %v", outcomes[reason], reason, outcomes)
		}
	}
}

func crowdedUpdates(t *testing.T, d *rand.Rand, o *oracle.Oracle) []rel.Update {
	var updates []rel.Update
	stored := o.Tuples()
	for range 1 + d.IntN(6) {
		switch {
		case d.IntN(100) < 35 && len(stored) > 0:
			updates = append(updates, rel.Update{Op: rel.Delete, Tuple: stored[d.IntN(len(stored))]})
		case d.IntN(8) == 0:
			updates = append(updates, rel.Update{Op: rel.Delete, Tuple: crowdedTuple(t, d)})
		default:
			updates = append(updates, rel.Update{Op: rel.Touch, Tuple: crowdedTuple(t, d)})
		}
	}
	if len(stored) == 0 || d.IntN(3) == 0 {
		for _, text := range enough {
			updates = append(updates, rel.Update{Op: rel.Touch, Tuple: tupleOf(t, text)})
		}
	}
	return updates
}

// What is stored before the rules come is accepted by a schema with rules where
// the oracle would load it, and refused for the same reason where it would not.
func TestStoredTuplesAreJudgedAsWrittenOnesAre(t *testing.T) {
	file := crowdedFile(t)
	loose := crowded
	for _, rule := range []string{" one per subject with up", " one per subject with link", " [1..2]", " [0..2]", " [2..*]", " [0..1]", " of ins", " of holder", " one per subject"} {
		loose = strings.ReplaceAll(loose, rule, "")
	}
	system := product(t)
	accepted := 0
	const sets = 300
	for seed := range uint64(sets) {
		d := rand.New(rand.NewPCG(seed, 8))
		var tuples []rel.Tuple
		for _, text := range enough {
			if d.IntN(12) > 0 {
				tuples = append(tuples, tupleOf(t, text))
			}
		}
		for range d.IntN(7) {
			if tuple := crowdedTuple(t, d); !slices.Contains(tuples, tuple) {
				tuples = append(tuples, tuple)
			}
		}
		if err := system.Load(t.Context(), start, loose, tuples); err != nil {
			t.Fatal(err)
		}
		_, came := system.Service().WriteSchema(t.Context(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: crowded})
		_, want := oracle.Load(file, tuples)
		if want == nil {
			accepted++
		}
		if (came == nil) != (want == nil) || want != nil && !lists(came, fault.Of(want).Code) {
			t.Fatalf("seed %d: %v: the product says %v, the oracle %v", seed, tuples, came, want)
		}
	}
	if accepted < sets/10 || accepted > sets*9/10 {
		t.Errorf("%d of %d sets were accepted", accepted, sets)
	}
}

func lists(err error, code fault.Code) bool {
	return slices.ContainsFunc(fault.Of(err).All(), func(f *fault.Fault) bool { return f.Code == code })
}
