package tupledb

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
)

// sealHead is the first line of a seal. Each line after it is a file with its
// length and its checksum, which a table is without; the last one is the checksum
// of all before.
const sealHead = "pemba closed this directory; the next start takes this file away\n"

const sealEnd = "sum "

// seal lists what a directory holds that was closed well, after all of it is on
// the disk. Where the disk does not take the list, the directory is opened as if
// the process had been killed, which loses nothing.
func (l *ledger) seal() {
	content, err := l.sealed()
	if err != nil {
		return
	}
	_ = l.replace(l.fs.PathJoin(l.dir, sealFile), content)
}

func (l *ledger) sealed() ([]byte, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, err
	}
	b := []byte(sealHead)
	for _, name := range names {
		path := l.fs.PathJoin(l.dir, name)
		switch {
		case strings.HasSuffix(name, tableEnd):
			info, err := l.fs.Stat(path)
			if err != nil {
				return nil, err
			}
			b = fmt.Appendf(b, "%s %d\n", name, info.Size())
		case isSealed(name):
			s, err := sumOf(l.fs, path, -1)
			if err != nil {
				return nil, err
			}
			b = fmt.Appendf(b, "%s %d %08x\n", s.name, s.bytes, s.sum)
		}
	}
	return fmt.Appendf(b, "%s%08x\n", sealEnd, crc32.Checksum(b, castagnoli)), nil
}

// isSealed reports whether a file's checksum belongs into the seal: the files of
// Pebble's that it reads when it opens.
func isSealed(name string) bool {
	return strings.HasSuffix(name, logEnd) || strings.HasPrefix(name, manifestStart) ||
		strings.HasPrefix(name, markerStart) || strings.HasPrefix(name, "OPTIONS-")
}

// parseSeal reads what sealed wrote. A table's length is a synced without a sum.
func parseSeal(content string) (all []synced, tables []synced, ok bool) {
	at := strings.LastIndex(content, sealEnd)
	if at < 0 || content[at:] != fmt.Sprintf("%s%08x\n", sealEnd, crc32.Checksum([]byte(content[:at]), castagnoli)) {
		return nil, nil, false
	}
	lines, ok := strings.CutPrefix(content[:at], sealHead)
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) < 2 || len(fields) > 3 {
			return nil, nil, false
		}
		bytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, nil, false
		}
		if len(fields) == 2 {
			tables = append(tables, synced{name: fields[0], bytes: bytes})
			continue
		}
		sum, err := strconv.ParseUint(fields[2], 16, 32)
		if err != nil {
			return nil, nil, false
		}
		all = append(all, synced{fields[0], bytes, uint32(sum)})
	}
	return all, tables, ok
}

// refuseDamaged compares a directory with what was written down about it, before
// Pebble opens it: Pebble would take a damaged record for the end, and go on with
// less. It returns what is known of the logs and the manifest from now on.
func refuseDamaged(dir string, on vfs.FS) ([]synced, error) {
	database, err := pebble.Peek(dir, on)
	if err != nil {
		return nil, whyNotOpened(dir, err)
	}
	if !database.Exists {
		return nil, nil // a creation was cut off, and nothing was written since
	}
	content, err := readWhole(on, on.PathJoin(dir, sealFile))
	switch {
	case err == nil:
		return unseal(dir, on, string(content))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, whyNotOpened(dir, err)
	}
	known, err := readLedger(dir, on)
	if err != nil {
		return nil, whyNotOpened(dir, err)
	}
	manifest := on.PathBase(database.ManifestFilename)
	var left []synced
	for _, s := range known {
		if strings.HasPrefix(s.name, manifestStart) && s.name != manifest {
			continue // one that was being begun, or is no longer in use
		}
		got, err := sumOf(on, on.PathJoin(dir, s.name), s.bytes)
		switch {
		case errors.Is(err, fs.ErrNotExist) && s.name != manifest:
			continue // what a log had is in tables by the time that it is deleted
		case err != nil:
			return nil, whyNotOpened(dir, err)
		case got != s:
			return nil, notAsLeft(dir, s.name)
		}
		left = append(left, s)
	}
	return left, nil
}

func unseal(dir string, on vfs.FS, content string) (left []synced, err error) {
	all, tables, ok := parseSeal(content)
	if !ok {
		return nil, notAsLeft(dir, sealFile)
	}
	for _, s := range tables {
		info, err := on.Stat(on.PathJoin(dir, s.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, whyNotOpened(dir, err)
		}
		if err != nil || info.Size() != s.bytes {
			return nil, notAsLeft(dir, s.name)
		}
	}
	for _, s := range all {
		got, err := sumOf(on, on.PathJoin(dir, s.name), -1)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, whyNotOpened(dir, err)
		}
		if err != nil || got != s {
			return nil, notAsLeft(dir, s.name)
		}
		if strings.HasSuffix(s.name, logEnd) || strings.HasPrefix(s.name, manifestStart) {
			left = append(left, s)
		}
	}
	return left, nil
}

func notAsLeft(dir, name string) error {
	return fault.Newf(fault.DataMustBeReadable, "%s in the data directory %s is damaged: it is not as pemba left it", name, dir).
		Do("look at its disk and restore a backup; what is left can be seen in a copy of the directory without its files %s and %s", sealFile, syncedFile)
}
