package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Bounds on a reason: an explanation is read by a person.
const (
	reasonDepthMax = 64
	reasonNodesMax = 1000
)

// A Reason says why a name holds on an object, as a tree of facts that each
// follow from those below. What is denied has no reason yet: only its result.
type Reason struct {
	Object rel.Object
	Name   string // a name, or an arrow as it is written
	Result Result
	Step   Step
	Tuple  rel.Tuple // StepTuple: the tuple that was used
	// Contextual says that Tuple came with the request instead of being stored.
	Contextual bool
	Because    []*Reason
	Cut        bool // there is more below than was kept
}

// A Step says how a reason follows from those below it.
type Step uint8

const (
	StepNone      Step = iota // nothing holds
	StepTuple                 // Tuple is stored; its subject is the principal, or holds by what is below
	StepItself                // the principal presents this userset
	StepAnyOf                 // one of several holds
	StepAllOf                 // all of several hold
	StepMinus                 // the one below holds, and what would take it away does not
	StepRoleBelow             // a higher role holds
	StepInherited             // the same role holds on an object that this one inherits from
)

// Path is the tuples of a reason that is a single path, from the object asked
// for to the principal; where it branches, of all branches in order.
func (r *Reason) Path() []rel.Tuple {
	var path []rel.Tuple
	var walk func(*Reason)
	walk = func(r *Reason) {
		if r.Step == StepTuple || r.Step == StepInherited {
			path = append(path, r.Tuple)
		}
		for _, b := range r.Because {
			walk(b)
		}
	}
	if r != nil {
		walk(r)
	}
	return path
}

type causeKind uint8

const (
	byExpression causeKind = iota // the pair's expression says so
	byTuple                       // a tuple on the pair's object
	byAll                         // all tuples of a relation on the pair's object
	byItself                      // the principal presents this userset
)

// A cause is why a pair was raised. at orders raises: what a raise relied on was
// raised before it, and so no reason leads back to itself.
type cause struct {
	kind  causeKind
	at    int
	tuple rel.Tuple // byTuple
	of    operands  // byExpression
	from  pair      // byTuple: what holds on the subject; zero where it is the principal
}

// remember keeps why a slot came to hold what it holds now: the last raise made
// it hold most.
func (n *node) remember(s schema.Slot, why cause) {
	if n.causes == nil {
		n.causes = make(map[schema.Slot]cause)
	}
	n.causes[s] = why
}

// explainer builds one tree.
type explainer struct {
	walk  *Walk
	nodes int
}

func (w *Walk) reason(n *node, s schema.Slot) *Reason {
	e := explainer{walk: w}
	return e.pair(pair{n, s}, 0)
}

// reasonOfAccess is the reason of the effective role, or, where there is none, of
// each permission. Where nothing is certain, it is that of what hangs on a condition:
// the role possible, or each permission.
func (w *Walk) reasonOfAccess(n *node, access Access, top, possible schema.Slot) *Reason {
	result, permissions := Granted, access.Permissions
	switch {
	case access.Role != "":
		return w.reason(n, top)
	case len(permissions) > 0:
	case access.ConditionalRole != "":
		return w.reason(n, possible)
	default:
		result, permissions = Conditional, access.ConditionalPermissions
	}
	all := &Reason{Object: n.object, Step: StepAllOf}
	e := explainer{walk: w}
	for _, name := range permissions {
		all.Result = result
		e.below(all, pair{n, n.definition.Name(name).Slot}, 0)
	}
	if all.Result == Denied {
		all.Step = StepNone
	}
	return all
}

func (e *explainer) pair(p pair, depth int) *Reason {
	plan := p.plan()
	r := &Reason{Object: p.node.object, Name: plan.Label, Result: p.node.held.Of(p.slot)}
	if r.Result == Denied {
		r.Cut = true // how far its paths got is not told
		return r
	}
	why := p.node.causes[p.slot]
	switch why.kind {
	case byItself:
		r.Step = StepItself
	case byTuple:
		r.Step = StepTuple
		e.shows(r, why.tuple)
		if why.from.node != nil {
			e.below(r, why.from, depth)
		}
	case byAll:
		r.Step = StepAllOf
		for _, each := range p.node.alls[p.slot].found {
			e.oneOfAll(r, p, plan.Label, each, depth)
		}
	case byExpression:
		e.expression(r, p, plan, why, depth)
	}
	return r
}

// oneOfAll adds the tuple of one object, and what holds there.
func (e *explainer) oneOfAll(r *Reason, p pair, label string, why cause, depth int) {
	if e.nodes++; e.nodes > reasonNodesMax {
		r.Cut = true
		return
	}
	one := &Reason{
		Object: p.node.object, Name: label, Step: StepTuple,
		Result: min(e.walk.decide(why.tuple), why.from.node.held.Of(why.from.slot)),
	}
	e.shows(one, why.tuple)
	e.below(one, why.from, depth+1)
	r.Because = append(r.Because, one)
}

// shows puts the tuple into a reason, and says where it came from.
func (e *explainer) shows(r *Reason, t rel.Tuple) {
	r.Tuple = t
	r.Contextual = e.walk.brought != nil && e.walk.brought.isContextual(t)
}

// below adds what a reason follows from, or marks that there is more than is kept.
func (e *explainer) below(r *Reason, p pair, depth int) {
	if e.nodes++; depth >= reasonDepthMax || e.nodes > reasonNodesMax {
		r.Cut = true
		return
	}
	r.Because = append(r.Because, e.pair(p, depth+1))
}

// expression explains a computed pair by the operands that made it hold.
func (e *explainer) expression(r *Reason, p pair, plan *schema.SlotPlan, why cause, depth int) {
	d := p.node.definition
	switch {
	case why.of.minus:
		r.Step = StepMinus
	case len(why.of.slots) > 1:
		r.Step = StepAllOf
	case len(why.of.slots) == 0: // `self`: the principal presents the object
		r.Step = StepItself
	case plan.IsRole && d.IsRole(why.of.slots[0]) && d.Above(why.of.slots[0], p.slot):
		r.Step = StepRoleBelow
	default:
		r.Step = StepAnyOf
	}
	for _, s := range why.of.slots {
		e.below(r, pair{p.node, s}, depth)
		if arrow := d.Plan(s); arrow.Kind == schema.Arrow && plan.IsRole && d.Inherited(arrow, plan) && len(r.Because) > 0 {
			r.Because[len(r.Because)-1].Step = StepInherited
		}
	}
	// A role that is held by its own stored part is that tuple, not a choice.
	if r.Step == StepAnyOf && len(r.Because) == 1 && r.Because[0].Name == r.Name {
		*r = *r.Because[0]
	}
}

// operands are the slots that together made an expression hold: of a union the
// side that held first, of an intersection both, of an exclusion the left; minus
// says that an exclusion was crossed, whose right side was finished.
type operands struct {
	slots []schema.Slot
	minus bool
}

// operand is a single slot, where reasons are asked for.
func (w *Walk) operand(s schema.Slot) operands {
	if !w.explain {
		return operands{}
	}
	return operands{slots: []schema.Slot{s}}
}

func (a operands) and(b operands) operands {
	for _, s := range b.slots {
		if !slices.Contains(a.slots, s) {
			a.slots = append(a.slots, s)
		}
	}
	return operands{a.slots, a.minus || b.minus}
}
