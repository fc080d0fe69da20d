package tupledb

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestASnapshotThatIsClosedInsideItsScanEndsIt(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: everyTuple()[:10]})
	snap := newest(t, s)
	yielded := 0
	var last error
	for _, err := range snap.Tuples(rel.Filter{}, nil) {
		yielded++
		last = err
		snap.Close()
	}
	if yielded != 2 || !fault.Is(last, fault.PembaMustNotPanic) {
		t.Errorf("%d yielded, the last with %v", yielded, last)
	}
}

// A bit that flips early in the only log of a store must not make it look empty,
// or shorter: the log of a store's first life is checked like any other.
func TestABitFlippedInTheFirstLogIsNoShorterStore(t *testing.T) {
	disk := vfs.NewMem()
	db, err := Open(onMem(disk))
	if err != nil {
		t.Fatal(err)
	}
	s := defaultStore(t, db)
	const writes = 1000
	for i := range writes {
		write(t, s, Commit{Put: []rel.Tuple{tuple(t, fmt.Sprintf("doc:d%d#viewer@user:u%d", i, i))}})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	log, length := largestLog(t, disk)
	if length < 2*32<<10 { // the log's last block alone is not covered by a later one
		t.Fatalf("the log has %d bytes", length)
	}
	for _, at := range []int64{60, 1000, length / 8, length / 4, length / 2} {
		flipBit(t, disk, log, at)
		db, err := Open(onMem(disk))
		if err == nil {
			head := defaultStore(t, db).Head().Revision
			if closed := db.Close(); closed != nil {
				t.Fatal(closed)
			}
			t.Fatalf("byte %d of %d: the store opens at revision %d of %d", at, length, head, writes)
		}
		if f := fault.Of(err); f == nil || f.Code != fault.DataMustBeReadable {
			t.Errorf("byte %d of %d: %v", at, length, err)
		}
		flipBit(t, disk, log, at)
	}
	db, err = Open(onMem(disk))
	if err != nil {
		t.Fatalf("with every bit flipped back: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if head := defaultStore(t, db).Head().Revision; head != writes {
		t.Errorf("head is %d", head)
	}
}

func largestLog(t *testing.T, disk *vfs.MemFS) (path string, length int64) {
	t.Helper()
	for _, name := range list(t, disk) {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		info, err := disk.Stat("data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > length {
			path, length = "data/"+name, info.Size()
		}
	}
	return path, length
}

func flipBit(t *testing.T, disk *vfs.MemFS, path string, at int64) {
	t.Helper()
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	content[at] ^= 4
	create(t, disk, path, string(content))
}
