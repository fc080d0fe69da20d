package tupledb

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A ledger knows how much of Pebble's logs and manifest is on the disk, and keeps
// that beside them, so that damage to what was there is told from a write that a
// power cut tore.
//
// Pebble alone cannot tell them apart. It takes the first record that it cannot
// read for the end of the file; a later record that promises that the earlier one
// was synced would contradict it, but the manifest has no such promises, the last
// records of a log have none after them, and those of a busy log promise too
// little. A record whose number is one too high it takes for the end in any case.
// So one turned bit could open a store that is shorter than it was, and whoever
// reads it is told that a revoked permission still holds.
//
// While a directory is open, the file SYNCED says of the manifest and of each log
// how many bytes from its beginning are on the disk, and their checksum. It is
// written after each fsync of one of them, and not synced itself but with the
// manifest: a process that is killed leaves it exact; a power cut may leave an older one,
// which says less and nothing wrong. An entry is written over the older one of two,
// and one that is torn is not read.
//
// A directory that was closed well has the file SEAL, which lists every file with
// its length and, but for tables, which check themselves, its checksum. It goes
// before anything is written again.
type ledger struct {
	fs  vfs.FS
	dir string

	mu       sync.Mutex
	manifest synced
	logs     []synced
	file     vfs.File // SYNCED; nil until it is begun
	entries  uint64   // written to it; which of the two is next
	// closed says that nothing is written down any more. Where Pebble could not be
	// opened, a compaction that it had begun may still sync its manifest.
	closed bool
}

// A synced is the beginning of a file that is on the disk. Nothing writes over it.
type synced struct {
	name  string
	bytes int64
	sum   uint32
}

const (
	syncedFile = "SYNCED"
	sealFile   = "SEAL"

	manifestStart = "MANIFEST-"
	logEnd        = ".log"

	// Both places of an entry are blocks of their own of any disk.
	syncedEntryBytes = 4096
	// syncedLogsMax keeps an entry within its place; Pebble has a log for each
	// memtable that waits for its flush, which are a few.
	syncedLogsMax = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newLedger(on vfs.FS, dir string, known []synced) *ledger {
	l := &ledger{fs: on, dir: dir}
	for _, s := range known {
		l.set(s)
	}
	return l
}

// set replaces what is known of a file.
func (l *ledger) set(s synced) {
	if strings.HasPrefix(s.name, manifestStart) {
		l.manifest = s
		return
	}
	if i := slices.IndexFunc(l.logs, func(o synced) bool { return o.name == s.name }); i >= 0 {
		l.logs[i] = s
		return
	}
	if l.logs = append(l.logs, s); len(l.logs) > syncedLogsMax {
		l.logs = l.logs[1:]
	}
}

// begin makes SYNCED and takes the seal away, once, before the first file is made
// or removed: a directory that cannot be opened is left as it is.
func (l *ledger) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return nil
	}
	path := l.fs.PathJoin(l.dir, syncedFile)
	if err := l.replace(path, l.entry()); err != nil {
		return err
	}
	if err := l.fs.Remove(l.fs.PathJoin(l.dir, sealFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	file, err := l.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	l.file = file
	return nil
}

// begun reports whether the directory was written, or may have been.
func (l *ledger) begun() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file != nil
}

// replace writes a whole file, all of it or none.
func (l *ledger) replace(path string, content []byte) error {
	made := path + ".new"
	f, err := l.fs.Create(made, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := l.fs.Rename(made, path); err != nil {
		return err
	}
	return l.syncDir()
}

func (l *ledger) syncDir() error {
	dir, err := l.fs.OpenDir(l.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// note writes down what is on the disk. A disk that does not take it costs the
// knowledge and nothing else: what stands there stays true.
func (l *ledger) note(s synced) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(s)
	if l.file == nil || l.closed {
		return
	}
	if _, err := l.file.WriteAt(l.entry(), int64(l.entries%2)*syncedEntryBytes); err == nil && s.name == l.manifest.name {
		_ = l.file.SyncData() // seldom: a few times a minute
	}
}

// forget is told of a log that goes: its number is never used again.
func (l *ledger) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs = slices.DeleteFunc(l.logs, func(s synced) bool { return s.name == name })
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.closed {
		return nil
	}
	l.closed = true
	return l.file.Close()
}

// entry is the next one: its number, how many files it speaks of, these, and the
// checksum of all that.
func (l *ledger) entry() []byte {
	l.entries++
	b := binary.AppendUvarint(nil, l.entries)
	all := l.logs
	if l.manifest.name != "" {
		all = append([]synced{l.manifest}, all...)
	}
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		b = appendText(b, s.name)
		b = binary.AppendUvarint(b, uint64(s.bytes))
		b = binary.LittleEndian.AppendUint32(b, s.sum)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseEntry reads what entry wrote; what follows it is not looked at.
func parseEntry(b []byte) (number uint64, all []synced, ok bool) {
	whole := b
	number, b, ok1 := nextNumber(b)
	count, b, ok2 := nextNumber(b)
	if !ok1 || !ok2 || count > syncedLogsMax+1 {
		return 0, nil, false
	}
	for range count {
		var s synced
		name, rest, ok1 := nextText(b)
		bytes, rest, ok2 := nextNumber(rest)
		if !ok1 || !ok2 || len(rest) < 4 {
			return 0, nil, false
		}
		s.name, s.bytes, s.sum, b = string(name), int64(bytes), binary.LittleEndian.Uint32(rest), rest[4:]
		all = append(all, s)
	}
	sum := crc32.Checksum(whole[:len(whole)-len(b)], castagnoli)
	return number, all, len(b) >= 4 && binary.LittleEndian.Uint32(b) == sum
}

// readLedger is the newest entry of SYNCED that can be read; none where there is
// none.
func readLedger(dir string, on vfs.FS) ([]synced, error) {
	content, err := readWhole(on, on.PathJoin(dir, syncedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var newest uint64
	var all []synced
	for at := 0; at < len(content) && at <= syncedEntryBytes; at += syncedEntryBytes {
		if number, found, ok := parseEntry(content[at:]); ok && number > newest {
			newest, all = number, found
		}
	}
	return all, nil
}

func readWhole(on vfs.FS, path string) (content []byte, err error) {
	f, err := on.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

// sumOf reads the first bytes of a file, all of it where bytes is negative, and
// says how many these are.
func sumOf(on vfs.FS, path string, bytes int64) (s synced, err error) {
	f, err := on.Open(path)
	if err != nil {
		return synced{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.New(castagnoli)
	var from io.Reader = f
	if bytes >= 0 {
		from = io.LimitReader(f, bytes)
	}
	n, err := io.Copy(sum, from)
	return synced{on.PathBase(path), n, sum.Sum32()}, err
}

// A recorded is a log or a manifest while it is written: after each fsync that
// went well, the ledger hears how much of it is on the disk.
type recorded struct {
	vfs.File
	ledger *ledger
	so     synced
	lost   bool // a write or an fsync failed: nobody knows what is there
}

func (r *recorded) Write(p []byte) (int, error) {
	sum := crc32.Update(r.so.sum, castagnoli, p) // before: a Write may change p
	n, err := r.File.Write(p)
	r.lost = r.lost || err != nil || n != len(p)
	r.so.bytes, r.so.sum = r.so.bytes+int64(n), sum
	return n, err
}

func (r *recorded) Sync() error { return r.after(r.File.Sync()) }

func (r *recorded) SyncData() error { return r.after(r.File.SyncData()) }

func (r *recorded) after(err error) error {
	r.lost = r.lost || err != nil
	if !r.lost {
		r.ledger.note(r.so)
	}
	return err
}
