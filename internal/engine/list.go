package engine

import "github.com/pemba-io/pemba/internal/rel"

// A ListedObject is an object on which a principal holds what was asked.
type ListedObject struct {
	Object          rel.Object
	Result          Result // Granted, or Conditional where these were asked for
	Role            rel.Name
	ConditionalRole rel.Name  // where it is higher than Role
	Missing         []Missing // what a conditional result hangs on, at most listedMissingMax
}

// A ListedSubject is a subject that holds what was asked on an object.
type ListedSubject struct {
	Subject         rel.Subject
	Result          Result
	Role            rel.Name
	ConditionalRole rel.Name
	Sources         []Source    // what gives the most first, at most sourcesMax
	Exceptions      []Exception // of a wildcard
	Missing         []Missing
}

// An Exception is a subject that a wildcard of its type does not reach, or not for
// certain.
type Exception struct {
	Subject rel.Subject
	Result  Result // Denied or Conditional
	Missing []Missing
}

// A Source is one way in which a subject comes to its access on an object.
type Source struct {
	Role  rel.Name  // that it gives; empty where it gives permissions only
	Tuple rel.Tuple // of the object, that the way begins with; zero where it begins with none
	// Through is the group or the name of another object that it comes by; zero where
	// the tuple names the subject itself, or a wildcard.
	Through rel.Subject
}

// Bounds on one entry of a list.
const (
	listedMissingMax = 10
	sourcesMax       = 10
)

// pageStepsMax is how much is gone through for one page beyond what is read: some
// hundred milliseconds. What ten thousand subjects hold by ways that they share costs no
// read, and would go unnoticed.
const pageStepsMax = 4_000_000

// An allowance is where a page ends although it is not full: at half of what a walk may
// do, since one entry more may take a good part of it.
type allowance struct{ reads, steps, follows, carried int }

func (w *Walk) allowance() allowance {
	return allowance{w.reader.Reads() + w.readsMax/2, w.steps + pageStepsMax, w.follows + followsMax/2, w.carried + carriedMax/2}
}

// isSpent reports whether a page has had its allowance.
func (w *Walk) isSpent(a allowance) bool {
	return w.reader.Reads() > a.reads || w.steps > a.steps || w.follows > a.follows || w.carried > a.carried
}
