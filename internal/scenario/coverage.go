package scenario

import (
	"context"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Name is one name of a type of a schema, or a rule on who may write.
type Name struct {
	Type rel.ObjectType
	Name rel.Name // empty in `created by`, which is about objects of the type
	// Rule is the clause as it is written, with the words before it; empty where the
	// name itself is meant.
	Rule string
}

func (n Name) String() string {
	text := string(n.Type)
	if n.Name != "" {
		text += "#" + string(n.Name)
	}
	if n.Rule != "" {
		text += " " + n.Rule
	}
	return text
}

// A Declared is a name, and what it is: a relation, a permission, a role or a rule.
type Declared struct {
	Name
	Kind string
}

// A Surveyor is a Driver that knows the names and rules of what it loaded.
type Surveyor interface {
	Driver
	Names() []Declared
	// Judged are the rules that decided on the last write, which an actor made: on its
	// net change, or on why it was refused.
	Judged(ctx context.Context, changes []rel.Change, refusal error) ([]Name, error)
}

// Coverage collects which names the cases of files touched. A case touches
//
//   - the name it asks for, and the role it says;
//   - the names that the path of its answer leads through;
//   - where the answer is no, the names of the same object that the principal
//     holds: what the no came because of, or in spite of;
//   - the relations of the tuples that it writes, and where a validation finds
//     its subjects;
//   - where somebody acts, the rules of what the write changed and created, or
//     those that refused it.
//
// What was merely there, and made no difference that a case could show, is not
// touched. Files with the same schema file touch its names together. The zero
// Coverage is ready for use.
type Coverage struct {
	schemas  []string // in the order of their first files
	declared map[string][]Declared
	touched  map[coveredName]bool
}

type coveredName struct {
	schema string
	name   Name
}

// Run runs a file as the function Run does, and notes what its cases touch.
func (c *Coverage) Run(ctx context.Context, file *File, driver Surveyor) Report {
	if c.declared == nil {
		c.declared, c.touched = map[string][]Declared{}, map[coveredName]bool{}
	}
	r := &run{ctx: ctx, driver: driver, coverage: c, schema: file.Schema.Path, surveyor: driver}
	return r.file(file)
}

// note keeps the names of a schema that was loaded.
func (c *Coverage) note(schema string, names []Declared) {
	if _, known := c.declared[schema]; !known {
		c.schemas = append(c.schemas, schema)
	}
	c.declared[schema] = names
}

// An Untouched is a schema, and those of its names that no case touched.
type Untouched struct {
	Schema string
	Names  []Declared
}

// Untouched are the schemas with names that no case touched, in order.
func (c *Coverage) Untouched() []Untouched {
	var all []Untouched
	for _, schema := range c.schemas {
		u := Untouched{Schema: schema}
		for _, n := range c.declared[schema] {
			if !c.touched[coveredName{schema, n.Name}] {
				u.Names = append(u.Names, n)
			}
		}
		if len(u.Names) > 0 {
			all = append(all, u)
		}
	}
	return all
}

// Counts are how many names there are, and how many of them a case touched.
func (c *Coverage) Counts() (touched, names int) {
	for _, schema := range c.schemas {
		names += len(c.declared[schema])
	}
	touched = names
	for _, u := range c.Untouched() {
		touched -= len(u.Names)
	}
	return touched, names
}

// touch notes names that a case touched.
func (r *run) touch(names ...Name) {
	for _, n := range names {
		r.coverage.touched[coveredName{r.schema, n}] = true
	}
}

func (r *run) coverQuestion(q Question, a Answer) {
	r.touch(Name{Type: q.Object.Type(), Name: q.Name})
	r.touch(a.Through...)
	if a.Value != Granted {
		r.coverDenied(q)
	}
}

func (r *run) coverRole(c Role, a RoleAnswer) {
	r.touch(a.Through...)
	if a.Role != "" {
		r.touch(Name{Type: c.Object.Type(), Name: a.Role})
		return
	}
	r.coverDenied(Question{Object: c.Object, Principal: c.Principal, Context: c.Context})
}

// coverDenied touches what the principal does hold on the object.
func (r *run) coverDenied(q Question) {
	for _, n := range r.surveyor.Names() {
		if n.Type != q.Object.Type() || n.Rule != "" {
			continue
		}
		q.Name = n.Name.Name
		if a, err := r.driver.Check(r.ctx, q); err == nil && a.Value != Denied {
			r.touch(n.Name)
			r.touch(a.Through...)
		}
	}
}

// coverWrite touches what a write was about. That a rule cannot be told fails no
// case: the rule stays untouched, and is seen.
func (r *run) coverWrite(w Write, changes []rel.Change, refusal error) {
	for _, u := range w.Updates {
		r.touch(Name{Type: u.Tuple.Object.Type(), Name: u.Tuple.Relation})
	}
	for _, c := range changes { // what a filter or an object took away
		r.touch(Name{Type: c.Tuple.Object.Type(), Name: c.Tuple.Relation})
	}
	if !w.Actor.IsZero() {
		if rules, err := r.surveyor.Judged(r.ctx, changes, refusal); err == nil {
			r.touch(rules...)
		}
	}
}

func (r *run) coverValidation(v Validation, found []Found) {
	r.touch(Name{Type: v.Object.Type(), Name: v.Name})
	for _, f := range found {
		for _, s := range f.Sources {
			r.touch(Name{Type: s.Type(), Name: s.Relation()})
		}
	}
}
