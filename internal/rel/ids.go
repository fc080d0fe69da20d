package rel

import "strings"

// IDs are a range of the ids of a type, in the order in which lists give them. The
// zero IDs are all.
type IDs struct {
	Prefix string // what they begin with, byte by byte; empty for whatever
	After  string // the id that they come after; empty for the first
}

// Has reports whether an id is in the range.
func (r IDs) Has(id string) bool {
	return strings.HasPrefix(id, r.Prefix) && (r.After == "" || CompareIDs(id, r.After) > 0)
}

// CompareIDs orders ids as lists give them: canonical UUIDs first, then all others,
// byte by byte. It is the order in which they are stored, so that a list goes on where
// its page before ended, and reads nothing twice.
func CompareIDs(a, b string) int {
	if u, v := IsUUID(a), IsUUID(b); u != v {
		if u {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// IsUUID reports whether an id is a UUID as it is written canonically: in lower case,
// with its four dashes, whatever its version.
func IsUUID(id string) bool {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
