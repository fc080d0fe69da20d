package tupledb

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Position is a place in the change log: before a change, or inside one, where
// a Part of it ended.
type Position struct {
	Revision rel.Revision // the change that is read next; 0 is as 1
	offset   int          // how many bytes of its tuples were read
	tuples   uint64       // and how many these are
}

// Encode is the position as a page token keeps it.
func (p Position) Encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.Revision))
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.offset)), p.tuples)
}

// DecodePosition reads a position. One that no change has is found to be none when
// it is read from.
func DecodePosition(b []byte) (p Position, ok bool) {
	revision, b, ok1 := nextCount(b)
	offset, b, ok2 := nextCount(b)
	tuples, b, ok3 := nextCount(b)
	if !ok1 || !ok2 || !ok3 || len(b) > 0 || offset > math.MaxInt32 {
		return Position{}, false
	}
	return Position{rel.Revision(revision), int(offset), tuples}, true
}

// A Part is a stretch of one change of the log.
type Part struct {
	Revision rel.Revision
	Time     time.Time
	Cause    Cause
	Schema   uint64 // as in Change
	Imported uint64 // as in Change
	Metadata []byte
	Actor    rel.Subject
	// Last says that the change ends with this part.
	Last bool

	text   []byte    // the part's tuples as the log has them
	first  uint64    // the number of the first of them in the change
	counts [3]uint64 // of all tuples of the change: put, touched, deleted
}

// Changes are the tuples put, then touched, then deleted, as far as they are in
// this part. They are made as they are ranged over: one of short texts takes
// several times in memory what it takes in the log, and whoever waits for a slow
// reader keeps the part.
func (p *Part) Changes() iter.Seq[rel.Change] {
	return func(yield func(rel.Change) bool) {
		number := p.first
		for rest := p.text; len(rest) > 0; number++ {
			t, after, ok := nextTuple(rest)
			if !ok {
				panic("pemba: a tuple of the log was readable, and is not")
			}
			if !yield(rel.Change{Op: operationAt(number, p.counts), Tuple: t}) {
				return
			}
			rest = after
		}
	}
}

// Parts reads the published log from a position on: some whole changes, or a
// stretch of a large one, of about so many stored bytes, and where to go on. It
// reads nothing only where nothing is published there.
//
// What it returns holds nothing of the database, so that whoever sends it may
// wait for a slow reader as long as it likes, and keeps no more than it asked for
// in memory. The price is that each stretch of a large change finds its entry
// anew. Pebble reads an entry whole, up to bytesPerCommitMax, to show any of it,
// but for this call alone, and once for all who read it out of the cache.
func (s *Store) Parts(from Position, bytes int) (parts []Part, next Position, err error) {
	if err := s.enter(); err != nil {
		return nil, from, err
	}
	defer s.leave()
	from.Revision = max(from.Revision, 1)
	it, err := s.log(from.Revision, s.head.Load().revision)
	if err != nil || !it.isOpen() {
		return nil, from, err
	}
	defer func() { _ = it.Close() }()
	at := from
	for it.First(); it.Valid() && bytes > 0; it.Next() {
		part, read, err := readPart(it, &at, bytes, math.MaxInt)
		if err != nil {
			return nil, from, err
		}
		bytes -= read
		parts = append(parts, part)
		if !part.Last {
			return parts, at, nil
		}
		at = Position{Revision: at.Revision + 1}
	}
	switch {
	case it.Error() != nil:
		return nil, from, unreadable(it.Error())
	case len(parts) == 0:
		return nil, from, corrupt("the change log of store %s has no revision %d", s.name, from.Revision)
	}
	return parts, at, nil
}

// readPart reads from a position on in the entry that an iterator is at, and
// moves the position.
func readPart(it iterator, at *Position, room, most int) (part Part, read int, err error) {
	value, err := changeHere(it, at.Revision)
	if err != nil {
		return Part{}, 0, err
	}
	c, counts, tuples, ok := decodeChangeHead(value)
	if !ok || at.offset > len(tuples) {
		return Part{}, 0, malformedChange(at.Revision)
	}
	part = Part{Revision: at.Revision, Time: c.Time, Cause: c.Cause, Schema: c.Schema, Imported: c.Imported, Metadata: c.Metadata, Actor: c.Actor, first: at.tuples, counts: counts}
	whole := counts[0] + counts[1] + counts[2]
	left := tuples[at.offset:]
	// The last tuple begins before room is spent and may end after.
	rest := left
	for at.tuples < whole && len(left)-len(rest) < room && at.tuples-part.first < uint64(most) {
		_, after, ok := nextTuple(rest)
		if !ok {
			return Part{}, 0, malformedChange(at.Revision)
		}
		rest = after
		at.tuples++
	}
	part.text = bytes.Clone(left[:len(left)-len(rest)])
	at.offset += len(part.text)
	part.Last = at.tuples == whole
	if part.Last && at.offset != len(tuples) {
		return Part{}, 0, malformedChange(at.Revision)
	}
	return part, len(value) - len(tuples) + len(part.text), nil
}

// operationAt is what became of the tuple of a number, as an entry lists them.
func operationAt(number uint64, counts [3]uint64) rel.Op {
	switch {
	case number < counts[0]:
		return rel.Create
	case number < counts[0]+counts[1]:
		return rel.Touch
	default:
		return rel.Delete
	}
}
