package worlds

import (
	"fmt"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A ListTally counts the lists that were compared, each as a whole, and with how many
// single answers of the oracle.
type ListTally struct {
	Lists       int
	Pages       int
	PastLists   int // of an earlier state
	Interrupted int // with a write between the pages
	Compared    int // answers: one an object, or a subject
	Entries     int // of these on the list
	OpenEntries int // of these conditional
	Withheld    int // objects whose answer an exclusion changes
	Wildcards   int // lists with everybody on them
	Excepting   int // of these with exceptions
	Exceptions  int
	Sources     int
}

func (t *ListTally) add(u ListTally) {
	t.Lists += u.Lists
	t.Pages += u.Pages
	t.PastLists += u.PastLists
	t.Interrupted += u.Interrupted
	t.Compared += u.Compared
	t.Entries += u.Entries
	t.OpenEntries += u.OpenEntries
	t.Withheld += u.Withheld
	t.Wildcards += u.Wildcards
	t.Excepting += u.Excepting
	t.Exceptions += u.Exceptions
	t.Sources += u.Sources
}

func (t *ListTally) objects(p *pager, access *oracle.Access, want map[rel.Object]oracle.Listed) {
	for _, o := range access.Known() {
		if o.Type() != p.asked.Type {
			continue
		}
		t.Compared++
		if access.ChangedByExclusion(o, p.asked.Name) {
			t.Withheld++
		}
	}
	t.Entries += len(want)
	for _, entry := range want {
		if entry.Result == oracle.Conditional {
			t.OpenEntries++
		}
	}
}

func (t *ListTally) subjects(p *pager, want oracle.Subjects) {
	t.Compared += want.Asked
	t.Entries += len(want.Each)
	for _, entry := range want.Each {
		if entry.Result == oracle.Conditional {
			t.OpenEntries++
		}
	}
	if want.Wildcard != (oracle.Listed{}) {
		t.Wildcards++
	}
	if len(want.Exceptions) > 0 {
		t.Excepting++
	}
	t.Exceptions += len(want.Exceptions)
	for _, s := range p.subjects {
		t.Sources += len(s.Sources)
	}
}

func (t ListTally) String() string {
	if t.Lists == 0 {
		return ""
	}
	return fmt.Sprintf("; %d lists on %d pages (%d of the past, %d interrupted) against %d answers (%s listed, %s of these conditional, %s withheld by an exclusion), %d with everybody, %d of them with %d exceptions, %d sources",
		t.Lists, t.Pages, t.PastLists, t.Interrupted, t.Compared, percent(t.Entries, t.Compared), percent(t.OpenEntries, t.Entries), percent(t.Withheld, t.Compared),
		t.Wildcards, t.Excepting, t.Exceptions, t.Sources)
}
