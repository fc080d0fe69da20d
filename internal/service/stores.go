package service

import (
	"context"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A StoreInfo is what can be said of a store beside what it holds.
type StoreInfo struct {
	Name     rel.Store
	Created  time.Time
	Snapshot rel.Snapshot // its newest state
}

func infoOf(s *tupledb.Store) StoreInfo {
	return StoreInfo{Name: s.Name(), Created: s.Created(), Snapshot: s.Head()}
}

// CreateStore makes an empty store.
func (s *Service) CreateStore(ctx context.Context, name rel.Store) (StoreInfo, error) {
	store, err := s.db.CreateStore(ctx, name)
	if err != nil {
		return StoreInfo{}, err
	}
	return infoOf(store), nil
}

// DeleteStore takes a store away and returns its last state. What runs in it is
// ended: writes that wait are refused, and so are watches.
func (s *Service) DeleteStore(ctx context.Context, name rel.Store) (rel.Snapshot, error) {
	return s.db.DeleteStore(ctx, name)
}

// A StoresQuery asks for the stores whose names begin alike, page by page.
type StoresQuery struct {
	Prefix   string
	PageSize int // 1 to PageSizeMax
	Page     StoresPage
}

// A StoresPage is where in the list of stores a request goes on. The list is of no
// one state, so its place is a name: what is created or deleted meanwhile moves
// nothing that is there all the while from one page to another.
type StoresPage struct {
	list  Page
	after rel.Store
}

// FirstStoresPage begins the list of the stores with a prefix.
func FirstStoresPage(prefix string) StoresPage {
	return StoresPage{list: FirstPage("ListStores", prefix)}
}

// At goes on where a page token says; an empty token is the beginning.
func (p StoresPage) At(token string) (StoresPage, error) {
	if token == "" {
		return p, nil
	}
	place, err := p.list.opened(token)
	if err != nil {
		return StoresPage{}, err
	}
	after, err := rel.ParseStore(string(place))
	if err != nil {
		return StoresPage{}, unreadableToken()
	}
	return StoresPage{p.list, after}, nil
}

// A StoresAnswer is one page.
type StoresAnswer struct {
	Stores []StoreInfo
	Next   string // the next page's token; empty on the last page
}

// ListStores lists the stores by name.
func (s *Service) ListStores(q StoresQuery) StoresAnswer {
	var answer StoresAnswer
	for _, store := range s.db.Stores() {
		if store.Name() <= q.Page.after || !strings.HasPrefix(string(store.Name()), q.Prefix) {
			continue
		}
		if len(answer.Stores) == q.PageSize {
			last := answer.Stores[len(answer.Stores)-1]
			answer.Next = q.Page.list.sealed([]byte(last.Name))
			break
		}
		answer.Stores = append(answer.Stores, infoOf(store))
	}
	return answer
}
