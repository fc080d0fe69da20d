package tupledb

import (
	"encoding/binary"
	"math"

	"github.com/pemba-io/pemba/internal/rel"
)

// The states of a tuple at a version of it, the first byte of the version's value.
const (
	stateTombstone byte = 0
	stateLive      byte = 1
)

// The flags say which attributes follow them, in this order: the expiry as a
// number of microseconds, the caveat's name and its context each as a length and
// a text. A flag that this list does not have is damage, not something to skip:
// a tuple read without an attribute that it has would count too often.
const (
	flagExpiry  byte = 1 << 0
	flagCaveat  byte = 1 << 1
	flagContext byte = 1 << 2

	flagsKnown = flagExpiry | flagCaveat | flagContext
)

// appendValue is the value of a version at which a tuple is there: one byte, and
// the attributes of a tuple that has any.
func appendValue(b []byte, t rel.Tuple) []byte {
	b = append(b, stateLive)
	if t.Always() {
		return b
	}
	return appendAttributes(b, t)
}

// appendAttributes is the flags and what they say, for a tuple without
// attributes a flag byte of 0.
func appendAttributes(b []byte, t rel.Tuple) []byte {
	var flags byte
	if !t.Expires.Never() {
		flags |= flagExpiry
	}
	if !t.Caveat.IsZero() {
		flags |= flagCaveat
		if !t.Caveat.Context.IsEmpty() {
			flags |= flagContext
		}
	}
	b = append(b, flags)
	if flags&flagExpiry != 0 {
		b = binary.AppendUvarint(b, uint64(t.Expires))
	}
	if flags&flagCaveat != 0 {
		b = appendText(b, string(t.Caveat.Name))
	}
	if flags&flagContext != 0 {
		b = appendText(b, t.Caveat.Context.String())
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// attributesBytes is how long the texts of a tuple's attributes are.
func attributesBytes(t rel.Tuple) int {
	return len(t.Caveat.Name) + len(t.Caveat.Context.String())
}

// attributes are those of one tuple, still in the memory that they were read
// from: whoever only asks whether a tuple counts makes no copy.
type attributes struct {
	expires         rel.Expiry
	caveat, context []byte
}

// of makes the tuple that has a key and these attributes.
func (a attributes) of(k rel.Key) rel.Tuple {
	t := rel.Tuple{Key: k, Expires: a.expires}
	if len(a.caveat) > 0 {
		t.Caveat = rel.Caveat{
			Name:    rel.CaveatName(string(a.caveat)),
			Context: rel.TrustedContext(string(a.context)),
		}
	}
	return t
}

// parseValue reads the value of a version. Every tuple has one form, so two
// values say the same exactly when their bytes are the same.
func parseValue(value []byte) (live bool, a attributes, ok bool) {
	if len(value) == 1 {
		return value[0] == stateLive, a, value[0] <= stateLive
	}
	if len(value) == 0 || value[0] != stateLive || value[1] == 0 {
		return false, a, false
	}
	a, rest, ok := parseAttributes(value[1:])
	return true, a, ok && len(rest) == 0
}

// parseAttributes reads what appendAttributes wrote, and nothing else.
func parseAttributes(b []byte) (a attributes, rest []byte, ok bool) {
	if len(b) == 0 {
		return a, b, false
	}
	flags := b[0]
	rest, ok = b[1:], flags&^flagsKnown == 0 && flags&(flagCaveat|flagContext) != flagContext
	if ok && flags&flagExpiry != 0 {
		var micros uint64
		micros, rest, ok = nextNumber(rest)
		ok = ok && micros != 0 && micros <= math.MaxInt64
		a.expires = rel.Expiry(micros)
	}
	if ok && flags&flagCaveat != 0 {
		a.caveat, rest, ok = nextText(rest)
	}
	if ok && flags&flagContext != 0 {
		a.context, rest, ok = nextText(rest)
	}
	return a, rest, ok
}

// nextText takes a text that is not empty.
func nextText(b []byte) (text, rest []byte, ok bool) {
	n, rest, ok := nextNumber(b)
	if !ok || n == 0 || n > uint64(len(rest)) {
		return text, rest, false
	}
	return rest[:n], rest[n:], true
}

// nextNumber takes a number in the form that binary.AppendUvarint gives it, the
// shortest one.
func nextNumber(b []byte) (v uint64, rest []byte, ok bool) {
	for i := 0; i < len(b) && i < binary.MaxVarintLen64; i++ {
		c := b[i]
		if c >= 0x80 {
			v |= uint64(c&0x7f) << (7 * i)
			continue
		}
		if i == binary.MaxVarintLen64-1 && c > 1 || i > 0 && c == 0 {
			return 0, b, false
		}
		return v | uint64(c)<<(7*i), b[i+1:], true
	}
	return 0, b, false
}
