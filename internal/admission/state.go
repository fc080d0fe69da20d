package admission

import (
	"iter"

	"github.com/pemba-io/pemba/internal/rel"
)

// A state is what would be stored after the updates applied so far: the state
// before, and the net change over it.
type state struct {
	before Reader
	net    []change // as first met; those that were taken back are not live
	at     map[rel.Tuple]int

	// What is judged is asked for object by object and subject by subject, so a
	// large write finds its own changes by both.
	byObject  map[rel.Object][]int
	bySubject map[rel.Object][]int // by the object that the subject names, its relation left aside
}

// A change is what the updates did to one tuple so far.
type change struct {
	tuple rel.Tuple
	put   bool // put, and was not there; otherwise deleted, and was there
	live  bool
}

func newState(before Reader) *state {
	return &state{
		before:    before,
		at:        make(map[rel.Tuple]int),
		byObject:  make(map[rel.Object][]int),
		bySubject: make(map[rel.Object][]int),
	}
}

// change is what is known of a tuple; ok is false where nothing changed.
func (s *state) change(t rel.Tuple) (put, ok bool) {
	i, met := s.at[t]
	if !met || !s.net[i].live {
		return false, false
	}
	return s.net[i].put, true
}

// has reports whether a tuple is there.
func (s *state) has(t rel.Tuple) (bool, error) {
	if put, changed := s.change(t); changed {
		return put, nil
	}
	return s.before.Has(t)
}

// set puts or deletes a tuple; the caller has seen that this changes it. What is
// put and deleted in one write, or the other way round, is no net change.
func (s *state) set(t rel.Tuple, there bool) {
	i, met := s.at[t]
	switch {
	case !met:
		i = len(s.net)
		s.at[t] = i
		s.net = append(s.net, change{t, there, true})
		s.byObject[t.Object] = append(s.byObject[t.Object], i)
		s.bySubject[named(t.Subject)] = append(s.bySubject[named(t.Subject)], i)
	case s.net[i].live:
		s.net[i].live = false
	default:
		s.net[i] = change{t, there, true}
	}
}

// named is the object that a subject names; a wildcard is filed under its id.
func named(s rel.Subject) rel.Object { return rel.Trusted(s.Type(), s.ID()) }

// changed visits the net change, in the order in which its tuples were first met.
func (s *state) changed() iter.Seq2[rel.Tuple, bool] {
	return func(yield func(rel.Tuple, bool) bool) {
		for _, c := range s.net {
			if c.live && !yield(c.tuple, c.put) {
				return
			}
		}
	}
}

// put visits what was put and is selected by a filter.
func (s *state) put(f rel.Filter) iter.Seq[rel.Tuple] {
	return func(yield func(rel.Tuple) bool) {
		visit := func(c change) bool {
			return !c.live || !c.put || !f.Matches(c.tuple) || yield(c.tuple)
		}
		var places []int
		switch {
		case f.ObjectID != "":
			places = s.byObject[rel.Trusted(f.ObjectType, f.ObjectID)]
		case f.SubjectID != "":
			places = s.bySubject[rel.Trusted(f.SubjectType, f.SubjectID)]
		default:
			for _, c := range s.net {
				if !visit(c) {
					return
				}
			}
			return
		}
		for _, i := range places {
			if !visit(s.net[i]) {
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
			if _, changed := s.change(t); changed {
				continue // deleted: what was there can have changed in no other way
			}
			if !yield(t, nil) {
				return
			}
		}
		for t := range s.put(f) {
			if !yield(t, nil) {
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
			if _, changed := s.change(rel.Tuple{Object: o, Relation: relation, Subject: subject}); changed {
				continue
			}
			if !yield(o, nil) {
				return
			}
		}
		own := subject.Relation()
		f := rel.Filter{
			ObjectType: typ, Relation: relation,
			SubjectType: subject.Type(), SubjectID: subject.ID(), SubjectRelation: &own,
		}
		for t := range s.put(f) {
			if !yield(t.Object, nil) {
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
