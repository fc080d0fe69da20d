package tupledb

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// A loadState is how far a bulk load has come. The numbers are stored.
type loadState uint8

const (
	loadLoading    loadState = 1
	loadDiscarding loadState = 2 // its versions are being deleted
	loadFinished   loadState = 3 // its revision is published

	loadStatesEnd loadState = 4
)

// A loadMark is what is kept of a bulk load beside its tuples. It changes together
// with them, in the same ingestion or batch, so that it never says more than what
// is there, or less.
type loadMark struct {
	state    loadState
	fresh    bool // the store had no version of any tuple when the load began
	revision rel.Revision
	loaded   uint64 // how many tuples of the import came in
	id       rel.ImportID
}

const loadMarkForm = 1

func (m loadMark) encode() []byte {
	fresh := byte(0)
	if m.fresh {
		fresh = 1
	}
	b := []byte{loadMarkForm, byte(m.state), fresh}
	b = binary.AppendUvarint(b, uint64(m.revision))
	b = binary.AppendUvarint(b, m.loaded)
	return append(b, m.id...)
}

func decodeLoadMark(b []byte) (m loadMark, ok bool) {
	if len(b) < 3 || b[0] != loadMarkForm || b[1] == 0 || loadState(b[1]) >= loadStatesEnd || b[2] > 1 {
		return loadMark{}, false
	}
	m.state, m.fresh = loadState(b[1]), b[2] == 1
	revision, b, ok1 := nextCount(b[3:])
	loaded, b, ok2 := nextCount(b)
	m.revision, m.loaded, m.id = rel.Revision(revision), loaded, rel.ImportID(b)
	return m, ok1 && ok2 && revision > 0 && m.id != "" && loaded <= math.MaxInt64
}

// loadMark reads the mark of a store; found is false where none was ever loaded.
func (s *Store) loadMark() (m loadMark, found bool, err error) {
	value, closer, err := s.get(appendLoadKey(nil, s.number))
	if errors.Is(err, pebble.ErrNotFound) {
		return loadMark{}, false, nil
	}
	if err != nil {
		return loadMark{}, false, unreadable(err)
	}
	defer func() { _ = closer.Close() }()
	m, ok := decodeLoadMark(value)
	if !ok {
		return loadMark{}, false, corrupt("the bulk load of store %s is not of the form that pemba writes", s.name)
	}
	return m, true, nil
}

// recoverLoad finds the load that was under way when the database was closed, or the
// last one that was finished.
func (s *Store) recoverLoad(h *head) error {
	m, found, err := s.loadMark()
	switch {
	case err != nil || !found:
		return err
	case m.state == loadFinished && m.revision <= h.revision:
		s.imported.Store(&m)
	case m.state != loadFinished && m.revision == h.revision+1:
		s.load.Store(newLoad(s, m))
	default:
		return corrupt("store %s is at revision %d, and its bulk load at %d", s.name, h.revision, m.revision)
	}
	return nil
}
