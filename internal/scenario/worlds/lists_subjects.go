package worlds

import (
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// judgeSubjects compares a whole list of subjects. The wildcard may come more than
// once, each time with further exceptions.
func (r *referee) judgeSubjects(p *pager, everybody *oracle.Everybody, want oracle.Subjects) *Disagreement {
	wildcard := rel.Wildcard(p.asked.Type)
	seen, excepted := map[rel.Subject]bool{}, map[rel.Subject]bool{}
	for _, s := range p.subjects {
		wanted, is := want.Each[s.Subject]
		if s.Subject == wildcard {
			wanted, is = want.Wildcard, want.Wildcard != (oracle.Listed{})
		}
		again := seen[s.Subject]
		switch {
		case again && (s.Subject != wildcard || len(s.Exceptions) == 0):
			return p.differs(s.Subject.String()+" twice", "it once")
		case !is:
			return p.differs(s.Subject.String()+" "+listedText(s.Listed), "it is not listed")
		case s.Listed != wanted:
			return p.differs(s.Subject.String()+" "+listedText(s.Listed), listedText(wanted))
		case s.Subject != wildcard && len(s.Exceptions) > 0:
			return p.differs(s.Subject.String()+" has exceptions", "only a wildcard has")
		}
		seen[s.Subject] = true
		if d := p.entry(s, everybody.Alone(s.Subject), again); d != nil {
			return d
		}
		for _, x := range s.Exceptions {
			if d := p.exception(x, everybody, want, excepted[x.Subject]); d != nil {
				return d
			}
			excepted[x.Subject] = true
		}
	}
	if want.Wildcard != (oracle.Listed{}) && !seen[wildcard] {
		return p.differs("nothing of "+wildcard.String(), listedText(want.Wildcard))
	}
	for _, s := range sortedKeys(want.Each, rel.Subject.Compare) {
		if want.Own[s] && !seen[s] {
			return p.differs("nothing of "+s.String(), listedText(want.Each[s]))
		}
	}
	for _, s := range sortedKeys(want.Exceptions, rel.Subject.Compare) {
		if !excepted[s] {
			return p.differs("nothing of the exception "+s.String(), want.Exceptions[s].String())
		}
	}
	r.tally.ListTally.subjects(p, want)
	return nil
}

// entry judges what an entry says beside what is held.
func (p *pager) entry(s ListedSubject, access *oracle.Access, again bool) *Disagreement {
	open := func() []oracle.Missing { return access.SubjectsOpen(p.asked.Object, p.asked.Name) }
	if d := p.open(s.Subject.String(), s.Result, s.Missing, open); d != nil {
		return d
	}
	if again && len(s.Sources) == 0 {
		return nil // they were told the first time
	}
	return p.sources(s, access)
}

func (p *pager) exception(x Exception, everybody *oracle.Everybody, want oracle.Subjects, again bool) *Disagreement {
	wanted, is := want.Exceptions[x.Subject]
	switch {
	case again:
		return p.differs("the exception "+x.Subject.String()+" twice", "it once")
	case !is:
		return p.differs("the exception "+x.Subject.String(), "the wildcard reaches it")
	case x.Result != wanted:
		return p.differs(fmt.Sprintf("the exception %s %s", x.Subject, x.Result), wanted.String())
	}
	return p.open("the exception "+x.Subject.String(), x.Result, x.Missing, func() []oracle.Missing {
		return everybody.Alone(x.Subject).SubjectsOpen(p.asked.Object, p.asked.Name)
	})
}

// sourcesMax is how many sources an entry tells of.
const sourcesMax = 10

// sources judges where an entry says that the access comes from: each way is one that
// there is, and gives the role that is said; one gives the effective role, and those
// that are certain come in the order of their roles. What comes first of one that hangs
// on a condition and one that does not is nowhere said.
func (p *pager) sources(s ListedSubject, access *oracle.Access) *Disagreement {
	if len(s.Sources) == 0 || len(s.Sources) > sourcesMax {
		return p.differs(fmt.Sprintf("%d sources of %s", len(s.Sources), s.Subject), fmt.Sprintf("one, and at most %d", sourcesMax))
	}
	ofRole, ladder := s.Role == "", access.Ladder(p.asked.Object)
	most := len(ladder) // what the certain ones so far give
	for i, source := range s.Sources {
		if slices.Contains(s.Sources[:i], source) {
			return p.differs(fmt.Sprintf("the source %s of %s twice", source, s.Subject), "it once")
		}
		if !access.Stands(p.asked.Object, source.Way) {
			return p.differs(fmt.Sprintf("the source %s of %s", source, s.Subject), "no such tuple")
		}
		given := access.Given(p.asked.Object, source.Way)
		if source.Role != "" && given[source.Role] == oracle.No || source.Role == "" && !givesAnything(given) {
			return p.differs(fmt.Sprintf("the source %s of %s", source, s.Subject), fmt.Sprintf("that it gives %v", given))
		}
		if rank := slices.Index(ladder, source.Role); source.Role == "" || given[source.Role] == oracle.Yes {
			if rank > most {
				return p.differs(fmt.Sprintf("the sources %v of %s", s.Sources, s.Subject), "what certainly gives the most first")
			}
			most = rank
		}
		ofRole = ofRole || source.Role == s.Role && given[s.Role] == oracle.Yes
	}
	if !ofRole {
		return p.differs(fmt.Sprintf("the sources %v of %s", s.Sources, s.Subject), "one that certainly gives "+string(s.Role))
	}
	return nil
}

func givesAnything(given map[rel.Name]oracle.Truth) bool {
	for _, v := range given {
		if v > oracle.No {
			return true
		}
	}
	return false
}

func (s Source) String() string {
	text := roleText(s.Role) + " by " + s.Tuple.String()
	if s.Tuple == (rel.Tuple{}) {
		text = roleText(s.Role) + " by itself"
	}
	if !s.Through.IsZero() {
		text += " through " + s.Through.String()
	}
	return text
}
