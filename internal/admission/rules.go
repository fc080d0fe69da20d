package admission

import (
	"iter"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// oneRolePerSubject judges the ladders that are one per subject, and the
// relations that are so over many objects. Only what is put can break it.
func (j *judge) oneRolePerSubject(Write) {
	for t := range j.state.gained() {
		r := j.relation(t)
		if r.Rank != schema.NoRank && j.schema.Definition(t.Object.Type()).OneRolePerSubject() {
			j.oneRoleOn(t)
			for _, over := range j.schema.Spreading(t.Object.Type()) {
				j.onePerSubjectWith(spread{over, t.Object, t.Subject})
			}
		}
		if r.With != "" {
			j.spreadFrom(r, t)
		}
		j.spreadOverLink(t)
		if j.err != nil {
			return
		}
	}
}

// oneRoleOn refuses a second stored role of the tuple's subject on its object.
func (j *judge) oneRoleOn(t rel.Tuple) {
	roles, err := j.rolesOn(t.Object, t.Subject)
	if j.fail(err) {
		return
	}
	for _, other := range roles {
		if other.Key == t.Key {
			continue
		}
		if c, changed := j.state.changeOf(other.Key); changed && c.op() == rel.Create && other.Key.Compare(t.Key) < 0 {
			continue // said once, of the smaller of the two
		}
		j.breach(fault.Newf(fault.OneRolePerSubject, "%s would have two roles on %s: %s and %s", t.Subject, t.Object, t.Relation, other.Relation).
			Do("delete %s in the same write", other.Key).With("tuple", t.String()).With("other", other.String()))
	}
}

// rolesOn are the stored roles of a subject on an object.
func (j *judge) rolesOn(o rel.Object, s rel.Subject) ([]rel.Tuple, error) {
	var found []rel.Tuple
	for _, role := range j.schema.Definition(o.Type()).Ladder() {
		if role.Relation == nil || !role.Relation.Allows(s) {
			continue
		}
		t, there, err := j.state.find(rel.Key{Object: o, Relation: role.Name, Subject: s})
		if err != nil {
			return nil, err
		}
		if there {
			found = append(found, t)
		}
	}
	return found, nil
}

// A spread is one question of `one per subject with`: of this relation, does the
// subject have at most one tuple over all objects linked to this one?
type spread struct {
	relation *schema.Relation
	over     rel.Object
	subject  rel.Subject
}

// spreadFrom judges a tuple of a relation with `one per subject with`, over every
// object that its own object is linked to.
func (j *judge) spreadFrom(r *schema.Relation, t rel.Tuple) {
	for _, over := range j.linkedFrom(t.Object, r) {
		j.onePerSubjectWith(spread{r, over, t.Subject})
	}
}

// spreadOverLink judges a new link: all who stand on the linked object come with it.
func (j *judge) spreadOverLink(link rel.Tuple) {
	over, ok := plainObject(link.Subject)
	if !ok {
		return
	}
	for _, r := range j.schema.Spreading(over.Type()) {
		if r.Type != link.Object.Type() || r.With != link.Relation {
			continue
		}
		for t, err := range j.state.on(link.Object, r.Name) {
			if j.fail(err) {
				return
			}
			j.onePerSubjectWith(spread{r, over, t.Subject})
		}
	}
}

// onePerSubjectWith refuses a second tuple of the subject: in the relation, on all
// objects linked to one, and among that one's own roles where they are one per subject.
func (j *judge) onePerSubjectWith(at spread) {
	if j.spreads[at] || j.err != nil {
		return
	}
	j.spreads[at] = true
	held := j.heldOver(at)
	if j.err != nil {
		return
	}
	if d := j.schema.Definition(at.over.Type()); d.OneRolePerSubject() && len(held) > 0 {
		roles, err := j.rolesOn(at.over, at.subject)
		if j.fail(err) {
			return
		}
		held = append(held, roles...)
	}
	slices.SortFunc(held, func(a, b rel.Tuple) int { return a.Key.Compare(b.Key) })
	// A role that spreads over its own type stands in both lists where an object
	// is linked to itself; in one of them by its key alone.
	held = slices.CompactFunc(held, func(a, b rel.Tuple) bool { return a.Key == b.Key })
	if len(held) < 2 {
		return
	}
	j.breach(fault.Newf(fault.OneRolePerSubject, "%s would have %d roles in %s: %s and %s", at.subject, len(held), at.over, held[0], held[1]).
		Do("delete one of them in the same write").With("tuple", held[0].String()).With("other", held[1].String()))
}

// heldOver are the subject's tuples in the relation on all objects linked to one.
// Either may be many: the objects of a subject that is everywhere, or the objects
// of a large workspace. Both are read side by side, until the shorter one ends.
func (j *judge) heldOver(at spread) []rel.Tuple {
	nextHeld, stopHeld := iter.Pull2(j.state.objects(at.subject, at.relation.Type, at.relation.Name))
	defer stopHeld()
	nextLinked, stopLinked := iter.Pull2(j.state.objects(rel.Of(at.over), at.relation.Type, at.relation.With))
	defer stopLinked()
	var held, linked []rel.Tuple
	for {
		o, err, more := nextHeld()
		if j.fail(err) {
			return nil
		}
		if !more {
			return j.those(held, func(t rel.Tuple) rel.Key {
				return rel.Key{Object: t.Object, Relation: at.relation.With, Subject: rel.Of(at.over)}
			})
		}
		held = append(held, rel.Tuple{Key: rel.Key{Object: o, Relation: at.relation.Name, Subject: at.subject}})
		if o, err, more = nextLinked(); j.fail(err) {
			return nil
		}
		if !more {
			return j.those(linked, func(t rel.Tuple) rel.Key { return t.Key })
		}
		linked = append(linked, rel.Tuple{Key: rel.Key{Object: o, Relation: at.relation.Name, Subject: at.subject}})
	}
}

// those are the tuples for which another one is there, too.
func (j *judge) those(tuples []rel.Tuple, other func(rel.Tuple) rel.Key) []rel.Tuple {
	var found []rel.Tuple
	for _, t := range tuples {
		there, err := j.state.has(other(t))
		if j.fail(err) {
			return nil
		}
		if there {
			found = append(found, t)
		}
	}
	return found
}

// upperBounds counts the live tuples of every relation that got one.
func (j *judge) upperBounds(Write) {
	type place struct {
		object   rel.Object
		relation rel.Name
	}
	judged := make(map[place]bool)
	for t := range j.state.gained() {
		r := j.relation(t)
		at := place{t.Object, t.Relation}
		if r.Max == schema.Unbounded || judged[at] {
			continue
		}
		judged[at] = true
		count := 0
		for _, err := range j.state.on(t.Object, t.Relation) {
			if j.fail(err) {
				return
			}
			count++
		}
		if count > r.Max {
			j.breach(fault.Newf(fault.UpperBoundMustHold, "%s would have %d subjects in %q, and may have at most %d", t.Object, count, r.Name, r.Max).
				Do("delete others in the same write").With("tuple", t.String()))
		}
	}
}

// lowerBounds counts, for every object that a changed tuple names and that still
// stands in any tuple. A wildcard does not count, since nobody would have to be
// there, and neither does what a condition or a clock can take away.
func (j *judge) lowerBounds(Write) {
	judged := make(map[rel.Object]bool)
	judge := func(o rel.Object) {
		if judged[o] || j.err != nil {
			return
		}
		judged[o] = true
		if len(j.schema.Definition(o.Type()).LowerBounds()) == 0 {
			return
		}
		stands, err := j.state.stands(o)
		if j.fail(err) || !stands {
			return
		}
		j.lowerBoundsOf(o)
	}
	for c := range j.state.changed() {
		judge(c.Tuple.Object)
		if o, ok := c.Tuple.Subject.Object(); ok {
			judge(o)
		}
	}
}

func (j *judge) lowerBoundsOf(o rel.Object) {
	for _, r := range j.schema.Definition(o.Type()).LowerBounds() {
		count := 0
		for t, err := range j.state.on(o, r.Name) {
			if j.fail(err) {
				return
			}
			if t.Always() && !t.Subject.IsWildcard() {
				count++
			}
			if count == r.Min {
				break
			}
		}
		if count < r.Min {
			j.breach(lowerBoundBroken(o, r, count))
		}
	}
}

func lowerBoundBroken(o rel.Object, r *schema.Relation, count int) *fault.Fault {
	return fault.Newf(fault.LowerBoundMustHold, "%s would have %s in %q, and needs at least %d", o, fault.Counted(count, "subject"), r.Name, r.Min).
		Do("put another in the same write, or take away every tuple in which %s stands", o).
		With("object", o.String()).With("relation", string(r.Name))
}

// subjectsIn judges `of`: who stands in a relation must stand in the other, too.
// Time can break it without a write, so it is judged for what a write changes: for
// every tuple that is put or changed, and for every one that needs a tuple that is
// taken away or ends. What was not there before is not missed.
func (j *judge) subjectsIn(Write) {
	judged := make(map[rel.Key]bool)
	mustStandIn := func(t rel.Key, of rel.Name) {
		if !judged[t] {
			judged[t] = true
			j.mustStandIn(t, of)
		}
	}
	for c := range j.state.changed() {
		t := c.Tuple
		if c.Op != rel.Delete && !t.Expires.PassedAt(j.state.now) {
			if of := j.relation(t).Of; of != "" {
				mustStandIn(t.Key, of)
			}
			continue
		}
		if c.Op == rel.Create { // already expired, and so it was not there before, either
			continue
		}
		for _, r := range j.schema.Definition(t.Object.Type()).Relations() {
			if r.Of != t.Relation {
				continue
			}
			left := rel.Key{Object: t.Object, Relation: r.Name, Subject: t.Subject}
			there, err := j.state.has(left)
			if j.fail(err) {
				return
			}
			if there {
				mustStandIn(left, r.Of)
			}
		}
	}
}

func (j *judge) mustStandIn(t rel.Key, of rel.Name) {
	there, err := j.state.has(rel.Key{Object: t.Object, Relation: of, Subject: t.Subject})
	if j.fail(err) || there {
		return
	}
	j.breach(fault.Newf(fault.SubjectMustBeIn, "%s: its subject does not stand in %s#%s", t, t.Object, of).
		Do("put %s#%s@%s in the same write, or leave the subject out of both", t.Object, of, t.Subject).With("tuple", t.String()))
}

// relation is what a changed tuple is stored under; fitTheSchema has seen that it exists.
func (j *judge) relation(t rel.Tuple) *schema.Relation {
	return j.schema.Definition(t.Object.Type()).Relation(t.Relation)
}

// plainObject is the object that a link points to. A userset or a wildcard links to none.
func plainObject(s rel.Subject) (rel.Object, bool) {
	if s.IsUserset() {
		return rel.Object{}, false
	}
	return s.Object()
}
