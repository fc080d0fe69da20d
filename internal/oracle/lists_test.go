package oracle_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

const listed = `use roles
caveat near(here bool) { here }
definition user {}
definition team {
  relation member: user | user:* | team#member
}
definition folder {
  within up
  relation up: folder | folder with near
  roles {
    reader: user
    writer: user
  }
}
definition doc {
  within parent
  relation parent: folder
  relation banned: user | user with near
  roles except banned {
    inherit from parent
    reader: user | user:* | team#member | user with near
    writer: user | user with near
  }
  permission view = reader
  permission seen = reader & parent->reader
}`

// texts are a list in order, each entry as it would be said.
func texts[K interface {
	comparable
	fmt.Stringer
}](list map[K]oracle.Listed) []string {
	var all []string
	for k, l := range list {
		all = append(all, fmt.Sprintf("%v %v %s/%s", k, l.Result, l.Role, l.ConditionalRole))
	}
	slices.Sort(all)
	return all
}

func TestObjectsAreThoseThatHold(t *testing.T) {
	o := world(t, listed,
		"folder:inner#up@folder:outer[near]", "folder:deep#up@folder:inner", "folder:round#up@folder:round", "folder:loop#up@folder:round",
		"doc:d1#parent@folder:deep", "doc:d2#parent@folder:outer", "doc:e3#parent@folder:round",
		"folder:deep#reader@user:ana", "folder:outer#writer@user:ana", "folder:round#reader@user:ana", "folder:loop#writer@user:ana",
		"doc:d1#writer@user:ana[near]", "doc:d2#banned@user:ana[near]",
	)
	for name, c := range map[string]struct {
		principal string
		asked     oracle.ObjectsQuestion
		want      []string
	}{
		"certain": {"user:ana", oracle.ObjectsQuestion{Type: "doc", Name: "view"},
			[]string{"doc:d1 yes reader/writer", "doc:e3 yes reader/"}},
		"conditional": {"user:ana", oracle.ObjectsQuestion{Type: "doc", Name: "view", Conditional: true},
			[]string{"doc:d1 yes reader/writer", "doc:d2 conditional /writer", "doc:e3 yes reader/"}},
		"from a role on": {"user:ana", oracle.ObjectsQuestion{Type: "doc", Name: "view", MinRole: "writer", Conditional: true},
			[]string{"doc:d1 conditional reader/writer", "doc:d2 conditional /writer"}},
		"by id": {"user:ana", oracle.ObjectsQuestion{Type: "doc", Name: "view", IDPrefix: "e"},
			[]string{"doc:e3 yes reader/"}},
		"inside, whatever the caveat": {"user:ana", oracle.ObjectsQuestion{Type: "folder", Name: "reader", Within: object(t, "folder:outer")},
			[]string{"folder:deep yes reader/"}},
		"inside itself": {"user:ana", oracle.ObjectsQuestion{Type: "folder", Name: "reader", Within: object(t, "folder:round")},
			[]string{"folder:loop yes writer/", "folder:round yes reader/"}},
		"an object of the principal's own": {"doc:nowhere#writer", oracle.ObjectsQuestion{Type: "doc", Name: "view", MinRole: "reader"},
			[]string{"doc:nowhere yes writer/"}},
	} {
		t.Run(name, func(t *testing.T) {
			principal, err := rel.ParsePrincipal(c.principal)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(o.For(principal, rel.Context{}).Objects(c.asked))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func object(t *testing.T, text string) rel.Object {
	t.Helper()
	o, err := rel.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSubjectsAreThoseWhoHold(t *testing.T) {
	o := world(t, listed,
		"doc:d#reader@user:*", "doc:d#reader@user:own", "doc:d#writer@user:high", "doc:d#writer@user:maybe[near]",
		"doc:d#banned@user:out", "doc:d#reader@user:out", "doc:d#banned@user:doubted[near]",
		"doc:d#reader@team:t#member", "team:t#member@user:*", "team:t#member@user:in", "team:o#member@user:other",
	)
	list := o.Everybody(rel.Context{}).Subjects(oracle.SubjectsQuestion{Object: object(t, "doc:d"), Name: "view", Type: "user", Conditional: true})
	if want := (oracle.Listed{Result: oracle.Yes, Role: "reader"}); list.Wildcard != want {
		t.Errorf("everybody has %v, want %v", list.Wildcard, want)
	}
	if diff := cmp.Diff([]string{
		"user:doubted conditional /reader", "user:high yes writer/", "user:in yes reader/", "user:maybe yes reader/writer", "user:other yes reader/", "user:own yes reader/",
	}, texts(list.Each)); diff != "" {
		t.Error(diff)
	}
	exceptions := map[string]oracle.Truth{}
	for s, v := range list.Exceptions {
		exceptions[s.String()] = v
	}
	if want := map[string]oracle.Truth{"user:out": oracle.No, "user:doubted": oracle.Conditional}; !maps.Equal(exceptions, want) {
		t.Errorf("the exceptions are %v, want %v", exceptions, want)
	}
	var own []string
	for s, must := range list.Own {
		if must {
			own = append(own, s.String())
		}
	}
	slices.Sort(own)
	// Other has what the wildcard gives, and nothing else.
	if want := []string{"user:doubted", "user:high", "user:in", "user:maybe", "user:own"}; !slices.Equal(own, want) {
		t.Errorf("of their own have %v, want %v", own, want)
	}
	usersets := o.Everybody(rel.Context{}).Subjects(oracle.SubjectsQuestion{Object: object(t, "doc:d"), Type: "doc", Relation: "writer"})
	if diff := cmp.Diff([]string{"doc:d#writer yes writer/"}, texts(usersets.Each)); diff != "" {
		t.Error(diff)
	}
}

// A way gives what its tuple is needed for, or suffices for, and no more.
func TestAWayGivesWhatItsTupleGives(t *testing.T) {
	o := world(t, listed,
		"doc:d#reader@user:ana", "doc:d#writer@user:ana[near]", "doc:d#parent@folder:f", "folder:f#writer@user:ana",
		"doc:d#reader@team:t#member", "team:t#member@user:ana", "doc:d#reader@user:bob",
	)
	principal, err := rel.ParsePrincipal("user:ana")
	if err != nil {
		t.Fatal(err)
	}
	access := o.For(principal, rel.Context{})
	for text, want := range map[string]map[rel.Name]oracle.Truth{
		"doc:d#reader@user:ana":                            {"reader": oracle.Yes, "view": oracle.Yes, "seen": oracle.Yes},
		"doc:d#writer@user:ana[near]":                      {"reader": oracle.Conditional, "writer": oracle.Conditional, "view": oracle.Conditional, "seen": oracle.Conditional},
		"doc:d#parent@folder:f through folder:f#writer":    {"reader": oracle.Yes, "writer": oracle.Yes, "view": oracle.Yes, "seen": oracle.Yes},
		"doc:d#parent@folder:f through folder:f#reader":    {"reader": oracle.Yes, "view": oracle.Yes, "seen": oracle.Yes},
		"doc:d#parent@folder:f":                            {},
		"doc:d#reader@team:t#member through team:t#member": {"reader": oracle.Yes, "view": oracle.Yes, "seen": oracle.Yes},
		"doc:d#reader@team:t#member":                       {},
		"doc:d#reader@user:ana through team:t#member":      {},
		"doc:d#reader@user:bob":                            {},
	} {
		got := access.Given(object(t, "doc:d"), way(t, text))
		maps.DeleteFunc(got, func(_ rel.Name, v oracle.Truth) bool { return v == oracle.No })
		if !maps.Equal(got, want) {
			t.Errorf("%s gives %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"doc:d#reader@user:ana": true, "doc:d#writer@user:ana": false, "folder:f#writer@user:ana": false, "doc:d#reader@user:joe": false,
	} {
		if got := access.Stands(object(t, "doc:d"), way(t, text)); got != want {
			t.Errorf("%s stands: %v", text, got)
		}
	}
}

func way(t *testing.T, text string) oracle.Way {
	t.Helper()
	tuple, through, found := strings.Cut(text, " through ")
	w := oracle.Way{Tuple: tuples(t, tuple)[0]}
	if found {
		var err error
		if w.Through, err = rel.ParseSubject(through); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
