package tupledb

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"

	"github.com/pemba-io/pemba/internal/rel"
)

// Pebble's own check of a comparer, on prefixes and suffixes like ours.
func TestComparerIsWhatPebbleExpects(t *testing.T) {
	var prefixes, suffixes [][]byte
	for _, p := range []string{
		"\x00", "a\x00", "ab\x00", "a\x00b\x00", "a\x00\x00", "\x00\x00\x00\x01f\x00",
		"\x00\x00\x00\x01fdoc\x00p1\x000viewer\x00user\x00ana\x00\x00", "\x00\x00\x02\x09r\xc3\xa9\x00",
		"\x00\x00\x00\x01fdoc\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x001viewer\x00user\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00",
		"\x00\x00\x00\x01ruser\x00ana\x00\x00doc\x00viewer\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00",
	} {
		prefixes = append(prefixes, []byte(p))
	}
	for _, r := range []rel.Revision{0, 1, 2, 255, 256, 257, 65535, 65536, 1 << 40, 1<<64 - 1} {
		suffixes = append(suffixes, appendSuffix(nil, r))
	}
	if err := pebble.CheckComparer(newComparer(), prefixes, suffixes); err != nil {
		t.Fatal(err)
	}
}

func TestSuffixesPutTheNewestRevisionFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRevision(t, "a"), drawRevision(t, "b")
		x, y := appendSuffix(nil, a), appendSuffix(nil, b)
		if got, want := compareSuffixes(x, y), cmp.Compare(b, a); got != want {
			t.Fatalf("revisions %d and %d compare as %d, want %d", a, b, got, want)
		}
		if compareSuffixes(nil, x) >= 0 {
			t.Fatalf("the bare prefix does not come before revision %d", a)
		}
		if revisionOf(x) != a || len(x) > suffixBytesMax || int(x[len(x)-1]) != len(x) {
			t.Fatalf("revision %d became % x, which reads %d", a, x, revisionOf(x))
		}
	})
}

// The rules that Pebble states for each function and CheckComparer leaves out.
func TestComparerKeepsItsPromises(t *testing.T) {
	c := newComparer()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawKey(t, "a"), drawKey(t, "b")
		if err := c.ValidateKey.Validate(a); err != nil {
			t.Fatal(err)
		}
		order := c.Compare(a, b)
		if order != -c.Compare(b, a) {
			t.Fatalf("% x and % x: the order is not the same from both sides", a, b)
		}
		if c.Equal(a, b) != (order == 0) || bytes.Equal(a, b) != (order == 0) {
			t.Fatalf("% x and % x: Equal does not agree with Compare", a, b)
		}
		if x, y := c.AbbreviatedKey(a), c.AbbreviatedKey(b); x < y && order >= 0 || x > y && order <= 0 {
			t.Fatalf("% x and % x: abbreviated %x and %x, but Compare says %d", a, b, x, y, order)
		}
		if order < 0 {
			s := c.Separator([]byte("kept"), a, b)
			if !bytes.HasPrefix(s, []byte("kept")) {
				t.Fatalf("the separator overwrote what was there")
			}
			s = s[len("kept"):]
			if c.Compare(a, s) > 0 || c.Compare(s, b) >= 0 || c.ValidateKey.Validate(s) != nil || len(s) > len(a)+1 {
				t.Fatalf("% x does not separate % x from % x", s, a, b)
			}
		}
		if s := c.Successor(nil, a); c.Compare(a, s) > 0 || c.ValidateKey.Validate(s) != nil {
			t.Fatalf("% x does not succeed % x", s, a)
		}
		prefix := c.Split.Prefix(a)
		next := c.ImmediateSuccessor(nil, prefix)
		if c.Compare(prefix, next) >= 0 || c.Compare(a, next) >= 0 || c.Split(next) != len(next) {
			t.Fatalf("% x is no immediate successor of % x", next, prefix)
		}
		if p := c.Split.Prefix(b); c.Compare(prefix, p) < 0 && c.Compare(p, next) < 0 {
			t.Fatalf("% x lies between % x and its immediate successor", p, prefix)
		}
	})
}

// FuzzComparer sees that keys that nobody wrote are ordered too, and that
// nothing panics on them: a damaged block must end in an error, not in a crash.
func FuzzComparer(f *testing.F) {
	f.Add([]byte("a\x00"), []byte("a\x00\x01\x02"), []byte{})
	f.Add([]byte{9}, []byte{0, 9}, []byte{10})
	f.Add([]byte("x\x00\x02"), []byte("x\x00\x01"), []byte("x\x00\x00\x02"))
	c := newComparer()
	f.Fuzz(func(t *testing.T, x, y, z []byte) {
		keys := [][]byte{x, y, z}
		slices.SortFunc(keys, c.Compare)
		for i := range keys {
			if n := c.Split(keys[i]); n < 0 || n > len(keys[i]) {
				t.Fatalf("% x is split at %d", keys[i], n)
			}
			for j := i + 1; j < len(keys); j++ {
				if c.Compare(keys[i], keys[j]) > 0 {
					t.Fatalf("% x and % x are out of order after sorting", keys[i], keys[j])
				}
			}
			c.Successor(nil, keys[i])
			_ = c.ValidateKey.Validate(keys[i])
			_ = keyString(keys[i])
		}
		if len(keys[0]) > 0 && c.Compare(keys[0], keys[1]) < 0 {
			c.Separator(nil, keys[0], keys[1])
		}
	})
}

func drawRevision(t *rapid.T, label string) rel.Revision {
	bits := rapid.IntRange(0, 64).Draw(t, label+" bits")
	if bits == 0 {
		return 0
	}
	return rel.Revision(rapid.Uint64().Draw(t, label) >> (64 - bits))
}

// drawKey makes keys that often share a beginning.
func drawKey(t *rapid.T, label string) []byte {
	alphabet := []string{"a", "b", "ab", "\x00", "\x01", "\xff", "doc", "1"}
	var key []byte
	for _, part := range rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 6).Draw(t, label+" text") {
		key = append(key, part...)
	}
	key = append(key, 0)
	if rapid.Bool().Draw(t, label+" has a revision") {
		key = appendSuffix(key, drawRevision(t, label+" revision"))
	}
	return key
}
