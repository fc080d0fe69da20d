package tupledb

import (
	"math/rand/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// workspaceTuples is a world like an application's, of about n tuples: organizations
// with members, teams nested three deep, workspaces, projects shared with teams and
// users, and documents that stand in their project, half of them shared with
// somebody beside that. Every id is a random UUID.
func workspaceTuples(n int) []rel.Tuple {
	w := workspace{rng: rand.New(rand.NewPCG(5, 5))}
	for len(w.tuples) < n {
		w.organization()
	}
	return w.tuples
}

type workspace struct {
	rng    *rand.Rand
	named  uint64
	tuples []rel.Tuple
}

func (w *workspace) object(typ rel.ObjectType) rel.Object {
	w.named++
	return rel.Trusted(typ, benchID(w.named+1<<42))
}

func (w *workspace) put(o rel.Object, relation rel.Name, subjects ...rel.Subject) {
	for _, s := range subjects {
		w.tuples = append(w.tuples, rel.Tuple{Key: rel.Key{Object: o, Relation: relation, Subject: s}})
	}
}

// some draws different subjects.
func (w *workspace) some(of []rel.Subject, n int) []rel.Subject {
	var drawn []rel.Subject
	for _, i := range w.rng.Perm(len(of))[:n] {
		drawn = append(drawn, of[i])
	}
	return drawn
}

func (w *workspace) organization() {
	o := w.object("organization")
	users := make([]rel.Subject, 40)
	for i := range users {
		users[i] = rel.Of(w.object("user"))
	}
	w.put(o, "owner", users[0])
	w.put(o, "admin", users[1:3]...)
	w.put(o, "member", users[3:]...)
	var teams []rel.Subject
	for range 3 {
		outer := w.object("team")
		teams = append(teams, rel.Userset(outer, "member"))
		for range 2 {
			middle, inner := w.object("team"), w.object("team")
			w.put(outer, "member", rel.Userset(middle, "member"))
			w.put(middle, "member", rel.Userset(inner, "member"))
			w.put(inner, "member", w.some(users, 5)...)
		}
	}
	for range 4 {
		space := w.object("workspace")
		w.put(space, "organization", rel.Of(o))
		w.put(space, "admin", w.some(teams, 1)...)
		for range 10 {
			w.project(space, users, teams)
		}
	}
}

func (w *workspace) project(space rel.Object, users, teams []rel.Subject) {
	p := w.object("project")
	w.put(p, "workspace", rel.Of(space))
	w.put(p, "editor", w.some(teams, 1)...)
	w.put(p, "viewer", w.some(users, 2)...)
	if w.rng.IntN(10) == 0 {
		w.put(p, "viewer", rel.Wildcard("user"))
	}
	for range 25 {
		d := w.object("document")
		w.put(d, "project", rel.Of(p))
		if w.rng.IntN(2) == 0 {
			w.put(d, "viewer", w.some(users, 1)...)
		}
		if w.rng.IntN(10) == 0 {
			w.put(d, "restricted", rel.Wildcard("user"))
		}
	}
}
