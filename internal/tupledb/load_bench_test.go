package tupledb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/rel"
)

// BenchmarkLoad loads -tuples tuples in bulk, once for each N, on the disk of the
// temporary directory, in an order that neither index has, then in the forward
// index's, as an export comes:
//
//	go test ./internal/tupledb -run - -bench Load -benchtime 1x -args -tuples 1000000
//
// The processor time is that of the load and of every compaction after it, until
// all is in the last level.
func BenchmarkLoad(b *testing.B) {
	tuples := benchTuples(*tuplesFlag)
	for _, order := range []string{"shuffled", "sorted"} {
		b.Run(fmt.Sprintf("%s/tuples=%d", order, len(tuples)), func(b *testing.B) {
			in := inOrderOf(order, tuples)
			b.ReportAllocs()
			report := cpu(b)
			var size int64
			for b.Loop() {
				s := opened(b, Config{Dir: b.TempDir(), CacheBytes: 512 << 20})
				load(b, s, "bench", in)
				b.StopTimer()
				if head := s.Head().Revision; head != 1 {
					b.Fatalf("at revision %d", head)
				}
				settled(b, s)
				size = s.db.pebble.Metrics().Total().TablesSize
				b.StartTimer()
			}
			report()
			each := float64(len(in))
			b.ReportMetric(each*float64(b.N)/b.Elapsed().Seconds(), "tuples/s")
			b.ReportMetric(float64(size)/each, "bytes/tuple")
		})
	}
}

// load loads tuples in bulk, and publishes them without judging anything.
func load(t testing.TB, s *Store, id rel.ImportID, tuples []rel.Tuple) rel.Revision {
	t.Helper()
	l := begun(t, s, id)
	c := l.NewChunk()
	for _, u := range tuples {
		c.Add(u)
		if c.IsFull() {
			taken(t, l, c)
		}
	}
	taken(t, l, c)
	token, err := l.Finish(context.Background(), nil, func(*Snapshot) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return token.Revision
}

// begun begins a load, or goes on with it.
func begun(t testing.TB, s *Store, id rel.ImportID) *Load {
	t.Helper()
	l, err := s.BeginLoad(context.Background(), id, func(*Snapshot) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if l == nil {
		t.Fatal("the store has tuples")
	}
	return l
}

// taken writes a chunk, and begins it anew.
func taken(t testing.TB, l *Load, c *Chunk) {
	t.Helper()
	if err := l.Write(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	c.Restart(l.Loaded())
}

func inOrderOf(order string, tuples []rel.Tuple) []rel.Tuple {
	in := slices.Clone(tuples)
	if order == "sorted" {
		slices.SortFunc(in, byForwardKey)
	} else {
		rand.New(rand.NewPCG(3, 3)).Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
	}
	return in
}

func benchTuples(n int) []rel.Tuple {
	all := make([]rel.Tuple, n)
	for i := range all {
		all[i] = benchTuple(i)
	}
	return all
}
