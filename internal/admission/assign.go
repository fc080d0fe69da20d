package admission

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// notAssignable says why a tuple cannot be assigned; nil where it can.
func notAssignable(s *schema.Schema, t rel.Tuple) *fault.Fault {
	if f := NotInSchema(s, t); f != nil {
		return f
	}
	r := s.Definition(t.Object.Type()).Relation(t.Relation)
	if r.Rank != schema.NoRank || r.With != "" {
		return nil
	}
	return fault.Newf(fault.NotInSchema, "%s: relation %q of type %q is no role, and has no `one per subject with`, so there is nothing that assign would replace", t, r.Name, r.Type).
		Do("use touch").With("tuple", t.String())
}

// replace takes away what a tuple that is assigned takes the place of: every other
// stored role of its subject in the same ladder, and what the one-role rules over
// several objects exclude.
func (j *judge) replace(i int, u rel.Update) (goesOn bool) {
	var found []rel.Key
	note := func(tuples []rel.Tuple) {
		for _, t := range tuples {
			if t.Key != u.Tuple.Key {
				found = append(found, t.Key)
			}
		}
	}
	object, subject := u.Tuple.Object, u.Tuple.Subject
	r := j.relation(u.Tuple)
	if r.Rank != schema.NoRank {
		note(j.rolesBeside(object, subject))
		if j.schema.Definition(object.Type()).OneRolePerSubject() {
			for _, over := range j.schema.Spreading(object.Type()) {
				note(j.heldOver(spread{over, object, subject}))
			}
		}
	}
	if r.With != "" {
		for _, over := range j.linkedFrom(object, r) {
			note(j.heldOver(spread{r, over, subject}))
			if j.schema.Definition(over.Type()).OneRolePerSubject() {
				note(j.rolesBeside(over, subject))
			}
		}
	}
	for _, k := range found {
		if j.fail(nil) {
			return false
		}
		t, there, err := j.state.find(k)
		if j.fail(err) {
			return false
		}
		if there { // once, however often it was found
			j.acts(act{field: field(i, u), tuple: t, takes: true})
			j.state.remove(t)
		}
	}
	return !j.fail(nil)
}

func (j *judge) rolesBeside(o rel.Object, s rel.Subject) []rel.Tuple {
	roles, err := j.rolesOn(o, s)
	if j.fail(err) {
		return nil
	}
	return roles
}

// linkedFrom are the objects over which a relation with `one per subject with` is
// spread from one of its objects.
func (j *judge) linkedFrom(o rel.Object, r *schema.Relation) []rel.Object {
	with := j.schema.Definition(o.Type()).Relation(r.With)
	var found []rel.Object
	for link, err := range j.state.on(o, r.With) {
		if j.fail(err) {
			return nil
		}
		// What is stored may not fit a schema that is only being judged.
		if over, ok := plainObject(link.Subject); ok && with.Allows(link.Subject) {
			found = append(found, over)
		}
	}
	return found
}
