package engine

import (
	"iter"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Shared is a reader for walks of several principals over one snapshot. What
// stands on an object is the same for all of them, and what one walk has read of an
// object or of its usersets costs the next one no reads.
//
// What is about one principal, one tuple of it or its side of the graph, is read
// through: no other walk would ask for it. Once it keeps as much as it may, what
// comes after is read again by every walk that needs it. It is used by one goroutine
// at a time.
type Shared struct {
	Reader
	objects  map[glance]sight
	usersets map[relationOf][]rel.Tuple
	kept     int // bytes, about
	bytesMax int
}

// NewShared shares what is read of a snapshot, and keeps some bytes of it.
func NewShared(r Reader, bytesMax int) *Shared {
	return &Shared{Reader: r, objects: make(map[glance]sight), usersets: make(map[relationOf][]rel.Tuple), bytesMax: bytesMax}
}

// A glance is at an object, and at so many of its tuples.
type glance struct {
	object rel.Object
	max    int
}

// A sight is what a glance shows.
type sight struct {
	tuples []rel.Tuple
	whole  bool
}

// A relationOf is a relation on one object.
type relationOf struct {
	object   rel.Object
	relation rel.Name
}

// Object is what the first walk that asked has read.
func (s *Shared) Object(o rel.Object, buf []rel.Tuple, max int) (tuples []rel.Tuple, whole bool, err error) {
	seen, known := s.objects[glance{o, max}]
	if !known {
		tuples, whole, err = s.Reader.Object(o, nil, max)
		if err != nil {
			return nil, false, err
		}
		seen = sight{slices.Clip(tuples), whole}
		if s.keep(tuples) {
			s.objects[glance{o, max}] = seen
		}
	}
	if buf == nil {
		return seen.tuples, seen.whole, nil
	}
	return append(buf[:0], seen.tuples...), seen.whole, nil
}

// Usersets are kept when they were read to their end.
func (s *Shared) Usersets(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	at := relationOf{o, relation}
	return func(yield func(rel.Tuple, error) bool) {
		if known, ok := s.usersets[at]; ok {
			for _, t := range known {
				if !yield(t, nil) {
					return
				}
			}
			return
		}
		var read []rel.Tuple
		for t, err := range s.Reader.Usersets(o, relation) {
			if !yield(t, err) || err != nil {
				return
			}
			read = append(read, t)
		}
		if s.keep(read) {
			s.usersets[at] = read
		}
	}
}

// keep counts what is to be kept, and reports whether there is room for it.
func (s *Shared) keep(tuples []rel.Tuple) bool {
	const bytesOfOne = 200 // a tuple without its id and context, or the entry that holds them
	bytes := bytesOfOne
	for _, t := range tuples {
		bytes += bytesOfOne + len(t.Subject.ID()) + len(t.Caveat.Context.String())
	}
	if s.kept+bytes > s.bytesMax {
		return false
	}
	s.kept += bytes
	return true
}
