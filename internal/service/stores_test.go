package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

func withStore(t *testing.T, s *Service, name rel.Store, text string) {
	t.Helper()
	if _, err := s.CreateStore(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteSchema(t.Context(), WriteSchemaCommand{Store: name, Text: text}); err != nil {
		t.Fatal(err)
	}
}

// Stores that come and go are looked after, and their going is nothing to report.
func TestUpkeepCopesWithStoresThatComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := tupledb.Open(tupledb.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Config{DB: db})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Upkeep(ctx, func(err error) { t.Errorf("reported: %v", err) })
		}()
		for i := range 50 {
			withStore(t, s, "acme", "use expiration\ndefinition user {}\ndefinition doc { relation viewer: user with expiration }")
			soon := time.Now().Add(10 * time.Millisecond).Format(time.RFC3339Nano)
			u, err := rel.ParseUpdate("touch doc:d#viewer@user:ana[expiration:" + soon + "]")
			if err != nil {
				t.Fatal(err)
			}
			c := WriteCommand{Store: "acme"}
			c.Updates = []rel.Update{u}
			if _, err := s.Write(ctx, c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(upkeepEvery * time.Duration(i%3)) // virtual time: the deletion falls beside, before and after a look
			if _, err := s.DeleteStore(ctx, "acme"); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A store that is gone is not looked after, and the others are all the same.
func TestADeletedStoreDoesNotKeepOthersFromBeingLookedAfter(t *testing.T) {
	clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	db, err := tupledb.Open(tupledb.Config{Clock: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := New(Config{DB: db})
	for _, name := range []rel.Store{"a", "b"} {
		withStore(t, s, name, "definition user {}")
	}
	gone, err := db.Store("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteStore(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := gone.DeleteExpired(t.Context()); !fault.Is(err, fault.StoreMustExist) {
		t.Errorf("the deleted store: %v", err)
	}
	if err := s.lookAfter(t.Context()); err != nil {
		t.Error(err)
	}
}
