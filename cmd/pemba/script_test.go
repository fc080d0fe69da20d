package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// scriptWords are the words that pemba's scripts have beside testscript's own:
//
//	serve [ARG…]             start a server, put its address into $PEMBA_SERVER, its
//	                         process into $SERVER_PID and what it printed into
//	                         greeting.txt; the newest one is the one that the words
//	                         below speak of
//	stop                     SIGTERM, and expect a graceful end
//	kill9                    SIGKILL, and wait
//	hold                     keep a call of the server open until it is gone
//	twice                    SIGTERM, wait until it says that it stops, SIGTERM
//	                         again, and expect that this was the end of it
//	silent                   put the address of a server that never answers
//	                         into $SILENT, and of one that is busy into $TAKEN
//	damage GLOB              turn a bit in the middle of each file that matches
//	exits N pemba [ARG…]     run pemba and expect this exit code
//	json FILE PATH [VALUE]   expect a value in a JSON document; parts of the path
//	                         are joined by dots, and a number is an index
//	keep NAME FILE PATH      put a value of a JSON document into $NAME
//	narrow FILE              expect no line over 80 columns
func scriptWords() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"serve":  wordServe,
		"stop":   wordStop,
		"kill9":  wordKill9,
		"hold":   wordHold,
		"twice":  wordTwice,
		"silent": wordSilent,
		"damage": wordDamage,
		"exits":  wordExits,
		"json":   wordJSON,
		"keep":   wordKeep,
		"narrow": wordNarrow,
	}
}

// scriptServers are the servers of one script, the newest last.
type scriptServers struct{ all []*testServer }

type serversKey struct{}

func prepareScript(env *testscript.Env) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", filepath.Join(root, "examples"))
	env.Setenv("PEMBA_SERVER", "127.0.0.1:1") // nobody listens there
	servers := &scriptServers{}
	env.Values[serversKey{}] = servers
	env.Defer(func() {
		for _, s := range servers.all {
			s.kill()
		}
	})
	return nil
}

func servers(ts *testscript.TestScript) *scriptServers {
	return ts.Value(serversKey{}).(*scriptServers)
}

func server(ts *testscript.TestScript) *testServer {
	all := servers(ts).all
	if len(all) == 0 {
		ts.Fatalf("no server was started")
	}
	return all[len(all)-1]
}

func wordServe(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg)
	env := append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	s, err := startServer(ts.MkAbs("."), env, args...)
	ts.Check(err)
	servers(ts).all = append(servers(ts).all, s)
	ts.Setenv("PEMBA_SERVER", s.address)
	ts.Setenv("SERVER_PID", strconv.Itoa(s.process.Process.Pid))
	ts.Check(os.WriteFile(ts.MkAbs("greeting.txt"), []byte(s.greeting), 0o644))
}

func wordStop(ts *testscript.TestScript, neg bool, _ []string) {
	plain(ts, neg)
	s := server(ts)
	ts.Check(s.tell(syscall.SIGTERM))
	ts.Check(s.wait())
}

func wordKill9(ts *testscript.TestScript, neg bool, _ []string) {
	plain(ts, neg)
	server(ts).kill()
}

func wordHold(ts *testscript.TestScript, neg bool, _ []string) {
	plain(ts, neg)
	conn, err := grpc.NewClient(server(ts).address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	watch, err := healthpb.NewHealthClient(conn).Watch(context.Background(), &healthpb.HealthCheckRequest{})
	ts.Check(err)
	_, err = watch.Recv() // the first one says that the call is being answered
	ts.Check(err)
}

func wordTwice(ts *testscript.TestScript, neg bool, _ []string) {
	plain(ts, neg)
	s := server(ts)
	ts.Check(s.tell(syscall.SIGTERM))
	ts.Check(s.awaits("once more to stop at once"))
	ts.Check(s.tell(syscall.SIGTERM))
	var exit *exec.ExitError
	if err := s.wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		ts.Fatalf("the second signal was not the end: %v", err)
	}
}

func wordSilent(ts *testscript.TestScript, neg bool, _ []string) {
	plain(ts, neg)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes calls, and nobody answers
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("SILENT", listener.Addr().String())
	ts.Setenv("TAKEN", listener.Addr().String())
}

func wordDamage(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: damage GLOB")
	}
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(paths) == 0 {
		ts.Fatalf("no file is %s", args[0])
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		ts.Check(err)
		content[len(content)/2] ^= 4
		ts.Check(os.WriteFile(path, content, 0o600))
	}
}

func wordExits(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

func wordJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: json FILE PATH [VALUE]")
	}
	got, found := jsonAt(ts, args[0], args[1])
	ok := found && (len(args) == 2 || got == args[2])
	switch {
	case ok == neg && found:
		ts.Fatalf("%s is %s", args[1], got)
	case ok == neg:
		ts.Fatalf("there is no %s", args[1])
	}
}

func wordKeep(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg)
	if len(args) != 3 {
		ts.Fatalf("usage: keep NAME FILE PATH")
	}
	got, found := jsonAt(ts, args[1], args[2])
	if !found {
		ts.Fatalf("there is no %s", args[2])
	}
	ts.Setenv(args[0], got)
}

// jsonAt is a value of a document, texts as they are and the rest as JSON.
func jsonAt(ts *testscript.TestScript, file, path string) (value string, found bool) {
	var at any
	if err := json.Unmarshal([]byte(ts.ReadFile(file)), &at); err != nil {
		ts.Fatalf("%s is not one JSON document: %v", file, err)
	}
	for part := range strings.SplitSeq(path, ".") {
		switch node := at.(type) {
		case map[string]any:
			if at, found = node[part]; !found {
				return "", false
			}
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(node) {
				return "", false
			}
			at = node[i]
		default:
			return "", false
		}
	}
	if text, ok := at.(string); ok {
		return text, true
	}
	b, err := json.Marshal(at)
	ts.Check(err)
	return string(b), true
}

func wordNarrow(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg)
	for _, file := range args {
		for i, line := range strings.Split(ts.ReadFile(file), "\n") {
			if n := len([]rune(line)); n > 80 {
				ts.Fatalf("%s:%d has %d columns: %s", file, i+1, n, line)
			}
		}
	}
}

func plain(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this word takes no !")
	}
}
