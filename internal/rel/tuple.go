package rel

import (
	"cmp"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// A Key identifies a tuple: "subject has relation on object". Keys are comparable
// and serve as map keys.
type Key struct {
	Object   Object
	Relation Name
	Subject  Subject
}

func (k Key) String() string {
	return k.Object.String() + "#" + string(k.Relation) + "@" + k.Subject.String()
}

// Compare orders keys by object, relation and subject.
func (k Key) Compare(l Key) int {
	if c := k.Object.Compare(l.Object); c != 0 {
		return c
	}
	if c := strings.Compare(string(k.Relation), string(l.Relation)); c != 0 {
		return c
	}
	return k.Subject.Compare(l.Subject)
}

// A Tuple is one stored relationship. Its key identifies it: two tuples with the
// same key are the same tuple, with other attributes. The attributes say when it
// counts: where its caveat is true, and until it expires. Without them it always
// does.
type Tuple struct {
	Key
	Caveat  Caveat
	Expires Expiry
}

// Always reports whether the tuple counts whatever the time and the context:
// it has neither caveat nor expiration.
func (t Tuple) Always() bool { return t.Caveat.IsZero() && t.Expires.Never() }

// String is the tuple as text: the key, then the caveat and the expiration in
// brackets where it has them.
func (t Tuple) String() string {
	s := t.Key.String()
	if !t.Caveat.IsZero() {
		s += "[" + t.Caveat.String() + "]"
	}
	if !t.Expires.Never() {
		s += "[" + expirationWord + ":" + t.Expires.String() + "]"
	}
	return s
}

// Compare orders tuples by key, then by what attributes they have.
func (t Tuple) Compare(u Tuple) int {
	return cmp.Or(
		t.Key.Compare(u.Key),
		strings.Compare(string(t.Caveat.Name), string(u.Caveat.Name)),
		strings.Compare(t.Caveat.Context.json, u.Caveat.Context.json),
		cmp.Compare(t.Expires, u.Expires))
}

// ParseKey reads "type:id#relation@subject". A caveat or an expiration after it is
// a fault: they are no part of what identifies a tuple.
func ParseKey(s string) (Key, error) {
	// Neither an id nor a name holds a bracket.
	if strings.ContainsRune(s, '[') {
		return Key{}, fault.Newf(fault.TupleMustBeReadable, "%s has a caveat or an expiration, and only the tuple itself is wanted here", quote(s)).
			Do("leave the brackets out; object, relation and subject identify a tuple")
	}
	object, rest, found := strings.Cut(s, "#")
	if !found {
		return Key{}, unreadable(s)
	}
	relation, subject, found := strings.Cut(rest, "@")
	if !found {
		return Key{}, unreadable(s)
	}
	var k Key
	var err error
	if k.Object, err = ParseObject(object); err != nil {
		return Key{}, err
	}
	if k.Relation, err = ParseName(relation); err != nil {
		return Key{}, err
	}
	if k.Subject, err = ParseSubject(subject); err != nil {
		return Key{}, err
	}
	return k, nil
}

// ParseTuple reads a tuple's key, and after it, in brackets, its caveat, with
// values or without, and its expiration, both where it has them and in this order:
//
//	project:p1#viewer@user:ana[office_hours:{"opens":9}][expiration:2027-01-01T00:00:00Z]
func ParseTuple(s string) (Tuple, error) {
	key, brackets := s, ""
	if i := strings.IndexByte(s, '['); i >= 0 {
		key, brackets = s[:i], s[i:]
	}
	var t Tuple
	var err error
	if t.Key, err = ParseKey(strings.TrimRight(key, " ")); err != nil {
		return Tuple{}, err
	}
	for rest := brackets; rest != ""; {
		if rest, err = t.parseBracket(s, rest); err != nil {
			return Tuple{}, err
		}
	}
	return t, nil
}

// parseBracket reads "[caveat]", "[caveat:{…}]" or "[expiration:TIME]" of the
// tuple s, and returns what follows.
func (t *Tuple) parseBracket(s, text string) (rest string, err error) {
	if text[0] != '[' || !t.Expires.Never() {
		return "", unreadable(s)
	}
	end := strings.IndexAny(text, ":]")
	if end < 0 {
		return "", unreadable(s)
	}
	word, closed := text[1:end], text[end] == ']'
	rest = text[end+1:]
	if word == expirationWord {
		at := strings.IndexByte(rest, ']')
		if closed || at < 0 {
			return "", unreadable(s)
		}
		t.Expires, err = ParseExpiry(rest[:at])
		return strings.TrimLeft(rest[at+1:], " "), err
	}
	if !t.Caveat.IsZero() {
		return "", unreadable(s)
	}
	if t.Caveat.Name, err = ParseCaveatName(word); err != nil || closed {
		return strings.TrimLeft(rest, " "), err
	}
	if t.Caveat.Context, rest, err = cutContext(rest); err != nil {
		return "", err
	}
	rest, found := strings.CutPrefix(strings.TrimLeft(rest, " "), "]")
	if !found {
		return "", unreadable(s)
	}
	return strings.TrimLeft(rest, " "), t.Caveat.Context.CheckBytes(TupleContextBytesMax)
}

func unreadable(s string) error {
	return fault.Newf(fault.TupleMustBeReadable, "%s is not a tuple", quote(s)).
		Do("write it as object#relation@subject, for example project:p1#viewer@user:ana, then [caveat] or [caveat:{\"name\":value}] and [expiration:2027-01-01T00:00:00Z] where it has them")
}

// A Filter selects tuples by their parts; what is left empty selects all. The
// zero Filter selects every tuple.
type Filter struct {
	ObjectType  ObjectType
	ObjectID    string // needs ObjectType
	IDPrefix    string // needs ObjectType; not together with ObjectID
	Relation    Name
	SubjectType ObjectType
	SubjectID   string // "*" selects wildcards; needs SubjectType
	// SubjectRelation selects usersets with this relation; a pointer to the
	// empty name selects subjects without one; nil selects both.
	SubjectRelation *Name
}

// Check says whether the filter's parts fit together.
func (f Filter) Check() error {
	switch {
	case f.ObjectID != "" && f.ObjectType == "":
		return fault.New(fault.FilterMustBeReadable, "the filter has an object id without an object type").Do("name the type of the object")
	case f.IDPrefix != "" && f.ObjectType == "":
		return fault.New(fault.FilterMustBeReadable, "the filter has an id prefix without an object type").Do("name the type of the object")
	case f.IDPrefix != "" && f.ObjectID != "":
		return fault.New(fault.FilterMustBeReadable, "the filter has an object id and an id prefix").Do("leave one of them out")
	case f.SubjectID != "" && f.SubjectType == "":
		return fault.New(fault.FilterMustBeReadable, "the filter has a subject id without a subject type").Do("name the type of the subject")
	case f.SubjectRelation != nil && *f.SubjectRelation != "" && f.SubjectType == "":
		return fault.New(fault.FilterMustBeReadable, "the filter has a subject relation without a subject type").Do("name the type of the subject")
	case f.SubjectID == wildcardID && f.SubjectRelation != nil && *f.SubjectRelation != "":
		return fault.New(fault.FilterMustBeReadable, "the filter asks for a wildcard with a relation").Do("leave the subject relation out")
	}
	return nil
}

// Matches reports whether the filter selects t.
func (f Filter) Matches(t Tuple) bool {
	return (f.ObjectType == "" || f.ObjectType == t.Object.typ) &&
		(f.ObjectID == "" || f.ObjectID == t.Object.id) &&
		strings.HasPrefix(t.Object.id, f.IDPrefix) &&
		(f.Relation == "" || f.Relation == t.Relation) &&
		(f.SubjectType == "" || f.SubjectType == t.Subject.typ) &&
		(f.SubjectID == "" || f.SubjectID == t.Subject.id) &&
		(f.SubjectRelation == nil || *f.SubjectRelation == t.Subject.relation)
}

// String is the filter as ParseFilter reads it, "every tuple" for the zero one. An
// id prefix, which no text has, ends in "…" and does not read back; neither does "#..." after a subject
// without an id, which selects subjects without a relation.
func (f Filter) String() string {
	if f == (Filter{}) {
		return "every tuple"
	}
	var b strings.Builder
	if f.ObjectType != "" {
		b.WriteString(string(f.ObjectType) + ":" + f.ObjectID)
		if f.IDPrefix != "" {
			b.WriteString(f.IDPrefix + "…")
		}
	}
	subject := f.SubjectType != "" || f.SubjectRelation != nil
	if f.Relation != "" || subject && f.ObjectType != "" { // an id may hold '@'
		b.WriteString("#" + string(f.Relation))
	}
	if !subject {
		return b.String()
	}
	b.WriteByte('@')
	if f.SubjectType != "" {
		b.WriteString(string(f.SubjectType) + ":" + f.SubjectID)
	}
	switch {
	case f.SubjectRelation == nil && f.SubjectID != "":
		b.WriteString("#*")
	case f.SubjectRelation != nil && *f.SubjectRelation != "":
		b.WriteString("#" + string(*f.SubjectRelation))
	case f.SubjectRelation != nil && f.SubjectID == "":
		b.WriteString("#...")
	}
	return b.String()
}

// ParseFilter reads tuple text with parts left out:
//
//	project:p1          project:p1#viewer      project:#editor@user:joe
//	@team:core          the subject without a relation
//	@team:core#member   that userset
//	@team:core#*        both
//	@team:              any subject of the type
func ParseFilter(s string) (Filter, error) {
	var f Filter
	rest := s
	object := ""
	// An '@' before the first '#' can belong to the object's id, so the object
	// ends at '#' where there is one before the subject, and at '@' only at the start.
	if !strings.HasPrefix(s, "@") {
		var found bool
		if object, rest, found = strings.Cut(s, "#"); !found {
			rest = ""
		}
	}
	if object != "" {
		typ, id, _ := strings.Cut(object, ":")
		t, err := ParseType(typ)
		if err != nil {
			return Filter{}, err
		}
		f.ObjectType = t
		if id != "" {
			if err := checkID(id); err != nil {
				return Filter{}, err
			}
			f.ObjectID = id
		}
	}
	relation, subject, hasSubject := strings.Cut(rest, "@")
	if relation != "" {
		name, err := ParseName(relation)
		if err != nil {
			return Filter{}, err
		}
		f.Relation = name
	}
	if hasSubject {
		if err := f.parseSubject(subject); err != nil {
			return Filter{}, err
		}
	}
	if f == (Filter{}) {
		return Filter{}, fault.Newf(fault.FilterMustBeReadable, "the filter %s selects by nothing", quote(s)).
			Do("write tuple text with parts left out, for example project:p1#viewer or @user:joe")
	}
	return f, nil
}

func (f *Filter) parseSubject(s string) error {
	ref, relation := s, ""
	hasRelation := false
	if i := strings.LastIndexByte(s, '#'); i >= 0 {
		ref, relation, hasRelation = s[:i], s[i+1:], true
	}
	typ, id, _ := strings.Cut(ref, ":")
	t, err := ParseType(typ)
	if err != nil {
		return err
	}
	f.SubjectType = t
	if id != "" && id != wildcardID {
		if err := checkID(id); err != nil {
			return err
		}
	}
	f.SubjectID = id
	switch {
	case hasRelation && relation == "*":
	case hasRelation && relation != "...":
		name, err := ParseName(relation)
		if err != nil {
			return err
		}
		f.SubjectRelation = &name
	case id != "":
		none := Name("")
		f.SubjectRelation = &none
	}
	return f.Check()
}
