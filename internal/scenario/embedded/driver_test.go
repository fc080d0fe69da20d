package embedded_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/scenario"
)

// The same file says something else when its tuples have expired.
func TestTheClockDecidesWhatHasExpired(t *testing.T) {
	file := read(t, `schema: |
  use expiration
  definition user {}
  definition doc { relation viewer: user with expiration }
relationships: |
  doc:1#viewer@user:ana[expiration:2028-01-01T00:00:00Z]
assertions:
  assertTrue: ["doc:1#viewer@user:ana"]
validation:
  doc:1#viewer: ["[user:ana] is <doc:1#viewer>"]
`)
	expiry := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now    time.Time
		passed int
	}{{expiry.Add(-time.Second), 2}, {expiry, 0}} {
		d := driver(t)
		d.Clock = func() time.Time { return c.now }
		if report := scenario.Run(t.Context(), file, d); report.Passed() != c.passed {
			t.Errorf("at %s: %d passed: %v", c.now, report.Passed(), report.Failures())
		}
	}
}

// What a conditional answer hangs on stands in the line of its case.
func TestFailuresTellWhatIsMissing(t *testing.T) {
	report := scenario.Run(t.Context(), read(t, `schema: |
  use roles
  caveat office_hours(now timestamp, opens int) { now.getHours() >= opens }
  definition user {}
  definition doc { roles { viewer: user; editor: user with office_hours } }
relationships: |
  doc:1#viewer@user:a
  doc:1#editor@user:a[office_hours:{"opens":9}]
assertions:
  assertTrue: ["doc:1#editor@user:a"]
roles: {"doc:1@user:a": editor}
`), driver(t))
	missing := "now is missing, for doc:1#editor@user:a[office_hours]"
	for i, want := range []string{
		"some.yaml:10: doc:1#editor@user:a: expected granted, came conditional: " + missing,
		"some.yaml:11: doc:1@user:a: expected editor, came viewer, and editor is conditional: " + missing,
	} {
		if got := report.Failures(); len(got) != 2 || !strings.HasPrefix(got[i], want) {
			t.Errorf("%v; want %s", got, want)
		}
	}
}
