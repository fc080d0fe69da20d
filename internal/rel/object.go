package rel

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
)

// Bounds on what a reference may be made of. They keep a key of the store under
// 8 KiB and a hostile name out of every log line.
const (
	IDBytesMax   = 1024
	NameBytesMax = 64
	TypeBytesMax = 256 // with its '/'-separated prefixes
)

// An ObjectType names a definition of the schema, like "project" or "billing/plan".
type ObjectType string

// A Name is what a definition declares: a relation, a permission or a role.
type Name string

// An Object is a node of the graph, written "project:p1".
//
// Whoever holds one holds a valid one: the type is a type name, the id is 1 to
// IDBytesMax bytes of UTF-8 without white space, control and format characters,
// '#', '[' and ']' (an e-mail address is a good id), and it is not "*". The zero
// Object is not a node. Objects are comparable and serve as map keys.
type Object struct {
	typ ObjectType
	id  string
}

// NewObject makes an object of a type and an id.
func NewObject(typ, id string) (Object, error) {
	t, err := ParseType(typ)
	if err != nil {
		return Object{}, err
	}
	if id == "*" {
		return Object{}, fault.Newf(fault.ObjectMustBeConcrete, "%s:* is a wildcard, not an object", typ).
			Do("name one object, for example %s:1; a wildcard can only be a tuple's subject", typ)
	}
	if err := checkID(id); err != nil {
		return Object{}, err
	}
	return Object{t, id}, nil
}

// ParseObject reads the form "type:id".
func ParseObject(s string) (Object, error) {
	typ, id, found := strings.Cut(s, ":")
	if !found {
		return Object{}, fault.Newf(fault.ObjectMustHaveType, "object %s has no ':'", quote(s)).
			Do("write it as type:id, for example project:p1")
	}
	return NewObject(typ, id)
}

// Trusted makes an object of parts that were valid when they were stored. Only
// rooms that read back what they wrote themselves call it.
func Trusted(typ ObjectType, id string) Object { return Object{typ, id} }

// Type is the object's type.
func (o Object) Type() ObjectType { return o.typ }

// ID is the object's id.
func (o Object) ID() string { return o.id }

// IsZero reports whether o is no object at all.
func (o Object) IsZero() bool { return o.typ == "" }

func (o Object) String() string { return string(o.typ) + ":" + o.id }

// Compare orders objects by type, then by id, byte by byte.
func (o Object) Compare(p Object) int {
	if c := strings.Compare(string(o.typ), string(p.typ)); c != 0 {
		return c
	}
	return strings.Compare(o.id, p.id)
}

// ParseType reads the name of a definition: names of 1 to 64 characters,
// [a-z][a-z0-9_]*, separated by '/'.
func ParseType(s string) (ObjectType, error) {
	if len(s) > TypeBytesMax {
		return "", fault.Newf(fault.TypeNameMustBeValid, "a type name of %d bytes is too long", len(s)).
			Do("a type name has at most %d bytes", TypeBytesMax)
	}
	for rest := s; ; {
		part, after, more := strings.Cut(rest, "/")
		if !IsName(part) {
			return "", fault.Newf(fault.TypeNameMustBeValid, "%s is not a type name", quote(s)).
				Do("a type name is written [a-z][a-z0-9_]*, at most %d characters, with '/' between prefixes", NameBytesMax)
		}
		if !more {
			return ObjectType(s), nil
		}
		rest = after
	}
}

// ParseName reads the name of a relation, a permission or a role.
func ParseName(s string) (Name, error) {
	if !IsName(s) {
		return "", fault.Newf(fault.NameMustBeValid, "%s is not a name", quote(s)).
			Do("a name is written [a-z][a-z0-9_]*, 1 to %d characters", NameBytesMax)
	}
	return Name(s), nil
}

// IsName reports whether s is [a-z][a-z0-9_]* of at most NameBytesMax characters.
func IsName(s string) bool {
	if s == "" || len(s) > NameBytesMax || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// CheckIDPrefix says whether s could begin an id: like an id, but may be empty.
func CheckIDPrefix(s string) error {
	if s == "" {
		return nil
	}
	return checkID(s)
}

func checkID(id string) error {
	if id == "" {
		return fault.New(fault.IDMustBeValid, "an id is empty").
			Do("put 1 to %d bytes after the ':'", IDBytesMax)
	}
	if len(id) > IDBytesMax {
		return fault.Newf(fault.IDMustBeValid, "an id of %d bytes is too long", len(id)).
			Do("an id has at most %d bytes", IDBytesMax)
	}
	for i := 0; i < len(id); {
		c := id[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == 0x7f || c == '#' || c == '[' || c == ']' {
				return badIDRune(id, rune(c))
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(id[i:])
		if r == utf8.RuneError && size == 1 {
			return fault.Newf(fault.IDMustBeValid, "id %s is not UTF-8", quote(id)).Do("encode it as UTF-8")
		}
		if unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 {
			return badIDRune(id, r)
		}
		i += size
	}
	return nil
}

func badIDRune(id string, r rune) error {
	return fault.Newf(fault.IDMustBeValid, "id %s has the character %U", quote(id), r).
		Do("an id has no white space, control or format characters, '#', '[' or ']'")
}

// quote shows what a client sent, shortened, with nothing that a terminal would obey.
func quote(s string) string {
	const shown = 80
	if len(s) <= shown {
		return strconv.Quote(s)
	}
	cut := shown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
