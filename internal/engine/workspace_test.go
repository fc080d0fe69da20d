package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

var tuplesFlag = flag.Int("tuples", 100_000, "how many tuples the benchmark's workspaces have")

const workspaceSchema = `
use roles
definition user {}
definition team { relation member: user | team#member }
definition organization { roles { member: user; admin: user } }
definition workspace {
  relation organization: organization
  roles { viewer: user; editor: user | team#member = organization->admin }
}
definition project {
  relation workspace: workspace
  roles { viewer: user | user:* | team#member; editor: user | team#member; inherit from workspace }
}
definition document {
  relation project: project
  relation restricted: user
  roles except restricted { viewer: user; editor: user; inherit from project }
  permission view = viewer
}`

// A workspaces is a world of organizations of forty users, with teams nested three
// deep, projects shared with teams and users, and documents in them; every id is a
// UUID. It remembers who may see some of the documents, and who may not.
type workspaces struct {
	rng     *rand.Rand
	tuples  []rel.Tuple
	asked   [2][]question // denied, granted
	foreign rel.Subject   // of another organization
}

type question struct {
	document rel.Object
	user     rel.Principal
}

func (w *workspaces) object(typ rel.ObjectType) rel.Object {
	r := w.rng.Uint64()
	return rel.Trusted(typ, fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", w.rng.Uint32(), r>>48, r>>36&0xfff, r>>24&0xfff, w.rng.Uint64()&0xffffffffffff))
}

func (w *workspaces) put(o rel.Object, relation rel.Name, subjects ...rel.Subject) {
	for _, s := range subjects {
		w.tuples = append(w.tuples, rel.Tuple{Key: rel.Key{Object: o, Relation: relation, Subject: s}})
	}
}

func (w *workspaces) organization(b *testing.B) {
	o := w.object("organization")
	var users []rel.Subject
	for range 40 {
		users = append(users, rel.Of(w.object("user")))
	}
	w.put(o, "admin", users[0])
	w.put(o, "member", users[1:]...)
	for at := 0; at < 40; at += 10 { // a workspace's team is of its ten users
		space, outer, middle, inner := w.object("workspace"), w.object("team"), w.object("team"), w.object("team")
		w.put(space, "organization", rel.Of(o))
		w.put(outer, "member", rel.Userset(middle, "member"))
		w.put(middle, "member", rel.Userset(inner, "member"))
		w.put(inner, "member", users[at:at+10]...)
		for range 10 {
			p := w.object("project")
			w.put(p, "workspace", rel.Of(space))
			w.put(p, "editor", rel.Userset(outer, "member"))
			w.put(p, "viewer", users[w.rng.IntN(40)])
			for range 25 {
				d := w.object("document")
				w.put(d, "project", rel.Of(p))
				if w.rng.IntN(2) == 0 {
					w.put(d, "viewer", users[w.rng.IntN(40)])
				}
				if !w.foreign.IsZero() && w.rng.IntN(4) == 0 {
					w.ask(b, d, w.foreign, 0)
					w.ask(b, d, users[at+w.rng.IntN(10)], 1)
				}
			}
		}
	}
	w.foreign = users[1]
}

func (w *workspaces) ask(b *testing.B, d rel.Object, s rel.Subject, granted int) {
	p, err := rel.ParsePrincipal(s.String())
	if err != nil {
		b.Fatal(err)
	}
	w.asked[granted] = append(w.asked[granted], question{d, p})
}

// BenchmarkCheckInWorkspaces times checks on a store on the disk that is as large as
// is asked for, without a cache of pemba's own: half are granted through three teams
// mostly, half are denied.
func BenchmarkCheckInWorkspaces(b *testing.B) {
	w, compiled, store := openWorkspaces(b)
	for granted, name := range []string{"denied", "granted"} {
		b.Run(name, func(b *testing.B) {
			var cost engine.Cost
			i := 0
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				q := w.asked[granted][i*7919%len(w.asked[granted])]
				snap, err := store.Newest()
				if err != nil {
					b.Fatal(err)
				}
				walk := engine.NewWalk(engine.Question{Schema: compiled, Reader: snap, Principal: q.user})
				got, err := walk.Check(context.Background(), q.document, "view")
				if err != nil || (got.Result == engine.Granted) != (granted == 1) {
					b.Fatalf("%v of %v = %v, %v", q.user, q.document, got.Result, err)
				}
				snap.Close()
				cost.Reads += got.Cost.Reads
				i++
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(cost.Reads)/float64(b.N), "reads/op")
		})
	}
}

// openWorkspaces puts workspaces into a store on the disk.
func openWorkspaces(b *testing.B) (*workspaces, *schema.Schema, *tupledb.Store) {
	w := &workspaces{rng: rand.New(rand.NewPCG(1, 1))}
	for len(w.tuples) < *tuplesFlag || len(w.asked[0]) == 0 {
		w.organization(b)
	}
	compiled, faults := schema.Compile(workspaceSchema)
	if compiled == nil {
		b.Fatal(faults)
	}
	db, err := tupledb.Open(tupledb.Config{Dir: b.TempDir(), CacheBytes: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < len(w.tuples); at += 10_000 {
		c := tupledb.Commit{Put: w.tuples[at:min(at+10_000, len(w.tuples))]}
		if _, err := store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) { return c, nil }); err != nil {
			b.Fatal(err)
		}
	}
	return w, compiled, store
}

// processorTime is what the process has used so far: the figure to trust on a machine
// that others use too.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
