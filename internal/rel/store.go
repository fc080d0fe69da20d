package rel

import "github.com/pemba-io/pemba/internal/fault"

// A Store names a tenant: a schema and tuples of its own.
type Store string

// DefaultStore is the store of a request that names none.
const DefaultStore Store = "default"

// ParseStore reads a store's name: 1 to 64 characters, [a-z0-9][a-z0-9_-]*.
// Empty text means DefaultStore.
func ParseStore(s string) (Store, error) {
	if s == "" {
		return DefaultStore, nil
	}
	valid := len(s) <= NameBytesMax
	for i := 0; valid && i < len(s); i++ {
		c := s[i]
		valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (i > 0 && (c == '_' || c == '-'))
	}
	if !valid {
		return "", fault.Newf(fault.StoreNameMustBeValid, "%s is not a store's name", quote(s)).
			Do("a store's name is written [a-z0-9][a-z0-9_-]*, 1 to %d characters", NameBytesMax)
	}
	return Store(s), nil
}
