package tupledb

import (
	"iter"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Snapshot reads one store as it was after one published revision, at one
// evaluation time, for as long as it is open. It answers the same whatever is
// written meanwhile and however late it is read: a tuple whose expiry is at or
// before the evaluation time is not there, in any read.
//
// One goroutine uses it; any number of snapshots are read at once. The
// sequences it returns may be left early, and other reads of the same snapshot
// may be made while ranging over one: each scan has an iterator of its own,
// kept for the next scan when it ends. A sequence ends after yielding an error.
//
// Whoever opens a snapshot closes it: it holds files and memory, and the DB
// waits for it.
type Snapshot struct {
	store    *Store
	head     *head // what was published when it was opened
	revision rel.Revision
	now      time.Time

	view   iterator // what every reader sees; the first one's
	opened []*reader
	idle   []*reader
	closed bool

	// Most checks need one reader, and its room is part of the snapshot.
	first      reader
	firstSlots [2]*reader
	firstBytes [2 * keyBytesHint]byte

	reads           int
	bound           func(reads int) error
	askAt, askEvery int
}

// Snapshot reads at a revision of this store that was published and is within its
// history.
func (s *Store) Snapshot(r rel.Revision) (*Snapshot, error) {
	h := s.head.Load()
	if err := s.mustBePublished(h, r); err != nil {
		return nil, err
	}
	if err := s.mustBeWithinHistory(r); err != nil {
		return nil, err
	}
	return s.open(h, r, s.now(h))
}

func (s *Store) mustBePublished(h *head, r rel.Revision) error {
	if r <= h.revision {
		return nil
	}
	return fault.Newf(fault.SnapshotMustNotBeOfTheFuture, "store %s is at revision %d, the snapshot at %d", s.name, h.revision, r).
		Do("send a snapshot that this store has answered with")
}

// MustHaveHad refuses a snapshot that this store never had: another store's, or
// one of the future.
func (s *Store) MustHaveHad(token rel.Snapshot) error {
	if token.Incarnation != s.incarnation || token.Epoch != s.epoch {
		return fault.Newf(fault.SnapshotMustBeOfThisStore, "snapshot %s is not of store %s as it is now", token, s.name).
			Do("it is another store's, or from before this store was restored or made anew; leave the snapshot out and go on with the one in the answer")
	}
	return s.mustBePublished(s.head.Load(), token.Revision)
}

// Newest reads at the newest published revision.
func (s *Store) Newest() (*Snapshot, error) {
	h := s.head.Load()
	return s.open(h, h.revision, s.now(h))
}

// At reads at a snapshot as a client holds it. A snapshot fixes tuples, not
// time: an old one does not revive what has expired since.
func (s *Store) At(token rel.Snapshot) (*Snapshot, error) {
	return s.AtTime(token, time.Time{})
}

// AtTime reads at a snapshot as a client holds it, evaluated at a time that an
// earlier read of it had, as the pages of a list are. The zero time is now.
func (s *Store) AtTime(token rel.Snapshot, now time.Time) (*Snapshot, error) {
	if err := s.MustHaveHad(token); err != nil {
		return nil, err
	}
	snap, err := s.Snapshot(token.Revision)
	if err == nil && !now.IsZero() {
		snap.now = inMicros(now.UnixMicro())
	}
	return snap, err
}

// now is the evaluation time of what is read of a head: the clock's, and never
// behind the newest commit, so that a clock that steps back does not revive what
// a commit has seen expired.
func (s *Store) now(h *head) time.Time {
	return inMicros(max(s.db.clock().UnixMicro(), h.micros))
}

// inMicros is a time in the steps that are stored.
func inMicros(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func (s *Store) open(h *head, r rel.Revision, now time.Time) (*Snapshot, error) {
	if err := s.MustNotBeLoading(); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	return &Snapshot{store: s, head: h, revision: r, now: now}, nil
}

// Close ends the snapshot. A second Close does nothing.
func (s *Snapshot) Close() {
	if s.closed {
		return
	}
	s.closed = true
	for _, r := range s.opened {
		_ = r.iter.Close()                              // an iterator's error was given to whoever read
		r.iter, r.err = iterator{}, errSnapshotClosed() // for a scan that is still ranged over
	}
	s.opened, s.idle, s.view = nil, nil, iterator{}
	s.store.leave()
}

// Revision is the revision that the snapshot reads at.
func (s *Snapshot) Revision() rel.Revision { return s.revision }

// Time is the evaluation time: what has expired at it is not there.
func (s *Snapshot) Time() time.Time { return s.now }

// Token is the snapshot as a client holds it; its time is not in it.
func (s *Snapshot) Token() rel.Snapshot { return s.store.token(s.revision) }

// Reads is what the snapshot has cost so far: one for a seek, and one for a
// step that found a key.
func (s *Snapshot) Reads() int { return s.reads }

// Bound makes reads ask, every so many of them, whether to go on; the error
// that ask returns ends the read. This is how budgets and deadlines reach a
// scan that looks at much and yields little.
func (s *Snapshot) Bound(every int, ask func(reads int) error) {
	s.bound, s.askEvery = ask, max(every, 1)
	s.askAt = s.reads + s.askEvery
}

// Find is the tuple of a key, and whether it is there. It is one read, and reads
// no data where a filter can say no.
func (s *Snapshot) Find(k rel.Key) (t rel.Tuple, found bool, err error) {
	r := s.borrow()
	defer s.giveBack(r)
	value, found := r.probe(appendForward(r.seek[:0], s.store.number, k))
	if r.err != nil || !found || !r.counts(value) {
		return rel.Tuple{}, false, r.err
	}
	return r.here.of(k), true, nil
}

// Has reports whether a tuple is there, at the cost of a Find.
func (s *Snapshot) Has(k rel.Key) (bool, error) {
	_, found, err := s.Find(k)
	return found, err
}

// Object reads an object's tuples, at most limit of them, in key order: usersets
// and wildcards first, then by relation and subject. The tuples are put into
// buf's array from its start; whole says whether they are all.
func (s *Snapshot) Object(o rel.Object, buf []rel.Tuple, limit int) (tuples []rel.Tuple, whole bool, err error) {
	tuples = buf[:0]
	r := s.borrow()
	defer s.giveBack(r)
	r.prefix = appendObject(r.prefix[:0], s.store.number, o)
	for key, ok := r.begin(nil); ok; key, ok = r.next() {
		if len(tuples) >= limit {
			return tuples, false, nil
		}
		text, ok1 := r.fieldsText(key[len(r.prefix):])
		relation, subject, ok2 := parseRelationSubject(text)
		if !ok1 || !ok2 {
			return tuples, false, r.malformed(key)
		}
		tuples = append(tuples, r.here.of(rel.Key{Object: o, Relation: relation, Subject: subject}))
	}
	return tuples, r.err == nil, r.err
}

// Usersets yields the tuples of a relation of an object whose subjects are
// usersets and wildcards. It never reads the plain subjects beside them.
func (s *Snapshot) Usersets(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return s.subjects(o, classSets, relation)
}

// Subjects yields the other tuples of a relation of an object.
func (s *Snapshot) Subjects(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return s.subjects(o, classPlain, relation)
}

func (s *Snapshot) subjects(o rel.Object, c class, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		r := s.borrow()
		defer s.giveBack(r)
		r.prefix = appendRelation(r.prefix[:0], s.store.number, o, c, relation)
		for key, ok := r.begin(nil); ok; key, ok = r.next() {
			text, ok1 := r.fieldsText(key[len(r.prefix):])
			subject, ok2 := parseSubject(text)
			if !ok1 || !ok2 {
				yield(rel.Tuple{}, r.malformed(key))
				return
			}
			if !yield(r.here.of(rel.Key{Object: o, Relation: relation, Subject: subject}), nil) {
				return
			}
		}
		if r.err != nil {
			yield(rel.Tuple{}, r.err)
		}
	}
}

// Objects yields the tuples of a subject in a relation of the objects of a type whose
// ids are in a range, in the order of rel.CompareIDs.
func (s *Snapshot) Objects(subject rel.Subject, typ rel.ObjectType, relation rel.Name, ids rel.IDs) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		r := s.borrow()
		defer s.giveBack(r)
		r.prefix = appendSubject(r.prefix[:0], s.store.number, subject)
		r.prefix = appendField(r.prefix, typ)
		r.prefix = appendField(r.prefix, relation)
		r.eachID(ids, nil, func(key []byte, fields int) bool {
			text, ok1 := r.fieldsText(key[fields:])
			id, rest, ok2 := nextField(text)
			if !ok1 || !ok2 || rest != "" || id == "" {
				yield(rel.Tuple{}, r.malformed(key))
				return false
			}
			return yield(r.here.of(rel.Key{Object: rel.Trusted(typ, id), Relation: relation, Subject: subject}), nil)
		})
		if r.err != nil {
			yield(rel.Tuple{}, r.err)
		}
	}
}

// SubjectsOf yields those of Subjects that are of a type, with ids in a range, in the
// order of rel.CompareIDs.
func (s *Snapshot) SubjectsOf(o rel.Object, relation rel.Name, typ rel.ObjectType, ids rel.IDs) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		r := s.borrow()
		defer s.giveBack(r)
		r.prefix = appendRelation(r.prefix[:0], s.store.number, o, classPlain, relation)
		r.prefix = appendField(r.prefix, typ)
		noRelation := []byte{0}
		r.eachID(ids, noRelation, func(key []byte, fields int) bool {
			text, ok1 := r.fieldsText(key[fields:])
			id, rest, ok2 := nextField(text)
			if !ok1 || !ok2 || rest != "\x00" || id == "" {
				yield(rel.Tuple{}, r.malformed(key))
				return false
			}
			return yield(r.here.of(rel.Key{Object: o, Relation: relation, Subject: rel.TrustedSubject(typ, id, "")}), nil)
		})
		if r.err != nil {
			yield(rel.Tuple{}, r.err)
		}
	}
}

// Stands reports whether an object stands in any tuple: as the object, as the
// subject, or as what a userset is made of.
func (s *Snapshot) Stands(o rel.Object) (bool, error) {
	r := s.borrow()
	defer s.giveBack(r)
	r.prefix = appendObject(r.prefix[:0], s.store.number, o)
	if _, ok := r.begin(nil); ok || r.err != nil {
		return ok, r.err
	}
	r.prefix = appendKind(r.prefix[:0], s.store.number, kindReverse)
	r.prefix = appendField(r.prefix, o.Type())
	r.prefix = appendID(r.prefix, o.ID())
	_, ok := r.begin(nil)
	return ok, r.err
}

// Schema is the schema version in force; ok is false before the first one. The
// newest version costs no read.
func (s *Snapshot) Schema() (v SchemaVersion, ok bool, err error) {
	if newest := s.head.schema; newest == nil {
		return SchemaVersion{}, false, nil
	} else if newest.Revision <= s.revision {
		return *newest, true, nil
	}
	r := s.borrow()
	defer s.giveBack(r)
	value, found := r.probe(appendSchemaPrefix(r.seek[:0], s.store.number))
	if r.err != nil || !found {
		return SchemaVersion{}, false, r.err
	}
	v, err = decodeSchema(value, r.revisionHere())
	return v, err == nil, err
}
