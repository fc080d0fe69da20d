package worlds

import (
	"context"
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// An Explainer is a System that says why its answers are what they are. A question
// without a name is about all that is held on its object.
type Explainer interface {
	Explain(ctx context.Context, q Question) (Explanation, error)
}

// An Explanation is an answer with its reasons.
type Explanation struct {
	Result   oracle.Truth // of a Check
	Role     rel.Name     // of an effective access: the certain one, or else the conditional one
	Reason   *Reason
	Openings []rel.Tuple
}

// A Reason is one statement of an explanation, and what it stands on.
type Reason struct {
	Object         rel.Object
	Name           string
	Result         oracle.Truth
	Step           ReasonStep
	Tuple          rel.Tuple
	Contextual     bool
	ConditionFalse bool
	Because        []*Reason
	Cut            bool
	Role           rel.Name
}

// A ReasonStep says how a reason follows from those below it. The zero ReasonStep is
// that nothing is shown.
type ReasonStep uint8

const (
	ByNothing ReasonStep = iota
	ByTuple
	ByItself
	ByAnyOf
	ByAllOf
	ByMinus
	ByRoleAbove
	ByArrow
)

func (s ReasonStep) String() string {
	return [...]string{"nothing", "a tuple", "itself", "any of", "all of", "the first less the others", "a role above", "an arrow"}[s]
}

// Reasons is the trial of a world in which nothing is asked for but reasons: of all
// questions at first, and after each write and move of the clock of those that would
// be asked then.
func (w *World) Reasons() Trial {
	t := w.questioned()
	first := Step{Way: Explain, Questions: w.Questions()}
	for _, asker := range w.Askers {
		for _, object := range w.Objects {
			first.Questions = append(first.Questions, Question{Object: object, Asker: asker})
		}
	}
	steps := []Step{first}
	written := false
	for _, step := range t.Steps {
		switch step.Way {
		case Write, Advance:
			written = true
			steps = append(steps, step)
		case Check, Batch, Effective:
			if step.Way = Explain; written {
				steps = append(steps, step)
			}
		}
	}
	t.Steps = steps
	return t
}

// explain judges an explanation: its top is the answer, every reason is true of the
// world and follows from those below it, and what it says would open a denial does.
func (r *referee) explain(q Question) *Disagreement {
	explainer, ok := r.system.(Explainer)
	if !ok {
		return nil
	}
	asked := q.all()
	if q.Name == "" {
		asked = q.Object.String() + "@" + q.Asker.String()
	}
	got, err := explainer.Explain(r.ctx, q)
	if err != nil {
		return &Disagreement{Asked: asked, Got: errorText(err), Want: "an explanation"}
	}
	j := &judge{access: r.of(q.Asker, r.now), asker: q.Asker, world: r.world, above: map[string]bool{}}
	if got.Reason == nil {
		return &Disagreement{Asked: asked, Got: "no reason", Want: "one"}
	}
	if q.Name != "" {
		j.top(q, got)
	} else {
		j.topOfAccess(q, got)
	}
	j.reason(got.Reason)
	if j.wrong == "" {
		j.openings(q, got, r.opened)
	}
	if len(got.Openings) > 0 {
		r.opened++
	}
	if j.wrong != "" {
		return &Disagreement{Asked: asked, Got: j.wrong, Want: "otherwise"}
	}
	r.tally.Explained++
	r.tally.Openings += len(got.Openings)
	return nil
}

// A judge holds one explanation against the oracle. It keeps the first statement
// that is wrong.
type judge struct {
	access *oracle.Access
	asker  Asker
	world  *oracle.Oracle
	above  map[string]bool // what the present reason stands below
	wrong  string
}

func (j *judge) say(x *Reason, format string, args ...any) {
	if j.wrong == "" {
		j.wrong = fmt.Sprintf("%s#%s is %s by %s %s", x.Object, x.Name, x.Result, x.Step, x.Tuple) + ": " + fmt.Sprintf(format, args...)
	}
}

// top judges what an explanation of a Check is about.
func (j *judge) top(q Question, got Explanation) {
	x := got.Reason
	if want := j.access.Result(q.Object, q.Name); x.Object != q.Object || x.Name != string(q.Name) || x.Result != want || got.Result != want {
		j.say(x, "the answer is %s, and should be %s", got.Result, want)
	}
	for _, way := range x.Because {
		if way.Role != "" && j.access.Result(q.Object, way.Role) < way.Result {
			j.say(way, "it is said to give %s", way.Role)
		}
	}
}

// topOfAccess judges what an explanation of an effective access is about: first the
// role, of what follows none is higher that holds as much.
func (j *judge) topOfAccess(q Question, got Explanation) {
	x, role := got.Reason, j.access.Role(q.Object)
	result := oracle.Yes
	if role == "" && len(j.access.Names(q.Object)) == 0 {
		role, result = j.access.ConditionalRole(q.Object), oracle.Conditional
		if role == "" && len(j.access.ConditionalNames(q.Object)) == 0 {
			result = oracle.No
		}
	}
	if x.Object != q.Object || x.Name != "" || x.Result != result {
		j.say(x, "it should be about %s, and %s", q.Object, result)
	}
	if role != "" && (len(x.Because) == 0 || x.Because[0].Role != role || x.Because[0].Result != result || x.Because[0].Name != string(role)) {
		j.say(x, "it should begin with %s, %s", role, result)
	}
	for _, way := range x.Because {
		if way.Role != "" && j.access.Result(q.Object, way.Role) < way.Result {
			j.say(way, "it is said to give %s", way.Role)
		}
	}
}

// reason judges one statement, and all below it.
func (j *judge) reason(x *Reason) {
	if j.wrong != "" {
		return
	}
	if name, err := rel.ParseName(x.Name); err == nil && x.Step != ByTuple && j.access.Result(x.Object, name) != x.Result {
		j.say(x, "it is %s", j.access.Result(x.Object, name))
		return
	}
	key := fmt.Sprint(x.Object, "#", x.Name, " ", x.Step == ByTuple, x.Step == ByArrow, x.Tuple.Key)
	if x.Name != "" && x.Result > oracle.No {
		if j.above[key] {
			j.say(x, "it leads back to itself")
			return
		}
		j.above[key] = true
		defer delete(j.above, key)
	}
	for _, below := range x.Because {
		if below == nil {
			j.say(x, "a reason is missing below")
			return
		}
		j.reason(below)
	}
	j.follows(x)
}

// live are the tuples that count in this request.
func (j *judge) live() []rel.Tuple { return j.access.Tuples() }

// gives is what a tuple of a relation gives by itself.
func (j *judge) gives(t rel.Tuple) oracle.Truth {
	behind := oracle.No
	if o, ok := t.Subject.Object(); ok && t.Subject.IsUserset() {
		behind = j.access.Result(o, t.Subject.Relation())
	}
	if j.asker.Principal.Matches(t.Subject) {
		behind = oracle.Yes
	}
	return min(j.access.Caveat(t), behind)
}

// follows judges whether a statement follows from those right below it.
func (j *judge) follows(x *Reason) {
	var below []oracle.Truth
	for _, b := range x.Because {
		below = append(below, b.Result)
	}
	none := len(below) == 0
	switch x.Step {
	case ByNothing:
		if !none || x.Result != oracle.No && !x.Cut {
			j.say(x, "nothing is shown")
		}
	case ByItself:
		itself := j.asker.Principal.Holds(rel.Of(x.Object))
		if name, err := rel.ParseName(x.Name); err == nil {
			itself = itself || j.asker.Principal.Holds(rel.Userset(x.Object, name))
		}
		if !itself || x.Result != oracle.Yes {
			j.say(x, "it is not who asks")
		}
	case ByAnyOf:
		if none && !x.Cut || !none && slices.Max(below) != x.Result || !none && below[0] != x.Result {
			j.say(x, "below it is %v", below)
		}
	case ByAllOf:
		if none && !x.Cut || !none && slices.Min(below) != x.Result && !x.Cut || !none && slices.Min(below) < x.Result {
			j.say(x, "below it is %v", below)
		}
	case ByMinus:
		if none {
			if !x.Cut {
				j.say(x, "nothing is below")
			}
			return
		}
		result := below[0]
		for _, taken := range below[1:] {
			result = min(result, oracle.Yes-taken)
		}
		if result != x.Result && !x.Cut {
			j.say(x, "below it is %v", below)
		}
	case ByRoleAbove:
		if none && !x.Cut || !none && (len(below) != 1 || below[0] != x.Result || x.Because[0].Object != x.Object || !j.isAbove(x)) {
			j.say(x, "below it is %v", below)
		}
	case ByTuple, ByArrow:
		j.tuple(x)
	}
}

func (j *judge) isAbove(x *Reason) bool {
	ladder := j.world.LadderOf(x.Object.Type())
	return slices.Index(ladder, rel.Name(x.Because[0].Name)) > slices.Index(ladder, rel.Name(x.Name))
}

// tuple judges a statement that goes over a tuple.
func (j *judge) tuple(x *Reason) {
	t := x.Tuple
	if !slices.Contains(j.live(), t) || t.Object != x.Object {
		j.say(x, "there is no such tuple")
		return
	}
	brought := slices.ContainsFunc(j.asker.Contextual, func(c rel.Tuple) bool { return c == t })
	if x.Contextual != brought {
		j.say(x, "contextual is %v", x.Contextual)
	}
	caveat := j.access.Caveat(t)
	if x.ConditionFalse != (caveat == oracle.No) {
		j.say(x, "its condition is %s", caveat)
	}
	if len(x.Because) > 1 || x.Step == ByTuple && string(t.Relation) != x.Name {
		j.say(x, "it does not fit the tuple")
		return
	}
	behind := oracle.No
	if len(x.Because) == 1 {
		b := x.Because[0]
		behind = b.Result
		o, ok := t.Subject.Object()
		if !ok || b.Object != o || x.Step == ByTuple && b.Name != string(t.Subject.Relation()) {
			j.say(x, "below it is %s#%s", b.Object, b.Name)
		}
	} else if x.Step == ByTuple && j.asker.Principal.Matches(t.Subject) {
		behind = oracle.Yes
	} else if x.Cut {
		return
	}
	if min(caveat, behind) != x.Result {
		j.say(x, "its condition is %s, and behind it is %s", caveat, behind)
	}
	if x.Step == ByTuple && j.gives(t) != x.Result {
		j.say(x, "it gives %s", j.gives(t))
	}
}

// openingsEvery is how many explanations with openings there are to one of which one
// is judged: to the oracle that is a world of its own, which takes longer than all
// the rest of an explanation.
const openingsEvery = 4

// openings judges that an opening, another one each time, opens the denial by itself.
func (j *judge) openings(q Question, got Explanation, turn int) {
	denied := got.Reason.Result == oracle.No
	if q.Name == "" {
		denied = j.access.Role(q.Object) == "" && j.access.ConditionalRole(q.Object) == ""
	}
	if !denied && len(got.Openings) > 0 {
		j.say(got.Reason, "nothing is to be opened by %s", tuplesText(got.Openings))
	}
	if len(got.Openings) == 0 || turn%openingsEvery != 0 {
		return
	}
	t := got.Openings[turn/openingsEvery%len(got.Openings)]
	with, err := j.world.With(append(slices.Clone(j.asker.Contextual), t))
	if err != nil {
		j.say(got.Reason, "the opening %s does not fit: %v", t, err)
		return
	}
	access := with.For(q.Principal, q.Context)
	opens := access.Holds(q.Object, q.Name)
	if q.Name == "" {
		opens = access.Role(q.Object) != "" || len(j.world.LadderOf(q.Object.Type())) == 0 && len(access.Names(q.Object)) > 0
	}
	if !opens {
		j.say(got.Reason, "%s does not open it", t)
	}
}
