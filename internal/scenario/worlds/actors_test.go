//go:build !race

// The race detector would see one goroutine in each of these tests, and take
// minutes for it.

package worlds

import (
	"math/rand/v2"
	"testing"
)

// administered is a schema in which almost every write is somebody's business: links
// that vouch for others, bans that are found over names and arrows, custom roles,
// ladders of both kinds, rights that hang on conditions and on what expires.
const administered = `use roles
use self
use expiration
caveat small(n int) { n < 3 }
definition user {}
definition team {
  created by owner
  relation owner: user | team#member granted by owner revoked by owner except self
  relation member: user | team#member | user:* granted by owner + subject->owner
}
definition ws {
  created by up->admin + self
  within up
  relation up: ws [0..1] granted by subject->admin revoked by admin & up->admin
  relation barred: user | team#member granted by admin
  relation muted: user granted by admin - barred
  roles one per subject except barred {
    guest: user | team#member granted by admin
    admin: user | user with small | team#member with expiration granted by admin except self revoked by admin
  }
  permission hushed = muted + up->hushed
  permission speak = guest - hushed
}
definition custom {
  created by ws->admin
  relation ws: ws granted by subject->admin
  relation boss: user granted by ws->admin
  relation holder: user | team#member one per subject with ws granted by ws->admin + boss except self revoked by boss
}
definition doc {
  within ws, parent
  created by ws->guest & (parent->editor + ws.all(guest)) - ws->barred
  relation ws: ws | ws with small granted by subject->guest revoked by editor & subject->admin
  relation parent: doc | team granted by (subject->editor + subject->owner) & ws->guest
  relation shut: user granted by parent->editor - shut
  relation note: user | user:* granted by ws->speak except self
  roles {
    inherit from parent
    viewer: user | team#member with expiration granted by editor + ws->admin
    editor: user | team#member = ws->admin granted by editor - (shut - note) revoked by parent->editor + subject->owner
  }
  permission see = viewer - shut - ws->hushed
}
definition ticket {
  created by queue->boss + left->guest
  relation ws: ws granted by subject->guest
  relation queue: custom granted by ws->guest
  relation left: ws granted by right->guest
  relation right: ws granted by left->guest + subject->admin
  relation watcher: user granted by queue->boss revoked by queue->boss - left->barred
}`

// paired is a schema of few names, in which writes often meet: a lower role may do less
// than assigning it can take away, attributes break a lower bound, and a right to link
// can come with the write that links.
const paired = `use roles
caveat small(n int) { n < 3 }
definition user {}
definition pair {
  created by twin->low
  relation spare: user granted by low
  relation twin: pair granted by subject->spare
  roles one per subject {
    low: user granted by low
    high: user | user with small [1..*] granted by high
  }
}`

// administeredTrial is of writes alone, under one of the two schemas.
func administeredTrial(t *testing.T, seed uint64) Trial {
	d := &dice{rand.New(rand.NewPCG(seed, worldStream))}
	shape := shape{objects: 2 + d.IntN(2), users: 3, perPlace: 3, rules: true, conditions: true}
	text := administered
	if seed%5 < 3 {
		text = paired
	}
	w := populated(d, seed, shape, reparsed(t, text))
	w.acting = true
	return writesAlone(w.Trial())
}

// The product and the oracle accept and refuse the same writes of the same actors,
// for the same reason and with the same net change.
func TestWritesOfActorsAgreeWhereRulesAreDense(t *testing.T) {
	const actedMin = 700
	system := product(t)
	var tally Tally
	for seed := uint64(1); tally.Acted < actedMin; seed++ {
		got, finding, err := find(t.Context(), system, seed, administeredTrial(t, seed), newBook())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
	saySomething(t, tally)
}

// Of random worlds, too, many writes are accepted and many are not allowed.
func TestWritesOfActorsSaySomething(t *testing.T) {
	t.Parallel()
	var tally Tally
	for seed := range uint64(150) {
		got, finding, err := find(t.Context(), &walker{}, seed, writesAlone(New(seed).Trial()), newBook())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
	saySomething(t, tally)
}

func saySomething(t *testing.T, tally Tally) {
	t.Helper()
	if 5*tally.ActedWell < tally.Acted {
		t.Errorf("fewer than a fifth of the writes of actors are accepted: %v", tally)
	}
	if 5*tally.NotAllowed < tally.Acted {
		t.Errorf("fewer than a fifth of the writes of actors are not allowed: %v", tally)
	}
}
