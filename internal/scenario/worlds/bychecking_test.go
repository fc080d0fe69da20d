package worlds

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

// checkedLists is the product with lists that are made by asking the service about
// everything that stands in a tuple, with sources read off its explanations. It shares
// nothing with the oracle: where the two agree, what is held against the lists of the
// service is probably what they promise.
type checkedLists struct {
	*Product
	rest map[string]ListPage // of lists, by token
}

// Load makes a world of its own, and forgets the pages of the one before.
func (p checkedLists) Load(ctx context.Context, at time.Time, schema string, tuples []rel.Tuple) error {
	clear(p.rest)
	return p.Product.Load(ctx, at, schema, tuples)
}

func (p checkedLists) ListObjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	return p.page(ctx, q, of, token)
}

func (p checkedLists) ListSubjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	return p.page(ctx, q, of, token)
}

func (p checkedLists) page(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	page := p.rest[token]
	if token == "" {
		c := &checking{Product: p.Product, ctx: ctx, asked: q, of: p.consistency(of)}
		if page = c.whole(of); c.err != nil {
			return ListPage{}, c.err
		}
	}
	rest := ListPage{Snapshot: page.Snapshot}
	page.Objects, rest.Objects = cut(page.Objects, q.PageSize)
	page.Subjects, rest.Subjects = cut(page.Subjects, q.PageSize)
	if len(rest.Objects)+len(rest.Subjects) > 0 {
		page.Next = strconv.Itoa(len(p.rest) + 1)
		p.rest[page.Next] = rest
	}
	return page, nil
}

func cut[T any](all []T, n int) (page, rest []T) {
	n = min(n, len(all))
	return all[:n:n], all[n:]
}

// checking asks for everything; err is the first error.
type checking struct {
	*Product
	ctx    context.Context
	asked  Listing
	of     service.Consistency
	tuples []rel.Tuple
	err    error
}

func (c *checking) whole(of Moment) ListPage {
	query := service.ReadQuery{Store: rel.DefaultStore, Consistency: c.of, PageSize: service.PageSizeMax, Page: service.FirstPage()}
	stored, err := c.Service().ReadTuples(c.ctx, query)
	c.note(err)
	at := c.now
	if !of.Time.IsZero() {
		at = of.Time
	}
	c.tuples = joinedAt(at, stored.Tuples, c.asked.Contextual)
	page := ListPage{Snapshot: stored.Snapshot}
	if c.asked.Object.IsZero() {
		page.Objects = c.objects()
	} else {
		page.Subjects = c.subjects()
	}
	return page
}

func (c *checking) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// joinedAt are stored tuples with others in their place or beside them.
func joinedAt(at time.Time, stored, contextual []rel.Tuple) []rel.Tuple {
	all := slices.Clone(stored)
	for _, t := range contextual {
		all = slices.DeleteFunc(all, func(u rel.Tuple) bool { return u.Key == t.Key })
		all = append(all, t)
	}
	return slices.DeleteFunc(all, func(t rel.Tuple) bool { return t.Expires.PassedAt(at) })
}

// standing are the objects of the type that stand in a tuple, and these.
func (c *checking) standing(all ...rel.Object) []rel.Object {
	for _, t := range c.tuples {
		all = append(all, t.Object)
		if o, ok := t.Subject.Object(); ok {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, rel.Object.Compare)
	return slices.DeleteFunc(slices.Compact(all), func(o rel.Object) bool { return o.Type() != c.asked.Type })
}

// isInside follows what an object is in, upward.
func (c *checking) isInside(o rel.Object) bool {
	seen := map[rel.Object]bool{}
	next := []rel.Object{o}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		within := c.Schema().Definition(at.Type()).Within()
		for _, t := range c.tuples {
			outer, ok := t.Subject.Object()
			if t.Object != at || !ok || t.Subject.IsUserset() || !slices.Contains(within, t.Relation) {
				continue
			}
			if outer == c.asked.Within {
				return true
			}
			if !seen[outer] {
				seen[outer] = true
				next = append(next, outer)
			}
		}
	}
	return false
}

func (c *checking) objects() []ListedObject {
	var own []rel.Object
	for _, s := range c.asked.Principal.Subjects() {
		if o, ok := s.Object(); ok {
			own = append(own, o)
		}
	}
	var list []ListedObject
	for _, o := range c.standing(own...) {
		if !strings.HasPrefix(o.ID(), c.asked.IDPrefix) || !c.asked.Within.IsZero() && !c.isInside(o) {
			continue
		}
		result, missing, _ := c.check(o, c.asked.Name, c.asked.Principal)
		access := c.access(o, c.asked.Principal)
		if c.asked.MinRole != "" {
			reached, open := c.reaches(o, access)
			result, missing = min(result, reached), append(missing, open...)
		}
		if result == oracle.Yes || result == oracle.Conditional && c.asked.Conditional {
			entry := ListedObject{Object: o, Listed: oracle.Listed{Result: result, Role: access.Role, ConditionalRole: access.ConditionalRole}}
			if result == oracle.Conditional {
				entry.Missing = firstMissing(missing)
			}
			list = append(list, entry)
		}
	}
	return list
}

// reaches reports whether a role is the least one or above, and what that hangs on.
func (c *checking) reaches(o rel.Object, access service.AccessAnswer) (oracle.Truth, []oracle.Missing) {
	ladder := c.Schema().Definition(o.Type()).Ladder()
	from := slices.IndexFunc(ladder, func(r *schema.Declared) bool { return r.Name == c.asked.MinRole })
	for _, role := range ladder[from:] {
		if role.Name == access.Role {
			return oracle.Yes, nil
		}
		if role.Name == access.ConditionalRole {
			_, missing, _ := c.check(o, role.Name, c.asked.Principal)
			return oracle.Conditional, missing
		}
	}
	return oracle.No, nil
}

// firstMissing are as many as a list tells of, each once.
func firstMissing(all []oracle.Missing) []oracle.Missing {
	var first []oracle.Missing
	for _, m := range all {
		if len(first) < listedMissingMax && !slices.ContainsFunc(first, func(n oracle.Missing) bool { return m.Key == n.Key }) {
			first = append(first, m)
		}
	}
	return first
}

func (c *checking) check(o rel.Object, name rel.Name, who rel.Principal) (oracle.Truth, []oracle.Missing, *engine.Reason) {
	answer, err := c.Service().Check(c.ctx, service.CheckQuery{
		Store: rel.DefaultStore, Consistency: c.of, Explain: true,
		Item: service.CheckItem{Object: o, Name: name, Principal: who, Brought: brought(c.asked.Asker)},
	})
	c.note(err)
	return truthOf(answer.Result), missingOf(answer.Missing), answer.Reason
}

func (c *checking) access(o rel.Object, who rel.Principal) service.AccessAnswer {
	access, err := c.Service().EffectiveAccess(c.ctx, service.AccessQuery{
		Store: rel.DefaultStore, Consistency: c.of, Object: o, Principal: who, Brought: brought(c.asked.Asker), Explain: true,
	})
	c.note(err)
	return access
}

func (c *checking) subjects() []ListedSubject {
	var wildcard ListedSubject
	var list []ListedSubject
	if c.asked.Relation == "" {
		wildcard = c.subject(rel.Of(objectOf(string(c.asked.Type), "nobody_at_all")))
		wildcard.Subject = rel.Wildcard(c.asked.Type)
		if !c.tells(wildcard) {
			wildcard = ListedSubject{}
		}
	}
	for _, o := range c.standing(c.asked.Object) {
		entry := c.subject(rel.Of(o))
		if c.asked.Relation != "" {
			entry = c.subject(rel.Userset(o, c.asked.Relation))
		}
		if entry.Result < wildcard.Result {
			wildcard.Exceptions = append(wildcard.Exceptions, Exception{entry.Subject, entry.Result, entry.Missing})
		}
		if c.tells(entry) {
			list = append(list, entry)
		}
	}
	if wildcard.Result == oracle.No {
		return list
	}
	rest := wildcard // and the exceptions one by one
	rest.Sources = nil
	for len(wildcard.Exceptions) > 1 {
		rest.Exceptions = wildcard.Exceptions[1:2:2]
		wildcard.Exceptions = slices.Delete(slices.Clone(wildcard.Exceptions), 1, 2)
		list = append(list, rest)
	}
	return append([]ListedSubject{wildcard}, list...)
}

func (c *checking) tells(s ListedSubject) bool {
	return s.Result == oracle.Yes || s.Result == oracle.Conditional && c.asked.Conditional
}

// subject is what one subject has, and one source of it.
func (c *checking) subject(s rel.Subject) ListedSubject {
	who, err := rel.NewPrincipal(s)
	c.note(err)
	entry := ListedSubject{Subject: s}
	var reason *engine.Reason
	names := []rel.Name{c.asked.Name}
	if c.asked.Name == "" {
		names = c.rolesAndPermissions()
	}
	for _, name := range names {
		result, missing, why := c.check(c.asked.Object, name, who)
		if result > entry.Result || reason == nil {
			entry.Result, entry.Missing, reason = result, firstMissing(missing), why
		}
	}
	access := c.access(c.asked.Object, who)
	entry.Role, entry.ConditionalRole = access.Role, access.ConditionalRole
	if access.Role != "" {
		reason = access.Reason
	}
	if way, ok := wayOf(reason, who); ok {
		entry.Sources = []Source{{access.Role, way}}
	}
	return entry
}

func (c *checking) rolesAndPermissions() []rel.Name {
	d := c.Schema().Definition(c.asked.Object.Type())
	var names []rel.Name
	for _, n := range d.Names() {
		if n.Kind != schema.KindRelation {
			names = append(names, n.Name)
		}
	}
	return names
}

// wayOf is how the first path of a reason begins.
func wayOf(r *engine.Reason, who rel.Principal) (oracle.Way, bool) {
	for r != nil {
		switch {
		case r.Step == engine.StepItself, r.Step == engine.StepMinus && len(r.Because) == 0: // `self - x` shows no part
			return oracle.Way{}, true
		case r.Step == engine.StepTuple || r.Step == engine.StepInherited:
			way := oracle.Way{Tuple: r.Tuple}
			if _, err := rel.ParseName(r.Name); err == nil && who.Matches(r.Tuple.Subject) {
				return way, true // and no arrow
			}
			for below := r.Because; len(below) > 0; below = below[0].Because { // an arrow over arrows has no name
				if name, err := rel.ParseName(below[0].Name); err == nil {
					way.Through = rel.Userset(below[0].Object, name)
					break
				}
			}
			return way, true
		case len(r.Because) == 0:
			return oracle.Way{}, false
		}
		r = r.Because[0]
	}
	return oracle.Way{}, false
}
