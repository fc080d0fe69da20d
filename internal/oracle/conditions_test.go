package oracle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// What conditions, expirations and contextual tuples do to answers and writes.

func given(t *testing.T, text string) rel.Context {
	t.Helper()
	if text == "" {
		return rel.Context{}
	}
	c, err := rel.ParseContext(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// results asks "object#name@principal" each, and compares the truths.
func results(t *testing.T, o *oracle.Oracle, context string, want map[string]oracle.Truth) {
	t.Helper()
	for question, truth := range want {
		asked, who, _ := strings.Cut(question, "@")
		object, name := pair(t, asked)
		if got := o.For(principal(t, who), given(t, context)).Result(object, name); got != truth {
			t.Errorf("%s with %s: got %v, want %v", question, context, got, truth)
		}
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	e, err := rel.ParseExpiry(text)
	if err != nil {
		t.Fatal(err)
	}
	return e.Time()
}

const conditional = `
	use self
	caveat small(n int) { n < 3 }
	caveat ratio(n int, d int) { n / d > 1 }
	definition user {}
	definition group { relation member: user | user with small }
	definition doc {
		relation group: group | group with small | group:* with small
		relation reader: user | user with small | user:* with small | group#member | group#member with small
		relation other: user | user with small | user with ratio
		permission either = reader + other
		permission both = reader & other
		permission less = reader - other
		permission behind = group->member
		permission all = group.all(member)
	}`

func TestConditionsAreTheThirdValue(t *testing.T) {
	o := world(t, conditional,
		"group:sure#member@user:ana", "group:open#member@user:ana[small]",
		"doc:1#reader@user:ana", "doc:1#other@user:ana[small]",
		"doc:2#reader@user:ana[small]", "doc:2#other@user:ana",
		"doc:3#reader@group:sure#member[small]", "doc:4#reader@group:open#member",
		"doc:5#reader@user:*[small]",
		"doc:6#group@group:sure[small]", "doc:7#group@group:sure", "doc:7#group@group:open",
		"doc:8#group@group:sure", "doc:8#group@group:*[small]",
	)
	const yes, maybe, no = oracle.Yes, oracle.Conditional, oracle.No
	results(t, o, "", map[string]oracle.Truth{
		"doc:1#either@user:ana": yes, "doc:1#both@user:ana": maybe, "doc:1#less@user:ana": maybe,
		"doc:2#either@user:ana": yes, "doc:2#both@user:ana": maybe, "doc:2#less@user:ana": no,
		"doc:3#reader@user:ana": maybe, "doc:4#reader@user:ana": maybe, "doc:4#reader@user:bob": no,
		"doc:5#reader@user:bob": maybe, "doc:5#reader@group:sure": no,
		"doc:6#behind@user:ana": maybe, "doc:6#all@user:ana": maybe, "doc:6#behind@user:bob": no,
		"doc:7#behind@user:ana": yes, "doc:7#all@user:ana": maybe,
		"doc:8#behind@user:ana": yes, "doc:8#all@user:ana": no,
	})
	results(t, o, `{"n":1}`, map[string]oracle.Truth{
		"doc:1#both@user:ana": yes, "doc:1#less@user:ana": no, "doc:3#reader@user:ana": yes,
		"doc:5#reader@user:bob": yes, "doc:6#behind@user:ana": yes, "doc:7#all@user:ana": yes,
		"doc:8#all@user:ana": no, // a wildcard contributes no, whatever its caveat
	})
	results(t, o, `{"n":5}`, map[string]oracle.Truth{
		"doc:1#both@user:ana": no, "doc:1#less@user:ana": yes, "doc:3#reader@user:ana": no,
		"doc:5#reader@user:bob": no, "doc:6#behind@user:ana": no, "doc:6#all@user:ana": no,
		"doc:7#all@user:ana": no, "doc:7#behind@user:ana": yes,
	})
}

func TestATuplesOwnContextWinsParameterByParameter(t *testing.T) {
	o := world(t, conditional,
		`doc:1#reader@user:ana[small:{"n":1}]`, `doc:1#other@user:ana[ratio:{"d":2}]`, `doc:1#other@user:bob[ratio:{"d":0}]`)
	results(t, o, `{"n":9,"d":9,"unknown":true}`, map[string]oracle.Truth{
		"doc:1#reader@user:ana": oracle.Yes, "doc:1#other@user:ana": oracle.Yes,
		"doc:1#other@user:bob": oracle.Conditional, // a division by zero is no 'no'
	})
	results(t, o, `{"n":"many"}`, map[string]oracle.Truth{
		"doc:1#reader@user:ana": oracle.Yes,
		"doc:1#other@user:ana":  oracle.Conditional, // nor is a value of the wrong type
	})
}

func TestMissingIsWhatAConditionalAnswerHangsOn(t *testing.T) {
	o := world(t, conditional,
		"group:open#member@user:ana[small]", "group:open#member@user:bob", `group:shut#member@user:ana[small:{"n":9}]`,
		"doc:1#reader@user:ana", "doc:1#other@user:ana[small]",
		"doc:2#reader@group:open#member[small]", "doc:2#reader@group:shut#member[small]",
		"doc:3#reader@user:ana[small]", "doc:3#other@user:ana",
		"doc:3#reader@user:bob[small]",
		`doc:4#other@user:ana[ratio:{"n":4}]`, `doc:4#other@user:bob[ratio:{"n":4,"d":0}]`,
		"doc:5#group@group:open[small]", "doc:5#group@group:shut",
		"doc:6#group@group:open",
	)
	for question, want := range map[string][]string{
		"doc:1#either@user:ana": nil, // yes: it hangs on nothing
		"doc:1#both@user:ana":   {"doc:1#other@user:ana small [n]"},
		"doc:1#less@user:ana":   {"doc:1#other@user:ana small [n]"},
		"doc:2#either@user:ana": {"doc:2#reader@group:open#member small [n]", "group:open#member@user:ana small [n]"},
		"doc:2#reader@user:bob": {"doc:2#reader@group:open#member small [n]"},
		"doc:3#both@user:ana":   {"doc:3#reader@user:ana small [n]"},
		"doc:3#less@user:ana":   nil, // no
		"doc:4#other@user:ana":  {"doc:4#other@user:ana ratio [d]"},
		"doc:4#either@user:bob": {"doc:4#other@user:bob ratio [] problem"},
		"doc:5#behind@user:ana": {"doc:5#group@group:open small [n]", "group:open#member@user:ana small [n]"},
		"doc:5#all@user:ana":    nil, // no: it is not held behind the other
		"doc:6#all@user:ana":    {"group:open#member@user:ana small [n]"},
	} {
		asked, who, _ := strings.Cut(question, "@")
		object, name := pair(t, asked)
		var got []string
		for _, m := range o.For(principal(t, who), rel.Context{}).Missing(object, name) {
			text := fmt.Sprint(m.Key, " ", m.Caveat, " ", m.Parameters)
			if m.Problem {
				text += " problem"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", question, diff)
		}
	}
}

// A role is a union of its parts, less what is excepted: where a part is certain,
// the answer hangs on the except alone.
func TestRolesHangOnTheirPartsAndTheExcept(t *testing.T) {
	o := world(t, `
		use roles
		caveat small(n int) { n < 3 }
		definition user {}
		definition doc {
			relation banned: user | user with small
			relation author: user
			roles except banned {
				viewer: user | user with small
				editor: user | user with small = author
				owner: user with small
			}
			permission view = viewer
			permission edit = editor
		}`,
		"doc:1#editor@user:ana[small]", "doc:1#viewer@user:ana", "doc:1#owner@user:ana[small]",
		"doc:1#author@user:bob", "doc:1#editor@user:bob[small]", "doc:1#banned@user:bob[small]",
		"doc:1#owner@user:eva[small]", "doc:1#banned@user:eva",
	)
	object, _ := pair(t, "doc:1#")
	for who, want := range map[string]string{
		"user:ana": "role viewer [view], conditionally owner [edit]",
		"user:bob": "role  [], conditionally editor [view edit]",
		"user:eva": "role  [], conditionally  []",
	} {
		a := o.For(principal(t, who), rel.Context{})
		got := fmt.Sprintf("role %s %s, conditionally %s %s", a.Role(object), a.Names(object), a.ConditionalRole(object), a.ConditionalNames(object))
		if got != want {
			t.Errorf("%s: %s, want %s", who, got, want)
		}
	}
	for who, want := range map[string][]string{
		"user:ana": {"doc:1#editor@user:ana", "doc:1#owner@user:ana"},
		"user:bob": {"doc:1#banned@user:bob"},
		"user:eva": nil,
	} {
		var got []string
		for _, m := range o.For(principal(t, who), rel.Context{}).Missing(object, "editor") {
			got = append(got, m.Key.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", who, diff)
		}
	}
}

const expiring = `
	use roles
	use expiration
	caveat small(n int) { n < 3 }
	definition user {}
	definition doc {
		relation reader: user | user with expiration | user with small | user with small and expiration
		relation admin: user [0..1]
		permission read = reader
	}`

func TestATupleCountsUntilItsExpiry(t *testing.T) {
	o := world(t, expiring, "doc:1#reader@user:ana[expiration:2030-01-01T00:00:00Z]")
	for _, c := range []struct {
		now  time.Time
		want oracle.Truth
	}{
		{time.Time{}, oracle.Yes},
		{at(t, "2029-12-31T23:59:59.999999Z"), oracle.Yes},
		{at(t, "2030-01-01T00:00:00Z"), oracle.No},
		{at(t, "2031-01-01T00:00:00Z"), oracle.No},
	} {
		results(t, o.At(c.now), "", map[string]oracle.Truth{"doc:1#read@user:ana": c.want})
	}
	past := o.At(at(t, "2031-01-01T00:00:00Z"))
	if len(past.Tuples()) != 0 || len(past.Objects()) != 0 || len(past.Stored()) != 1 {
		t.Errorf("%v of %v is live", past.Tuples(), past.Stored())
	}
}

func TestContextualTuplesJoinForOneRequest(t *testing.T) {
	o := world(t, expiring, "doc:1#reader@user:ana", "doc:1#admin@user:ana").At(at(t, "2030-01-01T00:00:00Z"))
	for _, c := range []struct {
		name, tuple string
		want        map[string]oracle.Truth
	}{
		{"a new one", "doc:1#reader@user:bob", map[string]oracle.Truth{"doc:1#read@user:ana": oracle.Yes, "doc:1#read@user:bob": oracle.Yes}},
		{"one in place of a stored one", "doc:1#reader@user:ana[small]", map[string]oracle.Truth{"doc:1#read@user:ana": oracle.Conditional}},
		{"an expired one in place of a stored one", "doc:1#reader@user:ana[expiration:2029-01-01T00:00:00Z]", map[string]oracle.Truth{"doc:1#read@user:ana": oracle.No}},
		{"one more than a bound allows", "doc:1#admin@user:bob", map[string]oracle.Truth{"doc:1#admin@user:bob": oracle.Yes, "doc:1#admin@user:ana": oracle.Yes}},
	} {
		with, err := o.With(tuples(t, c.tuple))
		if err != nil {
			t.Fatal(err)
		}
		results(t, with, "", c.want)
	}
	results(t, o, "", map[string]oracle.Truth{"doc:1#read@user:ana": oracle.Yes, "doc:1#read@user:bob": oracle.No})
	if _, err := o.With(tuples(t, "doc:1#read@user:ana")); !fault.Is(err, fault.NotInSchema) {
		t.Error(err)
	}
}

func TestTuplesMustFitTheirFormExactly(t *testing.T) {
	file := parse(t, `
		use expiration
		caveat small(n int) { n < 3 }
		caveat other(n int) { n < 3 }
		definition user {}
		definition doc {
			relation plain: user
			relation caveated: user with small
			relation passing: user with expiration
			relation both: user with small and expiration
		}`)
	for relation, fits := range map[string]string{
		"plain":    "",
		"caveated": "[small]",
		"passing":  "[expiration:2030-01-01T00:00:00Z]",
		"both":     "[small][expiration:2030-01-01T00:00:00Z]",
	} {
		for _, attributes := range []string{"", "[small]", "[expiration:2030-01-01T00:00:00Z]", "[small][expiration:2030-01-01T00:00:00Z]", "[other]"} {
			_, err := oracle.New(file, tuples(t, "doc:1#"+relation+"@user:ana"+attributes))
			if fitted := !fault.Is(err, fault.NotInSchema); fitted != (attributes == fits) {
				t.Errorf("%s%s: %v", relation, attributes, err)
			}
		}
	}
	for text, fits := range map[string]bool{
		`[small:{"n":1}]`:         true,
		`[small:{"n":"1"}]`:       true, // an int may come as a string
		`[small:{"n":"one"}]`:     false,
		`[small:{"n":true}]`:      false,
		`[small:{"m":1}]`:         false,
		`[small:{"n":1,"m":"x"}]`: false,
	} {
		_, err := oracle.New(file, tuples(t, "doc:1#caveated@user:ana"+text))
		if fitted := !fault.Is(err, fault.NotInSchema); fitted != fits {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWritesOfAttributes(t *testing.T) {
	const now = "2030-01-01T00:00:00Z"
	o, err := oracle.LoadAt(parse(t, expiring), tuples(t,
		"doc:1#reader@user:ana", `doc:1#reader@user:bob[small:{"n":1}]`,
		"doc:1#reader@user:eva[expiration:2029-01-01T00:00:00Z]", "doc:1#reader@user:joe[expiration:2031-01-01T00:00:00Z]",
	), at(t, now))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		updates, want string // separated by "; "
	}{
		{"touch doc:1#reader@user:ana", ""},
		{"touch doc:1#reader@user:ana[small]", "touch doc:1#reader@user:ana[small]"},
		{`touch doc:1#reader@user:bob[small:{ "n": 1.0 }]`, ""},
		{"touch doc:1#reader@user:bob[small]", "touch doc:1#reader@user:bob[small]"},
		{"touch doc:1#reader@user:joe[expiration:2032-01-01T00:00:00Z]", "touch doc:1#reader@user:joe[expiration:2032-01-01T00:00:00Z]"},
		{"delete doc:1#reader@user:ana; create doc:1#reader@user:ana[small]", "touch doc:1#reader@user:ana[small]"},
		{"delete doc:1#reader@user:ana; create doc:1#reader@user:ana", ""},
		{"create doc:1#reader@user:eva", "create doc:1#reader@user:eva"},
		{"delete doc:1#reader@user:eva", ""},
		{"create doc:1#reader@user:joe", "refused ALREADY_EXISTS"},
		{"create doc:1#reader@user:ana[small]", "refused ALREADY_EXISTS"},
		{"delete doc:1#reader@user:bob", `delete doc:1#reader@user:bob[small:{"n":1}]`},
		// Written too late, it is told, and not there.
		{"touch doc:1#reader@user:ana[expiration:" + now + "]", "touch doc:1#reader@user:ana[expiration:" + now + "]"},
		{"touch doc:1#reader@user:ana[expiration:" + now + "]; create doc:1#reader@user:ana[small]", "touch doc:1#reader@user:ana[small]"},
		{"create doc:1#reader@user:new[expiration:" + now + "]", "create doc:1#reader@user:new[expiration:" + now + "]"},
	} {
		changes, _, err := o.Write(rel.Actor{}, updates(t, strings.Split(c.updates, "; ")...), nil)
		var told []string
		for _, change := range changes {
			told = append(told, change.Op.String()+" "+change.Tuple.String())
		}
		got := strings.Join(told, "; ")
		if f := fault.Of(err); f != nil {
			got = "refused " + f.Code.Reason()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.updates, got, c.want)
		}
	}
}

func TestLowerBoundsCountWhatAlwaysCounts(t *testing.T) {
	const schema = `
		use roles
		use expiration
		caveat small(n int) { n < 3 }
		definition user {}
		definition org { relation admin: user | user with small | user with expiration | user:* [1..*] }`
	o := world(t, schema, "org:a#admin@user:ana")
	for _, text := range []string{
		"touch org:a#admin@user:ana[small]",
		"touch org:a#admin@user:ana[expiration:2030-01-01T00:00:00Z]",
	} {
		if _, _, err := o.Write(rel.Actor{}, updates(t, text), nil); !fault.Is(err, fault.LowerBoundMustHold) {
			t.Errorf("%s: %v", text, err)
		}
		if _, _, err := o.Write(rel.Actor{}, updates(t, text, "create org:a#admin@user:bob"), nil); err != nil {
			t.Errorf("%s beside another: %v", text, err)
		}
	}
	// The whole object may expire.
	if _, _, err := o.Write(rel.Actor{}, updates(t, "touch org:a#admin@user:ana[expiration:2029-01-01T00:00:00Z]"), nil); !fault.Is(err, fault.LowerBoundMustHold) {
		t.Error(err)
	}
	late := o.At(at(t, "2030-01-01T00:00:00Z"))
	if _, _, err := late.Write(rel.Actor{}, updates(t, "touch org:a#admin@user:ana[expiration:2029-01-01T00:00:00Z]"), nil); err != nil {
		t.Error(err)
	}
}

func TestBoundsAreJudgedAtTheEvaluationTime(t *testing.T) {
	const schema = `
		use roles
		use expiration
		definition user {}
		definition doc {
			relation one: user with expiration [0..1]
			relation group: user with expiration
			relation picked: user of group
			roles one per subject { viewer: user; editor: user with expiration }
		}`
	stored := tuples(t,
		"doc:1#one@user:ana[expiration:2030-01-01T00:00:00Z]",
		"doc:1#group@user:ana[expiration:2030-01-01T00:00:00Z]", "doc:1#picked@user:ana",
		"doc:1#editor@user:ana[expiration:2030-01-01T00:00:00Z]")
	o, err := oracle.Load(parse(t, schema), stored)
	if err != nil {
		t.Fatal(err)
	}
	early, late := o.At(at(t, "2029-01-01T00:00:00Z")), o.At(at(t, "2030-01-01T00:00:00Z"))
	for _, c := range []struct {
		update      string
		early, late fault.Code // 0 where it is accepted
	}{
		{"touch doc:1#one@user:bob[expiration:2031-01-01T00:00:00Z]", fault.UpperBoundMustHold, 0},
		{"touch doc:1#viewer@user:ana", fault.OneRolePerSubject, 0},
		// What has come to stand alone by the time is not this write's business,
		{"touch doc:1#viewer@user:bob", 0, 0},
		{"delete doc:1#group@user:ana", fault.SubjectMustBeIn, 0},
		{"touch doc:1#group@user:ana[expiration:2028-01-01T00:00:00Z]", fault.SubjectMustBeIn, 0},
		// but what a write does itself is.
		{"touch doc:1#picked@user:bob", fault.SubjectMustBeIn, fault.SubjectMustBeIn},
	} {
		for name, world := range map[string]*oracle.Oracle{"early": early, "late": late} {
			want := c.early
			if name == "late" {
				want = c.late
			}
			_, _, err := world.Write(rel.Actor{}, updates(t, c.update), nil)
			var got fault.Code
			if f := fault.Of(err); f != nil {
				got = f.Code
			}
			if got != want {
				t.Errorf("%s, %s: %v", name, c.update, err)
			}
		}
	}
	if _, err := oracle.LoadAt(parse(t, schema), stored, at(t, "2030-01-01T00:00:00Z")); !fault.Is(err, fault.SubjectMustBeIn) {
		t.Error(err)
	}
}

func TestPreconditionsBringAContext(t *testing.T) {
	o := world(t, expiring, "doc:1#reader@user:ana[small]")
	object, name := pair(t, "doc:1#read")
	for context, met := range map[string]bool{"": false, `{"n":9}`: false, `{"n":1}`: true} {
		p := rel.Precondition{Kind: rel.Holds, Object: object, Name: name, Principal: principal(t, "user:ana"), Context: given(t, context)}
		if _, _, err := o.Write(rel.Actor{}, nil, []rel.Precondition{p}); fault.Is(err, fault.PreconditionMustHold) == met {
			t.Errorf("%s: %v", context, err)
		}
	}
}

func TestPartialsAreAsIfWrittenInPlace(t *testing.T) {
	o := world(t, `
		use partial
		use roles
		definition user {}
		partial base { relation reader: user; permission read = reader + own; ...more }
		partial more { roles { low: user; high: user } }
		partial unused { relation reader: nobody }
		definition doc { ...base; relation own: user; permission all = high }
		definition page { ...base; relation own: user }`,
		"doc:1#own@user:ana", "page:1#reader@user:ana", "doc:1#high@user:bob")
	results(t, o, "", map[string]oracle.Truth{
		"doc:1#read@user:ana": oracle.Yes, "page:1#read@user:ana": oracle.Yes, "doc:1#low@user:bob": oracle.Yes,
		"doc:1#all@user:bob": oracle.Yes, "page:1#read@user:bob": oracle.No,
	})
}

func TestTypeAnnotationsAddNoMeaning(t *testing.T) {
	o := world(t, `
		use typechecking
		definition user {}
		definition bot {}
		definition doc { relation reader: user | bot; permission read: user = reader }`, "doc:1#reader@bot:b")
	results(t, o, "", map[string]oracle.Truth{"doc:1#read@bot:b": oracle.Yes})
}
