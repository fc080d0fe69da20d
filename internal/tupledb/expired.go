package tupledb

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// DeleteExpired deletes tuples whose time has passed, a bounded number of them in
// one revision with the cause Expired; more says whether others are due already.
// Where none is due it costs one seek, and nobody waits for it.
//
// No rule is judged, since nothing changes that a rule sees: an expired tuple was
// not there before. A tuple that stands only where another one stood (`of`) is left
// as it is, as it was from the moment that the other one expired; whoever writes
// next is judged on that state. What was put again or touched in the meantime has
// a newer version, and is not deleted.
//
// While the store is being loaded nothing is due: what expires in a load is of no
// state yet.
func (s *Store) DeleteExpired(ctx context.Context) (deleted int, more bool, err error) {
	due, err := s.hasDue()
	if err != nil || !due || s.load.Load() != nil {
		return 0, false, err
	}
	var x expired
	_, err = s.Update(ctx, func(snap *Snapshot) (Commit, error) {
		if err := x.find(snap); err != nil {
			return Commit{}, err
		}
		return Commit{Delete: x.tuples, Cause: CauseExpired, expired: x.entries}, nil
	})
	if err == nil {
		err = s.forget(x.outlived)
	} else if fault.Is(err, fault.StoreMustNotBeLoading) { // by now
		return 0, false, nil
	}
	return len(x.tuples), x.more, err
}

// hasDue looks at the first expiry alone.
func (s *Store) hasDue() (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	it, err := s.iteratorOver(expiriesFrom(s.number, 0), expiriesFrom(s.number, s.now(s.head.Load()).UnixMicro()+1))
	if err != nil {
		return false, err
	}
	defer func() { _ = it.Close() }()
	if it.First() {
		return true, nil
	}
	if err := it.Error(); err != nil {
		return false, unreadable(err)
	}
	return false, nil
}

// An expired is what is due at a time: the tuples that are to be deleted, their
// entries among the expiries, and the entries of versions that were replaced in
// time and have nothing to say any more.
type expired struct {
	tuples   []rel.Tuple
	entries  [][]byte
	outlived [][]byte
	more     bool
}

func (x *expired) find(snap *Snapshot) error {
	*x = expired{}
	r := snap.borrow()
	defer snap.giveBack(r)
	end := expiriesFrom(snap.store.number, snap.now.UnixMicro()+1)
	if r.err != nil {
		return r.err
	}
	for r.iter.SeekGE(expiriesFrom(snap.store.number, 0)); r.iter.Valid(); r.iter.Next() {
		if compareKeys(r.iter.Key(), end) >= 0 {
			return nil
		}
		if len(x.tuples)+len(x.outlived) == expiredAtOnceMax {
			x.more = true
			return nil
		}
		if !r.count() {
			return r.err
		}
		if err := x.judge(snap, bytes.Clone(r.iter.Key())); err != nil {
			return err
		}
	}
	r.fail(r.iter.Error())
	return r.err
}

// judge looks whether the version that an entry speaks of is the newest one of its
// tuple.
func (x *expired) judge(snap *Snapshot, entry []byte) error {
	n := splitKey(entry)
	expires, k, ok := parseExpiring(entry[fieldsAt:n])
	if !ok {
		return corrupt("key %v is not of the form that pemba writes", keyText(entry))
	}
	t, revision, there, err := snap.newestVersion(k)
	switch {
	case err != nil:
		return err
	case !there || revision != revisionOf(entry[n:]):
		x.outlived = append(x.outlived, entry)
	case t.Expires != expires:
		return corrupt("%v is to expire at %v, and expires at %v", keyText(entry), expires, t.Expires)
	default:
		x.tuples, x.entries = append(x.tuples, t), append(x.entries, entry)
	}
	return nil
}

// newestVersion is a tuple as its newest version has it, expired or not.
func (s *Snapshot) newestVersion(k rel.Key) (t rel.Tuple, revision rel.Revision, there bool, err error) {
	r := s.borrow()
	defer s.giveBack(r)
	value, found := r.probe(appendForward(r.seek[:0], s.store.number, k))
	if r.err != nil || !found {
		return rel.Tuple{}, 0, false, r.err
	}
	live, carried, ok := parseValue(value)
	if !ok {
		return rel.Tuple{}, 0, false, corrupt("%v has a value that is not of the form that pemba writes", keyText(r.iter.Key()))
	}
	return carried.of(k), r.revisionHere(), live, nil
}

// forget deletes entries that no state needs. It waits for no fsync: one that comes
// back after a power cut is found again, and the log keeps it from coming back
// before what outlived it.
func (s *Store) forget(entries [][]byte) error {
	if len(entries) == 0 {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.collecting.Lock() // so that the store is not deleted meanwhile
	defer s.collecting.Unlock()
	if err := s.mustNotEnd(); err != nil {
		return err
	}
	batch := s.db.pebble.NewBatch()
	defer func() { _ = batch.Close() }()
	for _, e := range entries {
		if err := batch.Delete(e, nil); err != nil {
			return err
		}
	}
	return s.db.applyUnsynced(batch)
}

// applyUnsynced makes a batch visible whose loss would harm nobody.
func (db *DB) applyUnsynced(batch *pebble.Batch) error {
	if err := db.takesWrites(); err != nil {
		return err
	}
	if err := db.orStop(func() error { return db.pebble.Apply(batch, pebble.NoSync) }); err != nil {
		return db.takesWrites()
	}
	return nil
}

// expiriesFrom is where the expiries from a time on begin.
func expiriesFrom(n storeNumber, micros int64) []byte {
	key := appendKind(nil, n, kindExpiry)
	return append(binary.BigEndian.AppendUint64(key, uint64(micros)), 0)
}

// appendExpiring is the prefix of one tuple's versions that expire at a time.
func appendExpiring(key []byte, n storeNumber, expires rel.Expiry, t rel.Key) []byte {
	key = appendKind(key, n, kindExpiry)
	key = binary.BigEndian.AppendUint64(key, uint64(expires))
	key = appendField(key, t.Object.Type())
	key = appendID(key, t.Object.ID())
	key = appendField(append(key, byte(classOf(t.Subject))), t.Relation)
	return appendSubjectFields(key, t.Subject)
}

// expiryBytes is how long an expiry is in a key.
const expiryBytes = 8

// parseExpiring reads the fields of such a prefix.
func parseExpiring(fields []byte) (rel.Expiry, rel.Key, bool) {
	if len(fields) < expiryBytes {
		return 0, rel.Key{}, false
	}
	micros := binary.BigEndian.Uint64(fields)
	k, ok := parseFields(fields[expiryBytes:], parseForward)
	return rel.Expiry(micros), k, ok && micros != 0 && micros <= math.MaxInt64
}
