package admission

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

const (
	// ReadsMax is what judging one write may read when no other bound is set. Judging holds up all
	// other writers of the store. A Reader whose scans can be long asks
	// OverBudget now and then.
	ReadsMax = 1_000_000
	// stepsPerRead is how many tuples that the write itself changed are looked at for
	// the price of a read: each takes a tenth of a microsecond.
	stepsPerRead = 10
	// violationsMax bounds how many broken rules one refusal lists.
	violationsMax = 100
)

// A Reader shows the state before the write. A snapshot of internal/tupledb is one.
type Reader interface {
	Find(k rel.Key) (t rel.Tuple, found bool, err error)
	// Tuples are the tuples that a filter selects, in the store's order.
	Tuples(f rel.Filter) iter.Seq2[rel.Tuple, error]
	// Objects are the tuples of a subject in a relation of the objects of a type whose
	// ids are in a range.
	Objects(s rel.Subject, typ rel.ObjectType, relation rel.Name, ids rel.IDs) iter.Seq2[rel.Tuple, error]
	// Time is when it is evaluated: what had expired by then is not shown.
	Time() time.Time
	Reads() int
}

// A Write is what is asked for.
type Write struct {
	// Actor is on whose behalf it is written; the zero Subject is nobody, and then
	// no rule on who may write is judged.
	Actor         rel.Subject
	Updates       []rel.Update
	Preconditions []rel.Precondition
}

// Holds answers a precondition of that kind: whether the principal holds the name
// on the object before the write, for certain.
type Holds func(ctx context.Context, p rel.Precondition) (bool, error)

// A Decision is what an admitted write does in the end: no tuple stands in it
// twice, Put were not there before, Touch were there with other attributes, and
// Delete were there as they stand here. The zero Decision changes nothing.
type Decision struct {
	Put, Touch, Delete []rel.Tuple
	// Partial says that a filter's limit left tuples that it selects.
	Partial bool
}

// Changes are the decision's tuples in the order of tuples.
func (d Decision) Changes() []rel.Change {
	changes := make([]rel.Change, 0, len(d.Put)+len(d.Touch)+len(d.Delete))
	add := func(op rel.Op, tuples []rel.Tuple) {
		for _, t := range tuples {
			changes = append(changes, rel.Change{Op: op, Tuple: t})
		}
	}
	add(rel.Create, d.Put)
	add(rel.Touch, d.Touch)
	add(rel.Delete, d.Delete)
	slices.SortFunc(changes, func(a, b rel.Change) int { return a.Tuple.Compare(b.Tuple) })
	return changes
}

// Admit decides on a write, reading at most readsMax. The rights are the actor's,
// and not asked where there is none. A refusal is a fault whose code is the first reason
// in the language's order, with all violations of that reason.
func Admit(ctx context.Context, s *schema.Schema, before Reader, write Write, holds Holds, rights Rights, readsMax int) (Decision, error) {
	j := newJudge(ctx, s, before, readsMax)
	j.holds, j.rights, j.actor = holds, rights, write.Actor
	for _, rule := range []func(Write){
		j.fitTheSchema,
		j.apply,
		j.preconditions,
		j.mayWrite,
		j.oneRolePerSubject,
		j.upperBounds,
		j.lowerBounds,
		j.subjectsIn,
	} {
		rule(write)
		if j.err != nil {
			return Decision{}, j.err
		}
		if len(j.broken) > 0 {
			return Decision{}, fault.Join(j.broken)
		}
	}
	return j.state.decision(), nil
}

func newJudge(ctx context.Context, s *schema.Schema, before Reader, readsMax int) *judge {
	return &judge{
		ctx: ctx, schema: s, state: newState(before), readsMax: readsMax, readsBegan: before.Reads(),
		spreads: make(map[spread]bool), creations: make(map[rel.Object]*creation),
	}
}

// A judge carries one write through the rules.
type judge struct {
	ctx        context.Context
	schema     *schema.Schema
	state      *state
	holds      Holds
	readsMax   int
	readsBegan int
	spreads    map[spread]bool // judged already

	actor     rel.Subject // zero where the application itself writes
	rights    Rights
	acted     []act // what the updates do, where there is an actor
	creations map[rel.Object]*creation

	broken []*fault.Fault
	err    error
}

// breach records a broken rule.
func (j *judge) breach(f *fault.Fault) {
	if len(j.broken) < violationsMax {
		j.broken = append(j.broken, f)
	}
}

// fail keeps the first failure that is no rule of the language, and reports
// whether there is one.
func (j *judge) fail(err error) bool {
	if err != nil && j.err == nil {
		j.err = err
	}
	if j.err == nil && j.state.before.Reads()-j.readsBegan+j.state.steps/stepsPerRead > j.readsMax {
		j.err = OverBudget(j.readsMax)
	}
	if j.err == nil {
		j.err = fault.Ended(j.ctx)
	}
	return j.err != nil
}

// OverBudget is the refusal of a write whose judging reads more than it may.
func OverBudget(readsMax int) error {
	return fault.Newf(fault.JudgingMustStayWithinBudget, "judging the write needs more than %d reads; nothing was written", readsMax).
		Do("split the write, take much away in parts, touch objects with fewer subjects, or give preconditions an object or a subject to look at")
}

// field names an update's tuple, filter or object in the request.
func field(i int, u rel.Update) string {
	switch u.Op {
	case rel.Delete:
		return fmt.Sprintf("updates[%d].delete_tuple", i)
	case rel.DeleteMatching:
		return fmt.Sprintf("updates[%d].delete_matching.filter", i)
	case rel.DeleteObject:
		return fmt.Sprintf("updates[%d].delete_object.object", i)
	case rel.Revoke:
		return fmt.Sprintf("updates[%d].revoke", i)
	default:
		return fmt.Sprintf("updates[%d].%s", i, u.Op)
	}
}

// fitTheSchema judges type, relation and subject form of every update; a delete
// too, since deleting a misspelt tuple would change nothing and look like success.
func (j *judge) fitTheSchema(write Write) {
	for i, u := range write.Updates {
		var f *fault.Fault
		switch u.Op {
		case rel.Delete: // names a tuple, whatever it carries
			f = keyNotInSchema(j.schema, u.Tuple)
		case rel.DeleteMatching:
			f = filterNotInSchema(j.schema, u.Matching.Filter)
		case rel.DeleteObject:
			f = objectNotInSchema(j.schema, u.Object)
		case rel.Assign:
			f = notAssignable(j.schema, u.Tuple)
		case rel.Revoke:
			f = revokingNotInSchema(j.schema, u.Revoking)
		default:
			f = NotInSchema(j.schema, u.Tuple)
		}
		if f != nil {
			j.breach(f.In(field(i, u)))
		}
	}
}

// NotInSchema says why a tuple does not fit the schema; nil where it does: its type,
// its relation, its subject, and the caveat and the expiration that it carries.
func NotInSchema(s *schema.Schema, t rel.Tuple) *fault.Fault {
	if f := keyNotInSchema(s, t); f != nil {
		return f
	}
	r := s.Definition(t.Object.Type()).Relation(t.Relation)
	if r.AllowsTuple(t) {
		return caveatDoesNotFit(s, t)
	}
	var forms []string
	subject := schema.FormOf(t).Subject()
	for _, f := range r.Forms {
		switch {
		case f.Subject() != subject:
		case f.Always():
			forms = append(forms, f.String()+" without a caveat or an expiration")
		default:
			forms = append(forms, f.String())
		}
	}
	return fault.Newf(fault.NotInSchema, "%s: relation %q of type %q does not allow %s", t, r.Name, r.Type, schema.FormOf(t)).
		Do("of this subject it allows only %s", fault.List(forms, 8)).With("tuple", t.String())
}

// caveatDoesNotFit says why the values that a tuple brings do not fit its caveat.
func caveatDoesNotFit(s *schema.Schema, t rel.Tuple) *fault.Fault {
	if t.Caveat.IsZero() {
		return nil
	}
	err := s.Caveat(t.Caveat.Name).Condition.CheckContext(t.Caveat.Context)
	if err == nil {
		return nil
	}
	f := fault.Of(err)
	return fault.Newf(fault.NotInSchema, "%s: %s", t, f.Summary).Do("%s", f.Remedy).With("tuple", t.String())
}

// keyNotInSchema says why nothing with a tuple's key can be stored; nil where it can.
func keyNotInSchema(s *schema.Schema, t rel.Tuple) *fault.Fault {
	refuse := func(because error) *fault.Fault {
		f := fault.Of(because)
		return fault.Newf(fault.NotInSchema, "%s: %s", t, f.Summary).Do("%s", f.Remedy).With("tuple", t.String())
	}
	d, err := s.MustDefine(t.Object.Type())
	if err != nil {
		return refuse(err)
	}
	name, err := d.MustHave(t.Relation)
	if err != nil {
		return refuse(err)
	}
	if name.Relation == nil {
		return fault.Newf(fault.NotInSchema, "%s: %s %q of type %q is computed, and nothing can be written to it", t, name.Kind, name.Name, d.Type).
			Do("write to a relation that it is computed from").With("tuple", t.String())
	}
	if name.Relation.Allows(t.Subject) {
		return nil
	}
	var forms []string
	for _, f := range name.Relation.Forms {
		forms = append(forms, f.String())
	}
	return fault.Newf(fault.NotInSchema, "%s: %s %q of type %q does not allow the subject %s", t, name.Kind, name.Name, d.Type, t.Subject).
		Do("it allows %s", fault.List(forms, 8)).With("tuple", t.String())
}

// apply applies the updates in their order; from here on the state is the one
// after. A refused filter ends it: what the updates behind it would find is not
// known.
func (j *judge) apply(write Write) {
	for i, u := range write.Updates {
		goesOn := true
		switch u.Op {
		case rel.DeleteMatching:
			goesOn = j.deleteMatching(i, u)
		case rel.DeleteObject:
			goesOn = j.deleteObject(i, u)
		case rel.Assign:
			goesOn = j.replace(i, u) && j.applyTuple(i, u)
		case rel.Revoke:
			goesOn = j.revoke(i, u)
		default:
			goesOn = j.applyTuple(i, u)
		}
		if !goesOn {
			return
		}
	}
}

// applyTuple applies an update that is about one tuple.
func (j *judge) applyTuple(i int, u rel.Update) (goesOn bool) {
	c, err := j.state.meet(u.Tuple.Key)
	if j.fail(err) {
		return false
	}
	there := j.state.counts(c.is)
	changes := there && c.is.tuple != u.Tuple
	j.acts(act{field: field(i, u), tuple: u.Tuple, adds: u.Op != rel.Delete, takes: u.Op == rel.Delete || changes})
	switch {
	case u.Op == rel.Create && there:
		j.breach(fault.Newf(fault.AlreadyExistsCreate, "%s exists already", c.is.tuple).
			Do("use touch where it does not matter whether the tuple is there").
			In(field(i, u)).With("tuple", u.Tuple.String()))
	case u.Op == rel.Delete:
		c.is = presence{}
	default:
		c.is = presence{u.Tuple, true}
	}
	return true
}

// preconditions are judged on the state before.
func (j *judge) preconditions(write Write) {
	for i, p := range write.Preconditions {
		at := fmt.Sprintf("preconditions[%d]", i)
		if p.Kind == rel.Holds {
			held, err := j.holds(j.ctx, p)
			if j.malformed(at, err) {
				continue
			}
			if j.fail(err) {
				return
			}
			if !held {
				j.breach(fault.Newf(fault.PreconditionMustHold, "%s does not hold %s#%s", p.Principal, p.Object, p.Name).
					Do("read again, and decide anew").In(at))
			}
			continue
		}
		if err := j.schema.CheckFilter(p.Filter); j.malformed(at, err) {
			continue
		}
		found, any, err := first(j.state.before.Tuples(p.Filter))
		if j.fail(err) {
			return
		}
		switch {
		case p.Kind == rel.Must && !any:
			j.breach(fault.New(fault.PreconditionMustHold, "no tuple matches the filter that must match").
				Do("read again, and decide anew").In(at))
		case p.Kind == rel.MustNot && any:
			j.breach(fault.Newf(fault.PreconditionMustHold, "%s matches the filter that must not match", found).
				Do("read again, and decide anew").In(at).With("tuple", found.String()))
		}
	}
}

// malformed keeps a precondition's unknown type or name, which is the request's
// own mistake and listed with the others.
func (j *judge) malformed(at string, err error) bool {
	f := fault.Of(err)
	if f == nil || f.Code != fault.TypeMustExist && f.Code != fault.NameMustExist {
		return false
	}
	for _, each := range f.All() {
		one := *each
		one.Others = nil
		if one.Field != "" {
			one.Field = at + ".permission_must_hold." + one.Field
		} else {
			one.Field = at
		}
		j.breach(&one)
	}
	return true
}

func first(tuples iter.Seq2[rel.Tuple, error]) (t rel.Tuple, any bool, err error) {
	for t, err := range tuples {
		return t, err == nil, err
	}
	return rel.Tuple{}, false, nil
}
