package rel

import (
	"time"

	"github.com/pemba-io/pemba/internal/fault"
)

// An Expiry is the time from which a tuple no longer counts: microseconds since
// 1970, in UTC. The zero Expiry is never.
//
// A tuple counts at a time before its expiry, and at the expiry itself no more.
// What a client gives in finer steps than a microsecond is cut off.
type Expiry int64

// expiryLast is the last time that an Expiry can be: the last one of year 9999,
// which RFC 3339 and protobuf's Timestamp end at.
var expiryLast = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)

// NewExpiry makes an expiry of a time between 1970 and the year 9999, so that
// a clock that was never set and a zero that was meant as "never" are found out.
func NewExpiry(t time.Time) (Expiry, error) {
	if t.UnixMicro() <= 0 || t.After(expiryLast) {
		return 0, fault.Newf(fault.ExpirationMustBeATime, "%s is no time that a tuple can expire at", t.UTC().Format(time.RFC3339Nano)).
			Do("give a time after 1970 and before the year 10000, or none for a tuple that does not expire")
	}
	return Expiry(t.UnixMicro()), nil
}

// ParseExpiry reads a time as RFC 3339 writes it, for example 2027-01-01T00:00:00Z.
func ParseExpiry(s string) (Expiry, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fault.Newf(fault.ExpirationMustBeATime, "%s is not a time", quote(s)).
			Do("write it as RFC 3339 does, for example 2027-01-01T00:00:00Z")
	}
	return NewExpiry(t)
}

// Never reports whether there is no such time.
func (e Expiry) Never() bool { return e == 0 }

// PassedAt reports whether a tuple with this expiry no longer counts at a time.
func (e Expiry) PassedAt(t time.Time) bool { return e != 0 && t.UnixMicro() >= int64(e) }

// Time is the expiry as a time; the zero Time where it is never.
func (e Expiry) Time() time.Time {
	if e == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(e)).UTC()
}

// Sooner is the earlier of two expiries; never is later than any.
func (e Expiry) Sooner(f Expiry) Expiry {
	if e == 0 || f != 0 && f < e {
		return f
	}
	return e
}

// String is the time as RFC 3339 writes it; empty for never.
func (e Expiry) String() string {
	if e == 0 {
		return ""
	}
	return e.Time().Format(time.RFC3339Nano)
}
