package tupledb

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A store that is being loaded can be deleted, and nothing that was on its way comes
// after that: neither another chunk, nor the end of the load, nor giving it up.
func TestAStoreIsDeletedWhileItIsLoaded(t *testing.T) {
	s := opened(t, Config{})
	number := s.number
	all := few(rand.New(rand.NewPCG(1, 1)), 50)
	l := begun(t, s, "import")
	c := l.NewChunk()
	for _, u := range all[:25] {
		c.Add(rel.Tuple{Key: u.Key})
	}
	taken(t, l, c)
	next := l.NewChunk()
	for _, u := range all[25:] {
		next.Add(rel.Tuple{Key: u.Key, Expires: rel.Expiry(time.Now().Add(time.Hour).UnixMicro())})
	}
	if _, err := s.db.DeleteStore(t.Context(), s.name); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"another chunk": func() error { return l.Write(t.Context(), next) },
		"the end":       func() error { _, err := l.Finish(t.Context(), nil, acceptAll); return err },
		"giving it up":  func() error { return l.Discard(t.Context()) },
		"beginning":     func() error { _, err := s.BeginLoad(t.Context(), "import", acceptAll); return err },
	} {
		if err := call(); !fault.Is(err, fault.StoreMustExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	from, to := storeBounds(number)
	it, err := s.db.openIterator(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if it.SeekGE(from) && compareKeys(it.Key(), to) < 0 {
		t.Errorf("%v is left of the store", keyText(it.Key()))
	}
	again := defaultStore(t, s.db)
	if again.Load() != nil || again.number == number {
		t.Error("the store made anew is the old one")
	}
}
