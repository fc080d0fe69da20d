package service_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// kept is a service on virtual time whose stores are looked after until the test
// calls end.
func kept(t *testing.T, c tupledb.Config) (f fixture, reports *[]error, end func()) {
	t.Helper()
	db, err := tupledb.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	store, err := db.Store(rel.DefaultStore)
	if err != nil {
		t.Fatal(err)
	}
	f = fixture{t, service.New(service.Config{DB: db}), store, db.Close}
	ctx, cancel := context.WithCancel(context.Background())
	reports = new([]error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Upkeep(ctx, func(err error) { *reports = append(*reports, err) })
	}()
	return f, reports, func() {
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Within a second of its time a tuple is deleted; one that is given more time
// before is not.
func TestExpiredTuplesAreDeletedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, reports, end := kept(t, tupledb.Config{})
		defer end()
		f.schema("use expiration\ndefinition user {}\ndefinition doc { relation viewer: user with expiration }")
		minute := time.Now().Add(time.Minute).Format(time.RFC3339Nano)
		hour := time.Now().Add(time.Hour).Format(time.RFC3339Nano)
		f.mustWrite("touch doc:d#viewer@user:ana[expiration:"+minute+"]", "touch doc:d#viewer@user:bob[expiration:"+minute+"]")
		at := f.mustWrite("touch doc:d#viewer@user:bob[expiration:" + hour + "]")
		time.Sleep(time.Minute)
		if got := f.check("doc:d#viewer@user:ana"); got != engine.Denied {
			t.Errorf("at its expiry: %v", got)
		}
		time.Sleep(time.Second)
		if f.store.Head().Revision != at.Revision+1 {
			t.Errorf("a second later the head is %v", f.store.Head())
		}
		for c, err := range f.store.Changes(at.Revision + 1) {
			if err != nil || c.Cause != tupledb.CauseExpired || len(c.Delete) != 1 || c.Delete[0].Subject.ID() != "ana" {
				t.Errorf("%+v, %v", c, err)
			}
		}
		if got := f.check("doc:d#viewer@user:bob"); got != engine.Granted || len(*reports) > 0 {
			t.Errorf("who was given more time is %v; reports: %v", got, *reports)
		}
	})
}

// What goes wrong is reported once while it stays the same.
func TestUpkeepSaysOnceWhatGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, reports, end := kept(t, tupledb.Config{})
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		var said []error
		done := make(chan struct{})
		end() // and with it the database
		go func() {
			defer close(done)
			f.Upkeep(ctx, func(err error) { said = append(said, err) })
		}()
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		if len(said) != 1 || !fault.Is(said[0], fault.ServerMustBeServing) || len(*reports) > 0 {
			t.Errorf("reported: %v and %v", said, *reports)
		}
	})
}

// What is past the history cannot be asked any more: exactly, at a time, or by the
// next page of a list. A question that only wants to be as fresh is answered.
func TestThePastIsForgottenWhenTheHistoryIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, reports, end := kept(t, tupledb.Config{History: time.Hour})
		defer end()
		f.schema(drive)
		var updates []string
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			updates = append(updates, "touch doc:d#viewer@user:"+id)
		}
		old := f.mustWrite(updates...)
		asked := time.Now()
		first := f.page("")
		time.Sleep(time.Minute)
		f.mustWrite("delete doc:d#viewer@user:a")
		ask := func(c service.Consistency) error {
			_, err := f.Check(context.Background(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, "doc:d#view@user:a"), Consistency: c})
			return err
		}
		next := func() error {
			p, err := service.FirstPage("read").At(first.Next)
			if err == nil {
				_, err = f.ReadTuples(context.Background(), service.ReadQuery{Store: rel.DefaultStore, PageSize: 4, Page: p})
			}
			return err
		}
		for _, c := range []struct {
			sleep  time.Duration
			within bool
		}{{59 * time.Minute, true}, {2 * time.Minute, false}} {
			time.Sleep(c.sleep)
			for name, err := range map[string]error{
				"exactly": ask(service.Consistency{Exact: &old}), "at a time": ask(service.Consistency{Time: &asked}), "a page": next(),
			} {
				if c.within && err != nil || !c.within && !fault.Is(err, fault.SnapshotMustBeWithinHistory) {
					t.Errorf("%s, within the history: %t: %v", name, c.within, err)
				}
			}
			if err := ask(service.Consistency{AtLeast: &old}); err != nil {
				t.Errorf("at least as fresh: %v", err)
			}
		}
		// The schema in force is from before the history, and its time is known.
		read, err := f.ReadSchema(context.Background(), service.SchemaQuery{Store: rel.DefaultStore})
		if err != nil || read.Version != 1 || read.Written.After(asked) || len(*reports) > 0 {
			t.Errorf("version %d of %v, %v; reports: %v", read.Version, read.Written, err, *reports)
		}
	})
}
