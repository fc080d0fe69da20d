package tupledb

import (
	"errors"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A disk is the file system as Pebble sees it, with four habits added.
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
//
// And it tells the ledger how much of the logs and the manifest was synced.
//
// A log that cannot be made while the database is open ends the process: Pebble
// would panic with its locks in disorder, and whoever runs it would read a stack
// and not that the disk is full.
type disk struct {
	vfs.FS
	db *DB
}

const (
	markerStart = "marker."
	tableEnd    = ".sst"
)

// Create makes a file.
func (d disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, tableEnd) {
		if n := d.db.flushFailures.Load(); n > 0 {
			time.Sleep(min(retryPauseMax, retryPauseMin<<min(n-1, 20)))
		}
	}
	if err := errors.Join(d.db.ledger.begin(), d.syncBefore(name)); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, category)
	return d.recorded(f, name, err)
}

// ReuseForWrite makes an old log a new one.
func (d disk) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.db.ledger.begin(); err != nil {
		return nil, err
	}
	d.db.ledger.forget(d.PathBase(old))
	f, err := d.FS.ReuseForWrite(old, name, category)
	return d.recorded(f, name, err)
}

// recorded has the ledger follow what is written to a log or a manifest.
func (d disk) recorded(f vfs.File, name string, err error) (vfs.File, error) {
	name = d.PathBase(name)
	if err == nil {
		f = heard{f, d.db}
	} else {
		d.db.hear(err)
	}
	if err != nil && strings.HasSuffix(name, logEnd) && d.db.serving.Load() {
		d.db.log.Fatalf("tupledb: the log %s cannot be made: %v", name, err)
	}
	if err != nil || !strings.HasSuffix(name, logEnd) && !strings.HasPrefix(name, manifestStart) {
		return f, err
	}
	return &recorded{File: f, ledger: d.db.ledger, so: synced{name: name}}, nil
}

// Remove removes a file.
func (d disk) Remove(name string) error {
	if err := errors.Join(d.db.ledger.begin(), d.syncBefore(name)); err != nil {
		return err
	}
	d.db.ledger.forget(d.PathBase(name))
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

// A heard is a file whose writer cannot always say that the disk took no write.
type heard struct {
	vfs.File
	db *DB
}

func (h heard) Write(p []byte) (int, error) {
	n, err := h.File.Write(p)
	h.db.hear(err)
	return n, err
}

// hear keeps that a disk is full.
func (db *DB) hear(err error) {
	if err != nil && takesNoWrites(err) {
		db.refused.Store(&err)
	}
}
