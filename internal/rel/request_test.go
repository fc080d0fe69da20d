package rel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestUpdatesReadBackAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{
		"create doc:1#viewer@user:ana",
		"delete doc:1#viewer@user:ana",
		"assign doc:1#viewer@user:ana",
		"assign doc:1#viewer@user:ana[expiration:2027-01-01T00:00:00Z]",
		"revoke user:ana within doc:1",
		"revoke team:core#member within doc:1",
		"delete_object doc:1",
		"delete_object user:ana@example.com",
		"delete_matching doc:1",
		"delete_matching doc:",
		"delete_matching doc:1#viewer",
		"delete_matching #viewer",
		"delete_matching doc:#editor@user:joe",
		"delete_matching doc:a@b#@user:joe",
		"delete_matching @team:core",
		"delete_matching @team:core#member",
		"delete_matching @team:core#*",
		"delete_matching @team:",
		"delete_matching @team:#member",
		"delete_matching @user:*",
	} {
		u, err := rel.ParseUpdate(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if u.String() != s {
			t.Errorf("%s came back as %s", s, u)
		}
	}
}

func TestUpdatesThatAreNone(t *testing.T) {
	for s, code := range map[string]fault.Code{
		"delete_object":                   fault.ObjectMustHaveType,
		"delete_object doc":               fault.ObjectMustHaveType,
		"delete_object user:*":            fault.ObjectMustBeConcrete,
		"delete_matching":                 fault.FilterMustBeReadable,
		"delete_matching Doc:1":           fault.TypeNameMustBeValid,
		"delete_all doc:1":                fault.TupleMustBeReadable,
		"assign doc:1":                    fault.TupleMustBeReadable,
		"revoke user:ana":                 fault.TupleMustBeReadable,
		"revoke user:ana inside doc:1":    fault.TupleMustBeReadable,
		"revoke user:ana within doc:1 x":  fault.TupleMustBeReadable,
		"revoke user:* within doc:1":      fault.SubjectMustBeConcrete,
		"revoke user:ana within doc:*":    fault.ObjectMustBeConcrete,
		"delete doc:1":                    fault.TupleMustBeReadable,
		"delete_matching doc:1#viewer@us": 0, // a type without ':' is one
	} {
		if _, err := rel.ParseUpdate(s); code == 0 && err != nil || code != 0 && !fault.Is(err, code) {
			t.Errorf("%q: %v, want %v", s, err, code)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	for _, s := range []string{"1", "4f0c2a9e-1c1e-4a43", "é €", strings.Repeat("x", rel.RequestIDBytesMax)} {
		if id, err := rel.ParseRequestID(s); err != nil || string(id) != s {
			t.Errorf("%q became %q, %v", s, id, err)
		}
	}
	for s, code := range map[string]fault.Code{
		"": fault.FieldMustBeWithinBounds, strings.Repeat("x", rel.RequestIDBytesMax+1): fault.FieldMustBeWithinBounds,
		"a\x00b": fault.IDMustBeValid, "a\nb": fault.IDMustBeValid, "a\xff": fault.IDMustBeValid,
	} {
		if _, err := rel.ParseRequestID(s); !fault.Is(err, code) {
			t.Errorf("%q: %v, want %v", s, err, code)
		}
	}
}

func TestMetadataReadsBackAsItWasGiven(t *testing.T) {
	full := map[string]string{}
	for i := range rel.MetadataEntriesMax {
		full[fmt.Sprintf("%064d", i)] = strings.Repeat("€", rel.MetadataValueBytesMax/3)
	}
	for _, texts := range []map[string]string{{}, {"a": ""}, {"b": "2\x00\n", "a": "1"}, full} {
		m, err := rel.NewMetadata(texts)
		if err != nil {
			t.Errorf("%d entries: %v", len(texts), err)
			continue
		}
		b := m.Encode()
		again, ok := rel.DecodeMetadata(b)
		if !ok || len(again.Entries()) != len(texts) {
			t.Errorf("%q came back as %v, %t", b, again, ok)
		}
		for i, e := range again.Entries() {
			if v, found := texts[e.Key]; !found || v != e.Value || i > 0 && again.Entries()[i-1].Key >= e.Key {
				t.Errorf("%q came back as %v", texts, again)
			}
		}
		for i := range b {
			if m, ok := rel.DecodeMetadata(b[:i]); ok && len(b) < 100 && string(m.Encode()) != string(b[:i]) {
				t.Errorf("%q was read as %v", b[:i], m)
			}
		}
	}
	if m, _ := rel.NewMetadata(map[string]string{"b": "2", "a": "1"}); string(m.Encode()) != "\x01a\x011\x01b\x012" {
		t.Errorf("encoded as %q", m.Encode())
	}
	for _, b := range []string{"\x01a", "\x01b\x011\x01a\x012", "\x01a\x011\x01a\x012", "\x00\x011", "\xff", "\x05a\x01"} {
		if m, ok := rel.DecodeMetadata([]byte(b)); ok {
			t.Errorf("%q was read as %v", b, m)
		}
	}
}

func TestMetadataBeyondItsBoundsIsRefused(t *testing.T) {
	many := map[string]string{}
	for i := range rel.MetadataEntriesMax + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, texts := range []map[string]string{
		many, {"": "x"}, {strings.Repeat("k", rel.MetadataKeyBytesMax+1): "x"}, {"k": strings.Repeat("v", rel.MetadataValueBytesMax+1)},
	} {
		if _, err := rel.NewMetadata(texts); !fault.Is(err, fault.FieldMustBeWithinBounds) || fault.Of(err).Remedy == "" {
			t.Errorf("%d entries: %v", len(texts), err)
		}
	}
	if _, err := rel.NewMetadata(map[string]string{"k": "\xff"}); !fault.Is(err, fault.FieldMustBeUTF8) {
		t.Error(err)
	}
}
