package tupledb

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Request is a write that its caller named, so that the same one again is no
// second write. It is kept in the batch of its commit, for a day: it is there when
// the commit is, and only then. It is kept where the commit changes nothing, too:
// what the write would have changed later, a retry must not change either.
type Request struct {
	// Caller is whose id it is; empty as long as callers are not told apart.
	Caller string
	ID     rel.RequestID
	// Body is the hash of what was asked, by which another request is known.
	Body RequestBody
	// Partial is part of the answer.
	Partial bool
}

// A RequestBody is the hash of what a request asks.
type RequestBody [sha256.Size]byte

// A Kept is what is known of a request that was written: its answer, but for the
// tuples, which the change log has at Revision.
type Kept struct {
	Body RequestBody
	Time time.Time
	// Revision is the one that the request made; where it Made none, the one that
	// was judged.
	Revision rel.Revision
	Made     bool
	Partial  bool
	// How many tuples it changed.
	Put, Touch, Delete uint64
}

// Request finds a request that was written by the snapshot's revision, and is not
// older than a day at its time.
func (s *Snapshot) Request(caller string, id rel.RequestID) (k Kept, found bool, err error) {
	r := s.borrow()
	defer s.giveBack(r)
	if r.err != nil || !r.count() {
		return Kept{}, false, r.err
	}
	r.seek = appendRequestKey(r.seek[:0], s.store.number, caller, id)
	if !r.iter.SeekPrefixGE(r.seek) {
		r.fail(r.iter.Error())
		return Kept{}, false, r.err
	}
	value, err := r.iter.ValueAndErr()
	if r.fail(err) {
		return Kept{}, false, r.err
	}
	k, ok := decodeKept(value)
	if !ok {
		return Kept{}, false, corrupt("%v has a value that is not of the form that pemba writes", keyText(r.iter.Key()))
	}
	if k.Revision > s.revision || isOver(k.Time.UnixMicro(), s.now) {
		return Kept{}, false, nil
	}
	return k, true, nil
}

// isOver reports whether a request of that time is no longer remembered.
func isOver(micros int64, now time.Time) bool {
	return micros <= now.Add(-requestKept).UnixMicro()
}

// noRequest is the time of the oldest request where there is none.
const noRequest = math.MaxInt64

// fillRequests puts a commit's request into its batch, and deletes some of those
// that are over. It returns the time of the oldest one that is left.
func (s *Store) fillRequests(batch *pebble.Batch, c *Commit, r rel.Revision, now time.Time) (oldest int64, err error) {
	oldest = s.oldestRequest
	if isOver(oldest, now) {
		if oldest, err = s.dropRequests(batch, oldest, now); err != nil {
			return 0, err
		}
	}
	if c.Request == nil {
		return oldest, nil
	}
	k := Kept{
		Body: c.Request.Body, Time: now, Revision: r, Made: !c.isEmpty(), Partial: c.Request.Partial,
		Put: uint64(len(c.Put)), Touch: uint64(len(c.Touch)), Delete: uint64(len(c.Delete)),
	}
	if err := batch.Set(appendRequestKey(nil, s.number, c.Request.Caller, c.Request.ID), k.encode(), nil); err != nil {
		return 0, err
	}
	micros := now.UnixMicro()
	return min(oldest, micros), batch.Set(appendOldestKey(nil, s.number, micros, c.Request.Caller, c.Request.ID), nil, nil)
}

// dropRequests deletes requests that are over, the oldest first, and returns the
// time of the oldest one that is left. It begins where the last time ended: what
// was deleted before it is stepped over by Pebble one by one until it is compacted.
func (s *Store) dropRequests(batch *pebble.Batch, from int64, now time.Time) (oldest int64, err error) {
	it, err := s.iteratorOver(appendOldestKey(nil, s.number, from, "", ""), appendKindEnd(nil, s.number, kindOldest))
	if err != nil {
		return 0, err
	}
	defer func() { _ = it.Close() }()
	dropped := 0
	for it.First(); it.Valid(); it.Next() {
		micros, caller, id, ok := parseOldestKey(string(it.Key()[fieldsAt:]))
		if !ok {
			return 0, corrupt("key %v is not of the form that pemba writes", keyText(it.Key()))
		}
		if !isOver(micros, now) || dropped == requestsDroppedMax {
			return micros, nil
		}
		dropped++
		if err := s.dropRequest(batch, micros, caller, id); err != nil {
			return 0, err
		}
	}
	if err := it.Error(); err != nil {
		return 0, unreadable(err)
	}
	return noRequest, nil
}

// dropRequest deletes one request that is over. One whose id was used again since
// then stays, and is found by its new time.
func (s *Store) dropRequest(batch *pebble.Batch, micros int64, caller string, id rel.RequestID) error {
	key := appendRequestKey(nil, s.number, caller, id)
	value, closer, err := s.get(key)
	switch {
	case err == nil:
		k, ok := decodeKept(value)
		if err := closer.Close(); err != nil {
			return unreadable(err)
		}
		if !ok {
			return corrupt("%v has a value that is not of the form that pemba writes", keyText(key))
		}
		if k.Time.UnixMicro() == micros {
			if err := batch.Delete(key, nil); err != nil {
				return err
			}
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return unreadable(err)
	}
	return batch.Delete(appendOldestKey(nil, s.number, micros, caller, id), nil)
}

// keptForm is the first byte of a kept request: the form of what follows.
const keptForm = 1

const (
	keptMade    = 1 << 0
	keptPartial = 1 << 1
)

// encode is form, flags, hash, time, revision, and how many tuples were put,
// touched and deleted.
func (k Kept) encode() []byte {
	var flags byte
	if k.Made {
		flags |= keptMade
	}
	if k.Partial {
		flags |= keptPartial
	}
	b := append([]byte{keptForm, flags}, k.Body[:]...)
	for _, n := range []uint64{uint64(k.Time.UnixMicro()), uint64(k.Revision), k.Put, k.Touch, k.Delete} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeKept(b []byte) (k Kept, ok bool) {
	if len(b) < 2+len(k.Body) || b[0] != keptForm || b[1]&^(keptMade|keptPartial) != 0 {
		return Kept{}, false
	}
	k.Made, k.Partial = b[1]&keptMade != 0, b[1]&keptPartial != 0
	b = b[2+copy(k.Body[:], b[2:]):]
	var micros, revision uint64
	for _, n := range []*uint64{&micros, &revision, &k.Put, &k.Touch, &k.Delete} {
		if *n, b, ok = nextNumber(b); !ok {
			return Kept{}, false
		}
	}
	k.Time, k.Revision = inMicros(int64(micros)), rel.Revision(revision)
	return k, len(b) == 0 && micros <= math.MaxInt64
}
