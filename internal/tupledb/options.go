package tupledb

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
)

// A Config is what a DB is opened with. The zero Config is a database in memory.
type Config struct {
	// Dir is the data directory, made where it is missing. Empty means memory:
	// the same code on a file system that is gone when the DB is closed.
	Dir string
	// CacheBytes bounds Pebble's block cache; 0 means cacheBytesDefault.
	CacheBytes int64
	// History is how much of the past is kept: every state of that time can be read,
	// and the changes that led from one to the next. 0 means HistoryDefault.
	History time.Duration
	// Clock gives commit times and evaluation times; nil means time.Now.
	Clock func() time.Time
	// Random gives incarnations; nil means crypto/rand.
	Random io.Reader
	// ReadOnly opens a directory that is there and changes nothing in it.
	ReadOnly bool
	// Logger hears what Pebble has to say; nil means errors to the standard
	// error, and nothing else.
	Logger Logger

	// Reads, where it is set, is called with every key that is sought and every key
	// that is found, whoever reads and why: by it a test sees that a request reads its
	// own store alone. Many call it at once, and it must not keep the key.
	Reads func(key []byte)

	// fs stands in for the disk: the tests' crashable and failing ones.
	fs vfs.FS
	// memTable is smaller in tests, so that they see flushes; 0 means memTableBytes.
	memTable uint64
}

// A Logger hears about the disk. Fatalf is called where neither going on nor
// returning an error is safe, and must not return: it ends the process.
type Logger interface {
	Infof(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

const (
	// cacheBytesDefault holds a million tuples with UUIDs for ids: a block in the
	// cache is not compressed, and both indexes are 96 bytes a tuple there.
	cacheBytesDefault = 128 << 20

	// memTableBytes is what is written between two flushes: 40,000 tuples. Twice as
	// much halves what a bulk of writes compacts, and costs up to 64 MiB more while
	// flushes queue, and twice the replay after kill -9.
	memTableBytes = 16 << 20

	// blockBytes is what a read that misses the cache decompresses, and what the
	// compressor sees at once. Against 8 KiB a tuple takes 1.2 bytes less and reads
	// from the cache are as fast or faster, since the index is half as large; a read
	// from the disk costs an eighth more. 32 KiB saves another 0.9 bytes, and costs
	// such a read a third more.
	blockBytes = 16 << 10

	// filterBits refuse 99 of 100 probes of what is not there without a look at a
	// block. 8 would save 0.25 bytes a tuple and let 2 of 100 pass.
	filterBits = 10
)

// formatMajorVersion is Pebble's number 24: pinned, because a newer one cannot
// be taken back, and because a default that changes is an upgrade nobody chose.
const formatMajorVersion = pebble.FormatValueSeparation

// Validate says whether the parts fit together.
func (c Config) Validate() error {
	if c.CacheBytes < 0 {
		return fault.Newf(fault.FieldMustBeWithinBounds, "a block cache of %d bytes", c.CacheBytes).
			Do("give the cache a size above 0, or 0 for the default of %d", int64(cacheBytesDefault))
	}
	if c.ReadOnly && c.Dir == "" {
		return fault.New(fault.FieldMustBeSet, "there is nothing to be read in a database in memory").
			Do("name a data directory").In("Dir")
	}
	if c.History != 0 && c.History < HistoryMin {
		return fault.Newf(fault.FieldMustBeWithinBounds, "a history of %v", c.History).
			Do("keep at least %v: a question is not to outlive what it is about", HistoryMin)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.CacheBytes == 0 {
		c.CacheBytes = cacheBytesDefault
	}
	if c.History == 0 {
		c.History = HistoryDefault
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = stderrLogger{}
	}
	return c
}

// pebbleOptions are ours throughout: Pebble's defaults are the oldest format,
// an 8 MB cache and no filters. What was measured, with the command for it, is in
// docs/performance.md.
func (db *DB) pebbleOptions(cfg Config) *pebble.Options {
	o := &pebble.Options{
		Comparer:           newComparer(),
		FormatMajorVersion: formatMajorVersion,
		Logger:             db.log,
		EventListener:      db.listener(),

		CacheSize: cfg.CacheBytes,
		// Two memtables of this size are what a busy writer holds in memory; a
		// bigger one means fewer flushes, and a longer replay after kill -9.
		MemTableSize: cmp.Or(cfg.memTable, memTableBytes),
		// A burst may queue four memtables before writers wait for the flush.
		MemTableStopWritesThreshold: 4,
		// Every sublevel of L0 costs each read a seek, so they are merged early: at
		// 4 a bulk of writes compacts less than half as much, and a read looks into
		// two tables more. Writers are stopped late: the limit is there for disasters.
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: 100,
		LBaseMaxBytes:         64 << 20,
		// What a deleted store took is given back only after the deletion has left
		// the memtable, which on a quiet server would be never.
		FlushDelayDeleteRange: deletionRestMax,
		// One compaction in ordinary times, a second one where the debt grows:
		// the machine's cores are for requests.
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 2 },
	}
	// Compactions triggered by reads would spend CPU in proportion to the
	// questions; this service is asked a lot, and its tables settle by writes.
	o.Experimental.ReadSamplingMultiplier = -1
	// Blocks of rows, each written as its difference from the one before, not of
	// columns: an object's tuples repeat all but a name and an id of each other, and
	// columns, which share with the first of sixteen rows alone and keep offsets that
	// do not compress, take 13 bytes a tuple more and are read no faster.
	o.Experimental.EnableColumnarBlocks = func() bool { return false }
	for i := range o.Levels {
		l := &o.Levels[i]
		l.FilterPolicy = probeFilter{bloom.FilterPolicy(filterBits)}
		l.BlockSize = blockBytes
		// One level of index: a table has a few hundred blocks.
		l.IndexBlockSize = 256 << 10
	}
	o.ApplyCompressionSettings(compression)
	if cfg.fs != nil {
		o.FS = disk{cfg.fs, db}
	} else {
		o.FS = disk{vfs.Default, db}
		o.WithFSDefaults() // a watch for a disk that stalls
	}
	return o
}

// compression is hard for old data and fast for new: the last level holds nine
// tenths of the bytes and is rewritten seldom. Zstandard's level 5 would save another
// byte a tuple, and cost half as much again for compressing.
func compression() pebble.DBCompressionSettings {
	c := pebble.UniformDBCompressionSettings(block.SnappyCompression)
	c.Name = "pemba"
	c.Levels[len(c.Levels)-1] = block.ZstdCompression
	return c
}

// listener hears what Pebble does in the background. A failed flush or
// compaction is tried again by Pebble and costs nothing that was acknowledged:
// the log still has it. While flushes fail no write is taken, since memory would
// fill until one hangs; they are taken again as soon as a flush succeeds. A
// corrupt block ends writing for good: whatever is judged on top of data that
// cannot be read is judged wrongly.
func (db *DB) listener() *pebble.EventListener {
	var lastFlush atomic.Pointer[error] // what ended the last flush that did not end well
	return &pebble.EventListener{
		// A flush that had nothing to write ends with an error too, but only one
		// that failed is also background work that failed.
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				db.flushed(nil)
			} else {
				lastFlush.Store(&info.Err)
			}
		},
		BackgroundError: func(err error) {
			if last := lastFlush.Swap(nil); last != nil && errors.Is(err, *last) {
				db.flushed(err)
			}
			db.log.Errorf("tupledb: background work failed and will be tried again: %v", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			if db.stopWriting(fmt.Errorf("%s is corrupt", info.Path)) { // every read that meets it comes here
				db.log.Errorf("tupledb: %s", info)
			}
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			db.log.Errorf("tupledb: the disk is slow: %s", info)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			db.log.Errorf("tupledb: writes wait for the disk: %s", info)
		},
		WriteStallEnd: func() {
			db.log.Infof("tupledb: writes go on")
		},
	}
}

// A pebbleLogger forwards Pebble's messages and sees to it that Fatalf does not
// return. Pebble calls it where its own state is broken, sometimes with locks
// held, and would go on to report success: a failed commit returns nil after it.
type pebbleLogger struct{ to Logger }

func (l pebbleLogger) Infof(format string, args ...any)  { l.to.Infof(format, args...) }
func (l pebbleLogger) Errorf(format string, args ...any) { l.to.Errorf(format, args...) }

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.to.Fatalf(format, args...)
	panic("pemba: the Logger's Fatalf returned after: " + fmt.Sprintf(format, args...))
}

// stderrLogger is the Logger of a Config without one.
type stderrLogger struct{}

func (stderrLogger) Infof(string, ...any) {}

func (stderrLogger) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (stderrLogger) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "tupledb: fatal: "+format+"\n", args...)
	os.Exit(1)
}
