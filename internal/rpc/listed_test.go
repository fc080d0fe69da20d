package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/service"
)

// objects are all entries of a list, page by page.
func (w *world) objects(t testing.TB, request *pembav1.ListObjectsRequest) (all []*pembav1.ListedObject, pages int) {
	t.Helper()
	request = proto.CloneOf(request)
	snapshot := ""
	for {
		answer, err := w.permissions.ListObjects(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if answer.GetSnapshot() == "" || snapshot != "" && answer.GetSnapshot() != snapshot {
			t.Errorf("page %d is of %q, the first one of %q", pages, answer.GetSnapshot(), snapshot)
		}
		snapshot = answer.GetSnapshot()
		if size := request.GetPageSize(); size > 0 && len(answer.GetObjects()) > int(size) {
			t.Errorf("%d entries on a page of %d", len(answer.GetObjects()), size)
		}
		all = append(all, answer.GetObjects()...)
		if request.PageToken = answer.GetNextPageToken(); request.GetPageToken() == "" {
			return all, pages
		}
	}
}

// subjects are all entries of a list, page by page.
func (w *world) subjects(t testing.TB, request *pembav1.ListSubjectsRequest) (all []*pembav1.ListedSubject, pages int) {
	t.Helper()
	request = proto.CloneOf(request)
	snapshot := ""
	for {
		answer, err := w.permissions.ListSubjects(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if answer.GetSnapshot() == "" || snapshot != "" && answer.GetSnapshot() != snapshot {
			t.Errorf("page %d is of %q, the first one of %q", pages, answer.GetSnapshot(), snapshot)
		}
		snapshot = answer.GetSnapshot()
		all = append(all, answer.GetSubjects()...)
		if request.PageToken = answer.GetNextPageToken(); request.GetPageToken() == "" {
			return all, pages
		}
	}
}

// objectTexts are entries as "object role", sorted; a conditional one with what it needs.
func objectTexts(all []*pembav1.ListedObject) []string {
	var texts []string
	for _, o := range all {
		texts = append(texts, entryText(o.GetObject(), o.GetRole(), o.GetConditionalRole(), o.GetResult(), o.GetMissing()))
	}
	slices.Sort(texts)
	return texts
}

func subjectTexts(all []*pembav1.ListedSubject) []string {
	var texts []string
	for _, s := range all {
		texts = append(texts, entryText(s.GetSubject(), s.GetRole(), s.GetConditionalRole(), s.GetResult(), s.GetMissing()))
	}
	slices.Sort(texts)
	return texts
}

func entryText(reference, role, conditional string, result pembav1.Result, missing []*pembav1.Missing) string {
	text := reference
	if role != "" {
		text += " " + role
	}
	if conditional != "" {
		text += " or " + conditional
	}
	if result == pembav1.Result_RESULT_CONDITIONAL {
		text += " needs " + missingText(missing)
	}
	return text
}

func mustList(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

const listTuples = `
organization:other#admin@user:gus
project:p3#organization@organization:other
project:q#organization@organization:other
project:p2#organization@organization:acme
project:p2#viewer@user:eve
project:p3#editor@user:sam
project:p3#viewer@team:core#member
project:q#editor@user:sam
project:q#banned@user:sam
`

func newListWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	write(t, w.service, listTuples)
	return w
}

func TestObjectsAreListedWithTheirRoles(t *testing.T) {
	w := newListWorld(t)
	for _, c := range []struct {
		name   string
		change func(*pembav1.ListObjectsRequest)
		want   []string
	}{
		{"an admin of the organization", func(*pembav1.ListObjectsRequest) {}, []string{"project:p1 owner", "project:p2 owner"}},
		{"a member of it", func(r *pembav1.ListObjectsRequest) { r.Subject = "user:mia" }, []string{"project:p1 viewer", "project:p2 viewer"}},
		{"two ways, and a ban", func(r *pembav1.ListObjectsRequest) { r.Subject = "user:sam" }, []string{"project:p1 viewer", "project:p3 editor"}},
		{"another name", func(r *pembav1.ListObjectsRequest) { r.Subject, r.Permission = "user:sam", "edit" }, []string{"project:p3 editor"}},
		{"a relation", func(r *pembav1.ListObjectsRequest) { r.Subject, r.Permission = "user:sam", "banned" }, []string{"project:q"}},
		{"a group", func(r *pembav1.ListObjectsRequest) { r.Subject = "team:sub#member" }, []string{"project:p1 viewer", "project:p3 viewer"}},
		{"another type", func(r *pembav1.ListObjectsRequest) {
			r.ObjectType, r.Permission, r.Subject = "team", "member", "user:sam"
		}, []string{"team:core", "team:sub"}},
		{"together with a link", func(r *pembav1.ListObjectsRequest) {
			r.Subject, r.AdditionalSubjects = "user:zoe", []string{"link:l1"}
		}, []string{"project:p1 viewer"}},
		{"nobody", func(r *pembav1.ListObjectsRequest) { r.Subject = "user:zoe" }, nil},
		{"by a role", func(r *pembav1.ListObjectsRequest) { r.Subject, r.MinRole = "user:sam", "editor" }, []string{"project:p3 editor"}},
		{"by the beginning of the id", func(r *pembav1.ListObjectsRequest) { r.IdPrefix = "p2" }, []string{"project:p2 owner"}},
		{"by a beginning that none has", func(r *pembav1.ListObjectsRequest) { r.IdPrefix = "p22" }, nil},
		{"inside an object", func(r *pembav1.ListObjectsRequest) { r.Subject, r.Within = "user:sam", "organization:acme" }, []string{"project:p1 viewer"}},
		{"inside one that is not there", func(r *pembav1.ListObjectsRequest) { r.Within = "organization:nowhere" }, nil},
		{"with a tuple of its own", func(r *pembav1.ListObjectsRequest) {
			r.Subject, r.ContextualTuples = "user:zoe", []*pembav1.Tuple{tuple("project:p9", "editor", "user:zoe"), tuple("team:sub", "member", "user:zoe")}
		}, []string{"project:p1 viewer", "project:p3 viewer", "project:p9 editor"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []uint32{0, 1, 2} {
				all, _ := w.objects(t, goodObjects(func(r *pembav1.ListObjectsRequest) { c.change(r); r.PageSize = size }))
				mustList(t, objectTexts(all), c.want...)
			}
		})
	}
}

func TestSubjectsAreListedWithTheirRoles(t *testing.T) {
	w := newListWorld(t)
	for _, c := range []struct {
		name   string
		change func(*pembav1.ListSubjectsRequest)
		want   []string
	}{
		{"whoever has anything", func(*pembav1.ListSubjectsRequest) {}, []string{"user:ana owner", "user:eve editor", "user:mia viewer", "user:sam viewer"}},
		{"a permission", func(r *pembav1.ListSubjectsRequest) { r.Permission = "edit" }, []string{"user:ana owner", "user:eve editor"}},
		{"a relation", func(r *pembav1.ListSubjectsRequest) { r.Permission = "banned" }, []string{"user:bad"}},
		{"another type", func(r *pembav1.ListSubjectsRequest) { r.SubjectType = "link" }, []string{"link:l1 viewer"}},
		{"groups", func(r *pembav1.ListSubjectsRequest) { r.SubjectType, r.SubjectRelation = "team", "member" }, []string{"team:core#member viewer", "team:sub#member viewer"}},
		{"an object that is not there", func(r *pembav1.ListSubjectsRequest) { r.Object = "project:zzz" }, nil},
		{"with a tuple of its own", func(r *pembav1.ListSubjectsRequest) {
			r.ContextualTuples = []*pembav1.Tuple{tuple("team:sub", "member", "user:zoe")}
		}, []string{"user:ana owner", "user:eve editor", "user:mia viewer", "user:sam viewer", "user:zoe viewer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []uint32{0, 1, 2} {
				all, _ := w.subjects(t, goodSubjects(func(r *pembav1.ListSubjectsRequest) { c.change(r); r.PageSize = size }))
				mustList(t, subjectTexts(all), c.want...)
			}
		})
	}
}

// The first source is what gives the role.
func TestSubjectsSayWhereTheirAccessComesFrom(t *testing.T) {
	w := newListWorld(t)
	all, _ := w.subjects(t, goodSubjects(func(*pembav1.ListSubjectsRequest) {}))
	want := map[string]*pembav1.Source{
		"user:ana": {Role: "owner", Tuple: tuple("project:p1", "organization", "organization:acme"), Through: "organization:acme#admin"},
		"user:eve": {Role: "editor", Tuple: tuple("project:p1", "editor", "user:eve")},
		"user:mia": {Role: "viewer", Tuple: tuple("project:p1", "organization", "organization:acme"), Through: "organization:acme#member"},
		"user:sam": {Role: "viewer", Tuple: tuple("project:p1", "viewer", "team:core#member"), Through: "team:core#member"},
	}
	if len(all) != len(want) {
		t.Errorf("got %v", all)
	}
	for _, s := range all {
		if len(s.GetSources()) == 0 || !proto.Equal(s.GetSources()[0], want[s.GetSubject()]) {
			t.Errorf("%s has it from %v", s.GetSubject(), s.GetSources())
		}
	}
	groups, _ := w.subjects(t, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.SubjectType, r.SubjectRelation = "team", "member" }))
	for _, s := range groups {
		through := map[string]string{"team:core#member": "", "team:sub#member": "team:core#member"}[s.GetSubject()]
		if len(s.GetSources()) == 0 || s.GetSources()[0].GetThrough() != through {
			t.Errorf("%s has it from %v", s.GetSubject(), s.GetSources())
		}
	}
}

// Everybody is one entry, with those whom it does not reach, and who has access in
// another way has an entry beside.
func TestEverybodyIsOneSubject(t *testing.T) {
	w := newListWorld(t)
	write(t, w.service, "project:p1#viewer@user:*\nproject:p1#banned@user:joe")
	all, _ := w.subjects(t, goodSubjects(func(*pembav1.ListSubjectsRequest) {}))
	mustList(t, subjectTexts(all), "user:* viewer", "user:ana owner", "user:eve editor", "user:mia viewer", "user:sam viewer")
	for size := range uint32(4) {
		var exceptions []string
		all, _ := w.subjects(t, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.PageSize = size }))
		for _, s := range all {
			for _, e := range s.GetExceptions() {
				exceptions = append(exceptions, s.GetSubject()+" "+e.GetSubject()+" "+e.GetResult().String())
			}
		}
		slices.Sort(exceptions)
		mustList(t, exceptions, "user:* user:bad RESULT_DENIED", "user:* user:joe RESULT_DENIED")
	}
}

func TestWhatHangsOnAConditionIsListedOnRequest(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	fill(t, w.service, fuzzSchema, fuzzTuples)
	doors := &pembav1.ListObjectsRequest{ObjectType: "door", Permission: "open", Subject: "user:ana"}
	openers := &pembav1.ListSubjectsRequest{Object: "door:1", Permission: "open", SubjectType: "user"}
	both := func(conditional bool, context map[string]any, objects, subjects []string) {
		t.Helper()
		doors.IncludeConditional, openers.IncludeConditional = conditional, conditional
		doors.Context, openers.Context = structOf(t, context), structOf(t, context)
		listed, _ := w.objects(t, doors)
		mustList(t, objectTexts(listed), objects...)
		who, _ := w.subjects(t, openers)
		mustList(t, subjectTexts(who), subjects...)
	}
	both(false, nil, nil, nil)
	all, _ := w.subjects(t, &pembav1.ListSubjectsRequest{Object: "door:1", Permission: "open", SubjectType: "user", IncludeConditional: true})
	if len(all) != 2 {
		t.Fatalf("got %v", all)
	}
	for _, s := range all {
		parameters := map[string][]string{"user:ana": {"closes", "now"}, "user:eve": {"closes", "now", "opens"}}[s.GetSubject()]
		if s.GetResult() != pembav1.Result_RESULT_CONDITIONAL || len(s.GetMissing()) != 1 || !slices.Equal(s.GetMissing()[0].GetParameters(), parameters) {
			t.Errorf("got %v", s)
		}
	}
	listed, _ := w.objects(t, &pembav1.ListObjectsRequest{ObjectType: "door", Permission: "open", Subject: "user:ana", IncludeConditional: true})
	if len(listed) != 1 || listed[0].GetResult() != pembav1.Result_RESULT_CONDITIONAL || !slices.Equal(listed[0].GetMissing()[0].GetParameters(), []string{"closes", "now"}) {
		t.Errorf("got %v", listed)
	}
	both(false, map[string]any{"now": 10, "closes": 18, "opens": 11}, []string{"door:1"}, []string{"user:ana"})
	both(true, map[string]any{"now": 8, "closes": 18, "opens": 9}, nil, nil)
}

// All pages are of the first page's snapshot, and a token fits its own list alone.
func TestAListGoesOnWhereItWas(t *testing.T) {
	w := newListWorld(t)
	objects := goodObjects(func(r *pembav1.ListObjectsRequest) { r.PageSize = 1 })
	firstObjects, err := w.permissions.ListObjects(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	subjects := goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.PageSize = 1 })
	firstSubjects, err := w.permissions.ListSubjects(t.Context(), subjects)
	if err != nil {
		t.Fatal(err)
	}
	if firstObjects.GetNextPageToken() == "" || firstSubjects.GetNextPageToken() == "" {
		t.Fatal("one entry was all")
	}
	write(t, w.service, "project:a#organization@organization:acme\nproject:z#organization@organization:acme\nproject:p1#viewer@user:aaa\nproject:p1#viewer@user:zzz\nproject:p1#banned@user:sam")

	objects.PageToken, objects.PageSize = firstObjects.GetNextPageToken(), 100
	restObjects, _ := w.objects(t, objects)
	mustList(t, objectTexts(append(firstObjects.GetObjects(), restObjects...)), "project:p1 owner", "project:p2 owner")
	subjects.PageToken, subjects.PageSize = firstSubjects.GetNextPageToken(), 100
	restSubjects, _ := w.subjects(t, subjects)
	mustList(t, subjectTexts(append(firstSubjects.GetSubjects(), restSubjects...)), "user:ana owner", "user:eve editor", "user:mia viewer", "user:sam viewer")

	other := newListWorld(t)
	const unfit = "PAGE_TOKEN_MUST_FIT_THE_REQUEST"
	for _, c := range []struct {
		name    string
		world   *world
		request proto.Message
		code    codes.Code
		reason  string
	}{
		{"another name", w, goodObjects(func(r *pembav1.ListObjectsRequest) { r.Permission, r.PageToken = "edit", objects.GetPageToken() }), codes.InvalidArgument, unfit},
		{"another filter", w, goodObjects(func(r *pembav1.ListObjectsRequest) { r.IdPrefix, r.PageToken = "p", objects.GetPageToken() }), codes.InvalidArgument, unfit},
		{"a token of subjects", w, goodObjects(func(r *pembav1.ListObjectsRequest) { r.PageToken = subjects.GetPageToken() }), codes.InvalidArgument, unfit},
		{"a token of objects", w, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.PageToken = objects.GetPageToken() }), codes.InvalidArgument, unfit},
		{"another permission", w, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Permission, r.PageToken = "view", subjects.GetPageToken() }), codes.InvalidArgument, unfit},
		{"objects of another store", other, objects, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE"},
		{"subjects of another store", other, subjects, codes.FailedPrecondition, "SNAPSHOT_MUST_BE_OF_THIS_STORE"},
	} {
		t.Run(c.name, func(t *testing.T) { mustRefuse(t, c.world.send(t, c.request), c.code, c.reason) })
	}
	same := proto.CloneOf(objects)
	same.Store, same.Consistency = "default", &pembav1.Consistency{}
	if err := w.send(t, same); err != nil {
		t.Errorf("the same request, written otherwise: %v", err)
	}
}

// A typing mistake must not look like nothing.
func TestAListKnowsTheSchema(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		request proto.Message
		reason  string
		field   string
	}{
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.ObjectType = "projekt" }), "TYPE_MUST_EXIST", "object_type"},
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.Permission = "veiw" }), "NAME_MUST_EXIST", "permission"},
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.Subject = "usr:ana" }), "TYPE_MUST_EXIST", "subject"},
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.AdditionalSubjects = []string{"lnk:l1"} }), "TYPE_MUST_EXIST", "additional_subjects"},
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.Within = "organisation:acme" }), "TYPE_MUST_EXIST", "within"},
		{goodObjects(func(r *pembav1.ListObjectsRequest) { r.MinRole = "edtor" }), "NAME_MUST_EXIST", "min_role"},
		{goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Object = "projekt:p1" }), "TYPE_MUST_EXIST", "object"},
		{goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Permission = "veiw" }), "NAME_MUST_EXIST", "permission"},
		{goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.SubjectType = "usr" }), "TYPE_MUST_EXIST", "subject_type"},
		{goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.SubjectType, r.SubjectRelation = "team", "membr" }), "NAME_MUST_EXIST", "subject_relation"},
	} {
		r := mustRefuse(t, w.send(t, c.request), codes.InvalidArgument, c.reason)
		if !slices.Equal(r.fields(), []string{c.field}) {
			t.Errorf("the violations are in %q, not in %q", r.fields(), c.field)
		}
	}
	unfit := []*pembav1.Tuple{tuple("project:p1", "viewr", "user:ana")}
	mustRefuse(t, w.send(t, goodObjects(func(r *pembav1.ListObjectsRequest) { r.ContextualTuples = unfit })), codes.FailedPrecondition, "NOT_IN_SCHEMA")
	mustRefuse(t, w.send(t, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.ContextualTuples = unfit })), codes.FailedPrecondition, "NOT_IN_SCHEMA")
}

// Pages of long references are shorter than was asked for, and nothing is lost.
func TestLargeListsFitMessages(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 1000)
	const batches = 4
	for batch := range batches {
		updates := make([]*pembav1.Update, 0, updatesMax)
		for i := range updatesMax / 2 {
			updates = append(updates,
				create(tuple(fmt.Sprintf("team:%d-%d-%s", i, batch, long), "member", "user:ana")),
				create(tuple("project:p1", "viewer", fmt.Sprintf("user:%d-%d-%s", i, batch, long))))
		}
		if _, err := w.tuples.Write(t.Context(), goodWrite(updates...)); err != nil {
			t.Fatal(err)
		}
	}
	const each = batches * updatesMax / 2
	objects, pages := w.objects(t, &pembav1.ListObjectsRequest{ObjectType: "team", Permission: "member", Subject: "user:ana", PageSize: 10_000})
	if seen := slices.Compact(objectTexts(objects)); len(seen) != each || len(objects) != each {
		t.Errorf("%d objects, %d of them different, on %d pages", len(objects), len(seen), pages)
	}
	// Each subject comes with its source, which is as long: one page is too small.
	subjects, pages := w.subjects(t, &pembav1.ListSubjectsRequest{Object: "project:p1", Permission: "view", SubjectType: "user", PageSize: 10_000})
	if seen := slices.Compact(subjectTexts(subjects)); len(seen) != each+4 || len(subjects) != each+4 || pages < 2 {
		t.Errorf("%d subjects, %d of them different, on %d pages", len(subjects), len(seen), pages)
	}
}

// A wildcard with more exceptions than a message holds comes again with the others.
func TestManyExceptionsFitMessages(t *testing.T) {
	w := newWorld(t)
	write(t, w.service, "project:p1#viewer@user:*")
	long := strings.Repeat("x", 1000)
	const batches = 4
	for batch := range batches {
		updates := make([]*pembav1.Update, updatesMax)
		for i := range updates {
			updates[i] = create(tuple("project:p1", "banned", fmt.Sprintf("user:%d-%d-%s", i, batch, long)))
		}
		if _, err := w.tuples.Write(t.Context(), goodWrite(updates...)); err != nil {
			t.Fatal(err)
		}
	}
	subjects, pages := w.subjects(t, goodSubjects(func(r *pembav1.ListSubjectsRequest) { r.Permission, r.PageSize = "view", 10_000 }))
	excepted := make(map[string]int)
	for _, s := range subjects {
		if len(s.GetExceptions()) > 0 && s.GetSubject() != "user:*" {
			t.Errorf("%.20s has exceptions", s.GetSubject())
		}
		for _, e := range s.GetExceptions() {
			excepted[e.GetSubject()]++
		}
	}
	if len(excepted) != batches*updatesMax+1 || excepted["user:bad"] != 1 || pages < 2 {
		t.Errorf("%d exceptions on %d pages", len(excepted), pages)
	}
}
