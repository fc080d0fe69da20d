package tupledb

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Where Pebble could not be opened, a compaction that it had begun may still sync its
// manifest after the ledger was closed: that is not written down, and does no harm.
func TestLedgerIsSilentOnceItIsClosed(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	l := newLedger(disk, "data", nil)
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	l.note(synced{name: "000001.log", bytes: 1, sum: 1})
	before, err := readLedger("data", disk)
	if err != nil || len(before) != 1 {
		t.Fatalf("the ledger says %v, %v", before, err)
	}
	for range 2 {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
	l.note(synced{name: "MANIFEST-000002", bytes: 2, sum: 2})
	if after, err := readLedger("data", disk); err != nil || len(after) != 1 || after[0] != before[0] {
		t.Errorf("after it was closed the ledger says %v, %v", after, err)
	}
}
