package engine

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
)

// Bounds on a reason: an explanation is read by a person.
const (
	reasonDepthMax = 64 // of messages in one another many clients read a hundred
	// reasonStepsMax is how deep a reason is told before it is tidied, which leaves
	// out up to three of four steps.
	reasonStepsMax = 4 * reasonDepthMax
	reasonNodesMax = 1000
	// reasonEntriesMax is how many of one kind stand below a reason: runners-up of a
	// path, or the groups that a denial went through.
	reasonEntriesMax = 10
)

// A Reason says why a name holds on an object, or why it does not, as a tree of
// facts that each follow from those below.
type Reason struct {
	Object rel.Object
	// Name is a name, or an arrow as it is written. It is empty for a part of an
	// expression that has no name of its own, and for an object as a whole.
	Name   string
	Result Result
	Step   Step
	Tuple  rel.Tuple // StepTuple and StepInherited: the tuple that was used
	// Contextual says that Tuple came with the request instead of being stored.
	Contextual bool
	// ConditionFalse says that the caveat of Tuple came to false: it gives nothing.
	ConditionFalse bool
	Because        []*Reason // what decides first
	Cut            bool      // there is more below than was kept
	// Omitted is how many entries at least Because has less than there are, as far as
	// they were counted.
	Omitted int
	// Role is the role that a way gives on the object that was asked about; only
	// directly below the top.
	Role rel.Name
}

// A Step says how a reason follows from those below it.
type Step uint8

const (
	StepNone      Step = iota // nothing is shown that gives the name
	StepTuple                 // Tuple is there; its subject is the principal, or holds by what is below
	StepItself                // the principal presents this userset, or this object
	StepAnyOf                 // one of several suffices
	StepAllOf                 // all of several are needed
	StepMinus                 // the first below, less the others; what takes nothing away is left out
	StepRoleBelow             // a higher role holds
	StepInherited             // Tuple leads to another object, and what is below says what holds there
)

// Deciding are the entries below a reason that give it its result: of several that
// suffice the first.
func (r *Reason) Deciding() []*Reason {
	if r.Step == StepAllOf {
		return r.Because
	}
	return r.Because[:min(1, len(r.Because))]
}

// Path is the tuples that give what holds, from the object asked for to the
// principal; where several things are needed, of all of them in order.
func (r *Reason) Path() []rel.Tuple {
	if r == nil || r.Result == Denied {
		return nil
	}
	var path []rel.Tuple
	if r.Step == StepTuple || r.Step == StepInherited {
		path = append(path, r.Tuple)
	}
	for _, b := range r.Deciding() {
		path = append(path, b.Path()...)
	}
	return path
}

// tidied is a reason without the steps that say nothing: a choice of one, and a
// choice in a choice. Of a denial what came furthest stands first.
func (r *Reason) tidied() *Reason {
	for i, b := range r.Because {
		r.Because[i] = b.tidied()
	}
	if r.Step == StepMinus {
		for _, b := range r.Because {
			if (b.Step == StepAnyOf || b.Step == StepNone) && b.Object == r.Object && b.Name == r.Name {
				b.Name = "" // the tuples of a role, before its `except`
			}
		}
	}
	if r.Step == StepMinus && len(r.Because) == 1 && r.Name != "" && r.is(r.Because[0]) {
		// What the higher role holds by is less the `except` already.
		if above := r.Because[0]; above.Step == StepRoleBelow && above.Name == "" {
			r.Step, r.Because, r.Cut = StepRoleBelow, above.Because, r.Cut || above.Cut
		}
	}
	if r.Step != StepAnyOf {
		return r
	}
	r.join()
	if r.Result == Denied {
		slices.SortStableFunc(r.Because, func(a, b *Reason) int { return int(b.far()) - int(a.far()) })
	}
	if len(r.Because) == 1 && r.is(r.Because[0]) && !r.Cut {
		only := *r.Because[0]
		if only.Name == "" {
			only.Object, only.Name = r.Object, r.Name
		}
		if only.Role == "" {
			only.Role = r.Role
		}
		return &only
	}
	return r
}

// within is a reason that is no deeper than it may be.
func (r *Reason) within(depth int) *Reason {
	if depth == 1 && len(r.Because) > 0 {
		r.Because, r.Cut = nil, true
	}
	for _, b := range r.Because {
		b.within(depth - 1)
	}
	return r
}

// is reports whether a reason is about the same as the one below it.
func (r *Reason) is(below *Reason) bool {
	return below.Result == r.Result && below.Object == r.Object && (r.Name == "" || below.Name == "" || below.Name == r.Name)
}

// join puts what suffices for a part that suffices into its place. Of a role, that
// no tuple gives it is not worth a line where something else is tried.
func (r *Reason) join() {
	var joined []*Reason
	for _, b := range r.Because {
		switch same := b.Object == r.Object && (b.Name == "" || b.Name == r.Name); {
		case b.Step == StepAnyOf && (same || b.isOfTuples()):
			joined = append(joined, b.Because...)
			r.Cut, r.Omitted = r.Cut || b.Cut, r.Omitted+b.Omitted
		case same && b.Step == StepNone && !b.Cut && len(r.Because) > 1:
		default:
			joined = append(joined, b)
		}
	}
	if r.Because = joined; len(joined) == 0 {
		r.Step = StepNone
	}
}

// isOfTuples reports whether a choice is between tuples, which say themselves what
// they are about.
func (r *Reason) isOfTuples() bool {
	return !slices.ContainsFunc(r.Because, func(b *Reason) bool {
		return b.Step != StepTuple && b.Step != StepInherited || b.Object != r.Object || b.Name != r.Name
	})
}

// A distance is how far what does not hold came.
type distance int8

const (
	nowhere     distance = iota // nothing was there to follow
	somewhere                   // a tuple was followed
	toCondition                 // a tuple would give it, and its condition is false
	toExclusion                 // it was there, and taken away
)

// far is how far a denial came. A part of what is needed at once came as far as that
// what is missing beside it did.
func (r *Reason) far() distance {
	d := nowhere
	switch {
	case r.Result != Denied:
		return nowhere
	case r.Step == StepMinus && len(r.Because) > 1:
		return toExclusion
	case r.ConditionFalse && !r.Cut && (len(r.Because) == 0 || r.Because[0].Result != Denied):
		return toCondition
	case r.Step == StepTuple || r.Step == StepInherited:
		d = somewhere
	case r.Step == StepAllOf:
		return r.nearest()
	}
	for _, b := range r.Because {
		d = max(d, b.far())
	}
	return d
}

// nearest is how far the last of all that are needed came.
func (r *Reason) nearest() distance {
	d := toExclusion
	for _, b := range r.Because {
		if b.Result == Denied {
			d = min(d, b.far())
		}
	}
	return d
}

// onlyTaken leaves of a denial what was taken away by an exclusion or by a false
// condition; nil where nothing was.
func (r *Reason) onlyTaken() *Reason {
	if r.far() < toCondition {
		return nil
	}
	switch r.Step {
	case StepTuple, StepInherited:
		for i, b := range r.Because {
			if b.Result == Denied {
				r.Because[i] = b.onlyTaken()
			}
		}
	case StepAnyOf:
		var taken []*Reason
		for _, b := range r.Because {
			if b = b.onlyTaken(); b != nil {
				taken = append(taken, b)
			}
		}
		r.Cut = r.Cut || len(taken) < len(r.Because)
		r.Because, r.Omitted = taken, 0
	}
	return r
}
