package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A testServer is a `pemba serve` in a process of its own.
type testServer struct {
	process  *exec.Cmd
	address  string
	greeting string        // all that it printed before it was ready
	said     *bufio.Reader // its standard error
	ended    error         // what Wait said, once it was waited for
	waited   bool
}

// startServer starts a server on a free port and waits for its greeting, whose
// first line names the port.
func startServer(dir string, env []string, args ...string) (*testServer, error) {
	s := &testServer{process: exec.Command("pemba", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)}
	s.process.Dir, s.process.Env = dir, env
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// Not a pipe of the process's: Wait would close it before its end was read.
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.process.Stderr = says
	s.said = bufio.NewReader(said)
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	says.Close() // the process has its own
	lines := bufio.NewScanner(out)
	var greeting strings.Builder
	for lines.Scan() {
		greeting.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			break
		}
	}
	s.greeting = greeting.String()
	first, _, _ := strings.Cut(s.greeting, "\n")
	address, found := strings.CutPrefix(first, "listening on ")
	if !found {
		s.kill()
		rest, _ := io.ReadAll(s.said)
		return nil, fmt.Errorf("the server did not start: %q, %s", s.greeting, rest)
	}
	s.address = address
	go func() { _, _ = io.Copy(io.Discard, out) }() // so that it never waits for a reader
	return s, nil
}

func (s *testServer) tell(signal os.Signal) error { return s.process.Process.Signal(signal) }

func (s *testServer) wait() error {
	if !s.waited {
		s.ended, s.waited = s.process.Wait(), true
	}
	return s.ended
}

func (s *testServer) kill() {
	if !s.waited {
		_ = s.process.Process.Kill() // it may have ended by itself
		_ = s.wait()
	}
}

// awaits reads the server's standard error up to a line with this text.
func (s *testServer) awaits(text string) error {
	for {
		line, err := s.said.ReadString('\n')
		if strings.Contains(line, text) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the server never said %q", text)
		}
	}
}
