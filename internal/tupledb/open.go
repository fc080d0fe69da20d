package tupledb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// FormatVersion is the version of the key table in the package comment and of
// every value. A change that an older pemba would misread gets another number.
const FormatVersion = 4

// memoryDir is the directory's name on the file system of a DB in memory.
const memoryDir = "memory"

// Open opens a data directory, or makes a new one with the default store. Only
// one DB has a directory open at a time. Where the disk fails an opening that has
// begun to write, the directory stays locked until the process ends.
func Open(cfg Config) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	dir, on, err := prepareDirectory(&cfg)
	if err != nil {
		return nil, err
	}
	lock, err := lockDirectory(dir, on)
	if err != nil {
		return nil, err
	}
	db := &DB{
		log: pebbleLogger{cfg.Logger}, clock: cfg.Clock, history: cfg.History, lock: lock,
		random: cfg.Random, reads: cfg.Reads, storing: make(chan struct{}, 1),
	}
	db.stores.Store(new(map[rel.Store]*Store))
	db.storing <- struct{}{}
	if err := db.open(dir, on, cfg); err != nil {
		if db.pebble == nil && db.ledger.begun() {
			// Pebble does not end what it has begun in the background when its
			// opening fails: a compaction goes on, and deletes what it has merged.
			// Nobody may open the directory meanwhile, so it stays locked until the
			// process ends.
			return nil, err
		}
		return nil, errors.Join(err, lock.Close())
	}
	db.serving.Store(true)
	return db, nil
}

func (db *DB) open(dir string, on vfs.FS, cfg Config) error {
	if err := refuseForeign(dir, on, cfg.ReadOnly); err != nil {
		return err
	}
	known, err := refuseDamaged(dir, on)
	if err != nil {
		return err
	}
	db.ledger = newLedger(on, dir, known)
	options := db.pebbleOptions(cfg)
	options.Lock = db.lock
	if cfg.ReadOnly {
		options.ReadOnly = true
		options.FS = on
		db.stopWriting(errReadOnly)
	}
	if db.pebble, err = openPebble(dir, options); err != nil {
		if full := db.refused.Load(); full != nil {
			// What Pebble began in the background can make a panic of an error.
			err = fmt.Errorf("%w, and %w", *full, err)
		}
		return errors.Join(whyNotOpened(dir, err), db.ledger.close())
	}
	db.loads = newLoadFiles(dir, options, db.pebble.TableFormat())
	if !cfg.ReadOnly {
		if err := db.loads.clear(); err != nil {
			return errors.Join(whyNotOpened(dir, err), db.pebble.Close(), db.ledger.close())
		}
	}
	if err := db.load(dir, cfg); err != nil {
		return errors.Join(err, db.pebble.Close(), db.ledger.close())
	}
	return nil
}

// load reads the format, then every store. All that Pebble found is durable by
// now, what was in its log without an fsync included: it does not return from
// opening before that is flushed.
func (db *DB) load(dir string, cfg Config) error {
	if err := db.loadFormat(dir); err != nil {
		return err
	}
	return db.loadStores()
}

// prepareDirectory makes the directory and gives it one name: Pebble's lock
// knows a process's own directories by name, and the kernel's does not hold
// against the process that has it.
func prepareDirectory(cfg *Config) (string, vfs.FS, error) {
	if cfg.Dir == "" {
		cfg.fs = vfs.NewMem()
		cfg.Dir = memoryDir
	}
	dir, on := cfg.Dir, cfg.fs
	real := on == nil
	if real {
		on = vfs.Default
	}
	if cfg.ReadOnly {
		looking := readOnly{on}
		if err := looking.mustBeThere(dir); err != nil {
			return "", nil, err
		}
		on = looking
	} else if err := makeDirectory(dir, on); err != nil {
		return "", nil, err
	}
	if real {
		absolute, err := filepath.Abs(dir)
		if err == nil {
			absolute, err = filepath.EvalSymlinks(absolute)
		}
		if err != nil {
			return "", nil, unmakable(dir, err)
		}
		dir = absolute
	}
	return dir, on, nil
}

// makeDirectory makes a directory where there is none. Who may do what is nobody
// else's to read: files are as open as Pebble makes them, and the directory keeps
// others out.
func makeDirectory(dir string, on vfs.FS) error {
	if err := on.MkdirAll(dir, 0o700); err != nil {
		return unmakable(dir, err)
	}
	return nil
}

func unmakable(dir string, err error) error {
	return fault.Newf(fault.DiskMustTakeWrites, "the data directory %s cannot be made or entered", dir).
		Do("give pemba a directory that its user may write").Because(err)
}

func lockDirectory(dir string, on vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, on)
	if err == nil {
		return lock, nil
	}
	var path *fs.PathError // the lock's file could not be made, so nobody holds the lock
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || strings.Contains(err.Error(), "lock held")
	if !held || errors.As(err, &path) {
		return nil, unmakable(dir, err)
	}
	return nil, fault.Newf(fault.DataDirectoryMustBeFree, "the data directory %s is open in another pemba", dir).
		Do("stop the other process, or give this one a directory of its own").Because(err)
}

// refuseForeign keeps Pebble from making a database among somebody else's
// files, and from making a new one where the old one lost its manifest: it
// would delete the tables as leftovers. Who only looks wants a database that is there.
func refuseForeign(dir string, on vfs.FS, looking bool) error {
	found, err := pebble.Peek(dir, on)
	if err != nil {
		return whyNotOpened(dir, err)
	}
	if found.Exists {
		return nil
	}
	names, err := on.List(dir)
	if err != nil {
		return whyNotOpened(dir, err)
	}
	for _, name := range names {
		if !leftByACreation(name) {
			return fault.Newf(fault.DataMustBeReadable, "the directory %s has %s and no database", dir, name).
				Do("give pemba an empty directory, or one that it made; if it made this one, restore a backup")
		}
	}
	if looking {
		return errNoDatabase(dir)
	}
	return nil
}

// leftByACreation reports whether a file may be there when the first Open was
// cut off before there was a database, or is there in every new file system.
func leftByACreation(name string) bool {
	return name == "LOCK" || name == "lost+found" || strings.HasPrefix(name, syncedFile) ||
		strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, markerStart) ||
		strings.HasPrefix(name, "temporary.") || strings.HasSuffix(name, ".dbtmp")
}

// openPebble turns a panic into an error: replaying a damaged log can end in one.
func openPebble(dir string, options *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("pebble: %v", p)
			if cause, ok := p.(error); ok { // a full disk is one
				err = fmt.Errorf("pebble: %w", cause)
			}
		}
	}()
	return pebble.Open(dir, options)
}

// whyNotOpened tells a disk that takes no writes from data that makes no sense.
func whyNotOpened(dir string, err error) error {
	if takesNoWrites(err) {
		return fault.Newf(fault.DiskMustTakeWrites, "the data directory %s cannot be written", dir).
			Do("make room on its disk and see that pemba's user may write there").Because(err)
	}
	summary, remedy := "the data directory %s cannot be read", "look at its disk; if the disk is well, restore a backup"
	switch text := err.Error(); {
	case strings.Contains(text, "unknown format major version"):
		summary, remedy = "the data directory %s was written by a newer pemba", "run the version that wrote it, or a newer one"
	case strings.Contains(text, "comparer name"):
		summary, remedy = "the data directory %s is another program's database, or a newer pemba's", "give pemba a directory of its own, or run the version that wrote this one"
	}
	return fault.Newf(fault.DataMustBeReadable, summary, dir).Do("%s", remedy).Because(err)
}

// takesNoWrites reports whether an error is of a disk that is full, or may not be
// written.
func takesNoWrites(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// loadFormat sees that this pemba can read the keys, and writes the format and
// the default store into a database that has nothing.
func (db *DB) loadFormat(dir string) error {
	value, closer, err := db.get(appendMetaKey(nil, "format"))
	if errors.Is(err, pebble.ErrNotFound) {
		return db.create(dir)
	}
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = closer.Close() }()
	version, n := binary.Uvarint(value)
	switch {
	case n <= 0 || version == 0:
		return corrupt("the data directory %s has no readable format version", dir)
	case version > FormatVersion:
		return fault.Newf(fault.DataMustBeReadable, "the data directory %s has format version %d, and this pemba knows up to %d", dir, version, FormatVersion).
			Do("run the pemba that wrote it, or a newer one")
	case version < FormatVersion:
		return fault.Newf(fault.DataMustBeReadable, "the data directory %s has format version %d, and this pemba reads version %d alone", dir, version, FormatVersion).
			Do("run the pemba that wrote it, or give this one a new directory")
	}
	return nil
}

// create writes the format and the default store in one batch, so that a
// database has both or is empty.
func (db *DB) create(dir string) error {
	it, err := db.openIterator(nil)
	if err != nil {
		return err
	}
	empty := !it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return unreadable(err)
	}
	if !empty {
		return corrupt("the data directory %s has data and no format version", dir)
	}
	if db.refusal.Load() != nil { // it is to be read only
		return errNoDatabase(dir)
	}
	batch := db.pebble.NewBatch()
	if _, err := db.found(batch, rel.DefaultStore); err != nil {
		return errors.Join(err, batch.Close())
	}
	err = batch.Set(appendMetaKey(nil, "format"), binary.AppendUvarint(nil, FormatVersion), nil)
	if err == nil {
		err = db.sync(batch)
	}
	if err == nil {
		// Pebble begins its first log before it knows which format it is to have,
		// and that log does not tell a damaged record from its end: a flipped bit
		// in it could take all of a new store away. A flush begins a log in the
		// format that does, and puts the store's own record into a table.
		err = db.pebble.Flush()
	}
	if err != nil {
		return fault.Newf(fault.DiskMustTakeWrites, "the data directory %s cannot be written", dir).
			Do("make room on its disk, then start pemba again").Because(err)
	}
	return nil
}

func drawIncarnation(random io.Reader) (rel.Incarnation, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[3:]); err != nil {
		return 0, fmt.Errorf("drawing a store's incarnation: %w", err)
	}
	return rel.Incarnation(binary.BigEndian.Uint64(b[:])), nil
}
