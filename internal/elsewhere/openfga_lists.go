package elsewhere

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A storeObjectList says on which objects of a type somebody holds relations.
type storeObjectList struct {
	User       scalar            `yaml:"user"`
	Type       scalar            `yaml:"type"`
	Context    yaml.Node         `yaml:"context"`
	Assertions ordered[[]scalar] `yaml:"assertions"`

	unknown []scalar
}

type storeUserList struct {
	Object scalar `yaml:"object"`
	Filter []struct {
		Type     scalar `yaml:"type"`
		Relation scalar `yaml:"relation"`
	} `yaml:"user_filter"`
	Context    yaml.Node                 `yaml:"context"`
	Assertions ordered[storeListedUsers] `yaml:"assertions"`

	unknown []scalar
}

type storeListedUsers struct {
	Users []scalar `yaml:"users"`

	unknown []scalar
}

// UnmarshalYAML is as a test's.
func (l *storeObjectList) UnmarshalYAML(n *yaml.Node) error {
	type plain storeObjectList
	l.unknown = unknownKeys(n, "user", "type", "context", "assertions")
	return n.Decode((*plain)(l))
}

// UnmarshalYAML is as a test's.
func (l *storeUserList) UnmarshalYAML(n *yaml.Node) error {
	type plain storeUserList
	l.unknown = unknownKeys(n, "object", "user_filter", "context", "assertions")
	return n.Decode((*plain)(l))
}

// UnmarshalYAML is as a test's.
func (l *storeListedUsers) UnmarshalYAML(n *yaml.Node) error {
	type plain storeListedUsers
	l.unknown = unknownKeys(n, "users")
	return n.Decode((*plain)(l))
}

// objects converts a list of all objects of a type on which somebody holds a
// relation: the listed ones, and no other of those that stand in any tuple.
func (r *testReading) objects(in *storeObjectList) {
	if r.passOver("a list of objects", in.unknown) {
		return
	}
	subject, err := r.words.subject(in.User.value)
	if err == nil && subject.IsWildcard() {
		err = wildcardAsks(subject)
	}
	if err != nil {
		r.leaveOut(in.User, fault.Of(err))
		return
	}
	given, ok := r.given(in.User, &in.Context)
	if !ok {
		return
	}
	typ := rel.ObjectType(r.words.here(r.words.types, in.Type.value))
	for _, a := range in.Assertions {
		if !r.known(in.Type.value, a.key) {
			continue
		}
		listed := map[rel.Object]bool{}
		for _, text := range a.value {
			object, err := r.words.object(text.value)
			if err != nil {
				r.leaveOut(text, fault.Of(err))
				continue
			}
			listed[object] = true
			r.ask(query{a.key, given}, object, subject, true)
		}
		for _, object := range r.standing(typ) {
			if !listed[object] {
				r.ask(query{a.key, given}, object, subject, false)
			}
		}
	}
}

// standing are the objects of a type that stand in a tuple, in order.
func (r *testReading) standing(typ rel.ObjectType) []rel.Object {
	var all []rel.Object
	for _, t := range r.out.Tuples {
		if t.Object.Type() == typ {
			all = append(all, t.Object)
		}
		if o, is := t.Subject.Object(); is && o.Type() == typ {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, rel.Object.Compare)
	return slices.Compact(all)
}

// users converts a list of all of a kind who hold a relation on an object: the listed
// ones, and no other of those that stand in any tuple. A wildcard in the list is
// everybody whom no tuple names; who of the others comes by it, the list does not say.
func (r *testReading) users(in *storeUserList) {
	if r.passOver("a list of users", in.unknown) {
		return
	}
	object, err := r.words.object(in.Object.value)
	if err != nil {
		r.leaveOut(in.Object, fault.Of(err))
		return
	}
	given, ok := r.given(in.Object, &in.Context)
	if !ok {
		return
	}
	typ, _, _ := strings.Cut(in.Object.value, ":")
	for _, a := range in.Assertions {
		if r.passOver("a list of users", a.value.unknown) || !r.known(typ, a.key) {
			continue
		}
		q := query{a.key, given}
		listed := map[rel.Subject]bool{}
		for _, text := range a.value.Users {
			subject, err := r.words.subject(text.value)
			if err != nil {
				r.leaveOut(text, fault.Of(err))
				continue
			}
			listed[subject] = true
			if subject.IsWildcard() {
				r.ask(q, object, r.somebody(subject.Type()), true)
				r.leaveOut(text, fault.Newf(fault.SourceMustBeConvertible, "that nobody but the listed is found beside %s is not asked", subject).
					Do("say by check who does not hold it"))
				continue
			}
			r.ask(query{a.key, given}, object, subject, true)
		}
		for _, filter := range in.Filter {
			kind, err := rel.ParseType(r.words.here(r.words.types, filter.Type.value))
			var relation rel.Name
			if err == nil && filter.Relation.value != "" {
				relation, err = rel.ParseName(r.words.here(r.words.relations, filter.Relation.value))
			}
			if err != nil {
				r.leaveOut(filter.Type, fault.Of(err))
				continue
			}
			if !listed[rel.Wildcard(kind)] {
				r.others(q, object, kind, relation, listed)
			}
		}
	}
}

// others asks of all of a kind who are not listed: they do not hold it.
func (r *testReading) others(q query, object rel.Object, kind rel.ObjectType, relation rel.Name, listed map[rel.Subject]bool) {
	if relation == "" {
		r.ask(q, object, r.somebody(kind), false)
	}
	for _, o := range r.standing(kind) {
		subject := rel.Of(o)
		if relation != "" {
			subject = rel.Userset(o, relation)
		}
		if !listed[subject] {
			r.ask(q, object, subject, false)
		}
	}
}

// somebody is a subject of a type whom no tuple names.
func (r *testReading) somebody(typ rel.ObjectType) rel.Subject {
	for i := 0; ; i++ {
		id := "somebody"
		if i > 0 {
			id = fmt.Sprintf("somebody_%d", i)
		}
		o, _ := rel.NewObject(string(typ), id) // it never fails: both are of the form
		if !slices.Contains(r.standing(typ), o) {
			return rel.Of(o)
		}
	}
}
