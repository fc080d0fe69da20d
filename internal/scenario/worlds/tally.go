package worlds

import (
	"fmt"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Tally counts what was compared: the answers in three values, and how many of
// them say something. Answers are the Check and Batch ones; Effective and Write
// are compared, too, and counted apart so that they do not blur the shares; so
// are lists.
type Tally struct {
	Worlds      int
	Questions   int // answers compared
	Granted     int
	Conditional int
	Excluded    int // would be another answer if every `-` and `except` were ignored
	Cyclic      int // depends on a circle through stored tuples
	Promises    int // answers compared once more, just before they may change
	Effective   int // comparisons of role and permissions
	Past        int // answers of an earlier state
	Expanded    int // answers read off the tree of a name
	Explained   int // explanations whose every reason was judged
	Openings    int // tuples that they said would open a denial
	Accepted    int // writes that both accepted
	Refused     int // writes that both refused for the same reason
	Acted       int // writes on behalf of somebody
	ActedWell   int // of these accepted
	NotAllowed  int // of these refused because the actor may not
	ListTally
}

// Add adds another tally to this one.
func (t *Tally) Add(u Tally) {
	t.Worlds += u.Worlds
	t.Questions += u.Questions
	t.Granted += u.Granted
	t.Conditional += u.Conditional
	t.Excluded += u.Excluded
	t.Cyclic += u.Cyclic
	t.Promises += u.Promises
	t.Effective += u.Effective
	t.Past += u.Past
	t.Expanded += u.Expanded
	t.Explained += u.Explained
	t.Openings += u.Openings
	t.Accepted += u.Accepted
	t.Refused += u.Refused
	t.Acted += u.Acted
	t.ActedWell += u.ActedWell
	t.NotAllowed += u.NotAllowed
	t.ListTally.add(u.ListTally)
}

// write counts a write that was refused for a reason; nil where it was not.
func (t *Tally) write(actor rel.Actor, refused *fault.Fault) {
	acted := !actor.IsZero()
	if acted {
		t.Acted++
	}
	switch {
	case refused == nil && acted:
		t.Accepted++
		t.ActedWell++
	case refused == nil:
		t.Accepted++
	case refused.Code == fault.ActorMustBeAllowedToGrant:
		t.Refused++
		t.NotAllowed++
	default:
		t.Refused++
	}
}

func (t Tally) String() string {
	return fmt.Sprintf("%d worlds, %d answers (%s granted, %s conditional, %s changed by an exclusion, %s through a cycle), %d kept until they expire, %d of the past, %d effective accesses, %d read off a tree, %d explained with %d openings, %d writes accepted, %d refused; of %d by an actor %s accepted, %s not allowed%s",
		t.Worlds, t.Questions, t.share(t.Granted), t.share(t.Conditional), t.share(t.Excluded), t.share(t.Cyclic), t.Promises, t.Past, t.Effective, t.Expanded, t.Explained, t.Openings, t.Accepted, t.Refused,
		t.Acted, percent(t.ActedWell, t.Acted), percent(t.NotAllowed, t.Acted), t.ListTally)
}

func (t Tally) share(n int) string { return percent(n, t.Questions) }

func percent(n, of int) string {
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(1, of)))
}
