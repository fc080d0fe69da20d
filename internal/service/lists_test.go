package service_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

const trials = `
use roles
use expiration
definition user {}
definition doc { roles { viewer: user | user with expiration; editor: user with expiration } }`

// withTrials is a store with ten documents of ana's, and ten readers of one of them, for
// an hour; and the questions for these.
func withTrials(t *testing.T) (f fixture, now *time.Time, objects service.ObjectsQuery, subjects service.SubjectsQuery) {
	t.Helper()
	clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f = openAt(t, &clock)
	f.schema(trials)
	until := "[expiration:" + clock.Add(time.Hour).Format(time.RFC3339) + "]"
	for i := range 10 {
		f.mustWrite(fmt.Sprintf("create doc:d%d#viewer@user:ana%s", i, until), fmt.Sprintf("create doc:x#viewer@user:u%d%s", i, until))
	}
	f.mustWrite("create doc:0b5d7d4a-0000-4000-8000-000000000001#viewer@user:ana", "create doc:x#viewer@user:0b5d7d4a-0000-4000-8000-000000000002")
	var brought service.Brought
	for _, text := range []string{"doc:d3#editor@user:ana", "doc:e#viewer@user:ana", "doc:x#editor@user:u3", "doc:x#viewer@user:v"} {
		tuple, err := rel.ParseTuple(text + until)
		if err != nil {
			t.Fatal(err)
		}
		brought.Contextual = append(brought.Contextual, tuple)
	}
	ana, err := rel.ParsePrincipal("user:ana")
	if err != nil {
		t.Fatal(err)
	}
	x, err := rel.ParseObject("doc:x")
	if err != nil {
		t.Fatal(err)
	}
	objects = service.ObjectsQuery{Store: rel.DefaultStore, Type: "doc", Name: "viewer", Principal: ana, Brought: brought, PageSize: 3, Page: service.FirstPage("objects")}
	subjects = service.SubjectsQuery{Store: rel.DefaultStore, Object: x, Name: "viewer", Type: "user", Brought: brought, PageSize: 3, Page: service.FirstPage("subjects")}
	return f, &clock, objects, subjects
}

// A list that was begun before access expired is answered to its end as it was begun.
func TestPagesOfListsAreOfTheFirstPagesTime(t *testing.T) {
	f, now, objects, subjects := withTrials(t)
	*now = now.Add(time.Hour - time.Second)
	roles := make(map[string]rel.Name)
	for page, more := 0, true; more; page++ {
		answer, err := f.ListObjects(t.Context(), objects)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range answer.Objects {
			roles[o.Object.ID()] = o.Role
		}
		if more = answer.Next != ""; more {
			if objects.Page, err = service.FirstPage("objects").At(answer.Next); err != nil {
				t.Fatal(err)
			}
		}
		*now = now.Add(time.Minute)
	}
	if len(roles) != 12 || roles["d3"] != "editor" || roles["d4"] != "viewer" {
		t.Errorf("the documents are %v", roles)
	}
	*now = now.Add(-time.Hour)
	roles = make(map[string]rel.Name)
	for page, more := 0, true; more; page++ {
		answer, err := f.ListSubjects(t.Context(), subjects)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range answer.Subjects {
			roles[s.Subject.ID()] = s.Role
		}
		if more = answer.Next != ""; more {
			if subjects.Page, err = service.FirstPage("subjects").At(answer.Next); err != nil {
				t.Fatal(err)
			}
		}
		*now = now.Add(time.Hour)
	}
	if len(roles) != 12 || roles["u3"] != "editor" || roles["u4"] != "viewer" {
		t.Errorf("the readers are %v", roles)
	}
}

// A place in a page token that no page ended at is a place like others: the list goes on
// behind it, or is over.
func TestAListGoesOnBehindAnyPlace(t *testing.T) {
	f, _, objects, subjects := withTrials(t)
	o, err := f.ListObjects(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.ListSubjects(t.Context(), subjects)
	if err != nil {
		t.Fatal(err)
	}
	objects.PageSize, subjects.PageSize = 100, 100
	for place, want := range map[string]int{
		"": 12, "\xff\xfe": 0, "#": 11, "d": 11, "d5": 5, strings.Repeat("d", 5000): 1, "#d": 11,
		"0b5d7d4a-0000-4000-8000-00000000000": 11, "0b5d7d4a-0000-4000-8000-000000000000": 12, "ffffffff-ffff-ffff-ffff-ffffffffffff": 11,
	} {
		if objects.Page, err = service.FirstPage("objects").At(withPlace(t, o.Next, place)); err != nil {
			t.Fatal(err)
		}
		if answer, err := f.ListObjects(t.Context(), objects); err != nil || len(answer.Objects) != want {
			t.Errorf("%d documents are behind %.10q, want %d: %v", len(answer.Objects), place, want, err)
		}
		place = strings.ReplaceAll(strings.ReplaceAll(place, "d5", "u5"), "dd", "vv")
		if subjects.Page, err = service.FirstPage("subjects").At(withPlace(t, s.Next, "s"+place)); err != nil {
			t.Fatal(err)
		}
		if place == strings.Repeat("v", 5000) {
			want = 0
		}
		if answer, err := f.ListSubjects(t.Context(), subjects); err != nil || len(answer.Subjects) != want {
			t.Errorf("%d readers are behind %.10q, want %d: %v", len(answer.Subjects), place, want, err)
		}
	}
}

// withPlace puts another place into a page token, and a checksum that is right.
func withPlace(t *testing.T, token, place string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	timeAt := 12 + strings.IndexByte(string(b[12:]), 0) + 1
	b = append(b[:timeAt+8], place...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// A token is all that a list needs to go on: the server may have been restarted, and the
// data written, between two pages.
func TestPagesOfListsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	f.schema(trials)
	for i := range 9 {
		f.mustWrite(fmt.Sprintf("create doc:d%d#viewer@user:ana", i), fmt.Sprintf("create doc:d0#editor@user:u%d[expiration:2100-01-01T00:00:00Z]", i))
	}
	objects := service.ObjectsQuery{
		Store: rel.DefaultStore, Type: "doc", Name: "viewer", Principal: item(t, "doc:d#viewer@user:ana").Principal,
		PageSize: 4, Page: service.FirstPage("objects"),
	}
	subjects := service.SubjectsQuery{
		Store: rel.DefaultStore, Object: item(t, "doc:d0#viewer@user:ana").Object, Name: "viewer", Type: "user",
		PageSize: 4, Page: service.FirstPage("subjects"),
	}
	seen := make(map[string]int)
	var of rel.Snapshot
	for page, more := 0, true; more; page++ {
		o, err := f.ListObjects(t.Context(), objects)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range o.Objects {
			seen[entry.Object.String()]++
		}
		s, err := f.ListSubjects(t.Context(), subjects)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range s.Subjects {
			seen[entry.Subject.String()]++
		}
		if page == 0 {
			of = o.Snapshot
		}
		if o.Snapshot != of || s.Snapshot != of {
			t.Errorf("page %d is of %v and %v, the first was of %v", page, o.Snapshot, s.Snapshot, of)
		}
		if more = o.Next != "" && s.Next != ""; !more {
			break
		}
		if objects.Page, err = service.FirstPage("objects").At(o.Next); err != nil {
			t.Fatal(err)
		}
		if subjects.Page, err = service.FirstPage("subjects").At(s.Next); err != nil {
			t.Fatal(err)
		}
		f = f.reopened(dir)
		f.mustWrite(fmt.Sprintf("delete doc:d%d#viewer@user:ana", 8-page), fmt.Sprintf("create doc:e%d#viewer@user:ana", page), fmt.Sprintf("delete doc:d0#editor@user:u%d", 8-page))
	}
	if len(seen) != 9+10 {
		t.Errorf("%d are listed, want nine objects and ten subjects: %v", len(seen), seen)
	}
	for who, times := range seen {
		if times != 1 {
			t.Errorf("%s is listed %d times", who, times)
		}
	}
}
