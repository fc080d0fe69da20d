package tupledb

import (
	"bytes"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Stretch is the revisions of a store from one to another; empty where First is
// above Last.
type Stretch struct{ First, Last rel.Revision }

// Stretch is the revisions of the history up to the snapshot's that were committed
// at or after a time and before another, as far as they are given. The history may
// begin later than a store did: begins is the commit time of its first revision
// then, the zero time otherwise. A first time before that is refused.
func (s *Snapshot) Stretch(since, until *time.Time) (found Stretch, begins time.Time, err error) {
	found = Stretch{max(s.store.Floor(), 1), s.revision}
	if floor := s.store.Floor(); floor > 0 {
		micros, err := s.store.timeOf(floor)
		if err != nil {
			return Stretch{}, time.Time{}, err
		}
		begins = inMicros(micros)
	}
	if until != nil {
		before := microsFrom(*until) - 1
		switch r, _, err := s.store.revisionAt(s.head, before); {
		case err != nil && !begins.IsZero() && before < begins.UnixMicro():
			found.Last = 0 // all of it is past the history
		case err != nil:
			return Stretch{}, time.Time{}, err
		default:
			found.Last = min(found.Last, r)
		}
	}
	if since != nil && (begins.IsZero() || microsFrom(*since) != begins.UnixMicro()) {
		r, _, err := s.store.revisionAt(s.head, microsFrom(*since)-1)
		if err != nil {
			return Stretch{}, time.Time{}, err
		}
		found.First = max(found.First, r+1)
	}
	return found, begins, nil
}

// microsFrom is the first commit time that is not before a time.
func microsFrom(t time.Time) int64 {
	micros := t.UnixMicro()
	if t.After(inMicros(micros)) {
		micros++
	}
	return micros
}

// ObjectChanges are the revisions of a stretch that changed tuples on an object, in
// no order, each once, found by reading all versions of them; whole says whether
// that took at most so many reads, and otherwise they are none.
func (s *Snapshot) ObjectChanges(o rel.Object, in Stretch, most int) (found []rel.Revision, whole bool, err error) {
	return s.changesUnder(func(b []byte) []byte { return appendObject(b, s.store.number, o) }, in, most)
}

// SubjectChanges are the same of the tuples that have exactly this subject.
func (s *Snapshot) SubjectChanges(subject rel.Subject, in Stretch, most int) (found []rel.Revision, whole bool, err error) {
	return s.changesUnder(func(b []byte) []byte { return appendSubject(b, s.store.number, subject) }, in, most)
}

func (s *Snapshot) changesUnder(prefix func([]byte) []byte, in Stretch, most int) (found []rel.Revision, whole bool, err error) {
	r := s.borrow()
	defer s.giveBack(r)
	if r.err != nil || !r.count() {
		return nil, false, r.err
	}
	r.prefix = prefix(r.prefix[:0])
	met := make(map[rel.Revision]bool)
	reads := 0
	for ok := r.iter.SeekGE(r.prefix); ok; ok = r.iter.Next() {
		key := r.iter.Key()
		if !bytes.HasPrefix(key, r.prefix) {
			break
		}
		if reads++; reads > most {
			return nil, false, nil
		}
		if !r.count() {
			return nil, false, r.err
		}
		if at := revisionOf(key[splitKey(key):]); at >= in.First && at <= in.Last && !met[at] {
			met[at] = true
			found = append(found, at)
		}
	}
	if r.fail(r.iter.Error()) {
		return nil, false, r.err
	}
	return found, true, nil
}

// Part reads a stretch of one change of the log: about so many stored bytes, and at
// most so many tuples; how many bytes that were, and where it goes on.
func (s *Store) Part(at Position, bytes, tuples int) (part Part, read int, next Position, err error) {
	if err := s.enter(); err != nil {
		return Part{}, 0, at, err
	}
	defer s.leave()
	it, err := s.log(at.Revision, at.Revision)
	if err != nil || !it.isOpen() {
		return Part{}, 0, at, err
	}
	defer func() { _ = it.Close() }()
	if !it.First() {
		if err := it.Error(); err != nil {
			return Part{}, 0, at, unreadable(err)
		}
		return Part{}, 0, at, corrupt("the change log of store %s has no revision %d", s.name, at.Revision)
	}
	next = at
	part, read, err = readPart(it, &next, bytes, tuples)
	return part, read, next, err
}
