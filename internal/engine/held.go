package engine

import "github.com/pemba-io/pemba/internal/schema"

// A Result is what is known of one pair: no, conditional or yes, in this order.
// The zero Result denies.
type Result uint8

const (
	Denied Result = iota
	Conditional
	Granted
)

func (r Result) String() string {
	return [...]string{"denied", "conditional", "granted"}[r]
}

// Minus is `r - taken`: the minimum of r and not taken.
func (r Result) Minus(taken Result) Result { return min(r, Granted-taken) }

// Held is what a principal holds on one object, as far as is known: a set of the
// definition's slots.
//
// certain holds whatever the conditions say; possible holds if every open
// condition turns out true. certain is a subset of possible always.
//
// The zero Held is no access at all: a forgotten assignment or a dropped branch
// can lock someone out, but it can never let someone in.
type Held struct {
	certain, possible schema.Slots
}

// Of is what is known of one slot.
func (h *Held) Of(s schema.Slot) Result {
	switch {
	case h.certain.Has(s):
		return Granted
	case h.possible.Has(s):
		return Conditional
	default:
		return Denied
	}
}

// raise makes a slot hold at least r, and reports whether it held less before.
func (h *Held) raise(s schema.Slot, r Result) bool {
	if r <= h.Of(s) {
		return false
	}
	h.possible.Add(s)
	if r == Granted {
		h.certain.Add(s)
	}
	return true
}
