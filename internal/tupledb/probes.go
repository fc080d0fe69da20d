package tupledb

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// A probeFilter is the bloom filter of a table's keys, for those kinds that
// questions ask for one key of, and mostly in vain: is this tuple there. The reverse
// index, the log and the expiries are read as stretches, to which a filter has
// nothing to say; their keys would double it. Who probes them all the same, a
// verification or the opening of a store, is told that they may be there.
type probeFilter struct{ bloom bloom.FilterPolicy }

// isProbed reports whether keys of a kind are in the filter.
func isProbed(key []byte) bool {
	if len(key) <= kindAt {
		return false
	}
	switch kind(key[kindAt]) {
	case kindForward, kindRequest, kindSchema:
		return true
	default:
		return false
	}
}

// Name stands in every table: a filter of other kinds is another policy, and needs
// another name, or what it leaves out is taken for absent.
func (probeFilter) Name() string { return "pemba.probed.1" }

func (f probeFilter) MayContain(t pebble.FilterType, filter, key []byte) bool {
	return !isProbed(key) || f.bloom.MayContain(t, filter, key)
}

func (f probeFilter) NewWriter(t pebble.FilterType) pebble.FilterWriter {
	return probeFilterWriter{f.bloom.NewWriter(t)}
}

type probeFilterWriter struct{ pebble.FilterWriter }

func (w probeFilterWriter) AddKey(key []byte) {
	if isProbed(key) {
		w.FilterWriter.AddKey(key)
	}
}
