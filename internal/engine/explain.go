package engine

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Bounds on an explanation, beside those of its reasons. It is asked for by a person
// about one answer, and may cost more than that; where it would cost more than this,
// it is cut.
const (
	explainReadsMax   = 50_000
	explainFollowsMax = 200_000
)

// An Explanation says why an answer is what it is.
type Explanation struct {
	Reason *Reason
	// Openings are tuples that would each turn a denial round, by itself.
	Openings []rel.Tuple
	Cost     Cost // beside the answer's
}

// WhyCheck explains the answer to a Check of this walk, which was asked for reasons.
// It never changes the answer, and where its own budget or the caller's time runs
// out, it is cut; what fails is reading.
func (w *Walk) WhyCheck(ctx context.Context, object rel.Object, name rel.Name, answer Answer) (Explanation, error) {
	d, err := w.schema.MustDefine(object.Type())
	if err != nil {
		return Explanation{}, err
	}
	declared, err := d.MustHave(name)
	if err != nil {
		return Explanation{}, err
	}
	e := w.explainer(ctx)
	p := pair{w.node(object, d), declared.Slot}
	var reason *Reason
	if answer.Result == Denied {
		reason = e.denied(p, 0)
		e.work()
	} else {
		reason = e.holds(p, telling{})
		e.work()
	}
	reason = reason.tidied().within(reasonDepthMax)
	if reason.Step == StepAnyOf || reason.Step == StepRoleBelow {
		for _, way := range reason.Because {
			way.Role = roleOf(way, object, d)
		}
	}
	explanation := Explanation{Reason: reason}
	if answer.Result == Denied {
		explanation.Openings = e.openings(object, []pair{p}, func(w *Walk) (bool, error) {
			a, err := w.Check(ctx, object, name)
			return a.Result == Granted, err
		})
	}
	explanation.Cost = e.cost()
	return explanation, e.failure()
}

// WhyAccess explains an Access of this walk likewise: the role, or, where there is
// none, its absence.
func (w *Walk) WhyAccess(ctx context.Context, object rel.Object, access Access) (Explanation, error) {
	d, err := w.schema.MustDefine(object.Type())
	if err != nil {
		return Explanation{}, err
	}
	e := w.explainer(ctx)
	n := w.node(object, d)
	top := &Reason{Object: object, Step: StepAnyOf}
	e.access(top, n, access)
	e.work()
	e.finish(top, d)
	explanation := Explanation{Reason: top}
	if access.Role == "" && access.ConditionalRole == "" && (len(d.Ladder()) > 0 || top.Result == Denied) {
		explanation.Openings = e.openings(object, whole(n), func(w *Walk) (bool, error) {
			a, err := w.Access(ctx, object)
			return a.Role != "" || len(d.Ladder()) == 0 && len(a.Permissions) > 0, err
		})
	}
	explanation.Cost = e.cost()
	return explanation, e.failure()
}

// roleOf is the role that a way gives on the object that was asked about: the
// highest that it goes through there.
func roleOf(way *Reason, object rel.Object, d *schema.Definition) rel.Name {
	rank := -1
	for way != nil && way.Object == object && way.Result != Denied {
		rank = max(rank, slices.IndexFunc(d.Ladder(), func(role *schema.Declared) bool { return string(role.Name) == way.Name }))
		if len(way.Because) == 0 {
			break
		}
		way = way.Because[0]
	}
	if rank < 0 {
		return ""
	}
	return d.Ladder()[rank].Name
}

// An explainer builds one tree. It first tells by what something holds, from what
// the walk has kept; then, in the order in which it was met, what else there is, for
// which it lets the walk go on.
type explainer struct {
	walk  *Walk
	nodes int
	later []func()
	told  map[pair]bool // denials that are in the tree already
	above *trail        // what a denial stands below that holds: nothing in it may lead back there

	readsBegan, pairsBegan int
	readsStop, followsStop int
	followed               int  // causes
	spent                  bool // the walk may not go on: what it has not finished is not known
}

func (w *Walk) explainer(ctx context.Context) *explainer {
	reads, readsMax := w.reader.Reads(), min(explainReadsMax, w.readsMax)
	// The explainer stops between two steps of the walk, which is of use afterwards.
	// The walk stops by itself, and for good, where one step goes far beyond that.
	w.ctx, w.readsStop, w.followsStop, w.carriedStop = ctx, reads+2*readsMax, w.follows+followsMax, w.carried+carriedMax
	e := &explainer{
		walk: w, told: make(map[pair]bool), readsBegan: reads, pairsBegan: w.pairs,
		readsStop: reads + readsMax, followsStop: w.follows + explainFollowsMax,
	}
	e.spent = w.err != nil
	return e
}

func (e *explainer) cost() Cost {
	return Cost{Reads: e.walk.reader.Reads() - e.readsBegan, Pairs: e.walk.pairs - e.pairsBegan}
}

// failure is why nothing could be explained at all. That a budget or the time ran
// out is no failure: the answer stands.
func (e *explainer) failure() error {
	switch err := e.walk.err; {
	case fault.Is(err, fault.WalkMustStayWithinBudget), fault.Is(err, fault.DeadlineMustNotPass), fault.Is(err, fault.CallerMustStay):
		return nil
	default:
		return err
	}
}

// work does what was put off.
func (e *explainer) work() {
	for len(e.later) > 0 {
		next := e.later[0]
		e.later = e.later[1:]
		next()
	}
}

// exhausted reports whether nothing more may be read. It is asked at every step, and
// so it looks at the caller's time, too.
func (e *explainer) exhausted() bool {
	if !e.spent {
		e.walk.spend()
	}
	e.spent = e.spent || e.walk.err != nil || e.walk.reader.Reads() > e.readsStop || e.walk.follows > e.followsStop
	return e.spent
}

// settle lets the walk finish what it was asked, so that all that was asked is exact;
// it reports whether it may.
func (e *explainer) settle() bool {
	for !e.exhausted() {
		if !e.walk.step() {
			return e.walk.err == nil
		}
	}
	return false
}

// value is what a pair holds, and whether that is known.
func (e *explainer) value(p pair) (r Result, known bool) {
	if r = p.node.held.Of(p.slot); r == Granted {
		return r, true
	}
	if e.exhausted() {
		return Denied, false
	}
	e.walk.want(p.node, p.slot)
	if !e.settle() {
		return Denied, false
	}
	return p.node.held.Of(p.slot), true
}

// valueOf is what an expression of a node comes to, and whether that is known.
func (e *explainer) valueOf(n *node, x *schema.Expr) (r Result, known bool) {
	if e.exhausted() {
		return Denied, false
	}
	for s := range x.Slots().All() {
		e.walk.want(n, s)
	}
	if !e.settle() {
		return Denied, false
	}
	return e.walk.exactly(n, x), true
}

// exactly evaluates an expression whose slots are exact.
func (w *Walk) exactly(n *node, x *schema.Expr) Result {
	switch x.Op {
	case schema.OpSelf:
		if w.principal.Holds(rel.Of(n.object)) {
			return Granted
		}
		return Denied
	case schema.OpSlot:
		return n.held.Of(x.Slot)
	case schema.OpUnion:
		return max(w.exactly(n, x.Left), w.exactly(n, x.Right))
	case schema.OpIntersection:
		return min(w.exactly(n, x.Left), w.exactly(n, x.Right))
	case schema.OpExclusion:
		return w.exactly(n, x.Left).Minus(w.exactly(n, x.Right))
	default:
		return Denied
	}
}

// room takes room for one more reason at a depth, where there is any.
func (e *explainer) room(depth int) bool {
	if depth >= reasonStepsMax || e.nodes >= reasonNodesMax {
		return false
	}
	e.nodes++
	return true
}

// add puts a reason below another, where there is room for it, and one to put;
// otherwise it is cut.
func (e *explainer) add(r *Reason, depth int, below func(depth int) *Reason) {
	if e.room(depth + 1) {
		if b := below(depth + 1); b != nil {
			r.Because = append(r.Because, b)
			return
		}
	}
	r.Cut = true
}

// over begins the reason of one tuple on an object.
func (e *explainer) over(name string, step Step, t rel.Tuple, r Result) *Reason {
	return &Reason{
		Object: t.Object, Name: name, Result: r, Step: step, Tuple: t,
		Contextual:     e.walk.brought != nil && e.walk.brought.isContextual(t),
		ConditionFalse: e.walk.isFalse(t),
	}
}

// operandsOf are the operands of an operator that may be written without
// parentheses around several of it.
func operandsOf(op schema.ExprOp, x *schema.Expr) []*schema.Expr {
	if x.Op != op {
		return []*schema.Expr{x}
	}
	return append(operandsOf(op, x.Left), operandsOf(op, x.Right)...)
}
