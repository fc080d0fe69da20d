package tupledb

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// AsOf reads at a time: the last revision that was committed at or before it, as
// it is evaluated at it.
//
// It answers the same whenever it is asked. A time before the newest published
// commit is safe by itself, since commit times increase. At a later one a revision
// may be on its way to the disk with an earlier time, or be judged, so the turn of
// those that have begun is waited for, and from then on no commit gets a time at
// or before the one that was asked for, even when the clock steps back. To answer
// from the newest published revision at once would forget what is on its way; to
// answer only up to its time would refuse the present of a store that nobody
// writes. What is remembered of this is lost with the process: a clock that steps
// back over a restart is believed, as it is everywhere else.
func (s *Store) AsOf(ctx context.Context, at time.Time) (*Snapshot, error) {
	micros, h := at.UnixMicro(), s.head.Load()
	if now := max(s.now(h).UnixMicro(), s.settled.Load()); micros > now {
		return nil, fault.Newf(fault.SnapshotMustNotBeOfTheFuture, "%s is in the future, the server's clock is at %s", timeText(micros), timeText(now)).
			Do("ask for a time that has passed, or for none")
	}
	if micros >= h.micros {
		if err := s.settle(ctx, micros); err != nil {
			return nil, err
		}
		h = s.head.Load()
	}
	r, seeks, err := s.revisionAt(h, micros)
	if err != nil {
		return nil, err
	}
	if r == 0 && micros < s.createdMicros {
		return nil, fault.Newf(fault.SnapshotMustBeWithinHistory, "at %s there was no store %s", timeText(micros), s.name).
			Do("ask for a time from %s on", timeText(s.createdMicros))
	}
	snap, err := s.open(h, r, inMicros(micros))
	if err != nil {
		return nil, err
	}
	snap.reads = seeks
	return snap, nil
}

func timeText(micros int64) string { return inMicros(micros).Format(time.RFC3339Nano) }

// settle waits until no revision can be committed at or before a time any more.
func (s *Store) settle(ctx context.Context, micros int64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	select {
	case <-s.turn:
	case <-ctx.Done():
		return gone(ctx, "the writes of that time were done")
	}
	newest := s.newest
	s.settled.Store(max(s.settled.Load(), micros))
	s.turn <- struct{}{}
	return newest.published(s.db)
}

// revisionAt finds the last revision, up to a head, with a commit time at or
// before this one, and counts its seeks. Revisions are dense and their times
// increase, so it halves the change log, and reads of an entry its time alone.
func (s *Store) revisionAt(h *head, micros int64) (r rel.Revision, seeks int, err error) {
	if micros >= h.micros {
		return h.revision, 0, nil
	}
	if err := s.enter(); err != nil {
		return 0, 0, err
	}
	defer s.leave()
	it, err := s.iteratorOver(appendChangeKey(nil, s.number, 0), appendChangeKey(nil, s.number, h.revision))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = it.Close() }()
	at, after := s.Floor(), h.revision // what is sought is at or above the one and below the other
	if at > 0 {
		begins := h.micros
		if at < after {
			seeks++
			if begins, err = s.commitTime(it, at); err != nil {
				return 0, seeks, err
			}
		}
		if micros < begins {
			return 0, seeks, fault.Newf(fault.SnapshotMustBeWithinHistory, "%s is past the history of store %s that is kept", timeText(micros), s.name).
				Do("ask for a time from %s on; how much is kept is said where pemba is started, by --history", timeText(begins))
		}
	}
	for after-at > 1 {
		middle := at + (after-at)/2
		seeks++
		committed, err := s.commitTime(it, middle)
		switch {
		case err != nil:
			return 0, seeks, err
		case committed <= micros:
			at = middle
		default:
			after = middle
		}
	}
	return at, seeks, nil
}

// commitTime reads the time of a revision that the change log has.
func (s *Store) commitTime(it iterator, r rel.Revision) (micros int64, err error) {
	key := appendChangeKey(nil, s.number, r)
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
		if err := it.Error(); err != nil {
			return 0, unreadable(err)
		}
		return 0, corrupt("the change of revision %d of store %s is missing", r, s.name)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, unreadable(err)
	}
	micros, ok := timeOfChange(value)
	if !ok {
		return 0, corrupt("the change of revision %d is not of the form that pemba writes", r)
	}
	return micros, nil
}

// timeOfChange reads no more of a change than when it was.
func timeOfChange(b []byte) (micros int64, ok bool) {
	if len(b) < 2 || b[0] != changeForm {
		return 0, false
	}
	micros, n := binary.Varint(b[2:])
	return micros, n > 0
}
