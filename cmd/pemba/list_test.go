package main

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// said runs what prints for people, and is what it prints: the answer, and after a
// line of its own what goes to the standard error.
func said(run func(*app) error) (string, error) {
	var out, notes strings.Builder
	a := &app{globals: &globals{Output: "table"}, out: bufio.NewWriter(&out), err: &notes}
	err := run(a)
	_ = a.out.Flush() // into memory
	if notes.Len() > 0 {
		return out.String() + "--\n" + notes.String(), err
	}
	return out.String(), err
}

func mustSay(t *testing.T, want string, run func(*app) error) {
	t.Helper()
	got, err := said(run)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func tupleOf(object, relation, subject string) *pembav1.Tuple {
	return &pembav1.Tuple{Object: object, Relation: relation, Subject: subject}
}

const (
	granted     = pembav1.Result_RESULT_GRANTED
	conditional = pembav1.Result_RESULT_CONDITIONAL
)

func needs(object, relation, subject string, parameters ...string) []*pembav1.Missing {
	key := &pembav1.TupleKey{Object: object, Relation: relation, Subject: subject}
	return []*pembav1.Missing{{Caveat: "office_hours", Tuple: key, Parameters: parameters}}
}

// The columns of a page are at least as wide as those of the pages before it.
func TestObjectsAreInColumns(t *testing.T) {
	mustSay(t, `
project:p1     editor
project:long2  none
project:p3     viewer or editor
project:p4     none or viewer
  conditional: needs office_hours of project:p4#viewer@user:ana: give now
project:`+strings.Repeat("x", 60)+`  viewer
--
ask again with --context '{"now": …}'
there may be more; raise --limit to see them
`, func(a *app) error {
		table := &objectTable{accessTable{app: a}}
		if err := table.page(&pembav1.ListObjectsResponse{Objects: []*pembav1.ListedObject{
			{Object: "project:p1", Result: granted, Role: "editor"},
			{Object: "project:long2", Result: granted},
		}}, false); err != nil {
			return err
		}
		long := "project:" + strings.Repeat("x", 60)
		return table.page(&pembav1.ListObjectsResponse{NextPageToken: "t", Objects: []*pembav1.ListedObject{
			{Object: "project:p3", Result: granted, Role: "viewer", ConditionalRole: "editor"},
			{Object: "project:p4", Result: conditional, ConditionalRole: "viewer", Missing: needs("project:p4", "viewer", "user:ana", "now")},
			{Object: long, Result: granted, Role: "viewer"},
		}}, true)
	})
}

// Where no object has a role, since the type has no ladder, there is no column for it.
func TestObjectsWithoutRolesStandAlone(t *testing.T) {
	mustSay(t, `
team:core
team:sub
  conditional
`, func(a *app) error {
		return (&objectTable{accessTable{app: a}}).page(&pembav1.ListObjectsResponse{Objects: []*pembav1.ListedObject{
			{Object: "team:core", Result: granted}, {Object: "team:sub", Result: conditional},
		}}, true)
	})
}

func TestSubjectsSayWhereTheirAccessComesFrom(t *testing.T) {
	mustSay(t, `
user:ana   owner   through organization:acme#admin
                   direct with office_hours until 2027-01-01T00:00:00Z as viewer
user:rob   none    through custom_role:freelancer#holder as grant_comment,
                   grant_create_record
user:sam   viewer  through team:core#member
user:zoe   none    direct as assignee
  conditional: needs office_hours of project:p1#assignee@user:zoe: give now
user:*     viewer  everybody
  except user:bad, user:worse
  perhaps except user:late
    user:late needs office_hours of project:p1#banned@user:late: give day, now
user:self  none    itself
--
ask again with --context '{"day": …, "now": …}'
`, func(a *app) error {
		timed := tupleOf("project:p1", "viewer", "user:ana")
		timed.Caveat, timed.ExpiresAt = &pembav1.Caveat{Name: "office_hours"}, timestamppb.New(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
		return (&subjectTable{accessTable{app: a}}).page(&pembav1.ListSubjectsResponse{Subjects: []*pembav1.ListedSubject{
			{Subject: "user:ana", Result: granted, Role: "owner", Sources: []*pembav1.Source{
				{Role: "owner", Tuple: tupleOf("project:p1", "organization", "organization:acme"), Through: "organization:acme#admin"},
				{Role: "viewer", Tuple: timed},
			}},
			{Subject: "user:rob", Result: granted, Sources: []*pembav1.Source{
				{Tuple: tupleOf("project:p1", "grant_comment", "custom_role:freelancer#holder"), Through: "custom_role:freelancer#holder"},
				{Tuple: tupleOf("project:p1", "grant_create_record", "custom_role:freelancer#holder"), Through: "custom_role:freelancer#holder"},
			}},
			{Subject: "user:sam", Result: granted, Role: "viewer", Sources: []*pembav1.Source{
				{Role: "viewer", Tuple: tupleOf("project:p1", "viewer", "team:core#member"), Through: "team:core#member"},
			}},
			{
				Subject: "user:zoe", Result: conditional, Missing: needs("project:p1", "assignee", "user:zoe", "now"),
				Sources: []*pembav1.Source{{Tuple: tupleOf("project:p1", "assignee", "user:zoe")}},
			},
			{Subject: "user:*", Result: granted, Role: "viewer", Sources: []*pembav1.Source{
				{Role: "viewer", Tuple: tupleOf("project:p1", "viewer", "user:*")},
			}, Exceptions: []*pembav1.WildcardException{
				{Subject: "user:bad", Result: pembav1.Result_RESULT_DENIED},
				{Subject: "user:late", Result: conditional, Missing: needs("project:p1", "banned", "user:late", "day", "now")},
				{Subject: "user:worse", Result: pembav1.Result_RESULT_DENIED},
			}},
			{Subject: "user:self", Result: granted, Sources: []*pembav1.Source{{}}},
		}}, true)
	})
}

// Many exceptions are broken into lines.
func TestExceptionsFitTheScreen(t *testing.T) {
	everybody := &pembav1.ListedSubject{Subject: "user:*", Result: granted}
	for range 40 {
		everybody.Exceptions = append(everybody.Exceptions, &pembav1.WildcardException{Subject: "user:somebody", Result: pembav1.Result_RESULT_DENIED})
	}
	got, err := said(func(a *app) error {
		return (&subjectTable{accessTable{app: a}}).page(&pembav1.ListSubjectsResponse{Subjects: []*pembav1.ListedSubject{everybody}}, true)
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(got, "\n") {
		if len(line) > columnsMax {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if n := strings.Count(got, "user:somebody"); n != 40 {
		t.Errorf("%d exceptions", n)
	}
}
