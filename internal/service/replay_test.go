package service_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// command is a write of the default store with a request id.
func command(t *testing.T, id string, updates ...string) service.WriteCommand {
	t.Helper()
	c := service.WriteCommand{Store: rel.DefaultStore, RequestID: rel.RequestID(id)}
	for _, text := range updates {
		u, err := rel.ParseUpdate(text)
		if err != nil {
			t.Fatal(err)
		}
		c.Updates = append(c.Updates, u)
	}
	return c
}

func (f fixture) mustDo(c service.WriteCommand) service.WriteAnswer {
	f.Helper()
	answer, err := f.Write(context.Background(), c)
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

func TestARetryIsReplayed(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("create doc:d#viewer@user:bob")
	for name, updates := range map[string][]string{
		"changes":  {"create doc:d#viewer@user:ana", "delete doc:d#viewer@user:bob"},
		"a filter": {"delete_matching doc:d#viewer"},
		"nothing":  {"delete doc:d#editor@user:nobody"},
	} {
		c := command(t, name, updates...)
		first := f.mustDo(c)
		if first.Replayed {
			t.Errorf("%s: the first answer is replayed", name)
		}
		f.mustWrite("touch doc:other#viewer@user:"+fmt.Sprint(len(name)), "touch doc:d#editor@user:nobody")
		head := f.store.Head()
		again := f.mustDo(c)
		if !again.Replayed {
			t.Errorf("%s: written again", name)
		}
		again.Replayed = false
		if len(first.Changes) == 0 {
			first.Changes = nil
		}
		if !reflect.DeepEqual(again, first) {
			t.Errorf("%s: answered %+v, then %+v", name, first, again)
		}
		if f.store.Head() != head {
			t.Errorf("%s: the replay made a revision", name)
		}
		f.mustWrite("delete doc:d#editor@user:nobody")
	}
}

// The write that changed nothing was before what came between: its retry must not
// change that.
func TestARetryOfAWriteThatChangedNothingChangesNothing(t *testing.T) {
	f := withSchema(t)
	c := command(t, "1", "delete doc:d#viewer@user:ana")
	f.mustDo(c)
	f.mustWrite("create doc:d#viewer@user:ana")
	if answer := f.mustDo(c); !answer.Replayed || answer.Deleted != 0 || f.check("doc:d#view@user:ana") != engine.Granted {
		t.Errorf("the retry answered %+v", answer)
	}
}

func TestAnIDIsNotUsedForAnotherWrite(t *testing.T) {
	f := withSchema(t)
	metadata := func(texts map[string]string) rel.Metadata {
		m, err := rel.NewMetadata(texts)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	filter, err := rel.ParseFilter("doc:d#viewer")
	if err != nil {
		t.Fatal(err)
	}
	first := command(t, "1", "touch doc:d#viewer@user:ana", "delete_matching doc:e", "delete_object doc:x")
	first.Preconditions = []rel.Precondition{{Kind: rel.MustNot, Filter: filter}}
	first.Metadata = metadata(map[string]string{"a": "1", "b": "2"})
	f.mustDo(first)
	for name, change := range map[string]func(*service.WriteCommand){
		"another tuple":        func(c *service.WriteCommand) { c.Updates = command(t, "", "touch doc:d#viewer@user:bob").Updates },
		"another operation":    func(c *service.WriteCommand) { c.Updates[0].Op = rel.Create },
		"another order":        func(c *service.WriteCommand) { c.Updates[0], c.Updates[1] = c.Updates[1], c.Updates[0] },
		"one less":             func(c *service.WriteCommand) { c.Updates = c.Updates[:2] },
		"another filter":       func(c *service.WriteCommand) { c.Updates[1].Matching.Filter.Relation = "viewer" },
		"another limit":        func(c *service.WriteCommand) { c.Updates[1].Matching.Limit = 7 },
		"partial":              func(c *service.WriteCommand) { c.Updates[1].Matching.Partial = true },
		"another object":       func(c *service.WriteCommand) { c.Updates[2].Object = c.Updates[0].Tuple.Object },
		"without precondition": func(c *service.WriteCommand) { c.Preconditions = nil },
		"another kind":         func(c *service.WriteCommand) { c.Preconditions[0].Kind = rel.Must },
		"other metadata":       func(c *service.WriteCommand) { c.Metadata = metadata(map[string]string{"a": "1", "b": "3"}) },
		"without metadata":     func(c *service.WriteCommand) { c.Metadata = rel.Metadata{} },
	} {
		other := first
		other.Updates = append([]rel.Update(nil), first.Updates...)
		other.Preconditions = append([]rel.Precondition(nil), first.Preconditions...)
		change(&other)
		head := f.store.Head()
		_, err := f.Write(context.Background(), other)
		if x := fault.Of(err); x == nil || x.Code != fault.RequestIDMustNotBeReused || x.Field != "request_id" {
			t.Errorf("%s: %v", name, err)
		}
		if f.store.Head() != head {
			t.Errorf("%s: it was written", name)
		}
	}
	same := first
	same.Updates = append([]rel.Update(nil), first.Updates...)
	same.Updates[1].Matching.Limit = rel.MatchingLimitDefault // said, instead of left out
	if answer := f.mustDo(same); !answer.Replayed {
		t.Error("the same in another form was written again")
	}
}

// The reuse of an id is the first reason: before what is wrong with the other write.
func TestAReusedIDIsRefusedFirst(t *testing.T) {
	f := withSchema(t)
	f.mustDo(command(t, "1", "touch doc:d#viewer@user:ana"))
	if _, err := f.Write(context.Background(), command(t, "1", "touch doc:d#nope@user:ana")); !fault.Is(err, fault.RequestIDMustNotBeReused) {
		t.Error(err)
	}
}

func TestARefusedWriteIsNotKept(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("create doc:d#viewer@user:ana")
	c := command(t, "1", "create doc:d#viewer@user:ana")
	if _, err := f.Write(context.Background(), c); !fault.Is(err, fault.AlreadyExistsCreate) {
		t.Fatal(err)
	}
	f.mustWrite("delete doc:d#viewer@user:ana")
	if answer := f.mustDo(c); answer.Replayed || answer.Created != 1 {
		t.Errorf("got %+v", answer)
	}
}

func TestOfEqualWritesAtOnceOneIsWritten(t *testing.T) {
	f := withSchema(t)
	for round := range 10 {
		c := command(t, fmt.Sprint(round), fmt.Sprintf("create doc:%d#viewer@user:ana", round))
		before := f.store.Head().Revision
		answers := make([]service.WriteAnswer, 8)
		errs := make([]error, len(answers))
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i], errs[i] = f.Write(context.Background(), c) })
		}
		all.Wait()
		written := 0
		for i, a := range answers {
			if errs[i] != nil || a.Created != 1 || len(a.Changes) != 1 || a.Snapshot != answers[0].Snapshot {
				t.Errorf("got %+v, %v", a, errs[i])
			}
			if !a.Replayed {
				written++
			}
		}
		if got := f.store.Head().Revision; written != 1 || got != before+1 {
			t.Errorf("%d were written, from revision %d to %d", written, before, got)
		}
	}
}

func TestARestartRemembersRequests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var first [2]service.WriteAnswer
	t.Run("before", func(t *testing.T) {
		f := open(t, dir)
		f.schema(drive)
		first[0] = f.mustDo(command(t, "1", "create doc:d#viewer@user:ana"))
		first[1] = f.mustDo(command(t, "2", "delete doc:d#viewer@user:bob"))
	})
	t.Run("after", func(t *testing.T) {
		f := open(t, dir)
		for i, update := range []string{"create doc:d#viewer@user:ana", "delete doc:d#viewer@user:bob"} {
			again := f.mustDo(command(t, fmt.Sprint(i+1), update))
			if !again.Replayed || again.Snapshot != first[i].Snapshot || again.Created != first[i].Created || len(again.Changes) != len(first[i].Changes) {
				t.Errorf("answered %+v, then %+v", first[i], again)
			}
		}
		if _, err := f.Write(context.Background(), command(t, "1", "touch doc:d#viewer@user:ana")); !fault.Is(err, fault.RequestIDMustNotBeReused) {
			t.Error(err)
		}
	})
}

func TestADryRunAnswersAsTheWriteAndWritesNothing(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("create doc:d#viewer@user:bob", "create org:o#admin@user:ana")
	for _, updates := range [][]string{
		{"create doc:d#viewer@user:ana", "delete doc:d#viewer@user:bob"},
		{"delete_object doc:d"},
		{"delete_matching doc:none"},
		{"create org:o#admin@user:ana"},
		{"delete org:o#admin@user:ana", "touch org:o#member@user:ana"},
		{"touch doc:d#nope@user:ana"},
	} {
		c := command(t, "", updates...)
		c.DryRun = true
		head := f.store.Head()
		tried, refused := f.Write(context.Background(), c)
		if f.store.Head() != head {
			t.Fatalf("%v: it was written", updates)
		}
		if refused == nil && tried.Snapshot != head {
			t.Errorf("%v: judged at %v, the head is %v", updates, tried.Snapshot, head)
		}
		c.DryRun = false
		answer, err := f.Write(context.Background(), c)
		if fmt.Sprint(err) != fmt.Sprint(refused) || (err == nil) != (refused == nil) {
			t.Errorf("%v: refused with %v, tried with %v", updates, err, refused)
		}
		answer.Snapshot = tried.Snapshot
		if !reflect.DeepEqual(answer, tried) {
			t.Errorf("%v: tried %+v, written %+v", updates, tried, answer)
		}
	}
}

func TestADryRunNeitherReadsNorKeepsItsID(t *testing.T) {
	f := withSchema(t)
	c := command(t, "1", "create doc:d#viewer@user:ana")
	c.DryRun = true
	for range 2 {
		if answer := f.mustDo(c); answer.Replayed || answer.Created != 1 {
			t.Errorf("got %+v", answer)
		}
	}
	c.DryRun = false
	if answer := f.mustDo(c); answer.Replayed {
		t.Error("the write is a replay of its dry run")
	}
	c.DryRun = true
	if _, err := f.Write(context.Background(), c); !fault.Is(err, fault.AlreadyExistsCreate) {
		t.Errorf("the dry run after the write: %v", err)
	}
}

func TestMetadataIsInTheChangeLog(t *testing.T) {
	f := withSchema(t)
	m, err := rel.NewMetadata(map[string]string{"ticket": "OPS-7", "by": "ana"})
	if err != nil {
		t.Fatal(err)
	}
	c := service.WriteCommand{Store: rel.DefaultStore, Metadata: m, Write: admission.Write{Updates: command(t, "", "create doc:d#viewer@user:ana").Updates}}
	at := f.mustDo(c).Snapshot
	for change, err := range f.store.Changes(at.Revision) {
		if err != nil {
			t.Fatal(err)
		}
		got, ok := rel.DecodeMetadata(change.Metadata)
		if !ok || !reflect.DeepEqual(got, m) {
			t.Errorf("the log has %q", change.Metadata)
		}
	}
	if again := f.mustDo(service.WriteCommand{Store: rel.DefaultStore, Metadata: m, Write: admission.Write{Updates: command(t, "", "touch doc:d#viewer@user:ana").Updates}}); again.Snapshot != at {
		t.Error("metadata alone made a revision")
	}
}
