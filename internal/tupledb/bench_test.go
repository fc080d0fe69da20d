package tupledb

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

var tuplesFlag = flag.Int("tuples", 200_000, "how many tuples the benchmarks' store has")

// cpu reports the processor time of an operation, Pebble's background included:
// the figure to trust on a machine that others use too.
func cpu(b *testing.B) (report func()) {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

const tuplesPerDoc = 4

// benchTuple is the i-th tuple of the benchmarks' world: documents with four
// grants each, one of them to a team, ids like those of applications.
func benchTuple(i int) rel.Tuple { return grant(i, 50_000) }

func grant(i, users int) rel.Tuple {
	doc, grant := i/tuplesPerDoc, i%tuplesPerDoc
	o := rel.Trusted("doc", benchID(uint64(doc)))
	if grant == 0 {
		return rel.Tuple{Key: rel.Key{Object: o, Relation: "viewer", Subject: rel.Userset(rel.Trusted("team", benchID(uint64(doc%1000)+1<<40)), "member")}}
	}
	user := rel.Trusted("user", benchID(uint64(i*7%users)+1<<41))
	return rel.Tuple{Key: rel.Key{Object: o, Relation: []rel.Name{"viewer", "editor", "owner"}[grant-1], Subject: rel.Of(user)}}
}

// benchID is a random-looking UUID, the same for the same number.
func benchID(n uint64) string {
	r := rand.New(rand.NewPCG(n, 1))
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xffff, r.Uint32()&0xffff, r.Uint64()&0xffffffffffff)
}

// benchStore is settled in tables that its cache holds.
func benchStore(b *testing.B) *Store {
	s := opened(b, Config{Dir: b.TempDir(), CacheBytes: 512 << 20})
	var c Commit
	for i := range *tuplesFlag {
		c.Put = append(c.Put, benchTuple(i))
		if len(c.Put) == 10_000 || i == *tuplesFlag-1 {
			write(b, s, c)
			c.Put = c.Put[:0]
		}
	}
	settled(b, s)
	return s
}

// BenchmarkReads times the reads of a walk on settled tables in the block
// cache, on a snapshot that stays open.
func BenchmarkReads(b *testing.B) {
	s := benchStore(b)
	snap := newest(b, s)
	defer snap.Close()
	picks := make([]rel.Tuple, 1<<14)
	absent := make([]rel.Tuple, len(picks))
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range picks {
		picks[i] = benchTuple(rng.IntN(*tuplesFlag))
		absent[i] = picks[i]
		absent[i].Subject = rel.Of(rel.Trusted("user", benchID(rng.Uint64())))
	}
	run := func(name string, read func(i int) (int, error), want int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			reads := snap.Reads()
			i := 0
			for b.Loop() {
				got, err := read(i & (len(picks) - 1))
				if err != nil || got != want {
					b.Fatalf("%d, %v; want %d", got, err, want)
				}
				i++
			}
			b.ReportMetric(float64(snap.Reads()-reads)/float64(b.N), "reads/op")
		})
	}
	has := func(t rel.Tuple) (int, error) {
		ok, err := snap.Has(t.Key)
		if ok {
			return 1, err
		}
		return 0, err
	}
	run("Has/there", func(i int) (int, error) { return has(picks[i]) }, 1)
	run("Has/absent", func(i int) (int, error) { return has(absent[i]) }, 0)
	var buf []rel.Tuple
	run("Object/4tuples", func(i int) (int, error) {
		var err error
		buf, _, err = snap.Object(picks[i].Object, buf, 100)
		return len(buf), err
	}, 4)
	run("Object/none", func(i int) (int, error) {
		o := rel.Trusted("doc", absent[i].Subject.ID())
		tuples, _, err := snap.Object(o, buf, 100)
		return len(tuples), err
	}, 0)
	run("Usersets/1", func(i int) (n int, err error) {
		for _, err = range snap.Usersets(picks[i].Object, "viewer") {
			n++
		}
		return n, err
	}, 1)
	run("Objects/first", func(i int) (n int, err error) {
		for _, err = range snap.Objects(picks[i].Subject, "doc", picks[i].Relation, rel.IDs{}) {
			n++
			break
		}
		return n, err
	}, 1)
}

// BenchmarkSnapshot times what a request pays before its first read and for
// it: opening, one probe, closing.
func BenchmarkSnapshot(b *testing.B) {
	s := benchStore(b)
	picks := make([]rel.Tuple, 1<<14)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range picks {
		picks[i] = benchTuple(rng.IntN(*tuplesFlag))
	}
	for _, probes := range []int{0, 1, 10} {
		b.Run(fmt.Sprintf("probes=%d", probes), func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			i := 0
			for b.Loop() {
				snap, err := s.Newest()
				if err != nil {
					b.Fatal(err)
				}
				for range probes {
					if has, err := snap.Has(picks[i&(len(picks)-1)].Key); err != nil || !has {
						b.Fatalf("%t, %v", has, err)
					}
					i++
				}
				snap.Close()
			}
		})
	}
}

// BenchmarkUpdate times one durable write of one tuple, judged by one probe, on the
// disk of the temporary directory, and in memory; and beside it Pebble alone, which
// is handed the same batches and judges nothing, orders nothing and publishes nothing.
func BenchmarkUpdate(b *testing.B) {
	for _, where := range []string{"disk", "memory"} {
		for _, writers := range []int{1, 32} {
			for _, who := range []string{"pemba", "pebble"} {
				b.Run(fmt.Sprintf("%s/writers=%d/%s", where, writers, who), func(b *testing.B) {
					cfg := Config{}
					if where == "disk" {
						cfg.Dir = b.TempDir()
					}
					s := opened(b, cfg)
					var next atomic.Int64
					write := func() error { return judgedWrite(b, s, benchTuple(int(next.Add(1)))) }
					if who == "pebble" {
						write = func() error { n := next.Add(1); return bareWrite(s, benchTuple(int(n)), rel.Revision(n)) }
					}
					b.ReportAllocs()
					defer cpu(b)()
					byWriters(b, writers, write)
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
				})
			}
		}
	}
}

// byWriters has so many goroutines write, b.N times together.
func byWriters(b *testing.B, writers int, write func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := write(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func judgedWrite(b *testing.B, s *Store, t rel.Tuple) error {
	put := []rel.Tuple{t}
	_, err := s.Update(context.Background(), func(snap *Snapshot) (Commit, error) {
		has, err := snap.Has(t.Key)
		if has {
			b.Error("there before it was written")
		}
		return Commit{Put: put}, err
	})
	return err
}

// bareWrite is what a write of one tuple puts into Pebble, and no more.
func bareWrite(s *Store, t rel.Tuple, r rel.Revision) error {
	batch := s.db.pebble.NewBatch()
	if err := s.fill(batch, &Commit{Put: []rel.Tuple{t}}, &head{revision: r, micros: int64(r)}); err != nil {
		return err
	}
	if err := s.db.pebble.Apply(batch, pebble.Sync); err != nil {
		return err
	}
	return batch.Close()
}

// BenchmarkOldRevision times reads at the first revision of tuples that were
// each rewritten twenty times since.
func BenchmarkOldRevision(b *testing.B) {
	s := opened(b, Config{})
	var c Commit
	for i := range 4000 {
		c.Put = append(c.Put, benchTuple(i))
	}
	write(b, s, c)
	for range 20 {
		write(b, s, Commit{Delete: c.Put})
		write(b, s, Commit{Put: c.Put})
	}
	settled(b, s)
	for _, r := range []rel.Revision{1, s.Head().Revision} {
		b.Run(fmt.Sprintf("revision=%d", r), func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			snap := at(b, s, r)
			defer snap.Close()
			var buf []rel.Tuple
			i := 0
			for b.Loop() {
				var err error
				if buf, _, err = snap.Object(c.Put[i%len(c.Put)].Object, buf, 100); err != nil || len(buf) != tuplesPerDoc {
					b.Fatal(len(buf), err)
				}
				i += tuplesPerDoc
			}
			b.ReportMetric(float64(snap.Reads())/float64(b.N), "reads/op")
		})
	}
}

// TestBytesPerTuple bounds what a tuple takes on the disk when a store is settled and
// was written at once: in both indexes, which is all that an imported tuple has, and
// in the log. It counts bytes, so it fails on any machine alike. Ids are random, and
// no compression takes less than their bytes: in the first world 20 in the forward
// index and 17 in the reverse one, in the second 24 and 17.
func TestBytesPerTuple(t *testing.T) {
	const n = 50_000
	for _, world := range []struct {
		name         string
		tuples       []rel.Tuple
		indexes, log float64
	}{
		{"four grants a document", grants(n, n/20), 43, 8},
		{"workspace", workspaceTuples(n), 49, 15},
	} {
		s := opened(t, Config{})
		write(t, s, Commit{Put: world.tuples})
		bytes := func() float64 {
			settled(t, s)
			return float64(s.db.pebble.Metrics().Total().TablesSize) / float64(len(world.tuples))
		}
		whole := bytes()
		if err := s.db.pebble.Delete(appendChangeKey(nil, s.number, 1), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		indexes := bytes()
		log := whole - indexes
		t.Logf("%s: %.1f bytes a tuple in both indexes, and %.1f in the log", world.name, indexes, log)
		if indexes > world.indexes || log > world.log {
			t.Errorf("%s: %.1f bytes a tuple in both indexes, and %.1f in the log; at most %.1f and %.1f", world.name, indexes, log, world.indexes, world.log)
		}
	}
}

// grants are tuples of the benchmarks' world, with so many users.
func grants(n, users int) []rel.Tuple {
	all := make([]rel.Tuple, n)
	for i := range all {
		all[i] = grant(i, users)
	}
	return all
}
