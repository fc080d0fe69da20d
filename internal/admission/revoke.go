package admission

import (
	"math"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// revokingNotInSchema says which type or name of a revoke does not exist; nil
// where all do.
func revokingNotInSchema(s *schema.Schema, r rel.Revoking) *fault.Fault {
	if f := objectNotInSchema(s, r.Within); f != nil {
		return f
	}
	f := fault.Of(s.CheckSubject(r.Subject))
	if f == nil {
		return nil
	}
	return fault.Newf(fault.NotInSchema, "%s: %s", r.Subject, f.Summary).Do("%s", f.Remedy).With("subject", r.Subject.String())
}

// revoke takes away what a subject itself was given on an object and inside it. It
// goes from the subject's own tuples up to the object, not from the object down to
// all that is inside: one person has some hundred tuples, and an organization a
// million projects.
func (j *judge) revoke(i int, u rel.Update) (goesOn bool) {
	s := u.Revoking.Subject
	own := s.Relation()
	found, ok := j.selected(rel.Filter{SubjectType: s.Type(), SubjectID: s.ID(), SubjectRelation: &own}, math.MaxInt)
	if !ok {
		return false
	}
	c := containment{judge: j, within: u.Revoking.Within, known: map[rel.Object]bool{u.Revoking.Within: true}}
	var gone []rel.Tuple
	for _, t := range found {
		if !revocable(j.relation(t)) || !c.contains(t.Object) {
			continue
		}
		gone = append(gone, t)
	}
	if j.fail(nil) {
		return false
	}
	j.takeAway(i, u, gone)
	return true
}

// revocable reports whether a relation is one that people are given: a role, or one
// that an actor may grant. What can only take access away stays, for offboarding
// is not to lift a ban.
func revocable(r *schema.Relation) bool {
	return r != nil && (r.Rank != schema.NoRank || !r.GrantedBy.IsZero()) && !r.TakesAwayOnly
}

// A containment answers what is inside an object, as the state is.
type containment struct {
	*judge
	within rel.Object
	known  map[rel.Object]bool // whether it is the object or inside it
}

// contains looks upwards from an object, over the relations that its definition is
// `within`. All that was passed on a way that ends elsewhere is outside, whatever
// circles it has.
func (c *containment) contains(o rel.Object) bool {
	seen := map[rel.Object]bool{o: true}
	for queue := []rel.Object{o}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if inside, known := c.known[at]; known {
			if inside {
				c.known[o] = true
				return true
			}
			continue
		}
		for _, name := range c.schema.Definition(at.Type()).Within() {
			for t, err := range c.state.on(at, name) {
				if c.fail(err) {
					return false
				}
				if parent, ok := plainObject(t.Subject); ok && !seen[parent] {
					seen[parent] = true
					queue = append(queue, parent)
				}
			}
		}
	}
	for each := range seen {
		c.known[each] = false
	}
	return false
}
