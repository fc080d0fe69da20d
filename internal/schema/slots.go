package schema

import (
	"iter"
	"math/bits"
)

// SlotsMax bounds the slots of one definition: its names, its arrows and the
// stored parts of its roles. It makes a set of slots four machine words, so
// that what a principal holds on an object never allocates.
const SlotsMax = 256

// A Slot is the place of a name, an arrow or a role's stored part in its
// definition's sets: dense, 0 to SlotsMax-1, assigned by the compiler and
// meaningless outside that definition of that Schema.
type Slot uint8

// Slots is a set of slots of one definition. The zero Slots is empty.
type Slots [SlotsMax / 64]uint64

// Has reports whether s is in the set.
func (a *Slots) Has(s Slot) bool { return a[s>>6]&(1<<(s&63)) != 0 }

// Add puts s into the set and reports whether it was not there before.
func (a *Slots) Add(s Slot) bool {
	w, bit := &a[s>>6], uint64(1)<<(s&63)
	if *w&bit != 0 {
		return false
	}
	*w |= bit
	return true
}

// Empty reports whether nothing is in the set.
func (a Slots) Empty() bool { return a == Slots{} }

// Union is what is in either set.
func (a Slots) Union(b Slots) Slots {
	for i := range a {
		a[i] |= b[i]
	}
	return a
}

// Minus is what is in a and not in b.
func (a Slots) Minus(b Slots) Slots {
	for i := range a {
		a[i] &^= b[i]
	}
	return a
}

// Meet is what is in both sets.
func (a Slots) Meet(b Slots) Slots {
	for i := range a {
		a[i] &= b[i]
	}
	return a
}

// All are the slots of the set, the lowest first.
func (a Slots) All() iter.Seq[Slot] {
	return func(yield func(Slot) bool) {
		for i, w := range a {
			for ; w != 0; w &= w - 1 {
				if !yield(Slot(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}
