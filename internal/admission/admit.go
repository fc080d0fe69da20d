package admission

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

const (
	// ReadsMax is what judging one write may read when no other bound is set. Judging holds up all
	// other writers of the store. A Reader whose scans can be long asks
	// OverBudget now and then.
	ReadsMax = 1_000_000
	// violationsMax bounds how many broken rules one refusal lists.
	violationsMax = 100
)

// A Reader shows the state before the write. A snapshot of internal/tupledb is one.
type Reader interface {
	Has(t rel.Tuple) (bool, error)
	// Tuples are the tuples that a filter selects, in the store's order.
	Tuples(f rel.Filter) iter.Seq2[rel.Tuple, error]
	// Objects are the objects of a type on which the subject has the relation.
	Objects(s rel.Subject, typ rel.ObjectType, relation rel.Name) iter.Seq2[rel.Object, error]
	Reads() int
}

// A Write is what is asked for.
type Write struct {
	Updates       []rel.Update
	Preconditions []rel.Precondition
}

// Holds answers a precondition: whether the principal holds the name on the
// object before the write, for certain.
type Holds func(ctx context.Context, object rel.Object, name rel.Name, principal rel.Principal) (bool, error)

// A Decision is what an admitted write does in the end: no tuple stands in it
// twice, Put were not there before and Delete were. The zero Decision changes nothing.
type Decision struct {
	Put, Delete []rel.Tuple
}

// Changes are the decision's tuples in the order of tuples.
func (d Decision) Changes() []rel.Change {
	changes := make([]rel.Change, 0, len(d.Put)+len(d.Delete))
	for _, t := range d.Put {
		changes = append(changes, rel.Change{Op: rel.Create, Tuple: t})
	}
	for _, t := range d.Delete {
		changes = append(changes, rel.Change{Op: rel.Delete, Tuple: t})
	}
	slices.SortFunc(changes, func(a, b rel.Change) int { return a.Tuple.Compare(b.Tuple) })
	return changes
}

// Admit decides on a write, reading at most readsMax. A refusal is a fault whose code is the first reason
// in the language's order, with all violations of that reason.
func Admit(ctx context.Context, s *schema.Schema, before Reader, write Write, holds Holds, readsMax int) (Decision, error) {
	j := newJudge(ctx, s, before, holds, readsMax)
	for _, rule := range []func(Write){
		j.fitTheSchema,
		j.apply,
		j.preconditions,
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

func newJudge(ctx context.Context, s *schema.Schema, before Reader, holds Holds, readsMax int) *judge {
	return &judge{ctx: ctx, schema: s, state: newState(before), holds: holds, readsMax: readsMax, readsBegan: before.Reads(), spreads: make(map[spread]bool)}
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
	if j.err == nil && j.state.before.Reads()-j.readsBegan > j.readsMax {
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
		Do("split the write, touch objects with fewer subjects, or give preconditions an object or a subject to look at")
}

// field names an update's tuple in the request.
func field(i int, u rel.Update) string {
	if u.Op == rel.Delete {
		return fmt.Sprintf("updates[%d].delete_tuple", i)
	}
	return fmt.Sprintf("updates[%d].%s", i, u.Op)
}

// fitTheSchema judges type, relation and subject form of every update; a delete
// too, since deleting a misspelt tuple would change nothing and look like success.
func (j *judge) fitTheSchema(write Write) {
	for i, u := range write.Updates {
		if f := notInSchema(j.schema, u.Tuple); f != nil {
			j.breach(f.In(field(i, u)))
		}
	}
}

// notInSchema says why a tuple does not fit the schema; nil where it does.
func notInSchema(s *schema.Schema, t rel.Tuple) *fault.Fault {
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

// apply applies the updates in their order; from here on the state is the one after.
func (j *judge) apply(write Write) {
	for i, u := range write.Updates {
		there, err := j.state.has(u.Tuple)
		if j.fail(err) {
			return
		}
		switch {
		case u.Op == rel.Create && there:
			j.breach(fault.Newf(fault.AlreadyExistsCreate, "%s exists already", u.Tuple).
				Do("use touch where it does not matter whether the tuple is there").
				In(field(i, u)).With("tuple", u.Tuple.String()))
		case u.Op == rel.Delete && there:
			j.state.set(u.Tuple, false)
		case u.Op != rel.Delete && !there:
			j.state.set(u.Tuple, true)
		}
	}
}

// preconditions are judged on the state before.
func (j *judge) preconditions(write Write) {
	for i, p := range write.Preconditions {
		at := fmt.Sprintf("preconditions[%d]", i)
		if p.Kind == rel.Holds {
			held, err := j.holds(j.ctx, p.Object, p.Name, p.Principal)
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
