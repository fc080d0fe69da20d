package rel

import (
	"encoding/binary"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
)

// RequestIDBytesMax is room for any UUID, and a prefix that says whose it is.
const RequestIDBytesMax = 128

// A RequestID names one write of one caller, so that sending it again is no second
// write: 1 to RequestIDBytesMax bytes of UTF-8 without control characters. The
// empty one names nothing.
type RequestID string

// ParseRequestID reads an id of the client's choice.
func ParseRequestID(s string) (RequestID, error) {
	if err := checkClientID("a request", s); err != nil {
		return "", err
	}
	return RequestID(s), nil
}

// An ImportID names one import, over all of its streams, in the form of a RequestID.
type ImportID string

// ParseImportID reads an id of the client's choice.
func ParseImportID(s string) (ImportID, error) {
	if err := checkClientID("an import", s); err != nil {
		return "", err
	}
	return ImportID(s), nil
}

// checkClientID says whether a client may choose an id.
func checkClientID(of, s string) error {
	if s == "" || len(s) > RequestIDBytesMax {
		return fault.Newf(fault.FieldMustBeWithinBounds, "%s id of %d bytes", of, len(s)).
			Do("give one of 1 to %d bytes, for example a UUID", RequestIDBytesMax)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fault.Newf(fault.IDMustBeValid, "%s id, %s, has the character %U", of, quote(s), r).
				Do("%s id has no control characters; a UUID is a good one", of)
		}
	}
	if !utf8.ValidString(s) {
		return fault.Newf(fault.IDMustBeValid, "%s id, %s, is not UTF-8", of, quote(s)).Do("encode it as UTF-8")
	}
	return nil
}

// Bounds on metadata, which is kept as long as the history.
const (
	MetadataEntriesMax    = 32
	MetadataKeyBytesMax   = 64
	MetadataValueBytesMax = 1024
)

// Metadata is why a write was made, text by text: what is shown beside its changes,
// and not interpreted. The entries are in the order of their keys, none twice. The
// zero Metadata is none.
type Metadata struct {
	entries []MetadataEntry
}

// A MetadataEntry is one of the texts, under its key.
type MetadataEntry struct{ Key, Value string }

// NewMetadata takes texts by their keys.
func NewMetadata(texts map[string]string) (Metadata, error) {
	if len(texts) > MetadataEntriesMax {
		return Metadata{}, fault.Newf(fault.FieldMustBeWithinBounds, "metadata has %d entries", len(texts)).
			Do("send at most %d", MetadataEntriesMax)
	}
	var m Metadata
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		value := texts[key]
		switch {
		case !utf8.ValidString(key) || !utf8.ValidString(value):
			return Metadata{}, fault.Newf(fault.FieldMustBeUTF8, "the entry %s of metadata is not UTF-8", quote(key)).Do("encode it as UTF-8")
		case key == "" || len(key) > MetadataKeyBytesMax:
			return Metadata{}, fault.Newf(fault.FieldMustBeWithinBounds, "metadata has a key of %d bytes, %s", len(key), quote(key)).
				Do("a key has 1 to %d bytes", MetadataKeyBytesMax)
		case len(value) > MetadataValueBytesMax:
			return Metadata{}, fault.Newf(fault.FieldMustBeWithinBounds, "the value of %s in metadata has %d bytes", quote(key), len(value)).
				Do("a value has at most %d bytes; keep longer texts in the application, and their key here", MetadataValueBytesMax)
		}
		m.entries = append(m.entries, MetadataEntry{key, value})
	}
	return m, nil
}

// Entries are the texts in the order of their keys. The slice is not to be changed.
func (m Metadata) Entries() []MetadataEntry { return m.entries }

// Encode is the form in which the change log keeps metadata: for each entry the
// length and the text of key and value. Of none it is empty.
func (m Metadata) Encode() []byte {
	var b []byte
	for _, e := range m.entries {
		b = append(binary.AppendUvarint(b, uint64(len(e.Key))), e.Key...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Value))), e.Value...)
	}
	return b
}

// DecodeMetadata reads what Encode wrote, and nothing else.
func DecodeMetadata(b []byte) (m Metadata, ok bool) {
	next := func() (text string, ok bool) {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > uint64(len(b)-width) {
			return "", false
		}
		text, b = string(b[width:width+int(n)]), b[width+int(n):]
		return text, true
	}
	for len(b) > 0 {
		key, ok1 := next()
		value, ok2 := next()
		if last := len(m.entries) - 1; !ok1 || !ok2 || key == "" || last >= 0 && m.entries[last].Key >= key {
			return Metadata{}, false
		}
		m.entries = append(m.entries, MetadataEntry{key, value})
	}
	return m, true
}
