package admission

import (
	"context"
	"fmt"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

const (
	// conflictsMax bounds how many different conflicts are kept; all tuples of each
	// are counted.
	conflictsMax = 100
	// examplesMax bounds how many tuples of a conflict are shown.
	examplesMax = 10
)

// A Conflict is one way in which stored tuples do not fit a schema.
type Conflict struct {
	Code       fault.Code // the rule that the tuples break
	Definition rel.ObjectType
	Name       rel.Name
	Summary    string // of the first one
	Count      int
	Examples   []rel.Tuple // some of the tuples; none where the rule wants more of them
}

// FitData says in which ways what is stored does not fit a schema: its types,
// relations and forms, its multiplicities, its one-role rules and `of`. The work is
// a scan of the store.
func FitData(ctx context.Context, s *schema.Schema, stored Reader) ([]Conflict, error) {
	f := newFitting(ctx, s, stored, noReadsMax)
	f.scanObjects()
	f.scanSubjects()
	return f.conflicts, f.judge.err
}

// FitChanges says in which ways a store does not fit a schema, knowing that it did
// before some of its tuples changed; stored shows it as it is now. The work is that
// of judging a write of these tuples, within readsMax.
func FitChanges(ctx context.Context, s *schema.Schema, stored Reader, changed []rel.Key, readsMax int) ([]Conflict, error) {
	f := newFitting(ctx, s, stored, readsMax)
	f.meet(changed)
	if f.judge.err != nil || len(f.conflicts) > 0 {
		return f.conflicts, f.judge.err
	}
	for _, rule := range []func(Write){f.judge.oneRolePerSubject, f.judge.upperBounds, f.judge.lowerBounds, f.judge.subjectsIn} {
		rule(Write{})
	}
	for _, b := range f.judge.broken {
		f.broken(b)
	}
	return f.conflicts, f.judge.err
}

// Refusal is the fault that lists the conflicts of a schema with what is stored,
// TUPLES_MUST_FIT_THE_SCHEMA; nil where there are none.
func Refusal(conflicts []Conflict) error {
	if len(conflicts) == 0 {
		return nil
	}
	head := fault.Newf(fault.TuplesMustFitTheSchema, "stored tuples do not fit the schema, in %s; first: %s", fault.Counted(len(conflicts), "way"), conflicts[0].Summary).
		Do("delete or move the tuples first, or keep what they need in the schema; nothing was written")
	for _, c := range conflicts {
		summary := c.Summary
		if c.Count > 1 {
			summary += fmt.Sprintf(" (and %d more like it)", c.Count-1)
		}
		head.Others = append(head.Others, fault.New(c.Code, summary).In("schema").
			With("definition", string(c.Definition)).With("name", string(c.Name)).With("count", fmt.Sprint(c.Count)))
	}
	return head
}

func newFitting(ctx context.Context, s *schema.Schema, stored Reader, readsMax int) *fitting {
	return &fitting{judge: newJudge(ctx, s, stored, readsMax), index: make(map[conflictKey]int)}
}

// meet takes the changed tuples for a write that was just applied: those that are
// there were created, those that are not were deleted. What the schema has no
// place for cannot be judged further; gone, it is no conflict either.
func (f *fitting) meet(changed []rel.Key) {
	for _, k := range changed {
		misplaced := keyNotInSchema(f.judge.schema, rel.Tuple{Key: k})
		c, err := f.judge.state.meet(k)
		if f.judge.fail(err) {
			return
		}
		switch {
		case !c.is.there && misplaced != nil:
		case !c.is.there:
			c.was = presence{rel.Tuple{Key: k}, true}
		default:
			c.was = presence{}
			if misfit := NotInSchema(f.judge.schema, c.is.tuple); misfit != nil {
				f.add(fault.NotInSchema, c.is.tuple, schema.FormOf(c.is.tuple).String(), misfit.Summary)
			}
		}
	}
}

// broken keeps a rule that the judge found broken.
func (f *fitting) broken(b *fault.Fault) {
	var about rel.Tuple
	if t, err := rel.ParseTuple(b.Details["tuple"]); err == nil {
		about = t
	} else if o, err := rel.ParseObject(b.Details["object"]); err == nil {
		about.Object, about.Relation = o, rel.Name(b.Details["relation"])
	}
	f.add(b.Code, about, "", b.Summary)
}

// noReadsMax: a schema is judged against everything that is stored, however much
// that is; the caller's time bounds it.
const noReadsMax = int(^uint(0) >> 1)

type conflictKey struct {
	code       fault.Code
	definition rel.ObjectType
	name       rel.Name
	detail     string
}

// A fitting collects conflicts while the store goes by, object by object.
type fitting struct {
	judge     *judge
	conflicts []Conflict
	index     map[conflictKey]int

	object rel.Object // whose tuples are going by
	counts map[rel.Name]int
	unsure map[rel.Name]int // those among them that a lower bound does not count
	roles  map[rel.Subject]rel.Tuple
}

func (f *fitting) add(code fault.Code, t rel.Tuple, detail, summary string) {
	key := conflictKey{code, t.Object.Type(), t.Relation, detail}
	i, have := f.index[key]
	if !have {
		if len(f.conflicts) == conflictsMax {
			return
		}
		i = len(f.conflicts)
		f.index[key] = i
		f.conflicts = append(f.conflicts, Conflict{Code: code, Definition: t.Object.Type(), Name: t.Relation, Summary: summary})
	}
	c := &f.conflicts[i]
	c.Count++
	if len(c.Examples) < examplesMax && !t.Subject.IsZero() {
		c.Examples = append(c.Examples, t)
	}
}

// scanObjects judges every tuple, and every object after its last one.
func (f *fitting) scanObjects() {
	for t, err := range f.judge.state.before.Tuples(rel.Filter{}) {
		if f.judge.fail(err) {
			return
		}
		if misfit := NotInSchema(f.judge.schema, t); misfit != nil {
			f.add(fault.NotInSchema, t, schema.FormOf(t).String(), misfit.Summary)
			continue
		}
		if t.Object != f.object {
			f.endObject()
			f.object, f.counts, f.unsure, f.roles = t.Object, make(map[rel.Name]int), make(map[rel.Name]int), make(map[rel.Subject]rel.Tuple)
		}
		f.tuple(t)
		if f.judge.err != nil {
			return
		}
	}
	f.endObject()
}

// tuple judges one tuple that fits the types.
func (f *fitting) tuple(t rel.Tuple) {
	d := f.judge.schema.Definition(t.Object.Type())
	r := d.Relation(t.Relation)
	f.counts[t.Relation]++
	if t.Subject.IsWildcard() || !t.Always() {
		f.unsure[t.Relation]++
	}
	if d.OneRolePerSubject() && r.Rank != schema.NoRank {
		if other, second := f.roles[t.Subject]; second {
			f.add(fault.OneRolePerSubject, t, "", fmt.Sprintf("%s has two roles on %s: %s and %s", t.Subject, t.Object, other.Relation, t.Relation))
		}
		f.roles[t.Subject] = t
	}
	if r.Of != "" {
		there, err := f.judge.state.has(rel.Key{Object: t.Object, Relation: r.Of, Subject: t.Subject})
		if !f.judge.fail(err) && !there {
			f.add(fault.SubjectMustBeIn, t, "", fmt.Sprintf("%s: its subject does not stand in %s#%s", t, t.Object, r.Of))
		}
	}
	if r.With != "" {
		f.judge.spreadFrom(r, t)
		for _, b := range f.judge.broken {
			f.add(fault.OneRolePerSubject, t, "with", b.Summary)
		}
		f.judge.broken = nil
	}
}

// endObject judges the multiplicities of the object that has gone by.
func (f *fitting) endObject() {
	if f.object.IsZero() {
		return
	}
	d := f.judge.schema.Definition(f.object.Type())
	for _, r := range d.Relations() {
		count := f.counts[r.Name]
		at := rel.Tuple{Key: rel.Key{Object: f.object, Relation: r.Name}}
		if r.Max != schema.Unbounded && count > r.Max {
			f.add(fault.UpperBoundMustHold, at, "", fmt.Sprintf("%s has %d subjects in %q, and may have at most %d", f.object, count, r.Name, r.Max))
		}
		if count -= f.unsure[r.Name]; count < r.Min {
			f.add(fault.LowerBoundMustHold, at, "", fmt.Sprintf("%s has %s in %q, and needs at least %d", f.object, fault.Counted(count, "subject"), r.Name, r.Min))
		}
	}
}

// scanSubjects judges the lower bounds of objects that stand as subjects alone.
func (f *fitting) scanSubjects() {
	for _, d := range f.judge.schema.Definitions() {
		if len(d.LowerBounds()) == 0 || f.judge.err != nil {
			continue
		}
		var last rel.Object
		for t, err := range f.judge.state.before.Tuples(rel.Filter{SubjectType: d.Type}) {
			if f.judge.fail(err) {
				return
			}
			o, ok := t.Subject.Object()
			if !ok || o == last {
				continue
			}
			last = o
			_, standsItself, err := first(f.judge.state.tuples(rel.Filter{ObjectType: o.Type(), ObjectID: o.ID()}))
			if f.judge.fail(err) {
				return
			}
			if standsItself {
				continue // endObject has judged it
			}
			for _, r := range d.LowerBounds() {
				f.add(fault.LowerBoundMustHold, rel.Tuple{Key: rel.Key{Object: o, Relation: r.Name}}, "",
					fmt.Sprintf("%s has 0 subjects in %q, and needs at least %d", o, r.Name, r.Min))
			}
		}
	}
}
