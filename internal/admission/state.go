package admission

import (
	"iter"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
)

// A state is what would be stored after the updates applied so far: the state
// before, and the net change over it.
type state struct {
	before Reader
	net    map[rel.Tuple]bool // true: put, was not there; false: deleted, was there
	order  []rel.Tuple        // keys of net, as first met
}

func newState(before Reader) *state {
	return &state{before: before, net: make(map[rel.Tuple]bool)}
}

// has reports whether a tuple is there.
func (s *state) has(t rel.Tuple) (bool, error) {
	if put, changed := s.net[t]; changed {
		return put, nil
	}
	return s.before.Has(t)
}

// set puts or deletes a tuple; the caller has seen that this changes it. What is
// put and deleted in one write, or the other way round, is no net change.
func (s *state) set(t rel.Tuple, there bool) {
	if _, changed := s.net[t]; changed {
		delete(s.net, t)
		return
	}
	if !slices.Contains(s.order, t) {
		s.order = append(s.order, t)
	}
	s.net[t] = there
}

// changed visits the net change, in the order in which its tuples were first met.
func (s *state) changed() iter.Seq2[rel.Tuple, bool] {
	return func(yield func(rel.Tuple, bool) bool) {
		for _, t := range s.order {
			if put, changed := s.net[t]; changed && !yield(t, put) {
				return
			}
		}
	}
}

// tuples are those that a filter selects.
func (s *state) tuples(f rel.Filter) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		for t, err := range s.before.Tuples(f) {
			if err != nil {
				yield(rel.Tuple{}, err)
				return
			}
			if put, changed := s.net[t]; changed && !put {
				continue
			}
			if !yield(t, nil) {
				return
			}
		}
		for t, put := range s.changed() {
			if put && f.Matches(t) && !yield(t, nil) {
				return
			}
		}
	}
}

// on are the tuples of a relation on an object.
func (s *state) on(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return s.tuples(rel.Filter{ObjectType: o.Type(), ObjectID: o.ID(), Relation: relation})
}

// objects are those of a type on which the subject has the relation.
func (s *state) objects(subject rel.Subject, typ rel.ObjectType, relation rel.Name) iter.Seq2[rel.Object, error] {
	return func(yield func(rel.Object, error) bool) {
		for o, err := range s.before.Objects(subject, typ, relation) {
			if err != nil {
				yield(rel.Object{}, err)
				return
			}
			if put, changed := s.net[rel.Tuple{Object: o, Relation: relation, Subject: subject}]; changed && !put {
				continue
			}
			if !yield(o, nil) {
				return
			}
		}
		for t, put := range s.changed() {
			if put && t.Subject == subject && t.Relation == relation && t.Object.Type() == typ && !yield(t.Object, nil) {
				return
			}
		}
	}
}

// stands reports whether an object stands in any tuple, on either side.
func (s *state) stands(o rel.Object) (bool, error) {
	_, any, err := first(s.tuples(rel.Filter{ObjectType: o.Type(), ObjectID: o.ID()}))
	if any || err != nil {
		return any, err
	}
	_, any, err = first(s.tuples(rel.Filter{SubjectType: o.Type(), SubjectID: o.ID()}))
	return any, err
}

// decision is the net change.
func (s *state) decision() Decision {
	var d Decision
	for t, put := range s.changed() {
		if put {
			d.Put = append(d.Put, t)
		} else {
			d.Delete = append(d.Delete, t)
		}
	}
	return d
}
