package elsewhere

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A storeTest is one of the tests of a store file.
type storeTest struct {
	Name        scalar            `yaml:"name"`
	Description scalar            `yaml:"description"`
	Tuples      []storeTuple      `yaml:"tuples"`
	TupleFile   scalar            `yaml:"tuple_file"`
	TupleFiles  []scalar          `yaml:"tuple_files"`
	Check       []storeCheck      `yaml:"check"`
	ListObjects []storeObjectList `yaml:"list_objects"`
	ListUsers   []storeUserList   `yaml:"list_users"`

	unknown []scalar
	line    int
}

type storeCheck struct {
	User       scalar        `yaml:"user"`
	Users      []scalar      `yaml:"users"`
	Object     scalar        `yaml:"object"`
	Objects    []scalar      `yaml:"objects"`
	Context    yaml.Node     `yaml:"context"`
	Assertions ordered[bool] `yaml:"assertions"`

	unknown []scalar
}

// UnmarshalYAML notes the keys that nothing reads, as do those below.
func (t *storeTest) UnmarshalYAML(n *yaml.Node) error {
	type plain storeTest
	t.unknown, t.line = unknownKeys(n, testKeys...), n.Line
	return n.Decode((*plain)(t))
}

// UnmarshalYAML is as a test's.
func (c *storeCheck) UnmarshalYAML(n *yaml.Node) error {
	type plain storeCheck
	c.unknown = unknownKeys(n, "user", "users", "object", "objects", "context", "assertions")
	return n.Decode((*plain)(c))
}

// A testReading is the conversion of one test.
type testReading struct {
	*openfga
	*document
	out   Test
	asked map[string]bool
}

// test converts a test. Its tuples come on top of the store's.
func (o *openfga) test(d *document, in *storeTest) {
	r := &testReading{openfga: o, document: d, asked: map[string]bool{}}
	files := in.TupleFiles
	if !in.TupleFile.isZero() {
		files = append([]scalar{in.TupleFile}, files...)
	}
	added := o.storeTuples(d, in.Tuples, files, func(f ...*fault.Fault) {
		o.into.TestsLeftOut = append(o.into.TestsLeftOut, f...)
	})
	for _, t := range withoutTwins(append(slices.Clone(o.tuples), added...)) {
		r.out.Tuples = append(r.out.Tuples, t.Tuple)
	}
	r.out.added = added
	r.out.Name = in.Name.value
	if in.Description.value != "" {
		r.out.Name = strings.TrimPrefix(in.Name.value+": "+in.Description.value, ": ")
	}
	r.passOver("a test", in.unknown)
	for i := range in.Check {
		r.check(&in.Check[i])
	}
	for i := range in.ListObjects {
		r.objects(&in.ListObjects[i])
	}
	for i := range in.ListUsers {
		r.users(&in.ListUsers[i])
	}
	if r.out.Cases() > 0 {
		o.into.Tests = append(o.into.Tests, r.out)
	}
}

func (r *testReading) leaveOut(at scalar, f *fault.Fault) {
	if at.isZero() {
		at = scalar{line: 1, column: 1}
	}
	r.into.TestsLeftOut = append(r.into.TestsLeftOut, r.placeOf(at).on(f))
}

// passOver leaves keys out that nothing reads, and reports whether there are any: what
// is asked beside them may be another question than it seems.
func (r *testReading) passOver(what string, unknown []scalar) bool {
	for _, key := range unknown {
		r.leaveOut(key, fault.Newf(fault.SourceMustBeConvertible, "%s has no key %q that pemba knows", what, key.value).Do("say the same by check, list_objects or list_users"))
	}
	return len(unknown) > 0
}

// A query is a question without its object and subject.
type query struct {
	relation scalar
	given    rel.Context
}

// ask adds a question: whether the subject holds the relation on the object.
func (r *testReading) ask(q query, object rel.Object, subject rel.Subject, holds bool) {
	here, err := rel.ParseName(r.words.here(r.words.relations, q.relation.value))
	if err == nil && subject.IsWildcard() {
		err = wildcardAsks(subject)
	}
	if err != nil {
		r.leaveOut(q.relation, fault.Of(err))
		return
	}
	text := rel.Userset(object, here).String() + "@" + subject.String()
	if !q.given.IsEmpty() {
		text += " with " + q.given.String()
	}
	into := &r.out.False
	if holds {
		into = &r.out.True
	}
	key := text
	if !holds {
		key = "!" + text
	}
	if !r.asked[key] {
		r.asked[key] = true
		*into = append(*into, text)
	}
}

func wildcardAsks(subject rel.Subject) error {
	return fault.Newf(fault.SubjectMustBeConcrete, "the wildcard %s cannot ask", subject).Do("ask for one of them, whom no tuple names")
}

// known reports whether the model has the relation in the type; the question is left
// out where it has not.
func (r *testReading) known(typ string, relation scalar) bool {
	f := r.words.lacks(typ, relation.value)
	if f != nil {
		r.leaveOut(relation, f)
	}
	return f == nil
}

// given are the values that come with questions.
func (r *testReading) given(at scalar, context *yaml.Node) (rel.Context, bool) {
	values, err := contextValues(context)
	var given rel.Context
	if err == nil {
		given, err = rel.NewContext(values)
	}
	if err == nil {
		err = given.CheckBytes(rel.RequestContextBytesMax)
	}
	if err != nil {
		r.leaveOut(at, fault.Of(err))
	}
	return given, err == nil
}

// either is the one or the many of a check.
func either(single scalar, many []scalar) []scalar {
	if !single.isZero() {
		return append([]scalar{single}, many...)
	}
	return many
}

func (r *testReading) check(in *storeCheck) {
	if r.passOver("a check", in.unknown) {
		return
	}
	users, objects := either(in.User, in.Users), either(in.Object, in.Objects)
	if len(users) == 0 || len(objects) == 0 {
		at := scalar{}
		if len(in.Assertions) > 0 {
			at = in.Assertions[0].key
		}
		r.leaveOut(at, fault.New(fault.SourceMustBeConvertible, "a check without a user or an object").Do("name both"))
		return
	}
	given, ok := r.given(objects[0], &in.Context)
	if !ok {
		return
	}
	for _, o := range objects {
		object, err := r.words.object(o.value)
		if err != nil {
			r.leaveOut(o, fault.Of(err))
			continue
		}
		typ, _, _ := strings.Cut(o.value, ":")
		for _, u := range users {
			subject, err := r.words.subject(u.value)
			if err != nil {
				r.leaveOut(u, fault.Of(err))
				continue
			}
			for _, a := range in.Assertions {
				if r.known(typ, a.key) {
					r.ask(query{a.key, given}, object, subject, a.value)
				}
			}
		}
	}
}
