package engine

import (
	"context"
	"iter"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A Reader shows the tuples of one store at one revision. A snapshot of
// internal/tupledb is one. Methods may be called while an iterator of another
// method is open.
type Reader interface {
	// Object appends the tuples of an object to buf, at most max of them,
	// usersets and wildcards first; whole says whether there are no more. Without a
	// buf they are not the caller's to change: others may see them, too.
	Object(o rel.Object, buf []rel.Tuple, max int) (tuples []rel.Tuple, whole bool, err error)
	// Find is the tuple of a key, and whether it is there.
	Find(k rel.Key) (t rel.Tuple, found bool, err error)
	// Usersets are the tuples of a relation whose subjects are usersets or wildcards.
	Usersets(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error]
	// Subjects are the other tuples of a relation.
	Subjects(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error]
	// Objects are the tuples of a subject in a relation of the objects of a type whose
	// ids are in a range, in the order of rel.CompareIDs.
	Objects(s rel.Subject, typ rel.ObjectType, relation rel.Name, ids rel.IDs) iter.Seq2[rel.Tuple, error]
	// SubjectsOf are those of Subjects that are of a type, with ids in a range, in the
	// order of rel.CompareIDs.
	SubjectsOf(o rel.Object, relation rel.Name, typ rel.ObjectType, ids rel.IDs) iter.Seq2[rel.Tuple, error]
	// Reads is how much was read so far: a seek counts one, and so does every
	// step that yields a key.
	Reads() int
}

// Bounds on one question.
const (
	// ReadsMax is what one question may read when no other bound is set. It stops
	// a graph built to be expensive after some hundred milliseconds; the widest
	// honest shapes measured need a fifth of it.
	ReadsMax = 250_000

	// followsMax is how many tuples one question may follow to other objects. An
	// object is read once, but its parents are followed for every permission
	// that walks to them; what is followed is remembered, some thirty bytes each.
	followsMax = 2_000_000

	// carriedMax bounds the contexts of caveats that one question keeps, in bytes:
	// a read costs one however long the context is that comes with it, and a
	// quarter of a million of the longest would not fit the memory of a server.
	carriedMax = 64 << 20

	// contextBytesPerTuple is how many bytes of contexts weigh as much as a tuple
	// that is followed.
	contextBytesPerTuple = 64
)

// A Question is who asks, with what at hand, what is read, and how much that may
// cost. The Reader shows no tuple whose time has passed.
type Question struct {
	Schema    *schema.Schema
	Reader    Reader
	Principal rel.Principal
	Context   rel.Context // values for the parameters of caveats
	// Contextual are tuples that fit the schema and join those that the Reader
	// shows: one with the key of another stands in its place.
	Contextual []rel.Tuple
	Time       time.Time // of the evaluation; contextual tuples can expire, too
	ReadsMax   int       // for each Check and Access; 0 means the constant ReadsMax
	Explain    bool      // keep what is needed to give reasons
}

// A Cost is what an answer took.
type Cost struct {
	Reads int // seeks and steps
	Pairs int // (object, slot) pairs asked for
}

// And is what two costs come to together.
func (c Cost) And(other Cost) Cost { return Cost{c.Reads + other.Reads, c.Pairs + other.Pairs} }

// An Answer is what a principal holds of one name on one object. The zero Answer
// denies.
type Answer struct {
	Result  Result
	Missing []Missing // what a conditional result hangs on
	// ValidUntil is a time before which the answer cannot change by the passing of
	// time alone, as long as tuples and context stay the same. It may be earlier
	// than the first actual change; never means that no such change will come.
	ValidUntil rel.Expiry
	// Reason is by what the answer holds, and nothing else; only where reasons were
	// asked for. What else there is to say is told by Walk.WhyCheck.
	Reason *Reason
	Cost   Cost
}

// An Access is all that a principal holds on one object. The zero Access is none.
type Access struct {
	Role        rel.Name   // the highest role that is certain; empty for none
	Permissions []rel.Name // every permission that is certain, in schema order
	// ConditionalRole is the highest role that hangs on a condition, where it is
	// higher than Role; empty otherwise.
	ConditionalRole        rel.Name
	ConditionalPermissions []rel.Name // those that hang on a condition, in schema order
	Missing                []Missing  // what ConditionalRole and ConditionalPermissions hang on
	ValidUntil             rel.Expiry // as Answer.ValidUntil
	Reason                 *Reason
	Cost                   Cost
}

// Check says whether the principal holds a name on an object.
func (w *Walk) Check(ctx context.Context, object rel.Object, name rel.Name) (Answer, error) {
	d, err := w.schema.MustDefine(object.Type())
	if err != nil {
		return Answer{}, err
	}
	declared, err := d.MustHave(name)
	if err != nil {
		return Answer{}, err
	}
	var asked schema.Slots
	asked.Add(declared.Slot)
	n, cost, err := w.ask(ctx, object, d, asked)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Result: n.held.Of(declared.Slot), ValidUntil: w.validUntil, Cost: cost}
	if answer.Result == Conditional {
		if answer.Missing, err = w.hangsOn(ctx, n, asked); err != nil {
			return Answer{}, err
		}
	}
	if w.explain {
		answer.Reason = w.reason(n, declared.Slot)
	}
	return answer, nil
}

// Held is what the principal holds of one slot of an object: a name, or an arrow of
// a rule on who may write.
func (w *Walk) Held(ctx context.Context, object rel.Object, s schema.Slot) (Result, error) {
	d, err := w.schema.MustDefine(object.Type())
	if err != nil {
		return Denied, err
	}
	n, _, err := w.ask(ctx, object, d, only(s))
	if err != nil {
		return Denied, err
	}
	return n.held.Of(s), nil
}

// Access says which role and which permissions the principal holds on an object,
// in one walk.
func (w *Walk) Access(ctx context.Context, object rel.Object) (Access, error) {
	d, err := w.schema.MustDefine(object.Type())
	if err != nil {
		return Access{}, err
	}
	var asked schema.Slots
	for _, name := range d.Names() {
		if name.Kind != schema.KindRelation {
			asked.Add(name.Slot)
		}
	}
	n, cost, err := w.ask(ctx, object, d, asked)
	if err != nil {
		return Access{}, err
	}
	access := Access{ValidUntil: w.validUntil, Cost: cost}
	var top, possible schema.Slot
	var open schema.Slots
	for _, role := range d.Ladder() { // a conditional role stands above the certain ones
		switch n.held.Of(role.Slot) {
		case Granted:
			access.Role, top = role.Name, role.Slot
			access.ConditionalRole, open = "", schema.Slots{} // one that is certain by itself stands above it
		case Conditional:
			access.ConditionalRole, open = role.Name, only(role.Slot)
			possible = role.Slot
		}
	}
	for _, name := range d.Names() {
		if name.Kind != schema.KindPermission {
			continue
		}
		switch n.held.Of(name.Slot) {
		case Granted:
			access.Permissions = append(access.Permissions, name.Name)
		case Conditional:
			access.ConditionalPermissions = append(access.ConditionalPermissions, name.Name)
			open.Add(name.Slot)
		}
	}
	if !open.Empty() {
		if access.Missing, err = w.hangsOn(ctx, n, open); err != nil {
			return Access{}, err
		}
	}
	if w.explain {
		access.Reason = w.reasonOfAccess(n, access, top, possible)
	}
	return access, nil
}
