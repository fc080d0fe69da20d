package engine

import (
	"context"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A Walk answers questions of one principal at one snapshot. What one question
// has found serves the next. It is used by one goroutine at a time.
//
// Always true between two steps:
//  1. A node's held never shrinks, and is a lower bound of the least fixpoint.
//  2. A pair whose stratum and all below have no work left is exact.
//  3. A raised pair whose askers have not been told stands in a queue.
type Walk struct {
	schema    *schema.Schema
	reader    Reader
	principal rel.Principal
	readsMax  int
	explain   bool
	question  *Question // as it was asked, only where reasons are asked for

	brought  *contextual      // nil where the request brings no tuples
	given    *condition.Given // what the request brings for caveats
	verdicts map[rel.Caveat]condition.Verdict
	// conditions are what conditional answers hang on, as far as it was met.
	conditions conditions
	// validUntil is the soonest expiry among the tuples that made a difference.
	validUntil rel.Expiry
	foreseen   map[place]*foresight

	nodes     map[rel.Object]*node
	work      []stratum // by number
	suspended []stratum // work left over by earlier questions
	pairs     int
	follows   int         // tuples followed to another object
	carried   int         // bytes of the caveat contexts that are kept
	clock     int         // counts raises, so that a reason is always older than what it explains
	tuples    []rel.Tuple // that askers ask through, only where reasons are asked for

	ctx         context.Context // of the question in progress
	readsStop   int             // Reader.Reads at which its budget is spent
	followsStop int
	carriedStop int
	steps       int
	err         error // the first failure; the walk is of no use after it
}

// NewWalk prepares a walk; it reads nothing yet.
func NewWalk(q Question) *Walk {
	if q.ReadsMax == 0 {
		q.ReadsMax = ReadsMax
	}
	var question *Question
	if q.Explain {
		question = new(q)
	}
	var brought *contextual
	if len(q.Contextual) > 0 {
		brought = withContextual(q.Reader, q.Contextual, q.Time)
		q.Reader = brought
	}
	return &Walk{
		brought:   brought,
		schema:    q.Schema,
		reader:    q.Reader,
		principal: q.Principal,
		readsMax:  q.ReadsMax,
		explain:   q.Explain,
		question:  question,
		given:     condition.NewGiven(q.Context),
		nodes:     make(map[rel.Object]*node),
		work:      make([]stratum, q.Schema.Strata()),
		suspended: make([]stratum, q.Schema.Strata()),
	}
}

// Remembers is how much the walk keeps for later questions: pairs, tuples
// followed between them, and what long contexts of caveats take beside these.
func (w *Walk) Remembers() int { return w.pairs + w.follows + w.carried/contextBytesPerTuple }

// carries notes that the context of a tuple's caveat is kept.
func (w *Walk) carries(t rel.Tuple) { w.carried += len(t.Caveat.Context.String()) }

// Failed reports whether an earlier question ended in an error; then the walk is
// of no further use.
func (w *Walk) Failed() bool { return w.err != nil }

// A node is an object that the walk has reached.
type node struct {
	object     rel.Object
	definition *schema.Definition
	wanted     schema.Slots // asked for
	held       Held
	queued     schema.Slots // waiting to be computed again
	askers     []slotAskers

	read   bool
	whole  bool        // tuples is all that stands on the object
	tuples []rel.Tuple // up to narrowTuplesMax of them

	alls   map[schema.Slot]*all  // of the slots that need all of their objects
	causes map[schema.Slot]cause // only where reasons are asked for
}

// An all is what a pair of kind All still waits for.
type all struct {
	open int // tuples whose object does not hold the target for certain
	// maybe counts those among them that may hold it, if every condition turns out true.
	maybe int
	found []cause // a cause a tuple, only where reasons are asked for
}

// result is the minimum over the tuples.
func (a *all) result() Result {
	switch a.open {
	case 0:
		return Granted
	case a.maybe:
		return Conditional
	default:
		return Denied
	}
}

// slotAskers are the pairs that read one slot of a node through a tuple.
type slotAskers struct {
	slot   schema.Slot
	askers []asker
}

// An asker reads a slot through a tuple on its own object, and holds no more by it
// than the tuple's caveat allows. tuple is the place of the tuple in Walk.tuples,
// kept only where reasons are asked for: a walk can have millions of askers.
type asker struct {
	pair
	tuple int32
	told  Result // what it was told last
	limit Result // what the tuple's caveat came to
}

// A pair is one slot of one object.
type pair struct {
	node *node
	slot schema.Slot
}

func (p pair) plan() *schema.SlotPlan { return p.node.definition.Plan(p.slot) }

// A stratum holds the work of one stratum: pairs whose askers must be told, pairs
// to compute again, and pairs whose tuples lead to other objects. Telling comes
// first, since it costs no reads; expanding last, breadth first.
type stratum struct {
	tell, compute, expand queue
}

func (s *stratum) empty() bool {
	return s.tell.empty() && s.compute.empty() && s.expand.empty()
}

type queue struct {
	pairs []pair
	next  int
}

func (q *queue) empty() bool { return q.next == len(q.pairs) }

func (q *queue) push(p pair) { q.pairs = append(q.pairs, p) }

func (q *queue) pop() pair {
	p := q.pairs[q.next]
	if q.next++; q.next == len(q.pairs) {
		q.pairs, q.next = q.pairs[:0], 0
	}
	return p
}

// ask works until all asked slots of the object are certain or nothing is left to do.
func (w *Walk) ask(ctx context.Context, object rel.Object, d *schema.Definition, asked schema.Slots) (*node, Cost, error) {
	if w.err != nil {
		return nil, Cost{}, w.err
	}
	if err := fault.Ended(ctx); err != nil {
		return nil, Cost{}, err
	}
	reads, pairs := w.reader.Reads(), w.pairs
	w.enter(ctx)
	w.suspend()
	n := w.node(object, d)
	for s := range asked.All() {
		w.want(n, s)
	}
	for w.err == nil && !asked.Minus(n.held.certain).Empty() {
		if !w.step() {
			break
		}
	}
	cost := Cost{Reads: w.reader.Reads() - reads, Pairs: w.pairs - pairs}
	w.ctx = nil
	return n, cost, w.err
}

// enter begins a piece of work that has a budget of its own.
func (w *Walk) enter(ctx context.Context) {
	w.ctx, w.readsStop, w.followsStop, w.carriedStop = ctx, w.reader.Reads()+w.readsMax, w.follows+followsMax, w.carried+carriedMax
}

// suspend puts the work that an earlier question did not need aside: it is taken
// up again only when this question cannot be answered without it.
func (w *Walk) suspend() {
	for i := range w.work {
		if w.work[i].empty() {
			continue
		}
		if w.suspended[i].empty() {
			w.suspended[i], w.work[i] = w.work[i], w.suspended[i]
			continue
		}
		moveAll(&w.suspended[i], &w.work[i])
	}
}

// resume takes suspended work up again, and reports whether there was any.
func (w *Walk) resume() bool {
	any := false
	for i := range w.suspended {
		if !w.suspended[i].empty() {
			any = true
			moveAll(&w.work[i], &w.suspended[i])
		}
	}
	return any
}

func moveAll(to, from *stratum) {
	move := func(to, from *queue) {
		if to.empty() { // by far the most often, and there can be very many
			*to, *from = *from, *to
			return
		}
		to.pairs = append(to.pairs, from.pairs[from.next:]...)
		from.pairs, from.next = from.pairs[:0], 0
	}
	move(&to.tell, &from.tell)
	move(&to.compute, &from.compute)
	move(&to.expand, &from.expand)
}

// step does one piece of work, of the lowest stratum that has any, and reports
// whether there was one.
func (w *Walk) step() bool {
	for i := range w.work {
		s := &w.work[i]
		switch {
		case !s.tell.empty():
			w.tell(s.tell.pop())
		case !s.compute.empty():
			p := s.compute.pop()
			p.node.queued = p.node.queued.Minus(only(p.slot))
			w.compute(p)
		case !s.expand.empty():
			w.expand(s.expand.pop())
		default:
			continue
		}
		w.spend()
		return true
	}
	return w.resume()
}

func only(s schema.Slot) (one schema.Slots) {
	one.Add(s)
	return one
}

// unfinishedBelow reports whether a stratum under this one has work left. It
// takes suspended work up where that is what is unfinished.
func (w *Walk) unfinishedBelow(number int) bool {
	for i := range number {
		if !w.suspended[i].empty() {
			w.resume()
		}
		if !w.work[i].empty() {
			return true
		}
	}
	return false
}

// stepsBetweenLooks is how often the caller's time is looked at.
const stepsBetweenLooks = 128

// spend fails the walk when its budget or its caller's time has run out.
func (w *Walk) spend() {
	if w.reader.Reads() > w.readsStop && w.err == nil {
		w.err = fault.Newf(fault.WalkMustStayWithinBudget, "the question needs more than %d reads", w.readsMax).
			Do("ask something narrower, or flatten the groups and parents it walks through")
	}
	if w.follows > w.followsStop && w.err == nil {
		w.err = fault.Newf(fault.WalkMustStayWithinBudget, "the question follows more than %d tuples", followsMax).
			Do("ask something narrower, or let fewer permissions walk the same relation")
	}
	if w.carried > w.carriedStop && w.err == nil {
		w.err = fault.Newf(fault.WalkMustStayWithinBudget, "the question meets caveats with contexts of more than %d bytes together", carriedMax).
			Do("ask something narrower, or give caveats shorter contexts")
	}
	if w.steps++; w.steps%stepsBetweenLooks == 0 && w.err == nil {
		w.err = fault.Ended(w.ctx)
	}
}

func (w *Walk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *Walk) node(object rel.Object, d *schema.Definition) *node {
	n := w.nodes[object]
	if n == nil {
		n = &node{object: object, definition: d}
		w.nodes[object] = n
	}
	return n
}

// want asks for a slot of an object, and says what is known of it.
func (w *Walk) want(n *node, s schema.Slot) Result {
	if n.wanted.Add(s) {
		w.pairs++
		w.begin(pair{n, s})
	}
	return n.held.Of(s)
}

// begin finds what the object itself says of a slot, and queues what other
// objects may say of it.
func (w *Walk) begin(p pair) {
	plan := p.plan()
	if p.node.definition.IsAsked(p.slot) && w.isItself(p) {
		w.raise(p, Granted, cause{kind: byItself})
	}
	switch plan.Kind {
	case schema.Stored:
		w.direct(p, plan.Relation)
		if plan.Relation.LeadsOn() {
			w.expandLater(p, plan)
		}
	case schema.Arrow, schema.All:
		w.expandLater(p, plan)
	case schema.Computed:
		w.compute(p)
	default:
		panic(invariant.Unreachable("plan kind", plan.Kind))
	}
}

func (w *Walk) expandLater(p pair, plan *schema.SlotPlan) {
	if p.node.held.Of(p.slot) != Granted {
		w.work[plan.Stratum].expand.push(p)
	}
}

// isItself reports whether the principal presents this very userset: a userset
// is a member of itself, stored or not.
func (w *Walk) isItself(p pair) bool {
	for _, s := range w.principal.Subjects() {
		if !s.IsUserset() {
			continue
		}
		if o, ok := s.Object(); ok && o == p.node.object {
			if name := p.node.definition.Name(s.Relation()); name != nil && name.Slot == p.slot {
				return true
			}
		}
	}
	return false
}

// compute evaluates a computed pair on what is known now.
func (w *Walk) compute(p pair) {
	plan := p.plan()
	v := w.eval(p.node, plan.Expr, plan.Stratum)
	w.raise(p, v.result, cause{kind: byExpression, of: v.of})
	if v.open {
		w.computeLater(p)
	}
}

func (w *Walk) computeLater(p pair) {
	if p.node.held.Of(p.slot) != Granted && p.node.queued.Add(p.slot) {
		w.work[p.plan().Stratum].compute.push(p)
	}
}

// A value is what an expression came to on what is known now.
type value struct {
	result Result
	open   bool     // an exclusion waits for a lower stratum, and counts as 'no' until then
	of     operands // only where reasons are asked for
}

// eval computes an expression of one object in a stratum. It reads like the
// definition of the language, one line per operator; what is asked for the first
// time, told, or in a cycle is the queues' business.
func (w *Walk) eval(n *node, e *schema.Expr, number int) value {
	switch e.Op {
	case schema.OpNil:
		return value{}
	case schema.OpSelf:
		if w.principal.Holds(rel.Of(n.object)) {
			return value{result: Granted}
		}
		return value{}
	case schema.OpSlot:
		return value{result: w.want(n, e.Slot), of: w.operand(e.Slot)}
	case schema.OpUnion:
		left := w.eval(n, e.Left, number)
		if left.result == Granted {
			left.open = false // nothing can be above it
			return left
		}
		return left.join(w.eval(n, e.Right, number))
	case schema.OpIntersection:
		left := w.eval(n, e.Left, number)
		if left.result == Denied {
			return left
		}
		return left.meet(w.eval(n, e.Right, number))
	case schema.OpExclusion:
		left := w.eval(n, e.Left, number)
		if left.result == Denied {
			return left
		}
		right := w.eval(n, e.Right, number)
		if w.unfinishedBelow(number) {
			return value{open: true}
		}
		left.result = left.result.Minus(right.result)
		left.of.minus = true
		return left
	default:
		panic(invariant.Unreachable("expression", e.Op))
	}
}

func (v value) join(other value) value {
	open := v.open || other.open
	if other.result > v.result {
		v = other
	}
	v.open = open
	return v
}

func (v value) meet(other value) value {
	return value{min(v.result, other.result), v.open || other.open, v.of.and(other.of)}
}

// raise makes a pair hold at least r, and queues the telling.
func (w *Walk) raise(p pair, r Result, why cause) {
	if !p.node.held.raise(p.slot, r) {
		return
	}
	w.work[p.plan().Stratum].tell.push(p)
	if w.explain {
		w.clock++
		why.at = w.clock
		p.node.remember(p.slot, why)
	}
}

// tell passes what a pair has come to hold on to whoever asked for it.
//
// A reader of a higher stratum is computed later, never here: it may exclude
// another reader of this pair, one that has not been told yet, and between the
// two no queue would show that anything is unfinished (scenario
// exclusion_waits_for_what_is_below.yaml).
func (w *Walk) tell(p pair) {
	r := p.node.held.Of(p.slot)
	for i := range p.node.askers {
		if p.node.askers[i].slot != p.slot {
			continue
		}
		for k := range p.node.askers[i].askers {
			a := &p.node.askers[i].askers[k]
			if r == Conditional {
				w.hears(a.pair, p)
			}
			w.hear(a, p, r)
		}
	}
	for _, slot := range p.plan().Readers {
		reader := pair{p.node, slot}
		if !p.node.wanted.Has(slot) || p.node.held.Of(slot) == Granted {
			continue
		}
		if reader.plan().Stratum > p.plan().Stratum {
			w.computeLater(reader)
		} else {
			w.compute(reader)
		}
	}
}

// hear is what an asker makes of a pair's news.
func (w *Walk) hear(a *asker, from pair, r Result) {
	if r = min(r, a.limit); r <= a.told {
		return
	}
	before := a.told
	a.told = r
	if a.plan().Kind == schema.All {
		w.oneOfAll(a.pair, before, r)
		return
	}
	why := cause{kind: byTuple, from: from}
	if w.explain {
		why.tuple = w.tuples[a.tuple]
	}
	w.raise(a.pair, r, why)
}

// oneOfAll counts one tuple of a pair of kind All that came to hold more.
func (w *Walk) oneOfAll(p pair, before, r Result) {
	a := p.node.alls[p.slot]
	if before == Conditional {
		a.maybe--
	}
	if r == Conditional {
		a.maybe++
	} else {
		a.open--
	}
	w.raise(p, a.result(), cause{kind: byAll})
}

// through makes a pair hold what another object's slot holds, now and later, as far
// as the tuple that leads there counts.
func (w *Walk) through(p pair, t rel.Tuple, n *node, s schema.Slot) {
	limit := w.decide(t)
	if limit == Denied {
		return
	}
	w.follows++
	w.counts(t)
	r := min(limit, w.want(n, s))
	if limit == Conditional {
		w.hang(open{p, t, pair{n, s}})
	}
	if r > Denied {
		w.raise(p, r, cause{kind: byTuple, tuple: t, from: pair{n, s}})
	}
	if r < limit {
		w.addAsker(asker{pair: p, told: r, limit: limit}, t, n, s)
	}
}

// addAsker lets a pair hear of another object's slot, of which it knows a.told.
func (w *Walk) addAsker(a asker, t rel.Tuple, n *node, s schema.Slot) {
	if w.explain {
		a.tuple = int32(len(w.tuples)) // at most followsMax a question
		w.tuples = append(w.tuples, t)
	}
	if n.held.Of(s) == Conditional {
		w.hears(a.pair, pair{n, s})
	}
	n.addAsker(s, a)
}

func (n *node) addAsker(s schema.Slot, a asker) {
	for i := range n.askers {
		if n.askers[i].slot == s {
			n.askers[i].askers = append(n.askers[i].askers, a)
			return
		}
	}
	n.askers = append(n.askers, slotAskers{s, []asker{a}})
}
