package tupledb

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/pemba-io/pemba/internal/rel"
)

// A filter says no to tuples that are not there, and to nothing that is; and what it
// leaves out it knows nothing of, whether it is there or not.
func TestProbeFilterKnowsWhatIsProbed(t *testing.T) {
	policy := probeFilter{bloom.FilterPolicy(filterBits)}
	key := func(i int) rel.Key { return benchTuple(i).Key }
	kinds := map[string]struct {
		key    func(i int) []byte
		probed bool
	}{
		"forward": {func(i int) []byte { return appendForward(nil, 1, key(i)) }, true},
		"request": {func(i int) []byte { return appendRequestKey(nil, 1, "", rel.RequestID(fmt.Sprint(i))) }, true},
		"schema":  {func(i int) []byte { return appendSchemaPrefix(nil, storeNumber(i)) }, true},
		"reverse": {func(i int) []byte { return appendReverse(nil, 1, key(i)) }, false},
		"change":  {func(i int) []byte { return appendChangeKey(nil, 1, rel.Revision(i)) }, false},
		"expiry":  {func(i int) []byte { return appendExpiring(nil, 1, 7, key(i)) }, false},
		"oldest":  {func(i int) []byte { return appendOldestKey(nil, 1, int64(i), "", "x") }, false},
		"floor":   {func(i int) []byte { return appendFloorKey(nil, storeNumber(i)) }, false},
		"meta":    {func(i int) []byte { return appendMetaKey(nil, "store", fmt.Sprint(i)) }, false},
	}
	const n = 1000
	writer := policy.NewWriter(pebble.TableFilter)
	for i := range n {
		for _, k := range kinds {
			writer.AddKey(k.key(i))
		}
	}
	filter := writer.Finish(nil)
	empty := policy.NewWriter(pebble.TableFilter).Finish(nil)
	for name, k := range kinds {
		wrong := 0
		for i := range n {
			if !policy.MayContain(pebble.TableFilter, filter, k.key(i)) {
				t.Fatalf("%s: the filter denies a key that was written", name)
			}
			if policy.MayContain(pebble.TableFilter, filter, k.key(n+i)) {
				wrong++
			}
		}
		if k.probed && wrong > n/20 || !k.probed && wrong != n {
			t.Errorf("%s: of %d keys that are not there %d may be", name, n, wrong)
		}
		if may := policy.MayContain(pebble.TableFilter, empty, k.key(0)); may == k.probed {
			t.Errorf("%s: a filter without keys says %t", name, may)
		}
	}
	if most := 3*n*filterBits/8 + 200; len(filter) > most {
		t.Errorf("%d bytes for three kinds of %d keys, want at most %d", len(filter), n, most)
	}
	if !policy.MayContain(pebble.TableFilter, empty, []byte{0, 0}) {
		t.Error("what is no key is denied")
	}
}
