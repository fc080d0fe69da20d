package tupledb

import (
	"bytes"
	"cmp"
	"fmt"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// comparerName is stored with the data: a database written under another name
// is not opened. A change of the order below needs another name.
const comparerName = "pemba.revisioned.1"

// suffixBytesMax is the longest suffix: a revision of 8 bytes and the length byte.
const suffixBytesMax = 9

// newComparer says how keys are ordered and cut.
//
// The last byte of a key is the length of its suffix, that byte included, and 0
// where there is none: which is the 0x00 that every prefix ends with. Bytes from
// 10 up are no length, so that split is defined for any text, although Pebble
// only ever shows it keys and bounds that are well formed.
func newComparer() *pebble.Comparer {
	return &pebble.Comparer{
		Compare:              compareKeys,
		Equal:                bytes.Equal, // a revision has one encoding, so equal keys are equal bytes
		AbbreviatedKey:       abbreviateKey,
		FormatKey:            func(key []byte) fmt.Formatter { return keyText(key) },
		Separator:            separateKeys,
		Successor:            succeedKey,
		ImmediateSuccessor:   func(dst, prefix []byte) []byte { return append(append(dst, prefix...), 0) },
		Split:                splitKey,
		ComparePointSuffixes: compareSuffixes,
		CompareRangeSuffixes: compareSuffixes,
		ValidateKey:          validateKey,
		Name:                 comparerName,
	}
}

// splitKey is the length of the key's prefix.
func splitKey(key []byte) int {
	if len(key) == 0 {
		return 0
	}
	n := int(key[len(key)-1])
	if n > suffixBytesMax || n > len(key) {
		return len(key)
	}
	return len(key) - n
}

func compareKeys(a, b []byte) int {
	i, j := splitKey(a), splitKey(b)
	if c := bytes.Compare(a[:i], b[:j]); c != 0 {
		return c
	}
	return compareSuffixes(a[i:], b[j:])
}

// compareSuffixes orders the bare prefix first, then revisions from the newest
// to the oldest. Revisions are stored in their fewest bytes, so the longer
// suffix is the newer one.
func compareSuffixes(a, b []byte) int {
	switch {
	case len(a) == 0 || len(b) == 0:
		return cmp.Compare(len(a), len(b))
	case len(a) != len(b):
		return cmp.Compare(len(b), len(a))
	default:
		return bytes.Compare(b, a)
	}
}

// abbreviateKey is the first eight bytes of the prefix as a number.
func abbreviateKey(key []byte) uint64 {
	return pebble.DefaultComparer.AbbreviatedKey(key[:splitKey(key)])
}

// separateKeys finds a short key at or after a and before b. Two versions of
// one prefix have no shorter one between them; otherwise the prefixes without
// their 0x00 are separated as plain text.
func separateKeys(dst, a, b []byte) []byte {
	i, j := splitKey(a), splitKey(b)
	if !isPrefix(a[:i]) || !isPrefix(b[:j]) || bytes.Equal(a[:i], b[:j]) {
		return append(dst, a...)
	}
	n := len(dst)
	dst = pebble.DefaultComparer.Separator(dst, a[:i-1], b[:j-1])
	if bytes.Equal(dst[n:], a[:i-1]) {
		return append(dst[:n], a...) // nothing shorter: a itself, version and all
	}
	return append(dst, 0)
}

// succeedKey finds a short key at or after a.
func succeedKey(dst, a []byte) []byte {
	if len(a) == 0 {
		return append(dst, 0)
	}
	i := splitKey(a)
	if !isPrefix(a[:i]) {
		return append(dst, a...)
	}
	n := len(dst)
	dst = pebble.DefaultComparer.Successor(dst, a[:i-1])
	if bytes.Equal(dst[n:], a[:i-1]) {
		return append(dst[:n], a...)
	}
	return append(dst, 0)
}

// isPrefix reports whether a prefix has text before the 0x00 that ends it.
func isPrefix(prefix []byte) bool {
	return len(prefix) > 1 && prefix[len(prefix)-1] == 0
}

// validateKey says whether a key could have been written by this room.
func validateKey(key []byte) error {
	i := splitKey(key)
	if prefix := key[:i]; len(prefix) > 0 && prefix[len(prefix)-1] != 0 {
		return fmt.Errorf("key %x: its prefix does not end in 0x00", key)
	}
	if suffix := key[i:]; len(suffix) > 1 && suffix[0] == 0 {
		return fmt.Errorf("key %x: its revision is not in its fewest bytes", key)
	}
	return nil
}

// appendSuffix appends a revision as the end of a key.
func appendSuffix(key []byte, r rel.Revision) []byte {
	n := (bits.Len64(uint64(r)) + 7) / 8
	for shift := 8 * (n - 1); shift >= 0; shift -= 8 {
		key = append(key, byte(r>>shift))
	}
	return append(key, byte(n+1))
}

// revisionOf reads a suffix; the empty one is revision 0.
func revisionOf(suffix []byte) rel.Revision {
	var r rel.Revision
	for i := 0; i < len(suffix)-1; i++ {
		r = r<<8 | rel.Revision(suffix[i])
	}
	return r
}
