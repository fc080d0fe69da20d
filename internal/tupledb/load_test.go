package tupledb

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func acceptAll(*Snapshot) error { return nil }

// lastOf are tuples as a load leaves them: of two with one key, the later one.
func lastOf(tuples []rel.Tuple) []rel.Tuple {
	last := map[rel.Key]rel.Tuple{}
	for _, u := range tuples {
		last[u.Key] = u
	}
	var all []rel.Tuple
	for _, u := range last {
		all = append(all, u)
	}
	return all
}

// withAttributes draws tuples with repetition, each time with other attributes.
func withAttributes(rng *rand.Rand, all []rel.Tuple, n int, now time.Time) []rel.Tuple {
	drawn := make([]rel.Tuple, n)
	for i := range drawn {
		drawn[i] = randomAttributes(rng, all[rng.IntN(len(all))].Key, now)
	}
	return drawn
}

// However a load is cut into chunks, it is one revision with all of its tuples,
// each as it came last, also over a restart in the middle; and what was before it
// reads as before.
func TestALoadIsOneRevision(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 4))
		disk, clock := vfs.NewMem(), newSteppingClock()
		cfg := onMem(disk)
		cfg.Clock = clock.Now
		db, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s, h, all := defaultStore(t, db), newHistory(), few(rng, 300)
		record := func(c Commit) {
			clock.step(clockStepMax * time.Microsecond)
			write(t, s, c)
			h.add(clock.Now(), c)
		}
		record(Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}})
		if seed%2 == 1 { // history below the load, tombstones in both indexes
			put := all[:len(all)/2]
			record(Commit{Put: put})
			record(Commit{Delete: put})
		}
		in := withAttributes(rng, all, 4*len(all), clock.Now().Add(time.Hour))
		l := begun(t, s, "import")
		c := l.NewChunk()
		for i, u := range in {
			c.Add(u)
			if rng.IntN(100) == 0 {
				taken(t, l, c)
				if l.Loaded() != uint64(i+1) {
					t.Fatalf("%d of %d loaded", l.Loaded(), i+1)
				}
			}
			if rng.IntN(400) == 0 {
				taken(t, l, c)
				if report := inOrder(t, s); report.Tuples != 0 {
					t.Fatalf("verified as %+v", report)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if db, err = Open(cfg); err != nil {
					t.Fatal(err)
				}
				s = defaultStore(t, db)
				l = s.Load()
				if l == nil || l.ID() != "import" || l.Loaded() != uint64(i+1) {
					t.Fatalf("seed %d: after a restart the load is %+v", seed, l)
				}
				c = l.NewChunk()
			}
		}
		taken(t, l, c)
		clock.step(clockStepMax * time.Microsecond)
		token, err := l.Finish(t.Context(), []byte("why"), acceptAll)
		if err != nil {
			t.Fatal(err)
		}
		if token.Revision != h.head()+1 || s.Head() != token || s.Load() != nil {
			t.Fatalf("finished as %v at %v", token, s.Head())
		}
		last := lastOf(in)
		h.add(clock.Now(), Commit{Put: last})
		for round := range 2 {
			snap := newest(t, s)
			h.agrees(t, snap, all)
			snap.Close()
			for r := range h.head() {
				old := at(t, s, r)
				h.agrees(t, old, all)
				old.Close()
			}
			inOrder(t, s)
			change := collect(t, s.Changes(token.Revision))[0]
			if change.Cause != CauseImported || change.Imported != uint64(len(last)) || string(change.Metadata) != "why" || len(change.Put) > 0 || !change.Time.Equal(clock.Now()) {
				t.Errorf("the log says %+v of %d tuples", change, len(last))
			}
			parts, _, err := s.Parts(Position{Revision: token.Revision}, 1)
			if err != nil || len(parts) != 1 || parts[0].Imported != uint64(len(last)) || !parts[0].Last || len(parts[0].text) != 0 {
				t.Errorf("read in parts as %+v, %v", parts, err)
			}
			if id, sent, at := s.Imported(); id != "import" || sent != uint64(len(in)) || at != token {
				t.Errorf("remembered as %q, %d, %v", id, sent, at)
			}
			if round == 0 {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if db, err = Open(cfg); err != nil {
					t.Fatal(err)
				}
				s = defaultStore(t, db)
			}
		}
		// It goes on like after any other write.
		record(h.randomCommit(rng, all, clock.Now().Add(clockStepMax*time.Microsecond), 20))
		snap := newest(t, s)
		h.agrees(t, snap, all)
		snap.Close()
		inOrder(t, s)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// While a load lasts the store is nobody else's, and a judge who refuses it leaves
// it as it is.
func TestAStoreThatIsLoadingIsNobodyElses(t *testing.T) {
	clock := newSteppingClock()
	s := opened(t, Config{Clock: clock.Now})
	write(t, s, Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}})
	before := s.Head()
	open := newest(t, s) // of somebody who began earlier
	defer open.Close()
	l := begun(t, s, "import")
	c := l.NewChunk()
	late := tuple(t, "doc:d#viewer@user:late")
	late.Expires = rel.Expiry(clock.Now().Add(time.Second).UnixMicro())
	c.Add(tuple(t, "doc:d#viewer@user:ana"))
	c.Add(late)
	taken(t, l, c)

	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"Newest":   func() error { _, err := s.Newest(); return err },
		"Snapshot": func() error { _, err := s.Snapshot(0); return err },
		"At":       func() error { _, err := s.At(before); return err },
		"AsOf":     func() error { _, err := s.AsOf(ctx, clock.Now()); return err },
		"Update": func() error {
			_, err := s.Update(ctx, func(*Snapshot) (Commit, error) {
				t.Error("a write was judged")
				return Commit{Put: []rel.Tuple{late}}, nil
			})
			return err
		},
		"HasTuples":        func() error { _, err := s.HasTuples(ctx); return err },
		"MustNotBeLoading": s.MustNotBeLoading,
		"BeginLoad":        func() error { _, err := s.BeginLoad(ctx, "another", acceptAll); return err },
	} {
		err := ask()
		wantFault(t, name, err, fault.StoreMustNotBeLoading)
		if f := fault.Of(err); f != nil && (f.Details["import_id"] != "import" || !strings.Contains(f.Summary, "2 tuples")) {
			t.Errorf("%s: %v with %v", name, err, f.Details)
		}
	}
	if n := len(collect(t, open.Tuples(rel.Filter{}, nil))); n != 0 {
		t.Errorf("an old snapshot shows %d tuples", n)
	}
	// What expires in a load is nobody's yet.
	clock.step(time.Minute)
	if n, more, err := s.DeleteExpired(ctx); n != 0 || more || err != nil {
		t.Errorf("%d were deleted, more %t, %v", n, more, err)
	}
	if more, err := s.Collect(ctx); more || err != nil {
		t.Errorf("collected: more %t, %v", more, err)
	}

	refused := fault.New(fault.LowerBoundMustHold, "no")
	if _, err := l.Finish(ctx, nil, func(snap *Snapshot) error {
		if got := collect(t, snap.Tuples(rel.Filter{}, nil)); len(got) != 1 || snap.Revision() != before.Revision+1 {
			t.Errorf("judged at %d with %v", snap.Revision(), got)
		}
		if v, ok, err := snap.Schema(); !ok || err != nil || v.Number != 1 {
			t.Errorf("judged by %v, %t, %v", v, ok, err)
		}
		return refused
	}); err != error(refused) {
		t.Errorf("finished with %v", err)
	}
	if s.Load() != l || s.Head() != before || l.Loaded() != 2 {
		t.Errorf("a refusal changed the load: %+v", l)
	}
	// It is corrected, and heard of.
	heard := s.Published(before.Revision)
	c.Add(tuple(t, "doc:d#owner@user:bob"))
	taken(t, l, c)
	if _, err := l.Finish(ctx, nil, acceptAll); err != nil {
		t.Fatal(err)
	}
	<-heard
	if report := inOrder(t, s); report.Tuples != 2 || report.Expired != 1 {
		t.Errorf("verified as %+v", report)
	}
	if n, _, err := s.DeleteExpired(ctx); n != 1 || err != nil {
		t.Errorf("%d were deleted, %v", n, err)
	}
	inOrder(t, s)
	for name, err := range map[string]error{
		"Write":   l.Write(ctx, l.NewChunk()),
		"Discard": l.Discard(ctx),
	} {
		wantFault(t, name, err, fault.ImportMustContinue)
	}
}

// A load begins where no tuple is stored, and nowhere else; what has expired is
// deleted first.
func TestALoadBeginsInAnEmptyStoreAlone(t *testing.T) {
	clock := newSteppingClock()
	s := opened(t, Config{Clock: clock.Now})
	ana := tuple(t, "doc:d#viewer@user:ana")
	ana.Expires = rel.Expiry(clock.Now().Add(time.Second).UnixMicro())
	write(t, s, Commit{Put: []rel.Tuple{ana}})
	if l, err := s.BeginLoad(t.Context(), "import", func(*Snapshot) error { t.Error("judged"); return nil }); l != nil || err != nil {
		t.Fatalf("begun beside a tuple: %v, %v", l, err)
	}
	if has, err := s.HasTuples(t.Context()); !has || err != nil {
		t.Errorf("has tuples: %t, %v", has, err)
	}
	clock.step(time.Minute)
	refused := fault.New(fault.NotInSchema, "no")
	if l, err := s.BeginLoad(t.Context(), "import", func(*Snapshot) error { return refused }); l != nil || err != error(refused) {
		t.Fatalf("begun although it was refused: %v, %v", l, err)
	}
	if err := s.MustNotBeLoading(); err != nil {
		t.Fatal(err)
	}
	if s.Head().Revision != 2 {
		t.Errorf("what had expired was not deleted: at %v", s.Head())
	}
	load(t, s, "import", []rel.Tuple{ana, tuple(t, "doc:d#viewer@user:bob")})
	if report := inOrder(t, s); report.Tuples != 1 || report.Expired != 1 {
		t.Errorf("verified as %+v", report)
	}
}

// A load that is given up leaves nothing, whatever there was before it, and its
// revision is the next write's.
func TestADiscardedLoadLeavesNothing(t *testing.T) {
	for _, history := range []bool{false, true} {
		for _, swept := range []int{0, 30} { // how many keys were deleted before it was interrupted
			t.Run(fmt.Sprintf("history=%t/interrupted=%d", history, swept), func(t *testing.T) {
				disk, rng := vfs.NewMem(), rand.New(rand.NewPCG(1, 5))
				db, err := Open(onMem(disk))
				if err != nil {
					t.Fatal(err)
				}
				s, h, all := defaultStore(t, db), newHistory(), few(rng, 60)
				commit := func(c Commit) {
					write(t, s, c)
					change := collect(t, s.Changes(s.Head().Revision))[0]
					h.add(change.Time, c)
				}
				commit(Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}})
				if history {
					put := all[:30]
					for i := range put {
						put[i].Expires = rel.Expiry(time.Now().Add(time.Hour).UnixMicro())
					}
					commit(Commit{Put: put})
					commit(Commit{Delete: put})
				}
				l := begun(t, s, "import")
				c := l.NewChunk()
				for _, u := range withAttributes(rng, all, 200, time.Now().Add(time.Hour)) {
					c.Add(u)
				}
				taken(t, l, c)
				if swept > 0 && history {
					interruptSweep(t, l, swept)
					wantFault(t, "writing on", func() error { c.Add(all[0]); return l.Write(t.Context(), c) }(), fault.ImportMustContinue)
					_, err := l.Finish(t.Context(), nil, acceptAll)
					wantFault(t, "finishing", err, fault.ImportMustContinue)
					inOrder(t, s)
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
					if db, err = Open(onMem(disk)); err != nil {
						t.Fatal(err)
					}
					s = defaultStore(t, db)
					l = s.Load()
				}
				if err := l.Discard(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.Load() != nil || s.Head().Revision != h.head() {
					t.Fatalf("at %v, loading %v", s.Head(), s.Load())
				}
				for _, k := range []kind{kindForward, kindReverse, kindExpiry, kindLoad} {
					for _, key := range keysOf(t, s, k) {
						if revisionOf(key[splitKey(key):]) > h.head() || k == kindLoad {
							t.Errorf("%v is left", keyText(key))
						}
					}
				}
				inOrder(t, s)
				commit(Commit{Put: all[5:9]})
				for r := range h.head() + 1 {
					snap := at(t, s, r)
					h.agrees(t, snap, all)
					snap.Close()
				}
				inOrder(t, s)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// interruptSweep deletes the first keys of a load, as a Discard that is cut off does.
func interruptSweep(t *testing.T, l *Load, n int) {
	t.Helper()
	m := *l.mark.Load()
	m.state = loadDiscarding
	if err := l.ingest(m); err != nil {
		t.Fatal(err)
	}
	l.mark.Store(&m)
	var keys [][]byte
	for _, k := range []kind{kindExpiry, kindForward} {
		if err := l.versions(t.Context(), k, func(it iterator) error {
			if len(keys) < n {
				keys = append(keys, bytes.Clone(it.Key()))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.store.forget(keys); err != nil {
		t.Fatal(err)
	}
}

func keysOf(t testing.TB, s *Store, k kind) [][]byte {
	t.Helper()
	it, err := s.iteratorOver(s.boundsOf(k))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var keys [][]byte
	for it.First(); it.Valid(); it.Next() {
		keys = append(keys, bytes.Clone(it.Key()))
	}
	return keys
}

// Two streams of one import at once load each tuple, in its order: what the one has
// loaded is nothing to do for the other, and a hole is refused.
func TestTwoStreamsOfOneImport(t *testing.T) {
	s := opened(t, Config{})
	in := withAttributes(rand.New(rand.NewPCG(2, 6)), everyTuple()[:40], 200, time.Now().Add(time.Hour))
	one := begun(t, s, "import")
	two := begun(t, s, "import")
	fill := func(l *Load, from, to int) *Chunk {
		c := l.NewChunk()
		c.Restart(uint64(from))
		for _, u := range in[from:to] {
			c.Add(u)
		}
		return c
	}
	for _, step := range []struct {
		load     *Load
		from, to int
		loaded   uint64
		refused  bool
	}{
		{one, 0, 50, 50, false},
		{two, 0, 40, 50, false},
		{two, 20, 90, 90, false},
		{one, 91, 120, 90, true},
		{one, 50, 200, 200, false},
	} {
		err := step.load.Write(t.Context(), fill(step.load, step.from, step.to))
		if step.refused {
			wantFault(t, fmt.Sprint(step), err, fault.ImportMustContinue)
		} else if err != nil {
			t.Fatal(err)
		}
		if one.Loaded() != step.loaded || two.Loaded() != step.loaded {
			t.Fatalf("after %v %d are loaded", step, one.Loaded())
		}
	}
	if _, err := two.Finish(t.Context(), nil, acceptAll); err != nil {
		t.Fatal(err)
	}
	_, err := one.Finish(t.Context(), nil, acceptAll)
	wantFault(t, "finishing twice", err, fault.ImportMustContinue)
	same(t, newestOf(t, s), "what was loaded", collect(t, newestOf(t, s).Tuples(rel.Filter{}, nil)), lastOf(in))
	inOrder(t, s)
}

// A load that brought nothing is no revision.
func TestALoadOfNothingIsNoRevision(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}})
	l := begun(t, s, "import")
	token, err := l.Finish(t.Context(), nil, func(*Snapshot) error { t.Error("judged"); return nil })
	if err != nil || token.Revision != 1 || s.Load() != nil {
		t.Errorf("finished as %v, %v", token, err)
	}
	write(t, s, Commit{Put: everyTuple()[:3]})
	inOrder(t, s)
}

// The history can be forgotten up to a load, past it, and over what was before.
func TestTheFloorPassesALoad(t *testing.T) {
	clock := newSteppingClock()
	s := opened(t, Config{Clock: clock.Now, History: time.Hour})
	all := everyTuple()[:30]
	write(t, s, Commit{Put: all[:10]})
	write(t, s, Commit{Delete: all[:10]})
	clock.step(time.Hour)
	load(t, s, "import", all)
	clock.step(time.Hour)
	write(t, s, Commit{Delete: all[5:15]})
	clock.step(time.Hour)
	write(t, s, Commit{Put: all[5:10]})
	for _, floor := range []rel.Revision{2, 3, 4, 5} {
		change, err := s.timeOf(floor)
		if err != nil {
			t.Fatal(err)
		}
		clock.step(inMicros(change).Add(time.Hour).Sub(clock.Now()))
		if more, err := s.Collect(t.Context()); more || err != nil {
			t.Fatal(more, err)
		}
		if s.Floor() != floor {
			t.Fatalf("the floor is %d, not %d", s.Floor(), floor)
		}
		if report := inOrder(t, s); report.Tuples != 25 {
			t.Errorf("verified as %+v", report)
		}
	}
}

func TestVerifyFindsWhatIsWrongWithALoad(t *testing.T) {
	all := everyTuple()[:20]
	ana := all[3]
	for name, c := range map[string]struct {
		finished bool
		spoil    func(s *Store, b *pebble.Batch, r rel.Revision) error
		want     string
	}{
		"a version is missing in both indexes": {true, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			if err := b.Delete(appendSuffix(appendForward(nil, 1, ana.Key), r), nil); err != nil {
				return err
			}
			return b.Delete(appendSuffix(appendReverse(nil, 1, ana.Key), r), nil)
		}, "imported 20 tuples"},
		"a version is missing in the reverse index": {true, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Delete(appendSuffix(appendReverse(nil, 1, ana.Key), r), nil)
		}, "has no reverse index"},
		"the indexes disagree": {true, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			other := ana
			other.Caveat.Name = "c"
			return b.Set(appendSuffix(appendReverse(nil, 1, ana.Key), r), appendValue(nil, other), nil)
		}, "disagree"},
		"a tuple was there before": {true, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Set(appendSuffix(appendForward(nil, 1, ana.Key), r-1), []byte{stateLive}, nil)
		}, "was there when revision 2 was loaded"},
		"the mark is gone": {false, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Delete(appendLoadKey(nil, 1), nil)
		}, "which the log does not have"},
		"the mark is damaged": {false, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Set(appendLoadKey(nil, 1), []byte{9}, nil)
		}, "is not of the form"},
		"a loading version is missing in the forward index": {false, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Delete(appendSuffix(appendForward(nil, 1, ana.Key), r), nil)
		}, "that are being loaded"},
		"a loading version is missing in the reverse index": {false, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Delete(appendSuffix(appendReverse(nil, 1, ana.Key), r), nil)
		}, "has no reverse index"},
		"a tombstone is loaded": {false, func(s *Store, b *pebble.Batch, r rel.Revision) error {
			return b.Set(appendSuffix(appendReverse(nil, 1, ana.Key), r), []byte{stateTombstone}, nil)
		}, "no readable value"},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, Config{})
			write(t, s, Commit{Schema: &SchemaVersion{Number: 1, Text: "first"}})
			l := begun(t, s, "import")
			chunk := l.NewChunk()
			for _, u := range all {
				chunk.Add(u)
			}
			taken(t, l, chunk)
			if report := inOrder(t, s); report.Loading != len(all) {
				t.Fatalf("verified as %+v", report)
			}
			if c.finished {
				if _, err := l.Finish(t.Context(), nil, acceptAll); err != nil {
					t.Fatal(err)
				}
			}
			batch := s.db.pebble.NewBatch()
			if err := c.spoil(s, batch, l.revision); err != nil {
				t.Fatal(err)
			}
			if err := s.db.sync(batch); err != nil {
				t.Fatal(err)
			}
			report, err := s.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(report.Problems, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("found %q, not %q", report.Problems, c.want)
			}
		})
	}
}

// A store whose load does not fit its log is not opened.
func TestALoadThatDoesNotFitTheLogIsNotOpened(t *testing.T) {
	for _, m := range [][]byte{
		nil, {loadMarkForm}, {2, 1, 0, 1, 0, 'x'}, {loadMarkForm, 4, 0, 1, 0, 'x'}, {loadMarkForm, 1, 2, 1, 0, 'x'}, {loadMarkForm, 1, 0, 1, 0},
		loadMark{state: loadLoading, revision: 1, id: "x"}.encode(),
		loadMark{state: loadLoading, revision: 3, id: "x"}.encode(),
		loadMark{state: loadDiscarding, revision: 1, id: "x"}.encode(),
		loadMark{state: loadFinished, revision: 2, id: "x"}.encode(),
	} {
		disk := vfs.NewMem()
		db, err := Open(onMem(disk))
		if err != nil {
			t.Fatal(err)
		}
		write(t, defaultStore(t, db), Commit{Put: everyTuple()[:1]})
		if err := db.pebble.Set(appendLoadKey(nil, 1), m, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err = Open(onMem(disk)); err == nil {
			_ = db.Close()
		}
		wantFault(t, fmt.Sprintf("%v", m), err, fault.DataMustBeReadable)
	}
}

// What a process left of a load that it could not hand over is deleted.
func TestTablesOfAnEarlierLifeAreDeleted(t *testing.T) {
	disk := vfs.NewMem()
	db, err := Open(onMem(disk))
	if err != nil {
		t.Fatal(err)
	}
	load(t, defaultStore(t, db), "import", everyTuple()[:10])
	left, err := disk.List(db.loads.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left of a load, %v", left, err)
	}
	file, err := disk.Create(disk.PathJoin(db.loads.dir, "77.sst"), vfs.WriteCategoryUnspecified)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(onMem(disk)); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := disk.Stat(db.loads.dir); err == nil {
		t.Error("the directory is still there")
	}
	inOrder(t, defaultStore(t, db))
}

// The chunk's own sorting is the comparer's, and the later of two equal keys is
// what is written.
func TestAChunkIsSortedAsTheComparerSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 300 {
		c := &Chunk{}
		n := 1 + rng.IntN(120)
		for range n {
			key := []byte{0, 0, 0, 1, 'f'}
			for range rng.IntN(4) { // stretches that many have in common, some with the byte that keys end with
				key = append(key, []string{"aaaaaaaa", "aaaaaaab", "a", "b\x00", "\x00", ""}[rng.IntN(6)]...)
			}
			key = append(key, 0)
			c.forward = append(c.forward, chunkEntry{at: uint32(len(c.text)), key: uint16(len(key))})
			c.text = append(c.text, key...)
		}
		c.sort(c.forward, fieldsAt)
		if !slices.IsSortedFunc(c.forward, func(a, b chunkEntry) int {
			if order := compareKeys(appendSuffix(slices.Clone(c.keyOf(a)), 7), appendSuffix(slices.Clone(c.keyOf(b)), 7)); order != 0 {
				return order
			}
			return int(a.at) - int(b.at)
		}) {
			var keys []string
			for _, e := range c.forward {
				keys = append(keys, fmt.Sprintf("%q", c.keyOf(e)))
			}
			t.Fatalf("sorted as\n%s", strings.Join(keys, "\n"))
		}
	}
}

// A load that is faster than the compactions waits for them.
func TestALoadWaitsForCompactions(t *testing.T) {
	s := opened(t, Config{})
	l := begun(t, s, "import")
	c := l.NewChunk()
	var in []rel.Tuple
	for range 5 {
		drawn := withAttributes(rand.New(rand.NewPCG(3, 3)), everyTuple(), 200, time.Now().Add(time.Hour))
		in = append(in, drawn...)
		for _, u := range drawn {
			c.Add(u)
		}
		taken(t, l, c)
	}
	if err := l.settle(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if levels := s.db.pebble.Metrics().Levels[0].Sublevels; levels > 1 { // the mark's, which no other key is beside
		t.Errorf("%d tables lie above each other", levels)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Add(in[0])
	taken(t, l, c)
	wantFault(t, "a caller who has gone", l.settle(ctx, -1), fault.CallerMustStay)
	if _, err := l.Finish(t.Context(), nil, acceptAll); err != nil {
		t.Fatal(err)
	}
	same(t, newestOf(t, s), "what was loaded", collect(t, newestOf(t, s).Tuples(rel.Filter{}, nil)), lastOf(append(in, in[0])))
	inOrder(t, s)
}

// Memory is bounded by what a chunk is told to hold, whatever the tuples are.
func TestAChunkIsFullInTime(t *testing.T) {
	s := opened(t, Config{})
	l := begun(t, s, "import")
	c := l.NewChunk()
	n := 0
	for ; !c.IsFull(); n++ {
		c.Add(benchTuple(n))
	}
	if bytes := len(c.text) + chunkBytesOfEntry*(len(c.forward)+len(c.reverse)); bytes < chunkBytesMax || bytes > chunkBytesMax+1000 || c.Reaches() != uint64(n) {
		t.Errorf("%d tuples are %d bytes and reach %d", n, bytes, c.Reaches())
	}
	taken(t, l, c)
	if c.IsFull() || c.Reaches() != uint64(n) || l.Loaded() != uint64(n) {
		t.Errorf("after it was written the chunk reaches %d, and %d are loaded", c.Reaches(), l.Loaded())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantFault(t, "a caller who has gone", l.Discard(ctx), fault.CallerMustStay)
}
