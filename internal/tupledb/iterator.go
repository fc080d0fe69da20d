package tupledb

import (
	"bytes"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/invariant"
)

// An iterator is the one way to read keys. It has the bounds of what it was opened
// for, one store or part of one, so Pebble itself keeps it from leaving a store;
// and a Config's Reads is told of where it goes, so a test can see that it does not.
//
// It has only the ways to move that are told. The zero iterator is not open.
type iterator struct {
	pebble *pebble.Iterator
	reads  func(key []byte) // nil where nobody wants to know
}

// iterator opens one over the whole store. What it sees is whole: a store's end is
// known in memory before anything of it is deleted.
func (s *Store) iterator() (iterator, error) { return s.openIterator(&s.readOptions) }

// iteratorOver opens one over a part of the store, from a key to before another.
func (s *Store) iteratorOver(from, to []byte) (iterator, error) {
	s.mustOwn(from)
	s.mustOwn(to)
	options := s.readOptions
	options.LowerBound, options.UpperBound = from, to
	return s.openIterator(&options)
}

func (s *Store) openIterator(options *pebble.IterOptions) (iterator, error) {
	it, err := s.db.openIterator(options)
	if err != nil {
		return iterator{}, err
	}
	if err := s.mustBeHere(); err != nil {
		_ = it.Close() // nothing was read
		return iterator{}, err
	}
	return it, nil
}

// get reads the value of one key of the store, or pebble.ErrNotFound. It asks no
// filter and sees no more than what was written when it is called.
func (s *Store) get(key []byte) (value []byte, closer io.Closer, err error) {
	s.mustOwn(key)
	return s.db.get(key)
}

// mustOwn sees that a key is this store's. Keys are made from the store's number
// everywhere; a key of another store, asked for by this one, would be the worst
// that can go wrong here.
func (s *Store) mustOwn(key []byte) {
	if compareKeys(key, s.readOptions.LowerBound) < 0 || compareKeys(key, s.readOptions.UpperBound) > 0 {
		panic(invariant.Unreachable("key of another store", keyText(bytes.Clone(key))))
	}
}

// openIterator opens an iterator that is not of one store alone. Only opening a
// data directory needs that.
func (db *DB) openIterator(options *pebble.IterOptions) (iterator, error) {
	it, err := db.pebble.NewIter(options)
	if err != nil {
		return iterator{}, unreadable(err)
	}
	return iterator{it, db.reads}, nil
}

func (db *DB) get(key []byte) (value []byte, closer io.Closer, err error) {
	if db.reads != nil {
		db.reads(key)
	}
	return db.pebble.Get(key)
}

// storeBounds are around all keys that a store can have. No kind is 0x00 or 0xff.
func storeBounds(n storeNumber) (from, to []byte) {
	return append(appendKind(nil, n, 0x00), 0), append(appendKind(nil, n, 0xff), 0)
}

func (it iterator) isOpen() bool { return it.pebble != nil }

// clone opens another iterator that sees the same, with the same bounds.
func (it iterator) clone() (iterator, error) { return it.cloneWith(pebble.CloneOptions{}) }

// cloneOver opens another iterator that sees the same over a part of it.
func (it iterator) cloneOver(from, to []byte) (iterator, error) {
	return it.cloneWith(pebble.CloneOptions{IterOptions: &pebble.IterOptions{LowerBound: from, UpperBound: to, UseL6Filters: true}})
}

func (it iterator) cloneWith(options pebble.CloneOptions) (iterator, error) {
	other, err := it.pebble.Clone(options)
	if err != nil {
		return iterator{}, unreadable(err)
	}
	return iterator{other, it.reads}, nil
}

func (it iterator) SeekGE(key []byte) bool {
	it.seeks(key)
	return it.finds(it.pebble.SeekGE(key))
}

func (it iterator) SeekPrefixGE(key []byte) bool {
	it.seeks(key)
	return it.finds(it.pebble.SeekPrefixGE(key))
}

func (it iterator) First() bool      { return it.finds(it.pebble.First()) }
func (it iterator) Last() bool       { return it.finds(it.pebble.Last()) }
func (it iterator) Next() bool       { return it.finds(it.pebble.Next()) }
func (it iterator) NextPrefix() bool { return it.finds(it.pebble.NextPrefix()) }
func (it iterator) Prev() bool       { return it.finds(it.pebble.Prev()) }

func (it iterator) Valid() bool                  { return it.pebble.Valid() }
func (it iterator) Key() []byte                  { return it.pebble.Key() }
func (it iterator) Value() []byte                { return it.pebble.Value() }
func (it iterator) ValueAndErr() ([]byte, error) { return it.pebble.ValueAndErr() }
func (it iterator) Error() error                 { return it.pebble.Error() }
func (it iterator) Close() error                 { return it.pebble.Close() }

func (it iterator) seeks(key []byte) {
	if it.reads != nil {
		it.reads(key)
	}
}

func (it iterator) finds(found bool) bool {
	if found && it.reads != nil {
		it.reads(it.pebble.Key())
	}
	return found
}
