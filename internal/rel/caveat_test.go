package rel_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// Equal contexts are equal values, however they were written.
func TestAContextHasOneForm(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             ``,
		`{"b":1,"a":true}`:               `{"a":true,"b":1}`,
		` { "a" : 1.50e1 } `:             `{"a":15}`,
		`{"a":"<é\u00e9>"}`:              `{"a":"<éé>"}`,
		`{"a":[1,[],{"c":null}],"b":""}`: `{"a":[1,[],{"c":null}],"b":""}`,
		`{"a":9007199254740993}`:         `{"a":9007199254740992}`, // a JSON number is a double
	} {
		c, err := rel.ParseContext(text)
		if err != nil || c.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, c, err, want)
		}
		if again, err := rel.NewContext(c.Values()); err != nil || again != c {
			t.Errorf("%s came back as %s, %v", c, again, err)
		}
		if rel.TrustedContext(c.String()) != c || c.IsEmpty() != (want == "") {
			t.Errorf("%s does not equal what is read back", c)
		}
	}
}

func TestContextsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "1", "[]", "null1", `{"a":1`, `{"a":1} x`, `{"a":nan}`, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`} {
		if c, err := rel.ParseContext(text); !fault.Is(err, fault.ContextMustBeReadable) {
			t.Errorf("%s is %s, %v", text, c, err)
		}
	}
	for _, text := range []string{`{"a":1,"a":1}`, `{"a":1,"b":2,"\u0061":3}`, `{"x":[{"a":1},{"b":[],"b":2}]}`, `{"a":{"b":{"c":1,"c":2}}}`} {
		if c, err := rel.ParseContext(text); !fault.Is(err, fault.ContextMustBeReadable) || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s is %s, %v", text, c, err)
		}
	}
	if c, err := rel.ParseContext(`{"a":{"a":[{"a":1},{"a":"b","b":"a"}]},"b":{"a":1}}`); err != nil {
		t.Errorf("names that are each in an object of their own: %s, %v", c, err)
	}
	for _, v := range []any{math.NaN(), math.Inf(1), int64(1), "\xff", map[string]any{"\xff": nil}} {
		if c, err := rel.NewContext(map[string]any{"a": v}); !fault.Is(err, fault.ContextMustBeReadable) {
			t.Errorf("%v is %s, %v", v, c, err)
		}
	}
	c, err := rel.ParseContext(`{"a":1}`)
	if err != nil || c.CheckBytes(7) != nil || !fault.Is(c.CheckBytes(6), fault.FieldMustBeWithinBounds) {
		t.Errorf("%d bytes, %v", len(c.String()), err)
	}
}

func TestCaveatNames(t *testing.T) {
	for _, s := range []string{"a", "office_hours", "billing/paid"} {
		if name, err := rel.ParseCaveatName(s); err != nil || string(name) != s {
			t.Errorf("%s: %s, %v", s, name, err)
		}
	}
	for _, s := range []string{"", "A", "a/", "expiration", strings.Repeat("a", 65)} {
		if _, err := rel.ParseCaveatName(s); !fault.Is(err, fault.CaveatNameMustBeValid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A tuple counts until its expiry, and at it no more.
func TestAnExpiryIsTheFirstMomentWithoutTheTuple(t *testing.T) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 1999, time.UTC)
	e, err := rel.NewExpiry(at)
	if err != nil || e.Time() != at.Truncate(time.Microsecond) {
		t.Fatalf("%v is %v, %v", at, e.Time(), err)
	}
	if e.PassedAt(e.Time().Add(-time.Microsecond)) || !e.PassedAt(e.Time()) || rel.Expiry(0).PassedAt(at) {
		t.Error("the border is in the wrong place")
	}
	later := e + 1
	for _, c := range []struct{ a, b, want rel.Expiry }{{0, 0, 0}, {0, e, e}, {e, 0, e}, {e, later, e}, {later, e, e}} {
		if got := c.a.Sooner(c.b); got != c.want {
			t.Errorf("the sooner of %q and %q is %q", c.a, c.b, got)
		}
	}
	for _, bad := range []time.Time{{}, time.Unix(0, 0), time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if e, err := rel.NewExpiry(bad); !fault.Is(err, fault.ExpirationMustBeATime) {
			t.Errorf("%v is %v, %v", bad, e, err)
		}
	}
	if last, err := rel.ParseExpiry("9999-12-31T23:59:59.999999999Z"); err != nil || last.String() != "9999-12-31T23:59:59.999999Z" {
		t.Errorf("the last one is %v, %v", last, err)
	}
}
