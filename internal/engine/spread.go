package engine

import (
	"context"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A spread goes from what a principal stands in to what follows from it, tuple by
// tuple, up to the objects of a target type.
//
// Always true: what is certain on an object is held, and what the walk would find held
// there, or held under a condition, is possible as soon as no work is left.
type spread struct {
	ctx    context.Context
	walk   *Walk
	reach  *schema.Reach
	target *schema.Definition
	part   *schema.Reached // of the target
	// recursive says that a way can lead on from an object of the target type. Then all
	// of them are followed; otherwise the last step is left to the page.
	recursive bool
	// wanted are slots of the target type that are computed although no way comes by
	// them: they follow from others that do.
	wanted schema.Slots
	// complete are the slots of the target type of which the candidates know all that
	// there is: those that ways come by, and those that beside decide.
	complete schema.Slots
	// beside are tuples about the principal on objects of the target type that only take
	// away. They make no candidates, and are looked up for those that there are.
	beside []*last

	objects map[rel.Object]*reached
	sure    []*reached // what is certain there has not been followed yet
	unsure  []*reached // likewise, what is only possible
	lasts   []*last
	lastOf  map[lastKey]*last
	// readsStop, followsStop and carriedStop are where the budget of all ways is spent.
	// What the walk is asked on the way counts, too.
	readsStop, followsStop, carriedStop int
}

// A reached is an object that ways lead to, and what they give there.
type reached struct {
	object rel.Object
	part   *schema.Reached
	// certain is held, possible may be; of what was looked at, the walk has said.
	certain, possible schema.Slots
	asked, open       schema.Slots
	sure, unsure      bool // waits in the queue of that name
	settling          bool // see settle
	followed          []holding
}

// A last is a step to objects of the target type that the page takes: the tuples of one
// subject in one relation, and what each gives.
type last struct {
	lastKey
	relation *schema.Relation
	holding
}

type lastKey struct {
	subject  rel.Subject
	relation rel.Name
}

func newSpread(ctx context.Context, w *Walk, reach *schema.Reach, target *schema.Definition) *spread {
	s := &spread{
		ctx: ctx, walk: w, reach: reach, target: target, part: reach.Of(target.Type),
		objects: make(map[rel.Object]*reached), lastOf: make(map[lastKey]*last),
	}
	s.recursive = len(s.part.Hops) > 0
	s.complete = s.part.Slots
	if !s.recursive {
		relations, slots := s.part.Beside()
		s.complete = s.complete.Union(slots)
		for _, r := range relations {
			for _, subject := range w.candidates(r) {
				s.beside = append(s.beside, &last{lastKey{subject, r.Name}, r, holding{certain: only(r.Slot)}})
			}
		}
	}
	return s
}

// run follows all ways.
func (s *spread) run() error {
	if s.walk.err != nil {
		return s.walk.err
	}
	w := s.walk
	w.enter(s.ctx)
	s.readsStop, s.followsStop, s.carriedStop = w.readsStop, w.followsStop, w.carriedStop
	s.begin()
	for ; w.err == nil; w.spend() {
		switch {
		case len(s.sure) > 0:
			at := s.sure[len(s.sure)-1]
			s.sure = s.sure[:len(s.sure)-1]
			at.sure = false
			s.leave(at)
		case len(s.unsure) > 0:
			at := s.unsure[len(s.unsure)-1]
			s.unsure = s.unsure[:len(s.unsure)-1]
			at.unsure = false
			s.ask(at)
		default:
			return nil
		}
	}
	return w.err
}

// begin starts at the principal: at what it presents, and at the tuples about it.
func (s *spread) begin() {
	for _, subject := range s.walk.principal.Subjects() {
		o, ok := subject.Object()
		part := s.reach.Of(subject.Type())
		if !ok || part == nil || part.Definition == s.target && !s.recursive {
			continue // one of the target type is a candidate, and asked about
		}
		switch {
		case subject.IsUserset():
			if name := part.Definition.Name(subject.Relation()); name != nil && part.Slots.Has(name.Slot) {
				s.land(s.object(o, part), only(name.Slot), schema.Slots{})
			}
		case part.Itself:
			s.isItself(s.object(o, part))
		}
	}
	for _, part := range s.reach.Types() {
		for _, r := range part.Stored {
			for _, subject := range s.walk.candidates(r) {
				if !subject.IsUserset() { // these are left from like any other object
					s.follow(subject, part, r, holding{certain: only(r.Slot)})
				}
			}
		}
	}
}

// isItself lands on an object that the principal is, for what says `self`.
func (s *spread) isItself(at *reached) {
	for slot := range at.part.Slots.All() {
		if plan := at.part.Definition.Plan(slot); plan.Kind == schema.Computed {
			s.raise(at, slot, s.eval(at, plan.Expr))
		}
	}
}

func (s *spread) object(o rel.Object, part *schema.Reached) *reached {
	at := s.objects[o]
	if at == nil {
		at = &reached{object: o, part: part}
		s.objects[o] = at
	}
	return at
}

// land gives an object slots, and what follows from them on the object itself.
func (s *spread) land(at *reached, certain, possible schema.Slots) {
	for slot := range certain.Minus(at.certain).All() {
		s.raise(at, slot, Granted)
	}
	for slot := range possible.Minus(at.possible).All() {
		s.raise(at, slot, Conditional)
	}
}

func (s *spread) raise(at *reached, slot schema.Slot, r Result) {
	switch {
	case r == Denied || at.certain.Has(slot) || r == Conditional && at.possible.Has(slot):
		return
	case r == Granted:
		at.certain.Add(slot)
		if !at.sure {
			at.sure = true
			s.sure = append(s.sure, at)
		}
	default:
		if !at.unsure {
			at.unsure = true
			s.unsure = append(s.unsure, at)
		}
	}
	at.possible.Add(slot)
	for _, reader := range at.part.Definition.Plan(slot).Readers {
		if !at.part.Slots.Has(reader) && (at.part != s.part || !s.wanted.Has(reader)) {
			continue
		}
		s.raise(at, reader, s.eval(at, at.part.Definition.Plan(reader).Expr))
	}
}

// eval is what an expression comes to by what ways have given: Granted is certain, and
// Conditional is that it may hold. An exclusion is passed over, and one side of an
// intersection is enough to ask.
func (s *spread) eval(at *reached, e *schema.Expr) Result {
	switch e.Op {
	case schema.OpNil:
		return Denied
	case schema.OpSelf:
		if s.walk.principal.Holds(rel.Of(at.object)) {
			return Granted
		}
		return Denied
	case schema.OpSlot:
		switch {
		case at.certain.Has(e.Slot):
			return Granted
		case at.possible.Has(e.Slot):
			return Conditional
		}
		return Denied
	case schema.OpUnion:
		return max(s.eval(at, e.Left), s.eval(at, e.Right))
	case schema.OpIntersection:
		left, right := s.eval(at, e.Left), s.eval(at, e.Right)
		if left != right {
			return min(max(left, right), Conditional)
		}
		return left
	case schema.OpExclusion:
		left := s.eval(at, e.Left)
		if at.settling && e.Right.Slots().Minus(s.complete).Empty() {
			return left.Minus(s.eval(at, e.Right))
		}
		return min(left, Conditional)
	default:
		panic(invariant.Unreachable("expression", e.Op))
	}
}

// settle computes what follows on an object of the target type from all that was found
// about it. What an exclusion takes away is of a lower stratum, and is known before.
func (s *spread) settle(h holding) *reached {
	at := &reached{part: s.part, certain: h.certain, possible: h.possible, settling: true}
	slots := s.complete.Union(s.wanted)
	for number := range s.walk.schema.Strata() {
		for changed := true; changed; {
			changed = false
			for slot := range slots.All() {
				plan := s.part.Definition.Plan(slot)
				if plan.Kind != schema.Computed || plan.Stratum != number {
					continue
				}
				switch s.eval(at, plan.Expr) {
				case Granted:
					changed = at.certain.Add(slot) || changed
					at.possible.Add(slot)
				case Conditional:
					changed = at.possible.Add(slot) || changed
				}
			}
		}
	}
	return at
}

// leave goes on from an object by all that is certain there, or open.
func (s *spread) leave(at *reached) {
	if len(at.followed) == 0 && len(at.part.Hops) > 0 {
		at.followed = make([]holding, len(at.part.Hops))
	}
	for i := range at.part.Hops {
		hop := &at.part.Hops[i]
		var gives holding
		for _, l := range hop.Landings {
			switch {
			case at.certain.Has(l.From) && !l.OneOfAll:
				gives.certain.Add(l.To)
			case at.certain.Has(l.From) || at.open.Has(l.From):
				gives.possible.Add(l.To)
			}
		}
		gives.certain, gives.possible = gives.certain.Minus(at.followed[i].certain), gives.possible.Minus(at.followed[i].possible)
		if gives == (holding{}) {
			continue
		}
		at.followed[i].certain = at.followed[i].certain.Union(gives.certain)
		at.followed[i].possible = at.followed[i].possible.Union(gives.possible)
		subject := rel.Of(at.object)
		if hop.Subject != "" {
			subject = rel.Userset(at.object, hop.Subject)
		}
		s.follow(subject, s.reach.Of(hop.To.Type), hop.Relation, gives)
		if s.walk.err != nil {
			return
		}
	}
}

// follow lands on the objects that a relation's tuples with a subject are about. The
// last step is not taken here.
func (s *spread) follow(subject rel.Subject, to *schema.Reached, r *schema.Relation, gives holding) {
	if to == s.part && !s.recursive {
		key := lastKey{subject, r.Name}
		step := s.lastOf[key]
		if step == nil {
			step = &last{lastKey: key, relation: r}
			s.lastOf[key] = step
			s.lasts = append(s.lasts, step)
		}
		step.certain, step.possible = step.certain.Union(gives.certain), step.possible.Union(gives.possible)
		return
	}
	w := s.walk
	for t, err := range w.reader.Objects(subject, to.Definition.Type, r.Name, rel.IDs{}) {
		if err != nil {
			w.fail(err)
			return
		}
		if r.AllowsTuple(t) {
			given := gives.limited(w.decide(t))
			s.land(s.object(t.Object, to), given.certain, given.possible)
		}
		if w.spend(); w.err != nil {
			return
		}
	}
}

// limited is what a tuple gives that counts this far.
func (h holding) limited(r Result) holding {
	switch r {
	case Granted:
		return h
	case Conditional:
		return holding{possible: h.certain.Union(h.possible)}
	default:
		return holding{}
	}
}

// ask asks the walk about what may hold on an object, where a way leads on from it.
func (s *spread) ask(at *reached) {
	var doubtful schema.Slots
	for i := range at.part.Hops {
		for _, l := range at.part.Hops[i].Landings {
			if at.possible.Has(l.From) && !at.certain.Has(l.From) && !at.asked.Has(l.From) {
				doubtful.Add(l.From)
			}
		}
	}
	if doubtful.Empty() {
		return
	}
	at.asked = at.asked.Union(doubtful)
	n, _, err := s.walk.ask(s.ctx, at.object, at.part.Definition, doubtful)
	w := s.walk
	w.ctx, w.readsStop, w.followsStop, w.carriedStop = s.ctx, s.readsStop, s.followsStop, s.carriedStop
	if err != nil {
		s.walk.fail(err)
		return
	}
	for slot := range doubtful.All() {
		switch n.held.Of(slot) {
		case Granted:
			s.raise(at, slot, Granted)
		case Conditional:
			at.open.Add(slot)
		}
	}
	if !at.sure && !at.open.Empty() {
		at.sure = true
		s.sure = append(s.sure, at)
	}
}
