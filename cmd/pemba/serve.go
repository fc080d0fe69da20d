package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/pemba-io/pemba/examples"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/rpc"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

type serveCmd struct {
	Example string  `help:"Load an example into the store default, where that is empty: exayard, blue, blue-client or clickup." placeholder:"NAME"`
	Data    string  `help:"The data directory, made where it is missing; memory keeps nothing when the server ends. Default: ${default}." default:"./pemba-data" placeholder:"DIR"`
	History keptFor `help:"How much of the past is kept, for questions about it and for who follows the changes: a duration such as 30d, 12h or 8w, or forever. Default: ${default}." default:"30d" placeholder:"TIME"`
	Listen  string  `help:"The address to listen on; port 0 takes a free one. Default: ${default}." default:"${server}" placeholder:"ADDR"`
}

func (serveCmd) Help() string {
	return `Prints "listening on ADDR" as its first line, once it answers. SIGINT and SIGTERM end it when the requests that it has begun are answered; while it starts, and the second time, they end it at once. What was acknowledged is kept either way.

While the disk is full, writes are refused and questions answered; with room again it goes on by itself. When an fsync or a block fails, writes are refused until it is started again. Health checks tell them apart: ask for pemba.v1.PermissionService to know whether questions are answered, for pemba.v1.TupleService whether writes are taken, and for the empty name whether a restart is needed.

There is no authentication yet: whoever reaches the address may do everything.

Examples:

    pemba serve --example exayard
    pemba serve --data /var/lib/pemba --listen 127.0.0.1:7878
    pemba serve --data /var/lib/pemba --history 90d
    pemba serve --data memory --listen 127.0.0.1:0`
}

// A keptFor is how much of the past is kept.
type keptFor time.Duration

func (k *keptFor) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*k = keptFor(tupledb.HistoryForever)
		return nil
	}
	history, ok := durationOf(string(text))
	if !ok || history < tupledb.HistoryMin {
		return fmt.Errorf("%q is no time to keep the past for; give a minute or more, for example 30d or 12h, or the word forever", text)
	}
	*k = keptFor(history)
	return nil
}

// memoryData is the --data that keeps nothing.
const memoryData = "memory"

// Run wires the rooms, top to bottom: the address, the data, the service, what
// it starts with, gRPC. What can be refused is tried before anything is made.
func (c *serveCmd) Run(a *app) error {
	var example *examples.Example
	if c.Example != "" {
		loaded, err := examples.Load(c.Example)
		if err != nil {
			return err
		}
		example = &loaded
	}
	data := tupledb.Config{Dir: c.Data, History: time.Duration(c.History)}
	switch c.Data {
	case memoryData:
		data.Dir = ""
	case "": // an unset variable of a script must not mean that nothing is kept
		return fault.New(fault.FieldMustBeSet, "the data directory has no name").Do("give --data a directory, or the word memory")
	}
	told, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	// From the first signal on, signals do again what they do by default: the
	// second one ends the process, whatever it waits for.
	context.AfterFunc(told, forget)
	listener, err := listen(c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	logger := slog.New(slog.NewTextHandler(a.err, nil))
	data.Logger = diskLogger{logger}
	open, err := openUnlessTold(told, data, example)
	if err != nil {
		return err
	}
	defer open.db.Close() // an early end; the last line sees to it that closing went well
	server, err := rpc.NewServer(rpc.Config{Service: open.service, Logger: logger})
	if err != nil {
		return err
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		a.note("warning: there is no authentication yet; whoever reaches %s may do everything", tcp)
	}
	if err := c.greet(a, listener.Addr(), open.start); err != nil {
		return err
	}
	upkeep, endUpkeep := context.WithCancel(context.Background())
	var looksAfter sync.WaitGroup
	looksAfter.Go(func() {
		open.service.Upkeep(upkeep, func(err error) { logger.Error("the stores are not looked after", "error", err) })
	})
	leave := func() { endUpkeep(); looksAfter.Wait() }
	defer leave() // before the data is closed
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-told.Done():
	}
	forget() // before anybody reads that a second one ends it; AfterFunc may be late
	a.note("stopping when the requests in flight are answered; once more to stop at once")
	server.Drain(context.Background())
	if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err // ErrServerStopped: told before Serve had begun
	}
	leave()
	return whyNotClosed(c.dataText(), open.db.Close())
}

// An opened is a data directory that is open, and what serves it.
type opened struct {
	db      *tupledb.DB
	service *service.Service
	start   start
}

// openUnlessTold opens the data and loads what is to be loaded. On a disk that
// takes no writes either may wait for ever, so a signal does not wait for them:
// it leaves them to the end of the process, which costs nothing that was
// acknowledged.
func openUnlessTold(told context.Context, data tupledb.Config, example *examples.Example) (opened, error) {
	type outcome struct {
		opened
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		o, err := open(told, data, example)
		done <- outcome{o, err}
	}()
	select {
	case o := <-done:
		if o.err == nil || told.Err() == nil {
			return o.opened, o.err
		}
	case <-told.Done():
	}
	return opened{}, fault.New(fault.ServerMustBeServing, "pemba was told to stop before it had started").
		Do("start it again; if it did not come to listen, see whether the disk of its data directory is full")
}

func open(ctx context.Context, data tupledb.Config, example *examples.Example) (opened, error) {
	db, err := tupledb.Open(data)
	if err != nil {
		return opened{}, err
	}
	svc := service.New(service.Config{DB: db})
	start, err := prepare(ctx, svc, example)
	if err != nil {
		return opened{}, errors.Join(err, db.Close())
	}
	return opened{db, svc, start}, nil
}

// whyNotClosed tells a disk that took no writes at the end from a mistake of
// pemba's.
func whyNotClosed(dir string, err error) error {
	var system syscall.Errno
	if fault.Of(err) != nil || !errors.As(err, &system) {
		return err
	}
	return fault.Newf(fault.DiskMustTakeWrites, "the data directory %s was not closed well: %s", dir, system).
		Do("make room on its disk and see that pemba's user may write there; what was acknowledged is kept").Because(err)
}

// A diskLogger hears about the disk. Pebble's errors print with the stacks of
// where they came from: the first line is what happened.
type diskLogger struct{ to *slog.Logger }

func (diskLogger) Infof(string, ...any) {}

func (l diskLogger) Errorf(format string, args ...any) { l.to.Error(firstLine(format, args)) }

// Fatalf ends the process: Pebble's state is broken, and what was acknowledged
// is on the disk.
func (l diskLogger) Fatalf(format string, args ...any) {
	l.to.Error("the disk failed, pemba ends: " + firstLine(format, args))
	os.Exit(exitNoServer)
}

func firstLine(format string, args []any) string {
	line, _, _ := strings.Cut(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n")
	return strings.TrimSpace(line)
}

// listen takes an address before anything else is begun.
func listen(address string) (net.Listener, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return nil, fault.Newf(fault.FieldMustBeWithinBounds, "%q is not an address to listen on", address).
			Do("write host:port in --listen, for example 127.0.0.1:7878")
	}
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.Newf(fault.ServerMustBeServing, "the address %s is in use", address).
			Do("stop the process that has it, or choose another with --listen").Because(err)
	default:
		return nil, fault.Newf(fault.ServerMustBeServing, "the address %s cannot be listened on: %s", address, networkCause(err)).
			Do("choose another with --listen").Because(err)
	}
}

func networkCause(err error) string {
	var system *os.SyscallError
	if errors.As(err, &system) {
		return system.Err.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// A start is what the store default holds when the server begins.
type start struct {
	example *examples.Example // what was asked for; nil for none
	loaded  bool              // it was loaded now
	holds   bool              // the schema in force is the example's
	version uint64            // of the schema; 0 where there is none
	tuples  int
	more    bool   // than were counted
	loading string // why nobody can look into it: an import has it
}

// prepare loads an example where the store is empty, and sees what is there.
func prepare(ctx context.Context, svc *service.Service, example *examples.Example) (start, error) {
	s := start{example: example}
	schema, err := svc.ReadSchema(ctx, service.SchemaQuery{Store: rel.DefaultStore})
	if fault.Is(err, fault.SchemaMustExist) {
		if example == nil {
			return s, nil
		}
		if err := embedded.Load(ctx, svc, example.Schema, example.Tuples); err != nil {
			return s, err
		}
		s.loaded = true
		schema, err = svc.ReadSchema(ctx, service.SchemaQuery{Store: rel.DefaultStore})
	}
	if fault.Is(err, fault.StoreMustNotBeLoading) {
		s.loading = fault.Of(err).Details["import_id"]
		return s, nil
	}
	if err != nil {
		return s, err
	}
	tuples, err := svc.ReadTuples(ctx, service.ReadQuery{Store: rel.DefaultStore, PageSize: tuplesCountedMax, Page: service.FirstPage()})
	s.holds = example != nil && schema.Schema.Text() == example.Schema
	s.version, s.tuples, s.more = schema.Version, len(tuples.Tuples), tuples.Next != ""
	return s, err
}

// tuplesCountedMax bounds what is counted before the server answers: a greeting
// is not worth a walk over ten million tuples.
const tuplesCountedMax = 1_000

// greet prints what is served and what to do with it. The first line is for
// programs, too: they wait for it.
func (c *serveCmd) greet(a *app, address net.Addr, s start) error {
	a.line("listening on %s", address)
	a.line("data   %s", c.dataText())
	a.line("store  default: %s", s.text())
	switch {
	case s.loading != "":
	case s.holds && !s.loaded:
		a.line("       left as it is: it has the example %s already", s.example.Name)
	case s.example != nil && !s.loaded:
		a.line("       left as it is: the example %s is not loaded beside another schema;", s.example.Name)
		a.line("       for a fresh store, give --data another directory")
	}
	a.line("")
	a.line("In another terminal:")
	if address.String() != defaultServer {
		a.line("")
		a.line("  export PEMBA_SERVER=%s", address)
	}
	pemba := commandName()
	switch {
	case s.loading != "":
		a.line("")
		a.line("  # to go on, or to give it up")
		a.line("  %s import FILE --import-id %s", pemba, s.loading)
		a.line("  %s import --discard --import-id %s", pemba, s.loading)
	case s.holds:
		for _, try := range s.example.Try {
			a.line("")
			a.line("  # %s", try.Shows)
			a.line("  %s %s", pemba, try.Command)
		}
	case s.version == 0:
		a.line("")
		a.line("  %s schema write FILE", pemba)
		a.line("  %s write OBJECT#RELATION@SUBJECT", pemba)
	default:
		a.line("")
		a.line("  %s schema read", pemba)
		a.line("  %s read --limit 20", pemba)
	}
	a.line("")
	a.line("  # any gRPC client will do: the server has reflection")
	a.line("  grpcurl -plaintext %s list", address)
	a.line("")
	a.line("Ctrl-C ends the server.")
	return a.out.Flush()
}

func (c *serveCmd) dataText() string {
	if c.Data == memoryData {
		return "in memory, gone when the server ends"
	}
	if absolute, err := filepath.Abs(c.Data); err == nil {
		return absolute
	}
	return c.Data
}

func (s start) text() string {
	if s.loading != "" {
		return "being loaded, by an import that is not finished"
	}
	if s.version == 0 {
		return "empty"
	}
	text := fmt.Sprintf("schema version %d, %s", s.version, fault.Counted(s.tuples, "tuple"))
	if s.more {
		text = fmt.Sprintf("schema version %d, more than %d tuples", s.version, s.tuples)
	}
	if s.loaded {
		text += ", the example " + s.example.Name
	}
	return text
}

// commandName is how the reader of a line can call this binary: by its name
// where that finds it, and otherwise as it was called, `go run` included.
func commandName() string {
	self, err := os.Executable()
	if err != nil {
		return "pemba"
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/pemba"
	}
	if found, err := exec.LookPath("pemba"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil && found == self {
			return "pemba"
		}
	}
	return os.Args[0]
}
