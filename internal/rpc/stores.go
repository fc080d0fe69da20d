package rpc

import (
	"context"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// storeServer is for stores; this release has the one called default.
type storeServer struct {
	pembav1.UnsafeStoreServiceServer
}

// CreateStore is not in this release.
func (*storeServer) CreateStore(context.Context, *pembav1.CreateStoreRequest) (*pembav1.CreateStoreResponse, error) {
	return nil, notInThisRelease("StoreService.CreateStore", "use the store default, or run a server for each tenant")
}

// ListStores is not in this release.
func (*storeServer) ListStores(context.Context, *pembav1.ListStoresRequest) (*pembav1.ListStoresResponse, error) {
	return nil, notInThisRelease("StoreService.ListStores", "there is one store, and it is called default")
}

// DeleteStore is not in this release.
func (*storeServer) DeleteStore(context.Context, *pembav1.DeleteStoreRequest) (*pembav1.DeleteStoreResponse, error) {
	return nil, notInThisRelease("StoreService.DeleteStore", "stop the server and remove its data directory")
}
