package engine

import (
	"context"
	"iter"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A Reader shows the tuples of one store at one revision. A snapshot of
// internal/tupledb is one. Methods may be called while an iterator of another
// method is open.
type Reader interface {
	// Object appends the tuples of an object to buf, at most max of them,
	// usersets and wildcards first; whole says whether there are no more.
	Object(o rel.Object, buf []rel.Tuple, max int) (tuples []rel.Tuple, whole bool, err error)
	// Has reports whether this tuple is there.
	Has(t rel.Tuple) (bool, error)
	// Usersets are the subjects of a relation that are usersets or wildcards.
	Usersets(o rel.Object, relation rel.Name) iter.Seq2[rel.Subject, error]
	// Subjects are the other subjects of a relation.
	Subjects(o rel.Object, relation rel.Name) iter.Seq2[rel.Subject, error]
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

	// narrowTuplesMax is how many tuples of an object are read in one go. Most
	// objects have fewer: one seek then shows all that stands on them. Of a wider
	// one the walk asks for what it needs, relation by relation.
	narrowTuplesMax = 32
)

// A Question is who asks, what is read, and how much that may cost.
type Question struct {
	Schema    *schema.Schema
	Reader    Reader
	Principal rel.Principal
	ReadsMax  int  // for each Check and Access; 0 means the constant ReadsMax
	Explain   bool // keep what is needed to give reasons
}

// A Cost is what an answer took.
type Cost struct {
	Reads int // seeks and steps
	Pairs int // (object, slot) pairs asked for
}

// An Answer is what a principal holds of one name on one object. The zero Answer
// denies.
type Answer struct {
	Result Result
	Reason *Reason // only where reasons were asked for
	Cost   Cost
}

// An Access is all that a principal holds on one object. The zero Access is none.
type Access struct {
	Role        rel.Name   // the highest role that is certain; empty for none
	Permissions []rel.Name // every permission that is certain, in schema order
	Reason      *Reason
	Cost        Cost
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
	answer := Answer{Result: n.held.Of(declared.Slot), Cost: cost}
	if w.explain {
		answer.Reason = w.reason(n, declared.Slot)
	}
	return answer, nil
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
	access := Access{Cost: cost}
	var top schema.Slot
	for _, role := range d.Ladder() {
		if n.held.Of(role.Slot) == Granted {
			access.Role, top = role.Name, role.Slot
		}
	}
	for _, name := range d.Names() {
		if name.Kind == schema.KindPermission && n.held.Of(name.Slot) == Granted {
			access.Permissions = append(access.Permissions, name.Name)
		}
	}
	if w.explain {
		access.Reason = w.reasonOfAccess(n, access, top)
	}
	return access, nil
}
