package worlds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// lists asks for lists in a simpler way: of the present, on one page, for a certain
// name, with nothing left out.
func (s *shrinker) lists() {
	for i := range s.best.Steps {
		if i < len(s.best.Steps) && len(s.best.Steps[i].Lists) > 0 {
			s.try(s.best.withStep(i, func(step *Step) { step.AtTime = false }))
			s.try(s.best.withStep(i, func(step *Step) { step.Back = 0 }))
		}
	}
	for _, simpler := range []func(*Listing){
		func(q *Listing) { q.Interrupted = false },
		func(q *Listing) { q.PageSize = 1000 },
		func(q *Listing) { q.Within = rel.Object{} },
		func(q *Listing) { q.MinRole = "" },
		func(q *Listing) { q.IDPrefix = "" },
		func(q *Listing) { q.Conditional = false },
	} {
		t := s.best
		t.Steps = slices.Clone(t.Steps)
		for i := range t.Steps {
			t.Steps[i].Lists = slices.Clone(t.Steps[i].Lists)
			for j := range t.Steps[i].Lists {
				simpler(&t.Steps[i].Lists[j])
			}
		}
		s.try(t)
	}
}

// asksSomething reports whether the schema has all that a list names.
func asksSomething(file *syntax.File, q Listing) bool {
	typ := string(q.Type)
	if !has(file, typ, nil) || !q.Within.IsZero() && !has(file, string(q.Within.Type()), nil) {
		return false
	}
	if q.Object.IsZero() {
		d := definitionOf(file, typ)
		return has(file, typ, new(ident(string(q.Name)))) && (q.MinRole == "" || len(d.Roles) > 0 &&
			slices.ContainsFunc(d.Roles[0].Roles, func(r *syntax.Relation) bool { return r.Name.Text == string(q.MinRole) }))
	}
	if !has(file, string(q.Object.Type()), nil) || q.Relation != "" && !has(file, typ, new(ident(string(q.Relation)))) {
		return false
	}
	if q.Name == "" {
		d := definitionOf(file, string(q.Object.Type()))
		return len(d.Permissions) > 0 || len(d.Roles) > 0 && len(d.Roles[0].Roles) > 0
	}
	return has(file, string(q.Object.Type()), new(ident(string(q.Name))))
}

// listedCase is a list as a test file tells it, which has no case of it.
func listedCase(world *oracle.Oracle, step Step, q Listing) string {
	text := fmt.Sprintf("%s: %s", step.Way, q)
	with, err := world.With(q.Contextual)
	if err != nil || step.Back > 0 {
		return fmt.Sprintf("%s, of the state %d writes before", text, step.Back)
	}
	var entries []string
	if step.Way == ListObjects {
		list := with.For(q.Principal, q.Context).Objects(q.objects())
		for _, o := range sortedKeys(list, rel.Object.Compare) {
			entries = append(entries, o.String()+" "+listedText(list[o]))
		}
		return text + " [" + strings.Join(entries, "; ") + "]"
	}
	list := with.Everybody(q.Context).Subjects(q.subjects())
	if list.Wildcard != (oracle.Listed{}) {
		entries = append(entries, "everybody "+listedText(list.Wildcard))
	}
	for _, s := range sortedKeys(list.Exceptions, rel.Subject.Compare) {
		entries = append(entries, "except "+s.String()+" "+list.Exceptions[s].String())
	}
	for _, s := range sortedKeys(list.Each, rel.Subject.Compare) {
		entry := s.String() + " " + listedText(list.Each[s])
		if !list.Own[s] {
			entry += ", or not"
		}
		entries = append(entries, entry)
	}
	return text + " [" + strings.Join(entries, "; ") + "]"
}
