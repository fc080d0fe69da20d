package worlds

import "fmt"

// A Tally counts what was compared: the answers in three values, and how many of
// them say something. Answers are the Check and Batch ones; Effective and Write
// are compared, too, and counted apart so that they do not blur the shares.
type Tally struct {
	Worlds      int
	Questions   int // answers compared
	Granted     int
	Conditional int
	Excluded    int // would be another answer if every `-` and `except` were ignored
	Cyclic      int // depends on a circle through stored tuples
	Promises    int // answers compared once more, just before they may change
	Effective   int // comparisons of role and permissions
	Accepted    int // writes that both accepted
	Refused     int // writes that both refused for the same reason
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
	t.Accepted += u.Accepted
	t.Refused += u.Refused
}

func (t Tally) String() string {
	return fmt.Sprintf("%d worlds, %d answers (%s granted, %s conditional, %s changed by an exclusion, %s through a cycle), %d kept until they expire, %d effective accesses, %d writes accepted, %d refused",
		t.Worlds, t.Questions, t.share(t.Granted), t.share(t.Conditional), t.share(t.Excluded), t.share(t.Cyclic), t.Promises, t.Effective, t.Accepted, t.Refused)
}

func (t Tally) share(n int) string {
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(1, t.Questions)))
}
