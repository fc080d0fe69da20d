package tupledb

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A fingerprint is what a directory holds, and when each file was last written.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	print := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		print[e.Name()] = string(content)
		if e.Name() != "LOCK" { // taking the lock touches it
			print[e.Name()] += fmt.Sprint(" ", info.ModTime().UnixNano())
		}
	}
	return print
}

// Whoever looks at a directory sees all of it, what is in the log alone included,
// and leaves it as it was: closed, or as a killed process left it.
func TestWhoLooksChangesNothing(t *testing.T) {
	for _, killed := range []bool{false, true} {
		in := newInjured(t, killed)
		dir := filepath.Join(t.TempDir(), "data")
		if ok, err := vfs.Clone(in.disk, vfs.Default, "data", dir); err != nil || !ok {
			t.Fatal(ok, err)
		}
		for _, locked := range []bool{true, false} { // a copy may be without the lock's file
			if !locked {
				if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
					t.Fatal(err)
				}
			}
			before := fingerprint(t, dir)
			db, err := Open(Config{Dir: dir, ReadOnly: true, Clock: in.clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			s := defaultStore(t, db)
			snap := newest(t, s)
			in.history.agrees(t, snap, in.tuples)
			snap.Close()
			if report := inOrder(t, s); report.Head != in.history.head() {
				t.Errorf("verified at revision %d of %d", report.Head, in.history.head())
			}
			_, err = s.Update(t.Context(), func(*Snapshot) (Commit, error) { return Commit{Put: in.tuples[:1]}, nil })
			wantFault(t, "a write", err, fault.DiskMustTakeWrites)
			if _, err := s.Collect(t.Context()); err != nil {
				wantFault(t, "collecting", err, fault.DiskMustTakeWrites)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if after := fingerprint(t, dir); !maps.Equal(after, before) {
				t.Errorf("killed: %t; the directory was changed", killed)
			}
		}
		if s := opened(t, Config{Dir: dir, Clock: in.clock.Now}); s.Head().Revision != in.history.head() {
			t.Errorf("it is served at revision %d of %d", s.Head().Revision, in.history.head())
		}
	}
}

// What is not there is not made, and what a pemba has open is not looked at.
func TestWhoLooksNeedsADatabaseThatIsFree(t *testing.T) {
	dir := t.TempDir()
	missing, empty, file := filepath.Join(dir, "missing"), filepath.Join(dir, "empty"), filepath.Join(dir, "file")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{missing, empty, file} {
		_, err := Open(Config{Dir: path, ReadOnly: true})
		wantFault(t, path, err, fault.FileMustBeReadable)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a directory was made")
	}
	if left := fingerprint(t, empty); len(left) > 0 {
		t.Errorf("an empty directory has %v", left)
	}
	_, err := Open(Config{ReadOnly: true})
	wantFault(t, "memory", err, fault.FieldMustBeSet)

	served := filepath.Join(dir, "served")
	s := opened(t, Config{Dir: served})
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")}})
	_, err = Open(Config{Dir: served, ReadOnly: true})
	wantFault(t, "a directory in use", err, fault.DataDirectoryMustBeFree)
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:p1#viewer@user:bob")}})
}

// A verification shows how far it is, more and more.
func TestAVerificationShowsWhatItHasRead(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: everyTuple()})
	last, shown := 0, 0
	if _, err := s.VerifyShowing(t.Context(), func(reads int) {
		if reads <= last {
			t.Errorf("%d after %d", reads, last)
		}
		last = reads
		shown++
	}); err != nil {
		t.Fatal(err)
	}
	if want := 3 * len(everyTuple()) / verifyStride; shown < want {
		t.Errorf("shown %d times, want at least %d", shown, want)
	}
}
