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
			chunk, behind, whole, err := s.take(step, rel.IDs{Prefix: ids.Prefix, After: after}, size)
			size = chunkAfter(size)
			return chunk, behind, whole, err
		}}
	}
	for _, step := range s.beside {
		r := runOf(step, chunkMin)
		r.find = func(id string) (candidate, error) { return s.find(step, id) }
		c.beside = append(c.beside, r)
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

// take takes a last step to some objects. Where it passes over many that give nothing, a
// candidate to which nothing is given shows how far it has come, so that the page can
// end there.
func (s *spread) take(step *last, ids rel.IDs, most int) (chunk []candidate, behind string, whole bool, err error) {
	w := s.walk
	if err := fault.Ended(s.ctx); err != nil {
		return nil, "", false, err
	}
	w.ctx = s.ctx
	passed, carried := 0, w.carried
	for t, err := range w.reader.Objects(step.subject, s.target.Type, step.relation.Name, ids) {
		if err != nil {
			return nil, "", false, err
		}
		if len(chunk) == most || w.carried-carried > chunkContextsMax {
			return chunk, behind, false, w.err
		}
		behind = t.Object.ID()
		var gives holding
		if step.relation.AllowsTuple(t) {
			gives = step.limited(w.decide(t))
		}
		if passed++; gives != (holding{}) || passed == most+passedMax {
			chunk = append(chunk, candidate{id: behind, holding: gives})
		}
		if passed == most+passedMax || w.err != nil {
			return chunk, behind, false, w.err
		}
	}
	return chunk, behind, true, w.err
}

// find is what a step gives on one object.
func (s *spread) find(step *last, id string) (candidate, error) {
	w := s.walk
	w.ctx = s.ctx
	t, there, err := w.reader.Find(rel.Key{Object: rel.Trusted(s.target.Type, id), Relation: step.relation.Name, Subject: step.subject})
	if err != nil || !there || !step.relation.AllowsTuple(t) {
		return candidate{}, err
	}
	return candidate{id: id, holding: step.limited(w.decide(t))}, w.err
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
