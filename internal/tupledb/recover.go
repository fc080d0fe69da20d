package tupledb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// A storeRecord is what is kept of a store beside its data.
type storeRecord struct {
	number        storeNumber
	incarnation   rel.Incarnation
	epoch         rel.Epoch
	createdMicros int64
}

const storeRecordForm = 1

func (r storeRecord) encode() []byte {
	b := binary.AppendUvarint([]byte{storeRecordForm}, uint64(r.number))
	b = binary.AppendUvarint(b, uint64(r.incarnation))
	b = binary.AppendUvarint(b, uint64(r.epoch))
	return binary.AppendVarint(b, r.createdMicros)
}

func decodeStoreRecord(b []byte) (r storeRecord, ok bool) {
	if len(b) == 0 || b[0] != storeRecordForm {
		return storeRecord{}, false
	}
	number, b, ok1 := nextCount(b[1:])
	incarnation, b, ok2 := nextCount(b)
	epoch, b, ok3 := nextCount(b)
	created, n := binary.Varint(b)
	if !ok1 || !ok2 || !ok3 || n != len(b) || n == 0 || number == 0 ||
		number > uint64(storeNumberMax) || incarnation > uint64(rel.IncarnationMax) || epoch > 1<<32-1 {
		return storeRecord{}, false
	}
	return storeRecord{storeNumber(number), rel.Incarnation(incarnation), rel.Epoch(epoch), created}, true
}

func (db *DB) loadStores() error {
	it, err := db.openIterator(&pebble.IterOptions{
		LowerBound: appendMetaKey(nil, "store"),
		UpperBound: append(appendMetaKey(nil), "store\x01\x00"...),
	})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	if err := db.loadLastNumber(); err != nil {
		return err
	}
	stores, numbers := map[rel.Store]*Store{}, map[storeNumber]bool{}
	for it.First(); it.Valid(); it.Next() {
		_, rest, ok1 := nextField(string(it.Key()[fieldsAt:]))
		name, rest, ok2 := nextField(rest)
		record, ok3 := decodeStoreRecord(it.Value())
		if !ok1 || !ok2 || !ok3 || rest != "" || name == "" {
			return corrupt("the record of a store is not of the form that pemba writes: %v", keyText(it.Key()))
		}
		if numbers[record.number] || record.number > db.lastNumber {
			return corrupt("the store %s has the number %d, which was given to another store or to none", name, record.number)
		}
		numbers[record.number] = true
		s := db.newStore(rel.Store(name), record)
		if err := s.recover(); err != nil {
			return err
		}
		stores[s.name] = s
	}
	if err := it.Error(); err != nil {
		return unreadable(err)
	}
	if stores[rel.DefaultStore] == nil {
		return corrupt("the store %s is missing", rel.DefaultStore)
	}
	db.stores.Store(&stores)
	return nil
}

// loadLastNumber reads the highest number that a store ever had.
func (db *DB) loadLastNumber() error {
	value, closer, err := db.get(appendMetaKey(nil, "number"))
	if errors.Is(err, pebble.ErrNotFound) {
		return corrupt("the number of the store that was created last is missing")
	}
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = closer.Close() }()
	last, rest, ok := nextCount(value)
	if !ok || len(rest) > 0 || last == 0 || last > uint64(storeNumberMax) {
		return corrupt("the number of the store that was created last is not of the form that pemba writes")
	}
	db.lastNumber = storeNumber(last)
	return nil
}

// newStore is a store as its record has it. Its newest state is not known yet.
func (db *DB) newStore(name rel.Store, r storeRecord) *Store {
	s := &Store{
		db: db, name: name, number: r.number,
		incarnation: r.incarnation, epoch: r.epoch, createdMicros: r.createdMicros,
		turn: make(chan struct{}, 1),
	}
	s.readOptions.LowerBound, s.readOptions.UpperBound = storeBounds(r.number)
	s.readOptions.UseL6Filters = true
	s.turn <- struct{}{}
	s.settled.Store(math.MinInt64)
	return s
}

func (s *Store) record() storeRecord {
	return storeRecord{number: s.number, incarnation: s.incarnation, epoch: s.epoch, createdMicros: s.createdMicros}
}

// storeKey is where the record of a store is.
func storeKey(name rel.Store) []byte { return appendMetaKey(nil, "store", string(name)) }

// recover finds the newest revision, which is the last entry of the change log,
// and sees that what stands beside it agrees: the entry before it, its tuples
// in both indexes, and the newest schema.
func (s *Store) recover() error {
	if err := s.loadFloor(); err != nil {
		return err
	}
	h, c, err := s.newestChange()
	if err != nil {
		return err
	}
	s.head.Store(h)
	s.newest = &revising{head: h, store: s}
	if err := s.recoverLoad(h); err != nil {
		return err
	}
	snap := &Snapshot{store: s, head: h, revision: h.revision}
	if err := s.enter(); err != nil {
		return err
	}
	defer snap.Close()
	if h.schema, err = snap.newestSchema(); err != nil {
		return err
	}
	if c.Schema != 0 && (h.schema == nil || h.schema.Revision != h.revision || h.schema.Number != c.Schema ||
		sumOfSchema(h.schema.Text) != c.schemaSum) {
		return corrupt("the change of revision %d names schema version %d, which is not there", h.revision, c.Schema)
	}
	for _, tuples := range [][]rel.Tuple{c.Put, c.Touch} {
		for _, t := range tuples[:min(len(tuples), newestTuplesChecked)] {
			if err := snap.mustHaveVersion(t, h.revision, appendValue(nil, t)); err != nil {
				return err
			}
		}
	}
	for _, t := range c.Delete[:min(len(c.Delete), newestTuplesChecked)] {
		if err := snap.mustHaveVersion(t, h.revision, []byte{stateTombstone}); err != nil {
			return err
		}
	}
	return nil
}

// newestChange reads the end of the change log.
func (s *Store) newestChange() (*head, Change, error) {
	it, err := s.iteratorOver(appendChangeKey(nil, s.number, 0), appendKindEnd(nil, s.number, kindChange))
	if err != nil {
		return nil, Change{}, err
	}
	defer func() { _ = it.Close() }()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return nil, Change{}, unreadable(err)
		}
		if floor := s.Floor(); floor > 0 {
			return nil, Change{}, corrupt("the history of store %s begins at revision %d, and its log is empty", s.name, floor)
		}
		return &head{}, Change{}, nil
	}
	r, ok := revisionOfChangeKey(it.Key())
	if !ok || r == 0 {
		return nil, Change{}, corrupt("key %v is not of the form that pemba writes", keyText(it.Key()))
	}
	last, err := readChange(it, r)
	if err != nil {
		return nil, Change{}, err
	}
	h := &head{revision: r, micros: last.Time.UnixMicro()}
	if floor := s.Floor(); r < floor {
		return nil, Change{}, corrupt("the history of store %s begins at revision %d, and its log ends at %d", s.name, floor, r)
	} else if r == 1 || r == floor {
		return h, last, nil
	}
	if !it.Prev() {
		return nil, Change{}, corrupt("the change log of store %s ends at %d, and %d is missing", s.name, r, r-1)
	}
	before, err := readChange(it, r-1)
	if err != nil {
		return nil, Change{}, err
	}
	if !before.Time.Before(last.Time) {
		return nil, Change{}, corrupt("revision %d of store %s was committed at %v, and the one before it at %v", r, s.name, last.Time, before.Time)
	}
	return h, last, nil
}

// newestSchema reads the schema in force at the head; nil where there is none.
func (s *Snapshot) newestSchema() (*SchemaVersion, error) {
	r := s.borrow()
	defer s.giveBack(r)
	value, found := r.probe(appendSchemaPrefix(r.seek[:0], s.store.number))
	if r.err != nil || !found {
		return nil, r.err
	}
	v, err := decodeSchema(value, r.revisionHere())
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// revisionHere is the revision of the key that the reader is at.
func (r *reader) revisionHere() rel.Revision {
	key := r.iter.Key()
	return revisionOf(key[splitKey(key):])
}

// mustHaveVersion sees that both indexes have one version of a tuple, with this value.
func (s *Snapshot) mustHaveVersion(t rel.Tuple, at rel.Revision, want []byte) error {
	r := s.borrow()
	defer s.giveBack(r)
	for _, index := range []struct {
		name   string
		prefix func([]byte, storeNumber, rel.Key) []byte
	}{{"forward", appendForward}, {"reverse", appendReverse}} {
		value, found := r.probe(index.prefix(r.seek[:0], s.store.number, t.Key))
		if r.err != nil {
			return r.err
		}
		if !found || r.revisionHere() != at || !bytes.Equal(value, want) {
			return corrupt("the change of revision %d names %v, which the %s index does not have so", at, t, index.name)
		}
	}
	return nil
}
