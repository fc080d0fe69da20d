package tupledb

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Cause is why a revision was made. The numbers are stored.
type Cause uint8

const (
	CauseWrite  Cause = 0 // somebody wrote tuples
	CauseSchema Cause = 1 // somebody wrote a schema
	// CauseExpired is a revision of pemba's own: its tuples were not there any more.
	CauseExpired Cause = 2
	// CauseImported is a bulk load into a store without tuples. The log only counts
	// what it brought.
	CauseImported Cause = 3

	causesEnd Cause = 4
)

func (c Cause) String() string {
	switch c {
	case CauseWrite:
		return "write"
	case CauseSchema:
		return "schema"
	case CauseExpired:
		return "expired"
	case CauseImported:
		return "imported"
	default:
		panic(invariant.Unreachable("cause", uint8(c)))
	}
}

// A Change is one revision as the change log keeps it: what was put, touched and
// deleted net, in the order of the commit, and why. What was deleted is as it was
// last. A tuple that is put although it was put before and never deleted had
// expired at this change's time.
type Change struct {
	Revision rel.Revision
	Time     time.Time
	Cause    Cause
	Put      []rel.Tuple
	Touch    []rel.Tuple
	Delete   []rel.Tuple
	// Schema is the number of the schema version that this revision brought, or
	// 0. A snapshot at the revision has the text.
	Schema uint64
	// schemaSum is of that version's text.
	schemaSum schemaSum
	// Imported is how many tuples were loaded, where the cause is Imported. They are
	// the store's at this revision, all of them.
	Imported uint64
	// Metadata is what the writer gave to keep with the change.
	Metadata []byte
	Actor    rel.Subject // on whose behalf; zero for nobody
}

// A SchemaVersion is one schema text of a store.
type SchemaVersion struct {
	// Number counts the store's schema versions: 1, 2, 3…
	Number uint64
	Text   string
	// Written is when that was; a commit sets it.
	Written time.Time
	// Revision is the one that brought this version; a commit sets it.
	Revision rel.Revision
}

// Changes yields the change log from a revision on, up to what is published
// when the ranging begins. From 0 and 1 are both the beginning.
func (s *Store) Changes(from rel.Revision) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) { s.changes(from, s.head.Load().revision)(yield) }
}

// Changes yields the change log from a revision on, up to the snapshot's.
func (s *Snapshot) Changes(from rel.Revision) iter.Seq2[Change, error] {
	return s.store.changes(from, s.revision)
}

func (s *Store) changes(from, last rel.Revision) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := s.enter(); err != nil {
			yield(Change{}, err)
			return
		}
		defer s.leave()
		from := max(from, 1)
		it, err := s.log(from, last)
		if err != nil {
			yield(Change{}, err)
			return
		}
		if !it.isOpen() {
			return
		}
		defer func() { _ = it.Close() }()
		expected := from
		for it.First(); it.Valid(); it.Next() {
			c, err := readChange(it, expected)
			if !yield(c, err) || err != nil {
				return
			}
			expected++
		}
		if err := it.Error(); err != nil {
			yield(Change{}, unreadable(err))
		} else if expected != last+1 {
			yield(Change{}, corrupt("store %s is at revision %d, but its log ends at %d", s.name, last, expected-1))
		}
	}
}

// log is the one way into the change log: an iterator over its entries from one
// revision to another, not open where there are none between. Whether the log reaches
// back as far as is asked is to be decided here and nowhere else.
func (s *Store) log(from, last rel.Revision) (iterator, error) {
	if from > last {
		return iterator{}, nil
	}
	it, err := s.iteratorOver(appendChangeKey(nil, s.number, from), appendChangeKey(nil, s.number, last+1))
	if err != nil {
		return iterator{}, err
	}
	// After the iterator is open: from this floor on it sees everything.
	if err := s.mustBeWithinHistory(from); err != nil {
		return iterator{}, errors.Join(err, it.Close())
	}
	return it, nil
}

// readChange reads the entry that an iterator is at, which is to be revision expected.
func readChange(it iterator, expected rel.Revision) (Change, error) {
	value, err := changeHere(it, expected)
	if err != nil {
		return Change{}, err
	}
	c, ok := decodeChange(value)
	if !ok {
		return Change{}, malformedChange(expected)
	}
	c.Revision = expected
	return c, nil
}

// changeHere is the encoded entry that an iterator is at, until it moves.
func changeHere(it iterator, expected rel.Revision) ([]byte, error) {
	r, ok := revisionOfChangeKey(it.Key())
	if !ok {
		return nil, corrupt("key %v is not of the form that pemba writes", keyText(it.Key()))
	}
	if r != expected {
		return nil, corrupt("the change log has revision %d where %d belongs", r, expected)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, unreadable(err)
	}
	return value, nil
}

func malformedChange(r rel.Revision) error {
	return corrupt("the change of revision %d is not of the form that pemba writes", r)
}

func revisionOfChangeKey(key []byte) (rel.Revision, bool) {
	if len(key) != changeKeyBytes || kind(key[kindAt]) != kindChange {
		return 0, false
	}
	return rel.Revision(binary.BigEndian.Uint64(key[fieldsAt:])), true
}

// A schemaSum tells a schema's text from one that took its place: the beginning of
// its hash.
type schemaSum [8]byte

func sumOfSchema(text string) schemaSum {
	whole := sha256.Sum256([]byte(text))
	return schemaSum(whole[:len(schemaSum{})])
}

// changeForm is the first byte of a change: the form of what follows.
const changeForm = 3

// appendChange encodes a change without its revision, which is in the key:
// form, cause, time, schema number and, where that is not 0, the sum of the schema's
// text, how many tuples were imported, metadata, actor, and the tuples put, touched and
// deleted, each as the six fields that keys have and its attributes.
func appendChange(b []byte, c *Commit, micros int64) []byte {
	b = append(b, changeForm, byte(c.Cause))
	b = binary.AppendVarint(b, micros)
	number := uint64(0)
	if c.Schema != nil {
		number = c.Schema.Number
	}
	b = binary.AppendUvarint(b, number)
	if number != 0 {
		sum := sumOfSchema(c.Schema.Text)
		b = append(b, sum[:]...)
	}
	b = binary.AppendUvarint(b, c.imported)
	b = binary.AppendUvarint(b, uint64(len(c.Metadata)))
	b = append(b, c.Metadata...)
	b = appendText(b, actorText(c.Actor))
	b = binary.AppendUvarint(b, uint64(len(c.Put)))
	b = binary.AppendUvarint(b, uint64(len(c.Touch)))
	b = binary.AppendUvarint(b, uint64(len(c.Delete)))
	for _, tuples := range [][]rel.Tuple{c.Put, c.Touch, c.Delete} {
		for _, t := range tuples {
			b = appendTuple(b, t)
		}
	}
	return b
}

// actorText is the actor as the log has it; empty for nobody.
func actorText(s rel.Subject) string {
	if s.IsZero() {
		return ""
	}
	return s.String()
}

func appendTuple(b []byte, t rel.Tuple) []byte {
	return appendAttributes(appendKeyFields(b, t.Key), t)
}

func appendKeyFields(b []byte, k rel.Key) []byte {
	b = appendField(b, k.Object.Type())
	b = appendID(b, k.Object.ID())
	b = appendField(b, k.Relation)
	return appendSubjectFields(b, k.Subject)
}

// tupleBytesMin is the shortest encoded tuple: "a·a·a·a·a··" and no flag. It
// keeps a count that a broken disk made up from asking for memory.
const tupleBytesMin = 12

func decodeChange(b []byte) (c Change, ok bool) {
	c, counts, tuples, ok := decodeChangeHead(b)
	if !ok {
		return Change{}, false
	}
	for i, list := range []*[]rel.Tuple{&c.Put, &c.Touch, &c.Delete} {
		if *list, tuples, ok = nextTuples(tuples, counts[i]); !ok {
			return Change{}, false
		}
	}
	return c, len(tuples) == 0
}

// decodeChangeHead reads a change as far as its tuples: how many were put,
// touched and deleted, and the bytes that they are in.
func decodeChangeHead(b []byte) (c Change, counts [3]uint64, tuples []byte, ok bool) {
	if len(b) < 2 || b[0] != changeForm || Cause(b[1]) >= causesEnd {
		return Change{}, counts, nil, false
	}
	c.Cause = Cause(b[1])
	b = b[2:]
	micros, n := binary.Varint(b)
	if n <= 0 {
		return Change{}, counts, nil, false
	}
	c.Time = inMicros(micros)
	b = b[n:]
	var metadata uint64
	if c.Schema, b, ok = nextCount(b); !ok {
		return Change{}, counts, nil, false
	}
	if c.Schema != 0 {
		if len(b) < len(c.schemaSum) {
			return Change{}, counts, nil, false
		}
		b = b[copy(c.schemaSum[:], b):]
	}
	if c.Imported, b, ok = nextCount(b); !ok || (c.Imported > 0) != (c.Cause == CauseImported) {
		return Change{}, counts, nil, false
	}
	if metadata, b, ok = nextCount(b); !ok || metadata > uint64(len(b)) {
		return Change{}, counts, nil, false
	}
	if metadata > 0 {
		c.Metadata = append([]byte(nil), b[:metadata]...)
	}
	b = b[metadata:]
	if c.Actor, b, ok = nextActor(b); !ok {
		return Change{}, counts, nil, false
	}
	for i := range counts {
		if counts[i], b, ok = nextCount(b); !ok {
			return Change{}, counts, nil, false
		}
	}
	left := uint64(len(b)) / tupleBytesMin
	for _, count := range counts {
		if count > left {
			return Change{}, counts, nil, false
		}
		left -= count
	}
	return c, counts, b, true
}

func nextActor(b []byte) (actor rel.Subject, rest []byte, ok bool) {
	n, b, ok := nextCount(b)
	if !ok || n > uint64(len(b)) {
		return rel.Subject{}, nil, false
	}
	if n == 0 {
		return rel.Subject{}, b, true
	}
	actor, err := rel.ParseSubject(string(b[:n]))
	return actor, b[n:], err == nil
}

func nextCount(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func nextTuples(b []byte, count uint64) (tuples []rel.Tuple, rest []byte, ok bool) {
	if count == 0 {
		return nil, b, true
	}
	tuples = make([]rel.Tuple, count)
	for i := range tuples {
		if tuples[i], b, ok = nextTuple(b); !ok {
			return nil, nil, false
		}
	}
	return tuples, b, true
}

// nextTuple reads a tuple, and keeps nothing of the bytes.
func nextTuple(b []byte) (t rel.Tuple, rest []byte, ok bool) {
	rest = b
	for range 6 {
		if _, rest, ok = nextStored(rest); !ok {
			return rel.Tuple{}, nil, false
		}
	}
	key, ok1 := parseFields(b[:len(b)-len(rest)], parseKey)
	carried, rest, ok2 := parseAttributes(rest)
	if !ok1 || !ok2 {
		return rel.Tuple{}, nil, false
	}
	return carried.of(key), rest, true
}

func parseKey(s string) (rel.Key, bool) {
	typ, s, ok1 := nextField(s)
	id, s, ok2 := nextField(s)
	relation, s, ok3 := nextField(s)
	subject, ok4 := parseSubject(s)
	if !ok1 || !ok2 || !ok3 || !ok4 || typ == "" || id == "" || relation == "" {
		return rel.Key{}, false
	}
	return rel.Key{Object: rel.Trusted(rel.ObjectType(typ), id), Relation: rel.Name(relation), Subject: subject}, true
}

func encodeSchema(v SchemaVersion) []byte {
	b := binary.AppendVarint(binary.AppendUvarint(nil, v.Number), v.Written.UnixMicro())
	return append(b, v.Text...)
}

func decodeSchema(b []byte, r rel.Revision) (SchemaVersion, error) {
	number, rest, ok := nextCount(b)
	micros, n := binary.Varint(rest)
	if !ok || n <= 0 {
		return SchemaVersion{}, corrupt("the schema of revision %d is not of the form that pemba writes", r)
	}
	return SchemaVersion{Number: number, Text: string(rest[n:]), Written: inMicros(micros), Revision: r}, nil
}

// unreadable is what a read that the disk failed is answered with.
func unreadable(err error) error {
	return fault.New(fault.DataMustBeReadable, "the data directory cannot be read").
		Do("look at its disk; if the disk is well, restore a backup").Because(err)
}

// corrupt is what data that contradicts itself is answered with.
func corrupt(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.DataMustBeReadable, format, args...).
		Do("the data directory is damaged or was changed by another program: restore a backup")
}
