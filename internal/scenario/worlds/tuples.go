package worlds

import (
	"fmt"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A population fills a schema with tuples. Every tuple is written through the
// oracle's own judgement, so that what is there satisfies the schema's rules.
type population struct {
	*dice
	shape   shape
	schema  *syntax.File
	world   *oracle.Oracle
	now     time.Time   // expirations are drawn around it
	expired []rel.Tuple // written too late: they break no rule, and are not there
}

func (p *population) populate() {
	var wanted []rel.Tuple
	for _, def := range p.schema.Definitions {
		for i := range p.objects(def) {
			object := objectOf(def.Name.Text, fmt.Sprint(i+1))
			for _, r := range stored(def) {
				for range p.IntN(p.shape.perPlace + 1) {
					if t, ok := p.tuple(object, r); ok {
						wanted = append(wanted, t)
					}
				}
			}
		}
	}
	wanted = append(wanted, p.chain()...)
	wanted = append(wanted, p.clique()...)
	p.expired = slices.DeleteFunc(slices.Clone(wanted), func(t rel.Tuple) bool { return !t.Expires.PassedAt(p.now) })
	wanted = slices.DeleteFunc(wanted, func(t rel.Tuple) bool { return t.Expires.PassedAt(p.now) })
	if !p.shape.rules {
		p.put(wanted...) // nothing can refuse them
		return
	}
	for _, i := range p.Perm(len(wanted)) {
		p.put(p.completed(wanted[i], 3)...)
	}
}

// stored is what the world holds: the live tuples, and of those that have expired
// such as are not there again.
func (p *population) stored() []rel.Tuple {
	all := slices.Clone(p.world.Tuples())
	for _, t := range p.expired {
		if !slices.ContainsFunc(all, func(u rel.Tuple) bool { return u.Key == t.Key }) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, rel.Tuple.Compare)
	return all
}

func (p *population) objects(def *syntax.Definition) int {
	if len(declared(def)) == 0 {
		return p.shape.users
	}
	return p.shape.objects
}

// put writes tuples together, or none of them where a rule forbids it.
func (p *population) put(tuples ...rel.Tuple) {
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	if _, next, err := p.world.Write(rel.Actor{}, updates, nil); err == nil {
		p.world = next
	}
}

// completed adds to a tuple what the rules want to stand beside it: enough
// subjects where a lower bound wants them, and the subject in REL for `of REL`.
func (p *population) completed(t rel.Tuple, depth int) []rel.Tuple {
	all := []rel.Tuple{t}
	if depth == 0 {
		return all
	}
	def := definitionOf(p.schema, string(t.Object.Type()))
	for _, r := range stored(def) {
		if r.Name.Text == string(t.Relation) && r.Of != nil {
			beside := rel.Tuple{Key: rel.Key{Object: t.Object, Relation: rel.Name(r.Of.Text), Subject: t.Subject}}
			if beside, ok := p.changed(beside); ok {
				all = append(all, p.completed(beside, depth-1)...)
			}
		}
	}
	objects := []rel.Object{t.Object}
	if named, ok := t.Subject.Object(); ok {
		objects = append(objects, named)
	}
	for _, object := range objects {
		for _, r := range stored(definitionOf(p.schema, string(object.Type()))) {
			itself := object == t.Object && r.Name.Text == string(t.Relation) && t.Always()
			if r.Multiplicity == nil || r.Multiplicity.Min == 0 || p.standsAt(object, r) || itself {
				continue
			}
			form := pick(p.dice, r.Types[slices.IndexFunc(r.Types, counts):][:1])
			all = append(all, p.completed(p.ofForm(object, r, form), depth-1)...)
		}
	}
	return all
}

func (p *population) standsAt(object rel.Object, r *syntax.Relation) bool {
	for _, t := range p.world.Tuples() {
		if t.Object == object && string(t.Relation) == r.Name.Text && t.Always() && !t.Subject.IsWildcard() {
			return true
		}
	}
	return false
}

// tuple draws a tuple that the relation allows; ok is false where it allows none.
func (p *population) tuple(object rel.Object, r *syntax.Relation) (t rel.Tuple, ok bool) {
	if len(r.Types) == 0 {
		return rel.Tuple{}, false
	}
	return p.ofForm(object, r, pick(p.dice, r.Types)), true
}

// ofForm draws a tuple of one form.
func (p *population) ofForm(object rel.Object, r *syntax.Relation, form *syntax.TypeRef) rel.Tuple {
	t := rel.Tuple{Key: rel.Key{Object: object, Relation: rel.Name(r.Name.Text), Subject: p.subject(form)}}
	p.attributes(&t, form)
	return t
}

func (p *population) subject(form *syntax.TypeRef) rel.Subject {
	if form.Wildcard {
		return rel.Wildcard(rel.ObjectType(form.Type.Text))
	}
	object := p.object(form.Type.Text)
	if form.Relation != nil {
		return rel.Userset(object, rel.Name(form.Relation.Text))
	}
	return rel.Of(object)
}

// object draws an object that the world may know.
func (p *population) object(typ string) rel.Object {
	return objectOf(typ, fmt.Sprint(1+p.IntN(p.objects(definitionOf(p.schema, typ)))))
}

// chain nests many objects of one type in each other, through a relation that
// allows it: as usersets, or as parents.
func (p *population) chain() []rel.Tuple {
	var tuples []rel.Tuple
	p.eachRecursive(p.shape.chain, func(def *syntax.Definition, r *syntax.Relation, form *syntax.TypeRef) {
		for i := range p.shape.chain {
			tuples = append(tuples, p.nested(def, r, form, i+1, i+2))
		}
		if p.chance(30) {
			tuples = append(tuples, p.nested(def, r, form, p.shape.chain, 1)) // and back to the start
		}
	})
	return tuples
}

// clique makes every object of a type a member of all others.
func (p *population) clique() []rel.Tuple {
	var tuples []rel.Tuple
	p.eachRecursive(p.shape.clique, func(def *syntax.Definition, r *syntax.Relation, form *syntax.TypeRef) {
		for i := range p.shape.clique {
			for j := range p.shape.clique {
				tuples = append(tuples, p.nested(def, r, form, i+1, j+1))
			}
		}
	})
	return tuples
}

// eachRecursive visits two of the relations whose subjects can be of their own
// type, if there is to be anything at all.
func (p *population) eachRecursive(length int, visit func(*syntax.Definition, *syntax.Relation, *syntax.TypeRef)) {
	if length == 0 {
		return
	}
	var visits []func()
	for _, def := range p.schema.Definitions {
		for _, r := range stored(def) {
			for _, form := range r.Types {
				if form.Type.Text == def.Name.Text && !form.Wildcard {
					visits = append(visits, func() { visit(def, r, form) })
				}
			}
		}
	}
	for _, each := range some(p.dice, visits, 2) {
		each()
	}
}

func (p *population) nested(def *syntax.Definition, r *syntax.Relation, form *syntax.TypeRef, outer, inner int) rel.Tuple {
	subject := rel.Of(objectOf(def.Name.Text, fmt.Sprint(inner)))
	if form.Relation != nil {
		subject = rel.Userset(objectOf(def.Name.Text, fmt.Sprint(inner)), rel.Name(form.Relation.Text))
	}
	t := rel.Tuple{Key: rel.Key{Object: objectOf(def.Name.Text, fmt.Sprint(outer)), Relation: rel.Name(r.Name.Text), Subject: subject}}
	p.attributes(&t, form)
	return t
}

// askers draws who asks: each principal twice, with another context or other
// contextual tuples, so that whatever is kept from one question for the next is
// kept for the wrong one.
func (p *population) askers() []Asker {
	var all []Asker
	for _, principal := range p.principals() {
		first := Asker{principal, p.requestContext(), p.contextual()}
		all = append(all, first)
		second := first
		switch n := p.IntN(100); {
		case !p.shape.conditions && n < 70:
			continue
		case n < 62:
			second.Context = p.requestContext()
		default:
			second.Contextual = p.contextual()
		}
		if second.Context != first.Context || len(second.Contextual)+len(first.Contextual) > 0 {
			all = append(all, second)
		}
	}
	return all
}

// principals draws who asks: each plain subject that may be known, one that
// nobody knows (wildcards still mean it), usersets, objects, and some at once.
func (p *population) principals() []rel.Principal {
	var all []rel.Principal
	add := func(identity rel.Subject, beside ...rel.Subject) {
		principal, err := rel.NewPrincipal(identity, beside...)
		if err != nil {
			panic(invariant.Unreachable("principal of a random world", err))
		}
		all = append(all, principal)
	}
	var users, beside, usersets []rel.Subject
	for _, def := range p.schema.Definitions {
		for i := range p.objects(def) {
			subject := rel.Of(objectOf(def.Name.Text, fmt.Sprint(i+1)))
			names := declared(def)
			if def.Name.Text == "user" {
				users = append(users, subject)
			} else {
				beside = append(beside, subject)
			}
			if object, ok := subject.Object(); ok && len(names) > 0 {
				usersets = append(usersets, rel.Userset(object, rel.Name(pick(p.dice, names))))
			}
		}
	}
	for _, s := range some(p.dice, users, 2) {
		add(s)
	}
	add(pick(p.dice, users), pick(p.dice, beside))
	add(pick(p.dice, users), pick(p.dice, usersets))
	add(pick(p.dice, usersets), pick(p.dice, beside), pick(p.dice, users))
	switch n := p.IntN(100); {
	case n < 20:
		add(pick(p.dice, usersets))
	case n < 40:
		add(pick(p.dice, beside))
	case n < 62:
		add(rel.Of(objectOf("user", "unknown")))
	}
	return all
}

// asked draws the objects to ask about: those that stand in a tuple and have
// names, and now and then one that nobody knows.
func (p *population) asked() []rel.Object {
	var named []rel.Object
	for _, object := range p.world.Objects() {
		if len(namesOf(p.schema, object.Type())) > 0 {
			named = append(named, object)
		}
	}
	all := some(p.dice, named, objectsMax)
	if p.chance(20) {
		all = append(all, objectOf(pick(p.dice, p.schema.Definitions).Name.Text, "unknown"))
	}
	return all
}
