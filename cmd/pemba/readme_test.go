package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/pemba-io/pemba/gen/pemba/v1" // the descriptors of what grpcurl asks for
)

// Every line of the README's console blocks, typed in their order against a fresh
// server, answers what the README shows; tokens of snapshots and the name of
// the data directory are the machine's own.
func TestTheReadmeShowsWhatATerminalShows(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var server *testServer
	r := readme{t: t, tokens: make(map[string]string)}
	for _, line := range consoleLines(string(text)) {
		switch {
		case line.typed == "go run ./cmd/pemba serve --example exayard":
			if server, err = startServer(t.TempDir(), os.Environ(), "--example", "exayard"); err != nil {
				t.Fatal(err)
			}
			defer server.kill()
			r.address = server.address
			greeting := strings.SplitAfterN(server.greeting, "\n", 4)
			r.compare(line, strings.Join(greeting[:3], ""))
		case strings.HasPrefix(line.typed, "pemba "):
			r.pemba(line)
		case strings.HasPrefix(line.typed, "grpcurl "):
			r.grpcurl(line)
		case line.typed == "go test ./...":
		default:
			t.Errorf("the README types %q, and nothing here tries it", line.typed)
		}
	}
	if r.tried < 12 {
		t.Errorf("only %d lines were tried", r.tried)
	}
}

// A consoleLine is what is typed, and what the README shows after it.
type consoleLine struct{ typed, shown string }

func consoleLines(text string) []consoleLine {
	var lines []consoleLine
	for _, block := range strings.Split(text, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			typed, shown, _ := strings.Cut(part, "\n")
			lines = append(lines, consoleLine{typed, strings.TrimRight(shown, "\n")})
		}
	}
	return lines
}

type readme struct {
	t       *testing.T
	address string
	tokens  map[string]string // the README's snapshots, and those of this run
	tried   int
}

var (
	snapshotForm  = regexp.MustCompile(`\b0[0-9a-hjkmnp-tv-z]{16,24}\b`)
	addressForm   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	directoryForm = regexp.MustCompile(`(?m)^data   \S+/pemba-data$`)
)

func (r *readme) compare(line consoleLine, came string) {
	r.t.Helper()
	r.tried++
	plain := func(s string) string {
		s = snapshotForm.ReplaceAllString(s, "SNAPSHOT")
		s = directoryForm.ReplaceAllString(s, "data   DIRECTORY")
		return strings.TrimRight(addressForm.ReplaceAllString(s, "ADDRESS"), "\n")
	}
	if plain(came) != plain(line.shown) {
		r.t.Errorf("$ %s\nshows\n%s\nthe README says\n%s", line.typed, came, line.shown)
	}
}

// pemba types a line whose words have no spaces in them.
func (r *readme) pemba(line consoleLine) {
	words := strings.Fields(line.typed)[1:]
	for i, w := range words {
		if token, known := r.tokens[w]; known {
			words[i] = token
		}
	}
	command := exec.Command("pemba", words...)
	command.Dir = "../.." // where the reader of the README is
	command.Env = append(os.Environ(), "PEMBA_SERVER="+r.address)
	came, _ := command.CombinedOutput() // an exit code is an answer, too
	r.compare(line, string(came))
	shown, real := snapshotForm.FindString(line.shown), snapshotForm.FindString(string(came))
	if shown != "" {
		r.tokens[shown] = real
	}
}

var grpcurlForm = regexp.MustCompile(`^grpcurl -plaintext -d '(.*)' 127\.0\.0\.1:7878 ([\w.]+)/(\w+)$`)

// grpcurl sends what grpcurl would send, by the descriptors that it would ask for.
func (r *readme) grpcurl(line consoleLine) {
	r.tried++
	parts := grpcurlForm.FindStringSubmatch(line.typed)
	if parts == nil {
		r.t.Errorf("cannot read %q", line.typed)
		return
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(parts[2]))
	if err != nil {
		r.t.Fatal(err)
	}
	method := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(parts[3]))
	request, response := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	if err := protojson.Unmarshal([]byte(parts[1]), request); err != nil {
		r.t.Fatalf("%s: %v", line.typed, err)
	}
	connection, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // it has answered
	if err := connection.Invoke(context.Background(), "/"+parts[2]+"/"+parts[3], request, response); err != nil {
		r.t.Fatalf("%s: %v", line.typed, err)
	}
	came, err := protojson.Marshal(response)
	if err != nil {
		r.t.Fatal(err)
	}
	if want, got := withoutSnapshot(r.t, line.shown), withoutSnapshot(r.t, string(came)); !reflect.DeepEqual(want, got) {
		r.t.Errorf("$ %s\nshows\n%s\nthe README says\n%s", line.typed, came, line.shown)
	}
}

func withoutSnapshot(t *testing.T, text string) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	delete(fields, "snapshot")
	return fields
}
