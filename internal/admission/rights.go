package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Rights says what the actor of a write holds on the state before it.
type Rights interface {
	// Held is what it holds of a slot of an object: for certain, or if every open
	// condition turns out true.
	Held(ctx context.Context, o rel.Object, s schema.Slot) (certain, possible bool, err error)
	// With is what it holds if these tuples join the state.
	With(tuples []rel.Tuple) Rights
	// Holding is its role on an object and its permissions there, as far as they are
	// certain, for a refusal that says what is held instead.
	Holding(ctx context.Context, o rel.Object) (role string, permissions []string, err error)
}

// An act is what an update does to one tuple, to be judged by who may do that.
type act struct {
	field string // of the update
	tuple rel.Tuple
	// adds asks for `granted by`, takes for `revoked by`: a change of a tuple's
	// attributes is both.
	adds, takes bool
}

// acts notes what an update does, on the state that those before it left.
func (j *judge) acts(a act) {
	if j.actor != (rel.Subject{}) {
		j.acted = append(j.acted, a)
	}
}

// mayWrite judges who may write. It is judged on the state before the write, and
// for every update by itself: one that is undone by a later one was not free.
func (j *judge) mayWrite(Write) {
	created := make(map[rel.Object]bool)
	for _, a := range j.acted {
		c := j.creationOf(a.tuple.Object)
		if j.err != nil {
			return
		}
		if a.adds && c != nil && !created[a.tuple.Object] {
			created[a.tuple.Object] = true
			j.mayCreate(a, c)
		}
		r := j.relation(a.tuple)
		if a.adds {
			j.mayDo(a, c, "add", "granted by", r.GrantedBy)
		}
		if a.takes {
			j.mayDo(a, c, "take away", "revoked by", r.RevokedBy)
		}
		if j.fail(nil) {
			return
		}
	}
}

// mayCreate asks for `created by`, once for each new object.
func (j *judge) mayCreate(a act, c *creation) {
	d := j.schema.Definition(a.tuple.Object.Type())
	rule := d.CreatedBy()
	if rule.IsZero() {
		j.forbid(a, rule, fmt.Sprintf("%s may not create %s: type %q has no `created by`, so no actor creates objects of it", j.actor, a.tuple.Object, d.Type),
			"write it as the application itself, without an actor, or give the type a `created by`")
		return
	}
	v := ruling{judge: j, object: a.tuple.Object, created: c, creates: true}
	if v.eval(rule, rule.Expr) != yes && j.err == nil {
		j.forbid(a, rule, fmt.Sprintf("%s may not create %s: that takes %s (created by %s, line %d of the schema)%s",
			j.actor, a.tuple.Object, v.lacks(rule), rule, rule.Line, v.instead(rule)), "let somebody act who holds it")
	}
}

// mayDo asks for one rule of a tuple's relation.
func (j *judge) mayDo(a act, c *creation, verb, clause string, rule schema.Rule) {
	if j.err != nil {
		return
	}
	r := j.relation(a.tuple)
	switch v := (ruling{judge: j, object: a.tuple.Object, subject: a.tuple.Subject, created: c}); {
	case rule.IsZero():
		j.forbid(a, rule, fmt.Sprintf("%s may not %s %s: relation %q of type %q has no `%s`, so no actor writes it", j.actor, verb, a.tuple.Key, r.Name, r.Type, clause),
			"write it as the application itself, without an actor, or give the relation a rule")
	case rule.ExceptSelf && a.tuple.Subject == j.actor:
		j.forbid(a, rule, fmt.Sprintf("%s may not %s %s: its subject is the one who acts (%s %s, line %d of the schema)", j.actor, verb, a.tuple.Key, clause, rule, rule.Line),
			"let somebody else act")
	case v.eval(rule, rule.Expr) != yes && j.err == nil:
		j.forbid(a, rule, fmt.Sprintf("%s may not %s %s: that takes %s (%s %s, line %d of the schema)%s",
			j.actor, verb, a.tuple.Key, v.lacks(rule), clause, rule, rule.Line, v.instead(rule)), "let somebody act who holds it")
	}
}

// forbid records a refusal. What leads to it was read by now, so a failure to read
// comes before it.
func (j *judge) forbid(a act, rule schema.Rule, summary, remedy string) {
	if j.fail(nil) {
		return
	}
	f := fault.New(fault.ActorMustBeAllowedToGrant, summary).Do("%s", remedy).In(a.field).
		With("tuple", a.tuple.String()).With("actor", j.actor.String())
	if !rule.IsZero() {
		f.With("rule", rule.String()).With("line", fmt.Sprint(rule.Line))
	}
	j.breach(f)
}

// A truth is no, conditional or yes, in this order. The zero truth is no.
type truth int8

const (
	no truth = iota
	conditional
	yes
)

// A ruling is one rule judged for one tuple.
type ruling struct {
	*judge
	object  rel.Object
	subject rel.Subject // of the tuple; zero in `created by`
	created *creation   // nil where the object was there before
	creates bool        // the rule is `created by`
	// excluded says that what is judged stands to the right of a `-`.
	excluded bool
}

func (v ruling) eval(rule schema.Rule, e *schema.Expr) truth {
	switch e.Op {
	case schema.OpSelf:
		return truthOf(rel.Of(v.object) == v.actor)
	case schema.OpSlot:
		return v.slot(rule, e.Slot)
	case schema.OpSubject:
		o, s, leads := v.subjectSlot(e)
		if !leads {
			return no
		}
		return v.held(v.rights, o, s)
	case schema.OpUnion:
		if left := v.eval(rule, e.Left); left != yes {
			return max(left, v.eval(rule, e.Right))
		}
		return yes
	case schema.OpIntersection:
		if left := v.eval(rule, e.Left); left != no {
			return min(left, v.eval(rule, e.Right))
		}
		return no
	case schema.OpExclusion:
		left := v.eval(rule, e.Left)
		if left == no {
			return no
		}
		v.excluded = true
		return min(left, yes-v.eval(rule, e.Right))
	default:
		return no
	}
}

// slot is what the actor holds on the tuple's object. On a new one a name counts
// as held, for whoever may create an object says what stands on it, and as not
// held where that would take a right away. That is so in the rules of its tuples;
// `created by` itself is what gives that leave, and is judged.
func (v ruling) slot(rule schema.Rule, s schema.Slot) truth {
	if v.created == nil {
		return v.held(v.rights, v.object, s)
	}
	plan := v.schema.Definition(v.object.Type()).Plan(s)
	if !v.creates && plan.Kind != schema.Arrow && plan.Kind != schema.All {
		return truthOf(!v.excluded)
	}
	return v.held(v.rightsOver(rule), v.object, s)
}

func (v ruling) held(rights Rights, o rel.Object, s schema.Slot) truth {
	if v.fail(nil) {
		return no
	}
	certain, possible, err := rights.Held(v.ctx, o, s)
	switch {
	case v.fail(err):
		return no
	case certain:
		return yes
	case possible:
		return conditional
	default:
		return no
	}
}

// subjectSlot is the slot that `subject->NAME` asks for. A wildcard names no object.
func (v ruling) subjectSlot(e *schema.Expr) (o rel.Object, s schema.Slot, leads bool) {
	if o, leads = v.subject.Object(); leads {
		s, leads = e.Targets[o.Type()]
	}
	return o, s, leads
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// lacks says what of a rule the actor does not hold, as far as that decides.
func (v ruling) lacks(rule schema.Rule) string {
	text := v.lacking(rule, rule.Expr)
	if text == "" { // only where reading failed, and then nobody is told
		return rule.Text
	}
	return text
}

func (v ruling) lacking(rule schema.Rule, e *schema.Expr) string {
	if v.eval(rule, e) == yes {
		return ""
	}
	only := func(value truth) string {
		if value == conditional {
			return ", and not under a condition"
		}
		return ""
	}
	switch e.Op {
	case schema.OpSlot:
		return fmt.Sprintf("%s on %s", v.schema.Definition(v.object.Type()).Plan(e.Slot).Label, v.object) + only(v.eval(rule, e))
	case schema.OpSubject:
		if o, s, leads := v.subjectSlot(e); leads {
			return fmt.Sprintf("%s on %s", v.schema.Definition(o.Type()).Plan(s).Label, o) + only(v.eval(rule, e))
		}
		return fmt.Sprintf("a right on the object that %s names", v.subject)
	case schema.OpSelf:
		return "to be " + v.object.String()
	case schema.OpUnion, schema.OpIntersection:
		word := map[schema.ExprOp]string{schema.OpUnion: " or ", schema.OpIntersection: " and "}[e.Op]
		var parts []string
		for _, side := range []*schema.Expr{e.Left, e.Right} {
			if part := v.lacking(rule, side); part != "" {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, word)
	case schema.OpExclusion:
		if left := v.lacking(rule, e.Left); left != "" {
			return left
		}
		return "nothing of what the rule excludes"
	default:
		return "what nobody holds"
	}
}

// permissionsToldMax bounds the permissions that a refusal names.
const permissionsToldMax = 5

// objectsToldMax bounds the objects of which a refusal says what is held there.
const objectsToldMax = 3

// instead says what the actor holds on the objects that the rule looks at: on a new
// one nobody holds anything, and it looks at those that the new one is linked to.
func (v ruling) instead(rule schema.Rule) string {
	objects := []rel.Object{v.object}
	if v.created != nil {
		objects = objects[:0]
		for _, t := range v.links(v.object) {
			if o, ok := plainObject(t.Subject); ok && rule.Walked.Has(v.relation(t).Slot) {
				objects = append(objects, o)
			}
		}
	}
	if o, named := v.subject.Object(); named && rule.Expr.AsksSubject() && !slices.Contains(objects, o) {
		objects = append(objects, o)
	}
	if len(objects) == 0 {
		return ""
	}
	var texts []string
	for _, o := range objects[:min(len(objects), objectsToldMax)] {
		role, permissions, err := v.rights.Holding(v.ctx, o)
		if v.fail(err) {
			return ""
		}
		switch {
		case role != "":
			texts = append(texts, fmt.Sprintf("is %s on %s", role, o))
		case len(permissions) > 0:
			texts = append(texts, fmt.Sprintf("holds %s on %s", fault.List(permissions, permissionsToldMax), o))
		default:
			texts = append(texts, "holds nothing on "+o.String())
		}
	}
	return fmt.Sprintf(", and %s %s", v.actor, strings.Join(texts, " and "))
}
