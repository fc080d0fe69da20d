package schema

import (
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// checkAnnotations holds the types that permissions are annotated with against
// the types of those who can hold them. An annotation is an upper bound: it may
// name types that do not come yet. It is kept in every schema, and holds under
// `use typechecking`.
func (c *compiler) checkAnnotations() {
	type annotated struct {
		at   place
		tree *syntax.Permission
	}
	var all []annotated
	for _, d := range c.schema.definitions {
		for _, p := range c.trees[d].Permissions {
			n := d.byName[rel.Name(p.Name.Text)]
			if len(p.Annotation) == 0 || n == nil || n.Kind != KindPermission {
				continue
			}
			if n.Types = c.annotation(p); n.Types != nil {
				all = append(all, annotated{place{d, n.Slot}, p})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	if !c.uses("typechecking") {
		c.annotationIsNotChecked(all[0].tree.Annotation[0].At, all[0].tree.Name.Text)
		return
	}
	kinds := c.schema.holderTypes()
	found := 0 // no more than are shown: each looks for a way through the schema
	for _, a := range all {
		for i, d := range c.schema.definitions {
			named := slices.ContainsFunc(a.tree.Annotation, func(x syntax.Ident) bool { return x.Text == string(d.Type) })
			if !named && kinds[a.at].has(i) && found < diagnosticsMax {
				found++
				c.annotationMustFit(a.tree.Annotation[0].At, a.at, d.Type, labels(c.schema.wayToType(a.at, i, kinds)))
			}
		}
	}
}

// annotation reads the types of one annotation; nil where one is unknown, and
// would be missed among those that can hold the permission.
func (c *compiler) annotation(p *syntax.Permission) []rel.ObjectType {
	var types []rel.ObjectType
	known := true
	for _, x := range p.Annotation {
		typ := rel.ObjectType(x.Text)
		switch {
		case c.schema.byType[typ] == nil:
			c.subjectTypeMustExist(x.At, x.Text, c.schema)
			known = false
		case slices.Contains(types, typ):
			c.annotatedTypeMustBeUnique(x.At, x.Text, p.Name.Text)
		default:
			types = append(types, typ)
		}
	}
	if !known {
		return nil
	}
	return types
}

func (c *compiler) uses(feature string) bool {
	return slices.ContainsFunc(c.file.Uses, func(u *syntax.Use) bool { return u.Feature.Text == feature })
}

// A typeSet is a set of definitions, by their index in the schema.
type typeSet []uint64

func (s typeSet) has(i int) bool { return s != nil && s[i/64]&(1<<(i%64)) != 0 }

func (s typeSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s typeSet) join(t typeSet) {
	for i := range t {
		s[i] |= t[i]
	}
}

// holderTypes are the types of the subjects that can come to hold each slot. Both
// sides of an intersection count, since two subjects of one caller may meet them;
// what is only excluded does not. The places of one component hold the same, and
// share one set.
func (s *Schema) holderTypes() map[place]typeSet {
	kinds := make(map[place]typeSet)
	index := s.indexes()
	for _, members := range s.components() {
		set := make(typeSet, (len(s.definitions)+63)/64)
		for _, p := range members {
			kinds[p] = set
		}
		for _, p := range members {
			for _, typ := range p.ownTypes() {
				set.add(index[typ])
			}
			for _, dep := range s.reads(p) {
				if !dep.negated {
					set.join(kinds[dep.on])
				}
			}
		}
	}
	return kinds
}

func (s *Schema) indexes() map[rel.ObjectType]int {
	index := make(map[rel.ObjectType]int, len(s.definitions))
	for i, d := range s.definitions {
		index[d.Type] = i
	}
	return index
}

// ownTypes are the types that a slot lets in by itself, and not by what it reads.
func (p place) ownTypes() []rel.ObjectType {
	plan := p.definition.Plan(p.slot)
	var types []rel.ObjectType
	switch {
	case plan.Kind == Stored:
		for _, f := range plan.Relation.Forms {
			if f.Relation == "" {
				types = append(types, f.Type)
			}
		}
	case plan.Kind == Computed && plan.Expr != nil && plan.Expr.readsSelf():
		types = append(types, p.definition.Type)
	}
	return types
}

// readsSelf reports whether `self` stands in an expression where it gives something.
func (e *Expr) readsSelf() bool {
	switch e.Op {
	case OpSelf:
		return true
	case OpUnion, OpIntersection:
		return e.Left.readsSelf() || e.Right.readsSelf()
	case OpExclusion:
		return e.Left.readsSelf()
	default:
		return false
	}
}

// wayToType is the shortest way from a place to one that lets the type in.
func (s *Schema) wayToType(from place, typ int, kinds map[place]typeSet) []place {
	index := s.indexes()
	before := map[place]place{from: {}}
	queue := []place{from}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if slices.ContainsFunc(p.ownTypes(), func(t rel.ObjectType) bool { return index[t] == typ }) {
			var way []place
			for ; p != (place{}); p = before[p] {
				way = append(way, p)
			}
			slices.Reverse(way)
			return way
		}
		for _, dep := range s.reads(p) {
			if _, seen := before[dep.on]; !seen && !dep.negated && kinds[dep.on].has(typ) {
				before[dep.on] = p
				queue = append(queue, dep.on)
			}
		}
	}
	return nil
}
