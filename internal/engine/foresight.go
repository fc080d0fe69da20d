package engine

import (
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A place is a relation of a type, whatever the object.
type place struct {
	typ      rel.ObjectType
	relation rel.Name
}

// A foresight is every tuple about the principal itself in one relation of a type,
// by object: what `direct` would find there, read from the other side.
type foresight struct {
	at map[rel.Object][]rel.Tuple
}

// foresee looks up the principal's own tuples in the groups that a chunk of
// usersets names, where there are many of one kind. A thousand groups then cost
// a seek and a step for each that the principal is in, not a seek each.
func (w *Walk) foresee(chunk []rel.Tuple) {
	if len(chunk) < foresightFrom {
		return
	}
	count := make(map[place]int)
	for _, t := range chunk {
		if t.Subject.IsUserset() {
			count[place{t.Subject.Type(), t.Subject.Relation()}]++
		}
	}
	for kind, n := range count {
		d := w.schema.Definition(kind.typ)
		if n < foresightFrom || d == nil {
			continue
		}
		declared := d.Name(kind.relation)
		if declared == nil {
			continue
		}
		for _, r := range d.StoredBelow(declared.Slot) {
			w.foreseeRelation(r, n*foresightSteps)
		}
	}
}

// foreseeRelation reads the principal's tuples in one relation, unless that takes
// more reads than it may.
func (w *Walk) foreseeRelation(r *schema.Relation, readsMax int) {
	at := place{r.Type, r.Name}
	if _, tried := w.foreseen[at]; tried || w.err != nil {
		return
	}
	if w.foreseen == nil {
		w.foreseen = make(map[place]*foresight)
	}
	w.foreseen[at] = nil // and stays so where it is given up
	found := &foresight{at: make(map[rel.Object][]rel.Tuple)}
	stop := w.reader.Reads() + readsMax
	for _, s := range w.candidates(r) {
		for t, err := range w.reader.Objects(s, r.Type, r.Name, rel.IDs{}) {
			if err != nil {
				w.fail(err)
				return
			}
			if w.reader.Reads() > stop {
				return
			}
			if r.AllowsTuple(t) {
				found.at[t.Object] = append(found.at[t.Object], t)
				w.carries(t)
			}
		}
	}
	w.foreseen[at] = found
}
