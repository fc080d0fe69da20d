package tupledb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pemba-io/pemba/internal/rel"
)

// What is packed, byte for byte, and what is near a UUID and is not one.
func TestIDsAreStoredAsWritten(t *testing.T) {
	for _, c := range []struct{ id, want string }{
		{"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "\x01\x0f\x1e\x2d\x3c\x4b\x5a\x69\x78\x87\x96\xa5\xb4\xc3\xd2\xe1\xf0\x00"},
		{"00000000-0000-0000-0000-000000000000", "\x01" + strings.Repeat("\x00", 17)},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "\x01" + strings.Repeat("\xff", 16) + "\x00"},
		{"ana", "ana\x00"},
		{"0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0\x00"},
		{"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1fg", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1fg\x00"},
		{"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f\x00"},
		{"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0a", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0a\x00"},
		{"0f1e2d3c4-b5a-6978-8796-a5b4c3d2e1f0", "0f1e2d3c4-b5a-6978-8796-a5b4c3d2e1f0\x00"},
		{"0f1e2d3c04b5a069780879600a5b4c3d2e1f", "0f1e2d3c04b5a069780879600a5b4c3d2e1f\x00"},
		{"{f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "{f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\x00"},
		{"", "\x00"},
	} {
		got := appendID([]byte("kept"), c.id)
		if string(got) != "kept"+c.want {
			t.Errorf("%s is stored as %q, want %q", c.id, got, "kept"+c.want)
		}
		if text, ok := fieldsText(got[len("kept"):]); !ok || text != c.id+"\x00" {
			t.Errorf("%s is read back as %q, %t", c.id, text, ok)
		}
	}
	packed := "7/f/\"doc|0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0|1viewer|user|ana||\"@300"
	u := tuple(t, "doc:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0#viewer@user:ana").Key
	if got := keyString(appendSuffix(appendForward(nil, 7, u), 300)); got != packed {
		t.Errorf("printed as %s, want %s", got, packed)
	}
}

// Of what a UUID may hold at each place, and of nothing else, it stays one.
func TestIDsArePackedForEveryDigitAndNothingElse(t *testing.T) {
	const uuid = "09afe123-4567-89ab-cdef-0123456789af"
	for i := range len(uuid) {
		for c := range 256 {
			id := []byte(uuid)
			id[i] = byte(c)
			want := strings.IndexByte("0123456789abcdef", byte(c)) >= 0
			if isDash(i) {
				want = c == '-'
			}
			stored := appendID(nil, string(id))
			if packed := len(stored) == packedBytes; packed != want || packed && stored[0] != packedMark {
				t.Errorf("%q is stored as %q", id, stored)
			}
			if text, ok := fieldsText(stored); c > ' ' && (!ok || text != string(id)+"\x00") {
				t.Errorf("%q is read back as %q, %t", id, text, ok)
			}
		}
	}
}

// Whatever the ids are, a tuple is read back from each of its keys; and tuples that
// differ differ in each.
func TestKeysReadBackAnyIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) rel.Key {
			s := rel.Of(rel.Trusted("user", drawID(t, label+" subject")))
			if rapid.Bool().Draw(t, label+" is of a userset") {
				s = rel.Userset(rel.Trusted("team", drawID(t, label+" set")), "member")
			}
			return rel.Key{Object: rel.Trusted("doc", drawID(t, label+" object")), Relation: "viewer", Subject: s}
		}
		a, b := draw("one"), draw("other")
		for name, stored := range map[string]func(rel.Key) []byte{
			"forward": func(k rel.Key) []byte { return appendForward(nil, 1, k)[fieldsAt:] },
			"reverse": func(k rel.Key) []byte { return appendReverse(nil, 1, k)[fieldsAt:] },
			"change":  func(k rel.Key) []byte { return appendKeyFields(nil, k) },
		} {
			parse := map[string]func(string) (rel.Key, bool){"forward": parseForward, "reverse": parseReverse, "change": parseKey}[name]
			if got, ok := parseFields(stored(a), parse); !ok || got != a {
				t.Fatalf("%s: %v became %v, %t", name, a, got, ok)
			}
			if (a == b) != bytes.Equal(stored(a), stored(b)) {
				t.Fatalf("%s: %v and %v are stored as %q and %q", name, a, b, stored(a), stored(b))
			}
		}
		if expires, got, ok := parseExpiring(appendExpiring(nil, 1, 1<<56, a)[fieldsAt:]); !ok || got != a || expires != 1<<56 {
			t.Fatalf("expiry: %v became %v at %d, %t", a, got, expires, ok)
		}
		rest := appendTuple(nil, rel.Tuple{Key: a})
		if got, rest, ok := nextTuple(append(rest, "more"...)); !ok || got.Key != a || string(rest) != "more" {
			t.Fatalf("log: %v became %v, %q, %t", a, got, rest, ok)
		}
	})
}

// Packed ids stand in the order of their texts, and before all that are text.
func TestPackedIDsAreInTheOrderOfTheirTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "one"), drawID(t, "other")
		x, y := appendID(nil, a), appendID(nil, b)
		want := strings.Compare(a, b)
		switch packed := [2]bool{x[0] == packedMark, y[0] == packedMark}; packed {
		case [2]bool{true, false}:
			want = -1
		case [2]bool{false, true}:
			want = +1
		}
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("%s and %s are stored in the order %d, want %d", a, b, got, want)
		}
	})
}

// drawID makes ids that are UUIDs, near ones and far ones, with few different
// digits so that they meet.
func drawID(t *rapid.T, label string) string {
	id := []byte("00000000-0000-0000-0000-000000000000")
	for i := range id {
		if !isDash(i) {
			id[i] = rapid.SampledFrom([]byte("00000019af")).Draw(t, label)
		}
	}
	switch rapid.IntRange(0, 6).Draw(t, label+" form") {
	case 0:
		return strings.ToUpper(string(id))
	case 1:
		return string(id[:rapid.IntRange(1, len(id)).Draw(t, label+" length")])
	case 2:
		id[rapid.IntRange(0, len(id)-1).Draw(t, label+" place")] = rapid.SampledFrom([]byte("-gA~!")).Draw(t, label+" other")
	case 3:
		return string(id) + rapid.SampledFrom([]string{"0", "-", "é"}).Draw(t, label+" more")
	}
	return string(id)
}

// A beginning of an id selects what begins with it, wherever it ends: in the middle
// of a byte, at a dash, beyond a UUID; from both indexes, and page by page.
func TestBeginningsOfIDsSelectPackedAndTextAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var ids []string
	for i := range 120 {
		id := []byte(fmt.Sprintf("%02x%02x%02x%02x-00ff-4000-8000-%012x", rng.IntN(3)*127, rng.IntN(256), 0, 0xff, i))
		switch i % 6 {
		case 1:
			id = id[:1+rng.IntN(len(id)-1)]
		case 2:
			id = append(id, "-copy"...)
		case 3:
			id = bytes.ToUpper(id)
		}
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	s := opened(t, Config{})
	var c Commit
	for _, id := range ids {
		c.Put = append(c.Put, rel.Tuple{Key: rel.Key{Object: rel.Trusted("doc", id), Relation: "viewer", Subject: subject(t, "user:ana")}})
	}
	c.Put = append(c.Put, tuple(t, "do:0#viewer@user:ana"), tuple(t, "docs:0#viewer@user:ana"), tuple(t, "doc:0#viewes@user:ana"))
	write(t, s, c)
	snap := newestOf(t, s)
	plain := rel.Name("")
	selected := 0
	for _, id := range ids {
		for n := range len(id) + 1 {
			for _, f := range []rel.Filter{
				{ObjectType: "doc", IDPrefix: id[:n]},
				{ObjectType: "doc", IDPrefix: id[:n], Relation: "viewer", SubjectType: "user", SubjectID: "ana", SubjectRelation: &plain},
			} {
				var want []rel.Tuple
				for _, u := range c.Put {
					if f.Matches(u) {
						want = append(want, u)
					}
				}
				before := snap.Reads()
				got := collect(t, snap.Tuples(f, nil))
				same(t, snap, fmt.Sprintf("Tuples(%v)", f), got, want)
				if reads := snap.Reads() - before; reads > len(want)+4 {
					t.Fatalf("%d reads for the %d tuples of %v", reads, len(want), f)
				}
				if len(got) == 0 {
					continue
				}
				selected += len(got)
				at := rng.IntN(len(got))
				if rest := collect(t, snap.Tuples(f, CursorAfter(f, got[at]))); !slices.Equal(rest, got[at+1:]) {
					t.Fatalf("%v after %v: %v, want %v", f, got[at], rest, got[at+1:])
				}
			}
		}
	}
	if selected < 10_000 {
		t.Errorf("%d tuples were selected", selected)
	}
}

// FuzzFieldsText: what is read as fields is stored again as the same bytes, so no id
// has two forms, and nothing panics on bytes that nobody wrote.
func FuzzFieldsText(f *testing.F) {
	for _, fields := range []string{
		"", "\x00", "doc\x00p1\x00", "\x01", "\x01\x00", "doc\x00\x010123456789abcdef\x00", "\x010123456789abcdef", "\x010123456789abcdefg\x00",
		"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\x00",
	} {
		f.Add([]byte(fields))
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		text, ok := fieldsText(fields)
		if !ok {
			return
		}
		var again []byte
		for rest := text; rest != ""; {
			var field string
			if field, rest, ok = nextField(rest); !ok {
				t.Fatalf("%q became %q, which does not end in 0x00", fields, text)
			}
			again = appendID(again, field)
		}
		if !bytes.Equal(again, fields) {
			t.Fatalf("%q became %q, which is stored as %q", fields, text, again)
		}
	})
}
