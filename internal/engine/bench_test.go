package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// BenchmarkCheck times one check in process, without a cache of pemba's own. The
// shapes are what decides the cost: how far the grant is, and whether the answer
// is yes. "No" is the honest case, because nothing can stop early.
func BenchmarkCheck(b *testing.B) {
	const folders = 1000
	var tuples []string
	for i := range folders {
		tuples = append(tuples,
			fmt.Sprintf("folder:f%d#org@org:o%d", i, i%10),
			fmt.Sprintf("folder:f%d#viewer@user:direct%d", i, i),
			fmt.Sprintf("folder:f%d#editor@team:a%d#member", i, i%100),
		)
		if i > 0 {
			tuples = append(tuples, fmt.Sprintf("folder:f%d#parent@folder:f%d", i, i/10))
		}
	}
	for i := range 100 {
		tuples = append(tuples,
			fmt.Sprintf("team:a%d#member@team:b%d#member", i, i%10),
			fmt.Sprintf("team:b%d#member@team:c#member", i%10),
		)
	}
	tuples = append(tuples, "team:c#member@user:deep")
	for i := range 10 {
		tuples = append(tuples, fmt.Sprintf("org:o%d#member@user:insider", i))
	}
	seen := make(map[string]bool)
	unique := tuples[:0]
	for _, t := range tuples {
		if !seen[t] {
			seen[t] = true
			unique = append(unique, t)
		}
	}
	w := newWorld(b, drive, unique...)
	for _, shape := range []struct {
		name, principal string
		want            engine.Result
	}{
		{"direct", "user:direct%d", engine.Granted},
		{"organization", "user:insider", engine.Granted},
		{"three teams deep", "user:deep", engine.Granted},
		{"nothing", "user:nobody", engine.Denied},
	} {
		b.Run(shape.name, func(b *testing.B) {
			objects := make([]rel.Object, folders)
			principals := make([]rel.Principal, folders)
			for i := range folders {
				objects[i] = object(b, fmt.Sprintf("folder:f%d", i))
				name := shape.principal
				if name == "user:direct%d" {
					name = fmt.Sprintf(name, i)
				}
				p, err := rel.ParsePrincipal(name)
				if err != nil {
					b.Fatal(err)
				}
				principals[i] = p
			}
			var cost engine.Cost
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				snap, err := w.store.Newest()
				if err != nil {
					b.Fatal(err)
				}
				walk := engine.NewWalk(engine.Question{Schema: w.schema, Reader: snap, Principal: principals[i%folders]})
				got, err := walk.Check(context.Background(), objects[i%folders], "view")
				if err != nil || got.Result != shape.want {
					b.Fatalf("%v = %v, %v; want %v", objects[i%folders], got.Result, err, shape.want)
				}
				snap.Close()
				cost.Reads += got.Cost.Reads
				cost.Pairs += got.Cost.Pairs
				i++
			}
			b.ReportMetric(float64(cost.Reads)/float64(b.N), "reads/op")
			b.ReportMetric(float64(cost.Pairs)/float64(b.N), "pairs/op")
		})
	}
}
