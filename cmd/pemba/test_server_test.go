package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/pemba-io/pemba/internal/rpc"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// What the examples say of the three systems holds on a server, row by row, as it
// does in memory; and so does every scenario.
func TestTheExamplesPassOnAServer(t *testing.T) {
	db, err := tupledb.Open(tupledb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	server, err := rpc.NewServer(rpc.Config{Service: service.New(service.Config{DB: db}), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Drain(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for _, pattern := range []string{"../../examples/*/tests/*.yaml", "../../internal/scenario/testdata/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 20 {
			t.Fatal(pattern, len(files), err)
		}
		if code := run(append([]string{"test", "--on", listener.Addr().String()}, files...)); code != exitYes {
			t.Errorf("%s: exit code %d", pattern, code)
		}
	}
	if stores := db.Stores(); len(stores) != 1 {
		t.Errorf("%d stores are left", len(stores))
	}
}
