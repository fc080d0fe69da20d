package tupledb

import (
	"bytes"
	"iter"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Cursor is a position in what a filter selects: just after a tuple. It is
// opaque outside, good for every snapshot of any store, and only for the filter
// that it was made with. The empty Cursor is the beginning.
type Cursor []byte

// CursorAfter is the position just after a tuple that the filter selected.
func CursorAfter(f rel.Filter, t rel.Tuple) Cursor {
	var key []byte
	if kindFor(f) == kindForward {
		key = appendForward(nil, 0, t.Key)
	} else {
		key = appendReverse(nil, 0, t.Key)
	}
	return Cursor(key[kindAt:])
}

// Tuples yields the tuples that a filter selects, in the order of the index
// that serves it, from the cursor on. An object's id, or else a subject's, or
// else an object's type, or else a subject's narrows the scan to a prefix of an
// index; what is left of the filter is compared tuple by tuple. Only a filter
// of none of them, or of a relation alone, reads the whole store.
func (s *Snapshot) Tuples(f rel.Filter, after Cursor) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		if err := f.Check(); err != nil {
			yield(rel.Tuple{}, err)
			return
		}
		k := kindFor(f)
		if len(after) > 0 && kind(after[0]) != k {
			yield(rel.Tuple{}, fault.New(fault.PageTokenMustFitTheRequest, "the position is of another filter").
				Do("send the filter of the first page with it"))
			return
		}
		parse := parseForward
		if k == kindReverse {
			parse = parseReverse
		}
		r := s.borrow()
		defer s.giveBack(r)
		behind := s.position(after)
		for _, st := range stretchesFor(s.store.number, f) {
			from, past := st.resume(behind)
			if past {
				continue
			}
			r.prefix = append(r.prefix[:0], st.prefix...)
			for key, ok := r.begin(from); ok && !st.isPast(key); key, ok = r.next() {
				text, ok1 := r.fieldsText(key[fieldsAt:])
				k, ok2 := parse(text)
				if !ok1 || !ok2 {
					yield(rel.Tuple{}, r.malformed(key))
					return
				}
				if f.Matches(rel.Tuple{Key: k}) && !yield(r.here.of(k), nil) {
					return
				}
			}
			if r.err != nil {
				yield(rel.Tuple{}, r.err)
				return
			}
		}
	}
}

// position is the key that a cursor stands behind; empty for the beginning.
func (s *Snapshot) position(after Cursor) []byte {
	if len(after) == 0 {
		return nil
	}
	return append(appendKind(nil, s.store.number, kind(after[0])), after[1:]...)
}

// resume is where a stretch is entered to go on behind a key, where that is not
// empty; past where all of it comes before.
func (st stretch) resume(behind []byte) (from []byte, past bool) {
	switch {
	case len(behind) == 0 || bytes.Compare(behind, st.prefix) < 0 || bytes.Compare(behind, st.from) < 0:
		return st.from, false
	case bytes.HasPrefix(behind, st.prefix) && !st.isPast(behind):
		return append(bytes.Clone(behind), 0), false // the first key after all versions of this one
	default:
		return nil, true
	}
}

// kindFor is the index that serves a filter.
func kindFor(f rel.Filter) kind {
	if f.ObjectID == "" && (f.SubjectID != "" || f.ObjectType == "" && f.SubjectType != "") {
		return kindReverse
	}
	return kindForward
}

// A stretch is a piece of an index: the keys that begin with prefix, where from is
// not empty those from it on, and where until is not empty those before it.
type stretch struct{ prefix, from, until []byte }

// isPast reports whether a key that begins with the prefix is behind the stretch.
func (st stretch) isPast(key []byte) bool {
	return len(st.until) > 0 && bytes.Compare(key, st.until) >= 0
}

// stretchesFor are the stretches, in key order, in which all that the filter
// selects is found.
func stretchesFor(n storeNumber, f rel.Filter) []stretch {
	if kindFor(f) == kindReverse {
		return reverseStretches(n, f)
	}
	key := appendKind(nil, n, kindForward)
	if f.ObjectType == "" {
		return []stretch{{prefix: key}}
	}
	key = appendField(key, f.ObjectType)
	if f.ObjectID == "" {
		return idStretches(key, f.IDPrefix)
	}
	key = appendID(key, f.ObjectID)
	classes := classesFor(f)
	if f.Relation == "" && len(classes) == 2 {
		return []stretch{{prefix: key}}
	}
	var all []stretch
	for _, c := range classes {
		k := append(bytes.Clone(key), byte(c))
		if f.Relation != "" {
			k = appendSubjectParts(appendField(k, f.Relation), f)
		}
		all = append(all, stretch{prefix: k})
	}
	return all
}

// idStretches are those of the ids that begin with a text, under the fields before
// the id: the packed ones, where the text could begin a UUID, and those that are
// text. A digit without its pair is half a byte, so it bounds a stretch of the keys
// that begin with the digits before it.
func idStretches(fields []byte, text string) []stretch {
	asText := stretch{prefix: append(bytes.Clone(fields), text...)}
	if text == "" {
		return []stretch{asText} // both kinds
	}
	packed, digits := appendDigits(append(bytes.Clone(fields), packedMark), text)
	switch {
	case digits < 0:
		return []stretch{asText}
	case digits%2 == 0:
		return []stretch{{prefix: packed}, asText}
	}
	half := stretch{prefix: packed[:len(packed)-1], from: append(bytes.Clone(packed), 0)}
	if last := packed[len(packed)-1]; last < 0xf0 {
		half.until = append(bytes.Clone(half.prefix), last+0x10)
	}
	return []stretch{half, asText}
}

// classesFor are the classes that the filter's subject can be of.
func classesFor(f rel.Filter) []class {
	switch {
	case f.SubjectID == "*" || f.SubjectRelation != nil && *f.SubjectRelation != "":
		return []class{classSets}
	case f.SubjectID != "" && f.SubjectRelation != nil:
		return []class{classPlain}
	default: // without an id, "no relation" selects wildcards too
		return []class{classSets, classPlain}
	}
}

// appendSubjectParts appends the subject's fields as far as they are given from
// the left.
func appendSubjectParts(key []byte, f rel.Filter) []byte {
	if f.SubjectType == "" {
		return key
	}
	key = appendField(key, f.SubjectType)
	if f.SubjectID == "" {
		return key
	}
	key = appendID(key, f.SubjectID)
	switch {
	case f.SubjectID == "*":
		return appendField(key, "")
	case f.SubjectRelation != nil:
		return appendField(key, *f.SubjectRelation)
	}
	return key
}

func reverseStretches(n storeNumber, f rel.Filter) []stretch {
	key := appendSubjectParts(appendKind(nil, n, kindReverse), f)
	if f.SubjectID == "" || f.SubjectID != "*" && f.SubjectRelation == nil || f.ObjectType == "" {
		return []stretch{{prefix: key}}
	}
	key = appendField(key, f.ObjectType)
	if f.Relation == "" {
		return []stretch{{prefix: key}}
	}
	return idStretches(appendField(key, f.Relation), f.IDPrefix)
}
