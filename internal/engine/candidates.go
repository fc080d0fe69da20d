package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A candidate is an object of a list that ways lead to, or that is asked about in any
// case.
type candidate struct {
	id string
	holding
	verify bool // what ways give is not all, `self` for example: the walk is asked
}

func (c candidate) listID() string { return c.id }

// A candidates is every object of the target type that is asked about, once, in order.
type candidates struct {
	merging[candidate]
	same   []candidate
	beside []*run[candidate]
}

// candidates are the objects of the target type that ways lead to, in a range of ids.
// A page of this size is expected to be enough.
func (s *spread) candidates(ids rel.IDs, pageSize int) (*candidates, error) {
	c := &candidates{}
	if err := c.add(&run[candidate]{chunk: append(s.presented(ids), s.met(ids)...)}); err != nil {
		return nil, err
	}
	size := chunkOf(pageSize, len(s.lasts))
	runOf := func(step *last, size int) *run[candidate] {
		return &run[candidate]{behind: ids.After, fill: func(after string) ([]candidate, string, bool, error) {
			ids.After = after
			return s.take(step, ids, size)
		}}
	}
	for _, step := range s.beside {
		c.beside = append(c.beside, runOf(step, chunkMin))
	}
	for _, step := range s.lasts {
		if err := c.add(runOf(step, size)); err != nil {
			return nil, err
		}
		if s.walk.spend(); s.walk.err != nil {
			return nil, s.walk.err
		}
	}
	return c, nil
}

// known are candidates whose ids are known, in order; the walk is asked about each.
func known(ids []string) *candidates {
	all := make([]candidate, len(ids))
	for i, id := range ids {
		all[i] = candidate{id: id, verify: true}
	}
	c := &candidates{}
	_ = c.add(&run[candidate]{chunk: all}) // reads nothing
	return c
}

// presented are the objects of the target type that the principal presents, where no
// ways were followed from them.
func (s *spread) presented(ids rel.IDs) (found []candidate) {
	for _, subject := range s.walk.principal.Subjects() {
		if o, ok := subject.Object(); ok && o.Type() == s.target.Type && !s.recursive && ids.Has(o.ID()) {
			found = append(found, candidate{id: o.ID(), verify: true})
		}
	}
	sortCandidates(found)
	return found
}

// met are the objects of the target type that ways were followed to.
func (s *spread) met(ids rel.IDs) (found []candidate) {
	if !s.recursive {
		return nil
	}
	for o, at := range s.objects {
		if at.part == s.part && ids.Has(o.ID()) {
			found = append(found, candidate{o.ID(), holding{at.certain, at.possible}, s.walk.principal.Holds(rel.Of(o))})
		}
	}
	sortCandidates(found)
	return found
}

func sortCandidates(found []candidate) {
	slices.SortFunc(found, func(a, b candidate) int { return rel.CompareIDs(a.id, b.id) })
}

// take takes a last step to some objects.
func (s *spread) take(step *last, ids rel.IDs, most int) (chunk []candidate, behind string, whole bool, err error) {
	w := s.walk
	if err := fault.Ended(s.ctx); err != nil {
		return nil, "", false, err
	}
	w.ctx = s.ctx
	for t, err := range w.reader.Objects(step.subject, s.target.Type, step.relation.Name, ids) {
		if err != nil {
			return nil, "", false, err
		}
		if len(chunk) == most {
			return chunk, behind, false, w.err
		}
		behind = t.Object.ID()
		if !step.relation.AllowsTuple(t) {
			continue
		}
		if gives := step.limited(w.decide(t)); gives != (holding{}) {
			chunk = append(chunk, candidate{id: t.Object.ID(), holding: gives})
		}
	}
	return chunk, behind, true, w.err
}

// next is the next candidate; more says whether there is one.
func (c *candidates) next() (found candidate, more bool, err error) {
	c.same, err = c.merging.next(c.same[:0])
	for _, here := range c.same {
		found.id = here.id
		found.certain, found.possible = found.certain.Union(here.certain), found.possible.Union(here.possible)
		found.verify = found.verify || here.verify
	}
	if err != nil || len(c.same) == 0 {
		return candidate{}, false, err
	}
	for _, r := range c.beside {
		here, err := r.at(found.id)
		if err != nil {
			return candidate{}, false, err
		}
		found.certain, found.possible = found.certain.Union(here.certain), found.possible.Union(here.possible)
	}
	return found, true, nil
}
