package rel

import (
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// An Op is what an update does.
type Op uint8

const (
	_              Op = iota
	Create            // the tuple must not be there
	Touch             // the tuple is there afterwards, whether it was or not
	Delete            // the tuple is not there afterwards, whether it was or not
	DeleteMatching    // no tuple that a filter selects is there afterwards, or a limit of them fewer
	DeleteObject      // the object stands in no tuple afterwards, on either side
	Assign            // the tuple is there afterwards, in the place of the subject's other roles
	Revoke            // a subject was given nothing by itself afterwards, on an object and inside it
)

func (o Op) String() string {
	switch o {
	case Create:
		return "create"
	case Touch:
		return "touch"
	case Delete:
		return "delete"
	case DeleteMatching:
		return "delete_matching"
	case DeleteObject:
		return "delete_object"
	case Assign:
		return "assign"
	case Revoke:
		return "revoke"
	default:
		return "none"
	}
}

// An Update is one step of a write; the updates of a write apply in their order.
// Each Op has its own part of it, and leaves the others zero.
type Update struct {
	Op       Op
	Tuple    Tuple    // of Create, Touch and Assign; of Delete, a key alone
	Matching Matching // of DeleteMatching
	Object   Object   // of DeleteObject
	Revoking Revoking // of Revoke
}

// A Revoking is what goes in a Revoke: what Subject itself was given on Within, and
// on every object inside it.
type Revoking struct {
	Subject Subject
	Within  Object
}

// An Actor is on whose behalf something is written: one concrete subject, with
// values for the parameters of caveats on its own access. The zero Actor is nobody,
// and what is written is the application's own.
type Actor struct {
	Subject Subject
	Context Context
}

// NewActor reads an actor's subject and gives it a context.
func NewActor(subject string, given Context) (Actor, error) {
	s, err := ParseSubject(subject)
	if err != nil {
		return Actor{}, err
	}
	if s.IsWildcard() {
		return Actor{}, fault.Newf(fault.SubjectMustBeConcrete, "%s is everybody, and nobody acts as everybody", s).
			Do("name one subject, for example user:ana")
	}
	return Actor{s, given}, nil
}

// IsZero reports whether nobody is named.
func (a Actor) IsZero() bool { return a.Subject == Subject{} }

// Bounds on what one DeleteMatching takes away: judging it holds up the store's
// other writers, and a filter is easily wider than it was meant.
const (
	MatchingLimitDefault = 1_000
	MatchingLimitMax     = 100_000
)

// A Matching is which tuples go: those that a filter selects, at most Limit of
// them. The zero Limit is MatchingLimitDefault. Where more are selected, Partial
// takes Limit of them, whichever, and without it the write is refused.
type Matching struct {
	Filter  Filter
	Limit   int
	Partial bool
}

// Most is how many tuples may go.
func (m Matching) Most() int {
	if m.Limit == 0 {
		return MatchingLimitDefault
	}
	return m.Limit
}

func (u Update) String() string {
	switch u.Op {
	case DeleteMatching:
		return u.Op.String() + " " + u.Matching.Filter.String()
	case DeleteObject:
		return u.Op.String() + " " + u.Object.String()
	case Revoke:
		return u.Op.String() + " " + u.Revoking.Subject.String() + " within " + u.Revoking.Within.String()
	default:
		return u.Op.String() + " " + u.Tuple.String()
	}
}

// ParseUpdate reads "create TUPLE", "touch TUPLE", "assign TUPLE", "delete TUPLE",
// "delete_matching FILTER", "delete_object OBJECT" or "revoke SUBJECT within OBJECT".
func ParseUpdate(s string) (Update, error) {
	word, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	text = strings.TrimSpace(text)
	var u Update
	var err error
	switch word {
	case "create":
		u.Op = Create
		u.Tuple, err = ParseTuple(text)
	case "touch":
		u.Op = Touch
		u.Tuple, err = ParseTuple(text)
	case "delete":
		u.Op = Delete
		u.Tuple.Key, err = ParseKey(text)
	case "delete_matching":
		u.Op = DeleteMatching
		u.Matching.Filter, err = ParseFilter(text)
	case "delete_object":
		u.Op = DeleteObject
		u.Object, err = ParseObject(text)
	case "assign":
		u.Op = Assign
		u.Tuple, err = ParseTuple(text)
	case "revoke":
		u.Op = Revoke
		u.Revoking, err = parseRevoking(text)
	default:
		return Update{}, fault.Newf(fault.TupleMustBeReadable, "%s is not an update", quote(s)).
			Do("write create, touch, assign or delete and a tuple, delete_matching and a filter, delete_object and an object, or revoke SUBJECT within OBJECT")
	}
	return u, err
}

// parseRevoking reads "SUBJECT within OBJECT". No reference has white space in it.
func parseRevoking(text string) (r Revoking, err error) {
	words := strings.Fields(text)
	if len(words) != 3 || words[1] != "within" {
		return Revoking{}, fault.Newf(fault.TupleMustBeReadable, "%s does not say whose tuples go, and within what", quote(text)).
			Do("write revoke SUBJECT within OBJECT, for example revoke user:joe within organization:acme")
	}
	if r.Subject, err = ParseSubject(words[0]); err != nil {
		return Revoking{}, err
	}
	if r.Subject.IsWildcard() {
		return Revoking{}, fault.Newf(fault.SubjectMustBeConcrete, "%s is everybody, and nobody to take roles away from", r.Subject).
			Do("name one subject; what a wildcard was given goes with delete_matching")
	}
	r.Within, err = ParseObject(words[2])
	return r, err
}

// A Change is what a write did to one tuple, in the end: Create, Touch (an
// attribute changed) or Delete. The tuple is as it is now; of a Delete, as it was.
type Change struct {
	Op    Op
	Tuple Tuple
}

// String is the change as a test file writes it: what was deleted by its key.
func (c Change) String() string {
	if c.Op == Delete {
		return c.Op.String() + " " + c.Tuple.Key.String()
	}
	return c.Op.String() + " " + c.Tuple.String()
}

// A Precondition must hold on the state before a write. It is one of three: a
// tuple matches Filter (Must), none does (MustNot), or Principal holds Name on
// Object (Holds).
type Precondition struct {
	Kind      PreconditionKind
	Filter    Filter
	Object    Object
	Name      Name
	Principal Principal
	Context   Context // of Holds: values for the parameters of caveats
}

// A PreconditionKind says which of the three a precondition is.
type PreconditionKind uint8

const (
	_ PreconditionKind = iota
	Must
	MustNot
	Holds
)
