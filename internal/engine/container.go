package engine

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// insideReadsMax is what may be read to find all objects inside another. A list of what
// somebody with much access has in a small place then costs the place; in a large one
// every object that is met is asked where it is.
const insideReadsMax = 2_000

// A container is an object, and what is known of what is inside it, as the relations
// of `within` say: whatever their tuples carry, as for a revoke.
type container struct {
	walk   *Walk
	object rel.Object
	known  map[rel.Object]bool
}

func newContainer(w *Walk, o rel.Object) *container {
	return &container{walk: w, object: o, known: make(map[rel.Object]bool)}
}

// has reports whether an object is inside, at any depth: whether a way up leads to the
// container.
func (c *container) has(ctx context.Context, o rel.Object) (bool, error) {
	if in, known := c.known[o]; known {
		return in, nil
	}
	c.walk.enter(ctx)
	below := map[rel.Object]rel.Object{o: {}}
	for queue := []rel.Object{o}; len(queue) > 0; queue = queue[1:] {
		parents, err := c.parents(queue[0])
		if err != nil {
			return false, err
		}
		for _, parent := range parents {
			if parent == c.object || c.known[parent] {
				for at := queue[0]; !at.IsZero(); at = below[at] {
					c.known[at] = true
				}
				return true, nil
			}
			_, outside := c.known[parent]
			if _, seen := below[parent]; !seen && !outside {
				below[parent] = queue[0]
				queue = append(queue, parent)
			}
		}
	}
	for at := range below {
		c.known[at] = false
	}
	return false, nil
}

// parents are the objects that an object is directly inside.
func (c *container) parents(o rel.Object) (parents []rel.Object, err error) {
	d := c.walk.schema.Definition(o.Type())
	if d == nil || len(d.Within()) == 0 {
		return nil, nil
	}
	w := c.walk
	n := w.node(o, d)
	w.load(n)
	if w.err != nil {
		return nil, w.err
	}
	add := func(t rel.Tuple) {
		w.spend()
		if parent, ok := t.Subject.Object(); ok && !t.Subject.IsUserset() {
			parents = append(parents, parent)
		}
	}
	for _, name := range d.Within() {
		if n.whole {
			for _, t := range n.tuples {
				if t.Relation == name {
					add(t)
				}
			}
			continue
		}
		for t, err := range w.reader.Subjects(o, name) {
			if err != nil {
				return nil, err
			}
			if add(t); w.err != nil {
				return nil, w.err
			}
		}
	}
	return parents, w.err
}

// enumerate are the ids of all objects of a type inside, in order; ok is false where
// they are too many to be worth it.
func (c *container) enumerate(ctx context.Context, typ rel.ObjectType, ids rel.IDs) (found []string, ok bool, err error) {
	w := c.walk
	holds := holders(w.schema, typ)
	stop := w.reader.Reads() + insideReadsMax
	seen := make(map[rel.Object]bool) // the container is inside itself only where a way leads there
	for queue := []rel.Object{c.object}; len(queue) > 0; queue = queue[1:] {
		if err := fault.Ended(ctx); err != nil {
			return nil, false, err
		}
		for _, d := range w.schema.Definitions() {
			if !holds[d.Type] {
				continue
			}
			for _, name := range d.Within() {
				if !d.Relation(name).Allows(rel.Of(queue[0])) {
					continue
				}
				for t, err := range w.reader.Objects(rel.Of(queue[0]), d.Type, name, rel.IDs{}) {
					if err != nil {
						return nil, false, err
					}
					if w.reader.Reads() > stop {
						return nil, false, nil
					}
					if seen[t.Object] {
						continue
					}
					seen[t.Object] = true
					queue = append(queue, t.Object)
					if t.Object.Type() == typ && ids.Has(t.Object.ID()) {
						found = append(found, t.Object.ID())
					}
				}
			}
		}
	}
	slices.SortFunc(found, rel.CompareIDs)
	return found, true, nil
}

// holders are a type and those that its objects can be inside of, at any depth.
func holders(s *schema.Schema, typ rel.ObjectType) map[rel.ObjectType]bool {
	found := map[rel.ObjectType]bool{typ: true}
	for queue := []rel.ObjectType{typ}; len(queue) > 0; queue = queue[1:] {
		d := s.Definition(queue[0])
		for _, name := range d.Within() {
			for _, f := range d.Relation(name).Forms {
				if !found[f.Type] {
					found[f.Type] = true
					queue = append(queue, f.Type)
				}
			}
		}
	}
	return found
}
