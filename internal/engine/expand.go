package engine

import (
	"context"
	"iter"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Bounds on a tree: it is read by a person, or drawn by a program.
const (
	ExpandDepthDefault = 3
	ExpandDepthMax     = 25

	// expandTuplesMax is how many tuples a tree holds.
	expandTuplesMax = 10_000
	// expandPartsMax is how many names and operators it holds: a schema of names
	// that each stand twice in the next would otherwise double at every step.
	expandPartsMax = 10_000
)

// A Tree is how the holders of a name, or of a part of its expression, come
// about. It is about no principal, and decides no caveat.
type Tree struct {
	Object   rel.Object
	Name     rel.Name // empty for a part of an expression without a name of its own
	Operator Operator
	Operands []*Tree // in the order of the schema
	Edges    []Edge  // of Stored, Inherited and InheritedByAll
	// Cut says that the tree goes on here and is not shown: it is as deep as was
	// asked for, it repeats what stands above it, or it is as large as it may be.
	Cut bool
}

// An Edge is a tuple of a tree, and what it leads to; nil where it leads no further.
type Edge struct {
	Tuple rel.Tuple
	Tree  *Tree
}

// An Operator says how holders follow from what is below.
type Operator uint8

const (
	Nobody         Operator = iota
	HasTuple                // the stored tuples of a relation or role
	AnyOf                   // union
	AllOf                   // intersection
	Except                  // the first operand without the second
	Inherited               // an arrow
	InheritedByAll          // an arrow over all of its objects
	TheObject               // `self`
)

// An Expansion is a tree, and what it took.
type Expansion struct {
	Tree *Tree
	Cost Cost
}

// An ExpandQuestion asks for the tree of a name of an object, so many objects deep:
// 1 is the object alone, and what a tuple leads to is one deeper.
type ExpandQuestion struct {
	Schema   *schema.Schema
	Reader   Reader
	Object   rel.Object
	Name     rel.Name
	Depth    int // 1 to ExpandDepthMax
	ReadsMax int // 0 means the constant ReadsMax
}

// Expand answers it. A budget that runs out before the tree's own bounds are
// reached is an error: objects with very many tuples that the schema no longer
// allows are the one way there.
func Expand(ctx context.Context, q ExpandQuestion) (Expansion, error) {
	d, err := q.Schema.MustDefine(q.Object.Type())
	if err != nil {
		return Expansion{}, err
	}
	name, err := d.MustHave(q.Name)
	if err != nil {
		return Expansion{}, err
	}
	if q.ReadsMax == 0 {
		q.ReadsMax = ReadsMax
	}
	began := q.Reader.Reads()
	e := &expander{ctx: ctx, schema: q.Schema, reader: q.Reader, readsStop: began + q.ReadsMax, readsMax: q.ReadsMax, above: make(map[expanded]bool)}
	tree := e.slot(q.Object, d, name.Slot, q.Depth)
	return Expansion{tree, Cost{Reads: q.Reader.Reads() - began, Pairs: e.parts}}, e.err
}

type expander struct {
	ctx                 context.Context
	schema              *schema.Schema
	reader              Reader
	readsStop, readsMax int

	tuples, parts int
	above         map[expanded]bool // what stands above the part in work
	err           error
}

// expanded is a slot of an object that stands in a tree.
type expanded struct {
	object rel.Object
	slot   schema.Slot
}

// slot is the tree of a slot. It is cut where it stands above itself already.
func (e *expander) slot(o rel.Object, d *schema.Definition, s schema.Slot, depth int) *Tree {
	plan := d.Plan(s)
	t := &Tree{Object: o}
	if plan.Kind == schema.Stored || d.IsAsked(s) {
		t.Name = rel.Name(plan.Label)
	}
	at := expanded{o, s}
	if e.parts++; depth == 0 || e.above[at] || e.parts > expandPartsMax || e.err != nil {
		t.Operator, t.Cut = operatorOf(plan), true
		return t
	}
	e.above[at] = true
	defer delete(e.above, at)
	switch plan.Kind {
	case schema.Computed:
		e.expression(t, d, plan.Expr, depth)
		return t
	case schema.Stored:
		e.edges(t, plan, depth, func(subject rel.Subject) (*schema.Definition, schema.Slot, bool) {
			d := e.schema.Definition(subject.Type())
			if !subject.IsUserset() || d == nil {
				return nil, 0, false
			}
			name := d.Name(subject.Relation())
			if name == nil {
				return nil, 0, false
			}
			return d, name.Slot, true
		})
	default:
		e.edges(t, plan, depth, func(subject rel.Subject) (*schema.Definition, schema.Slot, bool) {
			target, leads := plan.Targets[subject.Type()]
			return e.schema.Definition(subject.Type()), target, leads && !subject.IsWildcard()
		})
	}
	t.Operator = operatorOf(plan)
	return t
}

// operatorOf is how the holders of a slot that is not computed follow.
func operatorOf(plan *schema.SlotPlan) Operator {
	switch plan.Kind {
	case schema.Stored:
		return HasTuple
	case schema.Arrow:
		return Inherited
	case schema.All:
		return InheritedByAll
	default:
		return operators[plan.Expr.Op]
	}
}

var operators = map[schema.ExprOp]Operator{
	schema.OpNil:          Nobody,
	schema.OpSelf:         TheObject,
	schema.OpSlot:         AnyOf, // of one
	schema.OpUnion:        AnyOf,
	schema.OpIntersection: AllOf,
	schema.OpExclusion:    Except,
}

// expression fills the tree of an expression of the object.
func (e *expander) expression(t *Tree, d *schema.Definition, x *schema.Expr, depth int) {
	t.Operator = operators[x.Op]
	switch x.Op {
	case schema.OpSlot:
		t.Operands = []*Tree{e.slot(t.Object, d, x.Slot, depth)}
	case schema.OpUnion, schema.OpIntersection:
		t.Operands = append(e.operands(t.Object, d, x.Op, x.Left, depth), e.operands(t.Object, d, x.Op, x.Right, depth)...)
	case schema.OpExclusion:
		t.Operands = []*Tree{e.part(t.Object, d, x.Left, depth), e.part(t.Object, d, x.Right, depth)}
	}
}

// operands are the parts that one operator joins, however they were nested.
func (e *expander) operands(o rel.Object, d *schema.Definition, op schema.ExprOp, x *schema.Expr, depth int) []*Tree {
	if x.Op != op {
		return []*Tree{e.part(o, d, x, depth)}
	}
	return append(e.operands(o, d, op, x.Left, depth), e.operands(o, d, op, x.Right, depth)...)
}

// part is the tree of an operand.
func (e *expander) part(o rel.Object, d *schema.Definition, x *schema.Expr, depth int) *Tree {
	if x.Op == schema.OpSlot {
		return e.slot(o, d, x.Slot, depth)
	}
	e.parts++
	t := &Tree{Object: o}
	e.expression(t, d, x, depth)
	return t
}

// edges fills in the tuples of a relation, and what each leads to.
func (e *expander) edges(t *Tree, plan *schema.SlotPlan, depth int, leads func(rel.Subject) (*schema.Definition, schema.Slot, bool)) {
	e.each(t.Object, plan.Relation, func(tuple rel.Tuple) bool {
		if e.tuples == expandTuplesMax {
			t.Cut = true
			return false
		}
		e.tuples++
		t.Edges = append(t.Edges, Edge{Tuple: tuple})
		return true
	})
	// What they lead to comes after all of them: of a tree that is cut, what is
	// nearest is shown.
	for i := range t.Edges {
		subject := t.Edges[i].Tuple.Subject
		if d, s, ok := leads(subject); ok && d != nil {
			o, _ := subject.Object()
			t.Edges[i].Tree = e.slot(o, d, s, depth-1)
		}
	}
}

// each visits the tuples of a relation on an object that the schema allows.
func (e *expander) each(o rel.Object, r *schema.Relation, visit func(rel.Tuple) bool) {
	for _, tuples := range []iter.Seq2[rel.Tuple, error]{e.reader.Usersets(o, r.Name), e.reader.Subjects(o, r.Name)} {
		for t, err := range tuples {
			if e.spent(err) || r.AllowsTuple(t) && !visit(t) {
				return
			}
		}
	}
}

// spent keeps what ends the expansion early, and reports whether there is something.
func (e *expander) spent(err error) bool {
	if err == nil && e.reader.Reads() > e.readsStop {
		err = fault.Newf(fault.WalkMustStayWithinBudget, "the tree needs more than %d reads", e.readsMax).
			Do("ask for one that is less deep")
	}
	if err == nil {
		err = fault.Ended(e.ctx)
	}
	if err != nil && e.err == nil {
		e.err = err
	}
	return e.err != nil
}
