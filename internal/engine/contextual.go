package engine

import (
	"iter"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A contextual reader shows the tuples that came with a request among the stored
// ones. One with the key of a stored tuple stands in its place; one whose time
// has passed is not there, and neither is what it replaces. They cost no reads.
type contextual struct {
	Reader
	brought map[rel.Key]rel.Tuple // every one of them, by key
	live    []rel.Tuple           // those whose time has not passed, as they came
}

// Joined is a reader with further tuples, as contextual tuples join it: one with the
// key of a stored tuple stands in its place, and one whose time has passed takes
// that away.
func Joined(r Reader, tuples []rel.Tuple, now time.Time) Reader {
	return withContextual(r, tuples, now)
}

// withContextual lets tuples join a reader for one request. They fit the schema.
func withContextual(r Reader, tuples []rel.Tuple, now time.Time) *contextual {
	c := &contextual{Reader: r, brought: make(map[rel.Key]rel.Tuple, len(tuples))}
	for _, t := range tuples { // of two with one key the later counts
		c.brought[t.Key] = t
	}
	seen := make(map[rel.Key]bool, len(tuples))
	for _, t := range tuples {
		if t = c.brought[t.Key]; !seen[t.Key] && !t.Expires.PassedAt(now) {
			c.live = append(c.live, t)
		}
		seen[t.Key] = true
	}
	return c
}

// isContextual reports whether a tuple came with the request.
func (c *contextual) isContextual(t rel.Tuple) bool {
	brought, ok := c.brought[t.Key]
	return ok && brought == t
}

// Object puts what was brought behind what is stored, beyond max: they are few,
// and already in memory.
func (c *contextual) Object(o rel.Object, buf []rel.Tuple, max int) (tuples []rel.Tuple, whole bool, err error) {
	tuples, whole, err = c.Reader.Object(o, buf, max)
	if err != nil {
		return tuples, whole, err
	}
	kept := make([]rel.Tuple, 0, len(tuples)+len(c.live)) // the reader's own are not to be changed
	for _, t := range tuples {
		if _, replaced := c.brought[t.Key]; !replaced {
			kept = append(kept, t)
		}
	}
	for _, t := range c.live {
		if t.Object == o {
			kept = append(kept, t)
		}
	}
	return kept, whole, nil
}

// Find finds what was brought before what is stored.
func (c *contextual) Find(k rel.Key) (t rel.Tuple, found bool, err error) {
	if _, replaced := c.brought[k]; !replaced {
		return c.Reader.Find(k)
	}
	for _, t := range c.live {
		if t.Key == k {
			return t, true, nil
		}
	}
	return rel.Tuple{}, false, nil
}

// Usersets are those brought, then those stored.
func (c *contextual) Usersets(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return c.among(c.Reader.Usersets(o, relation), func(t rel.Tuple) bool {
		return t.Object == o && t.Relation == relation && (t.Subject.IsUserset() || t.Subject.IsWildcard())
	})
}

// Subjects are those brought, then those stored.
func (c *contextual) Subjects(o rel.Object, relation rel.Name) iter.Seq2[rel.Tuple, error] {
	return c.among(c.Reader.Subjects(o, relation), func(t rel.Tuple) bool {
		return t.Object == o && t.Relation == relation && !t.Subject.IsUserset() && !t.Subject.IsWildcard()
	})
}

// Objects are those brought among those stored, in the order of their objects' ids.
func (c *contextual) Objects(s rel.Subject, typ rel.ObjectType, relation rel.Name, ids rel.IDs) iter.Seq2[rel.Tuple, error] {
	return c.inOrder(c.Reader.Objects(s, typ, relation, ids), func(t rel.Tuple) string { return t.Object.ID() }, func(t rel.Tuple) bool {
		return t.Subject == s && t.Object.Type() == typ && t.Relation == relation && ids.Has(t.Object.ID())
	})
}

// SubjectsOf are those brought among those stored, in the order of their subjects' ids.
func (c *contextual) SubjectsOf(o rel.Object, relation rel.Name, typ rel.ObjectType, ids rel.IDs) iter.Seq2[rel.Tuple, error] {
	return c.inOrder(c.Reader.SubjectsOf(o, relation, typ, ids), func(t rel.Tuple) string { return t.Subject.ID() }, func(t rel.Tuple) bool {
		s := t.Subject
		return t.Object == o && t.Relation == relation && s.Type() == typ && !s.IsUserset() && !s.IsWildcard() && ids.Has(s.ID())
	})
}

// inOrder yields what was brought and fits, and of what is stored what nothing
// replaces, by id.
func (c *contextual) inOrder(stored iter.Seq2[rel.Tuple, error], id func(rel.Tuple) string, fits func(rel.Tuple) bool) iter.Seq2[rel.Tuple, error] {
	var brought []rel.Tuple
	for _, t := range c.live {
		if fits(t) {
			brought = append(brought, t)
		}
	}
	if len(brought) == 0 {
		return c.among(stored, fits)
	}
	slices.SortFunc(brought, func(a, b rel.Tuple) int { return rel.CompareIDs(id(a), id(b)) })
	return func(yield func(rel.Tuple, error) bool) {
		next := brought
		for t, err := range stored {
			if err == nil {
				if _, replaced := c.brought[t.Key]; replaced {
					continue
				}
				for len(next) > 0 && rel.CompareIDs(id(next[0]), id(t)) < 0 {
					if !yield(next[0], nil) {
						return
					}
					next = next[1:]
				}
			}
			if !yield(t, err) {
				return
			}
		}
		for _, t := range next {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// among yields what was brought and fits, and of what is stored what nothing replaces.
func (c *contextual) among(stored iter.Seq2[rel.Tuple, error], fits func(rel.Tuple) bool) iter.Seq2[rel.Tuple, error] {
	return func(yield func(rel.Tuple, error) bool) {
		for _, t := range c.live {
			if fits(t) && !yield(t, nil) {
				return
			}
		}
		for t, err := range stored {
			if err == nil {
				if _, replaced := c.brought[t.Key]; replaced {
					continue
				}
			}
			if !yield(t, err) {
				return
			}
		}
	}
}
