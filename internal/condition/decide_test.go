package condition_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A decision is a line that a user can read: the caveat, what the tuple brings,
// what the request brings, and what comes of it.
type decision struct {
	name, caveat, own, given string
	want                     string // "true", "false", "open: missing", "open: missing; problem: fragment"
}

const (
	hours   = "office_hours(now timestamp, opens int, closes int) { now.getHours() >= opens && now.getHours() < closes }"
	network = `office(ip ipaddress) { ip.in_cidr("10.0.0.0/8") }`
)

func TestDecisions(t *testing.T) {
	for _, d := range []decision{
		// Three values.
		{"all is known, and it is so", hours, `{"opens":9,"closes":18}`, `{"now":"2026-05-01T10:30:00Z"}`, "true"},
		{"all is known, and it is not so", hours, `{"opens":9,"closes":18}`, `{"now":"2026-05-01T18:00:00Z"}`, "false"},
		{"one is missing", hours, `{"opens":9,"closes":18}`, ``, "open: now"},
		{"all are missing", hours, ``, ``, "open: closes now opens"},
		{"a half that is false decides", hours, `{"opens":9}`, `{"now":"2026-05-01T08:00:00Z"}`, "false"},
		{"a half that is true does not", hours, `{"opens":9}`, `{"now":"2026-05-01T10:00:00Z"}`, "open: closes"},
		{"true or missing", "c(a bool, b bool) { b || a }", ``, `{"a":true}`, "true"},
		{"false or missing", "c(a bool, b bool) { b || a }", ``, `{"a":false}`, "open: b"},
		{"a choice by what is missing", "c(a bool, b int) { a ? b > 1 : b > 2 }", ``, `{"b":5}`, "open: a"},
		{"a choice past what is missing", "c(a bool, b int) { a ? b > 1 : true }", ``, `{"a":false}`, "true"},
		{"no reasoning by cases", "c(a bool) { a || !a }", ``, ``, "open: a"},
		{"no parameters at all", "c() { 1 < 2 }", ``, ``, "true"},

		// Whose value counts.
		{"the tuple's own wins", "c(a int) { a == 1 }", `{"a":1}`, `{"a":2}`, "true"},
		{"own wins for each parameter alone", "c(a int, b int) { a == 1 && b == 2 }", `{"a":1}`, `{"a":5,"b":2}`, "true"},
		{"own wins even when it is wrong", "c(a int) { a == 1 }", `{"a":"x"}`, `{"a":1}`, `open; problem: parameter "a" must be int: "x" is no whole number`},
		{"what no parameter names is passed over", "c(a int) { a == 1 }", ``, `{"a":1,"b":{"c":["}"]},"aa":2}`, "true"},

		// Values of the wrong type.
		{"wrong type", "c(a int) { a == 1 }", ``, `{"a":true}`, `open; problem: parameter "a" must be int: it is true`},
		{"wrong type that nothing reads", "c(a int, b bool) { b || a == 1 }", ``, `{"a":"x","b":true}`, "true"},
		{"wrong type beside a missing one", "c(a int, b bool) { b && a == 1 }", ``, `{"a":"x"}`, `open: b; problem: parameter "a"`},
		{"null is no value", "c(a int) { a == 1 }", ``, `{"a":null}`, "open; problem: it is null"},
		{"a value deep inside", "c(a map<list<int>>) { a.x[0] == 1 }", ``, `{"a":{"x":[1,"y"]}}`, `open; problem: the value of "x" must be list<int>: item 2 must be int: "y"`},

		// Every type.
		{"any holds a number", "c(a any) { a == 1 }", ``, `{"a":1}`, "true"},
		{"any holds null", "c(a any) { a == null }", ``, `{"a":null}`, "true"},
		{"any holds an object", "c(a any) { a.x[1].y == 'z' }", ``, `{"a":{"x":[0,{"y":"z"}]}}`, "true"},
		{"any can be compared with everything", "c(a any) { a in ['x', 1, true] }", ``, `{"a":["x"]}`, "false"},
		{"any among what is constant", "c(a any) { a in ['x', 'y'] }", ``, `{"a":{"x":1}}`, "false"},
		{"int", "c(a int) { a + 1 == -4 }", ``, `{"a":-5}`, "true"},
		{"int as a string", "c(a int) { a == 9007199254740993 }", ``, `{"a":"9007199254740993"}`, "true"},
		{"int beyond what JSON holds", "c(a int) { a == 1 }", ``, `{"a":9007199254740993}`, "open; problem: more than a JSON number holds exactly; send it as a string"},
		{"the largest that JSON holds", "c(a int) { a == 9007199254740991 }", ``, `{"a":9007199254740991}`, "true"},
		{"int with a fraction", "c(a int) { a == 1 }", ``, `{"a":1.5}`, "open; problem: 1.5 is no whole number"},
		{"uint", "c(a uint) { a > 3 && a == 5 }", ``, `{"a":5}`, "true"},
		{"uint below zero", "c(a uint) { a > 3 }", ``, `{"a":-5}`, "open; problem: -5 is negative"},
		{"uint beyond int", "c(a uint) { a > 3 }", ``, `{"a":"18446744073709551615"}`, "true"},
		{"double", "c(a double) { a < 1.5 }", ``, `{"a":1}`, "true"},
		{"double as a string", "c(a double) { a == -150.0 }", ``, `{"a":"-1.5e2"}`, "true"},
		{"double that is no number", "c(a double) { a < 1.5 || a >= 1.5 }", ``, `{"a":"NaN"}`, `open; problem: "NaN" is no number`},
		{"bool", "c(a bool) { a }", ``, `{"a":true}`, "true"},
		{"bool as a string", "c(a bool) { a }", ``, `{"a":"true"}`, `open; problem: it is the string "true"`},
		{"string", `c(a string) { a.startsWith("ä\"") }`, ``, `{"a":"ä\"b"}`, "true"},
		{"bytes", "c(a bytes) { a == b'abc' }", ``, `{"a":"YWJj"}`, "true"},
		{"bytes that are not base64", "c(a bytes) { a == b'abc' }", ``, `{"a":"abc"}`, `open; problem: "abc" is not base64`},
		{"duration", "c(a duration) { a > duration('89m') }", ``, `{"a":"1h30m"}`, "true"},
		{"duration that is none", "c(a duration) { a > duration('89m') }", ``, `{"a":"90"}`, "open; problem: write it like 1h30m"},
		{"timestamp", "c(a timestamp) { a < timestamp('2026-05-01T00:00:00Z') }", ``, `{"a":"2026-05-01T01:00:00+02:00"}`, "true"},
		{"timestamp that is none", "c(a timestamp) { a < timestamp('2026-05-01T00:00:00Z') }", ``, `{"a":"2026-05-01"}`, "open; problem: write it as RFC 3339 does"},
		{"timestamp and duration", "c(now timestamp, since timestamp) { now - since < duration('24h') }", `{"since":"2026-05-01T00:00:00Z"}`, `{"now":"2026-05-01T23:59:59Z"}`, "true"},
		{"hours are those of UTC", hours, `{"opens":9,"closes":18}`, `{"now":"2026-05-01T10:30:00+02:00"}`, "false"},
		{"hours of another zone", "c(now timestamp) { now.getHours('Europe/Berlin') == 13 }", ``, `{"now":"2026-01-05T12:00:00Z"}`, "true"},
		{"day of the week", "c(now timestamp) { now.getDayOfWeek() in [1, 2, 3, 4, 5] }", ``, `{"now":"2026-05-02T12:00:00Z"}`, "false"},
		{"address inside", network, ``, `{"ip":"10.1.2.3"}`, "true"},
		{"address outside", network, ``, `{"ip":"11.1.2.3"}`, "false"},
		{"address as a server on IPv6 sees it", network, ``, `{"ip":"::ffff:10.1.2.3"}`, "true"},
		{"address of IPv6", "c(ip ipaddress) { ip.in_cidr('2001:db8::/32') }", ``, `{"ip":"2001:db8:1::1"}`, "true"},
		{"address with a zone", network, ``, `{"ip":"fe80::1%eth0"}`, "open; problem: is no IP address"},
		{"network from the tuple", "c(ip ipaddress, net string) { ip.in_cidr(net) }", `{"net":"192.168.0.0/16"}`, `{"ip":"192.168.7.1"}`, "true"},
		{"network that is none", "c(ip ipaddress, net string) { ip.in_cidr(net) }", `{"net":"192.168"}`, `{"ip":"192.168.7.1"}`, `open; problem: "192.168" is no network`},
		{"list", "c(day string, days list<string>) { day in days }", `{"days":["mon","tue"]}`, `{"day":"tue"}`, "true"},
		{"list of uints", "c(a int, b list<uint>) { a in b }", `{"b":[1,"2"]}`, `{"a":2}`, "true"},
		{"map", "c(limits map<int>, plan string) { limits[plan] > 5 }", `{"limits":{"free":1,"paid":10}}`, `{"plan":"paid"}`, "true"},
		{"a subtree", "c(a map<any>, b map<any>) { a.isSubtreeOf(b) }", `{"a":{"x":{"y":1}}}`, `{"b":{"x":{"y":1,"z":2},"w":3}}`, "true"},
		{"no subtree", "c(a map<any>, b map<any>) { a.isSubtreeOf(b) }", `{"a":{"x":{"y":1}}}`, `{"b":{"x":{"y":2}}}`, "false"},
		{"regular expression", "c(mail string) { mail.matches('^[a-z]+@acme[.]com$') }", ``, `{"mail":"ana@acme.com"}`, "true"},
		{"regular expression from the tuple", "c(mail string, p string) { mail.matches(p) }", `{"p":"@acme[.]com$"}`, `{"mail":"ana@acme.org"}`, "false"},

		// Macros, with something unknown inside or outside of them.
		{"some item is what is missing", "c(l list<int>, a int) { l.exists(x, x == a) }", ``, `{"l":[1,2]}`, "open: a"},
		{"some item decides alone", "c(l list<int>, a int) { l.exists(x, x == a || x == 2) }", ``, `{"l":[1,2]}`, "true"},
		{"some item fails alone", "c(l list<int>, a int) { l.all(x, x == a && x < 2) }", ``, `{"l":[1,2]}`, "false"},
		{"nothing to go over", "c(l list<int>, a int) { l.all(x, x == a) }", ``, `{"l":[]}`, "true"},
		{"the list is missing", "c(l list<int>) { l.all(x, x > 0) }", ``, ``, "open: l"},
		{"a list made of what is missing", "c(l list<int>, a int) { l.map(x, x + a).size() == 2 }", ``, `{"l":[1,2]}`, "open: a"},
		{"a filter by what is missing", "c(l list<int>, a int) { l.filter(x, x > a).size() > 1 }", ``, `{"l":[1,2]}`, "open: a"},
		{"an item that hides a parameter", "c(l list<int>, a int) { l.all(a, a > 0) && (a == 5 || true) }", ``, `{"l":[1,2]}`, "true"},
		{"a key that is missing", "c(m map<int>, k string) { m[k] == 1 }", ``, `{"m":{"x":1}}`, "open: k"},
		{"presence", "c(m map<int>) { has(m.x) }", ``, `{"m":{}}`, "false"},
		{"presence in what is missing", "c(m map<int>) { has(m.x) }", ``, ``, "open: m"},

		// Errors.
		{"division by zero", "c(a int) { 1 / a == 1 }", ``, `{"a":0}`, "open; problem: division by zero"},
		{"no such key", "c(m map<int>) { m.x == 1 }", ``, `{"m":{}}`, "open; problem: no such key: x"},
		{"overflow", "c(a int) { a + 1 > 0 }", ``, `{"a":"9223372036854775807"}`, "open; problem: overflow"},
		{"an error that does not matter", "c(a int, b bool) { 1 / a == 1 && b }", ``, `{"a":0,"b":false}`, "false"},
		{"an error beside what is missing", "c(a int, b bool) { 1 / a == 1 || b }", ``, `{"a":0}`, "open: b"},
		{"an error in any", "c(a any) { a.x > 1 }", ``, `{"a":"x"}`, "open; problem: no such key: x"},
	} {
		t.Run(d.name, func(t *testing.T) {
			got := describe(mustCompile(t, d.caveat).Decide(context(t, d.own), condition.NewGiven(context(t, d.given))))
			want, fragment, _ := strings.Cut(d.want, "; problem: ")
			got, said, found := strings.Cut(got, "; problem: ")
			if got != want || found != (fragment != "") || !strings.Contains(said, fragment) {
				t.Errorf("got %s; problem: %s\nwant %s", got, said, d.want)
			}
		})
	}
}

// describe is a verdict as the table above writes it.
func describe(v condition.Verdict) string {
	s := v.Truth.String()
	if len(v.Missing) > 0 {
		s += ": " + strings.Join(v.Missing, " ")
	}
	if v.Problem != "" {
		s += "; problem: " + v.Problem
	}
	return s
}

// parseCaveat reads "name(a int, b list<int>) { BODY }".
func parseCaveat(text string) (params []condition.Param, body string) {
	head, body, _ := strings.Cut(text, ") {")
	_, list, _ := strings.Cut(head, "(")
	for _, p := range strings.Split(list, ", ") {
		if name, typ, found := strings.Cut(p, " "); found {
			params = append(params, condition.Param{Name: name, Type: typ})
		}
	}
	return params, strings.TrimSpace(strings.TrimSuffix(body, "}"))
}

func mustCompile(tb testing.TB, text string) *condition.Caveat {
	tb.Helper()
	c, faults := condition.Compile(parseCaveat(text))
	if c == nil {
		tb.Fatalf("%s: %v", text, fault.Join(faults))
	}
	return c
}

func context(tb testing.TB, text string) rel.Context {
	tb.Helper()
	if text == "" {
		return rel.Context{}
	}
	c, err := rel.ParseContext(text)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestGivenServesManyCaveats(t *testing.T) {
	given := condition.NewGiven(context(t, `{"a":5,"b":"x"}`))
	for range 2 {
		for _, d := range []decision{
			{caveat: "c(a int) { a == 5 }", want: "true"},
			{caveat: "c(a string) { a == '5' }", want: `open; problem: parameter "a" must be string: it is the number 5`},
			{caveat: "c(a double, b string) { a == 5.0 && b == 'x' }", want: "true"},
			{caveat: "c(x int, a int) { x == 1 && a == 5 }", want: "open: x"},
			{caveat: "c(a int) { a == 5 }", own: `{"a":6}`, want: "false"},
		} {
			if got := describe(mustCompile(t, d.caveat).Decide(context(t, d.own), given)); got != d.want {
				t.Errorf("%s: got %s, want %s", d.caveat, got, d.want)
			}
		}
	}
}

// The same question has the same answer: maps have an order.
func TestMapsAreGoneOverInOrder(t *testing.T) {
	given := condition.NewGiven(context(t, `{"m":{"c":1,"a":2,"d":3,"b":4,"e":5}}`))
	for _, caveat := range []string{
		"c(m map<int>) { m.map(k, k) == ['a', 'b', 'c', 'd', 'e'] }",
		"c(m map<int>) { m.map(k, m[k])[0] == 2 && m.filter(k, m[k] < 4)[1] == 'c' }",
		"c(m any) { m.map(k, k)[4] == 'e' }",
		"c(m map<int>) { {'z': 1, 3: 2, 'y': m.a, 1: 4, true: 5}.map(k, k) == [true, 1, 3, 'y', 'z'] }",
		"c(m map<int>) { m == {'e': 5, 'd': 3, 'c': 1, 'b': 4, 'a': 2} && 'a' in m && m.size() == 5 && !('f' in m) }",
	} {
		for range 20 {
			if got := mustCompile(t, caveat).Decide(rel.Context{}, given); got.Truth != condition.True {
				t.Fatalf("%s: %s", caveat, describe(got))
			}
		}
	}
}

func TestNothingGivenAndNothingCompiledAreOpen(t *testing.T) {
	if got := describe(mustCompile(t, "c(a int) { a == 5 }").Decide(rel.Context{}, nil)); got != "open: a" {
		t.Errorf("nil Given: %s", got)
	}
	if got := describe(mustCompile(t, "c(a int) { a == 5 }").Decide(rel.Context{}, &condition.Given{})); got != "open: a" {
		t.Errorf("zero Given: %s", got)
	}
	if got := new(condition.Caveat).Decide(rel.Context{}, nil); got.Truth != condition.Open || got.Problem == "" {
		t.Errorf("zero Caveat: %+v", got)
	}
	if (condition.Verdict{}).Truth != condition.False {
		t.Error("the zero Verdict does not deny")
	}
}

func TestCheckContextNamesWhatDoesNotFit(t *testing.T) {
	c := mustCompile(t, hours)
	for own, want := range map[string]string{
		"":                           "",
		`{"opens":9,"closes":"18"}`:  "",
		`{"opens":9.5}`:              `parameter "opens" must be int: 9.5 is no whole number`,
		`{"opens":null}`:             `parameter "opens" must be int: it is null`,
		`{"closed":18}`:              `the caveat has no parameter "closed"; did you mean "closes"?`,
		`{"zzz":1}`:                  `the caveat has no parameter "zzz"; leave it out; the caveat has now, opens, closes`,
		`{"now":"x","zz":1,"yyy":2}`: `(and 2 more)`,
	} {
		err := c.CheckContext(context(t, own))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", own, err)
			}
			continue
		}
		if !fault.Is(err, fault.NotInSchema) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", own, err, want)
		}
	}
}

// Every caveat has an end, whatever it does and whatever it is given. What is
// counted is not time, so this holds on every machine; each of these took minutes
// or all memory while CEL's own counting was relied on, or is next to one that did.
func TestCostIsBounded(t *testing.T) {
	numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(make([]int, 10_000)), " ", ","), "")
	letters := strings.Repeat("a", 60_000)
	again := strings.Repeat
	for _, d := range []decision{
		{name: "a list in a list", caveat: "c(l list<int>) { l.all(x, l.all(y, true)) }"},
		{name: "lists compared in a loop", caveat: "c(l list<int>) { l.exists(x, l == l && false) }"},
		{name: "looking in a loop", caveat: "c(l list<int>) { l.exists(x, -1 in l) }"},
		{name: "long expression over a long text", caveat: "c(l list<int>, s string) { l.exists(x, s.matches('a{100}b')) }"},
		{name: "expression from the request", caveat: "c(l list<int>, s string, p string) { l.exists(x, s.matches(p)) }"},
		{name: "parsing in a loop", caveat: "c(l list<int>, s string) { l.exists(x, double(s) == 1.0) }"},
		{name: "zones in a loop", caveat: "c(l list<int>, now timestamp) { l.exists(x, now.getHours('Europe/Berlin') == 25) }"},
		{name: "a text that doubles", caveat: "c(s string) { [s]" + again(".map(x, x+x)", 25) + "[0] == '' }"},
		{name: "a list that doubles", caveat: "c(l list<int>) { -4 in [l]" + again(".map(x, x+x)", 30) + "[0] }"},
		{name: "a list that holds itself twice", caveat: "c(l list<int>) { [l]" + again(".map(x, [x,x])", 25) + " == [l]" + again(".map(x, [x,x])", 25) + " }"},
		{name: "the same without its type", caveat: "c(l list<any>) { [dyn(l)]" + again(".map(x, [dyn(x),dyn(x)])", 20) + " == [dyn(l)]" + again(".map(x, [dyn(x),dyn(x)])", 20) + " }"},
		{name: "a tree in itself", caveat: "c(m map<any>, l list<int>) { l.exists(x, !m.isSubtreeOf(m)) }"},
		{name: "constants that pile up", caveat: "c(l list<int>) { l.exists(y, [y" + again(",1", 1000) + "].size() == 0) }"},
	} {
		t.Run(d.name, func(t *testing.T) {
			entries := strings.Trim(strings.Repeat(`,"%":1`, 2000), ",")
			for i := 0; strings.Contains(entries, "%"); i++ {
				entries = strings.Replace(entries, "%", fmt.Sprint(i), 1)
			}
			own := `{"m":{` + entries + `},"l":[` + strings.ReplaceAll(numbers[1:len(numbers)-1], "[", "") + `]}`
			given := `{"s":"` + letters + `","p":"` + again("a{900}", 80) + `","now":"2026-05-01T10:30:00Z"}`
			v := mustCompile(t, d.caveat).Decide(context(t, own), condition.NewGiven(context(t, given)))
			if v.Truth != condition.Open || v.Problem != "the caveat takes too much work with these values" {
				t.Errorf("got %s at a cost of %d", describe(v), v.Cost)
			}
		})
	}
}

// What a condition may well do is within the bound.
func TestCostOfWhatIsUsual(t *testing.T) {
	items := strings.Trim(strings.Repeat(`,"item-%"`, 2000), ",")
	for i := 0; strings.Contains(items, "%"); i++ {
		items = strings.Replace(items, "%", fmt.Sprint(i), 1)
	}
	given := `{"l":[` + items + `],"s":"item-1999","mail":"` + strings.Repeat("a", 200) + `@acme.com"}`
	for _, caveat := range []string{
		"c(l list<string>, s string) { s in l }",
		"c(l list<string>, s string) { l.exists(x, x == s) }",
		"c(l list<string>, s string) { l.filter(x, x.startsWith('item')).size() == 2000 && s != '' }",
		"c(l list<string>, s string) { l.exists(x, s.matches('^item-1[0-9]{3}$')) }",
		"c(mail string) { mail.matches('^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+[.][a-zA-Z]{2,}$') }",
	} {
		if v := mustCompile(t, caveat).Decide(rel.Context{}, condition.NewGiven(context(t, given))); v.Truth != condition.True {
			t.Errorf("%s: %s at a cost of %d", caveat, describe(v), v.Cost)
		}
	}
}
