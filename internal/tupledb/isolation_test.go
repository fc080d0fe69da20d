package tupledb

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/rel"
)

// A readsLog is told of every key that is sought or found.
type readsLog struct {
	mu   sync.Mutex
	keys [][]byte
}

func (l *readsLog) read(key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, bytes.Clone(key))
}

// during is what is read while something runs: how often of a store, and which keys
// of others.
func (l *readsLog) during(n storeNumber, run func()) (own int, foreign [][]byte) {
	l.keys = nil
	run()
	for _, key := range l.keys {
		if len(key) > kindAt && storeNumber(binary.BigEndian.Uint32(key)) == n {
			own++
		} else {
			foreign = append(foreign, key)
		}
	}
	return own, foreign
}

// neighbours are three stores beside each other with the same names in them, of which
// the middle one is asked, and who sees every read.
func neighbours(t *testing.T) (stores []*Store, log *readsLog, clock *steppingClock) {
	log, clock = &readsLog{}, newSteppingClock()
	cfg := onMem(vfs.NewMem())
	cfg.Reads, cfg.Clock, cfg.History = log.read, clock.Now, time.Hour
	db := opened(t, cfg).db
	all := everyTuple()
	for _, name := range []rel.Store{"a", "b", "c"} {
		s := created(t, db, name)
		stores = append(stores, s)
		for i := range 4 {
			c := Commit{Put: slices.Clone(all[i*50 : i*50+50]), Request: &Request{ID: nameOf(i)}}
			c.Put = append(c.Put, until(t, fmt.Sprintf("doc:e%d#viewer@user:ana", i), clock.Now().Add(time.Minute)))
			c.Schema = &SchemaVersion{Number: uint64(i + 1), Text: fmt.Sprint("schema ", i)}
			write(t, s, c)
			write(t, s, Commit{Delete: c.Put[:10]})
		}
	}
	return stores, log, clock
}

// everyRead asks a store everything that can be asked of one, beginning with what
// changes nothing.
func everyRead(t *testing.T, s *Store, clock *steppingClock) map[string]func() {
	u := everyTuple()[30]
	ctx := context.Background()
	snap := func(read func(*Snapshot)) func() {
		return func() {
			for _, r := range []rel.Revision{s.Head().Revision, 3} {
				snap := at(t, s, r)
				read(snap)
				snap.Close()
			}
		}
	}
	reads := map[string]func(){
		"Find":         snap(func(x *Snapshot) { must(t)(x.Has(u.Key)) }),
		"Find nothing": snap(func(x *Snapshot) { must(t)(x.Has(tuple(t, "zzz:z#zzz@zzz:z").Key)) }),
		"Object":       snap(func(x *Snapshot) { _, _, _ = x.Object(u.Object, nil, 100) }),
		"Stands":       snap(func(x *Snapshot) { must(t)(x.Stands(u.Object)) }),
		"Usersets":     snap(func(x *Snapshot) { collect(t, x.Usersets(u.Object, u.Relation)) }),
		"Subjects":     snap(func(x *Snapshot) { collect(t, x.Subjects(u.Object, u.Relation)) }),
		"Objects":      snap(func(x *Snapshot) { collect(t, x.Objects(u.Subject, u.Object.Type(), u.Relation, rel.IDs{})) }),
		"SubjectsOf":   snap(func(x *Snapshot) { collect(t, x.SubjectsOf(u.Object, u.Relation, u.Subject.Type(), rel.IDs{})) }),
		"Request":      snap(func(x *Snapshot) { _, _, _ = x.Request("", nameOf(1)) }),
		"Changes":      snap(func(x *Snapshot) { collect(t, x.Changes(2)) }),
		"Schema":       func() { x := at(t, s, 2); defer x.Close(); _, _, _ = x.Schema() },
		// A scan to the end of the last kind that it reads is the one that would run
		// into the next store.
		"all tuples":     snap(func(x *Snapshot) { collect(t, x.Tuples(rel.Filter{}, nil)) }),
		"all in reverse": snap(func(x *Snapshot) { collect(t, x.Tuples(rel.Filter{SubjectType: u.Subject.Type()}, nil)) }),
		"after a cursor": snap(func(x *Snapshot) { collect(t, x.Tuples(rel.Filter{}, CursorAfter(rel.Filter{}, u))) }),
		"the log":        func() { collect(t, s.Changes(0)) },
		"parts":          func() { _, _, _ = s.Parts(Position{}, 1<<20) },
		"a time":         func() { x, err := s.AsOf(ctx, s.HeadTime().Add(-time.Microsecond)); mustClose(t, x, err) },
		"Verify":         func() { inOrder(t, s) },
		"a write": func() {
			_, err := s.Update(ctx, func(x *Snapshot) (Commit, error) {
				has, err := x.Has(u.Key)
				if err != nil || !has {
					t.Errorf("%v was not there: %v", u, err)
				}
				return Commit{Delete: []rel.Tuple{u}, Request: &Request{ID: "new"}}, nil
			})
			if err != nil {
				t.Error(err)
			}
		},
		"expired": func() {
			clock.step(2 * time.Minute)
			if n, _ := deleteExpired(t, s); n == 0 {
				t.Error("nothing had expired")
			}
		},
		"requests that are over": func() {
			clock.step(2 * requestKept)
			write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:late#viewer@user:ana")}, Request: &Request{ID: "late"}})
		},
		"Collect": func() {
			if _, err := s.Collect(ctx); err != nil || s.Floor() == 0 {
				t.Errorf("nothing was collected: %v", err)
			}
		},
	}
	return reads
}

// inTurn are the names of the reads, those last that change the store.
func inTurn(reads map[string]func()) []string {
	last := []string{"a write", "expired", "requests that are over", "Collect"}
	var names []string
	for name := range reads {
		if !slices.Contains(last, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return append(names, last...)
}

func mustClose(t *testing.T, x *Snapshot, err error) {
	if err != nil {
		t.Error(err)
		return
	}
	x.Close()
}

// Whatever is asked of a store, no key outside it is sought or found.
func TestNoReadLeavesItsStore(t *testing.T) {
	stores, log, clock := neighbours(t)
	reads := everyRead(t, stores[1], clock)
	for _, name := range inTurn(reads) {
		own, foreign := log.during(stores[1].number, reads[name])
		if own == 0 {
			t.Errorf("%s: nothing was read", name)
		}
		for _, key := range foreign {
			t.Errorf("%s: read %v", name, keyText(key))
		}
	}
	if own, foreign := log.during(stores[1].number, func() { deleted(t, stores[1].db, "b") }); own+len(foreign) > 0 {
		t.Errorf("a deletion reads %d keys and %d of others", own, len(foreign))
	}
}

// The test above would see it if a read left its store: reads of another store are
// seen, each of them, and so is a step over the border.
func TestAReadThatLeavesItsStoreIsSeen(t *testing.T) {
	stores, log, clock := neighbours(t)
	reads := everyRead(t, stores[2], clock)
	for _, name := range inTurn(reads) {
		if _, foreign := log.during(stores[1].number, reads[name]); len(foreign) == 0 {
			t.Errorf("%s of another store is not seen", name)
		}
	}
	for name, leave := range map[string]func(it iterator) bool{
		"a step":      func(it iterator) bool { return it.Last() && it.Next() },
		"a step back": func(it iterator) bool { return it.First() && it.Prev() },
		"over all prefixes": func(it iterator) bool {
			for it.Last(); it.NextPrefix(); {
				return true
			}
			return false
		},
		"a seek": func(it iterator) bool { return it.SeekGE(appendKind(nil, stores[2].number, 'c')) },
	} {
		from, to := storeBounds(stores[1].number)
		bound, err := stores[1].iterator()
		if err != nil {
			t.Fatal(err)
		}
		if _, foreign := log.during(stores[1].number, func() {
			if leave(bound) {
				t.Errorf("%s left the store", name)
			}
		}); name == "a seek" && len(foreign) == 0 {
			t.Errorf("%s out of the bounds is not seen", name)
		}
		_ = bound.Close()
		// The planted one: bounds that are another store's, too.
		wide := stores[1].readOptions
		wide.LowerBound, _ = storeBounds(stores[0].number)
		_, wide.UpperBound = storeBounds(stores[2].number)
		free, err := stores[1].db.openIterator(&wide)
		if err != nil {
			t.Fatal(err)
		}
		_, foreign := log.during(stores[1].number, func() {
			switch name {
			case "a step":
				free.SeekGE(to)
			case "a step back":
				free.SeekGE(from)
				free.Prev()
			default:
				leave(free)
			}
		})
		if len(foreign) == 0 {
			t.Errorf("%s over the border is not seen", name)
		}
		_ = free.Close()
	}
}

// Ten thousand stores are looked after twice a second: one in which nothing happens is
// collected without a read, until time makes something of it past the history.
func TestCollectingAStoreWhereNothingHappensReadsNothing(t *testing.T) {
	stores, log, clock := neighbours(t)
	s := stores[1]
	collect := func() int {
		own, _ := log.during(s.number, func() {
			if _, err := s.Collect(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
		return own
	}
	for _, floor := range []rel.Revision{0, s.Head().Revision} {
		collect()
		if again := collect(); again > 0 || s.Floor() != floor {
			t.Errorf("collected up to %d, and %d reads find nothing new", s.Floor(), again)
		}
		clock.step(2 * time.Hour)
	}
	write(t, s, Commit{Put: []rel.Tuple{tuple(t, "doc:late#viewer@user:ana")}})
	clock.step(2 * time.Hour)
	if collect() == 0 || s.Floor() != s.Head().Revision {
		t.Errorf("what was written since is not collected: from %d on", s.Floor())
	}
}

// A key of another store is not even asked for.
func TestAStoreDoesNotAskForAnothersKeys(t *testing.T) {
	stores, _, _ := neighbours(t)
	for name, ask := range map[string]func(n storeNumber){
		"get": func(n storeNumber) { _, _, _ = stores[1].get(appendFloorKey(nil, n)) },
		"iteratorOver": func(n storeNumber) {
			_, _ = stores[1].iteratorOver(appendChangeKey(nil, n, 0), appendKindEnd(nil, n, kindChange))
		},
	} {
		for _, other := range []*Store{stores[0], stores[2]} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s of store %d was asked for by store 2", name, other.number)
					}
				}()
				ask(other.number)
			}()
		}
	}
}

// Keys are read in iterator.go and nowhere else, so what holds there holds for all.
func TestOnePlaceOpensIterators(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	opens := []string{"NewIter", "NewIterWithContext", "NewSnapshot", "NewEventuallyFileOnlySnapshot", "NewIndexedBatch", "Clone", "Get", "ScanInternal"}
	seen := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(opens, call.Sel.Name) {
				return true
			}
			of, ok := call.X.(*ast.SelectorExpr) // something.pebble.NewIter, and not maps.Clone
			if !ok || of.Sel.Name != "pebble" {
				return true
			}
			if seen++; path != "iterator.go" {
				t.Errorf("%v reads past the iterator", files.Position(call.Pos()))
			}
			return true
		})
	}
	if seen < 3 {
		t.Errorf("only %d readings were found", seen)
	}
}
