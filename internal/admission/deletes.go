package admission

import (
	"math"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// deleteMatching takes away what a filter selects of the state that the updates
// before it left. One more than may go is looked for, never all of them: a filter
// can select the whole store.
func (j *judge) deleteMatching(i int, u rel.Update) (goesOn bool) {
	most := u.Matching.Most()
	found, ok := j.selected(u.Matching.Filter, most+1)
	if !ok {
		return false
	}
	if len(found) > most {
		if !u.Matching.Partial {
			j.breach(fault.Newf(fault.MatchesMustStayWithinLimit, "%s selects more tuples than the limit of %d", u.Matching.Filter, most).
				Do("narrow the filter, raise `limit` to at most %d, or set `allow_partial` and repeat the write until it is not partial", rel.MatchingLimitMax).
				In(field(i, u)))
			return false
		}
		j.state.partial = true
		found = found[:most]
	}
	j.takeAway(i, u, found)
	return true
}

// deleteObject takes away every tuple in which an object stands. It has no limit
// beside the budget: half an object is never what was meant.
func (j *judge) deleteObject(i int, u rel.Update) (goesOn bool) {
	o := u.Object
	for _, side := range []rel.Filter{
		{ObjectType: o.Type(), ObjectID: o.ID()},
		{SubjectType: o.Type(), SubjectID: o.ID()}, // itself, and its usersets
	} {
		found, ok := j.selected(side, math.MaxInt)
		if !ok {
			return false
		}
		j.takeAway(i, u, found)
	}
	return true
}

// selected are the tuples that a filter selects, no more than so many; ok is false
// where looking for them failed.
func (j *judge) selected(f rel.Filter, most int) (found []rel.Tuple, ok bool) {
	for t, err := range j.state.tuples(f) {
		if j.fail(err) {
			return nil, false
		}
		found = append(found, t)
		if len(found) == most {
			break
		}
	}
	return found, !j.fail(nil)
}

// takeAway comes after the tuples were collected: the state does not change under
// whoever ranges over it.
func (j *judge) takeAway(i int, u rel.Update, tuples []rel.Tuple) {
	for _, t := range tuples {
		j.acts(act{field: field(i, u), tuple: t, takes: true})
		j.state.remove(t)
	}
}

// filterNotInSchema says which type or name of a filter does not exist; nil where
// all do.
func filterNotInSchema(s *schema.Schema, f rel.Filter) *fault.Fault {
	return fault.Of(s.CheckFilter(f))
}

// objectNotInSchema says that an object's type does not exist; nil where it does.
func objectNotInSchema(s *schema.Schema, o rel.Object) *fault.Fault {
	_, err := s.MustDefine(o.Type())
	f := fault.Of(err)
	if f == nil {
		return nil
	}
	return fault.Newf(fault.NotInSchema, "%s: %s", o, f.Summary).Do("%s", f.Remedy).With("object", o.String())
}
