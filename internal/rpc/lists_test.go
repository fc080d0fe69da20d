package rpc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

func goodObjects(change func(*pembav1.ListObjectsRequest)) *pembav1.ListObjectsRequest {
	r := &pembav1.ListObjectsRequest{ObjectType: "project", Permission: "view", Subject: "user:ana"}
	change(r)
	return r
}

func goodSubjects(change func(*pembav1.ListSubjectsRequest)) *pembav1.ListSubjectsRequest {
	r := &pembav1.ListSubjectsRequest{Object: "project:p1", SubjectType: "user"}
	change(r)
	return r
}

func refusedLists() []refused {
	return []refused{
		{"nothing of objects", &pembav1.ListObjectsRequest{}, []string{"object_type " + missing, "permission " + missing, "subject " + missing}},
		{
			"every part of a list of objects",
			&pembav1.ListObjectsRequest{
				Store: "!", ObjectType: "Project", Permission: "View", Subject: "user:*", AdditionalSubjects: []string{"x"},
				ContextualTuples: []*pembav1.Tuple{{}}, Within: "acme", MinRole: "Editor", IdPrefix: "#", PageSize: 10_001,
			},
			[]string{
				"store STORE_NAME_MUST_BE_VALID", "object_type TYPE_NAME_MUST_BE_VALID", "permission NAME_MUST_BE_VALID",
				"subject SUBJECT_MUST_BE_CONCRETE", "additional_subjects[0] OBJECT_MUST_HAVE_TYPE",
				"contextual_tuples[0].object " + missing, "contextual_tuples[0].relation " + missing, "contextual_tuples[0].subject " + missing,
				"within OBJECT_MUST_HAVE_TYPE", "min_role NAME_MUST_BE_VALID", "id_prefix ID_MUST_BE_VALID", "page_size " + bounds,
			},
		},
		{"inside everything", goodObjects(func(r *pembav1.ListObjectsRequest) { r.Within = "organization:*" }), []string{"within OBJECT_MUST_BE_CONCRETE"}},
		{"a long prefix of ids", goodObjects(func(r *pembav1.ListObjectsRequest) { r.IdPrefix = strings.Repeat("p", 1025) }), []string{"id_prefix ID_MUST_BE_VALID"}},
		{"a page token of objects", goodObjects(func(r *pembav1.ListObjectsRequest) { r.PageToken = "!" }), []string{"page_token PAGE_TOKEN_MUST_BE_READABLE"}},
		{"many contextual tuples of a list", goodObjects(func(r *pembav1.ListObjectsRequest) { r.ContextualTuples = make([]*pembav1.Tuple, 101) }), []string{"contextual_tuples " + bounds}},

		{"nothing of subjects", &pembav1.ListSubjectsRequest{}, []string{"object " + missing, "subject_type " + missing}},
		{
			"every part of a list of subjects",
			&pembav1.ListSubjectsRequest{
				Store: "!", Object: "project:*", Permission: "View", SubjectType: "user#", SubjectRelation: "...",
				ContextualTuples: []*pembav1.Tuple{tuple("team:core", "Lead", "user:ana")}, PageSize: 1<<32 - 1,
			},
			[]string{
				"store STORE_NAME_MUST_BE_VALID", "object OBJECT_MUST_BE_CONCRETE", "permission NAME_MUST_BE_VALID",
				"subject_type TYPE_NAME_MUST_BE_VALID", "subject_relation NAME_MUST_BE_VALID",
				"contextual_tuples[0].relation NAME_MUST_BE_VALID", "page_size " + bounds,
			},
		},
		{"a page token of subjects", goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.PageToken = strings.Repeat("a", 1<<20) }), []string{"page_token PAGE_TOKEN_MUST_BE_READABLE"}},
		{"a snapshot of a list", goodSubjects(func(r *pembav1.ListSubjectsRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: "yesterday"}}
		}), []string{"consistency.at_exact_snapshot SNAPSHOT_MUST_BE_READABLE"}},
	}
}

// Every field but page_size and page_token is an argument of a list: a token of one
// request fits no other of these.
func TestEveryFieldOfAListIsAnArgument(t *testing.T) {
	snapshot := rel.Snapshot{Revision: 1}.Token()
	now, later := structOf(t, map[string]any{"now": 1}), structOf(t, map[string]any{"now": 2})
	member := tuple("team:core", "member", "user:ana")
	until := expiring(tuple("team:core", "member", "user:ana"), 4_000_000_000, 0)
	objects := []*pembav1.ListObjectsRequest{goodObjects(func(*pembav1.ListObjectsRequest) {})}
	for _, change := range []func(*pembav1.ListObjectsRequest){
		func(r *pembav1.ListObjectsRequest) { r.Store = "b" },
		func(r *pembav1.ListObjectsRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: snapshot}}
		},
		func(r *pembav1.ListObjectsRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: snapshot}}
		},
		func(r *pembav1.ListObjectsRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: timestamppb.New(time.Unix(1, 0))}}
		},
		func(r *pembav1.ListObjectsRequest) { r.ObjectType = "team" },
		func(r *pembav1.ListObjectsRequest) { r.Permission = "edit" },
		func(r *pembav1.ListObjectsRequest) { r.Subject = "user:mia" },
		func(r *pembav1.ListObjectsRequest) { r.Subject = "user:ana#member" },
		func(r *pembav1.ListObjectsRequest) { r.AdditionalSubjects = []string{"link:l1"} },
		func(r *pembav1.ListObjectsRequest) { r.AdditionalSubjects = []string{"link:l1", "link:l2"} },
		func(r *pembav1.ListObjectsRequest) { r.AdditionalSubjects = []string{"link:l1+link:l2"} },
		func(r *pembav1.ListObjectsRequest) { r.Context = now },
		func(r *pembav1.ListObjectsRequest) { r.Context = later },
		func(r *pembav1.ListObjectsRequest) { r.ContextualTuples = []*pembav1.Tuple{member} },
		func(r *pembav1.ListObjectsRequest) { r.ContextualTuples = []*pembav1.Tuple{member, until} },
		func(r *pembav1.ListObjectsRequest) { r.ContextualTuples = []*pembav1.Tuple{until, member} },
		func(r *pembav1.ListObjectsRequest) {
			r.ContextualTuples = []*pembav1.Tuple{caveated(tuple("team:core", "member", "user:ana"), "c", now)}
		},
		func(r *pembav1.ListObjectsRequest) { r.Within = "organization:acme" },
		func(r *pembav1.ListObjectsRequest) { r.MinRole = "editor" },
		func(r *pembav1.ListObjectsRequest) { r.IdPrefix = "editor" },
		func(r *pembav1.ListObjectsRequest) { r.IdPrefix = "organization:acme" },
		func(r *pembav1.ListObjectsRequest) { r.IncludeConditional = true },
	} {
		objects = append(objects, goodObjects(change))
	}
	seen := map[string]int{}
	for i, r := range objects {
		query, err := objectsQuery(r)
		if err != nil {
			t.Fatal(err)
		}
		mustBeNew(t, seen, i, objectsArguments(query))
		again, err := objectsQuery(goodObjects(func(x *pembav1.ListObjectsRequest) { proto.Merge(x, r); x.PageSize = 7 }))
		if r.GetAdditionalSubjects() == nil && r.GetContextualTuples() == nil && (err != nil || !slices.Equal(objectsArguments(again), objectsArguments(query))) {
			t.Errorf("request %d with another page size: %v, %q", i, err, objectsArguments(again))
		}
	}

	subjects := []*pembav1.ListSubjectsRequest{goodSubjects(func(*pembav1.ListSubjectsRequest) {})}
	for _, change := range []func(*pembav1.ListSubjectsRequest){
		func(r *pembav1.ListSubjectsRequest) { r.Store = "b" },
		func(r *pembav1.ListSubjectsRequest) {
			r.Consistency = &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: snapshot}}
		},
		func(r *pembav1.ListSubjectsRequest) { r.Object = "project:p2" },
		func(r *pembav1.ListSubjectsRequest) { r.Permission = "member" },
		func(r *pembav1.ListSubjectsRequest) { r.SubjectType = "link" },
		func(r *pembav1.ListSubjectsRequest) { r.SubjectRelation = "member" },
		func(r *pembav1.ListSubjectsRequest) { r.Context = now },
		func(r *pembav1.ListSubjectsRequest) { r.ContextualTuples = []*pembav1.Tuple{until, member} },
		func(r *pembav1.ListSubjectsRequest) { r.ContextualTuples = []*pembav1.Tuple{member, until} },
		func(r *pembav1.ListSubjectsRequest) { r.IncludeConditional = true },
	} {
		subjects = append(subjects, goodSubjects(change))
	}
	for i, r := range subjects {
		query, err := subjectsQuery(r)
		if err != nil {
			t.Fatal(err)
		}
		mustBeNew(t, seen, i, subjectsArguments(query))
	}
}

// mustBeNew sees that no request before had the same arguments, as a page sees them.
func mustBeNew(t *testing.T, seen map[string]int, request int, arguments []string) {
	t.Helper()
	framed := strings.Join(arguments, "\x00")
	if before, is := seen[framed]; is {
		t.Errorf("requests %d and %d have the same arguments %q", before, request, arguments)
	}
	seen[framed] = request
}

// The same request, written otherwise, has the same arguments.
func TestWhatMeansTheSameIsTheSameArgument(t *testing.T) {
	plain, err := objectsQuery(goodObjects(func(r *pembav1.ListObjectsRequest) { r.AdditionalSubjects = []string{"link:l1", "link:l2"} }))
	if err != nil {
		t.Fatal(err)
	}
	other, err := objectsQuery(goodObjects(func(r *pembav1.ListObjectsRequest) {
		r.Store, r.PageSize, r.Consistency = "default", 10, &pembav1.Consistency{}
		r.AdditionalSubjects = []string{"link:l2", "link:l1", "link:l1"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(objectsArguments(plain), objectsArguments(other)) {
		t.Errorf("%q and %q", objectsArguments(plain), objectsArguments(other))
	}
}

// What an entry is said to take is what it takes at most, also where all of it is as
// long as it may be, and not twice that.
func TestEntriesOfListsAreMeasured(t *testing.T) {
	name := func(letter string) rel.Name { return rel.Name(strings.Repeat(letter, rel.NameBytesMax)) }
	typ := strings.Repeat("t", rel.NameBytesMax) + strings.Repeat("/"+strings.Repeat("t", rel.NameBytesMax-1), 3)
	id := strings.Repeat("x", rel.IDBytesMax)
	short, long := mustTuple(t, "a:b#c@d:e"), mustTuple(t, typ+":"+id+"#"+string(name("r"))+"@"+typ+":"+id+"#"+string(name("s")))
	conditional := long
	conditional.Caveat.Name = "c"
	conditional.Caveat.Context = mustContext(t, map[string]any{"list": make([]any, 1000)})
	open := []engine.Missing{
		{Parameters: []string{string(name("p")), "q"}, Caveat: "c", Tuple: long.Key, Problem: strings.Repeat("…", 10_000)},
		{Parameters: []string{"q"}, Caveat: "c", Tuple: short.Key},
	}
	for i, o := range []engine.ListedObject{
		{Object: short.Object, Result: engine.Granted},
		{Object: long.Object, Result: engine.Granted, Role: name("a"), ConditionalRole: name("b")},
		{Object: long.Object, Result: engine.Conditional, Role: name("a"), ConditionalRole: name("b"), Missing: open},
	} {
		answer := objectsResponse(service.ObjectsAnswer{Objects: []engine.ListedObject{o}})
		mustMeasure(t, i, sizeOfListedObject(o), proto.Size(&pembav1.ListObjectsResponse{Objects: answer.GetObjects()}))
	}
	exceptions := []engine.Exception{{Subject: short.Subject}, {Subject: long.Subject, Result: engine.Conditional, Missing: open}}
	sources := []engine.Source{{}, {Role: name("a"), Tuple: long, Through: long.Subject}, {Tuple: conditional}, {Role: "a", Tuple: short, Through: short.Subject}}
	for i, s := range []engine.ListedSubject{
		{Subject: short.Subject, Result: engine.Granted},
		{Subject: long.Subject, Result: engine.Granted, Role: name("a"), ConditionalRole: name("b")},
		{Subject: long.Subject, Result: engine.Conditional, Role: name("a"), ConditionalRole: name("b"), Sources: sources, Exceptions: exceptions, Missing: open},
		{Subject: short.Subject, Result: engine.Granted, Sources: sources[:1]},
		{Subject: short.Subject, Result: engine.Granted, Sources: sources[3:], Exceptions: exceptions[:1]},
	} {
		answer := subjectsResponse(service.SubjectsAnswer{Subjects: []engine.ListedSubject{s}})
		mustMeasure(t, i, sizeOfListedSubject(s), proto.Size(&pembav1.ListSubjectsResponse{Subjects: answer.GetSubjects()}))
	}
}

func mustMeasure(t *testing.T, entry, said, takes int) {
	t.Helper()
	if said < takes || said > 2*takes+4*framingBytes {
		t.Errorf("entry %d: %d bytes are said, %d taken", entry, said, takes)
	}
}

func mustTuple(t *testing.T, text string) rel.Tuple {
	t.Helper()
	parsed, err := rel.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func mustContext(t *testing.T, values map[string]any) rel.Context {
	t.Helper()
	c, err := rel.NewContext(values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
