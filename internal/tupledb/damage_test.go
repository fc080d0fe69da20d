package tupledb

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

var injuriesFlag = flag.Int("injuries", 15, "how often each file is damaged")

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
	unknown(t, disk) // what is tried is the log's own form
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

// An injured is a directory of a store with several tables and a log, and what may
// be read of it.
type injured struct {
	*testing.T
	rng     *rand.Rand
	clock   *steppingClock
	history *history
	tuples  []rel.Tuple
	disk    *vfs.MemFS
}

// newInjured makes one that was closed, or one whose process was killed.
func newInjured(t *testing.T, killed bool) *injured {
	rng := rand.New(rand.NewPCG(11, 4))
	in := &injured{T: t, rng: rng, clock: newSteppingClock(), history: newHistory(), tuples: few(rng, 40), disk: vfs.NewCrashableMem()}
	cfg := onMem(in.disk)
	cfg.Clock = in.clock.Now
	s := opened(t, cfg)
	for i := range 120 {
		in.clock.step(time.Second)
		c := in.history.randomCommit(rng, in.tuples, in.clock.Now(), 8)
		if i%20 == 0 {
			c.Schema = &SchemaVersion{Number: uint64(i/20 + 1), Text: strings.Repeat("x", 2000)}
		}
		if c.isEmpty() {
			continue
		}
		in.history.add(in.clock.Now(), c)
		write(t, s, c)
		if i == 30 || i == 60 {
			if err := s.db.pebble.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !killed {
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// What a process has written is there when it is killed, synced or not.
	in.disk = in.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	return in
}

// injure turns a bit, replaces a byte, clears a sector or cuts the end off.
func (in *injured) injure(path string) (after *vfs.MemFS, how string) {
	after = in.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: in.rng})
	content, err := readWhole(after, path)
	if err != nil {
		in.Fatal(err)
	}
	whole := slices.Clone(content)
	for slices.Equal(content, whole) {
		at := in.rng.IntN(len(content))
		if in.rng.IntN(4) == 0 { // the end is where a torn write is suspected
			at = len(content) - 1 - in.rng.IntN(min(len(content), 200))
		}
		switch in.rng.IntN(4) {
		case 0:
			content[at] ^= 1 << in.rng.IntN(8)
		case 1:
			content[at] = byte(in.rng.IntN(256))
		case 2:
			clear(content[at:min(at+512, len(content))])
		case 3:
			content = content[:at]
		}
		how = fmt.Sprintf("%s at %d of %d", path, at, len(whole))
	}
	create(in.T, after, path, string(content))
	return after, how
}

// survives opens an injured directory: it is refused, or it is as long as it was
// and every answer is right or an error.
func (in *injured) survives(disk *vfs.MemFS, how string) (opens bool) {
	in.Helper()
	cfg := onMem(disk)
	cfg.Clock = in.clock.Now
	db, err := Open(cfg)
	if err != nil {
		wantFault(in.T, how, err, fault.DataMustBeReadable)
		return false
	}
	defer func() { _ = db.Close() }() // it may say what is damaged
	s := defaultStore(in.T, db)
	if r := s.Head().Revision; r != in.history.head() {
		in.Fatalf("%s: it opens at revision %d of %d", how, r, in.history.head())
	}
	snap := newest(in.T, s)
	defer snap.Close()
	there := map[rel.Key]rel.Tuple{}
	for _, u := range in.history.where(snap.Revision(), snap.Time(), func(rel.Tuple) bool { return true }) {
		there[u.Key] = u
	}
	for _, u := range in.tuples {
		want, wantFound := there[u.Key]
		if got, found, err := snap.Find(u.Key); err != nil {
			wantFault(in.T, how, err, fault.DataMustBeReadable)
		} else if got != want || found != wantFound {
			in.Fatalf("%s: Find(%v) = %v, %t", how, u.Key, got, found)
		}
	}
	if report, err := s.Verify(in.Context()); err != nil {
		wantFault(in.T, how, err, fault.DataMustBeReadable)
	} else if report.Head != in.history.head() || report.Tuples != len(there) {
		in.Fatalf("%s: verified as %+v", how, report)
	}
	return true
}

// files are those that pemba reads when it opens, and the tables.
func (in *injured) files() (tables, others []string) {
	for _, name := range list(in.T, in.disk) {
		info, err := in.disk.Stat("data/" + name)
		switch {
		case err != nil:
			in.Fatal(err)
		case info.Size() == 0: // markers, whose names are what they say
		case strings.HasSuffix(name, tableEnd):
			tables = append(tables, "data/"+name)
		default:
			others = append(others, "data/"+name)
		}
	}
	return tables, others
}

// Whatever is damaged in a directory, it is refused when it is opened, or the reads
// that meet the damage are errors; and no store is shorter than it was.
func TestNoDamageIsAWrongAnswerOrAShorterStore(t *testing.T) {
	for _, killed := range []bool{false, true} {
		in := newInjured(t, killed)
		tables, others := in.files()
		if len(tables) < 2 || len(others) < 4 {
			t.Fatalf("killed: %t; the directory has %q and %q", killed, tables, others)
		}
		if !in.survives(in.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: in.rng}), "nothing") {
			t.Fatalf("killed: %t; unharmed it does not open", killed)
		}
		for _, path := range others {
			opened := 0
			for range *injuriesFlag {
				if disk, how := in.injure(path); in.survives(disk, fmt.Sprintf("killed: %t, %s", killed, how)) {
					opened++
				}
			}
			switch {
			case strings.HasSuffix(path, syncedFile):
				// It says what is on the disk, and is itself no part of the data.
				if opened != *injuriesFlag {
					t.Errorf("killed: %t; %d of %d open without %s", killed, opened, *injuriesFlag, path)
				}
			case killed && strings.Contains(path, "OPTIONS-"): // Pebble reads of it what must agree
			case opened > 0:
				t.Errorf("killed: %t; %d of %d open with a damaged %s", killed, opened, *injuriesFlag, path)
			}
		}
		for _, path := range tables {
			for range *injuriesFlag {
				disk, how := in.injure(path)
				in.survives(disk, fmt.Sprintf("killed: %t, %s", killed, how))
			}
		}
	}
}

// What cannot be told: after a power cut that took what pemba knows of its log, too,
// a last record that is damaged looks like one that the cut tore.
func TestAfterAPowerCutTheLastRecordMayBeTakenForATornOne(t *testing.T) {
	in := newInjured(t, true)
	if err := in.disk.Remove("data/" + syncedFile); err != nil {
		t.Fatal(err)
	}
	log, length := largestLog(t, in.disk)
	flipBit(t, in.disk, log, length-5)
	s := opened(t, onMem(in.disk))
	if r := s.Head().Revision; r != in.history.head()-1 {
		t.Errorf("it opens at revision %d of %d", r, in.history.head())
	}
	inOrder(t, s)
}

// A record that belongs to the next log is the end of this one, Pebble thinks,
// whatever comes after it and whatever its checksum says.
func TestARecordOfTheNextLogIsNoEnd(t *testing.T) {
	in := newInjured(t, true)
	log, _ := largestLog(t, in.disk)
	content, err := readWhole(in.disk, log)
	if err != nil {
		t.Fatal(err)
	}
	for at, chunks := 0, 0; chunks < 3; chunks++ {
		if content[at+6] < 9 {
			t.Fatalf("a chunk of the kind %d", content[at+6])
		}
		if content[at+7]++; chunks == 2 {
			create(t, in.disk, log, string(content))
			break
		}
		content[at+7]--
		at += 19 + int(content[at+4]) + int(content[at+5])<<8
	}
	bare := in.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: in.rng})
	if in.survives(in.disk, "a record of the next log") {
		t.Error("it opens")
	}
	if err := bare.Remove("data/" + syncedFile); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(onMem(bare)); err != nil {
		t.Errorf("Pebble notices by itself: %v", err)
	} else if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Neither SEAL nor SYNCED stands against a directory that goes on to be written,
// whatever is left of an older one.
func TestASealIsBrokenBeforeAnythingIsWritten(t *testing.T) {
	in := newInjured(t, false)
	for i := range 60 {
		var left atomic.Int64
		left.Store(int64(i))
		var after *vfs.MemFS
		disk := in.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: in.rng})
		db, err := Open(onMem(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == -1 {
				after = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: in.rng})
			}
			return nil
		}))))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if after == nil {
			if i < 20 {
				t.Errorf("opening and closing writes %d times", i)
			}
			return
		}
		if !in.survives(after, fmt.Sprintf("cut off at write %d of opening", i)) {
			t.Errorf("cut off at write %d of opening, it does not open", i)
		}
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
