package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// buildSlots gives every name, stored part and arrow its slot, and compiles the
// expressions. Names come first, so that a definition's names keep their slots
// whatever its expressions say.
func (c *compiler) buildSlots() {
	for _, d := range c.schema.definitions {
		c.nameSlots(d)
	}
	c.arrows = make(map[arrowKey]Slot)
	for _, d := range c.schema.definitions {
		b := &planner{compiler: c, definition: d}
		b.permissions(c.trees[d])
		if tree := c.trees[d]; len(tree.Roles) > 0 {
			b.ladder(tree.Roles[0])
		}
	}
}

func (c *compiler) nameSlots(d *Definition) {
	for _, n := range d.names {
		plan := SlotPlan{Kind: Computed, Label: string(n.Name)}
		switch n.Kind {
		case KindRelation:
			plan.Kind, plan.Relation = Stored, n.Relation
		case KindRole:
			plan.IsRole = true
		}
		n.Slot = c.addSlot(d, plan)
		d.asked.Add(n.Slot)
		if n.Relation != nil {
			n.Relation.Slot = n.Slot
		}
	}
	for _, n := range d.ladder {
		if n.Relation != nil {
			n.Relation.Slot = c.addSlot(d, SlotPlan{Kind: Stored, Relation: n.Relation, Label: string(n.Name)})
		}
	}
}

func (c *compiler) addSlot(d *Definition, plan SlotPlan) Slot {
	d.slots = append(d.slots, plan)
	if len(d.slots) == SlotsMax+1 {
		c.tooManySlots(d)
		c.tooLarge = true
	}
	return Slot(len(d.slots) - 1) // wraps where the bound was broken, and then nothing is returned
}

func (c *compiler) tooManySlots(d *Definition) {
	c.mustStayWithinBounds(c.trees[d].Name.At, fmt.Sprintf("type %q has more than %d names, arrows and stored roles", d.Type, SlotsMax),
		"split it into two types joined by a relation")
}

// An arrowKey tells arrows apart: where they start, and how they go on, as text.
type arrowKey struct {
	relation *Relation
	path     string
}

// A hop is one step of an arrow: `->name`, `.any(name)`, `.all(name)`. Of a nested
// arrow all names but the last are relations of the objects on the way.
type hop struct {
	all  bool
	name syntax.Ident
}

func (h hop) String() string {
	if h.all {
		return ".all(" + h.name.Text + ")"
	}
	return "->" + h.name.Text // `.any` means the same
}

func pathOf(hops []hop) string {
	var b strings.Builder
	for _, h := range hops {
		b.WriteString(h.String())
	}
	return b.String()
}

// A planner compiles the expressions of one definition.
type planner struct {
	*compiler
	definition *Definition
	inside     rel.Name  // whose expression is compiled; empty for `roles except` and for rules
	ruled      *Relation // whose rule is compiled; nil outside rules
}

func (b *planner) permissions(tree *syntax.Definition) {
	for _, p := range tree.Permissions {
		b.inside = rel.Name(p.Name.Text)
		expr := b.expr(p.Expr)
		if n := b.definition.byName[rel.Name(p.Name.Text)]; n != nil && n.Kind == KindPermission {
			b.definition.slots[n.Slot].Expr = expr
			n.Text = syntax.Text(p.Expr)
		}
	}
}

// ladder compiles the roles from the highest to the lowest:
//
//	holds(role i) = (stored(role i) + EXPR(role i) + holds(role i+1)) - except
func (b *planner) ladder(block *syntax.Roles) {
	d := b.definition
	var except *Expr
	b.inside = ""
	if block.Except != nil {
		except = b.expr(block.Except)
		d.except = syntax.Text(block.Except)
	}
	inherited := b.inherits(block)
	for i := len(d.ladder) - 1; i >= 0; i-- {
		n := d.ladder[i]
		b.inside = n.Name
		var sum *Expr
		join := func(e *Expr) {
			if sum == nil {
				sum = e
			} else {
				sum = &Expr{Op: OpUnion, Left: sum, Right: e}
			}
		}
		if n.Relation != nil {
			join(&Expr{Op: OpSlot, Slot: n.Relation.Slot})
		}
		for _, tree := range block.Roles {
			if tree.Name.Text == string(n.Name) && tree.Expr != nil {
				n.Text = syntax.Text(tree.Expr)
				join(b.expr(tree.Expr))
				break
			}
		}
		for _, s := range inherited[n.Name] {
			join(&Expr{Op: OpSlot, Slot: s})
		}
		if i+1 < len(d.ladder) {
			join(&Expr{Op: OpSlot, Slot: d.ladder[i+1].Slot})
		}
		if sum == nil {
			b.nobodyHolds(block, n)
			sum = &Expr{Op: OpNil}
		}
		if except != nil {
			sum = &Expr{Op: OpExclusion, Left: sum, Right: except}
		}
		d.slots[n.Slot].Expr = sum
	}
}

// nobodyHolds reports a role without a source: no types, no expression, nothing
// inherited, and no role above it.
func (b *planner) nobodyHolds(block *syntax.Roles, n *Declared) {
	for _, tree := range block.Roles {
		if tree.Name.Text == string(n.Name) && len(tree.Types) == 0 && len(block.Inherits) > 0 {
			b.roleMustHaveASource(tree.Name.At, tree.Name.Text)
		}
	}
}

// inherits are the arrows that `inherit from` stands for, by role.
func (b *planner) inherits(block *syntax.Roles) map[rel.Name][]Slot {
	found := make(map[rel.Name][]Slot)
	for _, in := range block.Inherits {
		r := b.storedRelation(b.definition, in.Rel, fault.ArrowMustStartAtARelation, "inherit from")
		if r == nil {
			continue
		}
		if slices.Contains(b.definition.inherits, r.Name) {
			b.clauseMustFit(in.Rel.At, fmt.Sprintf("the roles of type %q inherit from %q twice", b.definition.Type, r.Name), "write it once")
			continue
		}
		b.definition.inherits = append(b.definition.inherits, r.Name)
		behind := typesBehind(r)
		any := false
		for _, role := range b.definition.ladder {
			for _, typ := range behind {
				if b.schema.byType[typ].byName[role.Name] == nil {
					continue
				}
				found[role.Name] = append(found[role.Name], b.arrow(r, []hop{{name: syntax.Ident{Text: string(role.Name)}}}))
				any = true
				break
			}
		}
		if !any && len(r.Forms) > 0 {
			b.inheritMustFind(in.Rel.At, b.definition.Type, string(r.Name), texts(behind))
		}
	}
	return found
}

// arrow is the slot of an arrow: one, however often it is written. The hops of a
// nested arrow have slots of their own on the types on the way.
func (c *compiler) arrow(r *Relation, hops []hop) Slot {
	if c.tooLarge {
		return 0 // nothing is returned, and a chain of a thousand hops is not followed
	}
	key := arrowKey{r, pathOf(hops)}
	if s, have := c.arrows[key]; have {
		return s
	}
	d := c.schema.byType[r.Type]
	plan := SlotPlan{Kind: Arrow, Relation: r, Label: string(r.Name) + key.path, Targets: make(map[rel.ObjectType]Slot)}
	if hops[0].all {
		plan.Kind = All
	}
	s := c.addSlot(d, plan)
	c.arrows[key] = s
	for _, typ := range typesBehind(r) {
		behind := c.schema.byType[typ].byName[rel.Name(hops[0].name.Text)]
		if c.step(hops[0].name.At, 1); c.tooLarge {
			return s
		}
		switch {
		case behind == nil:
		case len(hops) == 1:
			plan.Targets[typ] = behind.Slot
		case behind.Relation != nil:
			plan.Targets[typ] = c.arrow(behind.Relation, hops[1:])
		}
	}
	return s
}

// expr compiles an expression; what makes no sense is reported and counts as nil.
func (b *planner) expr(e syntax.Expr) *Expr {
	switch e := e.(type) {
	case nil:
		return &Expr{Op: OpNil} // the parser has said so
	case *syntax.ParenExpr:
		return b.expr(e.X)
	case *syntax.NilExpr:
		return &Expr{Op: OpNil}
	case *syntax.NameExpr:
		n := b.definition.byName[rel.Name(e.Name.Text)]
		if n == nil {
			b.nameMustExist(e.Name.At, e.Name.Text, b.inside, b.definition)
			return &Expr{Op: OpNil}
		}
		return &Expr{Op: OpSlot, Slot: n.Slot}
	case *syntax.ArrowExpr:
		return b.arrowExpr(e)
	case *syntax.BinaryExpr:
		b.checkMixing(e)
		return &Expr{Op: exprOps[e.Op], Left: b.expr(e.Left), Right: b.expr(e.Right)}
	case *syntax.SelfExpr:
		return &Expr{Op: OpSelf}
	case *syntax.SubjectExpr:
		if b.ruled != nil {
			return b.subjectExpr(e)
		}
		b.clauseMustFit(e.At, fmt.Sprintf("subject->%s stands outside a rule", e.Target.Text), "use it in `granted by` and `revoked by` alone")
	}
	return &Expr{Op: OpNil}
}

var exprOps = map[syntax.Op]ExprOp{
	syntax.Union:        OpUnion,
	syntax.Intersection: OpIntersection,
	syntax.Exclusion:    OpExclusion,
}

func (b *planner) arrowExpr(e *syntax.ArrowExpr) *Expr {
	r, hops, ok := b.checkArrow(b.definition, e)
	if !ok {
		return &Expr{Op: OpNil}
	}
	return &Expr{Op: OpSlot, Slot: b.arrow(r, hops)}
}

// checkArrow finds the relation that an arrow starts at, and its hops. A hop that
// leads nowhere is a warning: it may be meant for a type to come.
func (c *compiler) checkArrow(d *Definition, e *syntax.ArrowExpr) (*Relation, []hop, bool) {
	var hops []hop
	var left syntax.Expr = e
	for {
		arrow, ok := syntax.Strip(left).(*syntax.ArrowExpr)
		if !ok {
			break
		}
		if _, err := rel.ParseName(arrow.Target.Text); err != nil {
			c.nameMustBeValid(arrow.Target.At, err)
			return nil, nil, false
		}
		hops = append(hops, hop{arrow.Kind == syntax.All, arrow.Target})
		left = arrow.Left
	}
	slices.Reverse(hops)
	start, ok := syntax.Strip(left).(*syntax.NameExpr)
	if !ok {
		c.clauseMustFit(e.At, "an arrow starts at something that is no name", "start it at a relation, or give the left side a permission of its own")
		return nil, nil, false
	}
	r := c.storedRelation(d, start.Name, fault.ArrowMustStartAtARelation, "the arrow "+start.Name.Text+pathOf(hops))
	if r == nil {
		return nil, nil, false
	}
	c.checkHops(r, hops, string(r.Name))
	return r, hops, true
}

// stepsMax bounds the steps from a relation to a type that all arrows of a schema
// take. An arrow is a few characters, may go on for thousands of hops, and each of
// them may lead to a thousand types. Half a million from arrow to type fit, since an
// arrow is both checked and compiled: five hundred types with a hundred arrows each,
// every one to ten types.
const stepsMax = 1_000_000

// step counts steps of an arrow, and says once where there are too many.
func (c *compiler) step(at syntax.Pos, steps int) {
	if c.steps += steps; c.steps > stepsMax && !c.tooLarge {
		c.tooLarge = true
		c.mustStayWithinBounds(at, fmt.Sprintf("the arrows of the schema take more than %d steps from a relation to a type", stepsMax),
			"let relations that arrows walk allow fewer types, and write shorter arrows")
	}
}

// checkHops warns of the first hop that none of the types before it has.
func (c *compiler) checkHops(r *Relation, hops []hop, walked string) {
	reached := []*Relation{r}
	for i, h := range hops {
		var next []*Relation
		var behind []string
		found := false
		had := make(map[*Relation]bool)
		for _, from := range reached {
			types := typesBehind(from)
			if c.step(h.name.At, len(types)); c.tooLarge {
				return
			}
			for _, typ := range types {
				behind = append(behind, string(typ))
				n := c.schema.byType[typ].byName[rel.Name(h.name.Text)]
				last := i == len(hops)-1
				found = found || n != nil && (last || n.Relation != nil)
				if n != nil && n.Relation != nil && !had[n.Relation] {
					had[n.Relation] = true
					next = append(next, n.Relation)
				}
			}
		}
		walked += h.String()
		if !found {
			switch forms := reached[0].Forms; {
			case len(behind) > 0:
				slices.Sort(behind)
				c.arrowFindsNothing(h.name.At, walked, slices.Compact(behind))
			case len(forms) > 0: // otherwise its types are the error
				c.arrowGoesOverWildcards(h.name.At, walked, reached[0].Name)
			}
			return
		}
		reached = next
	}
}

// checkMixing warns where two operators meet without parentheses.
func (c *compiler) checkMixing(e *syntax.BinaryExpr) {
	for _, side := range []syntax.Expr{e.Left, e.Right} {
		if inner, ok := side.(*syntax.BinaryExpr); ok && inner.Op != e.Op {
			c.operatorsAreMixed(e.At, e.Op, inner.Op)
			return
		}
	}
}
