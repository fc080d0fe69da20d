package condition

import (
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// every is a parameter of each type, for caveats that are made up.
var every = []Param{
	{"a", "int"}, {"b", "bool"}, {"s", "string"}, {"l", "list<int>"}, {"m", "map<any>"}, {"x", "any"}, {"t", "timestamp"},
	{"d", "duration"}, {"ip", "ipaddress"}, {"u", "uint"}, {"f", "double"}, {"y", "bytes"},
}

const everyValue = `{"a":2,"b":true,"d":"1h","f":1.5,"ip":"10.0.0.1","l":[1,2,3],"m":{"k":1,"n":{"o":[2]}},"s":"k","t":"2026-05-01T10:30:00Z","u":7,"x":{"k":2},"y":"YWJj"}`

// bodies are conditions over these parameters, with what is odd about CEL in them.
var bodies = []string{
	"a > 1 && b", "b || 1 / (a - 2) == 1", "!b || a in l", "b ? a > 1 : u > 1u", "b ? s == 'k' : ip.in_cidr('10.0.0.0/8')",
	"l.exists(v, v == a)", "l.all(v, v > 0 && v < u)", "l.exists_one(v, v == a)", "l.filter(v, v > a).size() == 1", "l.map(v, v + a) == [3, 4, 5]",
	"l.map(v, v == 2 ? a : v).size() == 3", "[a, 1].exists(v, v == 1) || b", "l.all(v, l.exists(w, w == v || w == a))", "{s: a}[s] == 2",
	"m.k == 1 || x.k == 1", "m[s] == 1", "has(m.z) || has(m.n.o)", "m.n.o[0] == a", "m.all(v, v != s) || b", "x == 2 || x.k == a", "x in ['p', 'q'] || b",
	"x != m", "m.isSubtreeOf(x)", "t.getHours() == 10 && d > duration('1m')", "t + d < timestamp('2026-05-01T12:00:00Z')", "t.getHours(s) == 10 || b",
	"string(u) == s", "u > 3 && u != a", "f < 2.0 || double(a) == f", "y == b'abc' && size(y) == 3", "s.matches('^k$') && b", "'abc'.matches(s) || b",
	"int(s) == a || b", "(l + [a]).size() == 4", "a in l && !(a in [7, 8])", "s in m", "a / 0 == 1 && b", "l[a] == 3", "l[7] == 3 || b", "type(x) == type(m)", "dyn(a) == dyn(f)",
	"[1, a, u].exists(v, v == 7) && [s, s] == ['k', 'k']", "a == 2 && ip == ip", "l == [1, 2, 3]", "x.k + 1 == 3",
}

// compileRead compiles a condition with those of the parameters that it reads.
func compileRead(body string) (*Caveat, []*fault.Fault) {
	params := every
	for range 2 {
		c, faults := Compile(params, body)
		if c != nil {
			return c, nil
		}
		unread := func(p Param) bool {
			return slices.ContainsFunc(faults, func(f *fault.Fault) bool { return f.Details["parameter"] == p.Name })
		}
		rest := slices.DeleteFunc(slices.Clone(params), unread)
		if len(rest) == len(params) {
			return nil, faults
		}
		params = rest
	}
	return nil, nil
}

// TestDecideIsCELsPartialEvaluation compares, for every choice of parameters that
// have a value, with CEL's own evaluation of patterns of unknown names, without the
// guards and the prices of this room.
func TestDecideIsCELsPartialEvaluation(t *testing.T) {
	values := must(rel.ParseContext(everyValue)).Values()
	compared, open := 0, 0
	for _, body := range bodies {
		body = strings.ReplaceAll(body, "u > 1u", "u > 1")
		c, faults := compileRead(body)
		if c == nil {
			t.Errorf("%s: %v", body, fault.Join(faults))
			continue
		}
		plain := plainProgram(t, c, body)
		for choice := range 1 << len(c.params) {
			given := make(map[string]any)
			known := make(map[string]any)
			var unknown []*cel.AttributePatternType
			for i, p := range c.params {
				if choice&(1<<i) == 0 {
					unknown = append(unknown, cel.AttributePattern(p.Name))
					continue
				}
				given[p.Name] = values[p.Name]
				known[p.Name], _ = c.types[i].convert(values[p.Name])
			}
			got := c.Decide(rel.Context{}, NewGiven(must(rel.NewContext(given))))
			vars := must(cel.PartialVars(known, unknown...))
			want, _, err := plain.Eval(vars)
			compared++
			if got.Truth == Open {
				open++
			}
			switch {
			case err != nil:
				if got.Truth != Open {
					t.Errorf("%s with %v: %+v, and CEL says %v", body, given, got, err)
				}
			case types.IsUnknown(want):
				if names := namesOf(want.(*types.Unknown)); got.Truth != Open || got.Problem == "" && !slices.Equal(got.Missing, names) {
					t.Errorf("%s with %v: %+v, and CEL lacks %v", body, given, got, names)
				}
			case want != types.Bool(got.Truth == True) || got.Truth == Open:
				t.Errorf("%s with %v: %+v, and CEL says %v", body, given, got, want)
			}
		}
	}
	if compared < 150 || open < compared/4 {
		t.Errorf("%d compared, %d of them open", compared, open)
	}
}

// plainProgram plans a condition as CEL's own documentation does.
func plainProgram(t *testing.T, c *Caveat, body string) cel.Program {
	env := must(c.environment())
	tree, issues := env.Compile(body)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	return must(env.Program(tree, cel.EvalOptions(cel.OptPartialEval)))
}

func namesOf(u *types.Unknown) []string {
	var names []string
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, trail := range trails {
			names = append(names, trail.Variable())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// FuzzCompile gives any text to the compiler: a caveat comes of it, or faults with
// a sentence and a remedy, at places that the text has.
func FuzzCompile(f *testing.F) {
	for _, body := range bodies {
		f.Add("int", body)
	}
	f.Add("list<map<any>>", "a[0].b == 1 &&")
	f.Add("map<list<", "((([[{'\\")
	f.Fuzz(func(t *testing.T, typ, body string) {
		c, faults := Compile(append([]Param{{"z", typ}}, every...), body)
		if (c == nil) == (len(faults) == 0) {
			t.Fatalf("caveat %v and %d faults", c != nil, len(faults))
		}
		lines := strings.Split(body, "\n")
		for _, fa := range faults {
			if fa.Summary == "" || fa.Remedy == "" || strings.Contains(fa.Summary, "\n") || (fa.Line == 0) == (fa.Details["parameter"] == "") {
				t.Errorf("a poor fault: %+v", fa)
			}
			if fa.Line > len(lines) || fa.Line > 0 && fa.Column > len([]rune(lines[fa.Line-1]))+1 {
				t.Errorf("%s is outside of the text", fa.Place())
			}
		}
	})
}

// FuzzDecide gives any condition any values: it does not panic, what is open says
// why, an error is never a no, and more values never turn a yes into a no.
func FuzzDecide(f *testing.F) {
	for _, body := range bodies {
		f.Add(body, `{"a":2}`, everyValue)
	}
	f.Add("a > 1 && b", `{"a":"x","b":null}`, `{"b":1e300}`)
	f.Fuzz(func(t *testing.T, body, own, given string) {
		c, _ := compileRead(body)
		if c == nil {
			return
		}
		ownValues, err := rel.ParseContext(own)
		if err != nil {
			return
		}
		givenValues, err := rel.ParseContext(given)
		if err != nil {
			return
		}
		g := NewGiven(givenValues)
		v := c.Decide(ownValues, g)
		checkVerdict(t, body, v)
		if again := c.Decide(ownValues, g); again.Truth != v.Truth || again.Problem != v.Problem || !slices.Equal(again.Missing, v.Missing) || again.Cost != v.Cost {
			t.Errorf("%s: %+v and then %+v", body, v, again)
		}
		fewer := c.Decide(ownValues, nil)
		checkVerdict(t, body, fewer)
		if v.Truth != Open && fewer.Truth != Open && v.Truth != fewer.Truth {
			t.Errorf("%s: %v, and with more values %v", body, fewer, v)
		}
	})
}

func checkVerdict(t *testing.T, body string, v Verdict) {
	t.Helper()
	reasons := len(v.Missing) + len(v.Problem)
	if (v.Truth == Open) != (reasons > 0) || !slices.IsSorted(v.Missing) || strings.Contains(v.Problem, "internal error") {
		t.Errorf("%s: %+v", body, v)
	}
}
