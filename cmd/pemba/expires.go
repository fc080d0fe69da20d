package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// expiryOf reads when tuples expire: a time, or how long from now on. One in the
// past is refused: who gives it does not mean a tuple that nobody will ever see.
func expiryOf(text string, now time.Time) (rel.Expiry, error) {
	var e rel.Expiry
	var err error
	if after, ok := durationOf(text); ok {
		at := now.Add(after)
		if after > 0 { // whole seconds read better, and nobody minds a part of one more
			at = at.Add(time.Second - 1).Truncate(time.Second)
		}
		e, err = rel.NewExpiry(at)
	} else if e, err = rel.ParseExpiry(text); err != nil {
		return 0, fault.Newf(fault.ExpirationMustBeATime, "--expires %q is neither a time nor a duration", text).
			Do("write a time as RFC 3339 does, for example 2027-01-01T00:00:00Z, or how long from now on, for example 30d, 12h or 90m")
	}
	if err == nil && e.PassedAt(now) {
		err = fault.Newf(fault.ExpirationMustBeATime, "--expires %s is not in the future", text).
			Do("give a time to come, or a duration above 0, for example 30d, 12h or 90m")
	}
	return e, err
}

// durationOf reads a duration as Go writes it, and besides in whole days and weeks:
// 24 hours and seven times these, whatever a time zone does.
func durationOf(text string) (after time.Duration, ok bool) {
	if number, ok := strings.CutSuffix(text, "w"); ok {
		return wholeDays(number, 7)
	}
	if number, ok := strings.CutSuffix(text, "d"); ok {
		return wholeDays(number, 1)
	}
	after, err := time.ParseDuration(text)
	return after, err == nil
}

// wholeDays reads a number of days, or of several days at once.
func wholeDays(number string, days int) (time.Duration, bool) {
	const most = 100_000 // a Duration holds some more
	n, err := strconv.Atoi(number)
	if err != nil || n > most/days || n < -most/days {
		return 0, false
	}
	return time.Duration(n*days) * 24 * time.Hour, true
}
