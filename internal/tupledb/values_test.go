package tupledb

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// The stored form of every value, byte for byte: a change here is a change of the
// format version. A tuple without attributes is one byte.
func TestValuesAreStoredAsWritten(t *testing.T) {
	const key = "doc:p1#viewer@user:ana"
	for _, c := range []struct{ text, want string }{
		{key, "\x01"},
		{key + "[expiration:1970-01-01T00:00:00.000001Z]", "\x01\x01\x01"},
		{key + "[expiration:2027-01-01T00:00:00Z]", "\x01\x01\x80\xc0\xd0\x91\xed\xfe\x98\x03"},
		{key + "[c]", "\x01\x02\x01c"},
		{key + `[billing/paid:{ "b": 1, "a": "x" }]`, "\x01\x06\x0cbilling/paid" + "\x0f" + `{"a":"x","b":1}`},
		{key + `[c:{"n":1}][expiration:1970-01-01T00:00:00.0003Z]`, "\x01\x07\xac\x02\x01c\x07" + `{"n":1}`},
	} {
		u := tuple(t, c.text)
		got := appendValue(nil, u)
		if string(got) != c.want {
			t.Errorf("%v:\n got %q\nwant %q", u, got, c.want)
		}
		live, carried, ok := parseValue(got)
		if !ok || !live || carried.of(u.Key) != u {
			t.Errorf("%q became %v, %t, %t", got, carried.of(u.Key), live, ok)
		}
	}
	if live, carried, ok := parseValue([]byte("\x00")); !ok || live || carried.of(rel.Key{}) != (rel.Tuple{}) {
		t.Errorf("a tombstone became %v, %t, %t", carried, live, ok)
	}
}

// damagedValues are values that nobody wrote, each a byte or two from one that
// somebody could have.
var damagedValues = []string{
	"",
	"\x02",
	"\x00\x00",              // a tombstone that carries something
	"\x00\x02\x01c",         //
	"\x01\x00",              // attributes, and none of them
	"\x01\x08",              // a flag of a later release
	"\x01\x0a\x01c",         //
	"\x01\x01",              // an expiry that is cut off
	"\x01\x01\x80",          //
	"\x01\x01\x00",          // an expiry that is never
	"\x01\x01\x81\x00",      // a number in two bytes that needs one
	"\x01\x01\x01\x00",      // something after the end
	"\x01\x02",              // a caveat that is cut off
	"\x01\x02\x02c",         //
	"\x01\x02\x00",          // a caveat without a name
	"\x01\x02\x01cc",        //
	"\x01\x04\x07{\"n\":1}", // a context without a caveat
	"\x01\x06\x01c",         // a context that is cut off
	"\x01\x06\x01c\x08{\"n\":1}",
	"\x01\x06\x01c\x00",
	"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // an expiry beyond every time
	"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",     // a number beyond 64 bits
	"\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01c",    // a length beyond memory
	"\x01\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", // a number of eleven bytes
}

// A tuple whose value is damaged is an error of every read that meets it, never a
// tuple that counts, and never one that is not there.
func TestDamagedValueIsAnErrorOfEveryRead(t *testing.T) {
	s := opened(t, onMem(vfs.NewMem()))
	there := tuple(t, "doc:p1#viewer@team:core#member[c]")
	plain := tuple(t, "doc:p2#viewer@user:ana[c]")
	write(t, s, Commit{Put: []rel.Tuple{there, plain}})
	p := &patient{t: t, store: s}
	reads := map[string]func(*Snapshot) error{
		"Find": func(s *Snapshot) error { _, _, err := s.Find(there.Key); return err },
		"Has":  func(s *Snapshot) error { _, err := s.Has(there.Key); return err },
		"Object": func(s *Snapshot) error {
			_, whole, err := s.Object(there.Object, nil, 10)
			if whole {
				t.Error("Object is whole")
			}
			return err
		},
		"Usersets": func(s *Snapshot) error { return lastError(s.Usersets(there.Object, "viewer")) },
		"Subjects": func(s *Snapshot) error { return lastError(s.Subjects(plain.Object, "viewer")) },
		"Objects":  func(s *Snapshot) error { return lastError(s.Objects(there.Subject, "doc", "viewer", rel.IDs{})) },
		"Tuples":   func(s *Snapshot) error { return lastError(s.Tuples(rel.Filter{ObjectType: "doc"}, nil)) },
		"Tuples of a subject": func(s *Snapshot) error {
			return lastError(s.Tuples(rel.Filter{SubjectType: "team"}, nil))
		},
		"Stands as object":  func(s *Snapshot) error { _, err := s.Stands(there.Object); return err },
		"Stands as subject": func(s *Snapshot) error { _, err := s.Stands(object(t, "team:core")); return err },
	}
	for _, value := range damagedValues {
		for _, u := range []rel.Tuple{there, plain} {
			p.set(p.forward(u, 1), []byte(value))
			p.set(p.reverse(u, 1), []byte(value))
		}
		for name, read := range reads {
			snap := newest(t, s)
			wantFault(t, fmt.Sprintf("%s at a value of %q", name, value), read(snap), fault.DataMustBeReadable)
			snap.Close()
		}
		report, err := s.Verify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if problems := strings.Join(report.Problems, "\n"); !strings.Contains(problems, "no readable value") {
			t.Errorf("at a value of %q a verification finds\n%s", value, problems)
		}
	}
}

// lastError ranges over a sequence and returns what it ended with.
func lastError(seq func(func(rel.Tuple, error) bool)) (last error) {
	for _, last = range seq {
	}
	return last
}

// FuzzParseValue: a value is read back as it was written, in one form alone, and
// what nobody wrote is refused without a panic.
func FuzzParseValue(f *testing.F) {
	for _, text := range []string{"a:1#r@u:1", `a:1#r@u:1[c:{"n":1}][expiration:2027-01-01T00:00:00Z]`} {
		f.Add(appendValue(nil, tuple(f, text)))
	}
	for _, value := range damagedValues {
		f.Add([]byte(value))
	}
	k := tuple(f, "a:1#r@u:1").Key
	f.Fuzz(func(t *testing.T, value []byte) {
		live, carried, ok := parseValue(value)
		if !ok {
			return
		}
		again := []byte{stateTombstone}
		if live {
			again = appendValue(nil, carried.of(k))
		}
		if !bytes.Equal(again, value) {
			t.Fatalf("%q was read as %v, which is written %q", value, carried.of(k), again)
		}
	})
}
