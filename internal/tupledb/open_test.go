package tupledb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func TestPebbleFormatIsPinned(t *testing.T) {
	if formatMajorVersion != 24 {
		t.Errorf("tables are written in Pebble's format %d, want 24", int(formatMajorVersion))
	}
	s := opened(t, Config{})
	if got := s.db.pebble.FormatMajorVersion(); got != 24 {
		t.Errorf("the database is at Pebble's format %d, want 24", int(got))
	}
}

func TestMemoryHoldsNothingAfterClose(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if r := opened(t, Config{}).Head().Revision; r != 0 {
		t.Errorf("a new DB in memory is at revision %d", r)
	}
}

func TestDirectoryIsFreeAfterCloseAndOnlyThen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := opened(t, Config{Dir: dir})
	r := write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	token := s.Head()

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, spelled := range []string{dir, dir + "/../open", link} {
		_, err := Open(Config{Dir: spelled})
		if !fault.Is(err, fault.DataDirectoryMustBeFree) || fault.Of(err).Remedy == "" {
			t.Errorf("opened a second time as %s: %v", spelled, err)
		}
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	again := opened(t, Config{Dir: link})
	if again.Head() != token || again.Head().Revision != r {
		t.Errorf("opened again at %v, want %v", again.Head(), token)
	}
	if has := must(t)(newestOf(t, again).Has(tuple(t, "doc:p1#viewer@user:ana").Key)); !has {
		t.Error("the tuple is gone")
	}
	inOrder(t, again)
}

func TestConfigIsValidated(t *testing.T) {
	_, err := Open(Config{CacheBytes: -1})
	wantFault(t, "a negative cache", err, fault.FieldMustBeWithinBounds)
}

func TestIncarnationIsDrawnOnceAndKept(t *testing.T) {
	disk := vfs.NewMem()
	s := opened(t, onMem(disk))
	drawn := s.Head().Incarnation
	if drawn == 0 || drawn > rel.IncarnationMax {
		t.Errorf("incarnation %x is not of 40 random bits", uint64(drawn))
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if kept := opened(t, onMem(disk)).Head().Incarnation; kept != drawn {
		t.Errorf("incarnation %x became %x", uint64(drawn), uint64(kept))
	}
	_, err := Open(Config{Random: bytes.NewReader(nil)})
	if err == nil {
		t.Error("opened without randomness")
	}
}

// A foreign directory is one that this pemba must not touch, and a word that
// the refusal says.
type foreign struct {
	prepare func(t *testing.T, disk *vfs.MemFS)
	word    string
}

func foreignDirectories() map[string]foreign {
	return map[string]foreign{
		"somebody's files": {func(t *testing.T, disk *vfs.MemFS) {
			create(t, disk, "data/letter.txt", "dear")
		}, "letter.txt"},
		"another program's Pebble database": {func(t *testing.T, disk *vfs.MemFS) {
			db, err := pebble.Open("data", &pebble.Options{FS: disk, Logger: pebbleLogger{&listeningLogger{}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}, "another program"},
		"a newer pemba's keys": {func(t *testing.T, disk *vfs.MemFS) {
			s := opened(t, onMem(disk))
			err := s.db.pebble.Set(appendMetaKey(nil, "format"), binary.AppendUvarint(nil, FormatVersion+1), pebble.Sync)
			if err := errors.Join(err, s.db.Close()); err != nil {
				t.Fatal(err)
			}
		}, fmt.Sprintf("format version %d", FormatVersion+1)},
		"an older pemba's keys": {func(t *testing.T, disk *vfs.MemFS) {
			s := opened(t, onMem(disk))
			err := s.db.pebble.Set(appendMetaKey(nil, "format"), binary.AppendUvarint(nil, FormatVersion-1), pebble.Sync)
			if err := errors.Join(err, s.db.Close()); err != nil {
				t.Fatal(err)
			}
		}, fmt.Sprintf("format version %d", FormatVersion-1)},
		"a newer Pebble's tables": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			for _, file := range list(t, disk) {
				if strings.HasPrefix(file, "marker.format-version.") {
					renamed := file[:strings.LastIndexByte(file, '.')] + ".999"
					if err := disk.Rename("data/"+file, "data/"+renamed); err != nil {
						t.Fatal(err)
					}
				}
			}
		}, "newer pemba"},
		"no format version": {func(t *testing.T, disk *vfs.MemFS) {
			s := opened(t, onMem(disk))
			err := s.db.pebble.Delete(appendMetaKey(nil, "format"), pebble.Sync)
			if err := errors.Join(err, s.db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "no format version"},
		"no manifest": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			for _, file := range list(t, disk) {
				if strings.HasPrefix(file, "MANIFEST-") || strings.HasPrefix(file, "marker.") {
					if err := disk.Remove("data/" + file); err != nil {
						t.Fatal(err)
					}
				}
			}
		}, "no database"},
		"a manifest of noise": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			noise(t, disk, "MANIFEST-")
		}, "is damaged"},
		"an options file of noise": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			noise(t, disk, "OPTIONS-")
		}, "is damaged"},
		"a seal of noise": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			noise(t, disk, sealFile)
		}, "is damaged"},
		"a manifest of noise, of which nothing is known": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			unknown(t, disk)
			noise(t, disk, "MANIFEST-")
		}, "cannot be read"},
		"an options file of noise, of which nothing is known": {func(t *testing.T, disk *vfs.MemFS) {
			closedDB(t, disk)
			unknown(t, disk)
			noise(t, disk, "OPTIONS-")
		}, "cannot be read"},
	}
}

func TestForeignDirectoriesAreRefused(t *testing.T) {
	for name, c := range foreignDirectories() {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			if err := disk.MkdirAll("data", 0o755); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, disk)
			before := list(t, disk)
			_, err := Open(onMem(disk))
			wantFault(t, name, err, fault.DataMustBeReadable)
			if err != nil && !strings.Contains(err.Error(), c.word) {
				t.Errorf("%v does not say %q", err, c.word)
			}
			for _, file := range before {
				// Logs and manifests may have been replaced, but never tables and
				// what is not ours. A directory that is a pemba's but for its
				// version is whole to Pebble, which may merge its tables.
				if strings.Contains(c.word, "format version") {
					continue
				}
				if _, err := disk.Stat("data/" + file); err != nil && (strings.HasSuffix(file, ".sst") || strings.HasSuffix(file, ".txt")) {
					t.Errorf("%s was taken away", file)
				}
			}
			switch _, again := Open(onMem(disk)); {
			case fault.Is(again, fault.DataDirectoryMustBeFree):
				t.Error("the directory stays locked after the refusal")
			case err != nil && (again == nil || !strings.Contains(again.Error(), c.word)):
				t.Errorf("refused once with %v, and then with %v", err, again)
			}
		})
	}
}

// noise takes the place of files that begin like this.
func noise(t *testing.T, disk *vfs.MemFS, start string) {
	for _, file := range list(t, disk) {
		if strings.HasPrefix(file, start) {
			create(t, disk, "data/"+file, strings.Repeat("noise", 50))
		}
	}
}

// unknown takes away what pemba knows of its files.
func unknown(t *testing.T, disk *vfs.MemFS) {
	for _, file := range []string{sealFile, syncedFile} {
		if err := disk.Remove("data/" + file); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyTheOwnerMayReadANewDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	db, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// closedDB leaves a database with a few tables.
func closedDB(t *testing.T, disk vfs.FS) {
	s := opened(t, onMem(disk))
	write(t, s, Commit{Put: everyTuple()[:100]})
	if err := errors.Join(s.db.pebble.Flush(), s.db.Close()); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, disk vfs.FS, name, content string) {
	f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte(content))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, disk vfs.FS) []string {
	names, err := disk.List("data")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestDirectoryThatCannotBeMadeSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: filepath.Join(file, "data")})
	wantFault(t, "a directory under a file", err, fault.DiskMustTakeWrites)
}

// A block that cannot be read is an error of the read, and the end of writing.
func TestCorruptBlockIsAnErrorAndNeverAnAnswer(t *testing.T) {
	disk := vfs.NewMem()
	s := opened(t, onMem(disk))
	all := grants(5000, 250) // some dozens of blocks
	for chunk := range slices.Chunk(all[1:], 100) {
		write(t, s, Commit{Put: chunk})
	}
	write(t, s, Commit{Put: all[:1]}) // what opening looks at
	if err := errors.Join(s.db.pebble.Flush(), s.db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, file := range list(t, disk) {
		if info, err := disk.Stat("data/" + file); err != nil {
			t.Fatal(err)
		} else if strings.HasSuffix(file, ".sst") && info.Size() > blockBytes {
			spoil(t, disk, "data/"+file)
		}
	}
	s = opened(t, onMem(disk))
	snap := newest(t, s)
	failed, asked := 0, 0
	for i := 0; i < len(all); i += 7 {
		u := all[i]
		asked++
		if has, err := snap.Has(u.Key); err != nil {
			wantFault(t, "Has", err, fault.DataMustBeReadable)
			failed++
		} else if !has {
			t.Errorf("%v is not there, says a damaged disk", u)
		}
	}
	found := 0
	var last error
	for _, err := range snap.Tuples(rel.Filter{}, nil) {
		if last = err; err == nil {
			found++
		}
	}
	wantFault(t, "Tuples", last, fault.DataMustBeReadable)
	snap.Close()
	if failed == 0 || failed > asked/2 || found == 0 {
		t.Fatalf("%d reads of %d failed, and %d tuples were found before the damage", failed, asked, found)
	}
	_, err := s.Update(t.Context(), func(*Snapshot) (Commit, error) { return Commit{Delete: all[:1]}, nil })
	wantFault(t, "Update", err, fault.DiskMustTakeWrites)
	if _, err := s.Verify(t.Context()); !fault.Is(err, fault.DataMustBeReadable) {
		t.Errorf("verified: %v", err)
	}
}

// spoil turns one bit in a table, in the middle of it: among the forward index's
// blocks, which the log's are before and the reverse index's after.
func spoil(t *testing.T, disk vfs.FS, name string) {
	f, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], info.Size()/2)
	b[0] ^= 0x10
	if err == nil {
		_, err = f.WriteAt(b[:], info.Size()/2)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A power cut leaves a log to be replayed, and then the disk is full for a
// while: opening waits, and what it then shows is durable.
func TestOpeningWaitsForADiskThatIsFullForAWhile(t *testing.T) {
	first := vfs.NewCrashableMem()
	s := opened(t, onMem(first))
	there := everyTuple()[:10]
	write(t, s, Commit{Put: there})
	cut := first.CrashClone(vfs.CrashCloneCfg{})

	var refused atomic.Int64
	full := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") && refused.Add(1) <= 3 {
			return syscall.ENOSPC
		}
		return nil
	})
	logger := &listeningLogger{}
	cfg := onMem(errorfs.Wrap(cut, full))
	cfg.Logger = logger
	s = opened(t, cfg)
	if refused.Load() <= 3 || len(logger.said()) != 3 {
		t.Errorf("%d tables were asked for, and the log says %q", refused.Load(), logger.said())
	}
	write(t, s, Commit{Put: everyTuple()[10:11]})
	again := opened(t, onMem(cut.CrashClone(vfs.CrashCloneCfg{})))
	snap := newestOf(t, again)
	for _, u := range there {
		if !must(t)(snap.Has(u.Key)) {
			t.Errorf("%v is gone", u)
		}
	}
}
