package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// everyEntry measures an entry as so many bytes.
func everyEntry(bytes int) service.Measure {
	return service.Measure{
		Change:     func(rel.Change) int { return bytes },
		Difference: func(schema.Difference) int { return bytes },
	}
}

var (
	fromNow       = service.WatchStart{}
	fromBeginning = service.WatchStart{Beginning: true}
)

func after(s rel.Snapshot) service.WatchStart { return service.WatchStart{After: &s} }

// A watching is a watch that runs beside a test.
type watching struct {
	fixture
	messages chan service.WatchMessage // not buffered: the watch waits for the test
	ended    chan error
	cancel   context.CancelFunc
}

func (f fixture) watch(start service.WatchStart, filters ...string) *watching {
	f.Helper()
	q := service.WatchQuery{Store: rel.DefaultStore, Start: start, Measure: everyEntry(100)}
	for _, text := range filters {
		filter, err := rel.ParseFilter(text)
		if err != nil {
			f.Fatal(err)
		}
		q.Filters = append(q.Filters, filter)
	}
	return f.watchQuery(q)
}

func (f fixture) watchQuery(q service.WatchQuery) *watching {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{f, make(chan service.WatchMessage), make(chan error, 1), cancel}
	go func() {
		w.ended <- f.Watch(ctx, q, func(m service.WatchMessage) error {
			select {
			case w.messages <- m:
				return nil
			case <-ctx.Done():
				return errors.New("the client is gone")
			}
		})
	}()
	return w
}

func (w *watching) next() service.WatchMessage {
	w.Helper()
	select {
	case m := <-w.messages:
		return m
	case err := <-w.ended:
		w.Fatalf("the watch ended: %v", err)
		panic("unreachable")
	}
}

// stop ends the watch as a client does that goes away.
func (w *watching) stop() {
	w.Helper()
	w.cancel()
	if err := <-w.ended; !fault.Is(err, fault.CallerMustStay) {
		w.Errorf("the watch ended with %v", err)
	}
}

// sees expects a message, as text.
func (w *watching) sees(want string) service.WatchMessage {
	w.Helper()
	m := w.next()
	if got := messageText(m); got != want {
		w.Errorf("sent %q, want %q", got, want)
	}
	return m
}

// messageText is a message as "revision: change, change", with "…" at the end
// where the write goes on, or as "checkpoint revision".
func messageText(m service.WatchMessage) string {
	if m.Checkpoint {
		return fmt.Sprintf("checkpoint %d", m.Snapshot.Revision)
	}
	var entries []string
	if m.Schema != nil {
		entries = append(entries, fmt.Sprintf("schema %d", m.Schema.Version))
		for _, d := range m.Schema.Differences {
			entries = append(entries, fmt.Sprintf("%s#%s %s -> %s", d.Definition, d.Name, d.Before, d.After))
		}
	}
	for _, c := range m.Changes {
		entries = append(entries, fmt.Sprintf("%v %v", c.Op, c.Tuple))
	}
	text := fmt.Sprintf("%d: %s", m.Revision.Snapshot.Revision, strings.Join(entries, ", "))
	if !m.Last {
		text += " …"
	}
	return text
}

// From now on is: with the first write after the request, and nothing before.
func TestAWatchFromNowSeesTheFirstWriteAfterIt(t *testing.T) {
	f := withSchema(t)
	before := f.mustWrite("create doc:1#viewer@user:ana")
	w := f.watch(fromNow)
	if m := w.sees("checkpoint 2"); m.Snapshot != before {
		t.Errorf("it starts at %v, not at %v", m.Snapshot, before)
	}
	written := f.mustWrite("create doc:2#viewer@user:ana")
	m := w.sees("3: create doc:2#viewer@user:ana")
	if m.Snapshot != written || m.Revision.Snapshot != written || !m.Revision.Time.Equal(f.store.HeadTime()) || m.Revision.Cause != service.CauseWrite {
		t.Errorf("the write of %v is sent as %+v", written, m)
	}
	w.stop()
}

// Changes show what a tuple is now, and what a deleted one last was.
func TestAWatchShowsWhatBecameOfTuples(t *testing.T) {
	f := open(t, "")
	f.schema("use expiration\n" + strings.Replace(drive, "viewer: user |", "viewer: user | user with expiration |", 1))
	w := f.watch(fromNow)
	w.sees("checkpoint 1")
	f.mustWrite("create doc:1#viewer@user:ana")
	w.sees("2: create doc:1#viewer@user:ana")
	f.mustWrite("touch doc:1#viewer@user:ana[expiration:2999-01-01T00:00:00Z]", "create doc:1#viewer@user:bob")
	w.sees("3: create doc:1#viewer@user:bob, touch doc:1#viewer@user:ana[expiration:2999-01-01T00:00:00Z]")
	f.mustWrite("delete doc:1#viewer@user:ana")
	w.sees("4: delete doc:1#viewer@user:ana[expiration:2999-01-01T00:00:00Z]")
	w.stop()
}

func TestAWatchFromTheBeginningAndFromASnapshot(t *testing.T) {
	f := withSchema(t)
	first := f.mustWrite("create doc:1#viewer@user:ana")
	f.mustWrite("create doc:2#viewer@user:ana")
	w := f.watch(fromBeginning)
	if m := w.next(); m.Schema == nil || m.Schema.Version != 1 || m.Revision.Cause != service.CauseSchema || len(m.Schema.Differences) < 8 || !m.Last {
		t.Errorf("the first schema is sent as %q", messageText(m))
	}
	w.sees("2: create doc:1#viewer@user:ana")
	w.sees("3: create doc:2#viewer@user:ana")
	w.sees("checkpoint 3")
	w.stop()
	w = f.watch(after(first))
	w.sees("3: create doc:2#viewer@user:ana")
	w.sees("checkpoint 3")
	w.stop()
	w = f.watch(after(f.store.Head()))
	w.sees("checkpoint 3")
	w.stop()
}

// A store can be watched before it has anything, even a schema.
func TestAnEmptyStoreCanBeWatched(t *testing.T) {
	f := open(t, "")
	w := f.watch(fromBeginning)
	w.sees("checkpoint 0")
	f.schema("definition user {}")
	w.sees("1: schema 1, user#  -> definition user")
	w.stop()
}

func TestAStartIsRefusedLikeAnySnapshot(t *testing.T) {
	f, other := withSchema(t), withSchema(t)
	future := f.store.Head()
	future.Revision++
	for _, c := range []struct {
		start service.WatchStart
		rule  fault.Code
	}{
		{after(other.store.Head()), fault.SnapshotMustBeOfThisStore},
		{after(future), fault.SnapshotMustNotBeOfTheFuture},
	} {
		err := f.Watch(t.Context(), service.WatchQuery{Store: rel.DefaultStore, Start: c.start}, func(service.WatchMessage) error { panic("sent") })
		if !fault.Is(err, c.rule) {
			t.Errorf("%v: %v, want %v", c.start.After, err, c.rule)
		}
	}
	err := f.Watch(t.Context(), service.WatchQuery{Store: "nowhere"}, nil)
	if !fault.Is(err, fault.StoreMustExist) {
		t.Errorf("a store that is not there: %v", err)
	}
}

// A schema that replaces another is sent by how it differs, whatever is asked for.
func TestAWatchShowsHowTheSchemaChanged(t *testing.T) {
	f := withSchema(t)
	w := f.watch(fromNow, "team:core")
	w.sees("checkpoint 1")
	f.schema(strings.Replace(drive, "permission edit = editor", "permission edit = editor + org->admin", 1))
	w.sees("2: schema 2, doc#edit permission edit = editor -> permission edit = editor + org->admin")
	f.schema("// only a comment\n" + strings.Replace(drive, "permission edit = editor", "permission edit = editor + org->admin", 1))
	w.sees("3: schema 3")
	w.stop()
}

func TestAWatchSendsWhatItsFiltersSelect(t *testing.T) {
	for _, c := range []struct {
		filters []string
		want    []string
	}{
		{[]string{"doc:1"}, []string{"2: create doc:1#viewer@user:ana", "3: create doc:1#editor@user:bob"}},
		{[]string{"team:"}, []string{"3: create team:core#member@user:bob", "4: delete team:core#member@user:bob"}},
		{[]string{"#viewer"}, []string{"2: create doc:1#viewer@user:ana, create doc:2#viewer@team:core#member"}},
		{[]string{"doc:#editor"}, []string{"3: create doc:1#editor@user:bob"}},
		{[]string{"@user:bob"}, []string{"3: create doc:1#editor@user:bob, create team:core#member@user:bob", "4: delete team:core#member@user:bob"}},
		{[]string{"@team:core#member"}, []string{"2: create doc:2#viewer@team:core#member"}},
		{[]string{"doc:2", "@user:ana"}, []string{"2: create doc:1#viewer@user:ana, create doc:2#viewer@team:core#member"}},
		{[]string{"org:acme"}, nil},
	} {
		t.Run(strings.Join(c.filters, " or "), func(t *testing.T) {
			f := withSchema(t)
			w := f.watch(after(f.store.Head()), c.filters...)
			w.sees("checkpoint 1")
			f.mustWrite("create doc:1#viewer@user:ana", "create doc:2#viewer@team:core#member")
			f.mustWrite("create doc:1#editor@user:bob", "create team:core#member@user:bob")
			f.mustWrite("delete team:core#member@user:bob")
			// That no more is sent, the next thing shows.
			f.schema(drive + "\ndefinition more {}")
			for _, want := range c.want {
				w.sees(want)
			}
			if m := w.next(); m.Schema == nil {
				t.Errorf("%q was sent", messageText(m))
			}
			w.stop()
		})
	}
}

// An id prefix has no notation in a tuple's text.
func TestAWatchCanAskForAnIDPrefix(t *testing.T) {
	f := withSchema(t)
	w := f.watchQuery(service.WatchQuery{Store: rel.DefaultStore, Measure: everyEntry(100), Filters: []rel.Filter{{ObjectType: "doc", IDPrefix: "a/"}}})
	w.sees("checkpoint 1")
	f.mustWrite("create doc:a#viewer@user:ana", "create doc:a/1#viewer@user:ana", "create doc:b/a/#viewer@user:ana")
	w.sees("2: create doc:a/1#viewer@user:ana")
	w.stop()
}

// A typing mistake must not look like a quiet store. A name that was right at the
// start is no mistake: the last tuples of a type must be seen to go.
func TestAFilterMustNameWhatThereIs(t *testing.T) {
	f := withSchema(t)
	before := f.mustWrite("create team:core#member@user:ana")
	ask := func(start service.WatchStart, filters ...rel.Filter) error {
		return f.Watch(t.Context(), service.WatchQuery{Store: rel.DefaultStore, Start: start, Filters: filters, Measure: everyEntry(1)},
			func(service.WatchMessage) error { return errSeen })
	}
	err := ask(fromNow, rel.Filter{ObjectType: "doc"}, rel.Filter{ObjectType: "dok"}, rel.Filter{ObjectType: "doc", Relation: "reader"})
	if x := fault.Of(err); x == nil || x.Code != fault.TypeMustExist || x.Field != "filters[1]" || len(x.Others) != 1 || x.Others[0].Code != fault.NameMustExist || x.Others[0].Field != "filters[2]" {
		t.Errorf("got %v", err)
	}
	f.mustWrite("delete team:core#member@user:ana")
	f.schema("definition user {}")
	if err := ask(fromNow, rel.Filter{ObjectType: "team"}); !fault.Is(err, fault.TypeMustExist) {
		t.Errorf("a type that is gone: %v", err)
	}
	if err := ask(after(before), rel.Filter{ObjectType: "team"}); !errors.Is(err, errSeen) {
		t.Errorf("a type that was there at the start: %v", err)
	}
	empty := open(t, "")
	err = empty.Watch(t.Context(), service.WatchQuery{Store: rel.DefaultStore, Filters: []rel.Filter{{ObjectType: "doc"}}}, nil)
	if !fault.Is(err, fault.SchemaMustExist) {
		t.Errorf("a filter without a schema: %v", err)
	}
}

var errSeen = errors.New("a message came")

// Checkpoints come when nothing else did for a while, and only then; also where
// what is written is not what is asked for.
func TestCheckpointsComeWhileQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withSchema(t)
		w := f.watch(fromNow, "team:")
		w.sees("checkpoint 1")
		begin := time.Now()
		w.sees("checkpoint 1")
		if took := time.Since(begin); took != service.WatchQuietDefault {
			t.Errorf("the first quiet lasted %v", took)
		}
		time.Sleep(service.WatchQuietDefault / 2)
		f.mustWrite("create team:core#member@user:ana")
		w.sees("2: create team:core#member@user:ana")
		begin = time.Now()
		f.mustWrite("create doc:1#viewer@user:ana") // is not asked for
		w.sees("checkpoint 3")
		if took := time.Since(begin); took != service.WatchQuietDefault {
			t.Errorf("the quiet after a message lasted %v", took)
		}
		w.stop()
	})
}

// A long log of which nothing was asked for does not look like silence, but
// nothing is said between the pieces of a write.
func TestCheckpointsComeWhileNothingIsSelected(t *testing.T) {
	f := openService(t, "", service.Config{WatchQuiet: time.Nanosecond})
	f.schema(drive)
	before := f.store.Head()
	for i := range 4 {
		f.puts(20_000, fmt.Sprintf("w%d-", i)) // half a megabyte each
	}
	w := f.watch(after(before), "team:")
	reached := map[rel.Revision]bool{}
	for m := w.next(); m.Snapshot != f.store.Head(); m = w.next() {
		if !m.Checkpoint {
			t.Fatalf("%q was sent", messageText(m))
		}
		reached[m.Snapshot.Revision] = true
	}
	if len(reached) < 3 {
		t.Errorf("on the way to revision 5 there were checkpoints at %v", reached)
	}
	w.stop()
	w = f.watch(after(before))
	for at := before.Revision; at < f.store.Head().Revision; {
		m := w.next()
		for !m.Checkpoint && !m.Last {
			if m = w.next(); m.Checkpoint {
				t.Fatal("a checkpoint was sent between two pieces of a write")
			}
		}
		at = m.Snapshot.Revision
	}
	w.stop()
}

// puts commits tuples past admission, as one write.
func (f fixture) puts(n int, prefix string) rel.Snapshot {
	f.Helper()
	at, err := f.store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) {
		var c tupledb.Commit
		for i := range n {
			t, err := rel.ParseTuple(fmt.Sprintf("doc:%s%d#viewer@user:ana", prefix, i))
			if err != nil {
				return c, err
			}
			c.Put = append(c.Put, t)
		}
		return c, nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return at
}

// A large write comes in pieces: none above the bound, the last one marked, each
// of the others with the state before the write.
func TestALargeWriteComesInPieces(t *testing.T) {
	const tuples, fit = 20_000, service.WatchPieceBytesMax / 100 // of 100 bytes each
	f := withSchema(t)
	before := f.store.Head()
	written := f.puts(tuples, "d")
	for _, start := range []rel.Snapshot{before, before} { // the second time after a first piece was sent
		w := f.watch(after(start))
		pieces, seen := 0, 0
		for last := false; !last; last = seen == tuples {
			m := w.next()
			pieces++
			seen += len(m.Changes)
			want := before
			if m.Last {
				want = written
			}
			switch {
			case m.Checkpoint || m.Revision.Snapshot != written || m.Snapshot != want || m.Last != (seen == tuples):
				t.Fatalf("piece %d, after %d tuples: checkpoint %t, last %t, of %v, at %v", pieces, seen, m.Checkpoint, m.Last, m.Revision.Snapshot, m.Snapshot)
			case len(m.Changes) != fit && !m.Last:
				t.Fatalf("a piece of %d tuples", len(m.Changes))
			}
		}
		if pieces != tuples/fit+1 {
			t.Errorf("%d pieces", pieces)
		}
		w.sees("checkpoint 2")
		w.stop()
	}
}

// A write of which a filter selects the first tuple alone still ends with a piece
// that is marked, and pieces are parted by what is sent.
func TestPiecesAreOfWhatIsSelected(t *testing.T) {
	f := withSchema(t)
	w := f.watch(after(f.store.Head()), "doc:d0")
	w.sees("checkpoint 1")
	f.puts(20_000, "d")
	w.sees("2: create doc:d0#viewer@user:ana")
	w.stop()
}

// A difference of schemas comes in pieces, too.
func TestALargeSchemaComesInPieces(t *testing.T) {
	f := open(t, "")
	w := f.watchQuery(service.WatchQuery{Store: rel.DefaultStore, Measure: everyEntry(500_000)})
	w.sees("checkpoint 0")
	f.schema("definition a {}\ndefinition b {}\ndefinition c {}\ndefinition d {}\ndefinition e {}")
	w.sees("1: schema 1, a#  -> definition a …")
	w.sees("1: schema 1, b#  -> definition b …")
	w.sees("1: schema 1, c#  -> definition c …")
	w.sees("1: schema 1, d#  -> definition d …")
	w.sees("1: schema 1, e#  -> definition e")
	w.stop()
}

// While a client does not take a message, no other is made, and writers go on;
// then it is given everything, in order.
func TestASlowReaderIsWaitedFor(t *testing.T) {
	const writes = 3_000
	f := withSchema(t)
	w := f.watch(fromNow)
	w.sees("checkpoint 1")
	for i := range writes {
		f.puts(1, fmt.Sprintf("w%d-", i))
	}
	for i := range writes {
		w.sees(fmt.Sprintf("%d: create doc:w%d-0#viewer@user:ana", i+2, i))
	}
	w.stop()
}

// A thousand watchers each see each write once, and leave nothing behind.
func TestAThousandWatchers(t *testing.T) {
	const watchers, writes = 1_000, 20
	f := withSchema(t)
	alone := goleak.IgnoreCurrent()
	var watching, done sync.WaitGroup
	watching.Add(watchers)
	ctx, cancel := context.WithCancel(t.Context())
	for range watchers {
		done.Go(func() {
			next := rel.Revision(2)
			err := f.Watch(ctx, service.WatchQuery{Store: rel.DefaultStore, Measure: everyEntry(100)}, func(m service.WatchMessage) error {
				switch {
				case m.Checkpoint:
					watching.Done()
				case m.Revision.Snapshot.Revision != next || len(m.Changes) != 1 || !m.Last:
					return fmt.Errorf("revision %d was sent as %q", next, messageText(m))
				default:
					next++
				}
				if next == writes+2 {
					return errSeen
				}
				return nil
			})
			if !errors.Is(err, errSeen) {
				t.Error(err)
			}
		})
	}
	watching.Wait()
	for i := range writes {
		f.mustWrite(fmt.Sprintf("create doc:d%d#viewer@user:ana", i))
	}
	done.Wait()
	cancel()
	goleak.VerifyNone(t, alone)
}

// A client that is cut off at random, in the middle of writes too, and starts
// again where it was told to, sees the log: all of it, in order, each whole write
// once, over a restart of the server.
func TestResumingIsExact(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			f := open(t, dir)
			f.schema(drive)
			r := &resuming{rng: rng, at: f.store.Head()}
			reopened := false
			for i := range 60 {
				for range rng.IntN(4) {
					f.puts(1+rng.IntN(30), fmt.Sprintf("r%d-%d-", i, f.store.Head().Revision))
				}
				r.watchAWhile(f)
				if i == 30 {
					f, reopened = f.reopened(dir), true
				}
			}
			for r.at != f.store.Head() {
				r.watchAWhile(f)
			}
			r.mustBeTheLog(f)
			if !reopened || r.repeated == 0 {
				t.Errorf("no write was cut in the middle")
			}
		})
	}
}

// reopened closes the database, and opens it again.
func (f fixture) reopened(dir string) fixture {
	f.Helper()
	if err := f.close(); err != nil {
		f.Fatal(err)
	}
	return open(f.T, dir)
}

// A resuming is a client that is cut off and starts again.
type resuming struct {
	rng      *rand.Rand
	at       rel.Snapshot
	whole    []string // the writes that were seen to their end
	begun    []string // the pieces of the one that was not
	repeated int      // how many were begun and cut off
}

// watchAWhile watches until it is cut off: after some messages, or when nothing
// is left to see. Entries are large, so that a write comes in many pieces.
func (r *resuming) watchAWhile(f fixture) {
	f.Helper()
	if len(r.begun) > 0 {
		r.begun, r.repeated = nil, r.repeated+1
	}
	messages := 1 + r.rng.IntN(12)
	q := service.WatchQuery{Store: rel.DefaultStore, Start: after(r.at), Measure: everyEntry(service.WatchPieceBytesMax / 4)}
	err := f.Watch(f.Context(), q, func(m service.WatchMessage) error {
		r.at = m.Snapshot
		if m.Checkpoint {
			return errSeen
		}
		for _, c := range m.Changes {
			r.begun = append(r.begun, fmt.Sprint(m.Revision.Snapshot.Revision, c))
		}
		if m.Last {
			r.whole, r.begun = append(r.whole, r.begun...), nil
		}
		if messages--; messages == 0 {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		f.Fatal(err)
	}
}

func (r *resuming) mustBeTheLog(f fixture) {
	f.Helper()
	var log []string
	for c, err := range f.store.Changes(2) {
		if err != nil {
			f.Fatal(err)
		}
		for _, t := range c.Put {
			log = append(log, fmt.Sprint(c.Revision, rel.Change{Op: rel.Create, Tuple: t}))
		}
	}
	if !slices.Equal(log, r.whole) {
		f.Errorf("%d changes were seen, the log has %d", len(r.whole), len(log))
	}
}
