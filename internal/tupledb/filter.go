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
		for _, prefix := range prefixesFor(s.store.number, f) {
			from, past := s.resume(prefix, after)
			if past {
				continue
			}
			r.prefix = append(r.prefix[:0], prefix...)
			for key, ok := r.begin(from); ok; key, ok = r.next() {
				k, ok := parse(string(key[fieldsAt:]))
				if !ok {
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

// resume is where a prefix is entered to go on after a cursor; past where all
// of it was yielded before.
func (s *Snapshot) resume(prefix []byte, after Cursor) (from []byte, past bool) {
	if len(after) == 0 {
		return nil, false
	}
	at := append(appendKind(nil, s.store.number, kind(after[0])), after[1:]...)
	switch {
	case bytes.HasPrefix(at, prefix):
		return append(at, 0), false // the first key after all versions of this one
	case bytes.Compare(at, prefix) < 0:
		return nil, false
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

// prefixesFor are the prefixes, in key order, under which all that the filter
// selects is found.
func prefixesFor(n storeNumber, f rel.Filter) [][]byte {
	if kindFor(f) == kindReverse {
		return [][]byte{reversePrefix(n, f)}
	}
	key := appendKind(nil, n, kindForward)
	if f.ObjectType == "" {
		return [][]byte{key}
	}
	key = appendField(key, f.ObjectType)
	if f.ObjectID == "" {
		return [][]byte{append(key, f.IDPrefix...)}
	}
	key = appendField(key, f.ObjectID)
	classes := classesFor(f)
	if f.Relation == "" && len(classes) == 2 {
		return [][]byte{key}
	}
	var keys [][]byte
	for _, c := range classes {
		k := append(bytes.Clone(key), byte(c))
		if f.Relation != "" {
			k = appendSubjectParts(appendField(k, f.Relation), f)
		}
		keys = append(keys, k)
	}
	return keys
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
	key = appendField(key, f.SubjectID)
	switch {
	case f.SubjectID == "*":
		return appendField(key, "")
	case f.SubjectRelation != nil:
		return appendField(key, *f.SubjectRelation)
	}
	return key
}

func reversePrefix(n storeNumber, f rel.Filter) []byte {
	key := appendSubjectParts(appendKind(nil, n, kindReverse), f)
	if f.SubjectID == "" || f.SubjectID != "*" && f.SubjectRelation == nil || f.ObjectType == "" {
		return key
	}
	key = appendField(key, f.ObjectType)
	if f.Relation == "" {
		return key
	}
	return append(appendField(key, f.Relation), f.IDPrefix...)
}
