package service

import (
	"context"
	"fmt"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

func openStore(t *testing.T, tuples int) (*tupledb.DB, *tupledb.Store) {
	t.Helper()
	db, err := tupledb.Open(tupledb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	var c tupledb.Commit
	for i := range tuples {
		tuple, err := rel.ParseTuple(fmt.Sprintf("doc:d%d#viewer@user:u%d", i, i))
		if err != nil {
			t.Fatal(err)
		}
		c.Put = append(c.Put, tuple)
	}
	if _, err := store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) { return c, nil }); err != nil {
		t.Fatal(err)
	}
	return db, store
}

// A scan that yields nothing asks nobody whether to go on, unless it is bound:
// all other writers would wait for it.
func TestJudgingEndsAScanThatSelectsNothing(t *testing.T) {
	db, store := openStore(t, 10_000)
	s := New(Config{DB: db, JudgingReadsMax: 500})
	snap, err := store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	s.boundJudging(context.Background(), snap)
	var last error
	for _, err := range snap.Tuples(rel.Filter{ObjectType: "doc", Relation: "editor"}, nil) {
		last = err
	}
	if !fault.Is(last, fault.JudgingMustStayWithinBudget) || snap.Reads() > 500+readsBetweenLooks {
		t.Errorf("after %d reads: %v", snap.Reads(), last)
	}
}

// The caller's own deadline and the server's are told apart: more time helps in
// one case alone.
func TestAQuestionsTimeIsBoundedForCallersWithoutADeadline(t *testing.T) {
	db, _ := openStore(t, 2*readsBetweenLooks)
	s := New(Config{DB: db, TimeMax: 1})
	query := CheckQuery{Store: rel.DefaultStore}
	if _, err := s.WriteSchema(context.Background(), WriteSchemaCommand{
		Store: rel.DefaultStore, Text: "definition user {}\ndefinition doc { relation viewer: user }",
	}); err != nil {
		t.Fatal(err)
	}
	object, err := rel.ParseObject("doc:d")
	if err != nil {
		t.Fatal(err)
	}
	principal, err := rel.ParsePrincipal("user:u")
	if err != nil {
		t.Fatal(err)
	}
	query.Item = CheckItem{Object: object, Name: "viewer", Principal: principal}
	if answer, err := s.Check(context.Background(), query); !fault.Is(err, fault.WalkMustStayWithinBudget) || answer.Result != engine.Denied {
		t.Errorf("%v, %v", answer.Result, err)
	}
	for _, count := range []bool{false, true} {
		answer, err := s.ReadTuples(context.Background(), ReadQuery{Store: rel.DefaultStore, CountOnly: count, PageSize: PageSizeMax, Page: FirstPage()})
		if !fault.Is(err, fault.WalkMustStayWithinBudget) || answer.Count != 0 || len(answer.Tuples) != 0 {
			t.Errorf("count only: %t: %+v, %v", count, answer, err)
		}
	}
	late, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	if _, err := New(Config{DB: db}).Check(late, query); !fault.Is(err, fault.DeadlineMustNotPass) {
		t.Errorf("%v", err)
	}
}

// A walk that keeps too much for the items to come is let go: what it has read is
// then read again.
func TestABatchLetsALargeWalkGo(t *testing.T) {
	db, _ := openStore(t, 1)
	s := New(Config{DB: db})
	if _, err := s.WriteSchema(context.Background(), WriteSchemaCommand{
		Store: rel.DefaultStore, Text: "definition user {}\ndefinition doc { relation viewer: user }",
	}); err != nil {
		t.Fatal(err)
	}
	principal, err := rel.ParsePrincipal("user:u0")
	if err != nil {
		t.Fatal(err)
	}
	item := BatchItem{CheckItem: CheckItem{Object: rel.Trusted("doc", "d0"), Name: "viewer", Principal: principal}}
	cost := func(max int) engine.Cost {
		v, err := s.look(context.Background(), rel.DefaultStore, Consistency{})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		b := &batch{service: s, view: v, reader: v.Snapshot, rememberedMax: max, items: []BatchItem{item, item}, outcomes: make([]BatchOutcome, 2)}
		if err := b.answer(context.Background()); err != nil || b.outcomes[0].Answer.Result != engine.Granted || b.outcomes[1].Answer.Result != engine.Granted {
			t.Fatal(b.outcomes, err)
		}
		return b.cost
	}
	if kept, gone := cost(1), cost(0); kept.Pairs != 1 || gone.Pairs != 2 || gone.Reads != 2*kept.Reads {
		t.Errorf("%+v at the bound, %+v above it", kept, gone)
	}
}

// All other writers wait for the judging of a write: its time is bounded also where
// its caller sets no bound, and the turn is free again afterwards.
func TestTheTimeOfJudgingIsBoundedForCallersWithoutADeadline(t *testing.T) {
	db, _ := openStore(t, 1)
	text := "definition user {}\ndefinition doc { relation viewer: user }"
	if _, err := New(Config{DB: db}).WriteSchema(context.Background(), WriteSchemaCommand{Store: rel.DefaultStore, Text: text}); err != nil {
		t.Fatal(err)
	}
	update, err := rel.ParseUpdate("touch doc:new#viewer@user:ana")
	if err != nil {
		t.Fatal(err)
	}
	command := WriteCommand{Store: rel.DefaultStore}
	command.Updates = []rel.Update{update}
	if _, err := New(Config{DB: db, TimeMax: 1}).Write(context.Background(), command); !fault.Is(err, fault.JudgingMustStayWithinBudget) {
		t.Errorf("%v", err)
	}
	if answer, err := New(Config{DB: db}).Write(context.Background(), command); err != nil || len(answer.Changes) != 1 {
		t.Errorf("%v, %v", answer.Changes, err)
	}
}
