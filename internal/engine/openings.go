package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Bounds on openings. Each that is told was asked about in a walk of its own, and so
// was each that turned out to open nothing.
const (
	openingsMax      = 10
	openingsAskedMax = 100
	openingsPairsMax = 2_000 // how many pairs of a denial are looked at for what would open them
	openingsReadsMax = 50_000
)

// An opening is a tuple that may turn a denial round.
type opening struct {
	tuple rel.Tuple
	// ups is how many steps up a ladder it is beside the least that is needed, and
	// hops how many tuples it is away from the object that was asked about.
	ups, hops int
}

// An approach is a pair of a denial that would open it.
type approach struct {
	pair
	ups, hops int
}

// nearer reports whether one approach comes before another one.
func (a approach) nearer(b approach) bool {
	return a.ups < b.ups || a.ups == b.ups && a.hops < b.hops
}

// openings are tuples that would each turn a denial of these pairs round, the lowest
// role first and then what is nearest to the object: tuples about the principal's
// own subjects, on objects that the denial met. opens asks of a walk that sees one.
func (e *explainer) openings(object rel.Object, denied []pair, opens func(*Walk) (bool, error)) []rel.Tuple {
	var found []rel.Tuple
	stop := e.walk.reader.Reads() + min(openingsReadsMax, e.walk.readsMax)
	for i, o := range e.candidatesToOpen(denied) {
		left := stop - e.walk.reader.Reads()
		if i == openingsAskedMax || len(found) == openingsMax || left <= 0 || e.walk.err != nil {
			break
		}
		w := e.walk.beside(o.tuple, left)
		if is, err := opens(w); err == nil && is {
			found = append(found, o.tuple)
		}
	}
	return found
}

// beside is a new walk that asks the same with one more tuple.
func (w *Walk) beside(t rel.Tuple, readsMax int) *Walk {
	q := *w.question
	q.Contextual = append(slices.Clone(q.Contextual), t)
	q.ReadsMax, q.Explain = readsMax, false
	return NewWalk(q)
}

// candidatesToOpen goes down from denied pairs along what could give them something,
// and gathers what could be put there.
func (e *explainer) candidatesToOpen(denied []pair) []opening {
	var found []opening
	have := make(map[rel.Key]bool)
	seen := make(map[pair]bool)
	reached := make(map[pair]approach)
	var open []approach
	// A name can stand in an expression thousands of times, and is gone to once.
	reach := func(a approach) {
		if before, is := reached[a.pair]; (!is || a.nearer(before)) && len(open) < openingsPairsMax {
			reached[a.pair] = a
			open = append(open, a)
		}
	}
	for _, p := range denied {
		reach(approach{pair: p})
	}
	for len(open) > 0 && len(seen) < openingsPairsMax && len(found) < openingsAskedMax && fault.Ended(e.walk.ctx) == nil {
		nearest := 0
		for i, a := range open {
			if a.nearer(open[nearest]) {
				nearest = i
			}
		}
		at := open[nearest]
		open = slices.Delete(open, nearest, nearest+1)
		if seen[at.pair] {
			continue
		}
		seen[at.pair] = true
		if !e.told[at.pair] { // what was told is denied
			if v, known := e.value(at.pair); !known || v == Granted {
				continue
			}
		}
		plan := at.plan()
		switch plan.Kind {
		case schema.Computed:
			for _, next := range e.approaches(at, plan.Expr) {
				reach(next)
			}
			continue
		case schema.Stored:
			for _, t := range e.ownOpenings(at.pair, plan.Relation) {
				if !have[t.Key] {
					have[t.Key] = true
					found = append(found, opening{t, at.ups, at.hops})
				}
			}
		}
		all, _, _ := e.ways(at.pair, plan, 0)
		for _, way := range all {
			if way.from.node != nil && e.walk.decide(way.tuple) == Granted {
				reach(approach{way.from, at.ups, at.hops + 1})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b opening) int {
		if a.ups != b.ups {
			return a.ups - b.ups
		}
		return a.hops - b.hops
	})
	return found
}

// approaches are the slots of an expression that could open it: what stands to the
// right of an exclusion does not.
func (e *explainer) approaches(at approach, x *schema.Expr) []approach {
	switch x.Op {
	case schema.OpSlot:
		next := approach{pair{at.node, x.Slot}, at.ups, at.hops}
		if e.isRoleAbove(at.pair, x) {
			next.ups++
		}
		return []approach{next}
	case schema.OpUnion, schema.OpIntersection:
		return append(e.approaches(at, x.Left), e.approaches(at, x.Right)...)
	case schema.OpExclusion:
		return e.approaches(at, x.Left)
	default:
		return nil
	}
}

// ownOpenings are tuples of a relation about the principal's own subjects that count
// whatever the time and the context.
func (e *explainer) ownOpenings(p pair, r *schema.Relation) []rel.Tuple {
	var found []rel.Tuple
	for _, s := range e.walk.principal.Subjects() {
		t := rel.Tuple{Key: rel.Key{Object: p.node.object, Relation: r.Name, Subject: s}}
		if r.AllowsTuple(t) {
			found = append(found, t)
		}
	}
	return found
}
