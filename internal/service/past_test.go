package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// A past is a store with a clock: one hour after the other ana may view the
// document until three o'clock, may not, and the schema has no viewers any more.
type past struct {
	fixture
	now   *time.Time
	until time.Time // of ana's tuple
	at    map[string]time.Time
	snaps map[string]rel.Snapshot
}

func newPast(t *testing.T) past {
	t.Helper()
	clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := past{
		fixture: openAt(t, &clock), now: &clock, until: clock.Add(3 * time.Hour),
		at: map[string]time.Time{}, snaps: map[string]rel.Snapshot{},
	}
	called := func(name string) {
		clock = clock.Add(time.Second) // what was written together has times after one another
		p.at[name], p.snaps[name] = clock, p.store.Head()
		clock = clock.Add(time.Hour)
	}
	called("empty")
	p.schema("use expiration\n" + strings.Replace(drive, "viewer: user |", "viewer: user with expiration |", 1))
	p.mustWrite("touch doc:d#viewer@user:ana[expiration:" + p.until.Format(time.RFC3339) + "]")
	called("granted")
	p.mustWrite("delete doc:d#viewer@user:ana")
	called("deleted")
	clock = p.until.Add(time.Hour)
	p.schema("definition user {}\ndefinition doc { relation reader: user }")
	called("now")
	return p
}

func (p past) exactly(name string) service.Consistency {
	at := p.snaps[name]
	return service.Consistency{Exact: &at}
}

func (p past) time(name string) service.Consistency {
	at := p.at[name]
	return service.Consistency{Time: &at}
}

// An old snapshot has its tuples and its schema, and the time is now: what has
// expired since stays so. A time has all three.
func TestEveryQuestionIsAnsweredOfThePast(t *testing.T) {
	p := newPast(t)
	asked := item(t, "doc:d#viewer@user:ana")
	for _, c := range []struct {
		name        string
		consistency service.Consistency
		granted     bool
	}{
		{"at the time", p.time("granted"), true},
		{"exactly, after it expired", p.exactly("granted"), false},
		{"at the time of the deletion", p.time("deleted"), false},
	} {
		want, role, count := engine.Denied, rel.Name(""), 0
		if c.granted {
			want, role, count = engine.Granted, "viewer", 1
		}
		ctx := context.Background()
		check, err := p.Check(ctx, service.CheckQuery{Store: rel.DefaultStore, Consistency: c.consistency, Item: asked})
		if err != nil || check.Result != want {
			t.Errorf("%s: Check %v, %v", c.name, check.Result, err)
		}
		batch, err := p.BatchCheck(ctx, service.BatchQuery{Store: rel.DefaultStore, Consistency: c.consistency, Items: []service.BatchItem{{CheckItem: asked}}})
		if err != nil || batch.Outcomes[0].Err != nil || batch.Outcomes[0].Answer.Result != want {
			t.Errorf("%s: BatchCheck %+v, %v", c.name, batch, err)
		}
		access, err := p.EffectiveAccess(ctx, service.AccessQuery{Store: rel.DefaultStore, Consistency: c.consistency, Object: asked.Object, Principal: asked.Principal})
		if err != nil || access.Role != role {
			t.Errorf("%s: EffectiveAccess %v, %v", c.name, access.Role, err)
		}
		expand, err := p.Expand(ctx, service.ExpandQuery{Store: rel.DefaultStore, Consistency: c.consistency, Object: asked.Object, Name: "viewer", Depth: 1})
		if err != nil || expand.Snapshot != check.Snapshot {
			t.Errorf("%s: Expand at %v, %v", c.name, expand.Snapshot, err)
		}
		read, err := p.ReadTuples(ctx, service.ReadQuery{Store: rel.DefaultStore, Consistency: c.consistency, PageSize: 10, Page: service.FirstPage()})
		if err != nil || len(read.Tuples) != count || read.Snapshot != check.Snapshot {
			t.Errorf("%s: ReadTuples %v, %v", c.name, read.Tuples, err)
		}
		schema, err := p.ReadSchema(ctx, service.SchemaQuery{Store: rel.DefaultStore, Consistency: c.consistency})
		if err != nil || schema.Version != 1 || !schema.Written.Equal(p.at["empty"].Add(time.Hour)) {
			t.Errorf("%s: ReadSchema version %d of %v, %v", c.name, schema.Version, schema.Written, err)
		}
		diff, err := p.DiffSchema(ctx, service.DiffSchemaQuery{Store: rel.DefaultStore, Consistency: c.consistency, Text: drive})
		if err != nil || diff.Version != 1 {
			t.Errorf("%s: DiffSchema %d, %v", c.name, diff.Version, err)
		}
	}
	// The schema in force now has no such name, and the empty store had no schema.
	for code, c := range map[fault.Code]service.Consistency{
		fault.NameMustExist:                p.exactly("now"),
		fault.SchemaMustExist:              p.exactly("empty"),
		fault.SnapshotMustBeWithinHistory:  {Time: new(p.at["empty"].Add(-2 * time.Second))},
		fault.SnapshotMustNotBeOfTheFuture: {Time: new(p.now.Add(time.Microsecond))},
	} {
		if answer, err := p.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Consistency: c, Item: asked}); !fault.Is(err, code) || answer.Result != engine.Denied {
			t.Errorf("%v, %v; want %v", answer.Result, err, code)
		}
	}
}

// The pages of a list of the past are of it, and a token fits no other past.
func TestPagesOfThePastAreOfOneTime(t *testing.T) {
	f, now := withExpiring(t)
	asked := now.Add(time.Second)
	*now = now.Add(2 * time.Hour)
	f.mustWrite("touch doc:e#viewer@user:new")
	read, token := 0, ""
	for {
		q := service.ReadQuery{Store: rel.DefaultStore, Consistency: service.Consistency{Time: &asked}, PageSize: 4}
		var err error
		if q.Page, err = service.FirstPage(q.Consistency.Argument()).At(token); err != nil {
			t.Fatal(err)
		}
		answer, err := f.ReadTuples(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		read += len(answer.Tuples)
		if token = answer.Next; token == "" {
			break
		}
		for _, other := range []service.Consistency{{}, {Time: now}, {Exact: &answer.Snapshot}, {AtLeast: &answer.Snapshot}} {
			if _, err := service.FirstPage(other.Argument()).At(token); !fault.Is(err, fault.PageTokenMustFitTheRequest) {
				t.Errorf("the token was taken for %q: %v", other.Argument(), err)
			}
		}
	}
	if read != 10 {
		t.Errorf("%d tuples of a time when there were ten", read)
	}
}
