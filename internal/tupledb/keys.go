package tupledb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pemba-io/pemba/internal/rel"
)

// A storeNumber is a store in keys: assigned when the store is created, 1, 2,
// 3…, never used again. 0 holds what is not of any store.
type storeNumber uint32

const storeNumberMax storeNumber = 1<<32 - 1

// A kind is what a key is for; it follows the store's number. The table is in
// the package comment.
type kind byte

const (
	kindChange  kind = 'c'
	kindExpiry  kind = 'e'
	kindForward kind = 'f'
	kindRequest kind = 'i'
	kindHistory kind = 'h'
	kindLoad    kind = 'l'
	kindMeta    kind = 'm'
	kindOldest  kind = 'o' // requests by their time
	kindReverse kind = 'r'
	kindSchema  kind = 's'
)

// A class parts the subjects of a relation in the forward index.
type class byte

const (
	classSets  class = '0' // usersets and wildcards
	classPlain class = '1' // one concrete subject
)

func classOf(s rel.Subject) class {
	if s.IsUserset() || s.IsWildcard() {
		return classSets
	}
	return classPlain
}

// kindAt is where the kind stands in a key, and fieldsAt where its fields begin.
const (
	kindAt   = 4
	fieldsAt = 5
)

func appendKind(key []byte, n storeNumber, k kind) []byte {
	key = binary.BigEndian.AppendUint32(key, uint32(n))
	return append(key, byte(k))
}

func appendField[T ~string](key []byte, field T) []byte {
	return append(append(key, field...), 0)
}

// appendObject is the prefix of all tuples of an object.
func appendObject(key []byte, n storeNumber, o rel.Object) []byte {
	key = appendKind(key, n, kindForward)
	key = appendField(key, o.Type())
	return appendID(key, o.ID())
}

// appendRelation is the prefix of the tuples of a relation with subjects of a class.
func appendRelation(key []byte, n storeNumber, o rel.Object, c class, relation rel.Name) []byte {
	key = append(appendObject(key, n, o), byte(c))
	return appendField(key, relation)
}

// appendForward is the prefix of one tuple's versions in the forward index.
func appendForward(key []byte, n storeNumber, t rel.Key) []byte {
	key = appendRelation(key, n, t.Object, classOf(t.Subject), t.Relation)
	return appendSubjectFields(key, t.Subject)
}

func appendSubjectFields(key []byte, s rel.Subject) []byte {
	key = appendField(key, s.Type())
	key = appendID(key, s.ID())
	return appendField(key, s.Relation())
}

// appendSubject is the prefix of all tuples of a subject.
func appendSubject(key []byte, n storeNumber, s rel.Subject) []byte {
	return appendSubjectFields(appendKind(key, n, kindReverse), s)
}

// appendReverse is the prefix of one tuple's versions in the reverse index.
func appendReverse(key []byte, n storeNumber, t rel.Key) []byte {
	key = appendSubject(key, n, t.Subject)
	key = appendField(key, t.Object.Type())
	key = appendField(key, t.Relation)
	return appendID(key, t.Object.ID())
}

func appendChangeKey(key []byte, n storeNumber, r rel.Revision) []byte {
	key = appendKind(key, n, kindChange)
	key = binary.BigEndian.AppendUint64(key, uint64(r))
	return append(key, 0)
}

// changeKeyBytes is the length of a change log key.
const changeKeyBytes = fieldsAt + 8 + 1

// appendSchemaPrefix is the prefix of all schema versions of a store.
func appendSchemaPrefix(key []byte, n storeNumber) []byte {
	return append(appendKind(key, n, kindSchema), 0)
}

// appendRequestKey is the key of a request that is kept.
func appendRequestKey(key []byte, n storeNumber, caller string, id rel.RequestID) []byte {
	key = appendField(appendKind(key, n, kindRequest), caller)
	return appendField(key, id)
}

// appendOldestKey is the key by which a request is found when its time is over.
func appendOldestKey(key []byte, n storeNumber, micros int64, caller string, id rel.RequestID) []byte {
	key = appendKind(key, n, kindOldest)
	key = binary.BigEndian.AppendUint64(key, uint64(micros))
	return appendField(appendField(key, caller), id)
}

// parseOldestKey reads the fields of such a key.
func parseOldestKey(s string) (micros int64, caller string, id rel.RequestID, ok bool) {
	if len(s) < 8 {
		return 0, "", "", false
	}
	micros = int64(binary.BigEndian.Uint64([]byte(s[:8])))
	caller, s, ok1 := nextField(s[8:])
	text, s, ok2 := nextField(s)
	return micros, caller, rel.RequestID(text), ok1 && ok2 && s == "" && text != "" && micros >= 0
}

// appendFloorKey is where the history of a store begins.
func appendFloorKey(key []byte, n storeNumber) []byte {
	return append(appendKind(key, n, kindHistory), 0)
}

// appendLoadKey is where the bulk load of a store is kept.
func appendLoadKey(key []byte, n storeNumber) []byte {
	return append(appendKind(key, n, kindLoad), 0)
}

func appendMetaKey(key []byte, fields ...string) []byte {
	key = appendKind(key, 0, kindMeta)
	for _, f := range fields {
		key = appendField(key, f)
	}
	return key
}

// appendKindEnd is the first key after all keys of a kind.
func appendKindEnd(key []byte, n storeNumber, k kind) []byte {
	return append(appendKind(key, n, k+1), 0)
}

// nextField takes the text before the next 0x00. Where ids are among the fields,
// they are made text before, by fieldsText.
func nextField(s string) (field, rest string, ok bool) {
	return strings.Cut(s, "\x00")
}

// parseSubject reads the fields "type·id·relation·" and nothing after them.
func parseSubject(s string) (rel.Subject, bool) {
	typ, s, ok1 := nextField(s)
	id, s, ok2 := nextField(s)
	relation, s, ok3 := nextField(s)
	if !ok1 || !ok2 || !ok3 || s != "" || typ == "" || id == "" {
		return rel.Subject{}, false
	}
	return rel.TrustedSubject(rel.ObjectType(typ), id, rel.Name(relation)), true
}

// parseRelationSubject reads the text of what follows the object in a forward prefix.
func parseRelationSubject(s string) (rel.Name, rel.Subject, bool) {
	if s == "" {
		return "", rel.Subject{}, false
	}
	c := class(s[0])
	relation, s, ok1 := nextField(s[1:])
	subject, ok2 := parseSubject(s)
	if !ok1 || !ok2 || relation == "" || c != classOf(subject) {
		return "", rel.Subject{}, false
	}
	return rel.Name(relation), subject, true
}

// parseForward reads the text of a forward prefix's fields.
func parseForward(s string) (rel.Key, bool) {
	typ, s, ok1 := nextField(s)
	id, s, ok2 := nextField(s)
	relation, subject, ok3 := parseRelationSubject(s)
	if !ok1 || !ok2 || !ok3 || typ == "" || id == "" {
		return rel.Key{}, false
	}
	return rel.Key{Object: rel.Trusted(rel.ObjectType(typ), id), Relation: relation, Subject: subject}, true
}

// parseReverse reads the text of a reverse prefix's fields.
func parseReverse(s string) (rel.Key, bool) {
	styp, s, ok1 := nextField(s)
	sid, s, ok2 := nextField(s)
	srel, s, ok3 := nextField(s)
	typ, s, ok4 := nextField(s)
	relation, s, ok5 := nextField(s)
	id, s, ok6 := nextField(s)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || s != "" {
		return rel.Key{}, false
	}
	if styp == "" || sid == "" || typ == "" || relation == "" || id == "" {
		return rel.Key{}, false
	}
	return rel.Key{
		Object:   rel.Trusted(rel.ObjectType(typ), id),
		Relation: rel.Name(relation),
		Subject:  rel.TrustedSubject(rel.ObjectType(styp), sid, rel.Name(srel)),
	}, true
}

// parseFields reads the fields of a prefix as they are stored.
func parseFields(fields []byte, parse func(string) (rel.Key, bool)) (rel.Key, bool) {
	text, ok := fieldsText(fields)
	if !ok {
		return rel.Key{}, false
	}
	return parse(text)
}

// keyText prints a key for Pebble's messages and for people who debug.
type keyText []byte

func (k keyText) Format(s fmt.State, _ rune) {
	if len(k) <= kindAt {
		fmt.Fprintf(s, "%x", []byte(k))
		return
	}
	i := max(splitKey(k), fieldsAt)
	fields := k[fieldsAt:i]
	fmt.Fprintf(s, "%d/%c/", binary.BigEndian.Uint32(k), k[kindAt])
	switch {
	case kind(k[kindAt]) == kindChange && len(k) == changeKeyBytes:
		fmt.Fprintf(s, "%d", binary.BigEndian.Uint64(fields))
		fields = nil
	case kind(k[kindAt]) == kindExpiry && len(fields) > expiryBytes:
		fmt.Fprintf(s, "%d/", binary.BigEndian.Uint64(fields))
		fields = fields[expiryBytes:]
	}
	if len(fields) > 0 {
		if text, ok := appendFieldsText(nil, fields); ok {
			fields = text
		}
		fmt.Fprintf(s, "%q", bytes.ReplaceAll(fields, []byte{0}, []byte("|")))
	}
	if i < len(k) {
		fmt.Fprintf(s, "@%d", revisionOf(k[i:]))
	}
}
