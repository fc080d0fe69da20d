package rpc

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A readsLog counts the keys that are sought and found, by the number of the store
// that they are of: the first four bytes of each.
type readsLog struct {
	mu    sync.Mutex
	reads map[uint32]int
}

func (l *readsLog) read(key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(key) < 4 {
		key = make([]byte, 4)
	}
	l.reads[binary.BigEndian.Uint32(key)]++
}

// during is what is read while something runs.
func (l *readsLog) during(run func()) map[uint32]int {
	l.mu.Lock()
	l.reads = map[uint32]int{}
	l.mu.Unlock()
	run()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// Stores are numbered as they are created, from default on, which is 1.
var tenantNumbers = map[string]uint32{"a": 2, "b": 3, "c": 4}

// newTenants serves three stores with the same in them, and shows every read.
func newTenants(t *testing.T) (*world, *readsLog) {
	t.Helper()
	log := &readsLog{reads: map[uint32]int{}}
	w := newEmptyWorld(t, service.Config{DB: openDB(t, tupledb.Config{Reads: log.read})})
	w.fill(t)
	for _, name := range []string{"a", "b", "c"} {
		w.createStore(t, name)
		w.fillStore(t, name, worldSchema, worldTuples)
	}
	return w, log
}

// requestsOf are some requests of each RPC to one store.
type requestsOf map[string][]func() error

// everyRPC is a request, or some, of every RPC that this release serves, to a store.
// Those that change it come last.
func everyRPC(t *testing.T, w *world, store string) (names []string, calls requestsOf) {
	calls = requestsOf{}
	for _, some := range []requestsOf{questions(t, w, store), lists(t, w, store), changes(t, w, store)} {
		maps.Copy(calls, some)
	}
	last := []string{pembav1.TupleService_Write_FullMethodName, pembav1.SchemaService_WriteSchema_FullMethodName, pembav1.StoreService_DeleteStore_FullMethodName}
	for name := range calls {
		if !slices.Contains(last, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return append(names, last...), calls
}

// questions are those about access.
func questions(t *testing.T, w *world, store string) requestsOf {
	ctx := t.Context()
	newest, err := w.stores.ListStores(ctx, &pembav1.ListStoresRequest{NamePrefix: store})
	if err != nil {
		t.Fatal(err)
	}
	at := &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: newest.GetStores()[0].GetSnapshot()}}
	then := &pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: timestamppb.New(time.Now())}}
	return requestsOf{
		pembav1.PermissionService_Check_FullMethodName: {
			func() error {
				_, err := w.permissions.Check(ctx, &pembav1.CheckRequest{Store: store, Object: "project:p1", Permission: "view", Subject: "user:sam", Explain: true})
				return err
			},
			func() error {
				_, err := w.permissions.Check(ctx, &pembav1.CheckRequest{Store: store, Consistency: at, Object: "zzz:z", Permission: "view", Subject: "user:sam"})
				mustRefuse(t, err, codes.InvalidArgument, "TYPE_MUST_EXIST")
				_, err = w.permissions.Check(ctx, &pembav1.CheckRequest{Store: store, Consistency: at, Object: "team:zzz", Permission: "lead", Subject: "user:zzz"})
				return err
			},
			func() error {
				_, err := w.permissions.Check(ctx, &pembav1.CheckRequest{Store: store, Consistency: then, Object: "project:p1", Permission: "owner", Subject: "user:ana"})
				return err
			},
		},
		pembav1.PermissionService_BatchCheck_FullMethodName: {func() error {
			_, err := w.permissions.BatchCheck(ctx, &pembav1.BatchCheckRequest{Store: store, Items: []*pembav1.BatchCheckItem{{Object: "project:p1", Permission: "edit", Subject: "user:bad"}}})
			return err
		}},
		pembav1.PermissionService_EffectiveAccess_FullMethodName: {func() error {
			_, err := w.permissions.EffectiveAccess(ctx, &pembav1.EffectiveAccessRequest{Store: store, Object: "project:p1", Subject: "user:mia"})
			return err
		}},
		pembav1.PermissionService_ListObjects_FullMethodName: {
			func() error {
				_, err := w.permissions.ListObjects(ctx, &pembav1.ListObjectsRequest{Store: store, ObjectType: "project", Permission: "view", Subject: "user:sam", Within: "organization:acme"})
				return err
			},
			func() error {
				request := &pembav1.ListObjectsRequest{Store: store, Consistency: at, ObjectType: "team", Permission: "member", Subject: "user:sam", PageSize: 1}
				page, err := w.permissions.ListObjects(ctx, request)
				if err == nil {
					request.PageToken = page.GetNextPageToken()
					_, err = w.permissions.ListObjects(ctx, request)
				}
				return err
			},
		},
		pembav1.PermissionService_ListSubjects_FullMethodName: {
			func() error {
				_, err := w.permissions.ListSubjects(ctx, &pembav1.ListSubjectsRequest{Store: store, Object: "project:p1", SubjectType: "user"})
				return err
			},
			func() error {
				request := &pembav1.ListSubjectsRequest{Store: store, Consistency: then, Object: "project:p1", Permission: "view", SubjectType: "team", SubjectRelation: "member", PageSize: 1}
				page, err := w.permissions.ListSubjects(ctx, request)
				if err == nil {
					request.PageToken = page.GetNextPageToken()
					_, err = w.permissions.ListSubjects(ctx, request)
				}
				return err
			},
		},
		pembav1.PermissionService_Expand_FullMethodName: {func() error {
			_, err := w.permissions.Expand(ctx, &pembav1.ExpandRequest{Store: store, Object: "project:p1", Permission: "owner", MaxDepth: 5})
			return err
		}},
	}
}

// lists are those that show what there is, and the new store's.
func lists(t *testing.T, w *world, store string) requestsOf {
	ctx := t.Context()
	viewers := &pembav1.TupleFilter{ObjectType: "project", Relation: "viewer"}
	return requestsOf{
		pembav1.TupleService_ListHistory_FullMethodName: {
			func() error {
				_, err := w.tuples.ListHistory(ctx, &pembav1.ListHistoryRequest{Store: store})
				return err
			},
			func() error {
				_, err := w.tuples.ListHistory(ctx, &pembav1.ListHistoryRequest{Store: store, Scope: &pembav1.ListHistoryRequest_Object{Object: "project:p1"}})
				return err
			},
			func() error {
				_, err := w.tuples.ListHistory(ctx, &pembav1.ListHistoryRequest{Store: store, Scope: &pembav1.ListHistoryRequest_Subject{Subject: "user:ana"}})
				return err
			},
		},
		pembav1.TupleService_ExportTuples_FullMethodName: {func() error {
			stream, err := w.tuples.ExportTuples(ctx, &pembav1.ExportTuplesRequest{Store: store})
			for err == nil {
				_, err = stream.Recv()
			}
			if err == io.EOF {
				return nil
			}
			return err
		}},
		pembav1.TupleService_ImportTuples_FullMethodName: {func() error { // into a store with tuples: ordinary writes
			stream, err := w.tuples.ImportTuples(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(&pembav1.ImportTuplesRequest{Store: store, ImportId: "i", Tuples: []*pembav1.Tuple{tuple("team:core", "lead", "user:sam")}}); err != nil {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		}},
		pembav1.TupleService_ReadTuples_FullMethodName: {
			func() error {
				_, err := w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{Store: store, CountOnly: true})
				return err
			},
			func() error {
				_, err := w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{Store: store, Filter: &pembav1.TupleFilter{SubjectType: "user"}})
				return err
			},
			func() error {
				page, err := w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{Store: store, Filter: viewers, PageSize: 1})
				if err == nil {
					_, err = w.tuples.ReadTuples(ctx, &pembav1.ReadTuplesRequest{Store: store, Filter: viewers, PageToken: page.GetNextPageToken()})
				}
				return err
			},
		},
		pembav1.TupleService_Watch_FullMethodName: {func() error {
			stream, err := w.tuples.Watch(ctx, &pembav1.WatchRequest{Store: store, Start: &pembav1.WatchRequest_Beginning{Beginning: true}})
			for err == nil {
				var m *pembav1.WatchResponse
				if m, err = stream.Recv(); m.GetCheckpoint() {
					return nil
				}
			}
			return err
		}},
		pembav1.SchemaService_ReadSchema_FullMethodName: {func() error {
			_, err := w.schemas.ReadSchema(ctx, &pembav1.ReadSchemaRequest{Store: store})
			return err
		}},
		pembav1.SchemaService_DiffSchema_FullMethodName: {func() error {
			_, err := w.schemas.DiffSchema(ctx, &pembav1.DiffSchemaRequest{Store: store, Schema: worldSchema})
			return err
		}},
		pembav1.StoreService_ListStores_FullMethodName: {func() error {
			_, err := w.stores.ListStores(ctx, &pembav1.ListStoresRequest{NamePrefix: store})
			return err
		}},
		pembav1.StoreService_CreateStore_FullMethodName: {func() error {
			_, err := w.stores.CreateStore(ctx, &pembav1.CreateStoreRequest{Store: store})
			mustRefuse(t, err, codes.AlreadyExists, "ALREADY_EXISTS")
			_, err = w.stores.CreateStore(ctx, &pembav1.CreateStoreRequest{Store: store + "-new"})
			return err
		}},
	}
}

// changes are those that change the store or take it away.
func changes(t *testing.T, w *world, store string) requestsOf {
	ctx := t.Context()
	viewers := &pembav1.TupleFilter{ObjectType: "project", Relation: "viewer"}
	calls := requestsOf{}
	write := func(request *pembav1.WriteRequest) func() error {
		request.Store = store
		return func() error { _, err := w.tuples.Write(ctx, request); return err }
	}
	named := write(&pembav1.WriteRequest{RequestId: "r1", Updates: []*pembav1.Update{touch(tuple("team:x", "member", "user:x"))}})
	calls[pembav1.TupleService_Write_FullMethodName] = []func() error{
		write(&pembav1.WriteRequest{DryRun: true, Updates: []*pembav1.Update{deleteObject("project:p1")}}),
		named, named, // the second one is a replay
		write(&pembav1.WriteRequest{
			Updates:       []*pembav1.Update{create(tuple("team:y", "member", "user:y"))},
			Preconditions: []*pembav1.Precondition{mustMatch(viewers), mustHold(&pembav1.PermissionCondition{Object: "project:p1", Permission: "view", Subject: "user:ana"})},
		}),
		write(&pembav1.WriteRequest{Updates: []*pembav1.Update{deleteMatching(viewers, 10, true), deleteObject("team:core")}}),
	}
	calls[pembav1.SchemaService_WriteSchema_FullMethodName] = []func() error{
		func() error {
			_, err := w.schemas.WriteSchema(ctx, &pembav1.WriteSchemaRequest{Store: store, Schema: worldSchema + "\ndefinition a {}", DryRun: true})
			return err
		},
		func() error {
			_, err := w.schemas.WriteSchema(ctx, &pembav1.WriteSchemaRequest{Store: store, Schema: worldSchema + "\ndefinition a {}"})
			return err
		},
	}
	calls[pembav1.StoreService_DeleteStore_FullMethodName] = []func() error{func() error {
		_, err := w.stores.DeleteStore(ctx, &pembav1.DeleteStoreRequest{Store: store})
		return err
	}}
	return calls
}

// readsNothing are the RPCs that need no key of any store.
var readsNothing = []string{
	pembav1.StoreService_ListStores_FullMethodName, pembav1.StoreService_CreateStore_FullMethodName, pembav1.StoreService_DeleteStore_FullMethodName,
	pembav1.SchemaService_ReadSchema_FullMethodName, pembav1.SchemaService_DiffSchema_FullMethodName, // of the schema in force, which is in memory
}

// Whatever is asked of a store, by whichever RPC, no key outside it is sought or found.
func TestNoRequestReadsAnotherStore(t *testing.T) {
	w, log := newTenants(t)
	names, calls := everyRPC(t, w, "b")
	for _, name := range names {
		for i, call := range calls[name] {
			reads := log.during(func() {
				if err := call(); err != nil {
					t.Errorf("%s, request %d: %v", name, i, err)
				}
			})
			own := reads[tenantNumbers["b"]]
			delete(reads, tenantNumbers["b"])
			if len(reads) > 0 {
				t.Errorf("%s, request %d: read %v, by store", name, i, reads)
			}
			if own == 0 && !slices.Contains(readsNothing, name) {
				t.Errorf("%s, request %d: nothing was read", name, i)
			}
		}
	}
}

// The test above would see it: what the same requests read of the stores beside is
// seen, of each of them.
func TestARequestThatReadsAnotherStoreIsSeen(t *testing.T) {
	w, log := newTenants(t)
	for _, other := range []string{"a", "c"} {
		names, calls := everyRPC(t, w, other)
		for _, name := range names {
			for i, call := range calls[name] {
				reads := log.during(func() {
					if err := call(); err != nil {
						t.Errorf("%s, request %d: %v", name, i, err)
					}
				})
				if reads[tenantNumbers[other]] == 0 && !slices.Contains(readsNothing, name) {
					t.Errorf("%s, request %d: its reads of store %s are not seen", name, i, other)
				}
			}
		}
	}
}

// No RPC is left out above.
func TestEveryRPCIsAskedOfOneStore(t *testing.T) {
	w, _ := newTenants(t)
	_, calls := everyRPC(t, w, "b")
	for _, desc := range []grpc.ServiceDesc{
		pembav1.PermissionService_ServiceDesc, pembav1.TupleService_ServiceDesc, pembav1.SchemaService_ServiceDesc, pembav1.StoreService_ServiceDesc,
	} {
		var methods []string
		for _, m := range desc.Methods {
			methods = append(methods, m.MethodName)
		}
		for _, s := range desc.Streams {
			methods = append(methods, s.StreamName)
		}
		for _, m := range methods {
			name := fmt.Sprintf("/%s/%s", desc.ServiceName, m)
			if calls[name] == nil {
				t.Errorf("no request of %s is above", name)
			}
		}
	}
}
