package condition_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
)

// TestWhatIsNoCaveat has one line for each way to get a caveat wrong: where it is
// said, and what.
func TestWhatIsNoCaveat(t *testing.T) {
	for _, c := range []struct{ name, caveat, want string }{
		// Parameters.
		{"unknown type", "c(a integer) { a == 1 }", `a: the parameter "a" has the type "integer", which is none; did you mean "int"?`},
		{"unknown type, and nothing near", "c(a xyzzy) { a == 1 }", "a: the parameter \"a\" has the type \"xyzzy\", which is none; write one of any, bool"},
		{"a list of nothing", "c(a list) { a == [] }", "a: write list<string>, or list<any>"},
		{"a map with keys", "c(a map<string,int>) { a.x == 1 }", "a: a map's keys are strings: write the type of its values alone, for example map<int>"},
		{"brackets around nothing", "c(a int<int>) { a == 1 }", "a: take the brackets out"},
		{"brackets that do not close", "c(a list<int) { a == [] }", "a: its bracket does not close; write list<int>"},
		{"types too deep", "c(a " + strings.Repeat("list<", 10) + "int" + strings.Repeat(">", 10) + ") { a == [] }", "a: nests deeper than 8 levels; write any"},
		{"declared twice", "c(a int, a int) { a == 1 }", `a: the parameter "a" is declared twice; rename one of them`},
		{"a reserved word", "c(namespace int) { namespace == 1 }", `namespace: no parameter can be called "namespace": CEL keeps the word for itself`},
		{"the name of a type", "c(string int) { string == 1 }", `string: no parameter can be called "string": it is the name of a type`},
		{"CEL's own names", "c(__result__ int) { __result__ == 1 }", `__result__: begin with two underscores are CEL's own`},
		{"no name at all", "c(ä int) { ä == 1 }", `ä: it is not a name as CEL has them`},
		{"never read", "c(a int, b int) { a == 1 }", `b: the condition never reads its parameter "b"; correct the name`},
		{"read only where it is hidden", "c(a int, l list<int>) { l.all(a, a > 1) }", `a: the condition never reads its parameter "a"`},
		{"two at once", "c(a integer, in int) { a == 1 }", `a: did you mean "int"; in: CEL keeps the word`},

		// Names and types in the text.
		{"unknown name", "c(opens int) { open > 1 && opens > 1 }", `1:1: there is no parameter or function "open"; did you mean "opens"?`},
		{"unknown function", "c(a int) { a > 1 &&\n  lower(a) == 1 }", `2:8: there is no parameter or function "lower"; declare it`},
		{"column in code points", `c(a string) { a == "äöü" && b }`, `1:15: there is no parameter or function "b"`},
		{"types that do not go together", "c(a int) { a > 'x' }", "1:3: > cannot be applied to (int, string); use values of types that go together"},
		{"int and double", "c(a int) { a > 1.5 }", "1:3: CEL does not mix int and double here"},
		{"a number with a u", "c(a uint) { a == 5u }", "1:3: write numbers without the u"},
		{"an address and a text", "c(a ipaddress) { a == '10.0.0.1' }", "1:3: an address is asked with ip.in_cidr"},
		{"no condition", "c(a int) { a + 1 }", "1:1: the condition comes to int, and must come to bool; compare it"},
		{"no condition for sure", "c(a any) { a }", "1:1: the condition comes to any, and must come to bool; what it reads may be of any type"},
		{"types inside types", "c(a list<map<any>>) { a + 1 == a }", "1:3: + cannot be applied to (list<map<any>>, int)"},
		{"half a condition", "c(a int) { a && true }", "1:1: int stands where bool is needed"},
		{"not of what is none", "c(a int) { !a }", "1:1: ! cannot be applied to (int); it needs a bool"},
		{"fields of what has none", "c(a int) { a.b > 1 }", "1:2: int has no fields to select"},
		{"going over what is none", "c(a int) { a.all(x, x > 1) }", "1:1: int cannot be gone over"},
		{"a message", "c(a any) { google.protobuf.Int32Value{value: 5} == a }", "1:27: a caveat makes no message"},
		{"two errors", "c(a int) { b > 1 || a > 'x' }", `1:1: there is no parameter or function "b"; 1:12: > cannot be applied to (int, string)`},

		// Form.
		{"ends too early", "c(a int) { a > }", "1:4: the condition ends too early; finish it"},
		{"nothing", "c(a int) { }", "1:1: the condition ends too early"},
		{"one bracket too many", "c(a int) { a > 1) }", "1:6: the condition cannot be read from ')' on"},
		{"a character that means nothing", "c(a int) { a > @ 1 }", "1:5: a character that means nothing: '@'"},
		{"a reserved word in the text", "c(a int) { while == a }", `1:1: "while" is a word that CEL keeps for itself`},
		{"a comment of another language", "c(a int) { /* why */ a == 1 }", "1:1: the condition cannot be read from '/' on"},

		// Constants.
		{"no regular expression", "c(a string) { a.matches('(') }", `1:11: "(" is no regular expression; write it as RE2 does`},
		{"too large an expression", "c(a string) { a.matches('^a{1000}b{1000}') }", "1:11: the regular expression has some 2001 instructions"},
		{"no network", "c(a ipaddress) { a.in_cidr('10.0.0.0/33') }", `1:11: "10.0.0.0/33" is no network; write an address and the length`},
		{"no time", "c(a timestamp) { a < timestamp('tomorrow') }", "1:15: the time is not valid; write it as RFC 3339 does"},
		{"no duration", "c(a duration) { a < duration('soon') }", "1:14: the duration is not valid; write it like 1h30m"},
		{"no number", "c(a int) { a < int('x') }", "1:1: the condition cannot be compiled: type conversion error from 'string' to 'int'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, faults := condition.Compile(parseCaveat(c.caveat))
			if got != nil {
				t.Fatal("it compiled")
			}
			wants := strings.Split(c.want, "; ")
			said := ""
			for _, f := range faults {
				if f.Remedy == "" || f.Code != fault.CaveatMustBeValid {
					t.Errorf("%s: %s without a remedy, or with another rule", f.Code, f.Sentence())
				}
				if f.Line == 0 {
					said += f.Details["parameter"] + ": "
				}
				said += f.Sentence() + "\n"
			}
			for _, want := range wants {
				place, fragment, _ := strings.Cut(want, ": ")
				if !strings.Contains(said, fragment) || !strings.Contains(said, place) {
					t.Errorf("got\n%swhere is %q?", said, want)
				}
			}
		})
	}
}

// A hostile caveat is refused by a bound, and quickly.
func TestBoundsOfACaveat(t *testing.T) {
	again := strings.Repeat
	var many string
	for i := range 65 {
		many += fmt.Sprintf("a%d int, ", i)
	}
	for _, c := range []struct{ name, caveat, want string }{
		{"a text of one MiB", "c(a int) { " + again("a == 1 || ", 100_000) + "true }", "the condition has 1000004 bytes"},
		{"parameters", "c(" + many + "b int) { b == 1 }", "the caveat has 66 parameters"},
		{"brackets", "c(a int) { " + again("(", 4000) + "a }", "nests deeper than 64 levels"},
		{"lists in lists", "c(a int) { " + again("[", 2000) + "a" + again("]", 2000) + " == [] }", "nests deeper than 64 levels"},
		{"additions", "c(a int) { " + again("a + ", 2000) + "a == 1 }", "nests deeper than 64 levels"},
		{"selections", "c(a any) { a" + again(".a", 2000) + " == 1 }", "nests deeper than 64 levels"},
		{"parts", "c(a int) { a in [" + again("1,", 2500) + "1] }", "more than 2000 parts"},
		{"alternatives", "c(a int) { " + again("a == 1 || ", 800) + "a == 2 }", "more than 2000 parts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			got, faults := condition.Compile(parseCaveat(c.caveat))
			if got != nil || len(faults) != 1 || faults[0].Code != fault.SchemaMustStayWithinBounds || !strings.Contains(faults[0].Summary, c.want) || faults[0].Remedy == "" {
				t.Fatalf("compiled %v, %v", got != nil, faults)
			}
			if took := time.Since(start); took > 5*time.Second { // some 50 ms; a build machine may be slow
				t.Errorf("it took %v", took)
			}
		})
	}
	if c, faults := condition.Compile(parseCaveat("c(a int) { a == 0" + again(" || a == 1", 300) + " }")); c == nil {
		t.Errorf("300 alternatives are refused: %v", faults)
	}
}

func TestParamsAreThoseOfTheText(t *testing.T) {
	c := mustCompile(t, hours)
	if got := fmt.Sprint(c.Params()); got != "[{now timestamp} {opens int} {closes int}]" {
		t.Errorf("got %s", got)
	}
}

func TestTextIsOneForm(t *testing.T) {
	const one = "l.exists(x, x == a) && (a > 1 || s == \"a  b\") && has(m.k)"
	for _, other := range []string{
		one,
		"( l.exists(x,x==a) )\n  && ((a > 1) || s == 'a  b') // and\n  && has(m.k)",
	} {
		c := mustCompile(t, "c(a int, s string, l list<int>, m map<int>) { "+other+" }")
		if c.Text() != one {
			t.Errorf("got %s", c.Text())
		}
	}
	if c := mustCompile(t, "c(a int, s string, l list<int>, m map<int>) { "+strings.Replace(one, "a  b", "a b", 1)+" }"); c.Text() == one {
		t.Error("a text inside is read as layout")
	}
	long := "a == 0" + strings.Repeat(" || a == 1", 200)
	if c := mustCompile(t, "c(a int) { "+long+" }"); c.Text() != long {
		t.Errorf("got %s", c.Text())
	}
}
