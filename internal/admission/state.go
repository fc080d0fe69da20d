package admission

import (
	"iter"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A state is what would be stored after the updates applied so far: the state
// before, and the net change over it.
type state struct {
	before Reader
	now    time.Time // what has expired by then is stored, and does not count
	net    []change  // as first met; some were taken back
	at     map[rel.Key]int

	// What is judged is asked for object by object and subject by subject, so a
	// large write finds its own changes by both.
	byObject  map[rel.Object][]int
	bySubject map[rel.Object][]int // by the object that the subject names, its relation left aside

	// steps counts what was looked at of the net change: no read, but after a filter
	// that took many tuples each further update may look at all of them.
	steps int

	partial bool // a filter was left with tuples that it selects
}

// A presence is a tuple that is there, or none.
type presence struct {
	tuple rel.Tuple
	there bool
}

// A change is what the updates did to one tuple so far.
type change struct{ was, is presence }

// op is what they did in the end; zero where the tuple is as it was.
func (c change) op() rel.Op {
	switch {
	case c.was == c.is:
		return 0
	case !c.was.there:
		return rel.Create
	case !c.is.there:
		return rel.Delete
	default:
		return rel.Touch
	}
}

// net is the change as it is told: what was deleted as it was, everything else as it is.
func (c change) net() rel.Change {
	op := c.op()
	if op == rel.Delete {
		return rel.Change{Op: op, Tuple: c.was.tuple}
	}
	return rel.Change{Op: op, Tuple: c.is.tuple}
}

func newState(before Reader) *state {
	return &state{
		before:    before,
		now:       before.Time(),
		at:        make(map[rel.Key]int),
		byObject:  make(map[rel.Object][]int),
		bySubject: make(map[rel.Object][]int),
	}
}

// changeOf is the net change of one tuple so far; ok is false where there is none.
func (s *state) changeOf(k rel.Key) (c change, ok bool) {
	i, met := s.at[k]
	if !met || s.net[i].op() == 0 {
		return change{}, false
	}
	return s.net[i], true
}

// find is the tuple of a key, and whether it is there and counts.
func (s *state) find(k rel.Key) (t rel.Tuple, there bool, err error) {
	if i, met := s.at[k]; met {
		return s.net[i].is.tuple, s.counts(s.net[i].is), nil
	}
	return s.before.Find(k)
}

// counts reports whether a tuple is there and has not expired. What was before
// the write always counts where it is there.
func (s *state) counts(p presence) bool { return p.there && !p.tuple.Expires.PassedAt(s.now) }

func (s *state) has(k rel.Key) (bool, error) {
	_, there, err := s.find(k)
	return there, err
}

// meet is the change of a tuple that an update is about, to be gone on with: what
// is done and undone in one write is no net change.
func (s *state) meet(k rel.Key) (*change, error) {
	i, met := s.at[k]
	if !met {
		t, there, err := s.before.Find(k)
		if err != nil {
			return nil, err
		}
		i = s.add(k, presence{t, there})
	}
	return &s.net[i], nil
}

// add begins the change of a tuple that none was about yet.
func (s *state) add(k rel.Key, was presence) int {
	i := len(s.net)
	s.at[k] = i
	s.net = append(s.net, change{was, was})
	s.byObject[k.Object] = append(s.byObject[k.Object], i)
	s.bySubject[named(k.Subject)] = append(s.bySubject[named(k.Subject)], i)
	return i
}

// remove takes away a tuple that tuples has just yielded, without another look at
// the store.
func (s *state) remove(t rel.Tuple) {
	i, met := s.at[t.Key]
	if !met {
		i = s.add(t.Key, presence{t, true})
	}
	s.net[i].is = presence{}
}

// named is the object that a subject names; a wildcard is filed under its id.
func named(s rel.Subject) rel.Object { return rel.Trusted(s.Type(), s.ID()) }

// changed visits the net change, in the order in which its tuples were first met.
func (s *state) changed() iter.Seq[rel.Change] {
	return func(yield func(rel.Change) bool) {
		for _, c := range s.net {
			if c.op() != 0 && !yield(c.net()) {
				return
			}
		}
	}
}

// gained visits the tuples that count after the write and did not before.
func (s *state) gained() iter.Seq[rel.Tuple] {
	return func(yield func(rel.Tuple) bool) {
		for _, c := range s.net {
			if !c.was.there && s.counts(c.is) && !yield(c.is.tuple) {
				return
			}
		}
	}
}

// put visits what was created or touched, counts, and is selected by a filter.
func (s *state) put(f rel.Filter) iter.Seq[rel.Tuple] {
	return func(yield func(rel.Tuple) bool) {
		visit := func(c change) bool {
			s.steps++
			return c.op() == 0 || !s.counts(c.is) || !f.Matches(c.is.tuple) || yield(c.is.tuple)
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
			if _, changed := s.changeOf(t.Key); changed {
				continue // deleted, or among what was put
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
		for t, err := range s.before.Objects(subject, typ, relation, rel.IDs{}) {
			if err != nil {
				yield(rel.Object{}, err)
				return
			}
			if _, changed := s.changeOf(t.Key); changed {
				continue
			}
			if !yield(t.Object, nil) {
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
	d := Decision{Partial: s.partial}
	for c := range s.changed() {
		switch c.Op {
		case rel.Create:
			d.Put = append(d.Put, c.Tuple)
		case rel.Touch:
			d.Touch = append(d.Touch, c.Tuple)
		default:
			d.Delete = append(d.Delete, c.Tuple)
		}
	}
	return d
}
