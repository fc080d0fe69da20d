package schema

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// lookForWhatIsNotMeant warns of what compiles and is probably a slip. What an
// author may well want is left alone: a warning that has to be lived with makes
// the next one unread. The warnings on one place (operators without parentheses,
// arrows to nothing) are given where it is compiled.
func (c *compiler) lookForWhatIsNotMeant() {
	reading := c.findReading()
	c.warnOfUnusedPartials()
	c.warnOfUnusedCaveats()
	c.warnOfUnreadRelations(reading)
	c.warnOfWhatNobodyHolds()
	c.warnOfLooseLinks(reading)
	c.warnOfLowerRolesThatGrant()
}

func (c *compiler) warnOfUnusedCaveats() {
	used := make(map[string]bool)
	c.eachRelation(func(_ *Definition, _ *Relation, tree *syntax.Relation) {
		for _, t := range tree.Types {
			if t.Caveat != nil {
				used[t.Caveat.Text] = true
			}
		}
	})
	for _, x := range c.file.Caveats {
		if !used[x.Name.Text] {
			c.caveatIsUnused(x.Name.At, x.Name.Text)
		}
	}
}

// A reading is what a schema's expressions, rules and clauses read of what is stored.
type reading struct {
	read   map[*Relation]bool // by anything but itself
	walked map[*Relation]bool // by an arrow
}

func (c *compiler) findReading() reading {
	r := reading{make(map[*Relation]bool), make(map[*Relation]bool)}
	for _, d := range c.schema.definitions {
		for slot := range d.slots {
			r.slot(c.schema, place{d, Slot(slot)})
		}
		for _, created := range c.trees[d].CreatedBys {
			r.rule(c.schema, d, nil, created.Expr)
		}
		for _, name := range d.within {
			r.read[d.Relation(name)] = true
		}
	}
	c.eachRelation(func(d *Definition, stored *Relation, tree *syntax.Relation) {
		for _, rule := range []*syntax.Rule{tree.Granted, tree.Revoked} {
			if rule != nil {
				r.rule(c.schema, d, stored, rule.Expr)
			}
		}
		for _, name := range []rel.Name{stored.Of, stored.With} {
			if name != "" {
				r.read[d.Relation(name)] = true
			}
		}
	})
	return r
}

// slot notes what a slot reads.
func (r *reading) slot(s *Schema, p place) {
	if plan := p.definition.Plan(p.slot); plan.Kind == Arrow || plan.Kind == All {
		r.walk(plan.Relation)
	}
	for _, dep := range s.reads(p) {
		if on := dep.on.definition.Plan(dep.on.slot); dep.on != p && on.Kind == Stored {
			r.read[on.Relation] = true
		}
	}
}

func (r *reading) walk(over *Relation) {
	r.read[over] = true
	r.walked[over] = true
}

func (r *reading) name(d *Definition, name string) *Relation {
	stored := d.Relation(rel.Name(name))
	if stored != nil {
		r.read[stored] = true
	}
	return stored
}

// rule notes what a rule on who may write reads; of is the relation that it is
// about, nil for `created by`. The left side of an arrow is noted as walked, and
// with it every relation that a nested arrow goes over.
func (r *reading) rule(s *Schema, d *Definition, of *Relation, e syntax.Expr) {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		r.name(d, e.Name.Text)
	case *syntax.BinaryExpr:
		r.rule(s, d, of, e.Left)
		r.rule(s, d, of, e.Right)
	case *syntax.ArrowExpr:
		r.arrow(s, d, e)
	case *syntax.SubjectExpr:
		for _, typ := range typesBehind(of) {
			r.name(s.byType[typ], e.Target.Text)
		}
	}
}

// arrow notes an arrow of a rule, and answers the relations that its end is.
func (r *reading) arrow(s *Schema, d *Definition, e syntax.Expr) (ends []*Relation) {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		if stored := r.name(d, e.Name.Text); stored != nil {
			ends = append(ends, stored)
		}
	case *syntax.ArrowExpr:
		had := make(map[*Relation]bool)
		for _, over := range r.arrow(s, d, e.Left) {
			r.walk(over)
			for _, typ := range typesBehind(over) {
				if stored := r.name(s.byType[typ], e.Target.Text); stored != nil && !had[stored] {
					had[stored] = true
					ends = append(ends, stored)
				}
			}
		}
	}
	return ends
}

// warnOfUnreadRelations names relations that change no access. Not warned of are
// those with a rule, which are kept as notes and administered like grants, and
// those of types that compute nothing, which are asked for themselves. A partial
// is right where one of the types that include it reads what it declares.
func (c *compiler) warnOfUnreadRelations(r reading) {
	type unread struct {
		d *Definition
		r *Relation
	}
	found := make(map[syntax.Pos]unread)
	needed := make(map[syntax.Pos]bool)
	c.eachRelation(func(d *Definition, stored *Relation, tree *syntax.Relation) {
		computes := slices.ContainsFunc(d.names, func(n *Declared) bool { return n.Kind != KindRelation })
		switch {
		case stored.Rank != NoRank, r.read[stored], tree.Granted != nil, tree.Revoked != nil, !computes:
			needed[tree.Name.At] = true
		default:
			found[tree.Name.At] = unread{d, stored}
		}
	})
	for at, u := range found {
		if !needed[at] {
			c.relationIsUnread(at, u.d.Type, u.r.Name)
		}
	}
}

// warnOfLooseLinks names relations over which an arrow gives access, and which
// whoever has a right on the other end alone can take away.
func (c *compiler) warnOfLooseLinks(r reading) {
	c.eachRelation(func(d *Definition, stored *Relation, tree *syntax.Relation) {
		rule := tree.Revoked
		if rule == nil {
			rule = tree.Granted
		}
		if rule == nil || !r.walked[stored] || len(typesBehind(stored)) == 0 {
			return
		}
		if alone := subjectAlone(rule.Expr); alone != nil {
			c.linkShouldBeGuarded(rule.At, d.Type, stored.Name, syntax.Text(alone))
		}
	})
}

// subjectAlone is the part of a rule that asks for rights on the tuple's subject
// and nothing else, and is enough; nil where there is none.
func subjectAlone(e syntax.Expr) syntax.Expr {
	e = syntax.Strip(e)
	switch x := e.(type) {
	case *syntax.SubjectExpr:
		return x
	case *syntax.BinaryExpr:
		left, right := subjectAlone(x.Left), subjectAlone(x.Right)
		switch {
		case x.Op == syntax.Union && left != nil && right == nil:
			return left
		case x.Op == syntax.Union && left == nil:
			return right
		case left == nil, x.Op == syntax.Intersection && right == nil:
			return nil
		}
		return e
	}
	return nil
}

// warnOfLowerRolesThatGrant names rules by which a role is enough to make
// somebody a higher one, themselves for a start.
func (c *compiler) warnOfLowerRolesThatGrant() {
	known := make(map[*Definition]ranking)
	c.eachRelation(func(d *Definition, stored *Relation, tree *syntax.Relation) {
		if len(d.ladder) == 0 || tree.Granted == nil {
			return
		}
		ranks, have := known[d]
		if !have {
			ranks = rankPermissions(d, c.trees[d])
			known[d] = ranks
		}
		enough := ranks.enough(tree.Granted.Expr)
		given := stored.Rank
		if given == NoRank {
			given = d.highestGiven(stored)
		}
		if enough < given {
			c.lowerRoleShouldNotGrant(tree.Granted.At, d.ladder[enough].Name, d.ladder[given].Name, stored)
		}
	})
}

// A ranking knows which role is enough for each permission of a definition.
type ranking struct {
	d     *Definition
	ranks map[rel.Name]int // of permissions; one that is missing does not help itself
}

// rankPermissions ranks each permission behind those that it reads, and all again
// where they read each other in a circle. Each is looked at once a round, however
// many ways lead to it: `a = b + b`, `b = c + c` and so on has more than can be walked.
func rankPermissions(d *Definition, tree *syntax.Definition) ranking {
	r := ranking{d, make(map[rel.Name]int)}
	exprs := make(map[rel.Name]syntax.Expr)
	for _, p := range tree.Permissions {
		exprs[rel.Name(p.Name.Text)] = p.Expr
	}
	for changed := true; changed; {
		changed = false
		done := make(map[rel.Name]bool)
		var visit func(name rel.Name)
		visit = func(name rel.Name) {
			if exprs[name] == nil || done[name] {
				return
			}
			done[name] = true
			var read Slots
			d.slots[d.byName[name].Slot].Expr.slots(&read)
			for slot := range read.All() {
				visit(rel.Name(d.slots[slot].Label))
			}
			if rank := r.enough(exprs[name]); rank < r.rankOf(name) {
				r.ranks[name] = rank
				changed = true
			}
		}
		for _, p := range tree.Permissions {
			visit(rel.Name(p.Name.Text))
		}
	}
	return r
}

func (r ranking) rankOf(name rel.Name) int {
	if rank, known := r.ranks[name]; known {
		return rank
	}
	return noRole
}

// noRole says that no role alone is enough: an arrow, a relation or `subject->`
// is asked for, too.
const noRole = SlotsMax

// enough is the rank of the lowest role that satisfies an expression by itself.
func (r ranking) enough(e syntax.Expr) int {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		return r.name(rel.Name(e.Name.Text))
	case *syntax.BinaryExpr:
		switch e.Op {
		case syntax.Union:
			return min(r.enough(e.Left), r.enough(e.Right))
		case syntax.Intersection:
			return max(r.enough(e.Left), r.enough(e.Right))
		default:
			return r.enough(e.Left)
		}
	}
	return noRole
}

func (r ranking) name(name rel.Name) int {
	if n := r.d.byName[name]; n != nil && n.Kind == KindRole {
		return slices.Index(r.d.ladder, n)
	}
	return r.rankOf(name)
}

// highestGiven is the rank of the highest role that a tuple of a relation gives by
// itself; NoRank for none.
func (d *Definition) highestGiven(r *Relation) int {
	for i := len(d.ladder) - 1; i >= 0; i-- {
		if d.gives(r.Slot, d.ladder[i].Slot, new(Slots)) {
			return i
		}
	}
	return NoRank
}

// gives reports whether holding one slot of an object is enough for another.
func (d *Definition) gives(held, wanted Slot, seen *Slots) bool {
	if held == wanted {
		return true
	}
	if !seen.Add(wanted) || d.slots[wanted].Kind != Computed {
		return false
	}
	var enough func(e *Expr) bool
	enough = func(e *Expr) bool {
		switch e.Op {
		case OpSlot:
			return d.gives(held, e.Slot, seen)
		case OpUnion:
			return enough(e.Left) || enough(e.Right)
		case OpExclusion:
			return enough(e.Left)
		default:
			return false
		}
	}
	return enough(d.slots[wanted].Expr)
}
