package engine

import (
	"container/heap"

	"github.com/pemba-io/pemba/internal/rel"
)

// A listable has the id by which lists are merged.
type listable interface{ listID() string }

// A run is a part of a list in order. It is read a chunk at a time, or known whole from
// the beginning.
type run[E listable] struct {
	chunk []E
	next  int
	// fill reads the chunk that comes after an id; whole says that nothing comes behind
	// it. It is nil where nothing does.
	fill func(after string) (chunk []E, behind string, whole bool, err error)
	// find is the entry with an id, for a run that is asked by `at`.
	find func(id string) (E, error)
	// behind is the id that the next chunk comes after.
	behind string
	asked  string // the id that `at` was asked for last
}

func (r *run[E]) id() string { return r.chunk[r.next].listID() }

// settle reads on where the chunk has come to its end; ended says that there is nothing
// left.
func (r *run[E]) settle() (ended bool, err error) {
	for r.next == len(r.chunk) {
		if r.fill == nil {
			return true, nil
		}
		chunk, behind, whole, err := r.fill(r.behind)
		if err != nil {
			return true, err
		}
		r.chunk, r.next, r.behind = chunk, 0, behind
		if whole {
			r.fill = nil
		}
	}
	return false, nil
}

// at is the entry with an id, or the zero entry where the run has none. Ids are asked for
// in their order. Where they are close in the run, a chunk serves many of them; where a
// chunk does not lead as far as the id, the id is looked up, and what lies between is not
// read.
func (r *run[E]) at(id string) (here E, err error) {
	for read := false; ; read = true {
		for r.next < len(r.chunk) && rel.CompareIDs(r.id(), id) < 0 {
			r.next++
		}
		if r.next < len(r.chunk) {
			if r.id() == id {
				here = r.chunk[r.next]
			}
			break
		}
		if r.fill == nil {
			break
		}
		if read {
			if here, err = r.find(id); err != nil {
				return here, err
			}
			break
		}
		if r.asked != "" && rel.CompareIDs(r.asked, r.behind) > 0 {
			r.behind = r.asked // all up to there has been passed
		}
		if ended, err := r.settle(); err != nil {
			return here, err
		} else if ended {
			break
		}
	}
	r.asked = id
	return here, nil
}

// A merging merges runs in the order of rel.CompareIDs. It is a heap by the id that
// each run is at; none of them is at its end.
type merging[E listable] struct{ runs []*run[E] }

func (m *merging[E]) Len() int           { return len(m.runs) }
func (m *merging[E]) Less(i, j int) bool { return rel.CompareIDs(m.runs[i].id(), m.runs[j].id()) < 0 }
func (m *merging[E]) Swap(i, j int)      { m.runs[i], m.runs[j] = m.runs[j], m.runs[i] }
func (m *merging[E]) Push(x any)         { m.runs = append(m.runs, x.(*run[E])) }
func (m *merging[E]) Pop() any {
	last := m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	return last
}

// add adds a run, and reads its first chunk.
func (m *merging[E]) add(r *run[E]) error {
	ended, err := r.settle()
	if !ended {
		heap.Push(m, r)
	}
	return err
}

// next appends all entries with the lowest id to buf: none where the runs are over.
func (m *merging[E]) next(buf []E) ([]E, error) {
	for len(m.runs) > 0 {
		r := m.runs[0]
		if len(buf) > 0 && r.id() != buf[0].listID() {
			break
		}
		buf = append(buf, r.chunk[r.next])
		r.next++
		ended, err := r.settle()
		if err != nil {
			return nil, err
		}
		if ended {
			heap.Pop(m)
		} else {
			heap.Fix(m, 0)
		}
	}
	return buf, nil
}

// few reports whether all of the runs has been read already.
func (m *merging[E]) few() bool {
	for _, r := range m.runs {
		if r.fill != nil {
			return false
		}
	}
	return true
}

// chunkOf is how much of each of some runs is read first for a page: together as much
// as the page, since what is read beyond it is read for nothing.
func chunkOf(pageSize, runs int) int {
	runs = max(runs, 1)
	return max(min(chunkMin, firstChunksMin/runs), pageSize/runs) + 1
}

// chunkAfter is how much is read after a chunk: a run that has come to its end
// once is one of those that the page is made of.
func chunkAfter(size int) int { return max(size, min(4*size, chunkMin)) }
