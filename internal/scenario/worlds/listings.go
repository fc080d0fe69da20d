package worlds

import (
	"math/rand/v2"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
)

// A listingMix is how many lists of objects and of subjects are asked for.
type listingMix struct{ objects, subjects int }

var (
	listedFirst = listingMix{20, 20}
	listedAfter = listingMix{3, 3} // each write and each move of the clock

	// Of a trial of lists alone. The oracle computes what somebody holds once, and
	// many lists are read off that.
	listedFirstAlone = listingMix{250, 350}
	listedAfterAlone = listingMix{40, 60}
)

// Listings are drawn lists. Those of one asker and of one context stand together.
type listings struct {
	*dice
	world *World
	types []rel.ObjectType // that have subjects few enough to ask for all of them
}

// withLists is a trial with lists in it: at first, and after what changes something.
func (w *World) withLists(t Trial) Trial { return w.listed(t, listedFirst, listedAfter) }

// Lists is the trial of a world in which nothing is asked for but lists.
func (w *World) Lists() Trial {
	t := w.questioned()
	t.Steps = slices.DeleteFunc(t.Steps, func(s Step) bool { return s.Way != Write && s.Way != Advance })
	return w.listed(t, listedFirstAlone, listedAfterAlone)
}

func (w *World) listed(t Trial, first, after listingMix) Trial {
	l := &listings{dice: &dice{rand.New(rand.NewPCG(w.Seed, listStream))}, world: w}
	l.types = l.few()
	steps := l.steps(first, Step{})
	writes := 0
	for _, step := range t.Steps {
		steps = append(steps, step)
		if step.Way != Write {
			continue
		}
		writes++
		if w.acting && l.chance(65) {
			continue // actors write four times as often
		}
		steps = append(steps, l.steps(after, Step{})...)
		if l.chance(40) {
			steps = append(steps, l.steps(after, Step{Back: 1 + l.IntN(writes), AtTime: l.chance(50)})...)
		}
	}
	t.Steps = steps
	return t
}

// subjectsMax bounds the subjects of a type that lists are asked for: what each of
// them holds is computed, one by one.
const subjectsMax = 12

// few are the types with few objects.
func (l *listings) few() []rel.ObjectType {
	known := map[rel.ObjectType]map[rel.Object]bool{}
	add := func(o rel.Object) {
		if known[o.Type()] == nil {
			known[o.Type()] = map[rel.Object]bool{}
		}
		known[o.Type()][o] = true
	}
	for _, t := range l.world.Tuples {
		add(t.Object)
		if o, ok := t.Subject.Object(); ok {
			add(o)
		}
	}
	var types []rel.ObjectType
	total := 0
	for _, d := range l.world.Schema.Definitions {
		typ := rel.ObjectType(d.Name.Text)
		total += len(known[typ])
		if len(known[typ]) <= subjectsMax {
			types = append(types, typ)
		}
	}
	if total > 5*subjectsMax {
		return types[:min(len(types), 1)] // a world with a chain is slow for anybody
	}
	return types
}

// steps draws lists of both kinds.
func (l *listings) steps(n listingMix, of Step) []Step {
	objects, subjects := of, of
	objects.Way, subjects.Way = ListObjects, ListSubjects
	objects.Lists, subjects.Lists = l.ofObjects(n.objects), l.ofSubjects(n.subjects)
	return slices.DeleteFunc([]Step{objects, subjects}, func(s Step) bool { return len(s.Lists) == 0 })
}

// shared is how many of n lists are asked by one asker. Those of one context are four
// times as many: what everybody holds takes the oracle so much longer.
func shared(n int) int { return max(1, n/8) }

// ofObjects draws lists of objects.
func (l *listings) ofObjects(n int) []Listing {
	var named []rel.ObjectType
	for _, d := range l.world.Schema.Definitions {
		if len(declared(d)) > 0 {
			named = append(named, rel.ObjectType(d.Name.Text))
		}
	}
	var asker Asker
	var all []Listing
	for range n {
		if len(all)%shared(n) == 0 {
			asker = pick(l.dice, l.world.Askers)
		}
		q := l.listing()
		q.Asker = asker
		q.Type = pick(l.dice, named)
		q.Name = pick(l.dice, namesOf(l.world.Schema, q.Type))
		l.filters(&q)
		all = append(all, q)
	}
	return all
}

// filters gives a list of objects what it leaves out.
func (l *listings) filters(q *Listing) {
	if l.chance(25) && len(l.world.Objects) > 0 {
		q.Within = pick(l.dice, l.world.Objects)
	}
	if block := definitionOf(l.world.Schema, string(q.Type)).Roles; len(block) > 0 && len(block[0].Roles) > 0 && l.chance(35) {
		q.MinRole = rel.Name(pick(l.dice, block[0].Roles).Name.Text)
	}
	if l.chance(20) {
		q.IDPrefix = pick(l.dice, []string{"1", "1", "2", "3", "11", "unk"})
	}
}

// ofSubjects draws lists of subjects.
func (l *listings) ofSubjects(n int) []Listing {
	var objects []rel.Object
	for _, o := range l.world.Objects {
		if len(namesOf(l.world.Schema, o.Type())) > 0 {
			objects = append(objects, o)
		}
	}
	if len(objects) == 0 || len(l.types) == 0 {
		return nil
	}
	var asker Asker
	var all []Listing
	for range n {
		if len(all)%(4*shared(n)) == 0 {
			asker = pick(l.dice, l.world.Askers)
		}
		q := l.listing()
		q.Asker = Asker{Context: asker.Context, Contextual: asker.Contextual}
		q.Object = pick(l.dice, objects)
		q.Type = pick(l.dice, l.types)
		if slices.Contains(l.types, "user") && l.chance(60) {
			q.Type = "user" // whom most tuples are about
		}
		if names := namesOf(l.world.Schema, q.Type); len(names) > 0 && l.chance(40) {
			q.Relation = pick(l.dice, names)
		}
		if l.chance(80) {
			q.Name = pick(l.dice, namesOf(l.world.Schema, q.Object.Type()))
		}
		all = append(all, q)
	}
	return all
}

// listing draws how a list is asked for.
func (l *listings) listing() Listing {
	q := Listing{Conditional: l.chance(60), PageSize: pick(l.dice, []int{1, 2, 3, 5, 1000, 1000}), Interrupted: l.chance(20)}
	if q.Interrupted {
		q.PageSize = 1
	}
	return q
}
