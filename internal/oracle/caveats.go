package oracle

import (
	"maps"
	"slices"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// readCaveats compiles the conditions of a schema.
func readCaveats(file *syntax.File) (map[rel.CaveatName]*condition.Caveat, error) {
	caveats := map[rel.CaveatName]*condition.Caveat{}
	for _, tree := range file.Caveats {
		name := rel.CaveatName(tree.Name.Text)
		if caveats[name] != nil {
			return nil, fault.Newf(fault.NameMustBeUnique, "caveat %s stands twice", name).At(tree.Name.At.Line, tree.Name.At.Column)
		}
		params := make([]condition.Param, len(tree.Params))
		for i, p := range tree.Params {
			params[i] = condition.Param{Name: p.Name.Text, Type: p.Type}
		}
		compiled, faults := condition.Compile(params, tree.Body)
		if len(faults) > 0 {
			return nil, fault.Join(faults)
		}
		caveats[name] = compiled
	}
	return caveats, nil
}

// A verdict is what the caveat of one tuple comes to. Where it is open, missing
// are the parameters that would decide it, or it has a problem.
type verdict struct {
	truth   Truth
	missing []string
	problem bool
}

// verdict is min's left side everywhere: yes for a tuple without a caveat.
func (a *Access) verdict(t rel.Tuple) verdict {
	if t.Caveat.IsZero() {
		return verdict{truth: Yes}
	}
	if known, ok := a.verdicts[t.Key]; ok {
		return known
	}
	c := a.oracle.schema.caveats[t.Caveat.Name]
	decided := c.Decide(rel.Context{}, condition.NewGiven(merged(c, t.Caveat.Context, a.context)))
	v := verdict{missing: decided.Missing, problem: decided.Problem != ""}
	switch decided.Truth {
	case condition.True:
		v.truth = Yes
	case condition.Open:
		v.truth = Conditional
	}
	a.verdicts[t.Key] = v
	return v
}

// Caveat is what the caveat of a tuple comes to; yes for a tuple without one.
func (a *Access) Caveat(t rel.Tuple) Truth { return a.verdict(t).truth }

// Tuples are those that count in the request, sorted. The slice is not to be changed.
func (a *Access) Tuples() []rel.Tuple { return a.oracle.tuples }

// merged are the values for a caveat's parameters: what the tuple itself brings
// wins over what the request brings, parameter by parameter.
func merged(c *condition.Caveat, own, request rel.Context) rel.Context {
	values := request.Values()
	if values == nil {
		values = map[string]any{}
	}
	maps.Copy(values, own.Values())
	maps.DeleteFunc(values, func(name string, _ any) bool {
		return !slices.ContainsFunc(c.Params(), func(p condition.Param) bool { return p.Name == name })
	})
	both, err := rel.NewContext(values)
	if err != nil {
		panic("oracle: unreachable: two contexts that do not join: " + err.Error())
	}
	return both
}

// A Missing is one tuple that a conditional answer hangs on: its caveat is open.
type Missing struct {
	Key    rel.Key
	Caveat rel.CaveatName
	// Parameters are those without a value that would decide, sorted; there may be
	// none where Problem is set.
	Parameters []string
	// Problem reports that the caveat is open for another reason: an error, a
	// value of the wrong type, too much work.
	Problem bool
}

// Missing are the tuples with open caveats that a conditional answer hangs on,
// each once, in the order of their keys. It follows, from the name that is asked
// for, whatever contributes to a conditional value and is conditional itself; so
// for an answer that is yes or no there are none.
func (a *Access) Missing(o rel.Object, name rel.Name) []Missing {
	m := &missing{Access: a, seen: map[pair]bool{}, found: map[rel.Key]Missing{}}
	m.name(o, name)
	return slices.SortedFunc(maps.Values(m.found), func(x, y Missing) int { return x.Key.Compare(y.Key) })
}

// missing is one way through all that is conditional.
type missing struct {
	*Access
	seen  map[pair]bool
	found map[rel.Key]Missing
}

func (m *missing) name(o rel.Object, name rel.Name) {
	p := pair{o, name}
	if m.held[p] != Conditional || m.seen[p] {
		return
	}
	m.seen[p] = true
	d := m.oracle.schema.definitions[o.Type()]
	if permission := d.permissions[name]; permission != nil {
		m.expr(o, permission.Expr)
		return
	}
	if !d.isRole(name) {
		m.stored(o, name)
		return
	}
	// A role is a union minus what is excepted.
	if m.union(o, name) == Conditional {
		m.stored(o, name)
		for _, e := range d.computed(name) {
			m.expr(o, e)
		}
		if higher := d.above(name); higher != "" {
			m.name(o, higher)
		}
	}
	if d.roles.Except != nil {
		m.expr(o, d.roles.Except)
	}
}

func (m *missing) stored(o rel.Object, relation rel.Name) {
	for _, t := range m.oracle.at[place{o, relation}] {
		m.tuple(t, m.match(t.Subject), func() {
			if userset, ok := t.Subject.Object(); ok {
				m.name(userset, t.Subject.Relation())
			}
		})
	}
}

// tuple follows one tuple with what lies behind it, where their minimum is
// conditional.
func (m *missing) tuple(t rel.Tuple, behind Truth, follow func()) {
	v := m.verdict(t)
	if min(v.truth, behind) != Conditional {
		return
	}
	if v.truth == Conditional {
		m.found[t.Key] = Missing{t.Key, t.Caveat.Name, v.missing, v.problem}
	}
	if behind == Conditional {
		follow()
	}
}

func (m *missing) expr(o rel.Object, e syntax.Expr) {
	if m.eval(o, e) != Conditional {
		return
	}
	switch e := e.(type) {
	case *syntax.NameExpr:
		m.name(o, rel.Name(e.Name.Text))
	case *syntax.ArrowExpr:
		m.arrow(o, e.Left, e.Kind, target{
			value:  func(o2 rel.Object) Truth { return m.held[pair{o2, rel.Name(e.Target.Text)}] },
			follow: func(o2 rel.Object) { m.name(o2, rel.Name(e.Target.Text)) },
		})
	case *syntax.BinaryExpr:
		m.expr(o, e.Left)
		m.expr(o, e.Right)
	case *syntax.ParenExpr:
		m.expr(o, e.X)
	}
}

// A target is what an arrow asks for on the objects that it leads to.
type target struct {
	value  func(rel.Object) Truth
	follow func(rel.Object)
}

func (m *missing) arrow(o rel.Object, left syntax.Expr, kind syntax.ArrowKind, there target) {
	switch left := syntax.Strip(left).(type) {
	case *syntax.NameExpr:
		m.over(o, rel.Name(left.Name.Text), there)
	case *syntax.ArrowExpr:
		relation := rel.Name(left.Target.Text)
		m.arrow(o, left.Left, left.Kind, target{
			value:  func(o2 rel.Object) Truth { return m.Access.over(o2, relation, kind, there.value) },
			follow: func(o2 rel.Object) { m.over(o2, relation, there) },
		})
	}
}

func (m *missing) over(o rel.Object, relation rel.Name, there target) {
	for _, t := range m.oracle.at[place{o, relation}] {
		if o2, ok := t.Subject.Object(); ok {
			m.tuple(t, there.value(o2), func() { there.follow(o2) })
		}
	}
}
