package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
)

func (w *world) createStore(t testing.TB, name string) *pembav1.CreateStoreResponse {
	t.Helper()
	answer, err := w.stores.CreateStore(t.Context(), &pembav1.CreateStoreRequest{Store: name})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (w *world) deleteStore(t testing.TB, name string) *pembav1.DeleteStoreResponse {
	t.Helper()
	answer, err := w.stores.DeleteStore(t.Context(), &pembav1.DeleteStoreRequest{Store: name})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// fillStore writes a schema and tuples into a store, through the API.
func (w *world) fillStore(t testing.TB, name, schema, tuples string) {
	t.Helper()
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Store: name, Schema: schema}); err != nil {
		t.Fatal(err)
	}
	request := &pembav1.WriteRequest{Store: name}
	for _, line := range strings.Fields(tuples) {
		object, rest, _ := strings.Cut(line, "#")
		relation, subject, _ := strings.Cut(rest, "@")
		request.Updates = append(request.Updates, create(tuple(object, relation, subject)))
	}
	w.mustWrite(t, request)
}

// names lists stores page by page.
func (w *world) names(t testing.TB, request *pembav1.ListStoresRequest) (names []string, pages int) {
	t.Helper()
	for {
		answer, err := w.stores.ListStores(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range answer.GetStores() {
			names = append(names, s.GetName())
		}
		pages++
		if request.PageToken = answer.GetNextPageToken(); request.PageToken == "" {
			return names, pages
		}
	}
}

func TestAStoreIsCreatedListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	before := time.Now().Add(-time.Second)
	made := w.createStore(t, "acme")
	s := made.GetStore()
	if s.GetName() != "acme" || s.GetSnapshot() != made.GetSnapshot() || made.GetSnapshot() == "" {
		t.Errorf("created %v", made)
	}
	if at := s.GetCreatedAt().AsTime(); at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("created at %v", at)
	}
	ask := &pembav1.CheckRequest{Store: "acme", Object: "project:p1", Permission: "view", Subject: "user:ana"}
	_, err := w.permissions.Check(t.Context(), ask)
	mustRefuse(t, err, codes.NotFound, "SCHEMA_MUST_EXIST")
	w.fillStore(t, "acme", worldSchema, worldTuples)
	if answer, err := w.permissions.Check(t.Context(), ask); err != nil || !answer.GetGranted() {
		t.Errorf("in the new store: %v, %v", answer, err)
	}
	list, err := w.stores.ListStores(t.Context(), &pembav1.ListStoresRequest{})
	if err != nil || len(list.GetStores()) != 2 || list.GetNextPageToken() != "" {
		t.Fatalf("listed %v, %v", list, err)
	}
	newest := list.GetStores()[0]
	if newest.GetName() != "acme" || newest.GetSnapshot() == made.GetSnapshot() || list.GetStores()[1].GetName() != "default" {
		t.Errorf("listed %v", list)
	}
	if last := w.deleteStore(t, "acme"); last.GetSnapshot() != newest.GetSnapshot() {
		t.Errorf("the last state was %v, listed as %v", last, newest)
	}
	_, err = w.permissions.Check(t.Context(), ask)
	r := mustRefuse(t, err, codes.NotFound, "STORE_MUST_EXIST")
	if !strings.Contains(r.message, "acme") || !strings.Contains(r.message, "pemba store list") {
		t.Errorf("says %q", r.message)
	}
}

func TestWhatCannotBeCreatedOrDeleted(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name            string
		code            codes.Code
		reason          string
		created, absent bool // what is refused of the two
	}{
		{"", codes.InvalidArgument, "FIELD_MUST_BE_SET", true, true},
		{"Acme", codes.InvalidArgument, "STORE_NAME_MUST_BE_VALID", true, true},
		{"-acme", codes.InvalidArgument, "STORE_NAME_MUST_BE_VALID", true, true},
		{strings.Repeat("a", 65), codes.InvalidArgument, "STORE_NAME_MUST_BE_VALID", true, true},
		{"default", codes.AlreadyExists, "ALREADY_EXISTS", true, false},
		{"acme", codes.NotFound, "STORE_MUST_EXIST", false, true},
	} {
		if c.created {
			_, err := w.stores.CreateStore(t.Context(), &pembav1.CreateStoreRequest{Store: c.name})
			r := mustRefuse(t, err, c.code, c.reason)
			if c.code == codes.InvalidArgument && !slices.Equal(r.fields(), []string{"store"}) {
				t.Errorf("creating %q is wrong in %v", c.name, r.fields())
			}
		}
		if c.absent {
			_, err := w.stores.DeleteStore(t.Context(), &pembav1.DeleteStoreRequest{Store: c.name})
			mustRefuse(t, err, c.code, c.reason)
		}
	}
	w.createStore(t, strings.Repeat("a", 64))
}

// Deleting the default store makes it anew: it is there, empty, and another one.
func TestTheDefaultStoreIsMadeAnewWhenItIsDeleted(t *testing.T) {
	w := newWorld(t)
	last := w.deleteStore(t, "default")
	names, _ := w.names(t, &pembav1.ListStoresRequest{})
	if !slices.Equal(names, []string{"default"}) {
		t.Errorf("there are %v", names)
	}
	_, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{})
	mustRefuse(t, err, codes.NotFound, "SCHEMA_MUST_EXIST")
	_, err = w.permissions.Check(t.Context(), &pembav1.CheckRequest{
		Object: "project:p1", Permission: "view", Subject: "user:ana",
		Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: last.GetSnapshot()}},
	})
	mustRefuse(t, err, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE")
}

// What a client holds of a deleted store opens nothing in the one that has its name.
func TestAStoreMadeAnewRefusesWhatIsOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.createStore(t, "acme")
	w.fillStore(t, "acme", worldSchema, worldTuples)
	page, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Store: "acme", PageSize: 2})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	old := page.GetSnapshot()
	w.deleteStore(t, "acme")
	_, err = w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Store: "acme", PageSize: 2, PageToken: page.GetNextPageToken()})
	mustRefuse(t, err, codes.NotFound, "STORE_MUST_EXIST")
	w.createStore(t, "acme")
	w.fillStore(t, "acme", worldSchema, worldTuples)
	ask := func(c *pembav1.Consistency) error {
		_, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Store: "acme", Object: "project:p1", Permission: "view", Subject: "user:ana", Consistency: c})
		return err
	}
	stream := w.watch(t, &pembav1.WatchRequest{Store: "acme", Start: &pembav1.WatchRequest_Snapshot{Snapshot: old}})
	_, watched := stream.Recv()
	_, paged := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{Store: "acme", PageSize: 2, PageToken: page.GetNextPageToken()})
	for name, err := range map[string]error{
		"as fresh": ask(&pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: old}}),
		"exactly":  ask(&pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: old}}),
		"a watch":  watched, "a page": paged,
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, err, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE") })
	}
}

// A watch of a store that is deleted has seen everything, and ends; watches of other
// stores go on.
func TestADeletionEndsTheWatchesOfItsStore(t *testing.T) {
	w := newWorld(t)
	w.createStore(t, "acme")
	w.fillStore(t, "acme", worldSchema, worldTuples)
	doomed := w.watch(t, &pembav1.WatchRequest{Store: "acme"})
	beside := w.watch(t, &pembav1.WatchRequest{})
	for _, stream := range []interface {
		Recv() (*pembav1.WatchResponse, error)
	}{doomed, beside} {
		if m, err := stream.Recv(); err != nil || !m.GetCheckpoint() {
			t.Fatal(m, err)
		}
	}
	w.mustWrite(t, &pembav1.WriteRequest{Store: "acme", Updates: []*pembav1.Update{touch(tuple("team:x", "member", "user:x"))}})
	w.deleteStore(t, "acme")
	last, err := doomed.Recv()
	if err == nil && len(last.GetChanges()) == 1 { // it may have been read before, or was not any more
		last, err = doomed.Recv()
	}
	if err == nil {
		t.Fatalf("the watch goes on with %v", last)
	}
	mustRefuse(t, err, codes.NotFound, "STORE_MUST_EXIST")
	w.mustWrite(t, &pembav1.WriteRequest{Updates: []*pembav1.Update{touch(tuple("team:x", "member", "user:x"))}})
	if m, err := beside.Recv(); err != nil || len(m.GetChanges()) != 1 {
		t.Errorf("the other store's watch: %v, %v", m, err)
	}
	// From where it was cut off, nothing can be watched.
	again := w.watch(t, &pembav1.WatchRequest{Store: "acme"})
	_, err = again.Recv()
	mustRefuse(t, err, codes.NotFound, "STORE_MUST_EXIST")
}

func TestStoresAreListedByNameInPages(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"eu-c", "us-a", "eu-a", "eu", "eu-b", "zz"} {
		w.createStore(t, name)
	}
	for _, c := range []struct {
		prefix string
		size   uint32
		want   string
		pages  int
	}{
		{"", 0, "default eu eu-a eu-b eu-c us-a zz", 1},
		{"", 7, "default eu eu-a eu-b eu-c us-a zz", 1},
		{"", 6, "default eu eu-a eu-b eu-c us-a zz", 2},
		{"", 1, "default eu eu-a eu-b eu-c us-a zz", 7},
		{"eu", 2, "eu eu-a eu-b eu-c", 2},
		{"eu-", 2, "eu-a eu-b eu-c", 2},
		{"eu-a", 1, "eu-a", 1},
		{"x", 1, "", 1},
	} {
		names, pages := w.names(t, &pembav1.ListStoresRequest{NamePrefix: c.prefix, PageSize: c.size})
		if strings.Join(names, " ") != c.want || pages != c.pages {
			t.Errorf("prefix %q, pages of %d: %v on %d pages", c.prefix, c.size, names, pages)
		}
	}
}

// What is there all the while is listed once, whatever comes and goes between pages.
func TestAListOfStoresGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		w.createStore(t, fmt.Sprintf("s%d", i))
	}
	page, err := w.stores.ListStores(t.Context(), &pembav1.ListStoresRequest{NamePrefix: "s", PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.deleteStore(t, "s2") // the last one of the page
	w.createStore(t, "s00")
	w.deleteStore(t, "s4")
	rest, _ := w.names(t, &pembav1.ListStoresRequest{NamePrefix: "s", PageToken: page.GetNextPageToken()})
	if !slices.Equal(rest, []string{"s3", "s5"}) {
		t.Errorf("goes on with %v", rest)
	}
}

func TestListsOfStoresThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.createStore(t, "acme")
	page, err := w.stores.ListStores(t.Context(), &pembav1.ListStoresRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	tuples, err := w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := page.GetNextPageToken()
	for _, c := range []struct {
		request *pembav1.ListStoresRequest
		reason  string
		field   string
	}{
		{&pembav1.ListStoresRequest{PageSize: service.PageSizeMax + 1}, "FIELD_MUST_BE_WITHIN_BOUNDS", "page_size"},
		{&pembav1.ListStoresRequest{NamePrefix: "Acme"}, "STORE_NAME_MUST_BE_VALID", "name_prefix"},
		{&pembav1.ListStoresRequest{NamePrefix: strings.Repeat("a", 65)}, "STORE_NAME_MUST_BE_VALID", "name_prefix"},
		{&pembav1.ListStoresRequest{PageToken: "nonsense"}, "PAGE_TOKEN_MUST_BE_READABLE", "page_token"},
		{&pembav1.ListStoresRequest{PageToken: token[1:]}, "PAGE_TOKEN_MUST_BE_READABLE", "page_token"},
		{&pembav1.ListStoresRequest{NamePrefix: "a", PageToken: token}, "PAGE_TOKEN_MUST_FIT_THE_REQUEST", "page_token"},
		{&pembav1.ListStoresRequest{PageToken: tuples.GetNextPageToken()}, "PAGE_TOKEN_MUST_FIT_THE_REQUEST", "page_token"},
	} {
		_, err := w.stores.ListStores(t.Context(), c.request)
		r := mustRefuse(t, err, codes.InvalidArgument, c.reason)
		if !slices.Equal(r.fields(), []string{c.field}) {
			t.Errorf("%v is wrong in %v", c.request, r.fields())
		}
	}
	_, err = w.tuples.ReadTuples(t.Context(), &pembav1.ReadTuplesRequest{PageToken: token})
	mustRefuse(t, err, codes.InvalidArgument, "PAGE_TOKEN_MUST_FIT_THE_REQUEST")
}

// Stores whose objects and request ids have the same names answer for themselves.
func TestTenantsDoNotSeeEachOther(t *testing.T) {
	w := newWorld(t)
	tenants := []string{"a", "b"}
	snapshots := map[string]string{}
	for _, name := range tenants {
		w.createStore(t, name)
		w.fillStore(t, name, worldSchema, worldTuples)
	}
	// The same id with other bodies, and once with the same.
	for _, name := range tenants {
		answer := w.mustWrite(t, &pembav1.WriteRequest{Store: name, RequestId: "r1", Updates: []*pembav1.Update{touch(tuple("project:p1", "viewer", "user:"+name))}})
		if answer.GetReplayed() || answer.GetCreatedCount() != 1 {
			t.Errorf("store %s: %v", name, answer)
		}
		snapshots[name] = answer.GetSnapshot()
		same := w.mustWrite(t, &pembav1.WriteRequest{Store: name, RequestId: "r2", Updates: []*pembav1.Update{touch(tuple("team:x", "member", "user:x"))}})
		if same.GetReplayed() {
			t.Errorf("store %s takes another's write for its own", name)
		}
	}
	for _, name := range tenants {
		for _, subject := range tenants {
			answer, err := w.permissions.Check(t.Context(), &pembav1.CheckRequest{Store: name, Object: "project:p1", Permission: "view", Subject: "user:" + subject})
			if err != nil || answer.GetGranted() != (name == subject) {
				t.Errorf("store %s of user %s: %v, %v", name, subject, answer, err)
			}
			_, err = w.permissions.Check(t.Context(), &pembav1.CheckRequest{
				Store: name, Object: "project:p1", Permission: "view", Subject: "user:ana",
				Consistency: &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: snapshots[subject]}},
			})
			if name == subject {
				if err != nil {
					t.Errorf("store %s refuses its own snapshot: %v", name, err)
				}
				continue
			}
			mustRefuse(t, err, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE")
		}
	}
	// A schema, and the end of one, is a store's own.
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Store: "a", Schema: worldSchema + "\ndefinition more {}"}); err != nil {
		t.Fatal(err)
	}
	w.deleteStore(t, "b")
	for name, version := range map[string]uint64{"a": 2, "default": 1} {
		schema, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{Store: name})
		if err != nil || schema.GetVersion() != version || strings.Contains(schema.GetSchema(), "definition more") != (name == "a") {
			t.Errorf("store %s has schema version %d, %v", name, schema.GetVersion(), err)
		}
	}
}
