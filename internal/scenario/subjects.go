package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A finder finds the subjects of one name of one object as a validation lists
// them. It knows the tuples and nothing of the schema: everything else it asks.
//
// Where a subject stands in tuples of o#r, o#r is one of its places. Presenting
// the userset o#r is as good as standing there (a userset is a member of itself),
// so a place is a source of the subject where it makes a difference to what its
// places give: with some of the others presented the name holds, and without it
// does not, or the other way round for a ban. That is what the other tools read
// off the tree of the name's expansion, but for a place whose difference another
// one absorbs, as editor's in `(viewer & editor) + viewer`.
//
// The values that tuples bring for their caveats are taken out before a finder
// is asked (see withoutValues): a caveat is open then, and conditional is what a
// caveat stands in the way of.
type finder struct {
	ctx    context.Context
	driver Driver
	object rel.Object
	name   rel.Name

	places   map[rel.Subject][]rel.Subject
	caveated map[rel.Key]bool
	asked    map[string]Value
}

// sourcesMax bounds the places that are weighed in all combinations.
const sourcesMax = 10

// withoutValues are the tuples with the values of their caveats taken out.
func withoutValues(tuples []rel.Tuple) []rel.Tuple {
	open := slices.Clone(tuples)
	for i := range open {
		open[i].Caveat.Context = rel.Context{}
	}
	return open
}

// newFinder notes the places of every subject that the tuples lead to from the
// object; what has expired leads nowhere.
func newFinder(ctx context.Context, driver Driver, v Validation, tuples []rel.Tuple, now time.Time) *finder {
	f := &finder{
		ctx: ctx, driver: driver, object: v.Object, name: v.Name,
		places: map[rel.Subject][]rel.Subject{}, caveated: map[rel.Key]bool{}, asked: map[string]Value{},
	}
	on := map[rel.Object][]rel.Tuple{}
	for _, t := range tuples {
		if !t.Expires.PassedAt(now) {
			on[t.Object] = append(on[t.Object], t)
		}
	}
	reached := map[rel.Object]bool{v.Object: true}
	for next := []rel.Object{v.Object}; len(next) > 0; {
		o := next[0]
		next = next[1:]
		for _, t := range on[o] {
			f.caveated[t.Key] = !t.Caveat.IsZero()
			if place := rel.Userset(t.Object, t.Relation); !slices.Contains(f.places[t.Subject], place) {
				f.places[t.Subject] = append(f.places[t.Subject], place)
			}
			if named, ok := t.Subject.Object(); ok && !reached[named] {
				reached[named] = true
				next = append(next, named)
			}
		}
	}
	return f
}

// value asks what a principal's hold on the name comes to. Nobody holds nothing.
func (f *finder) value(subjects []rel.Subject) (Value, error) {
	if len(subjects) == 0 {
		return Denied, nil
	}
	principal, err := rel.NewPrincipal(subjects[0], subjects[1:]...)
	if err != nil {
		return Denied, err
	}
	key := principal.String()
	if v, ok := f.asked[key]; ok {
		return v, nil
	}
	answer, err := f.driver.Check(f.ctx, Question{Object: f.object, Name: f.name, Principal: principal})
	if err != nil {
		return Denied, err
	}
	f.asked[key] = answer.Value
	return answer.Value, nil
}

// all finds every subject, in order.
func (f *finder) all() ([]Found, error) {
	candidates := []rel.Subject{rel.Of(f.object)}
	for s := range f.places {
		candidates = append(candidates, s)
	}
	slices.SortFunc(candidates, rel.Subject.Compare)
	var found []Found
	for _, s := range slices.Compact(candidates) {
		one, ok, err := f.one(s)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, one)
		}
	}
	return found, nil
}

// one finds one subject. Who is reached by a wildcard alone is not listed: the
// wildcard is.
func (f *finder) one(s rel.Subject) (Found, bool, error) {
	asks, err := f.standIn(s)
	if err != nil {
		return Found{}, false, err
	}
	v, err := f.value([]rel.Subject{asks})
	if err != nil || v == Denied {
		return Found{}, false, err
	}
	w, err := f.weigh(s, nil)
	if err == nil && !s.IsWildcard() && !s.IsUserset() {
		w, err = f.besideWildcard(s, w)
	}
	if err != nil || !w.gives {
		return Found{}, false, err
	}
	found := Found{Mention: Mention{s, min(v, w.best) != Granted}, Sources: w.sources}
	if s.IsWildcard() {
		found.Except, err = f.exceptions(s)
	}
	return found, true, err
}

// standIn is who asks for a subject: itself, or for a wildcard somebody of its
// type whom no tuple names.
func (f *finder) standIn(s rel.Subject) (rel.Subject, error) {
	if !s.IsWildcard() {
		return s, nil
	}
	for i := 0; ; i++ {
		o, err := rel.ParseObject(fmt.Sprintf("%s:somebody%d", s.Type(), i))
		if err != nil {
			return s, err
		}
		if _, named := f.places[rel.Of(o)]; !named && o != f.object {
			return rel.Of(o), nil
		}
	}
}

// A weighing is what came of presenting a subject's places in all combinations.
type weighing struct {
	gives   bool          // with some of them the name holds, and without it does not
	sources []rel.Subject // those that made a difference
	best    Value         // the most that they give, under the caveats of the subject's own tuples
}

// weigh presents the places of a subject, beside others that are always presented.
func (f *finder) weigh(s rel.Subject, beside []rel.Subject) (weighing, error) {
	var w weighing
	var rest []rel.Subject
	for _, place := range f.places[s] {
		v, err := f.value(append(slices.Clone(beside), place))
		if err != nil {
			return w, err
		}
		if v == Denied {
			rest = append(rest, place)
			continue
		}
		w.gives = true
		w.sources = append(w.sources, place)
		w.best = max(w.best, min(v, f.own(s, place)))
	}
	alone := slices.Clone(w.sources)
	if len(rest) > sourcesMax {
		return w, cannotTell("%s stands in %d relations that could matter together, and at most %d are weighed", s, len(rest), sourcesMax)
	}
	together, err := f.together(s, rest, beside, &w)
	if err != nil {
		return w, err
	}
	for i, place := range rest {
		matters := false
		for chosen, v := range together {
			if without := chosen &^ (1 << i); (v == Denied) != (together[without] == Denied) {
				matters = true
				w.gives = w.gives || v != Denied
			}
		}
		for _, other := range alone { // a ban gives nothing, and takes away
			v, err := f.value(append(slices.Clone(beside), other, place))
			if err != nil {
				return w, err
			}
			matters = matters || v == Denied
		}
		if matters {
			w.sources = append(w.sources, place)
		}
	}
	return w, nil
}

// together is what each choice of the places gives, by its bits.
func (f *finder) together(s rel.Subject, places, beside []rel.Subject, w *weighing) ([]Value, error) {
	values := make([]Value, 1<<len(places))
	for chosen := range values {
		presented, through := slices.Clone(beside), Granted
		for i, p := range places {
			if chosen&(1<<i) != 0 {
				presented = append(presented, p)
				through = min(through, f.own(s, p))
			}
		}
		v, err := f.value(presented)
		if err != nil {
			return nil, err
		}
		values[chosen] = v
		if chosen != 0 {
			w.best = max(w.best, min(v, through))
		}
	}
	return values, nil
}

// own is what the subject's own tuple of a place lets through.
func (f *finder) own(s, place rel.Subject) Value {
	object, _ := place.Object()
	if f.caveated[rel.Key{Object: object, Relation: place.Relation(), Subject: s}] {
		return Conditional
	}
	return Granted
}

// besideWildcard weighs the places of a subject that a wildcard means, too. Where
// they give nothing by themselves they may give something together with the
// wildcard's, as in `everybody & member`; then the subject's own are its sources.
func (f *finder) besideWildcard(s rel.Subject, bare weighing) (weighing, error) {
	wild := rel.Wildcard(s.Type())
	places := f.places[wild]
	if len(places) > sourcesMax {
		return bare, cannotTell("%s stands in %d relations, and at most %d are weighed", wild, len(places), sourcesMax)
	}
	weighed, byWildcard := bare, false
	for chosen := 1; chosen < 1<<len(places); chosen++ {
		var beside []rel.Subject
		through := Granted
		for i, p := range places {
			if chosen&(1<<i) != 0 {
				beside = append(beside, p)
				through = min(through, f.own(wild, p))
			}
		}
		v, err := f.value(beside)
		if err != nil {
			return bare, err
		}
		if v != Denied {
			byWildcard = true
			continue
		}
		w, err := f.weigh(s, beside)
		switch {
		case err != nil:
			return bare, err
		case !w.gives || isSubset(w.sources, weighed.sources):
		case bare.gives:
			return bare, cannotTell("%s comes by itself and together with %s, and which of its sources count is not told apart", s, wild)
		case min(w.best, through) == Conditional:
			return bare, cannotTell("%s comes together with %s under a caveat, and whose source is whose is not told apart", s, wild)
		default:
			weighed = w
		}
	}
	if !weighed.gives && !byWildcard {
		return bare, cannotTell("%s holds the name by no tuple that names it, so there is no source to list", s)
	}
	return weighed, nil
}

func isSubset(a, b []rel.Subject) bool {
	return !slices.ContainsFunc(a, func(s rel.Subject) bool { return !slices.Contains(b, s) })
}

// exceptions are whom a wildcard that gives the name does not reach: who is
// denied it, and, under a caveat, whom a place of theirs would take it from.
func (f *finder) exceptions(wild rel.Subject) ([]Mention, error) {
	var except []Mention
	for s, places := range f.places {
		if s.Type() != wild.Type() || s.IsWildcard() || s.IsUserset() {
			continue
		}
		v, err := f.value([]rel.Subject{s})
		if err != nil {
			return nil, err
		}
		switch v {
		case Denied:
			except = append(except, Mention{Subject: s})
		case Conditional:
			for _, place := range places {
				v, err := f.value(append(slices.Clone(f.places[wild]), place))
				if err != nil {
					return nil, err
				}
				if v == Denied {
					except = append(except, Mention{s, true})
					break
				}
			}
		}
	}
	return except, nil
}

// An unknowable says why a validation that can be written cannot be judged by
// asking. Its case fails, and says so.
type unknowable string

func (u unknowable) Error() string { return string(u) }

func cannotTell(format string, args ...any) error { return unknowable(fmt.Sprintf(format, args...)) }
