package tupledb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

func created(t testing.TB, db *DB, name rel.Store) *Store {
	t.Helper()
	s, err := db.CreateStore(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func deleted(t testing.TB, db *DB, name rel.Store) rel.Snapshot {
	t.Helper()
	last, err := db.DeleteStore(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func storeNames(db *DB) (names []rel.Store) {
	for _, s := range db.Stores() {
		names = append(names, s.Name())
	}
	return names
}

// allKeys counts what is stored under a store's number, whoever it is of.
func allKeys(t testing.TB, db *DB, n storeNumber) (count int) {
	t.Helper()
	from, to := storeBounds(n)
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		t.Fatal(err)
	}
	for it.First(); it.Valid(); it.Next() {
		count++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return count
}

// afterAPowerCut is the DB as the disk has it now, and nothing beside.
func afterAPowerCut(t testing.TB, disk *vfs.MemFS) *DB {
	t.Helper()
	return opened(t, onMem(disk.CrashClone(vfs.CrashCloneCfg{}))).db
}

// What is answered is on the disk: a store that was created is there after a power
// cut, with its first state, and one that was deleted is not.
func TestStoresAreDurableWhenTheyAreAnswered(t *testing.T) {
	disk := vfs.NewCrashableMem()
	db := opened(t, onMem(disk)).db
	acme := created(t, db, "acme")
	if acme.Head().Revision != 0 || acme.Name() != "acme" || acme.Created().IsZero() {
		t.Errorf("created %s at %v, %v", acme.Name(), acme.Head(), acme.Created())
	}
	cut := afterAPowerCut(t, disk)
	if names := storeNames(cut); !slices.Equal(names, []rel.Store{"acme", "default"}) {
		t.Fatalf("after the creation there are %v", names)
	}
	again, err := cut.Store("acme")
	if err != nil || again.Head() != acme.Head() || !again.Created().Equal(acme.Created()) {
		t.Errorf("came back as %v of %v, %v", again.Head(), again.Created(), err)
	}
	write(t, acme, Commit{Put: everyTuple()[:5]})
	if last := deleted(t, db, "acme"); last.Revision != 1 || last.Incarnation != acme.Head().Incarnation {
		t.Errorf("the last state was %v", last)
	}
	cut = afterAPowerCut(t, disk)
	if names := storeNames(cut); !slices.Equal(names, []rel.Store{"default"}) {
		t.Errorf("after the deletion there are %v", names)
	}
	if n := allKeys(t, cut, acme.number); n > 0 {
		t.Errorf("%d keys are left of a deleted store", n)
	}
}

func TestANameIsTakenOnce(t *testing.T) {
	db := opened(t, Config{}).db
	created(t, db, "acme")
	for _, name := range []rel.Store{"acme", rel.DefaultStore} {
		_, err := db.CreateStore(t.Context(), name)
		wantFault(t, string(name), err, fault.AlreadyExistsCreate)
	}
	_, err := db.Store("acme2")
	wantFault(t, "a store that is not there", err, fault.StoreMustExist)
	_, err = db.DeleteStore(t.Context(), "acme2")
	wantFault(t, "deleting one that is not there", err, fault.StoreMustExist)
}

func TestStoresAreBounded(t *testing.T) {
	db := opened(t, Config{}).db
	db.publishStores(func(stores map[rel.Store]*Store) {
		for i := len(stores); i < storesMax-1; i++ {
			stores[rel.Store(fmt.Sprint("s", i))] = &Store{}
		}
	})
	last := created(t, db, "last")
	_, err := db.CreateStore(t.Context(), "one-more")
	wantFault(t, "one more", err, fault.StoresMustStayWithinBounds)
	deleted(t, db, last.name)
	created(t, db, "one-more")
}

// A number is used once, also where the store that had the highest one is gone, and
// the database was closed since: what was deleted must never be read by another.
func TestNumbersAndIncarnationsAreNeverUsedAgain(t *testing.T) {
	disk := vfs.NewMem()
	numbers, incarnations := map[storeNumber]bool{1: true}, map[rel.Incarnation]bool{}
	cfg := onMem(disk)
	cfg.Random = nil // from run to run, not the same ones again
	for range 3 {
		db, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s := created(t, db, "acme")
			if numbers[s.number] || incarnations[s.incarnation] {
				t.Errorf("store number %d and incarnation %x were used before", s.number, uint64(s.incarnation))
			}
			numbers[s.number], incarnations[s.incarnation] = true, true
			deleted(t, db, "acme")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What would be two stores of one number, or more numbers than were given, is damage.
func TestNumbersThatContradictEachOtherAreDamage(t *testing.T) {
	for name, spoil := range map[string]func(b *pebble.Batch, s *Store) error{
		"two stores of one number": func(b *pebble.Batch, s *Store) error {
			r := s.record()
			r.number = 1
			return b.Set(storeKey(s.name), r.encode(), nil)
		},
		"a number that was not given": func(b *pebble.Batch, _ *Store) error { return b.Set(appendMetaKey(nil, "number"), []byte{1}, nil) },
		"no last number":              func(b *pebble.Batch, _ *Store) error { return b.Delete(appendMetaKey(nil, "number"), nil) },
		"a last number of noise": func(b *pebble.Batch, _ *Store) error {
			return b.Set(appendMetaKey(nil, "number"), []byte("noise"), nil)
		},
	} {
		disk := vfs.NewMem()
		db := opened(t, onMem(disk)).db
		batch := db.pebble.NewBatch()
		if err := spoil(batch, created(t, db, "acme")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(batch.Commit(pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		_, err := Open(onMem(disk))
		wantFault(t, name, err, fault.DataMustBeReadable)
	}
}

// Two stores of one incarnation would take each other's snapshots.
func TestAnIncarnationThatAStoreHasIsDrawnAgain(t *testing.T) {
	cfg := onMem(vfs.NewMem())
	cfg.Random = bytes.NewReader([]byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2})
	s := opened(t, cfg)
	if acme := created(t, s.db, "acme"); s.incarnation != 1 || acme.incarnation != 2 {
		t.Errorf("incarnations %d and %d", s.incarnation, acme.incarnation)
	}
	_, err := s.db.CreateStore(t.Context(), "more")
	if !errors.Is(err, io.EOF) || len(s.db.Stores()) != 2 {
		t.Errorf("without randomness: %v, %v", err, storeNames(s.db))
	}
	if _, err := s.db.DeleteStore(t.Context(), rel.DefaultStore); !errors.Is(err, io.EOF) {
		t.Errorf("made anew without randomness: %v", err)
	}
	write(t, s, Commit{Put: everyTuple()[:1]}) // it was not deleted
}

// A store under a deleted one's name is another one: it has nothing of it, and takes
// none of its snapshots. The default store is such a one at once.
func TestAStoreMadeAnewIsAnotherOne(t *testing.T) {
	db := opened(t, Config{}).db
	for _, name := range []rel.Store{"acme", rel.DefaultStore} {
		if name != rel.DefaultStore {
			created(t, db, name)
		}
		old, err := db.Store(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, old, Commit{
			Put: everyTuple()[:5], Schema: &SchemaVersion{Number: 1, Text: "old"}, Request: &Request{ID: "r1"},
		})
		last := deleted(t, db, name)
		if name != rel.DefaultStore {
			_, err = db.Store(name)
			wantFault(t, "a deleted store", err, fault.StoreMustExist)
			created(t, db, name)
		}
		anew, err := db.Store(name)
		if err != nil {
			t.Fatalf("%s made anew: %v", name, err)
		}
		if anew == old || anew.Head().Revision != 0 || anew.number == old.number {
			t.Errorf("%s made anew is at %v, number %d after %d", name, anew.Head(), anew.number, old.number)
		}
		_, err = anew.At(last)
		wantFault(t, "an old snapshot", err, fault.SnapshotMustBeOfThisStore)
		_, err = old.Newest()
		wantFault(t, "who found the old one before", err, fault.StoreMustExist)
		snap := newestOf(t, anew)
		if _, found, err := snap.Schema(); found || err != nil {
			t.Errorf("%s made anew has a schema, %v", name, err)
		}
		if _, found, err := snap.Request("", "r1"); found || err != nil {
			t.Errorf("%s made anew knows a request, %v", name, err)
		}
		if tuples := collect(t, snap.Tuples(rel.Filter{}, nil)); len(tuples) > 0 {
			t.Errorf("%s made anew has %v", name, tuples)
		}
		inOrder(t, anew)
	}
}

// The deletion takes its turn: writes that have the turn before it are acknowledged
// and in its last state, those that wait behind it are refused.
func TestADeletionTakesItsTurnAmongWriters(t *testing.T) {
	db := opened(t, Config{}).db
	s := created(t, db, "acme")
	judging, judge := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), func(*Snapshot) (Commit, error) {
			close(judging)
			<-judge
			return Commit{Put: everyTuple()[:1]}, nil
		})
		first <- err
	}()
	<-judging
	outcome := make(chan rel.Snapshot, 1)
	go func() {
		last, err := db.DeleteStore(context.Background(), "acme")
		if err != nil {
			t.Error(err)
		}
		outcome <- last
	}()
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := db.DeleteStore(impatient, "acme")
	wantFault(t, "who does not wait for the turn", err, fault.CallerMustStay)
	if _, err := db.Store("acme"); err != nil {
		t.Errorf("while a writer has the turn: %v", err)
	}
	const late = 20
	refused := make(chan error, late)
	close(judge)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for range late {
		go func() {
			_, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
				return Commit{Put: everyTuple()[snap.Revision() : snap.Revision()+1]}, nil
			})
			refused <- err
		}()
	}
	last := <-outcome
	acknowledged := rel.Revision(1)
	for range late {
		if err := <-refused; err == nil {
			acknowledged++
		} else {
			wantFault(t, "a write behind the deletion", err, fault.StoreMustExist)
		}
	}
	if last.Revision != acknowledged {
		t.Errorf("%d writes were acknowledged, and the last state is %v", acknowledged, last)
	}
	if n := allKeys(t, db, s.number); n > 0 {
		t.Errorf("%d keys are left", n)
	}
}

// Who reads when a store is deleted reads all of it or is refused, and never reads
// that what was there is not.
func TestADeletedStoreIsNeverReadAsAnEmptyOne(t *testing.T) {
	db := opened(t, Config{}).db
	s := created(t, db, "acme")
	there := everyTuple()[:30]
	write(t, s, Commit{Put: there, Schema: &SchemaVersion{Number: 1, Text: "x"}, Request: &Request{ID: "r"}})
	reading, lazy := newestOf(t, s), newestOf(t, s)
	old := at(t, s, 0)
	defer old.Close()
	if !must(t)(reading.Has(there[0].Key)) {
		t.Fatal("it was not written")
	}
	heard := s.Published(1)
	deleted(t, db, "acme")
	if got := collect(t, reading.Tuples(rel.Filter{}, nil)); len(got) != len(there) {
		t.Errorf("who was reading reads %d tuples of %d", len(got), len(there))
	}
	for name, read := range map[string]func() error{
		"Has":     func() error { _, err := lazy.Has(there[0].Key); return err },
		"Stands":  func() error { _, err := lazy.Stands(there[0].Object); return err },
		"Object":  func() error { _, _, err := lazy.Object(there[0].Object, nil, 10); return err },
		"Request": func() error { _, _, err := lazy.Request("", "r"); return err },
		"Schema":  func() error { _, _, err := old.Schema(); return err },
		"Tuples": func() (last error) {
			for _, err := range lazy.Tuples(rel.Filter{}, nil) {
				last = err
			}
			return last
		},
		"Changes": func() (last error) {
			for _, err := range lazy.Changes(0) {
				last = err
			}
			return last
		},
		"Newest":                   func() error { _, err := s.Newest(); return err },
		"At":                       func() error { _, err := s.At(s.Head()); return err },
		"AsOf":                     func() error { _, err := s.AsOf(t.Context(), s.HeadTime()); return err },
		"AsOf before":              func() error { _, err := s.AsOf(t.Context(), s.HeadTime().Add(-time.Microsecond)); return err },
		"Parts":                    func() error { _, _, err := s.Parts(Position{}, 1000); return err },
		"Parts of what is to come": func() error { _, _, err := s.Parts(Position{Revision: 2}, 1000); return err },
		"Update": func() error {
			_, err := s.Update(t.Context(), func(*Snapshot) (Commit, error) { panic("judged") })
			return err
		},
		"DeleteExpired": func() error { _, _, err := s.DeleteExpired(t.Context()); return err },
		"Collect":       func() error { _, err := s.Collect(t.Context()); return err },
		"Verify":        func() error { _, err := s.Verify(t.Context()); return err },
		"a deletion":    func() error { _, err := db.DeleteStore(t.Context(), "acme"); return err },
	} {
		wantFault(t, name, read(), fault.StoreMustExist)
	}
	<-heard // who watched was woken
	<-s.Published(7)
}

// That a store is gone is not said before the disk has it, although Pebble shows it
// before: after a power cut it would be there again.
func TestADeletionIsNotShownBeforeItIsDurable(t *testing.T) {
	disk := newSlowLog()
	db := opened(t, onMem(disk)).db
	s := created(t, db, "acme")
	write(t, s, Commit{Put: everyTuple()[:3]})
	lazy := newestOf(t, s)
	disk.hold()
	done := make(chan error, 1)
	go func() {
		_, err := db.DeleteStore(context.Background(), "acme")
		done <- err
	}()
	<-disk.began
	if n := allKeys(t, db, s.number); n != 0 {
		t.Errorf("Pebble shows %d keys: the deletion has not come as far as its fsync", n)
	}
	asks := []func() error{
		func() error { _, err := s.Newest(); return err },
		func() error { _, err := lazy.Has(everyTuple()[0].Key); return err },
		func() error { _, err := db.CreateStore(context.Background(), "acme"); return err },
	}
	asking, answers := make(chan struct{}), make(chan error, len(asks))
	for _, ask := range asks {
		go func() { asking <- struct{}{}; answers <- ask() }()
	}
	for range asks {
		<-asking
	}
	for range 1000 { // who would not wait has answered by then
		runtime.Gosched()
	}
	select {
	case err := <-answers:
		t.Fatalf("answered %v while the fsync runs", err)
	case err := <-done:
		t.Fatalf("acknowledged %v while the fsync runs", err)
	default:
	}
	if !slices.Contains(storeNames(db), "acme") {
		t.Error("it is not listed any more while the fsync runs")
	}
	disk.held.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	refused := 0
	for range 3 {
		if err := <-answers; err != nil {
			wantFault(t, "who came while the fsync ran", err, fault.StoreMustExist)
			refused++
		}
	}
	if anew, err := db.Store("acme"); refused != 2 || err != nil || anew.number == s.number {
		t.Errorf("%d were refused; made anew: %v", refused, err)
	}
}

// What the disk did not confirm is neither there nor gone.
func TestADeletionThatTheDiskDoesNotConfirmIsNoAnswer(t *testing.T) {
	for _, name := range []rel.Store{"acme", rel.DefaultStore} {
		disk := newSlowLog()
		db := opened(t, onMem(disk)).db
		created(t, db, "acme")
		s, err := db.Store(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, Commit{Put: everyTuple()[:3]})
		heard := s.Published(1)
		disk.fails.Store(true)
		_, err = db.DeleteStore(t.Context(), name)
		wantFault(t, "the deletion", err, fault.DiskMustTakeWrites)
		_, err = s.Newest()
		wantFault(t, "a read after it", err, fault.DiskMustTakeWrites)
		<-heard
		_, _, err = s.Parts(Position{Revision: 2}, 1000)
		wantFault(t, "a watch", err, fault.DiskMustTakeWrites)
		_, err = db.CreateStore(t.Context(), "more")
		wantFault(t, "a creation after it", err, fault.DiskMustTakeWrites)
		if !slices.Contains(storeNames(db), name) || len(db.Stores()) != 2 {
			t.Errorf("there are %v", storeNames(db))
		}
		_ = db.Close() // says what failed
	}
	disk := newSlowLog()
	db := opened(t, onMem(disk)).db
	disk.fails.Store(true)
	_, err := db.CreateStore(t.Context(), "acme")
	wantFault(t, "a creation", err, fault.DiskMustTakeWrites)
	_, err = db.Store("acme")
	wantFault(t, "what was not confirmed", err, fault.StoreMustExist)
	_ = db.Close() // says what failed
}

// Stores with the same names for everything have nothing in common, and deleting one
// changes nothing in its neighbours.
func TestStoresOfTheSameNamesShareNothing(t *testing.T) {
	clock := newSteppingClock()
	cfg := onMem(vfs.NewMem())
	cfg.Clock, cfg.History = clock.Now, time.Minute
	db := opened(t, cfg).db
	var stores []*Store
	for _, name := range []rel.Store{"a", "b", "c"} {
		stores = append(stores, created(t, db, name))
	}
	same := tuple(t, "doc:p1#viewer@user:ana")
	gone := until(t, "doc:p1#viewer@user:bob", clock.Now().Add(time.Second))
	for i, s := range stores {
		c := Commit{Put: []rel.Tuple{same, gone}, Request: &Request{ID: "r", Body: RequestBody{byte(i)}}}
		c.Schema = &SchemaVersion{Number: 1, Text: fmt.Sprint("of store ", i)}
		write(t, s, c)
	}
	write(t, stores[0], Commit{Delete: []rel.Tuple{same}})
	clock.step(2 * time.Second)
	if n, _ := deleteExpired(t, stores[0]); n != 1 {
		t.Errorf("%d were deleted", n)
	}
	clock.step(time.Hour)
	if _, err := stores[0].Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleted(t, db, "b")
	s := stores[2]
	snap := newestOf(t, s)
	schema, _, err := snap.Schema()
	if err != nil || schema.Text != "of store 2" || s.Head().Revision != 1 || s.Floor() != 0 {
		t.Errorf("store c is at %v from %d on with %+v, %v", s.Head(), s.Floor(), schema, err)
	}
	if !must(t)(snap.Has(same.Key)) || stores[0].Floor() != 3 {
		t.Errorf("c has lost a tuple, or a was not collected: %d", stores[0].Floor())
	}
	if k, found, err := snap.Request("", "r"); err != nil || !found || k.Body[0] != 2 {
		t.Errorf("c knows the request as %+v, %t, %v", k, found, err)
	}
	if n := keys(t, s, kindExpiry); n != 1 {
		t.Errorf("c has %d expiries", n)
	}
	for _, s := range []*Store{stores[0], stores[2]} {
		inOrder(t, s)
	}
	reopened, err := db.Store("a")
	if err != nil || reopened != stores[0] {
		t.Errorf("store a: %v", err)
	}
}

// Whatever works beside requests ends with a store that is deleted under it, or has
// ended before, and leaves nothing behind.
func TestWorkBesideRequestsCopesWithADeletion(t *testing.T) {
	clock := newSteppingClock()
	cfg := onMem(vfs.NewMem())
	cfg.Clock, cfg.History = clock.Now, time.Minute
	db := opened(t, cfg).db
	for range 20 {
		s := created(t, db, "acme")
		for i := range 30 {
			c := Commit{Put: []rel.Tuple{until(t, fmt.Sprintf("doc:p%d#viewer@user:ana", i), clock.Now().Add(time.Second))}}
			c.Request = &Request{ID: nameOf(i)}
			write(t, s, c)
		}
		clock.step(time.Hour)
		work := []func() error{
			func() error { _, _, err := s.DeleteExpired(context.Background()); return err },
			func() error { _, err := s.Collect(context.Background()); return err },
			func() error {
				r, err := s.Verify(context.Background())
				if err == nil && !r.InOrder() {
					t.Errorf("not in order: %v", r.Problems[0])
				}
				return err
			},
			func() error {
				_, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
					has, err := snap.Has(tuple(t, "doc:q#viewer@user:ana").Key)
					if err != nil || has {
						return Commit{}, err
					}
					return Commit{Put: []rel.Tuple{tuple(t, "doc:q#viewer@user:ana")}}, nil
				})
				return err
			},
		}
		ended, gone := make(chan error, len(work)), make(chan struct{})
		for _, piece := range work {
			go func() {
				for isGone := false; ; {
					if err := piece(); err != nil {
						ended <- err
						return
					}
					if isGone {
						ended <- errors.New("not refused after the deletion")
						return
					}
					select {
					case <-gone:
						isGone = true
					default:
					}
				}
			}()
		}
		deleted(t, db, "acme")
		close(gone)
		for range work {
			wantFault(t, "work on a store that is deleted", <-ended, fault.StoreMustExist)
		}
		if n := allKeys(t, db, s.number); n > 0 {
			t.Fatalf("%d keys are left", n)
		}
	}
}

// What a deleted store took on the disk is given back.
func TestTheSpaceOfADeletedStoreIsGivenBack(t *testing.T) {
	db := opened(t, onMem(vfs.NewMem())).db
	kept, s := created(t, db, "kept"), created(t, db, "acme")
	all := everyTuple()[:1000]
	for i := range 4 {
		for _, s := range []*Store{kept, s} {
			c := Commit{Put: all}
			if i%2 == 1 {
				c = Commit{Delete: all}
			}
			write(t, s, c)
		}
	}
	size := func(s *Store) uint64 {
		from, to := storeBounds(s.number)
		n, err := db.pebble.EstimateDiskUsage(from, to)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := db.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	before, beside := size(s), size(kept)
	deleted(t, db, "acme")
	if err := db.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	from, to := storeBounds(s.number)
	if err := db.pebble.Compact(t.Context(), from, to, false); err != nil {
		t.Fatal(err)
	}
	if before == 0 || size(s) > before/10 {
		t.Errorf("%d bytes of %d are left", size(s), before)
	}
	if beside == 0 || size(kept) == 0 {
		t.Errorf("its neighbour had %d bytes and has %d", beside, size(kept))
	}
	inOrder(t, kept)
}

// Closing does not wait for who watches, whether the store is old or new.
func TestClosingWakesWatchersOfEveryStore(t *testing.T) {
	db := opened(t, Config{}).db
	s := created(t, db, "acme")
	heard := s.Published(0)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	<-heard
	_, err := db.CreateStore(t.Context(), "more")
	wantFault(t, "a creation after Close", err, fault.ServerMustBeServing)
	_, err = db.DeleteStore(t.Context(), "acme")
	wantFault(t, "a deletion after Close", err, fault.ServerMustBeServing)
}
