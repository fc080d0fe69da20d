package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// storeServer creates, lists and deletes stores.
type storeServer struct {
	pembav1.UnsafeStoreServiceServer
	service *service.Service
}

// CreateStore makes an empty store.
func (s *storeServer) CreateStore(ctx context.Context, req *pembav1.CreateStoreRequest) (*pembav1.CreateStoreResponse, error) {
	var f form
	name := f.namedStore(req.GetStore(), "name the store that is to be created")
	if err := f.err(); err != nil {
		return nil, err
	}
	store, err := s.service.CreateStore(ctx, name)
	if err != nil {
		return nil, err
	}
	return &pembav1.CreateStoreResponse{Snapshot: store.Snapshot.Token(), Store: storeToProto(store)}, nil
}

// ListStores lists the stores by name. The longest page is a megabyte and a half, so
// it fits a message.
func (s *storeServer) ListStores(_ context.Context, req *pembav1.ListStoresRequest) (*pembav1.ListStoresResponse, error) {
	query, err := storesQuery(req)
	if err != nil {
		return nil, err
	}
	answer := s.service.ListStores(query)
	response := &pembav1.ListStoresResponse{Stores: make([]*pembav1.Store, len(answer.Stores)), NextPageToken: answer.Next}
	for i, store := range answer.Stores {
		response.Stores[i] = storeToProto(store)
	}
	return response, nil
}

func storesQuery(req *pembav1.ListStoresRequest) (service.StoresQuery, error) {
	var f form
	query := service.StoresQuery{PageSize: f.pageSize(req.GetPageSize())}
	// Whatever a name begins with is a name, too.
	query.Prefix = string(optional(&f, "name_prefix", req.GetNamePrefix(), rel.ParseStore))
	if err := f.err(); err != nil {
		return query, err
	}
	query.Page = given(&f, "page_token", req.GetPageToken(), service.FirstStoresPage(query.Prefix).At)
	return query, f.err()
}

// DeleteStore takes a store away.
func (s *storeServer) DeleteStore(ctx context.Context, req *pembav1.DeleteStoreRequest) (*pembav1.DeleteStoreResponse, error) {
	var f form
	name := f.namedStore(req.GetStore(), "name the store that is to be deleted")
	if err := f.err(); err != nil {
		return nil, err
	}
	last, err := s.service.DeleteStore(ctx, name)
	if err != nil {
		return nil, err
	}
	return &pembav1.DeleteStoreResponse{Snapshot: last.Token()}, nil
}

// namedStore reads the name of a store where an empty one does not mean default: a
// forgotten variable must not create or delete that.
func (f *form) namedStore(text, remedy string) rel.Store {
	return required(f, "store", text, rel.ParseStore, remedy)
}

func storeToProto(s service.StoreInfo) *pembav1.Store {
	return &pembav1.Store{Name: string(s.Name), CreatedAt: timestamppb.New(s.Created), Snapshot: s.Snapshot.Token()}
}
