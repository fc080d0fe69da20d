package schema_test

import (
	"slices"
	"strings"
	"testing"
)

// Only what is read, and read to the right of a `-` or in `except` on every way,
// takes access away alone.
func TestWhatCanOnlyTakeAccessAway(t *testing.T) {
	s := mustCompile(t, `
use roles
definition user {}
definition team {
  relation member: user | team#member
  relation blocked: user | team#blocked
}
definition org {
  relation suspended: user | team#member
  relation parole: user
  permission out = suspended - parole
}
definition doc {
  relation org: org
  relation banned: user | team#blocked
  relation muted: user
  relation noted: user
  relation both: user
  relation round: user
  permission excluded = banned + muted
  roles except excluded + org->out { viewer: user; editor: user }
  permission comment = viewer - both
  permission other = both + editor
  permission a = b + round
  permission b = a
}`)
	var taking []string
	for _, d := range s.Definitions() {
		for _, r := range d.Relations() {
			if r.TakesAwayOnly {
				taking = append(taking, string(r.Type)+"#"+string(r.Name))
			}
		}
	}
	// org#parole stands to the right of a `-` itself; doc#org leads to nothing but a
	// ban. team#member makes people suspended and is in no role: it takes away, too.
	want := []string{"doc#banned", "doc#muted", "doc#org", "org#parole", "org#suspended", "team#blocked", "team#member"}
	slices.Sort(taking)
	if !slices.Equal(taking, want) {
		t.Errorf("%s take away only, want %s", strings.Join(taking, ", "), strings.Join(want, ", "))
	}
}

// A rule knows its line, what its arrows walk, and nothing of it gives access.
func TestRulesAreCompiled(t *testing.T) {
	s := mustCompile(t, `use roles
definition user {}
definition org { relation admin: user }
definition project {
  created by org->admin

  relation org: org   granted by editor & subject->admin
                      revoked by editor & org->admin except self
  relation note: user
  roles { editor: user   granted by editor }
}`)
	d := s.Definition("project")
	r := d.Relation("org")
	if c := d.CreatedBy(); c.Line != 5 || c.Text != "org->admin" || !c.Walked.Has(r.Slot) || c.Expr.AsksSubject() {
		t.Errorf("created by: %+v", c)
	}
	if g := r.GrantedBy; g.Line != 7 || g.ExceptSelf || !g.Walked.Empty() || !g.Expr.AsksSubject() {
		t.Errorf("granted by: %+v", g)
	}
	if g := r.RevokedBy; g.Line != 8 || !g.ExceptSelf || !g.Walked.Has(r.Slot) || g.String() != "editor & org->admin except self" {
		t.Errorf("revoked by: %+v", g)
	}
	if e := d.Relation("editor"); e.RevokedBy != e.GrantedBy || e.RevokedBy.IsZero() {
		t.Errorf("a `revoked by` left out is %+v", e.RevokedBy)
	}
	if n := d.Relation("note"); !n.GrantedBy.IsZero() || !n.RevokedBy.IsZero() {
		t.Errorf("no rule is %+v", n.GrantedBy)
	}
}
