package tupledb

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// loadDir is where the tables of bulk loads are written, inside the data directory,
// so that they become the database's own by a link. What is in it when a database
// is opened was left by a process that ended, and is deleted.
const loadDir = "loading"

// loadFiles write the tables that a bulk load hands over to Pebble.
type loadFiles struct {
	fs      vfs.FS
	dir     string
	options sstable.WriterOptions
	written atomic.Uint64 // how many, which names them
}

// lastLevel is Pebble's.
const lastLevel = 6

// newLoadFiles takes the options that the database writes its own tables with, those
// of its last level. What comes sorted is put there as it is: it takes 42 bytes a tuple
// instead of 47, for no processor time that was measured. What does not is merged
// again, and costs no more than with the compression of the upper levels, either.
func newLoadFiles(dir string, o *pebble.Options, format sstable.TableFormat) *loadFiles {
	o = o.Clone()
	o.EnsureDefaults()
	return &loadFiles{fs: o.FS, dir: o.FS.PathJoin(dir, loadDir), options: o.MakeWriterOptions(lastLevel, format)}
}

// clear deletes what an earlier process left.
func (f *loadFiles) clear() error { return f.fs.RemoveAll(f.dir) }

// table writes a table, which is on the disk when it returns.
func (f *loadFiles) table(fill func(*sstable.Writer) error) (path string, err error) {
	if err := f.fs.MkdirAll(f.dir, 0o700); err != nil {
		return "", err
	}
	path = f.fs.PathJoin(f.dir, fmt.Sprintf("%d%s", f.written.Add(1), tableEnd))
	file, err := f.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(file), f.options)
	// Closing is what makes the table whole, and what syncs it.
	if err := errors.Join(fill(w), w.Close()); err != nil {
		f.remove(path)
		return "", err
	}
	return path, nil
}

// remove deletes tables that were not handed over. What cannot be deleted now is
// when the database is opened the next time.
func (f *loadFiles) remove(paths ...string) {
	for _, path := range paths {
		_ = f.fs.Remove(path)
	}
}
