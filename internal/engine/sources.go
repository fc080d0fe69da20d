package engine

import (
	"cmp"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// sources are the ways in which the subject whose holdings were found last, by these
// seeds, comes to what it holds on the root: one a tuple of the root, with the highest role that it
// gives. Those that give the most come first.
func (b *web) sources(subject rel.Subject, needs schema.Slots, seeds []seed) []Source {
	var found []ranked
	for slot := range b.root.wanted.All() {
		at := vertexSlot{b.root, slot}
		if b.of(at) == Denied {
			continue
		}
		for _, s := range seeds {
			if s.at == at {
				found = append(found, b.source(at, s.tuple, s.limit, rel.Subject{}, needs))
			}
		}
		if b.self == b.root && b.root.selfs.Has(slot) && b.gives(b.root, at.plan().Expr, support{self: true}, Conditional) {
			found = append(found, b.source(at, rel.Tuple{}, Granted, rel.Subject{}, needs))
		}
	}
	// Of the ways that lead to the root, only those are gone through that this subject
	// takes: an object shared with ten thousand groups has many, and each member few.
	slices.SortFunc(b.met, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.ways[x].slot, b.ways[y].slot), cmp.Compare(x, y))
	})
	for _, number := range slices.Compact(b.met) {
		in := b.ways[number]
		at := vertexSlot{b.root, in.slot}
		if r := min(in.limit, b.of(in.from)); r != Denied && b.of(at) != Denied {
			found = append(found, b.source(at, in.tuple, r, b.through(at, in.incoming, subject), needs))
		}
		b.walk.spend()
	}
	b.walk.steps += sourceSteps * len(found)
	held := b.rankHeld()
	// A way that gives neither what is asked nor the role is not where it comes from.
	found = slices.DeleteFunc(found, func(r ranked) bool { return !r.gives && (r.rank == 0 || r.rank < held) })
	slices.SortStableFunc(found, func(x, y ranked) int {
		return cmp.Or(cmp.Compare(y.rank, x.rank), cmp.Compare(y.result, x.result), x.Tuple.Key.Compare(y.Tuple.Key))
	})
	return best(found, held)
}

// best are the sources of sorted ones that an answer names: of a tuple what it gives the
// most by for certain, and what it may give above that. One gives the role held, however
// many may give a higher one.
func best(found []ranked, held int) []Source {
	var all []Source
	told := make(map[rel.Key]Result)
	ofRole := held == 0
	for _, r := range found {
		if told[r.Tuple.Key] >= r.result {
			continue
		}
		isOfRole := r.result == Granted && r.rank == held
		switch {
		case len(all) < sourcesMax:
			all = append(all, r.Source)
		case isOfRole && !ofRole:
			all[sourcesMax-1] = r.Source
		}
		told[r.Tuple.Key] = r.result
		ofRole = ofRole || isOfRole
	}
	return all
}

// sourceSteps is how many steps of a walk it takes to say what a source gives, and to put
// it in its place.
const sourceSteps = 20

// A ranked is a source, and how much it gives.
type ranked struct {
	Source
	rank   int    // of its role, from 1 on; 0 where it gives no role
	gives  bool   // what is asked
	result Result // that it gives this for certain, or that it may
}

// source is what a slot of the root gives by one tuple: the highest role that follows
// from it for certain, or else one that may.
func (b *web) source(at vertexSlot, t rel.Tuple, r Result, through rel.Subject, needs schema.Slots) ranked {
	found := ranked{Source: Source{Tuple: t, Through: through}, result: r}
	for least := r; least > Denied && found.rank == 0; least-- {
		given := b.givenBy(at.slot, least)
		found.gives = found.gives || !given.Meet(needs).Empty()
		for i, role := range b.root.definition.Ladder() {
			if given.Has(role.Slot) {
				found.rank, found.Role, found.result = i+1, role.Name, least
			}
		}
	}
	return found
}

// rankHeld is the rank of the effective role, counted as in ranked.
func (b *web) rankHeld() (rank int) {
	for i, role := range b.root.definition.Ladder() {
		if b.of(vertexSlot{b.root, role.Slot}) == Granted {
			rank = i + 1
		}
	}
	return rank
}

// givenBy are the slots of the root that hold by one of them, all on the way being held
// at least so far.
func (b *web) givenBy(slot schema.Slot, least Result) schema.Slots {
	given := schema.Slots{}
	stack := []schema.Slot{slot}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if b.of(vertexSlot{b.root, s}) < least || !given.Add(s) {
			continue
		}
		for _, reader := range b.root.definition.Plan(s).Readers {
			if b.root.wanted.Has(reader) && b.gives(b.root, b.root.definition.Plan(reader).Expr, support{slots: given}, least) {
				stack = append(stack, reader)
			}
		}
	}
	return given
}

// through is what a tuple of the root leads through: the userset that it names, or the
// name that is held on the object that it names. It is nothing where the tuple itself
// gives the subject the relation.
func (b *web) through(at vertexSlot, in incoming, subject rel.Subject) rel.Subject {
	if at.plan().Kind == schema.Stored && in.tuple.Subject == subject {
		return rel.Subject{}
	}
	for from := in.from; ; {
		if from.definition.IsAsked(from.slot) {
			return rel.Userset(from.object, rel.Name(from.plan().Label))
		}
		// A nested arrow has no name: what it leads to has. Of several objects behind it
		// one that holds for certain is meant, if there is one.
		next, most := vertexSlot{}, Denied
		for _, below := range from.in[from.slot] {
			b.walk.spend()
			if r := min(below.limit, b.of(below.from)); r > most {
				next, most = below.from, r
			}
			if most == Granted {
				break
			}
		}
		if next.vertex == nil {
			return rel.Of(from.object)
		}
		from = next
	}
}
