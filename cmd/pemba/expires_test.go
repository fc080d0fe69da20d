package main

import (
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
)

func TestExpirationsAreTimesOrDurations(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 1, time.UTC)
	for text, want := range map[string]string{
		"2027-01-01T00:00:00Z":      "2027-01-01T00:00:00Z",
		"2027-01-01T02:00:00+02:00": "2027-01-01T00:00:00Z",
		"2027-01-01T00:00:00.25Z":   "2027-01-01T00:00:00.25Z",
		"30d":                       "2026-12-31T12:00:01Z", // whole seconds
		"2w":                        "2026-12-15T12:00:01Z",
		"12h":                       "2026-12-02T00:00:01Z",
		"1h30m":                     "2026-12-01T13:30:01Z",
		"1ns":                       "2026-12-01T12:00:01Z",
		"100000d":                   "2300-09-16T12:00:01Z",
	} {
		if got, err := expiryOf(text, now); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "soon", "d", "1.5d", "30", "2027-01-01", "100001d", "99999999999999999999w", // unreadable
		"0d", "-1d", "0s", "-1h", "-99999999999999999999w", "2026-12-01T12:00:00Z", "1960-01-01T00:00:00Z", // past
	} {
		if got, err := expiryOf(text, now); !fault.Is(err, fault.ExpirationMustBeATime) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}
