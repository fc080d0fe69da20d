package rel_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestObjectsThatAreOnes(t *testing.T) {
	for _, s := range []string{
		"project:p1",
		"user:ana@example.com",
		"billing/plan:gold",
		"a/b/c:1",
		"doc:a:b:c", // split at the first ':'
		"doc:" + strings.Repeat("x", rel.IDBytesMax),
		"doc:Ж",
		"doc:*x", // '*' alone is the wildcard
		"x:-",
	} {
		o, err := rel.ParseObject(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if o.String() != s {
			t.Errorf("%s came back as %s", s, o)
		}
	}
}

func TestObjectsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		text string
		code fault.Code
	}{
		{"", fault.ObjectMustHaveType},
		{"project", fault.ObjectMustHaveType},
		{"project:", fault.IDMustBeValid},
		{":p1", fault.TypeNameMustBeValid},
		{"Project:p1", fault.TypeNameMustBeValid},
		{"1p:p1", fault.TypeNameMustBeValid},
		{"a//b:1", fault.TypeNameMustBeValid},
		{"/a:1", fault.TypeNameMustBeValid},
		{strings.Repeat("a", 65) + ":1", fault.TypeNameMustBeValid},
		{strings.Repeat("a/", 200) + "a:1", fault.TypeNameMustBeValid},
		{"project:*", fault.ObjectMustBeConcrete},
		{"project:a b", fault.IDMustBeValid},
		{"project:a#b", fault.IDMustBeValid},
		{"project:[a]", fault.IDMustBeValid},
		{"project:a\x00b", fault.IDMustBeValid},
		{"project:a\u200bb", fault.IDMustBeValid}, // format character
		{"project:a\u00a0b", fault.IDMustBeValid}, // no-break space
		{"project:a\u2028b", fault.IDMustBeValid}, // line separator
		{"project:a\x7fb", fault.IDMustBeValid},   // control character
		{"project:\xff\xfe", fault.IDMustBeValid}, // not UTF-8
		{"doc:" + strings.Repeat("x", rel.IDBytesMax+1), fault.IDMustBeValid},
	} {
		if _, err := rel.ParseObject(c.text); !fault.Is(err, c.code) {
			t.Errorf("%q: %v, want %v", c.text, err, c.code)
		}
	}
}

func TestSubjects(t *testing.T) {
	for text, want := range map[string]string{
		"user:ana":         "user:ana",
		"user:*":           "user:*",
		"team:core#member": "team:core#member",
		"team:core#...":    "team:core",
		"user:a@b.c":       "user:a@b.c",
	} {
		s, err := rel.ParseSubject(text)
		if err != nil || s.String() != want {
			t.Errorf("%s = %v, %v; want %s", text, s, err, want)
		}
	}
	for text, code := range map[string]fault.Code{
		"user":             fault.ObjectMustHaveType,
		"user:ana#":        fault.NameMustBeValid,
		"team:*#member":    fault.SubjectMustBeConcrete,
		"team:core#Member": fault.NameMustBeValid,
		"team:a#b#c":       fault.IDMustBeValid, // split at the last '#'
	} {
		if _, err := rel.ParseSubject(text); !fault.Is(err, code) {
			t.Errorf("%s: %v, want %v", text, err, code)
		}
	}
}

func TestTuples(t *testing.T) {
	ana := rel.Key{Object: object(t, "doc:1"), Relation: "viewer", Subject: subject(t, "user:ana")}
	hours := func(text string) rel.Caveat {
		values, err := rel.ParseContext(text)
		if err != nil {
			t.Fatal(err)
		}
		return rel.Caveat{Name: "office/hours", Context: values}
	}
	newYear := rel.Expiry(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	for text, want := range map[string]rel.Tuple{
		"project:p1#viewer@team:core#member": {Key: rel.Key{
			Object: object(t, "project:p1"), Relation: "viewer", Subject: subject(t, "team:core#member"),
		}},
		// The object may hold an '@', and so may the subject.
		"doc:a@b#viewer@user:x@y": {Key: rel.Key{
			Object: object(t, "doc:a@b"), Relation: "viewer", Subject: subject(t, "user:x@y"),
		}},
		"doc:1#viewer@user:ana[office/hours]":                                                       {Key: ana, Caveat: rel.Caveat{Name: "office/hours"}},
		`doc:1#viewer@user:ana[office/hours:{"at":"[9]","opens":9}]`:                                {Key: ana, Caveat: hours(`{"opens":9, "at":"[9]"}`)},
		"doc:1#viewer@user:ana[expiration:2027-01-01T00:00:00Z]":                                    {Key: ana, Expires: newYear},
		`doc:1#viewer@user:ana[office/hours][expiration:2027-01-01T00:00:00Z]`:                      {Key: ana, Caveat: rel.Caveat{Name: "office/hours"}, Expires: newYear},
		`doc:1#viewer@user:ana[office/hours:{"a":[1,{"b":null}]}][expiration:2027-01-01T00:00:00Z]`: {Key: ana, Caveat: hours(`{"a":[1.0,{"b":null}]}`), Expires: newYear},
	} {
		got, err := rel.ParseTuple(text)
		if err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%s came back as %s", text, got)
		}
		if got.Always() != !strings.Contains(text, "[") {
			t.Errorf("%s always counts: %t", text, got.Always())
		}
	}
	for text, same := range map[string]string{ // written in other ways
		`doc:1#viewer@user:ana [office/hours:{ "opens" : 9.0 } ] [expiration:2027-01-01T02:00:00+02:00]`: `doc:1#viewer@user:ana[office/hours:{"opens":9}][expiration:2027-01-01T00:00:00Z]`,
		`doc:1#viewer@user:ana[office/hours:{}]`:                                                         `doc:1#viewer@user:ana[office/hours]`,
		`doc:1#viewer@user:ana[expiration:2027-01-01T00:00:00.0000019Z]`:                                 `doc:1#viewer@user:ana[expiration:2027-01-01T00:00:00.000001Z]`,
	} {
		if got, err := rel.ParseTuple(text); err != nil || got.String() != same {
			t.Errorf("%s = %v, %v; want %s", text, got, err, same)
		}
	}
	for text, code := range map[string]fault.Code{
		"project:p1":                                                  fault.TupleMustBeReadable,
		"project:p1#viewer":                                           fault.TupleMustBeReadable,
		"project:p1@user:ana":                                         fault.TupleMustBeReadable,
		"project:p1#@user:ana":                                        fault.NameMustBeValid,
		"doc:1#viewer@user:a[":                                        fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[]":                                       fault.CaveatNameMustBeValid,
		"doc:1#viewer@user:a[Hours]":                                  fault.CaveatNameMustBeValid,
		"doc:1#viewer@user:a[hours":                                   fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[hours]x":                                 fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[hours][hours]":                           fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[hours:{]":                                fault.ContextMustBeReadable,
		"doc:1#viewer@user:a[hours:9]":                                fault.ContextMustBeReadable,
		`doc:1#viewer@user:a[hours:{"a":1}`:                           fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[expiration]":                             fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[expiration:now]":                         fault.ExpirationMustBeATime,
		"doc:1#viewer@user:a[expiration:1970-01-01T00:00:00Z]":        fault.ExpirationMustBeATime,
		"doc:1#viewer@user:a[expiration:2027-01-01T00:00:00Z][hours]": fault.TupleMustBeReadable,
		"doc:1#viewer@user:a[expiration:2027-01-01T00:00:00Z][expiration:2027-01-01T00:00:00Z]":    fault.TupleMustBeReadable,
		`doc:1#viewer@user:a[hours:{"a":"` + strings.Repeat("x", rel.TupleContextBytesMax) + `"}]`: fault.FieldMustBeWithinBounds,
	} {
		if _, err := rel.ParseTuple(text); !fault.Is(err, code) {
			t.Errorf("%s: %v, want %v", text, err, code)
		}
	}
}

func TestFiltersSelectWhatTheySay(t *testing.T) {
	tuples := []string{
		"project:p1#viewer@user:joe",
		"project:p1#editor@user:joe",
		"project:p2#editor@user:joe",
		"project:p1#viewer@team:core#member",
		"project:p1#viewer@team:core",
		"project:p1#viewer@user:*",
	}
	for filter, want := range map[string][]int{
		"project:p1":               {0, 1, 3, 4, 5},
		"project:p1#viewer":        {0, 3, 4, 5},
		"project:#editor@user:joe": {1, 2},
		"@team:core":               {4},
		"@team:core#member":        {3},
		"@team:core#*":             {3, 4},
		"@team:":                   {3, 4},
		"#editor":                  {1, 2},
		"@user:*":                  {5},
	} {
		f, err := rel.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		var got []int
		for i, text := range tuples {
			if f.Matches(tuple(t, text)) {
				got = append(got, i)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s selects %v, want %v", filter, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s selects %v, want %v", filter, got, want)
				break
			}
		}
	}
	for _, text := range []string{"", "#", "@"} {
		if _, err := rel.ParseFilter(text); err == nil {
			t.Errorf("%q is a filter", text)
		}
	}
}

func TestAPrincipalIsASet(t *testing.T) {
	p, err := rel.NewPrincipal(subject(t, "user:bob"), subject(t, "team:b#member"), subject(t, "link:l1"), subject(t, "user:bob"), subject(t, "link:l1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.String(), "user:bob + link:l1 + team:b#member"; got != want {
		t.Errorf("principal is %s, want %s", got, want)
	}
	if again, err := rel.ParsePrincipal(p.String()); err != nil || again.String() != p.String() {
		t.Errorf("read back as %v, %v", again, err)
	}
	if !p.Matches(subject(t, "user:*")) || !p.Matches(subject(t, "link:l1")) {
		t.Error("a wildcard or a presented link does not match")
	}
	if p.Matches(subject(t, "team:*")) {
		t.Error("a userset of a team is taken for a team")
	}
	if _, err := rel.NewPrincipal(subject(t, "user:*")); !fault.Is(err, fault.SubjectMustBeConcrete) {
		t.Errorf("everybody is a principal: %v", err)
	}
}

func TestSnapshotTokens(t *testing.T) {
	for _, s := range []rel.Snapshot{
		{},
		{Incarnation: 1, Epoch: 1, Revision: 1},
		{Incarnation: rel.IncarnationMax, Epoch: 1<<32 - 1, Revision: 1<<64 - 1},
	} {
		back, err := rel.ParseSnapshot(s.Token())
		if err != nil || back != s {
			t.Errorf("%+v came back as %+v, %v", s, back, err)
		}
	}
	good := rel.Snapshot{Incarnation: 77, Epoch: 1, Revision: 300}.Token()
	for i := range good {
		for _, c := range "0z" {
			if byte(c) == good[i] {
				continue
			}
			bad := good[:i] + string(c) + good[i+1:]
			if s, err := rel.ParseSnapshot(bad); err == nil {
				t.Errorf("%s, one character from %s, is read as %+v", bad, good, s)
			}
		}
	}
	for _, bad := range []string{"", good[:len(good)-1], good + "0", strings.ToUpper(good), strings.Repeat("0", 10_000)} {
		if _, err := rel.ParseSnapshot(bad); !fault.Is(err, fault.SnapshotMustBeReadable) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestStoreNames(t *testing.T) {
	if s, err := rel.ParseStore(""); err != nil || s != rel.DefaultStore {
		t.Errorf("empty = %v, %v", s, err)
	}
	for _, s := range []string{"default", "tenant-1", "0b5f", strings.Repeat("a", 64)} {
		if _, err := rel.ParseStore(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"-a", "_a", "A", "a b", "ü", strings.Repeat("a", 65)} {
		if _, err := rel.ParseStore(s); !fault.Is(err, fault.StoreNameMustBeValid) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// FuzzParse feeds any text to every parser: none panics, and what one accepts
// comes back from its own text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"project:p1#viewer@team:core#member", "user:*", "a/b:c", "x:y#...", "project:#editor@user:joe", "touch a:b#c@d:e", "a:b + c:d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := rel.ParseObject(s); err == nil && o.String() != s {
			t.Errorf("object %q came back as %q", s, o)
		}
		if u, err := rel.ParseSubject(s); err == nil {
			if again, err := rel.ParseSubject(u.String()); err != nil || again != u {
				t.Errorf("subject %q: %v, %v", s, again, err)
			}
		}
		if u, err := rel.ParseTuple(s); err == nil {
			if again, err := rel.ParseTuple(u.String()); err != nil || again != u {
				t.Errorf("tuple %q: %v, %v", s, again, err)
			}
		}
		if p, err := rel.ParsePrincipal(s); err == nil {
			if again, err := rel.ParsePrincipal(p.String()); err != nil || again.String() != p.String() {
				t.Errorf("principal %q: %v, %v", s, again, err)
			}
		}
		if x, err := rel.ParseFilter(s); err == nil && x.Check() != nil {
			t.Errorf("filter %q does not fit together", s)
		}
		if x, err := rel.ParseSnapshot(s); err == nil && x.Token() != s {
			t.Errorf("snapshot %q has a second text", s)
		}
		_, _ = rel.ParseUpdate(s)
	})
}

func object(t *testing.T, s string) rel.Object {
	t.Helper()
	o, err := rel.ParseObject(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func subject(t *testing.T, s string) rel.Subject {
	t.Helper()
	u, err := rel.ParseSubject(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tuple(t *testing.T, s string) rel.Tuple {
	t.Helper()
	u, err := rel.ParseTuple(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
