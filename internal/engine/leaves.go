package engine

import (
	"cmp"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A leafSubject is a subject that a tuple of the web names, or that is in the web itself.
type leafSubject struct {
	id   string
	seed seed
	self *vertex
}

func (s leafSubject) listID() string { return s.id }

// A subjectCandidate is a subject, with all tuples of the web that name it.
type subjectCandidate struct {
	id    string
	seeds []seed
	self  *vertex // the subject as an object, where something says `self` of it
}

// subjectCandidates are all subjects of the listed form that the web has, in order.
type subjectCandidates struct {
	merging[leafSubject]
	same []leafSubject
}

func (l *subjectList) candidates() (*subjectCandidates, error) {
	ids := rel.IDs{After: l.question.After}
	c := &subjectCandidates{}
	if err := c.add(&run[leafSubject]{chunk: l.presented(ids)}); err != nil {
		return nil, err
	}
	if l.question.Relation != "" {
		return c, nil
	}
	size := chunkOf(l.question.PageSize, len(l.leaves))
	for _, leaf := range l.leaves {
		if err := c.add(l.leafRun(leaf, ids, size)); err != nil {
			return nil, err
		}
		if l.walk.spend(); l.walk.err != nil {
			return nil, l.walk.err
		}
	}
	return c, nil
}

// presented are the usersets of the web that are listed: each holds itself; or the
// objects of the listed type of which something says `self`.
func (l *subjectList) presented(ids rel.IDs) (found []leafSubject) {
	for _, v := range l.order {
		if v.object.Type() != l.question.Type || !ids.Has(v.object.ID()) {
			continue
		}
		s := leafSubject{id: v.object.ID()}
		switch {
		case l.question.Relation != "":
			slot := v.definition.Name(l.question.Relation).Slot
			if !v.wanted.Has(slot) {
				continue
			}
			s.seed = seed{at: vertexSlot{v, slot}, limit: Granted}
		case !v.selfs.Empty():
			s.self = v
		default:
			continue
		}
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b leafSubject) int { return rel.CompareIDs(a.id, b.id) })
	return found
}

// leafRun is a leaf's subjects: of a narrow object they are at hand, and of a wide one
// read in chunks.
func (l *subjectList) leafRun(leaf leaf, ids rel.IDs, size int) *run[leafSubject] {
	n := l.walk.node(leaf.at.object, leaf.at.definition)
	if n.whole {
		r := &run[leafSubject]{}
		for _, t := range n.tuples {
			s := t.Subject
			if t.Relation != leaf.relation.Name || s.Type() != l.question.Type || s.IsUserset() || s.IsWildcard() || !ids.Has(s.ID()) {
				continue
			}
			if found, counts := l.leafSubject(leaf, t); counts {
				r.chunk = append(r.chunk, found)
			}
		}
		// What came with the request stands behind what is stored.
		slices.SortFunc(r.chunk, func(a, b leafSubject) int { return rel.CompareIDs(a.id, b.id) })
		return r
	}
	return &run[leafSubject]{behind: ids.After, fill: func(after string) ([]leafSubject, string, bool, error) {
		chunk, behind, whole, err := l.readLeaf(leaf, after, size)
		size = chunkAfter(size)
		return chunk, behind, whole, err
	}}
}

// readLeaf reads some subjects of a leaf. Where it passes over many whose tuples do not
// count, a subject without a seed shows how far it has come, so that the page can end
// there.
func (l *subjectList) readLeaf(leaf leaf, after string, most int) (chunk []leafSubject, behind string, whole bool, err error) {
	w := l.walk
	if err := fault.Ended(l.ctx); err != nil {
		return nil, "", false, err
	}
	passed, carried := 0, w.carried
	for t, err := range w.reader.SubjectsOf(leaf.at.object, leaf.relation.Name, l.question.Type, rel.IDs{After: after}) {
		if err != nil {
			return nil, "", false, err
		}
		if len(chunk) == most || w.carried-carried > chunkContextsMax {
			return chunk, behind, false, w.err
		}
		behind = t.Subject.ID()
		found, counts := l.leafSubject(leaf, t)
		if passed++; !counts && passed == most+passedMax {
			found, counts = leafSubject{id: behind}, true
		}
		if counts {
			chunk = append(chunk, found)
		}
		if passed == most+passedMax || w.err != nil {
			return chunk, behind, false, w.err
		}
	}
	return chunk, behind, true, w.err
}

func (l *subjectList) leafSubject(leaf leaf, t rel.Tuple) (s leafSubject, counts bool) {
	if !leaf.relation.AllowsTuple(t) {
		return leafSubject{}, false
	}
	limit := l.walk.decide(t)
	return leafSubject{id: t.Subject.ID(), seed: seed{leaf.at, t, limit}}, limit != Denied
}

// next is the next subject; more says whether there is one.
func (c *subjectCandidates) next() (found subjectCandidate, more bool, err error) {
	c.same, err = c.merging.next(c.same[:0])
	for _, s := range c.same {
		found.id = s.id
		switch {
		case s.self != nil:
			found.self = s.self
		case s.seed.at.vertex != nil:
			found.seeds = append(found.seeds, s.seed)
		}
	}
	// Seeds in one order make equal sets equal, whatever order the runs are in.
	slices.SortFunc(found.seeds, func(a, b seed) int {
		return cmp.Or(cmp.Compare(a.at.number, b.at.number), cmp.Compare(a.at.slot, b.at.slot))
	})
	return found, len(c.same) > 0, err
}
