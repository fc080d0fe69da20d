package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// shrinkTriesMax bounds how often a failing trial is played again to make it
// smaller. A hundred tuples and thirty names need a few hundred tries.
const shrinkTriesMax = 4000

// Shrink makes a failing trial smaller for as long as it still fails: fewer
// steps, questions, tuples, subjects, definitions, members and expressions,
// until nothing can be taken away any more.
func Shrink(t Trial, fails func(Trial) bool) Trial {
	s := &shrinker{best: t, fails: fails}
	for progress := true; progress; {
		progress = false
		for _, pass := range []func(){s.steps, s.ways, s.tuples, s.schema, s.principals, s.objects} {
			before := s.accepted
			pass()
			progress = progress || s.accepted > before
		}
	}
	return s.best
}

type shrinker struct {
	best            Trial
	fails           func(Trial) bool
	tries, accepted int
}

// try keeps a smaller trial if it still fails.
func (s *shrinker) try(t Trial) bool {
	if s.tries >= shrinkTriesMax {
		return false
	}
	s.tries++
	t = tidied(t)
	gone := len(t.Steps) == 0 && len(s.best.Steps) > 0 // nobody would be asked anything
	if gone || !s.fails(t) {
		return false
	}
	s.best, s.accepted = t, s.accepted+1
	return true
}

// without takes pieces off a list as long as the rest will do: halves first,
// then quarters, and in the end single elements.
func without[T any](list []T, try func([]T) bool) {
	for size := max(1, len(list)/2); size > 0 && len(list) > 0; size /= 2 {
		for at := 0; at < len(list); {
			rest := slices.Concat(list[:at], list[min(at+size, len(list)):])
			if try(rest) {
				list = rest
			} else {
				at += size
			}
		}
	}
}

func (s *shrinker) steps() {
	without(s.best.Steps, func(rest []Step) bool {
		t := s.best
		t.Steps = rest
		return s.try(t)
	})
	for i := len(s.best.Steps) - 1; i >= 0; i-- {
		if i >= len(s.best.Steps) {
			continue // a step that became empty is gone
		}
		without(s.best.Steps[i].Questions, func(rest []Question) bool {
			return i < len(s.best.Steps) && s.try(s.best.withStep(i, func(step *Step) { step.Questions = rest }))
		})
		if i >= len(s.best.Steps) {
			continue
		}
		without(s.best.Steps[i].Updates, func(rest []rel.Update) bool {
			return i < len(s.best.Steps) && s.try(s.best.withStep(i, func(step *Step) { step.Updates = rest }))
		})
	}
}

// withStep is the trial with one step changed.
func (t Trial) withStep(i int, change func(*Step)) Trial {
	t.Steps = slices.Clone(t.Steps)
	change(&t.Steps[i])
	return t
}

// ways asks in the simplest way that still fails: a check of each name, which
// is what a test file can say best.
func (s *shrinker) ways() {
	for i := range s.best.Steps {
		switch s.best.Steps[i].Way {
		case Batch:
			s.try(s.best.withStep(i, func(step *Step) { step.Way = Check }))
		case Effective:
			s.try(s.best.withStep(i, func(step *Step) {
				var named []Question
				for _, q := range step.Questions {
					for _, name := range namesOf(s.best.Schema, q.Object.Type()) {
						named = append(named, Question{q.Object, name, q.Principal})
					}
				}
				step.Way, step.Questions = Check, named
			}))
		}
	}
}

func (s *shrinker) tuples() {
	without(s.best.Tuples, func(rest []rel.Tuple) bool {
		t := s.best
		t.Tuples = rest
		return s.try(t)
	})
}

// schema tries every edit of the schema. An edit that is kept changes what the
// next ones are, so they are listed anew.
func (s *shrinker) schema() {
	for i := 0; i < len(edits(s.best.Schema)); {
		t := s.best
		t.Schema = cloned(t.Schema)
		edits(t.Schema)[i]()
		if !s.try(t) {
			i++
		}
	}
}

// principals takes subjects away from those who ask.
func (s *shrinker) principals() {
	for _, p := range principalsOf(s.best) {
		for _, subject := range p.Subjects() {
			s.try(s.best.renamed(func(q rel.Principal) rel.Principal {
				if q.String() != p.String() {
					return q
				}
				return keeping(q, func(other rel.Subject) bool { return other != subject })
			}, nil))
		}
	}
}

func principalsOf(t Trial) []rel.Principal {
	var all []rel.Principal
	for _, step := range t.Steps {
		for _, q := range step.Questions {
			if !slices.ContainsFunc(all, func(p rel.Principal) bool { return p.String() == q.Principal.String() }) {
				all = append(all, q.Principal)
			}
		}
	}
	return all
}

// keeping is the principal with only some of its subjects; itself where that
// would leave none.
func keeping(p rel.Principal, keep func(rel.Subject) bool) rel.Principal {
	kept := slices.DeleteFunc(slices.Clone(p.Subjects()), func(s rel.Subject) bool { return !keep(s) })
	if len(kept) == 0 {
		return p
	}
	smaller, err := rel.NewPrincipal(kept[0], kept[1:]...)
	if err != nil {
		return p
	}
	return smaller
}

// objects makes two objects one: a chain that must be long stays as long as it
// must, and one that need not be becomes short.
func (s *shrinker) objects() {
	all := objectsOf(s.best)
	for _, b := range slices.Backward(all) {
		for _, a := range all {
			if a == b {
				break // only onto an earlier one, so that the last ids go first
			}
			if a.Type() != b.Type() {
				continue
			}
			swap := func(o rel.Object) rel.Object {
				if o == b {
					return a
				}
				return o
			}
			if s.try(s.best.renamed(nil, swap)) {
				break
			}
		}
	}
}

func objectsOf(t Trial) []rel.Object {
	var all []rel.Object
	add := func(tuple rel.Tuple) {
		all = append(all, tuple.Object)
		if o, ok := tuple.Subject.Object(); ok {
			all = append(all, o)
		}
	}
	for _, tuple := range t.Tuples {
		add(tuple)
	}
	for _, step := range t.Steps {
		for _, q := range step.Questions {
			all = append(all, q.Object)
		}
		for _, u := range step.Updates {
			add(u.Tuple)
		}
	}
	slices.SortFunc(all, rel.Object.Compare)
	return slices.Compact(all)
}

// renamed is the trial with other principals, or other objects, or both.
func (t Trial) renamed(principal func(rel.Principal) rel.Principal, object func(rel.Object) rel.Object) Trial {
	if principal == nil {
		principal = func(p rel.Principal) rel.Principal { return p }
	}
	subject := func(s rel.Subject) rel.Subject { return s }
	if object == nil {
		object = func(o rel.Object) rel.Object { return o }
	} else {
		subject = func(s rel.Subject) rel.Subject {
			o, ok := s.Object()
			switch {
			case !ok:
				return s
			case s.IsUserset():
				return rel.Userset(object(o), s.Relation())
			default:
				return rel.Of(object(o))
			}
		}
	}
	tuple := func(t rel.Tuple) rel.Tuple {
		return rel.Tuple{Object: object(t.Object), Relation: t.Relation, Subject: subject(t.Subject)}
	}
	t.Tuples = slices.Clone(t.Tuples)
	for i := range t.Tuples {
		t.Tuples[i] = tuple(t.Tuples[i])
	}
	t.Steps = slices.Clone(t.Steps)
	for i := range t.Steps {
		step := &t.Steps[i]
		step.Questions, step.Updates = slices.Clone(step.Questions), slices.Clone(step.Updates)
		for j := range step.Questions {
			q := &step.Questions[j]
			q.Object, q.Principal = object(q.Object), mapped(principal(q.Principal), subject)
		}
		for j := range step.Updates {
			step.Updates[j].Tuple = tuple(step.Updates[j].Tuple)
		}
	}
	return t
}

func mapped(p rel.Principal, subject func(rel.Subject) rel.Subject) rel.Principal {
	subjects := slices.Clone(p.Subjects())
	for i := range subjects {
		subjects[i] = subject(subjects[i])
	}
	other, err := rel.NewPrincipal(subjects[0], subjects[1:]...)
	if err != nil {
		return p
	}
	return other
}

// cloned copies a tree as far as an edit changes it in place; expressions are
// only ever replaced, and so are shared.
func cloned(file *syntax.File) *syntax.File {
	copied := &syntax.File{}
	relations := func(all []*syntax.Relation) []*syntax.Relation {
		list := make([]*syntax.Relation, len(all))
		for i, r := range all {
			list[i] = new(*r)
			list[i].Types = slices.Clone(r.Types)
		}
		return list
	}
	for _, d := range file.Definitions {
		c := &syntax.Definition{Name: d.Name, Relations: relations(d.Relations)}
		for _, p := range d.Permissions {
			c.Permissions = append(c.Permissions, new(*p))
		}
		for _, block := range d.Roles {
			r := new(*block)
			r.Roles, r.Inherits = relations(block.Roles), slices.Clone(block.Inherits)
			c.Roles = append(c.Roles, r)
		}
		copied.Definitions = append(copied.Definitions, c)
	}
	return copied
}
