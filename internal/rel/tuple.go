package rel

import (
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// A Tuple is one stored relationship: "subject has relation on object". Two
// tuples with the same three parts are the same tuple.
type Tuple struct {
	Object   Object
	Relation Name
	Subject  Subject
}

func (t Tuple) String() string {
	return t.Object.String() + "#" + string(t.Relation) + "@" + t.Subject.String()
}

// Compare orders tuples by object, relation and subject.
func (t Tuple) Compare(u Tuple) int {
	if c := t.Object.Compare(u.Object); c != 0 {
		return c
	}
	if c := strings.Compare(string(t.Relation), string(u.Relation)); c != 0 {
		return c
	}
	return t.Subject.Compare(u.Subject)
}

// ParseTuple reads "type:id#relation@subject". A caveat or an expiration after
// it is a fault: this release has neither.
func ParseTuple(s string) (Tuple, error) {
	if strings.HasSuffix(s, "]") {
		return Tuple{}, fault.Newf(fault.NotInThisRelease, "tuple %s has a caveat or an expiration", quote(s)).
			Do("this release has neither; leave the brackets out")
	}
	object, rest, found := strings.Cut(s, "#")
	if !found {
		return Tuple{}, unreadable(s)
	}
	relation, subject, found := strings.Cut(rest, "@")
	if !found {
		return Tuple{}, unreadable(s)
	}
	var t Tuple
	var err error
	if t.Object, err = ParseObject(object); err != nil {
		return Tuple{}, err
	}
	if t.Relation, err = ParseName(relation); err != nil {
		return Tuple{}, err
	}
	if t.Subject, err = ParseSubject(subject); err != nil {
		return Tuple{}, err
	}
	return t, nil
}

func unreadable(s string) error {
	return fault.Newf(fault.TupleMustBeReadable, "%s is not a tuple", quote(s)).
		Do("write it as object#relation@subject, for example project:p1#viewer@user:ana")
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
