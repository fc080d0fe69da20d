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
		for _, pass := range []func(){s.steps, s.ways, s.lists, s.tuples, s.schema, s.contexts, s.contextual, s.principals, s.actors, s.objects} {
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
	t = tidied(refitted(s.best.Schema, t))
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
		without(s.best.Steps[i].Lists, func(rest []Listing) bool {
			return i < len(s.best.Steps) && s.try(s.best.withStep(i, func(step *Step) { step.Lists = rest }))
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
		case Batch, Past, Expand:
			s.try(s.best.withStep(i, func(step *Step) { step.Way = Check }))
		case Effective:
			s.try(s.best.withStep(i, func(step *Step) {
				var named []Question
				for _, q := range step.Questions {
					for _, name := range namesOf(s.best.Schema, q.Object.Type()) {
						named = append(named, Question{q.Object, name, q.Asker})
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
	if len(s.best.Apart) > 0 {
		t := s.best
		t.Apart = nil
		s.try(t)
	}
	for i := 0; i < len(edits(s.best.Schema)); {
		t := s.best
		t.Schema = cloned(t.Schema)
		edits(t.Schema)[i]()
		if !s.try(t) {
			i++
		}
	}
}

// contexts takes away what requests and tuples bring for caveats: all of a context,
// or single values.
func (s *shrinker) contexts() {
	var all []rel.Context
	add := func(c rel.Context) rel.Context {
		if !c.IsEmpty() && !slices.Contains(all, c) {
			all = append(all, c)
		}
		return c
	}
	s.best.mapped(mapping{context: add})
	for _, c := range all {
		replace := func(by rel.Context) bool {
			return s.try(s.best.mapped(mapping{context: func(d rel.Context) rel.Context {
				if d == c {
					return by
				}
				return d
			}}))
		}
		if replace(rel.Context{}) {
			continue
		}
		for name := range c.Values() {
			fewer := c.Values()
			delete(fewer, name)
			replace(contextOf(fewer))
		}
	}
}

// contextual takes contextual tuples away from those who ask, or stores them: a
// test file has none.
func (s *shrinker) contextual() {
	var all []rel.Tuple
	add := func(a Asker) {
		for _, t := range a.Contextual {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	for _, step := range s.best.Steps {
		for _, q := range step.Questions {
			add(q.Asker)
		}
		for _, q := range step.Lists {
			add(q.Asker)
		}
	}
	for _, t := range all {
		without := s.best.mapped(mapping{asker: func(a Asker) Asker {
			a.Contextual = slices.DeleteFunc(slices.Clone(a.Contextual), func(u rel.Tuple) bool { return u == t })
			return a
		}})
		if s.try(without) {
			continue
		}
		without.Tuples = append(slices.DeleteFunc(slices.Clone(without.Tuples), func(u rel.Tuple) bool { return u.Key == t.Key }), t)
		s.try(without)
	}
}

// principals takes subjects away from those who ask.
func (s *shrinker) principals() {
	for _, p := range principalsOf(s.best) {
		for _, subject := range p.Subjects() {
			s.try(s.best.mapped(mapping{asker: func(a Asker) Asker {
				if a.Principal.String() == p.String() {
					a.Principal = keeping(a.Principal, func(other rel.Subject) bool { return other != subject })
				}
				return a
			}}))
		}
	}
}

// actors lets the application itself write where it matters to nobody who does.
func (s *shrinker) actors() {
	for i := range s.best.Steps {
		if i < len(s.best.Steps) && !s.best.Steps[i].Actor.IsZero() {
			s.try(s.best.withStep(i, func(step *Step) { step.Actor = rel.Actor{} }))
		}
	}
}

func principalsOf(t Trial) []rel.Principal {
	var all []rel.Principal
	add := func(p rel.Principal) {
		if !slices.ContainsFunc(all, func(q rel.Principal) bool { return p.String() == q.String() }) {
			all = append(all, p)
		}
	}
	for _, step := range t.Steps {
		for _, q := range step.Questions {
			add(q.Principal)
		}
		for _, q := range step.Lists {
			add(q.Principal)
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
			if s.try(s.best.mapped(mapping{object: swap})) {
				break
			}
		}
	}
}

func objectsOf(t Trial) []rel.Object {
	var all []rel.Object
	addSubject := func(s rel.Subject) {
		if o, ok := s.Object(); ok {
			all = append(all, o)
		}
	}
	add := func(tuple rel.Tuple) {
		all = append(all, tuple.Object)
		addSubject(tuple.Subject)
	}
	addFilter := func(f rel.Filter) {
		all = append(all, objectOfFilter(f.ObjectType, f.ObjectID), objectOfFilter(f.SubjectType, f.SubjectID))
	}
	for _, tuple := range t.Tuples {
		add(tuple)
	}
	for _, step := range t.Steps {
		for _, q := range step.Questions {
			all = append(all, q.Object)
			for _, tuple := range q.Contextual {
				add(tuple)
			}
		}
		for _, q := range step.Lists {
			all = append(all, q.Object, q.Within)
			for _, tuple := range q.Contextual {
				add(tuple)
			}
		}
		addSubject(step.Actor.Subject)
		for _, u := range step.Updates {
			add(u.Tuple)
			all = append(all, u.Object, u.Revoking.Within)
			addSubject(u.Revoking.Subject)
			addFilter(u.Matching.Filter)
		}
	}
	slices.SortFunc(all, rel.Object.Compare)
	return slices.DeleteFunc(slices.Compact(all), rel.Object.IsZero)
}

// objectOfFilter is the object that one side of a filter names; the zero Object
// where it names none.
func objectOfFilter(typ rel.ObjectType, id string) rel.Object {
	if typ == "" || id == "" || id == "*" {
		return rel.Object{}
	}
	return objectOf(string(typ), id)
}

// A mapping says what becomes of the parts of a trial, wherever they stand. What
// is nil stays as it is.
type mapping struct {
	object  func(rel.Object) rel.Object
	context func(rel.Context) rel.Context // of requests and of tuples
	tuple   func(rel.Tuple) rel.Tuple     // after the parts of it
	asker   func(Asker) Asker             // after the parts of it
}

// mapped is the trial with other parts.
func (t Trial) mapped(m mapping) Trial {
	t.Tuples = m.tuples(t.Tuples)
	t.Steps = slices.Clone(t.Steps)
	for i := range t.Steps {
		step := &t.Steps[i]
		step.Questions, step.Updates = slices.Clone(step.Questions), slices.Clone(step.Updates)
		for j, q := range step.Questions {
			if m.object != nil {
				q.Object = m.object(q.Object)
			}
			q.Asker = m.askerOf(q.Asker)
			step.Questions[j] = q
		}
		step.Lists = slices.Clone(step.Lists)
		for j, q := range step.Lists {
			if m.object != nil && !q.Object.IsZero() {
				q.Object = m.object(q.Object)
			}
			if m.object != nil && !q.Within.IsZero() {
				q.Within = m.object(q.Within)
			}
			q.Asker = m.askerOf(q.Asker)
			step.Lists[j] = q
		}
		step.Actor.Subject = m.subjectOf(step.Actor.Subject)
		if m.context != nil {
			step.Actor.Context = m.context(step.Actor.Context)
		}
		for j, u := range step.Updates {
			step.Updates[j] = m.updateOf(u)
		}
	}
	return t
}

func (m mapping) askerOf(a Asker) Asker {
	a.Principal = m.principalOf(a.Principal)
	a.Contextual = m.tuples(a.Contextual)
	if m.context != nil {
		a.Context = m.context(a.Context)
	}
	if m.asker != nil {
		a = m.asker(a)
	}
	return a
}

func (m mapping) tuples(all []rel.Tuple) []rel.Tuple {
	all = slices.Clone(all)
	for i, t := range all {
		all[i] = m.tupleOf(t)
	}
	return all
}

func (m mapping) tupleOf(t rel.Tuple) rel.Tuple {
	if m.object != nil {
		t.Object = m.object(t.Object)
	}
	t.Subject = m.subjectOf(t.Subject)
	if m.context != nil {
		t.Caveat.Context = m.context(t.Caveat.Context)
	}
	if m.tuple != nil {
		t = m.tuple(t)
	}
	return t
}

// updateOf maps the part of an update that its Op has.
func (m mapping) updateOf(u rel.Update) rel.Update {
	switch u.Op {
	case rel.DeleteMatching:
		if m.object != nil {
			f := &u.Matching.Filter
			if o := objectOfFilter(f.ObjectType, f.ObjectID); !o.IsZero() {
				f.ObjectID = m.object(o).ID()
			}
			if o := objectOfFilter(f.SubjectType, f.SubjectID); !o.IsZero() {
				f.SubjectID = m.object(o).ID()
			}
		}
	case rel.DeleteObject:
		if m.object != nil {
			u.Object = m.object(u.Object)
		}
	case rel.Revoke:
		u.Revoking.Subject = m.subjectOf(u.Revoking.Subject)
		if m.object != nil {
			u.Revoking.Within = m.object(u.Revoking.Within)
		}
	default:
		u.Tuple = m.tupleOf(u.Tuple)
	}
	return u
}

func (m mapping) subjectOf(s rel.Subject) rel.Subject {
	o, ok := s.Object()
	switch {
	case !ok || m.object == nil:
		return s
	case s.IsUserset():
		return rel.Userset(m.object(o), s.Relation())
	default:
		return rel.Of(m.object(o))
	}
}

func (m mapping) principalOf(p rel.Principal) rel.Principal {
	subjects := slices.Clone(p.Subjects())
	if len(subjects) == 0 {
		return p // nobody asks for a list of subjects
	}
	for i := range subjects {
		subjects[i] = m.subjectOf(subjects[i])
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
	copied := &syntax.File{Caveats: slices.Clone(file.Caveats)}
	relations := func(all []*syntax.Relation) []*syntax.Relation {
		list := make([]*syntax.Relation, len(all))
		for i, r := range all {
			list[i] = new(*r)
			list[i].Types = slices.Clone(r.Types)
			for _, rule := range []**syntax.Rule{&list[i].Granted, &list[i].Revoked} {
				if *rule != nil {
					*rule = new(**rule)
				}
			}
		}
		return list
	}
	for _, d := range file.Definitions {
		c := &syntax.Definition{Name: d.Name, Relations: relations(d.Relations)}
		for _, w := range d.Withins {
			c.Withins = append(c.Withins, &syntax.Within{Rels: slices.Clone(w.Rels)})
		}
		for _, created := range d.CreatedBys {
			c.CreatedBys = append(c.CreatedBys, new(*created))
		}
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
