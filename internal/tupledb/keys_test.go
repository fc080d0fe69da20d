package tupledb

import (
	"fmt"
	"testing"

	"github.com/pemba-io/pemba/internal/rel"
)

func keyString(key []byte) string { return fmt.Sprint(keyText(key)) }

// tuple reads a tuple; a test that misspells one is wrong.
func tuple(t testing.TB, text string) rel.Tuple {
	t.Helper()
	u, err := rel.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func object(t testing.TB, text string) rel.Object {
	t.Helper()
	o, err := rel.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func subject(t testing.TB, text string) rel.Subject {
	t.Helper()
	s, err := rel.ParseSubject(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The stored form of every key, byte for byte: a change here is a change of the
// format version.
func TestKeysAreStoredAsWritten(t *testing.T) {
	u := tuple(t, "doc:p1#viewer@team:core#member").Key
	for _, c := range []struct {
		name string
		key  []byte
		want string
	}{
		{"userset, forward", appendSuffix(appendForward(nil, 7, u), 300), "\x00\x00\x00\x07fdoc\x00p1\x000viewer\x00team\x00core\x00member\x00\x01\x2c\x03"},
		{"userset, reverse", appendSuffix(appendReverse(nil, 7, u), 1), "\x00\x00\x00\x07rteam\x00core\x00member\x00doc\x00viewer\x00p1\x00\x01\x02"},
		{"plain, forward", appendForward(nil, 1, tuple(t, "doc:p1#viewer@user:ana").Key), "\x00\x00\x00\x01fdoc\x00p1\x001viewer\x00user\x00ana\x00\x00"},
		{"wildcard, forward", appendForward(nil, 1, tuple(t, "doc:p1#viewer@user:*").Key), "\x00\x00\x00\x01fdoc\x00p1\x000viewer\x00user\x00*\x00\x00"},
		{"change", appendChangeKey(nil, 1, 258), "\x00\x00\x00\x01c\x00\x00\x00\x00\x00\x00\x01\x02\x00"},
		{"request", appendRequestKey(nil, 1, "", "4f0c"), "\x00\x00\x00\x01i\x004f0c\x00"},
		{"request of a caller", appendRequestKey(nil, 1, "app", "4f0c"), "\x00\x00\x00\x01iapp\x004f0c\x00"},
		{"request by its time", appendOldestKey(nil, 1, 0x0102030405060708, "app", "4f0c"), "\x00\x00\x00\x01o\x01\x02\x03\x04\x05\x06\x07\x08app\x004f0c\x00"},
		{"expiry", appendSuffix(appendExpiring(nil, 7, 258, u), 300), "\x00\x00\x00\x07e\x00\x00\x00\x00\x00\x00\x01\x02doc\x00p1\x000viewer\x00team\x00core\x00member\x00\x01\x2c\x03"},
		{"schema", appendSuffix(appendSchemaPrefix(nil, 1), 2), "\x00\x00\x00\x01s\x00\x02\x02"},
		{"floor", appendFloorKey(nil, 7), "\x00\x00\x00\x07h\x00"},
		{"format", appendMetaKey(nil, "format"), "\x00\x00\x00\x00mformat\x00"},
		{"store", appendMetaKey(nil, "store", "default"), "\x00\x00\x00\x00mstore\x00default\x00"},
	} {
		if string(c.key) != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, c.key, c.want)
		}
		if err := validateKey(c.key); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got, want := keyString(appendSuffix(appendForward(nil, 7, u), 300)), `7/f/"doc|p1|0viewer|team|core|member|"@300`; got != want {
		t.Errorf("printed as %s, want %s", got, want)
	}
	if got, want := keyString(appendSuffix(appendExpiring(nil, 7, 258, u), 300)), `7/e/258/"doc|p1|0viewer|team|core|member|"@300`; got != want {
		t.Errorf("printed as %s, want %s", got, want)
	}
	if got, want := keyString(appendChangeKey(nil, 7, 12)), "7/c/12"; got != want {
		t.Errorf("printed as %s, want %s", got, want)
	}
}

func TestKeysReadBackWhatTheyWereMadeOf(t *testing.T) {
	for _, text := range []string{
		"doc:p1#viewer@user:ana", "doc:p1#viewer@user:*", "doc:p1#viewer@team:core#member",
		"a/b:x@y.z#r@a/b:ü#r", "t:0#r@t:1", "doc:*x#r@u:**",
	} {
		u := tuple(t, text).Key
		if got, ok := parseFields(appendForward(nil, 1, u)[fieldsAt:], parseForward); !ok || got != u {
			t.Errorf("forward: %v became %v, %t", u, got, ok)
		}
		if expires, got, ok := parseExpiring(appendExpiring(nil, 1, 256, u)[fieldsAt:]); !ok || got != u || expires != 256 {
			t.Errorf("expiry: %v became %v at %d, %t", u, got, expires, ok)
		}
		if got, ok := parseFields(appendReverse(nil, 1, u)[fieldsAt:], parseReverse); !ok || got != u {
			t.Errorf("reverse: %v became %v, %t", u, got, ok)
		}
		if got, ok := parseFields(appendKeyFields(nil, u), parseKey); !ok || got != u {
			t.Errorf("change: %v became %v, %t", u, got, ok)
		}
	}
}

// What is not a key is refused, however it was damaged: one byte taken away,
// added or turned into a separator.
func TestKeysThatNobodyWroteAreRefused(t *testing.T) {
	u := tuple(t, "doc:p1#viewer@team:core#member").Key
	packed := tuple(t, "doc:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0#viewer@team:ffffffff-ffff-ffff-ffff-ffffffffffff#member").Key
	for name, c := range map[string]struct {
		fields string
		parse  func(string) (rel.Key, bool)
	}{
		"packed forward": {string(appendForward(nil, 1, packed)[fieldsAt:]), parseForward},
		"packed reverse": {string(appendReverse(nil, 1, packed)[fieldsAt:]), parseReverse},
		"packed change":  {string(appendKeyFields(nil, packed)), parseKey},
		"forward":        {string(appendForward(nil, 1, u)[fieldsAt:]), parseForward},
		"reverse":        {string(appendReverse(nil, 1, u)[fieldsAt:]), parseReverse},
		"change":         {string(appendKeyFields(nil, u)), parseKey},
	} {
		for i := range c.fields {
			if _, ok := parseFields([]byte(c.fields[:i]), c.parse); ok {
				t.Errorf("%s: %q was read", name, c.fields[:i])
			}
			with0 := c.fields[:i] + "\x00" + c.fields[i:]
			if got, ok := parseFields([]byte(with0), c.parse); ok {
				t.Errorf("%s: %q was read as %v", name, with0, got)
			}
		}
	}
	if _, ok := parseForward("doc\x00p1\x001viewer\x00team\x00core\x00member\x00"); ok {
		t.Error("a userset in the class of plain subjects was read")
	}
	if _, ok := parseFields([]byte("doc\x000f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\x001viewer\x00user\x00ana\x00\x00"), parseForward); ok {
		t.Error("an id that is to be packed was read as text")
	}
}
