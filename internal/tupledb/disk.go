package tupledb

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A disk is the file system as Pebble sees it, with two habits added.
//
// It syncs a directory before a marker file in it is made or removed. Pebble
// points at its manifest with a marker: it makes the manifest, makes the new
// marker, removes the old one, and then syncs the directory once. A journaling
// file system keeps the order of those three. One that does not may have, after
// a power cut, a marker without its manifest, or none of the two markers, and
// the database cannot be opened. Markers move a few times per start, so the
// additional fsyncs cost a few milliseconds of it.
//
// And it waits before a table is made while the flushes before failed. Pebble
// tries again at once, for ever: a full disk would cost a core, and the log
// that says so would fill it further.
type disk struct {
	vfs.FS
	failures *atomic.Int64 // flushes that failed since the last one that did not
}

const (
	markerStart = "marker."
	tableEnd    = ".sst"
)

// Create makes a file.
func (d disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, tableEnd) {
		if n := d.failures.Load(); n > 0 {
			time.Sleep(min(retryPauseMax, retryPauseMin<<min(n-1, 20)))
		}
	}
	if err := d.syncBefore(name); err != nil {
		return nil, err
	}
	return d.FS.Create(name, category)
}

// Remove removes a file.
func (d disk) Remove(name string) error {
	if err := d.syncBefore(name); err != nil {
		return err
	}
	return d.FS.Remove(name)
}

// Unwrap is how Pebble looks for the file system below.
func (d disk) Unwrap() vfs.FS { return d.FS }

func (d disk) syncBefore(name string) error {
	if !strings.HasPrefix(d.PathBase(name), markerStart) {
		return nil
	}
	dir, err := d.OpenDir(d.PathDir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
