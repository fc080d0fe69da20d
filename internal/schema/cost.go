package schema

import (
	"cmp"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Cost is what it takes to ask for one name: what Check reads, and whether
// ListObjects finds its objects or has to verify candidates.
type Cost struct {
	Type rel.ObjectType
	Name rel.Name
	Kind Kind

	// Verified are the operators for which each candidate of a list must be
	// checked, those nearest to the name first. Where there are none the name is
	// monotone, and lists are found by following tuples back from the subject.
	Verified []Operator
	// Circle is a way by which tuples may lead back to where they began, so that
	// the data says how far a walk goes; empty where there is none.
	Circle []string

	Strata    int // that are finished one after another; 1 where nothing is excluded
	Hops      int // objects that lie one behind another, the asked one not counted; Unbounded over a circle
	Relations int // that may be read, of all types
}

// An Operator is what makes a name more than a union of tuples, and where it is
// written.
type Operator struct {
	Text         string // "-", "&", ".all(admin)", "except", "with office_hours"
	In           string // whose expression it stands in: "doc#view"
	Line, Column int
}

// operatorsMax bounds the operators that are named for one name; the first of
// them is reason enough.
const operatorsMax = 3

// Costs are what the names of a schema cost, in source order. The schema is read
// once more, since a compiled one does not say where its operators stood.
func (s *Schema) Costs() []Cost {
	c, faults := compile(s.text, nil)
	if len(faults) > 0 {
		return nil // it compiled before
	}
	a := accounting{schema: c.schema, operators: c.operators(), inside: make(map[place][]place), hops: make(map[place]int)}
	for _, members := range c.schema.components() {
		a.component(members)
	}
	var all []Cost
	for _, d := range c.schema.definitions {
		for _, n := range d.names {
			all = append(all, a.of(d, n))
		}
	}
	return all
}

// An accounting adds up what is read.
type accounting struct {
	schema    *Schema
	operators map[place][]Operator
	inside    map[place][]place // the component, for places that lie in a circle
	hops      map[place]int
}

// component works out the hops of a strongly connected part; those it reads are known.
func (a *accounting) component(members []place) {
	circular := len(members) > 1
	hops := 0
	for _, p := range members {
		away := 0
		if a.schema.leavesObject(p) {
			away = 1
		}
		for _, dep := range a.schema.reads(p) {
			circular = circular || dep.on == p
			if known, is := a.hops[dep.on]; is {
				hops = further(hops, known, away)
			}
		}
		if len(a.schema.reads(p)) == 0 {
			hops = further(hops, 0, away)
		}
	}
	goesOn := slices.ContainsFunc(members, a.schema.leavesObject)
	for _, p := range members {
		if circular {
			a.inside[p] = members
		}
		if circular && goesOn {
			hops = Unbounded
		}
		a.hops[p] = hops
	}
}

func further(hops, known, away int) int {
	if hops == Unbounded || known == Unbounded {
		return Unbounded
	}
	return max(hops, known+away)
}

// leavesObject reports whether a slot reads slots of other objects.
func (s *Schema) leavesObject(p place) bool {
	plan := p.definition.Plan(p.slot)
	return plan.Kind != Computed && (plan.Kind != Stored || slices.ContainsFunc(plan.Relation.Forms, func(f Form) bool { return f.Relation != "" }))
}

func (a *accounting) of(d *Definition, n *Declared) Cost {
	asked := place{d, n.Slot}
	cost := Cost{Type: d.Type, Name: n.Name, Kind: n.Kind, Strata: d.Plan(n.Slot).Stratum + 1, Hops: a.hops[asked]}
	type step struct {
		place
		excluded bool // it lies to the right of an exclusion, which is named itself
	}
	seen := map[step]bool{{asked, false}: true}
	relations := make(map[*Relation]bool)
	for queue := []step{{asked, false}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		plan := at.definition.Plan(at.slot)
		if plan.Relation != nil {
			relations[plan.Relation] = true
		}
		if !at.excluded {
			cost.add(a.operators[at.place])
		}
		if members := a.inside[at.place]; members != nil && cost.Circle == nil && slices.ContainsFunc(members, a.schema.leavesObject) {
			cost.Circle = labels(a.schema.circle(at.place, members))
		}
		for _, dep := range a.schema.reads(at.place) {
			next := step{dep.on, at.excluded || dep.negated}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	cost.Relations = len(relations)
	return cost
}

// add takes operators up to operatorsMax; `except` is one, whichever role reads it.
func (c *Cost) add(operators []Operator) {
	for _, o := range operators {
		same := func(x Operator) bool { return x.Line == o.Line && x.Column == o.Column }
		if len(c.Verified) < operatorsMax && !slices.ContainsFunc(c.Verified, same) {
			c.Verified = append(c.Verified, o)
		}
	}
}

// operators finds what is no union, by the slot that it is part of.
func (c *compiler) operators() map[place][]Operator {
	found := make(map[place][]Operator)
	for _, d := range c.schema.definitions {
		tree := c.trees[d]
		for _, p := range tree.Permissions {
			c.operatorsIn(found, d, p.Name.Text, p.Expr)
		}
		for _, block := range tree.Roles {
			for _, r := range block.Roles {
				c.operatorsIn(found, d, r.Name.Text, r.Expr)
				if block.Except != nil {
					c.operator(found, d, r.Name.Text, "except", block.Except.Pos())
				}
			}
		}
	}
	c.eachRelation(func(d *Definition, stored *Relation, tree *syntax.Relation) {
		for _, t := range tree.Types {
			if t.Caveat != nil {
				at := place{d, stored.Slot}
				found[at] = append(found[at], Operator{"with " + t.Caveat.Text, at.String(), t.Caveat.At.Line, t.Caveat.At.Column})
			}
		}
	})
	return found
}

func (c *compiler) operator(found map[place][]Operator, d *Definition, name, text string, at syntax.Pos) {
	p := place{d, d.byName[rel.Name(name)].Slot}
	found[p] = append(found[p], Operator{text, p.String(), at.Line, at.Column})
}

// operatorsIn finds those of an expression, in source order.
func (c *compiler) operatorsIn(found map[place][]Operator, d *Definition, name string, e syntax.Expr) {
	type operator struct {
		text string
		at   syntax.Pos
	}
	var all []operator
	var visit func(e syntax.Expr)
	visit = func(e syntax.Expr) {
		switch e := syntax.Strip(e).(type) {
		case *syntax.BinaryExpr:
			if e.Op != syntax.Union {
				all = append(all, operator{string(e.Op), e.At})
			}
			visit(e.Left)
			if e.Op != syntax.Exclusion {
				visit(e.Right)
			}
		case *syntax.ArrowExpr:
			if e.Kind == syntax.All {
				all = append(all, operator{".all(" + e.Target.Text + ")", e.At})
			}
			visit(e.Left)
		}
	}
	visit(e)
	slices.SortStableFunc(all, func(a, b operator) int { return cmp.Compare(a.at.Offset, b.at.Offset) })
	for _, o := range all {
		c.operator(found, d, name, o.text, o.at)
	}
}
