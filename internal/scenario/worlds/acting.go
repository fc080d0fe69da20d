package worlds

import (
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// acting gives a schema rules on who may write, and says what is inside what.
func (s *schemer) acting() {
	for _, def := range s.containers() {
		for _, r := range stored(def) {
			if len(r.Types) == 0 {
				continue
			}
			if s.chance(92) {
				r.Granted = s.rule(def, r)
			}
			if s.chance(35) {
				r.Revoked = s.rule(def, r)
			}
		}
		if s.chance(85) {
			def.CreatedBys = []*syntax.CreatedBy{{Expr: s.ruleExpr(def, nil, s.IntN(3))}}
		}
		if within := s.within(def); len(within) > 0 {
			def.Withins = []*syntax.Within{{Rels: within}}
		}
	}
}

// within draws the relations by which objects are inside others: mostly those that
// are there for it.
func (s *schemer) within(def *syntax.Definition) []syntax.Ident {
	var all []syntax.Ident
	for _, r := range stored(def) {
		chance := 12
		if r.Name.Text == "parent" {
			chance = 80
		}
		if leadsSomewhere(r) && s.chance(chance) {
			all = append(all, r.Name)
		}
	}
	return all
}

// leadsSomewhere reports whether a relation allows more than wildcards.
func leadsSomewhere(r *syntax.Relation) bool {
	return slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool { return !t.Wildcard })
}

func (s *schemer) rule(def *syntax.Definition, r *syntax.Relation) *syntax.Rule {
	return &syntax.Rule{Expr: s.ruleExpr(def, r, s.IntN(3)), ExceptSelf: s.chance(15)}
}

// ruleExpr is what a rule asks for; of is the relation that it is about, nil for
// `created by`. It gives more than other expressions do, for a rule that nobody
// satisfies says little.
func (s *schemer) ruleExpr(def *syntax.Definition, of *syntax.Relation, depth int) syntax.Expr {
	if depth == 0 {
		return s.ruleLeaf(def, of)
	}
	binary := &syntax.BinaryExpr{Op: syntax.Union, Left: s.ruleExpr(def, of, depth-1), Right: s.ruleExpr(def, of, depth-1)}
	switch n := s.IntN(100); {
	case n < 22:
		binary.Op = syntax.Intersection
	case n < 45:
		binary.Op = syntax.Exclusion
	}
	return binary
}

func (s *schemer) ruleLeaf(def *syntax.Definition, of *syntax.Relation) syntax.Expr {
	if of != nil && s.chance(28) {
		if there := s.behind(of); len(there) > 0 {
			return &syntax.SubjectExpr{Target: ident(pick(s.dice, there))}
		}
	}
	if s.chance(25) { // an arrow, for a new object is judged by nothing else
		r := pick(s.dice, stored(def))
		if there := s.behind(r); len(there) > 0 {
			return s.further(r, &syntax.ArrowExpr{Left: name(r.Name.Text), Kind: s.kind(), Target: ident(pick(s.dice, there))})
		}
	}
	return s.leaf(def)
}

// An acted is a write: who writes what.
type acted struct {
	actor   rel.Actor
	updates []rel.Update
}

// actorTries bounds how often a write is drawn anew because its actor may not.
const actorTries = 6

// acted draws a write by an actor. Chance alone finds few that are allowed. So
// where it is to be one, it is drawn until the oracle at least knows no right that
// is missing; what the system says of it is not asked.
func (p *population) acted(world *oracle.Oracle) acted {
	there := world.Stored()
	allowed := p.chance(60)
	for tries := 1; ; tries++ {
		drawn := acted{p.actor(world), p.updates(there)}
		if p.chance(22) {
			drawn.updates = p.created(world, drawn.actor)
		} else if own := p.own(world, drawn.actor); len(own) > 0 && p.chance(22) {
			drawn.updates = own
		}
		if !allowed || tries == actorTries {
			return drawn
		}
		if _, _, err := world.Write(drawn.actor, drawn.updates, nil); !fault.Is(err, fault.ActorMustBeAllowedToGrant) {
			return drawn
		}
	}
}

// actor draws who acts: mostly somebody who holds something.
func (p *population) actor(world *oracle.Oracle) rel.Actor {
	subject := rel.Of(p.object("user"))
	tuples := slices.DeleteFunc(slices.Clone(world.Tuples()), func(t rel.Tuple) bool { return t.Subject.IsWildcard() })
	if len(tuples) > 0 && p.chance(65) {
		subject = pick(p.dice, tuples).Subject
	}
	a := rel.Actor{Subject: subject}
	if p.chance(60) {
		a.Context = p.requestContext()
	}
	return a
}

// own draws what an actor does to what it was given itself.
func (p *population) own(world *oracle.Oracle, actor rel.Actor) []rel.Update {
	tuples := slices.DeleteFunc(slices.Clone(world.Tuples()), func(t rel.Tuple) bool { return t.Subject != actor.Subject })
	if len(tuples) == 0 {
		return nil
	}
	t := pick(p.dice, tuples)
	leave := rel.Update{Op: rel.Delete, Tuple: rel.Tuple{Key: t.Key}}
	switch p.IntN(8) {
	case 0:
		return []rel.Update{{Op: rel.Touch, Tuple: t}}
	case 1:
		return []rel.Update{{Op: rel.Revoke, Revoking: rel.Revoking{Subject: t.Subject, Within: p.outer(tuples, t)}}}
	case 2, 3:
		if u, ok := p.overtake(world, t); ok {
			return []rel.Update{u}
		}
	case 4, 5:
		if link, ok := p.linkTo(t.Object); ok {
			return []rel.Update{p.onesOwn(t), {Op: rel.Touch, Tuple: link}}
		}
	}
	return []rel.Update{leave}
}

// overtake assigns what the actor has to somebody who stands beside it: to give may be
// allowed where to take is not.
func (p *population) overtake(world *oracle.Oracle, own rel.Tuple) (rel.Update, bool) {
	beside := slices.DeleteFunc(slices.Clone(world.Tuples()), func(t rel.Tuple) bool {
		return t.Object != own.Object || t.Subject == own.Subject || !p.takesPlaces(t)
	})
	if len(beside) == 0 || !p.takesPlaces(own) {
		return rel.Update{}, false
	}
	own.Subject = pick(p.dice, beside).Subject
	return rel.Update{Op: rel.Assign, Tuple: own}, true
}

// onesOwn takes away what the actor has on an object, or mostly gives it something
// else there.
func (p *population) onesOwn(t rel.Tuple) rel.Update {
	other := t
	for range 3 {
		other.Relation = rel.Name(pick(p.dice, stored(definitionOf(p.schema, string(t.Object.Type())))).Name.Text)
		if other, ok := p.changed(other); ok && other.Key != t.Key {
			return rel.Update{Op: rel.Touch, Tuple: other}
		}
	}
	return rel.Update{Op: rel.Delete, Tuple: rel.Tuple{Key: t.Key}}
}

// linkTo draws a tuple whose subject is an object: what gives a right to link to it
// may come or go in the same write.
func (p *population) linkTo(o rel.Object) (link rel.Tuple, ok bool) {
	type place struct {
		def  *syntax.Definition
		r    *syntax.Relation
		form *syntax.TypeRef
	}
	var places []place
	for _, def := range p.schema.Definitions {
		for _, r := range stored(def) {
			for _, form := range r.Types {
				if form.Type.Text == string(o.Type()) && form.Relation == nil && !form.Wildcard {
					places = append(places, place{def, r, form})
				}
			}
		}
	}
	if len(places) == 0 {
		return rel.Tuple{}, false
	}
	at := pick(p.dice, places)
	link = p.ofForm(p.object(at.def.Name.Text), at.r, at.form)
	link.Subject = rel.Of(o)
	return link, true
}

// created draws tuples of an object that is new, or stands as a subject alone: links
// to where the actor stands, and what goes with them; now and then one of them taken
// away again, or another new object beside it, which either may be linked to.
func (p *population) created(world *oracle.Oracle, actor rel.Actor) []rel.Update {
	var updates []rel.Update
	var made []rel.Object
	for range 1 + p.IntN(3)/2 {
		object, ok := p.unmade(world)
		if !ok {
			return nil
		}
		made = append(made, object)
		all := stored(definitionOf(p.schema, string(object.Type())))
		for _, r := range some(p.dice, all, 1+p.IntN(4)) {
			if t, ok := p.tuple(object, r); ok {
				t.Subject = p.nearer(t.Subject, world, actor, made)
				updates = append(updates, rel.Update{Op: pick(p.dice, []rel.Op{rel.Create, rel.Touch, rel.Touch}), Tuple: t})
			}
		}
	}
	if len(updates) > 0 && p.chance(15) {
		updates = append(updates, rel.Update{Op: rel.Delete, Tuple: rel.Tuple{Key: pick(p.dice, updates).Tuple.Key}})
	}
	if p.chance(15) {
		updates = append(updates, p.updates(world.Stored())...)
	}
	return updates
}

// unmade draws an object of which nothing is stored.
func (p *population) unmade(world *oracle.Oracle) (rel.Object, bool) {
	var all []rel.Object
	for _, object := range world.Objects() {
		has := len(stored(definitionOf(p.schema, string(object.Type())))) > 0
		if has && !slices.ContainsFunc(world.Tuples(), func(t rel.Tuple) bool { return t.Object == object }) {
			all = append(all, object)
		}
	}
	if len(all) > 0 && p.chance(25) {
		return pick(p.dice, all), true
	}
	var containers []*syntax.Definition
	for _, def := range p.schema.Definitions {
		if len(stored(def)) > 0 {
			containers = append(containers, def)
		}
	}
	if len(containers) == 0 {
		return rel.Object{}, false
	}
	return objectOf(pick(p.dice, containers).Name.Text, fmt.Sprint("new", 1+p.IntN(3))), true
}

// nearer is a subject, or one of the same form that has more to do with the write:
// the actor, an object where the actor stands, or one that is made.
func (p *population) nearer(s rel.Subject, world *oracle.Oracle, actor rel.Actor, made []rel.Object) rel.Subject {
	near := slices.Clone(made)
	for _, t := range world.Tuples() {
		if t.Subject == actor.Subject {
			near = append(near, t.Object, t.Object)
		}
	}
	if own, ok := actor.Subject.Object(); ok && !actor.Subject.IsUserset() {
		near = append(near, own)
	}
	near = slices.DeleteFunc(near, func(o rel.Object) bool { return o.Type() != s.Type() })
	switch {
	case len(near) == 0 || s.IsWildcard() || p.chance(40):
		return s
	case s.IsUserset():
		return rel.Userset(pick(p.dice, near), s.Relation())
	}
	return rel.Of(pick(p.dice, near))
}

// wider draws an update that takes more than one tuple away, or may: an assign, a
// revoke, a delete_matching or a delete_object, around a tuple that is there.
func (p *population) wider(there []rel.Tuple) (rel.Update, bool) {
	t := pick(p.dice, there)
	switch n := p.IntN(100); {
	case n < 38:
		return p.assign(there)
	case n < 70:
		if t.Subject.IsWildcard() {
			return rel.Update{}, false
		}
		return rel.Update{Op: rel.Revoke, Revoking: rel.Revoking{Subject: t.Subject, Within: p.outer(there, t)}}, true
	case n < 88:
		return rel.Update{Op: rel.DeleteMatching, Matching: rel.Matching{Filter: p.filter(t)}}, true
	default:
		object, _ := t.Subject.Object()
		if p.chance(60) || object == (rel.Object{}) {
			object = t.Object
		}
		return rel.Update{Op: rel.DeleteObject, Object: object}, true
	}
}

// outer is the object of a tuple, or one that it may be inside.
func (p *population) outer(there []rel.Tuple, t rel.Tuple) rel.Object {
	object := t.Object
	for p.chance(65) {
		var above []rel.Object
		for _, u := range there {
			o, ok := u.Subject.Object()
			if d := definitionOf(p.schema, string(u.Object.Type())); u.Object == object && ok && isWithin(d, u.Relation) {
				above = append(above, o)
			}
		}
		if len(above) == 0 {
			break
		}
		object = pick(p.dice, above)
	}
	return object
}

func isWithin(d *syntax.Definition, relation rel.Name) bool {
	return slices.ContainsFunc(d.Withins, func(w *syntax.Within) bool {
		return slices.ContainsFunc(w.Rels, func(r syntax.Ident) bool { return r.Text == string(relation) })
	})
}

// assign draws a tuple that is assigned, mostly to somebody who has another role.
func (p *population) assign(there []rel.Tuple) (rel.Update, bool) {
	var placed []rel.Tuple
	for _, t := range there {
		if p.takesPlaces(t) {
			placed = append(placed, t)
		}
	}
	t, ok := p.anyTuple()
	if len(placed) > 0 && p.chance(92) {
		t, ok = pick(p.dice, placed), true
		if p.chance(60) {
			t, ok = p.neighbour(t)
		} else if p.chance(60) {
			t.Object = p.object(string(t.Object.Type()))
		}
	}
	return rel.Update{Op: rel.Assign, Tuple: t}, ok
}

// takesPlaces reports whether a tuple is of a role, or of a relation with `one per
// subject with`.
func (p *population) takesPlaces(t rel.Tuple) bool {
	for _, block := range definitionOf(p.schema, string(t.Object.Type())).Roles {
		if slices.ContainsFunc(block.Roles, func(r *syntax.Relation) bool { return r.Name.Text == string(t.Relation) }) {
			return true
		}
	}
	return p.relation(t).OnePerWith != nil
}

// filter selects a tuple and what is like it: parts of it are left out.
func (p *population) filter(t rel.Tuple) rel.Filter {
	var f rel.Filter
	if p.chance(80) {
		f.ObjectType = t.Object.Type()
		if p.chance(75) {
			f.ObjectID = t.Object.ID()
		}
	}
	if p.chance(60) {
		f.Relation = t.Relation
	}
	if p.chance(45) || f == (rel.Filter{}) {
		f.SubjectType = t.Subject.Type()
		f.SubjectID = t.Subject.ID()
		if t.Subject.IsWildcard() || p.chance(70) {
			f.SubjectRelation = new(t.Subject.Relation())
		}
	}
	if text, err := rel.ParseFilter(f.String()); err != nil || text.String() != f.String() {
		return rel.Filter{ObjectType: t.Object.Type(), ObjectID: t.Object.ID()}
	}
	return f
}
