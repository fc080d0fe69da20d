package tupledb

import (
	"bytes"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A reader is one Pebble iterator and the buffers that go with it. It is lent
// to one read at a time, so that a scan keeps its place while whoever ranges
// over it probes, or begins another scan.
type reader struct {
	snap *Snapshot
	iter iterator

	// prefix is what the keys of the running scan begin with; seek is where a
	// probe or a jump goes; text is the room in which fields are made text.
	prefix, seek, text []byte

	// here is what the tuple that the reader is at carries, until it moves.
	here attributes

	err error
}

// borrow lends a reader. The first one of a snapshot fixes what all of them
// see; most checks never need a second.
func (s *Snapshot) borrow() *reader {
	if n := len(s.idle); n > 0 {
		r := s.idle[n-1]
		s.idle = s.idle[:n-1]
		r.err = nil
		return r
	}
	r := &s.first
	if s.view.isOpen() {
		r = new(reader)
	}
	r.snap = s
	if s.closed {
		r.err = errSnapshotClosed()
		return r
	}
	var err error
	if !s.view.isOpen() {
		r.iter, err = s.store.iterator()
	} else {
		r.iter, err = s.view.clone()
	}
	if err != nil {
		r.err = err
		return r
	}
	if !s.view.isOpen() {
		// What this iterator sees was whole at the snapshot's revision, unless the
		// floor is above that by now: it rises before anything is deleted.
		if err := s.store.mustBeWithinHistory(s.revision); err != nil {
			_ = r.iter.Close()
			r.iter, r.err = iterator{}, err
			return r
		}
		s.view = r.iter
		s.opened, s.idle = s.firstSlots[:0:1], s.firstSlots[1:1:2]
		r.prefix, r.seek = s.firstBytes[:0:keyBytesHint], s.firstBytes[keyBytesHint:keyBytesHint]
	}
	s.opened = append(s.opened, r)
	return r
}

func errSnapshotClosed() error {
	return fault.New(fault.PembaMustNotPanic, "a snapshot was read after it was closed").
		Do("report this: it is a bug of pemba")
}

// giveBack takes a reader back from a read that is over.
func (s *Snapshot) giveBack(r *reader) {
	if r.iter.isOpen() && !s.closed {
		s.idle = append(s.idle, r)
	}
}

// probe finds the newest version at or before the snapshot's revision under
// exactly this prefix, through the bloom filters. It is one read.
func (r *reader) probe(prefix []byte) (value []byte, found bool) {
	r.seek = appendSuffix(prefix, r.snap.revision)
	if r.err != nil || !r.count() {
		return nil, false
	}
	if !r.iter.SeekPrefixGE(r.seek) {
		r.fail(r.iter.Error())
		return nil, false
	}
	value, err := r.iter.ValueAndErr()
	r.fail(err)
	return value, r.err == nil
}

// begin goes to the first key of a tuple that begins with r.prefix, at or after from
// where from is not empty. It returns that key without its revision.
func (r *reader) begin(from []byte) (key []byte, ok bool) {
	if r.err != nil || !r.count() {
		return nil, false
	}
	switch {
	case len(from) > 0:
		r.seek = append(r.seek[:0], from...)
	case r.prefix[len(r.prefix)-1] == 0:
		r.seek = append(r.seek[:0], r.prefix...)
	default: // part of a field: whatever continues it sorts after its end, and at the end of a packed id's part too
		r.seek = append(append(r.seek[:0], r.prefix...), 0)
	}
	r.iter.SeekGE(r.seek)
	return r.settle(true)
}

// next goes to the next live key.
func (r *reader) next() (key []byte, ok bool) {
	if r.err != nil {
		return nil, false
	}
	r.iter.NextPrefix()
	return r.settle(false)
}

// eachID visits the keys that begin with r.prefix and go on with an id of a range.
// behind is what such a key has after the id; fields is where the id begins.
func (r *reader) eachID(ids rel.IDs, behind []byte, visit func(key []byte, fields int) bool) {
	fields := len(r.prefix)
	stretches := []stretch{{prefix: r.prefix}}
	if ids.Prefix != "" {
		stretches = idStretches(bytes.Clone(r.prefix), ids.Prefix)
	}
	var after []byte
	if ids.After != "" {
		after = append(appendID(bytes.Clone(r.prefix), ids.After), behind...)
	}
	for _, st := range stretches {
		from, past := st.resume(after)
		if past {
			continue
		}
		r.prefix = append(r.prefix[:0], st.prefix...)
		for key, ok := r.begin(from); ok && !st.isPast(key); key, ok = r.next() {
			if !visit(key, fields) {
				return
			}
		}
	}
}

// settle moves forward to a version that decides, counts, and has r.prefix.
// The first version at or before the snapshot's revision decides for its
// prefix, and NextPrefix steps over the older ones. Paid says whether the key
// that the iterator is at was counted with the seek that led there.
func (r *reader) settle(paid bool) (key []byte, ok bool) {
	for hops := 0; r.iter.Valid(); {
		k := r.iter.Key()
		if !bytes.HasPrefix(k, r.prefix) {
			return nil, false
		}
		if !paid && !r.count() {
			return nil, false
		}
		paid = false
		n := splitKey(k)
		if revisionOf(k[n:]) <= r.snap.revision {
			value, err := r.iter.ValueAndErr()
			if r.fail(err) {
				return nil, false
			}
			if r.counts(value) {
				return k[:n], true
			}
			if r.err != nil {
				return nil, false
			}
			hops = 0
			r.iter.NextPrefix()
			continue
		}
		if hops++; hops < hopsMax {
			r.iter.Next()
			continue
		}
		if !r.count() {
			return nil, false
		}
		hops, paid = 0, true
		r.seek = appendSuffix(append(r.seek[:0], k[:n]...), r.snap.revision)
		r.iter.SeekGE(r.seek)
	}
	r.fail(r.iter.Error())
	return nil, false
}

// counts reports whether the version that the iterator is at is a tuple that is
// there at the snapshot's time, and keeps what it carries. A version that cannot
// be read is an error, never a tuple.
func (r *reader) counts(value []byte) bool {
	live, carried, ok := parseValue(value)
	if !ok {
		r.err = corrupt("%v has a value that is not of the form that pemba writes", keyText(r.iter.Key()))
		return false
	}
	r.here = carried
	return live && !carried.expires.PassedAt(r.snap.now)
}

// count spends one read, and asks whoever bounds the snapshot whether to go on.
func (r *reader) count() bool {
	s := r.snap
	s.reads++
	if s.bound != nil && s.reads >= s.askAt {
		s.askAt = s.reads + s.askEvery
		if err := s.bound(s.reads); err != nil {
			r.err = err
			return false
		}
	}
	return true
}

// fail keeps what the disk said; true where it said something.
func (r *reader) fail(err error) bool {
	if err != nil && r.err == nil {
		r.err = unreadable(err)
	}
	return r.err != nil
}

// fieldsText is the text of fields, in memory of its own.
func (r *reader) fieldsText(fields []byte) (text string, ok bool) {
	r.text, ok = appendFieldsText(r.text[:0], fields)
	return string(r.text), ok
}

// malformed is what a key that nobody here wrote is answered with.
func (r *reader) malformed(key []byte) error {
	return corrupt("key %v is not of the form that pemba writes", keyText(key))
}
