package rel

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

// A Subject is what a tuple points at: an object ("user:ana"), the holders of a
// name on an object ("team:core#member"), or everybody of a type ("user:*").
//
// Whoever holds one holds a valid one. The zero Subject is no subject. Subjects
// are comparable and serve as map keys.
type Subject struct {
	typ      ObjectType
	id       string
	relation Name
}

const wildcardID = "*"

// Wildcard is everybody of a type.
func Wildcard(typ ObjectType) Subject { return Subject{typ: typ, id: wildcardID} }

// Of is the subject that is the object itself.
func Of(o Object) Subject { return Subject{typ: o.typ, id: o.id} }

// Userset is the holders of a name on an object.
func Userset(o Object, relation Name) Subject { return Subject{o.typ, o.id, relation} }

// ParseSubject reads "type:id", "type:id#relation" or "type:*". The relation
// "..." says the object itself and is dropped.
func ParseSubject(s string) (Subject, error) {
	ref, relation := s, ""
	if i := strings.LastIndexByte(s, '#'); i >= 0 {
		ref, relation = s[:i], s[i+1:]
		if relation == "" {
			return Subject{}, fault.Newf(fault.NameMustBeValid, "subject %s has nothing after '#'", quote(s)).
				Do("write type:id, or type:id#relation")
		}
	}
	if relation == "..." {
		relation = ""
	}
	typ, id, found := strings.Cut(ref, ":")
	if !found {
		return Subject{}, fault.Newf(fault.ObjectMustHaveType, "subject %s has no ':'", quote(s)).
			Do("write it as type:id or type:id#relation, for example user:ana")
	}
	t, err := ParseType(typ)
	if err != nil {
		return Subject{}, err
	}
	if id == wildcardID {
		if relation != "" {
			return Subject{}, fault.Newf(fault.SubjectMustBeConcrete, "subject %s is a wildcard with a relation", quote(s)).
				Do("write %s:*, or name one object before the '#'", t)
		}
		return Wildcard(t), nil
	}
	if err := checkID(id); err != nil {
		return Subject{}, err
	}
	if relation == "" {
		return Subject{typ: t, id: id}, nil
	}
	name, err := ParseName(relation)
	if err != nil {
		return Subject{}, err
	}
	return Subject{t, id, name}, nil
}

// TrustedSubject makes a subject of parts that were valid when they were stored.
func TrustedSubject(typ ObjectType, id string, relation Name) Subject {
	return Subject{typ, id, relation}
}

// Type is the type of the object that the subject names.
func (s Subject) Type() ObjectType { return s.typ }

// ID is the id of the object that the subject names, or "*".
func (s Subject) ID() string { return s.id }

// Relation is the name after '#', empty where there is none.
func (s Subject) Relation() Name { return s.relation }

// IsWildcard reports whether the subject is everybody of its type.
func (s Subject) IsWildcard() bool { return s.id == wildcardID }

// IsUserset reports whether the subject is the holders of a name on an object.
func (s Subject) IsUserset() bool { return s.relation != "" }

// IsZero reports whether s is no subject at all.
func (s Subject) IsZero() bool { return s.typ == "" }

// Object is the object that the subject names, its relation left aside; ok is
// false for a wildcard, which names none.
func (s Subject) Object() (o Object, ok bool) {
	if s.IsWildcard() || s.IsZero() {
		return Object{}, false
	}
	return Object{s.typ, s.id}, true
}

func (s Subject) String() string {
	if s.relation == "" {
		return string(s.typ) + ":" + s.id
	}
	return string(s.typ) + ":" + s.id + "#" + string(s.relation)
}

// Compare orders subjects by type, id and relation, byte by byte.
func (s Subject) Compare(t Subject) int {
	if c := strings.Compare(string(s.typ), string(t.typ)); c != 0 {
		return c
	}
	if c := strings.Compare(s.id, t.id); c != 0 {
		return c
	}
	return strings.Compare(string(s.relation), string(t.relation))
}

// PrincipalSubjectsMax bounds what one caller presents: each subject costs a
// probe at every object of the walk.
const PrincipalSubjectsMax = 100

// A Principal is the set of subjects that a caller is: its own identity, and
// what it presents beside it (a link, groups of an identity provider). It acts
// as one: a tuple matches when any of its subjects does.
//
// A principal has at least one subject, none twice, and no wildcard. The
// identity comes first; the others are in order, so that equal sets are equal
// texts.
type Principal struct {
	subjects []Subject
}

// NewPrincipal makes a principal of an identity and what is presented beside it.
func NewPrincipal(identity Subject, beside ...Subject) (Principal, error) {
	if len(beside) > PrincipalSubjectsMax-1 {
		return Principal{}, fault.Newf(fault.FieldMustBeWithinBounds, "%d subjects are presented at once", len(beside)+1).
			Do("present at most %d", PrincipalSubjectsMax)
	}
	all := make([]Subject, 1, len(beside)+1)
	all[0] = identity
	all = append(all, beside...)
	for _, s := range all {
		if s.IsWildcard() || s.IsZero() {
			return Principal{}, fault.Newf(fault.SubjectMustBeConcrete, "%s is a wildcard, and nobody is everybody", s).
				Do("name one subject, for example %s:1", s.typ)
		}
	}
	if len(all) > 1 {
		slices.SortFunc(all[1:], Subject.Compare)
		all = slices.Compact(all)
		rest := slices.DeleteFunc(all[1:], func(s Subject) bool { return s == identity })
		all = all[:1+len(rest)]
	}
	return Principal{all}, nil
}

// Subjects are the principal's subjects, the identity first. The slice is not to be changed.
func (p Principal) Subjects() []Subject { return p.subjects }

// Holds reports whether s is one of the principal's subjects.
func (p Principal) Holds(s Subject) bool { return slices.Contains(p.subjects, s) }

// Covers reports whether a wildcard of this type means the principal: it has a
// subject of the type without a relation.
func (p Principal) Covers(typ ObjectType) bool {
	for _, s := range p.subjects {
		if s.typ == typ && s.relation == "" {
			return true
		}
	}
	return false
}

// Matches reports whether a tuple with this subject is about the principal by
// itself, without looking at any other tuple.
func (p Principal) Matches(s Subject) bool {
	if s.IsWildcard() {
		return p.Covers(s.typ)
	}
	return p.Holds(s)
}

// String is the subjects joined by " + ".
func (p Principal) String() string {
	if len(p.subjects) == 1 {
		return p.subjects[0].String()
	}
	texts := make([]string, len(p.subjects))
	for i, s := range p.subjects {
		texts[i] = s.String()
	}
	return strings.Join(texts, " + ")
}

// ParsePrincipal reads subjects joined by " + ".
func ParsePrincipal(s string) (Principal, error) {
	var all []Subject
	for text := range strings.SplitSeq(s, " + ") {
		subject, err := ParseSubject(strings.TrimSpace(text))
		if err != nil {
			return Principal{}, err
		}
		all = append(all, subject)
	}
	return NewPrincipal(all[0], all[1:]...)
}
