package rel

import (
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// An Op is what an update does with its tuple.
type Op uint8

const (
	_      Op = iota
	Create    // the tuple must not be there
	Touch     // the tuple is there afterwards, whether it was or not
	Delete    // the tuple is not there afterwards, whether it was or not
)

func (o Op) String() string {
	switch o {
	case Create:
		return "create"
	case Touch:
		return "touch"
	case Delete:
		return "delete"
	default:
		return "none"
	}
}

// An Update is one step of a write; the updates of a write apply in their order.
// The tuple of a Delete is a key alone.
type Update struct {
	Op    Op
	Tuple Tuple
}

func (u Update) String() string { return u.Op.String() + " " + u.Tuple.String() }

// ParseUpdate reads "create TUPLE", "touch TUPLE" or "delete TUPLE".
func ParseUpdate(s string) (Update, error) {
	word, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	var u Update
	switch word {
	case "create":
		u.Op = Create
	case "touch":
		u.Op = Touch
	case "delete":
		u.Op = Delete
	case "assign", "revoke", "delete_matching", "delete_object":
		return Update{}, fault.Newf(fault.NotInThisRelease, "the update %s is not in this release", word).
			Do("use create, touch and delete")
	default:
		return Update{}, fault.Newf(fault.TupleMustBeReadable, "%s is not an update", quote(s)).
			Do("write create, touch or delete, and a tuple")
	}
	var err error
	if u.Op == Delete {
		u.Tuple.Key, err = ParseKey(strings.TrimSpace(text))
	} else {
		u.Tuple, err = ParseTuple(strings.TrimSpace(text))
	}
	return u, err
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
