package service_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

var tuplesFlag = flag.Int("tuples", 100_000, "how many tuples the benchmarks of imports import")

// BenchmarkImport imports -tuples tuples into an empty store on the disk of the
// temporary directory, in messages of ten thousand, judged and published, once for
// each N; and closes the database, which waits for the compactions that run:
//
//	go test ./internal/service -run - -bench Import -benchtime 1x -args -tuples 1000000
//
// The processor time is the figure to trust: of 10 us a tuple two cores make 200,000
// a second.
func BenchmarkImport(b *testing.B) {
	messages := benchMessages(*tuplesFlag)
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	before := spent()
	for b.Loop() {
		db, err := tupledb.Open(tupledb.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		s := service.New(service.Config{DB: db})
		if _, err := s.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: drive}); err != nil {
			b.Fatal(err)
		}
		next := 0
		answer, err := s.ImportTuples(context.Background(), service.ImportCommand{Store: rel.DefaultStore, ID: "bench"}, func() (service.ImportMessage, error) {
			if next++; next > len(messages) {
				return service.ImportMessage{}, io.EOF
			}
			return messages[next-1], nil
		})
		if err != nil || !answer.Finished || answer.Loaded != uint64(*tuplesFlag) {
			b.Fatalf("answered %+v, %v", answer, err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	all := float64(*tuplesFlag) * float64(b.N)
	b.ReportMetric(float64((spent()-before).Microseconds())/all, "cpu-us/tuple")
	b.ReportMetric(all/b.Elapsed().Seconds(), "tuples/s")
}

// benchMessages are documents with four grants each, one of them to a team, with ids
// like those of applications, in the order in which they were made.
func benchMessages(n int) []service.ImportMessage {
	rng := rand.New(rand.NewPCG(1, 1))
	id := func() string {
		return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", rng.Uint32(), rng.Uint32()&0xffff, rng.Uint32()&0xffff, rng.Uint32()&0xffff, rng.Uint64()&0xffffffffffff)
	}
	ids := func(n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = id()
		}
		return all
	}
	users, teams := ids(50_000), ids(1_000)
	var messages []service.ImportMessage
	var m service.ImportMessage
	doc := rel.Object{}
	for i := range n {
		var t rel.Tuple
		switch i % 4 {
		case 0:
			doc = rel.Trusted("doc", id())
			team := rel.Trusted("team", teams[rng.IntN(len(teams))])
			t.Key = rel.Key{Object: doc, Relation: "viewer", Subject: rel.Userset(team, "member")}
		default:
			user := rel.Trusted("user", users[rng.IntN(len(users))])
			t.Key = rel.Key{Object: doc, Relation: []rel.Name{"viewer", "editor"}[i%2], Subject: rel.Of(user)}
		}
		m.Tuples = append(m.Tuples, t)
		if len(m.Tuples) == 10_000 || i == n-1 {
			m.Finish = i == n-1
			messages = append(messages, m)
			m = service.ImportMessage{Offset: uint64(i + 1)}
		}
	}
	return messages
}
