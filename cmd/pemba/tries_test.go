package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/examples"
)

// What the greeting of a server tells a stranger to type must work, and show
// what it says that it shows.
func TestEveryLineToTryWorks(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			example, err := examples.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := startServer(t.TempDir(), os.Environ(), "--example", name, "--data", "memory")
			if err != nil {
				t.Fatal(err)
			}
			defer s.kill()
			for _, try := range example.Try {
				if !strings.Contains(s.greeting, "pemba "+try.Command+"\n") || !strings.Contains(s.greeting, "# "+try.Shows+"\n") {
					t.Errorf("the greeting does not have %q", try.Command)
				}
				checkTry(t, s.address, try)
			}
		})
	}
}

func checkTry(t *testing.T, address string, try examples.Try) {
	t.Helper()
	command := exec.Command("pemba", strings.Fields(try.Command)...)
	command.Env = append(os.Environ(), "PEMBA_SERVER="+address)
	said, err := command.CombinedOutput()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var expected int
	switch {
	case strings.Contains(try.Shows, "refused"):
		expected = exitRefused
	case strings.HasPrefix(try.Command, "check ") && strings.HasPrefix(string(said), "denied"):
		expected = exitNo
	default:
		expected = exitYes
	}
	if code != expected || strings.Contains(string(said), "role         none") {
		t.Errorf("%s: pemba %s: exit code %d, not %d\n%s", try.Shows, try.Command, code, expected, said)
	}
	t.Logf("# %s\npemba %s\n%s", try.Shows, try.Command, said)
}
