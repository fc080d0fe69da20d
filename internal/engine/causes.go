package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

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

// A trail is the pairs that a reason stands below, the nearest first.
type trail struct {
	pair
	above *trail
}

func (t *trail) has(p pair) bool {
	for ; t != nil; t = t.above {
		if t.pair == p {
			return true
		}
	}
	return false
}

// followedMax bounds how many causes one explanation follows to see whether a way
// leads back. What could not be followed to its end is taken for one that does, and
// left out.
const followedMax = 1_000_000

// leadsBack reports whether what made a pair hold is on the trail: then it is no
// further reason for what stands there, since it holds because of it.
func (e *explainer) leadsBack(p pair, t *trail) bool {
	if t == nil || p.node == nil {
		return false
	}
	seen := make(map[pair]bool)
	for open := []pair{p}; len(open) > 0; {
		p, open = open[len(open)-1], open[:len(open)-1]
		if t.has(p) || e.followed > followedMax {
			return true
		}
		if seen[p] || e.oldest(p, t) {
			continue // and all that it relies on is older still
		}
		seen[p] = true
		switch why := p.node.causes[p.slot]; why.kind {
		case byTuple:
			if why.from.node != nil {
				open = append(open, why.from)
			}
		case byAll:
			for _, each := range p.node.alls[p.slot].found {
				open = append(open, each.from)
			}
		case byExpression:
			for _, s := range why.of.slots {
				open = append(open, pair{p.node, s})
			}
		}
	}
	return false
}

// oldest reports whether a pair is older than all on the trail.
func (e *explainer) oldest(p pair, t *trail) bool {
	for ; t != nil; t = t.above {
		if e.followed++; !older(p, t.pair) {
			return false
		}
	}
	return true
}

// older reports whether a pair holds without the other one: it holds more, for what
// is certain relies on nothing that is not, or it held as much before.
func older(p, than pair) bool {
	a, b := p.node.held.Of(p.slot), than.node.held.Of(than.slot)
	return a > b || a == b && p.node.causes[p.slot].at < than.node.causes[than.slot].at
}
