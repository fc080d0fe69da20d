package engine

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// An ObjectsQuestion asks for a page of the objects of a type on which the walk's
// principal holds a name.
type ObjectsQuestion struct {
	Type        rel.ObjectType
	Name        rel.Name
	Within      rel.Object // zero: anywhere
	MinRole     rel.Name   // empty: whatever the role
	IDs         rel.IDs
	Conditional bool // whether what hangs on a condition is listed, too
	PageSize    int
	// Fits reports whether an entry still fits the page; a first entry always does.
	Fits func(ListedObject) bool
}

// An ObjectsPage is a page of a list, in the order of rel.CompareIDs. It may be short,
// and even empty, while more follows.
type ObjectsPage struct {
	Objects []ListedObject
	After   string // the id that the next page comes after; empty where this was the last
	Cost    Cost
}

// Objects lists objects.
//
// The list is found from the principal's side. From the tuples about it ways lead on,
// through groups and parents, up to the asked type; only the last step is read page by
// page, merged from all ways by id. So a page costs what leads to it and what is on
// it, whatever the store's size. What a way alone does not decide, an exclusion for
// example, the walk checks: on the way at once, so that nothing follows from what is
// not held, and at the end for each object.
func (w *Walk) Objects(ctx context.Context, q ObjectsQuestion) (ObjectsPage, error) {
	l, err := newObjectList(ctx, w, q)
	if err != nil {
		return ObjectsPage{}, err
	}
	reads, pairs := w.reader.Reads(), w.pairs
	page, err := l.page()
	if err != nil {
		return ObjectsPage{}, err
	}
	page.Cost = Cost{Reads: w.reader.Reads() - reads, Pairs: w.pairs - pairs}
	return page, nil
}

// An objectList is the making of one page.
type objectList struct {
	*spread
	question ObjectsQuestion
	listed   listed
	inside   *container // nil: anywhere
	// decided are the decisions for what candidates came by, so that a thousand
	// documents of one project are one.
	decided map[holding]decision
}

func newObjectList(ctx context.Context, w *Walk, q ObjectsQuestion) (*objectList, error) {
	d, err := w.schema.MustDefine(q.Type)
	if err != nil {
		return nil, err
	}
	name, err := d.MustHave(q.Name)
	if err != nil {
		return nil, err
	}
	l := &objectList{question: q, listed: listed{definition: d, needs: only(name.Slot)}, decided: make(map[holding]decision)}
	from := only(name.Slot)
	if q.MinRole != "" {
		role, err := d.MustHaveRole(q.MinRole)
		if err != nil {
			return nil, err
		}
		for _, higher := range d.Ladder() {
			if higher == role || d.Above(higher.Slot, role.Slot) {
				l.listed.floor.Add(higher.Slot)
			}
		}
		from = l.listed.floor // nobody below it is listed, so nobody below it is looked for
	}
	l.listed.asked = l.listed.needs.Union(l.listed.floor)
	for _, role := range d.Ladder() {
		l.listed.asked.Add(role.Slot)
	}
	if !q.Within.IsZero() {
		if _, err := w.schema.MustDefine(q.Within.Type()); err != nil {
			return nil, err
		}
		l.inside = newContainer(w, q.Within)
	}
	l.spread = newSpread(ctx, w, w.schema.ReachOf(d, from), d)
	l.wanted = d.LocallyBelow(l.listed.asked)
	return l, nil
}

// page spreads out from the principal, and goes through the candidates in order.
func (l *objectList) page() (page ObjectsPage, err error) {
	if err := l.run(); err != nil {
		return page, err
	}
	candidates, err := l.candidates(l.question.IDs, l.question.PageSize)
	if err != nil {
		return page, err
	}
	if l.inside != nil && !candidates.few() {
		inside, all, err := l.inside.enumerate(l.ctx, l.target.Type, l.question.IDs)
		if err != nil {
			return page, err
		}
		if all {
			candidates, l.inside = known(inside), nil
		}
	}
	allowance := l.walk.allowance()
	last := l.question.IDs.After
	for {
		c, more, err := candidates.next()
		if err != nil {
			return page, err
		}
		if !more {
			return page, nil
		}
		full := len(page.Objects) == l.question.PageSize || last != l.question.IDs.After && l.walk.isSpent(allowance)
		if full {
			page.After = last
			return page, nil
		}
		entry, ok, err := l.entry(c)
		if err != nil {
			return page, err
		}
		if ok {
			if fits := l.question.Fits == nil || l.question.Fits(entry); !fits && len(page.Objects) > 0 {
				page.After = last
				return page, nil
			}
			page.Objects = append(page.Objects, entry)
		}
		last = c.id
	}
}

// entry decides on a candidate.
func (l *objectList) entry(c candidate) (ListedObject, bool, error) {
	o := rel.Trusted(l.target.Type, c.id)
	known, ok := l.decided[c.holding]
	if !ok && !c.verify {
		known = l.listed.decide(l.settle(c.holding), l.complete)
		l.decided[c.holding] = known
	}
	if !c.verify && known.exact && known.result == Denied {
		return ListedObject{}, false, nil
	}
	if l.inside != nil {
		in, err := l.inside.has(l.ctx, o)
		if err != nil || !in {
			return ListedObject{}, false, err
		}
	}
	if c.verify || !known.exact {
		return l.verified(o)
	}
	entry := ListedObject{Object: o, Result: known.result, Role: known.role}
	return entry, known.result == Granted, nil
}

// verified asks the walk.
func (l *objectList) verified(o rel.Object) (ListedObject, bool, error) {
	n, _, err := l.walk.ask(l.ctx, o, l.listed.definition, l.listed.asked)
	if err != nil {
		return ListedObject{}, false, err
	}
	entry := ListedObject{Object: o}
	var open schema.Slots
	entry.Result, open = l.listed.result(&n.held)
	if entry.Result == Denied || entry.Result == Conditional && !l.question.Conditional {
		return ListedObject{}, false, nil
	}
	entry.Role, entry.ConditionalRole = l.listed.roles(&n.held)
	if entry.Result == Conditional {
		missing, err := l.walk.hangsOn(l.ctx, n, open)
		if err != nil {
			return ListedObject{}, false, err
		}
		entry.Missing = slices.Clip(missing[:min(len(missing), listedMissingMax)])
	}
	return entry, true, nil
}

// listed is what an entry of a list is about.
type listed struct {
	definition *schema.Definition
	needs      schema.Slots // the asked names: one of them is enough
	floor      schema.Slots // one of these is needed beside: the least role and those above it; empty for none
	asked      schema.Slots // these, and all roles'
}

// result is what is held of what is asked, and by which slots it is open.
func (l *listed) result(h *Held) (Result, schema.Slots) {
	result, open := h.any(l.needs)
	if !l.floor.Empty() {
		role, openToo := h.any(l.floor)
		result, open = min(result, role), open.Union(openToo)
	}
	return result, open
}

// any is the most that is held of some slots, and which of them are conditional, where
// that is the most.
func (h *Held) any(slots schema.Slots) (most Result, open schema.Slots) {
	switch {
	case !slots.Meet(h.certain).Empty():
		return Granted, schema.Slots{}
	case !slots.Meet(h.possible).Empty():
		return Conditional, slots.Meet(h.possible)
	default:
		return Denied, schema.Slots{}
	}
}

// roles are the effective role, and the conditional one above it.
func (l *listed) roles(h *Held) (role, conditional rel.Name) {
	for _, declared := range l.definition.Ladder() {
		switch h.Of(declared.Slot) {
		case Granted:
			role, conditional = declared.Name, ""
		case Conditional:
			conditional = declared.Name
		}
	}
	return role, conditional
}

// A holding is what ways give on an object: for certain, and perhaps.
type holding struct{ certain, possible schema.Slots }

// A decision is what a holding comes to; where it is not exact, the walk is asked.
type decision struct {
	exact  bool
	result Result
	role   rel.Name
}

// decide decides on what ways give. Where a slot is one of the complete, every way
// there is was followed.
func (l *listed) decide(at *reached, complete schema.Slots) decision {
	d := decision{result: Granted}
	for _, needed := range []schema.Slots{l.needs, l.floor} {
		switch {
		case needed.Empty() || !needed.Meet(at.certain).Empty():
		case needed.Minus(complete).Union(needed.Meet(at.possible)).Empty():
			return decision{exact: true}
		default:
			return decision{}
		}
	}
	ladder := l.definition.Ladder()
	for i := len(ladder) - 1; i >= 0; i-- {
		s := ladder[i].Slot
		if at.certain.Has(s) {
			d.role = ladder[i].Name
			break
		}
		if !complete.Has(s) || at.possible.Has(s) {
			return decision{}
		}
	}
	d.exact = true
	return d
}
