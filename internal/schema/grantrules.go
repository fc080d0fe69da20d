package schema

import (
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A Rule is who may write: what an actor must hold. The zero Rule is nobody.
type Rule struct {
	Text       string // the expression as it was written
	ExceptSelf bool   // not where the tuple's subject is the actor
	Line       int    // of its first word, `granted`, `revoked` or `created`
	// Expr is what must be held, over slots of the tuple's object, with OpSubject for
	// the object that the tuple's subject names. Nil in the zero Rule.
	Expr *Expr
	// Walked are the slots of the object's relations at which arrows of the rule start.
	Walked Slots
}

// IsZero reports whether nobody may write by the rule, for there is none.
func (r Rule) IsZero() bool { return r.Expr == nil }

// String is the rule as it was written.
func (r Rule) String() string {
	if r.ExceptSelf {
		return r.Text + " except self"
	}
	return r.Text
}

// AsksSubject reports whether `subject->` stands in the expression of a rule.
func (e *Expr) AsksSubject() bool {
	switch e.Op {
	case OpSubject:
		return true
	case OpUnion, OpIntersection, OpExclusion:
		return e.Left.AsksSubject() || e.Right.AsksSubject()
	default:
		return false
	}
}

// compileRules compiles the rules on who may write. Their arrows get slots of
// their own, where no other expression has them, after all others: what gives
// access does not depend on who may write.
func (c *compiler) compileRules() {
	for _, d := range c.schema.definitions {
		d.rulesFrom = len(d.slots)
	}
	for _, d := range c.schema.definitions {
		for i, created := range c.trees[d].CreatedBys {
			rule := c.rule(d, nil, created.Expr)
			rule.Line = created.At.Line
			if i == 0 {
				d.createdBy = rule
			}
		}
	}
	c.eachRelation(func(d *Definition, r *Relation, tree *syntax.Relation) {
		if tree.Granted != nil {
			r.GrantedBy = c.writeRule(d, r, tree.Granted)
			r.RevokedBy = r.GrantedBy
		}
		if tree.Revoked != nil {
			r.RevokedBy = c.writeRule(d, r, tree.Revoked)
		}
	})
}

func (c *compiler) writeRule(d *Definition, r *Relation, tree *syntax.Rule) Rule {
	rule := c.rule(d, r, tree.Expr)
	rule.ExceptSelf, rule.Line = tree.ExceptSelf, tree.At.Line
	return rule
}

// rule compiles one rule's expression; r is nil for `created by`, in which there is
// no `subject->`.
func (c *compiler) rule(d *Definition, r *Relation, e syntax.Expr) Rule {
	b := &planner{compiler: c, definition: d, ruled: r}
	rule := Rule{Text: syntax.Text(e), Expr: b.expr(e)}
	if c.tooLarge {
		return rule // nothing is returned
	}
	var read Slots
	rule.Expr.slots(&read)
	for s := range read.All() {
		if plan := d.Plan(s); plan.Kind == Arrow || plan.Kind == All {
			rule.Walked.Add(plan.Relation.Slot)
		}
	}
	return rule
}

// subjectExpr compiles `subject->NAME`: the slots of that name, by the types that
// the relation's subjects have.
func (b *planner) subjectExpr(e *syntax.SubjectExpr) *Expr {
	targets := make(map[rel.ObjectType]Slot)
	var behind []*Definition
	for _, typ := range typesBehind(b.ruled) {
		d := b.schema.byType[typ]
		behind = append(behind, d)
		if n := d.byName[rel.Name(e.Target.Text)]; n != nil {
			targets[typ] = n.Slot
		}
	}
	switch {
	case len(targets) > 0:
	case len(behind) > 0:
		b.nameMustExist(e.Target.At, e.Target.Text, "", behind...)
	case len(b.ruled.Forms) > 0:
		b.arrowGoesOverWildcards(e.Target.At, "subject->"+e.Target.Text, b.ruled.Name)
	}
	return &Expr{Op: OpSubject, Targets: targets}
}
