package admission

import (
	"context"
	"fmt"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// conflictsMax bounds how many different conflicts a refused schema lists; all
// tuples of each are counted.
const conflictsMax = 100

// A Conflict is one way in which stored tuples do not fit a schema.
type Conflict struct {
	Code       fault.Code // the rule that the tuples break
	Definition rel.ObjectType
	Name       rel.Name
	Summary    string // of the first one
	Count      int
}

// FitData says whether everything stored fits a schema: its types, relations and
// subject forms, its multiplicities, its one-role rules and `of`. A misfit is one
// fault, TUPLES_MUST_FIT_THE_SCHEMA, with a violation a conflict. The work is a
// scan of the store.
func FitData(ctx context.Context, s *schema.Schema, stored Reader) error {
	f := &fitting{
		judge: newJudge(ctx, s, stored, nil, noReadsMax),
		index: make(map[conflictKey]int),
	}
	f.scanObjects()
	f.scanSubjects()
	if f.judge.err != nil {
		return f.judge.err
	}
	return f.refusal()
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
	wild   map[rel.Name]int // wildcards among them
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
	f.conflicts[i].Count++
}

// scanObjects judges every tuple, and every object after its last one.
func (f *fitting) scanObjects() {
	for t, err := range f.judge.state.before.Tuples(rel.Filter{}) {
		if f.judge.fail(err) {
			return
		}
		if misfit := notInSchema(f.judge.schema, t); misfit != nil {
			f.add(fault.NotInSchema, t, formOf(t.Subject), misfit.Summary)
			continue
		}
		if t.Object != f.object {
			f.endObject()
			f.object, f.counts, f.wild, f.roles = t.Object, make(map[rel.Name]int), make(map[rel.Name]int), make(map[rel.Subject]rel.Tuple)
		}
		f.tuple(t)
		if f.judge.err != nil {
			return
		}
	}
	f.endObject()
}

func formOf(s rel.Subject) string {
	return schema.Form{Type: s.Type(), Relation: s.Relation(), Wildcard: s.IsWildcard()}.String()
}

// tuple judges one tuple that fits the types.
func (f *fitting) tuple(t rel.Tuple) {
	d := f.judge.schema.Definition(t.Object.Type())
	r := d.Relation(t.Relation)
	f.counts[t.Relation]++
	if t.Subject.IsWildcard() {
		f.wild[t.Relation]++
	}
	if d.OneRolePerSubject() && r.Rank != schema.NoRank {
		if other, second := f.roles[t.Subject]; second {
			f.add(fault.OneRolePerSubject, t, "", fmt.Sprintf("%s has two roles on %s: %s and %s", t.Subject, t.Object, other.Relation, t.Relation))
		}
		f.roles[t.Subject] = t
	}
	if r.Of != "" {
		there, err := f.judge.state.has(rel.Tuple{Object: t.Object, Relation: r.Of, Subject: t.Subject})
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
		at := rel.Tuple{Object: f.object, Relation: r.Name}
		if r.Max != schema.Unbounded && count > r.Max {
			f.add(fault.UpperBoundMustHold, at, "", fmt.Sprintf("%s has %d subjects in %q, and may have at most %d", f.object, count, r.Name, r.Max))
		}
		if count -= f.wild[r.Name]; count < r.Min { // nobody would have to be behind a wildcard
			f.add(fault.LowerBoundMustHold, at, "", fmt.Sprintf("%s has %d subjects in %q, and needs at least %d", f.object, count, r.Name, r.Min))
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
				f.add(fault.LowerBoundMustHold, rel.Tuple{Object: o, Relation: r.Name}, "",
					fmt.Sprintf("%s has 0 subjects in %q, and needs at least %d", o, r.Name, r.Min))
			}
		}
	}
}

// refusal is the fault that lists the conflicts; nil where there are none.
func (f *fitting) refusal() error {
	if len(f.conflicts) == 0 {
		return nil
	}
	head := fault.Newf(fault.TuplesMustFitTheSchema, "stored tuples do not fit the schema, in %d ways; first: %s", len(f.conflicts), f.conflicts[0].Summary).
		Do("delete or move the tuples first, or keep what they need in the schema; nothing was written")
	for _, c := range f.conflicts {
		summary := c.Summary
		if c.Count > 1 {
			summary += fmt.Sprintf(" (and %d more like it)", c.Count-1)
		}
		head.Others = append(head.Others, fault.New(c.Code, summary).In("schema").
			With("definition", string(c.Definition)).With("name", string(c.Name)).With("count", fmt.Sprint(c.Count)))
	}
	return head
}
