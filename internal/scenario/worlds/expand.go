package worlds

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// An Expander is a System that tells how a name of an object is put together.
type Expander interface {
	Expand(ctx context.Context, object rel.Object, name rel.Name) (*Tree, error)
}

// A Tree is how the holders of a name come about. Cut says that it goes on and is
// not shown.
type Tree struct {
	Object rel.Object
	Name   rel.Name // empty for what has no name of its own
	Joins  Join
	Parts  []*Tree
	Edges  []Edge // of Stored, Through and ThroughAll
	Cut    bool
}

// An Edge is a tuple, and what it leads to; nil where it leads no further.
type Edge struct {
	Tuple rel.Tuple
	Tree  *Tree
}

// A Join says how what is held follows from what is below. The zero Join is that
// nobody holds it.
type Join uint8

const (
	Nobody Join = iota
	Stored
	AnyOf
	AllOf
	Except
	Through
	ThroughAll
	TheObject
)

// whole reports whether nothing of a tree is cut.
func (t *Tree) whole() bool {
	if t == nil {
		return true
	}
	if t.Cut {
		return false
	}
	for _, part := range t.Parts {
		if !part.whole() {
			return false
		}
	}
	for _, edge := range t.Edges {
		if !edge.Tree.whole() {
			return false
		}
	}
	return true
}

// holds is what a principal's hold on the name comes to that a whole tree is of: what
// the language means, read off the tree.
func (t *Tree) holds(a *oracle.Access, p rel.Principal) oracle.Truth {
	if t == nil {
		return oracle.No
	}
	if t.Name != "" && p.Holds(rel.Userset(t.Object, t.Name)) {
		return oracle.Yes
	}
	var below []oracle.Truth // each looked at once: trees are deep
	for _, part := range t.Parts {
		below = append(below, part.holds(a, p))
	}
	for _, edge := range t.Edges {
		v := edge.Tree.holds(a, p)
		if t.Joins == Stored && p.Matches(edge.Tuple.Subject) {
			v = oracle.Yes
		}
		below = append(below, min(a.Caveat(edge.Tuple), v))
	}
	switch {
	case t.Joins == TheObject && p.Holds(rel.Of(t.Object)):
		return oracle.Yes
	case len(below) == 0:
		return oracle.No
	case t.Joins == Stored, t.Joins == AnyOf, t.Joins == Through:
		return slices.Max(below)
	case t.Joins == AllOf, t.Joins == ThroughAll:
		return slices.Min(below)
	case t.Joins == Except:
		return min(below[0], oracle.Yes-below[1])
	}
	return oracle.No
}

// expand reads off the tree of a name what a question comes to. A tree that is cut
// somewhere says too little; it is asked for all the same.
func (r *referee) expand(q Question) *Disagreement {
	expander, ok := r.system.(Expander)
	if !ok || len(q.Contextual) > 0 {
		return nil
	}
	tree, err := expander.Expand(r.ctx, q.Object, q.Name)
	if err != nil {
		return &Disagreement{Asked: q.all(), Got: errorText(err), Want: "a tree"}
	}
	if !tree.whole() {
		return nil
	}
	access := r.of(q.Asker, r.now)
	if got, want := tree.holds(access, q.Principal), access.Result(q.Object, q.Name); got != want {
		return &Disagreement{Asked: q.all(), Got: got.String(), Want: want.String()}
	}
	r.tally.Expanded++
	return nil
}
