package engine_test

import (
	"context"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// Of several objects behind a nested arrow the one that holds for certain is named as
// what the access is through, though another one comes first.
func TestSourceThroughANestedArrowIsACertainOne(t *testing.T) {
	w := newWorld(t, `
use roles
caveat near(n int) { n > 1 }
definition user {}
definition folder { roles { viewer: user | user with near } }
definition group { relation audited: folder }
definition doc {
  relation group: group
  roles { reader = group->audited->viewer }
}`,
		"doc:d#group@group:g", "group:g#audited@folder:1", "group:g#audited@folder:2",
		"folder:1#viewer@user:ana[near]", "folder:2#viewer@user:ana")
	page, err := w.nobody().Subjects(context.Background(),
		engine.SubjectsQuestion{Object: object(t, "doc:d"), Name: "reader", Type: "user", PageSize: 10, Conditional: true})
	if err != nil || len(page.Subjects) != 1 {
		t.Fatal(page.Subjects, err)
	}
	got := page.Subjects[0]
	want := rel.Userset(object(t, "folder:2"), "viewer")
	if got.Role != "reader" || len(got.Sources) != 1 || got.Sources[0].Through != want || got.Sources[0].Role != "reader" {
		t.Errorf("%+v; want the role reader, through %v", got, want)
	}
}
