package tupledb

import (
	"bytes"
	"encoding/hex"
)

// An id that is a UUID is stored packed: packedMark and its 16 bytes, where the
// text has 36. Most applications name most things so, and an id stands in a tuple
// up to six times, in both indexes and the log.
//
// A UUID is packed where it is written as canonical: in lower case, with its four
// dashes, whatever its version. Any other spelling is another id, and stays text;
// so each id has one form. No text begins with packedMark, which is below every
// character that an id, a name or a class can have: packed ids come before text,
// and in the order of their own texts, since hexadecimal digits are in the order
// of what they stand for.
//
// The bytes may hold any value, 0x00 too, so a field is cut by its length where it
// is packed, and by the 0x00 that ends it where it is text.
const packedMark = 0x01

const (
	uuidTextBytes = 36
	uuidBytes     = 16
	packedBytes   = 1 + uuidBytes + 1 // with the mark and the 0x00 that ends it
)

// isDash reports whether a UUID has a dash at a place of its text.
func isDash(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

// nibble is what a hexadecimal digit in lower case stands for.
func nibble(c byte) (n byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// appendID appends an id as a field.
func appendID(key []byte, id string) []byte {
	if len(id) == uuidTextBytes {
		n := len(key)
		if key, digits := appendDigits(append(key, packedMark), id); digits == 2*uuidBytes {
			return append(key, 0)
		}
		key = key[:n]
	}
	return appendField(key, id)
}

// appendDigits packs the digits that a text begins with, as long as it is like the
// beginning of a UUID, and counts them. A digit without its pair is the upper half
// of the last byte. Of a text that no UUID begins with the count is -1.
func appendDigits(key []byte, text string) (packed []byte, digits int) {
	if len(text) > uuidTextBytes {
		return key, -1
	}
	for i := range len(text) {
		if isDash(i) {
			if text[i] != '-' {
				return key, -1
			}
			continue
		}
		n, ok := nibble(text[i])
		switch {
		case !ok:
			return key, -1
		case digits%2 == 0:
			key = append(key, n<<4)
		default:
			key[len(key)-1] |= n
		}
		digits++
	}
	return key, digits
}

// appendUUID appends the text of 16 bytes.
func appendUUID(b, raw []byte) []byte {
	for i, part := range [...]struct{ from, to int }{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, raw[part.from:part.to])
	}
	return b
}

// isUUID reports whether a text is of an id that is to be packed.
func isUUID(text []byte) bool {
	if len(text) != uuidTextBytes {
		return false
	}
	for i, c := range text {
		if _, ok := nibble(c); ok == isDash(i) || !ok && c != '-' {
			return false
		}
	}
	return true
}

// nextStored takes the next field as it is stored, without the 0x00 that ends it.
func nextStored(fields []byte) (field, rest []byte, ok bool) {
	n := bytes.IndexByte(fields, 0)
	if len(fields) > 0 && fields[0] == packedMark {
		if n = packedBytes - 1; n >= len(fields) || fields[n] != 0 {
			n = -1
		}
	}
	if n < 0 {
		return nil, fields, false
	}
	return fields[:n], fields[n+1:], true
}

// appendFieldsText appends fields as text, each with its 0x00, which is what keys
// are parsed from. An id that is stored as text and ought to be packed is refused:
// whoever looks for it would not find it.
func appendFieldsText(b, fields []byte) (text []byte, ok bool) {
	for len(fields) > 0 {
		field, rest, ok := nextStored(fields)
		if !ok || isUUID(field) {
			return b, false
		}
		if len(field) > 0 && field[0] == packedMark {
			b = appendUUID(b, field[1:])
		} else {
			b = append(b, field...)
		}
		b, fields = append(b, 0), rest
	}
	return b, true
}

// fieldsText is the text of fields.
func fieldsText(fields []byte) (text string, ok bool) {
	b, ok := appendFieldsText(make([]byte, 0, keyBytesHint), fields)
	return string(b), ok
}
