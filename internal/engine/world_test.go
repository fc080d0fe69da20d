package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A world is a schema and tuples in a real database in memory.
type world struct {
	t      testing.TB
	schema *schema.Schema
	store  *tupledb.Store
}

func newWorld(t testing.TB, text string, tuples ...string) *world {
	t.Helper()
	s, faults := schema.Compile(text)
	for _, f := range faults {
		t.Error(f.Sentence())
	}
	if s == nil {
		t.FailNow()
	}
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
	w := &world{t, s, store}
	w.put(tuples...)
	return w
}

func (w *world) put(texts ...string) {
	w.t.Helper()
	var tuples []rel.Tuple
	for _, text := range texts {
		t, err := rel.ParseTuple(text)
		if err != nil {
			w.t.Fatal(err)
		}
		tuples = append(tuples, t)
	}
	_, err := w.store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) {
		return tupledb.Commit{Put: tuples}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// walk begins a walk of the principal over the newest state; change may set more.
func (w *world) walk(principal string, change ...func(*engine.Question)) *engine.Walk {
	w.t.Helper()
	p, err := rel.ParsePrincipal(principal)
	if err != nil {
		w.t.Fatal(err)
	}
	snap, err := w.store.Newest()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(snap.Close)
	q := engine.Question{Schema: w.schema, Reader: snap, Principal: p}
	for _, c := range change {
		c(&q)
	}
	return engine.NewWalk(q)
}

// nobody begins a walk without a principal, as lists of subjects have it.
func (w *world) nobody(change ...func(*engine.Question)) *engine.Walk {
	w.t.Helper()
	snap, err := w.store.Newest()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(snap.Close)
	q := engine.Question{Schema: w.schema, Reader: snap}
	for _, c := range change {
		c(&q)
	}
	return engine.NewWalk(q)
}

// check asks "project:p1#view".
func check(t testing.TB, w *engine.Walk, question string) engine.Answer {
	t.Helper()
	answer, err := ask(w, question)
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

func ask(w *engine.Walk, question string) (engine.Answer, error) {
	object, name, _ := strings.Cut(question, "#")
	o, err := rel.ParseObject(object)
	if err != nil {
		return engine.Answer{}, err
	}
	return w.Check(context.Background(), o, rel.Name(name))
}

func expect(t testing.TB, w *engine.Walk, question string, want engine.Result) engine.Answer {
	t.Helper()
	answer := check(t, w, question)
	if answer.Result != want {
		t.Errorf("%s = %v, want %v", question, answer.Result, want)
	}
	return answer
}

func each(format string, from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, strings.ReplaceAll(format, "%", fmt.Sprint(i)))
	}
	return all
}
