package tupledb

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
)

// A readOnly is a file system on which nothing is changed: whoever only looks at a
// data directory must leave it as it is, also where Pebble had other plans.
//
// What a log has beyond the tables is read into memory, not flushed.
type readOnly struct{ vfs.FS }

// Lock holds the directory against a pemba that would write to it. Where its file
// is not there, nobody has it open, and where it cannot be made nobody can.
func (r readOnly) Lock(name string) (io.Closer, error) {
	if _, err := r.FS.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return unlocked{}, nil
	}
	held, err := r.FS.Lock(name)
	if errors.Is(err, syscall.EROFS) {
		return unlocked{}, nil
	}
	return held, err
}

type unlocked struct{}

func (unlocked) Close() error { return nil }

func (readOnly) refuse(do, name string) error {
	return &fs.PathError{Op: do, Path: name, Err: fs.ErrPermission}
}

func (r readOnly) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, r.refuse("create", name)
}

func (r readOnly) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, r.refuse("open", name)
}

func (r readOnly) ReuseForWrite(_, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, r.refuse("open", name)
}

func (r readOnly) Link(_, name string) error                 { return r.refuse("link", name) }
func (r readOnly) Rename(_, name string) error               { return r.refuse("rename", name) }
func (r readOnly) Remove(name string) error                  { return r.refuse("remove", name) }
func (r readOnly) RemoveAll(name string) error               { return r.refuse("remove", name) }
func (r readOnly) MkdirAll(name string, _ os.FileMode) error { return r.refuse("mkdir", name) }
func (r readOnly) Unwrap() vfs.FS                            { return r.FS }

// mustBeThere refuses to look at a directory that is none.
func (r readOnly) mustBeThere(dir string) error {
	info, err := r.FS.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		return nil
	}
	return fault.Newf(fault.FileMustBeReadable, "there is no data directory %s", dir).
		Do("name the directory that pemba serve has as --data").Because(err)
}

// errNoDatabase is for a directory in which no pemba has begun.
func errNoDatabase(dir string) error {
	return fault.Newf(fault.FileMustBeReadable, "the directory %s has no database", dir).
		Do("name the directory that pemba serve has as --data")
}

var errReadOnly = errors.New("it was opened to be read alone")
