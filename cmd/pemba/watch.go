package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type watchCmd struct {
	Filters   []string `arg:"" optional:"" name:"filter" help:"Tuple text with parts left out; a change is shown that one of them selects. Without one, every change."`
	From      *string  `help:"Start right after this snapshot." placeholder:"TOKEN" xor:"start"`
	Beginning bool     `help:"Start with the first change of the store." xor:"start"`
}

func (watchCmd) Help() string {
	return `Shows every change of tuples and schema as it happens, a line each: when, what became of the tuple, the tuple as it is now, or as it last was. It starts with the next change, or where --from or --beginning says, and goes on until Ctrl-C. At its end, whatever that is, it says with which --from it goes on and misses nothing; of a write that was not shown whole, it then shows the beginning again.

With -o json, each line is one message of the API: a write, a piece of a large one, or a checkpoint, each with the snapshot to go on from.

Examples:

    pemba watch                          every change from now on
    pemba watch project:p1               changes on project:p1
    pemba watch @user:joe @user:ana      changes of tuples about joe or ana
    pemba watch --beginning              everything that ever changed
    pemba watch --from "$SNAPSHOT" -o json | jq -c .changes`
}

// Run prints what a watch sends until either side ends it.
func (c *watchCmd) Run(a *app) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	told, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	w := &watched{app: a}
	err = client.understood(w.follow(told, client, request))
	if flushed := a.out.Flush(); flushed != nil {
		return flushed
	}
	if w.snapshot != "" {
		a.note("to go on from here: pemba watch --from %s", w.snapshot)
	}
	if told.Err() != nil {
		return nil // it was to end
	}
	return err
}

func (c *watchCmd) request() (*pembav1.WatchRequest, error) {
	request := &pembav1.WatchRequest{}
	for _, text := range c.Filters {
		filter, err := parseFilter("a filter", text)
		if err != nil {
			return nil, err
		}
		request.Filters = append(request.Filters, filter)
	}
	switch {
	case c.From != nil:
		if *c.From == "" { // an unset variable of a script must not mean now
			return nil, fault.New(fault.FieldMustBeSet, "--from is empty").Do("give the snapshot that an answer had, or leave --from out to start now")
		}
		if _, err := rel.ParseSnapshot(*c.From); err != nil {
			return nil, err
		}
		request.Start = &pembav1.WatchRequest_Snapshot{Snapshot: *c.From}
	case c.Beginning:
		request.Start = &pembav1.WatchRequest_Beginning{Beginning: true}
	}
	return request, nil
}

// A watched is a watch as far as it was printed.
type watched struct {
	app      *app
	snapshot string // where to go on
}

// follow prints messages until the stream ends, and returns why. --timeout is for
// the server's sign that it watches: the first message may be long in coming.
func (w *watched) follow(told context.Context, client *client, request *pembav1.WatchRequest) error {
	ctx, cancel := context.WithCancel(told)
	defer cancel()
	late := time.AfterFunc(client.timeout, cancel)
	defer late.Stop()
	stream, err := client.tuples().Watch(ctx, request)
	if err == nil {
		_, err = stream.Header()
	}
	if !late.Stop() {
		return status.Error(codes.DeadlineExceeded, "no sign of a watch came")
	}
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fault.New(fault.ServerMustBeServing, "the server ended the watch without saying why").Do("start it again")
		}
		if err != nil {
			return err
		}
		if err := w.show(message); err != nil {
			return err
		}
	}
}

// show prints a message. Each is printed at once: whoever watches, waits for it.
func (w *watched) show(m *pembav1.WatchResponse) error {
	if w.app.wantsJSON() {
		line, err := protoJSON(m)
		if err != nil {
			return err
		}
		w.app.line("%s", line)
	} else {
		w.lines(m)
	}
	w.snapshot = m.GetSnapshot()
	return w.app.out.Flush()
}

// watchTimeLayout is as wide for every time, so that what follows stands in columns.
const watchTimeLayout = "2006-01-02T15:04:05.000Z"

// lines prints the changes of a message for people; a checkpoint has none.
func (w *watched) lines(m *pembav1.WatchResponse) {
	when := m.GetRevision().GetCommittedAt().AsTime().Format(watchTimeLayout)
	why := ""
	if actor := m.GetRevision().GetActor(); actor != "" {
		why = "  by " + actor
	}
	if m.GetRevision().GetCause() == pembav1.Cause_CAUSE_EXPIRED {
		why += "  expired"
	}
	for _, c := range m.GetChanges() {
		w.app.line("%s  %-8s  %s%s", when, done.of(c.GetOperation()), tupleText(c.GetTuple()), why)
	}
	if s := m.GetSchemaChange(); s != nil {
		w.app.line("%s  %-8s  version %d%s", when, "schema", s.GetVersion(), why)
		for _, line := range differenceLines(s.GetChanges()) {
			w.app.line("  %s", line)
		}
	}
	if n := m.GetImportedCount(); n > 0 {
		w.app.line("%s  %-8s  %s%s", when, "imported", fault.Counted(n, "tuple"), why)
	}
}
