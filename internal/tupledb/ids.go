package tupledb

import (
	"bytes"
	"encoding/binary"
	"strings"
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

// appendID appends an id as a field.
func appendID(key []byte, id string) []byte {
	if len(id) == uuidTextBytes {
		var packed [packedBytes]byte
		packed[0] = packedMark
		if packUUID(packed[1:1+uuidBytes], id) {
			return append(key, packed[:]...)
		}
	}
	return appendField(key, id)
}

// Eight digits are packed at once, a byte of a word each: a walk packs an id or two
// for each of its reads, and digit by digit that took five times as long.
const (
	everyByte  = 0x0101010101010101
	afterNines = 'a' - '0' - 10 // what a digit above 9 is further on than its value
)

// packDigits is what eight digits stand for; ok is false where one is none.
func packDigits(text []byte) (n uint32, ok bool) {
	x := binary.BigEndian.Uint64(text)
	// The low half of a byte is the value of 0 to 9, and of a to f 9 less; and the
	// letters have the bit for 64. What is no digit comes back as another text.
	v := (x&(0x0f*everyByte) + 9*(x>>6&everyByte)) & (0x0f * everyByte)
	ok = digitsOf(v) == x
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16), ok
}

// digitsOf is the text of eight values below 16.
func digitsOf(v uint64) uint64 {
	return v + '0'*everyByte + afterNines*((v+6*everyByte)>>4&everyByte)
}

// putDigits is the reverse of packDigits.
func putDigits(text []byte, n uint32) {
	v := uint64(n)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & (0x0f * everyByte)
	binary.BigEndian.PutUint64(text, digitsOf(v))
}

// packUUID packs a text of the length of a UUID, if it is one.
func packUUID(packed []byte, uuid string) (ok bool) {
	if uuid[8] != '-' || uuid[13] != '-' || uuid[18] != '-' || uuid[23] != '-' {
		return false
	}
	var text [2 * uuidBytes]byte // without dashes
	copy(text[:8], uuid)
	copy(text[8:12], uuid[9:])
	copy(text[12:16], uuid[14:])
	copy(text[16:20], uuid[19:])
	copy(text[20:], uuid[24:])
	for i := 0; i < uuidBytes; i += 4 {
		n, ok := packDigits(text[2*i : 2*i+8])
		if !ok {
			return false
		}
		binary.BigEndian.PutUint32(packed[i:], n)
	}
	return true
}

// appendUUID appends the text of 16 bytes.
func appendUUID(b, packed []byte) []byte {
	var text [2 * uuidBytes]byte
	for i := 0; i < uuidBytes; i += 4 {
		putDigits(text[2*i:], binary.BigEndian.Uint32(packed[i:]))
	}
	uuid := [uuidTextBytes]byte{8: '-', 13: '-', 18: '-', 23: '-'}
	copy(uuid[:8], text[:8])
	copy(uuid[9:13], text[8:12])
	copy(uuid[14:18], text[12:16])
	copy(uuid[19:23], text[16:20])
	copy(uuid[24:], text[20:])
	return append(b, uuid[:]...)
}

// appendDigits packs the digits that a text begins with, as long as it is like the
// beginning of a UUID, and counts them. A digit without its pair is the upper half
// of the last byte. Of a text that no UUID begins with the count is -1.
func appendDigits(key []byte, text string) (packed []byte, count int) {
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
		n := strings.IndexByte("0123456789abcdef", text[i])
		switch {
		case n < 0:
			return key, -1
		case count%2 == 0:
			key = append(key, byte(n)<<4)
		default:
			key[len(key)-1] |= byte(n)
		}
		count++
	}
	return key, count
}

// isUUID reports whether a text is of an id that is to be packed.
func isUUID(text []byte) bool {
	var packed [uuidBytes]byte
	return len(text) == uuidTextBytes && packUUID(packed[:], string(text))
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
