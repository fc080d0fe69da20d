//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
)

// A directory whose manifest is a pipe that nobody writes into is opened for
// ever, as one on a full disk is.
func TestASignalDoesNotWaitForTheDisk(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			data := t.TempDir()
			if err := syscall.Mkfifo(filepath.Join(data, "MANIFEST-000001"), 0o600); err != nil {
				t.Skip("this system makes no pipes:", err)
			}
			if err := os.WriteFile(filepath.Join(data, "marker.manifest.000001.MANIFEST-000001"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			server := exec.Command("pemba", "serve", "--listen", "127.0.0.1:0", "--data", data)
			server.Stdout, server.Stderr = &said, &said
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			hung := time.AfterFunc(20*time.Second, func() { _ = server.Process.Kill() })
			defer hung.Stop()
			for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) { // the lock is taken before the manifest is read
				if _, err := os.Stat(filepath.Join(data, "LOCK")); err == nil {
					break
				}
				if time.Since(begun) > 10*time.Second {
					t.Fatal("it never came to open its data")
				}
			}
			if err := server.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := server.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitNoServer {
				t.Errorf("it ended with %v", err)
			}
			if !strings.Contains(said.String(), "pemba was told to stop before it had started\n  rule: SERVER_MUST_BE_SERVING\n") {
				t.Errorf("it said %q", said.String())
			}
		})
	}
}

func TestAFailingCloseNamesTheRule(t *testing.T) {
	full := fmt.Errorf("closing: %w", &fs.PathError{Op: "write", Path: "000004.log", Err: syscall.ENOSPC})
	f := failureOf(whyNotClosed("d", errors.Join(full, errors.New("and more"))))
	if f.Reason != fault.DiskMustTakeWrites.Reason() || f.exitCode() != exitNoServer || !strings.HasSuffix(f.Message, "no space left on device") {
		t.Errorf("%+v", f)
	}
	if err := whyNotClosed("d", nil); err != nil {
		t.Error(err)
	}
	leak := errors.New("leaked iterators")
	if err := whyNotClosed("d", leak); !errors.Is(err, leak) || fault.Of(err) != nil {
		t.Error(err)
	}
}

func TestTheDiskIsHeardOnALine(t *testing.T) {
	var said bytes.Buffer
	logger := diskLogger{slog.New(slog.NewTextHandler(&said, nil))}
	logger.Infof("compacted")
	logger.Errorf("tupledb: %v", errors.New("000004.sst is corrupt\n(1) attached stack trace\n  | main.go:1"))
	if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="tupledb: 000004.sst is corrupt"`) ||
		!strings.Contains(got, "level=ERROR") || strings.Contains(got, "stack") {
		t.Error(got)
	}
}
