package service

import (
	"context"
	"fmt"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A WatchQuery asks for every change of a store from a start on.
type WatchQuery struct {
	Store   rel.Store
	Start   WatchStart
	Filters []rel.Filter // what changes of tuples to send; none is all
	Measure Measure
}

// A WatchStart is where the changes begin. The zero one is now: with the first
// write after the request.
type WatchStart struct {
	After     *rel.Snapshot // right after this snapshot
	Beginning bool          // with the store's first revision
}

// A Measure says at most how many bytes an entry takes on the way to the client,
// which the transport knows. It decides where a large write is parted.
type Measure struct {
	Change     func(rel.Change) int
	Difference func(schema.Difference) int
}

// A WatchMessage is a write, a piece of one, or a checkpoint.
type WatchMessage struct {
	// Snapshot is where to start again after this message: the state reached, or,
	// where a write is not finished, the state before it.
	Snapshot rel.Snapshot
	// Checkpoint says that there is no change up to Snapshot beside what was sent.
	// Nothing else is set then.
	Checkpoint bool

	Revision Revision
	Changes  []rel.Change
	Schema   *SchemaWritten // where the revision is one of the schema
	Imported uint64         // how many tuples were imported, where it is a bulk load
	Last     bool           // the write ends with this message
}

// A Revision is how and why a write was committed.
type Revision struct {
	Snapshot rel.Snapshot // the state right after it
	Time     time.Time
	Cause    Cause
	Metadata rel.Metadata
	Actor    rel.Subject // on whose behalf; zero for nobody
}

// A Cause is why a revision was made.
type Cause = tupledb.Cause

// The causes.
const (
	CauseWrite    = tupledb.CauseWrite
	CauseSchema   = tupledb.CauseSchema
	CauseExpired  = tupledb.CauseExpired
	CauseImported = tupledb.CauseImported
)

// A SchemaWritten is a schema version by how it differs from the one before, or
// a piece of that.
type SchemaWritten struct {
	Version     uint64
	Differences []schema.Difference
}

const (
	// WatchPieceBytesMax bounds the entries of one message, as its Measure counts
	// them. One that is larger by itself, as a doc comment of a megabyte is, goes
	// alone. The API allows a megabyte, but gRPC keeps buffers of 32 KB and then of
	// a megabyte, has several on their way to one client, and a thousand clients may
	// be slow. What stands beside the entries is small, or at most 35 KB of metadata.
	WatchPieceBytesMax = 28 << 10
	// watchReadBytes is how much of the log a watcher reads at a time. It is what
	// one that waits for its client keeps in memory beside the piece it sends; and
	// it is enough that the look into the log costs little beside what is found.
	watchReadBytes = 256 << 10
	// WatchQuietDefault is after how much silence a checkpoint is sent: often
	// enough that whoever starts again there has little to read twice, and that a
	// connection which is watched for silence is kept.
	WatchQuietDefault = 20 * time.Second
)

// Watch sends every change from a start on, in order and whole, until the context
// ends or send fails, and returns why. While send waits for the client, the watch
// waits, and holds nothing of the store; it reads the log from where it was, so
// nobody is dropped for being slow.
//
// Only what is published is read, so nothing is sent that a power cut could take
// back. The first checkpoint comes as soon as everything is sent that there was;
// from then on one comes when nothing else was sent for a while.
func (s *Service) Watch(ctx context.Context, q WatchQuery, send func(WatchMessage) error) error {
	store, err := s.db.Store(q.Store)
	if err != nil {
		return err
	}
	if err := store.MustNotBeLoading(); err != nil {
		return err
	}
	start, err := startOf(store, q.Start)
	if err != nil {
		return err
	}
	if err := s.mustFit(q, store, start); err != nil {
		return err
	}
	w := &watcher{
		service: s, store: store, query: q, send: send, token: store.Head(),
		at: tupledb.Position{Revision: start + 1}, reached: start,
		quiet: time.NewTimer(s.watchQuiet),
	}
	defer w.quiet.Stop()
	err = w.run(ctx)
	if ended := fault.Ended(ctx); ended != nil {
		return ended // what failed because of it says less
	}
	return err
}

// startOf is the revision after which a watch begins.
func startOf(store *tupledb.Store, start WatchStart) (rel.Revision, error) {
	switch {
	case start.Beginning:
		return 0, nil
	case start.After == nil:
		return store.Head().Revision, nil
	}
	// Opening it checks what every snapshot of a request is checked for.
	snap, err := store.At(*start.After)
	if err != nil {
		return 0, err
	}
	snap.Close()
	return start.After.Revision, nil
}

// mustFit sees that the filters name what there is. What there was at the start
// counts, too: whoever was cut off before a type was removed starts again with
// the filter that was right, and must see its last tuples go.
func (s *Service) mustFit(q WatchQuery, store *tupledb.Store, start rel.Revision) error {
	if len(q.Filters) == 0 {
		return nil // a store without a schema can be watched for its first one
	}
	now, err := s.schemaAt(q.Store, store, store.Head().Revision)
	if err != nil {
		return err
	}
	var faults []*fault.Fault
	for i, f := range q.Filters {
		wrong := now.CheckFilter(f)
		if wrong == nil {
			continue
		}
		if then, err := s.schemaAt(q.Store, store, start); err == nil && then.CheckFilter(f) == nil {
			continue
		}
		faults = append(faults, fault.Of(wrong).In(fmt.Sprintf("filters[%d]", i)))
	}
	return fault.Join(faults)
}

// schemaAt is the schema in force at a revision.
func (s *Service) schemaAt(name rel.Store, store *tupledb.Store, r rel.Revision) (*schema.Schema, error) {
	snap, err := store.Snapshot(r)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	v, err := s.withSchema(name, snap)
	if err != nil {
		return nil, err
	}
	return v.schema, nil
}

// A watcher is one watch on its way through the log.
type watcher struct {
	service *Service
	store   *tupledb.Store
	query   WatchQuery
	send    func(WatchMessage) error
	token   rel.Snapshot // any of the store's; only its revision changes
	quiet   *time.Timer  // since the last message

	at      tupledb.Position // where the log is read next
	reached rel.Revision     // up to here everything was sent that was asked for
	live    bool             // the newest state was reached once

	// piece is what was read of the revision after reached, and not yet sent.
	piece WatchMessage
	room  int  // how many bytes more fit into it
	asked bool // it has something that is to be sent
	begun bool // a piece of the revision was sent, and not the last one
}

func (w *watcher) run(ctx context.Context) error {
	for {
		if err := fault.Ended(ctx); err != nil {
			return err
		}
		parts, next, err := w.store.Parts(w.at, watchReadBytes)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if err := w.part(p); err != nil {
				return err
			}
		}
		w.at = next
		if len(parts) == 0 {
			err = w.wait(ctx)
		} else {
			err = w.checkpointIfDue()
		}
		if err != nil {
			return err
		}
	}
}

// wait waits for a revision, and sends a checkpoint when none comes.
func (w *watcher) wait(ctx context.Context) error {
	if !w.live {
		w.live = true
		return w.checkpoint()
	}
	select {
	case <-w.store.Published(w.reached):
	case <-w.quiet.C:
		return w.checkpoint()
	case <-ctx.Done():
	}
	return nil
}

// checkpointIfDue keeps a long log of which nothing was asked for from looking
// like silence. Between the pieces of a write nothing is said.
func (w *watcher) checkpointIfDue() error {
	if w.begun {
		return nil
	}
	select {
	case <-w.quiet.C:
		return w.checkpoint()
	default:
		return nil
	}
}

func (w *watcher) checkpoint() error {
	return w.message(WatchMessage{Snapshot: w.snapshot(w.reached), Checkpoint: true})
}

func (w *watcher) message(m WatchMessage) error {
	if err := w.send(m); err != nil {
		return err
	}
	w.quiet.Reset(w.service.watchQuiet)
	return nil
}

// part takes what was read of a revision.
func (w *watcher) part(p tupledb.Part) error {
	if w.piece.Revision.Snapshot.Revision != p.Revision {
		if err := w.begin(p); err != nil {
			return err
		}
	}
	for c := range p.Changes() {
		if !w.selects(c.Tuple) {
			continue
		}
		if err := w.makeRoom(w.query.Measure.Change(c)); err != nil {
			return err
		}
		w.piece.Changes = append(w.piece.Changes, c)
	}
	if p.Last {
		return w.end(p.Revision)
	}
	return nil
}

func (w *watcher) selects(t rel.Tuple) bool {
	for _, f := range w.query.Filters {
		if f.Matches(t) {
			return true
		}
	}
	return len(w.query.Filters) == 0
}

// begin starts a revision. Where it is one of the schema, its differences are
// sent whatever the filters are: what the tuples mean may have changed. So is a bulk
// load, whose tuples are not in the log: any of them may be what was asked for.
func (w *watcher) begin(p tupledb.Part) error {
	revision, err := w.service.revisionOf(w.token, p)
	if err != nil {
		return err
	}
	w.piece = WatchMessage{Snapshot: w.snapshot(p.Revision - 1), Revision: revision, Imported: p.Imported}
	w.room, w.asked = WatchPieceBytesMax, p.Imported > 0
	if p.Schema == 0 {
		return nil
	}
	differences, err := w.service.differencesAt(w.query.Store, w.store, p.Revision)
	if err != nil {
		return err
	}
	w.asked = true // also where only comments differ
	w.piece.Schema = &SchemaWritten{Version: p.Schema}
	for _, d := range differences {
		if err := w.makeRoom(w.query.Measure.Difference(d)); err != nil {
			return err
		}
		if w.piece.Schema == nil {
			w.piece.Schema = &SchemaWritten{Version: p.Schema}
		}
		w.piece.Schema.Differences = append(w.piece.Schema.Differences, d)
	}
	return nil
}

// makeRoom sends what was gathered where an entry does not fit beside it.
func (w *watcher) makeRoom(bytes int) error {
	if bytes > w.room && w.room < WatchPieceBytesMax {
		piece := w.piece // its entries are not kept beside what the client is to take in
		w.piece.Changes, w.piece.Schema, w.room, w.begun = nil, nil, WatchPieceBytesMax, true
		if err := w.message(piece); err != nil {
			return err
		}
	}
	w.room -= bytes
	w.asked = true
	return nil
}

// end sends the last piece of a revision, where any of it was asked for.
func (w *watcher) end(r rel.Revision) error {
	w.reached, w.begun = r, false
	if !w.asked {
		return nil
	}
	last := w.piece
	last.Snapshot, last.Last = w.snapshot(r), true
	w.piece.Changes, w.piece.Schema = nil, nil
	return w.message(last)
}

func (w *watcher) snapshot(r rel.Revision) rel.Snapshot {
	w.token.Revision = r
	return w.token
}
