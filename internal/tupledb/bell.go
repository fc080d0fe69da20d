package tupledb

import (
	"sync"

	"github.com/pemba-io/pemba/internal/rel"
)

// A bell tells whoever waits that something was published: a channel that is
// closed once, and another one for those who wait after that.
//
// A list of those who wait would make a publication cost as much as there are of
// them; closing one channel wakes a thousand, and costs a write nothing where
// nobody waits. A condition would do the same, but nobody can wait for one and
// for the end of a request at once.
type bell struct {
	mu    sync.Mutex
	next  chan struct{} // nil while nobody waits for it
	ended bool          // next is closed, and stays
}

// heard is closed when the bell is rung the next time, or is ended.
func (b *bell) heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil && !b.ended {
		close(b.next)
		b.next = nil
	}
}

// end lets nobody wait any more.
func (b *bell) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if b.next == nil {
		b.next = make(chan struct{})
	}
	close(b.next)
	b.ended = true
}

// Published is closed as soon as a revision after this one is published, which
// it may be already, and when the DB begins to close: then reading says so.
func (s *Store) Published(after rel.Revision) <-chan struct{} {
	// The bell before the head: what is published in between rings it.
	heard := s.news.heard()
	if s.head.Load().revision <= after {
		return heard
	}
	published := make(chan struct{})
	close(published)
	return published
}
