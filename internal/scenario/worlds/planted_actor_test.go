package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// An effect is what an update does to one tuple.
type effect struct {
	tuple         rel.Tuple
	grant, revoke bool // whose clauses are asked
	puts, adds    bool // the tuple is there afterwards; it was not before
}

// effects are what updates do, one tuple at a time, and the live tuples they leave.
func (s *walker) effects(updates []rel.Update) ([]effect, []rel.Tuple) {
	var all []effect
	left := slices.DeleteFunc(slices.Clone(s.stored), func(t rel.Tuple) bool { return !s.counts(t) })
	drop := func(key rel.Key) {
		left = slices.DeleteFunc(left, func(t rel.Tuple) bool { return t.Key == key })
	}
	for _, u := range updates {
		var gone []rel.Tuple
		unasked := false
		switch u.Op {
		case rel.Delete:
			there := slices.ContainsFunc(left, func(t rel.Tuple) bool { return t.Key == u.Tuple.Key })
			drop(u.Tuple.Key)
			all = append(all, effect{tuple: u.Tuple, revoke: there || s.planted != "delete of what is not there lets anybody"})
		case rel.Revoke:
			gone = s.gone(left, u.Revoking)
		case rel.DeleteMatching, rel.DeleteObject:
			for _, t := range left {
				o, _ := t.Subject.Object()
				if u.Op == rel.DeleteMatching && u.Matching.Filter.Matches(t) || u.Op == rel.DeleteObject && (t.Object == u.Object || o == u.Object) {
					gone = append(gone, t)
				}
			}
			unasked = s.planted == u.Op.String()+" not judged"
		default:
			e := effect{tuple: u.Tuple, grant: true, puts: true, adds: true}
			for _, t := range left {
				if t.Key == u.Tuple.Key {
					e.revoke, e.adds = t != u.Tuple, false
				}
			}
			drop(u.Tuple.Key)
			if !u.Tuple.Expires.PassedAt(s.now) {
				left = append(left, u.Tuple)
			}
			if e.revoke && s.planted == "touch of attributes judged by granted alone" {
				e.revoke = false
			}
			if !e.adds && !e.revoke && s.planted == "touch of the same lets anybody" {
				e.grant = false
			}
			all = append(all, e)
			if u.Op == rel.Assign {
				gone = s.replaced(left, u.Tuple)
				unasked = s.planted == "what assign takes is not judged"
			}
		}
		for _, t := range gone {
			drop(t.Key)
			all = append(all, effect{tuple: t, revoke: !unasked})
		}
	}
	return all, left
}

// replaced are the tuples in whose place an assigned one comes.
func (s *walker) replaced(left []rel.Tuple, t rel.Tuple) []rel.Tuple {
	one := func(t rel.Tuple) bool {
		block, _ := roleOf(definitionOf(s.file, string(t.Object.Type())), t.Relation)
		return block != nil && block.OnePerSubject
	}
	linked := func(o rel.Object, link string) (all []rel.Object) {
		for _, u := range left {
			if to, ok := u.Subject.Object(); ok && u.Object == o && string(u.Relation) == link && !u.Subject.IsUserset() {
				all = append(all, to)
			}
		}
		return all
	}
	var gone []rel.Tuple
	take := func(u rel.Tuple) {
		if u.Subject == t.Subject && u.Key != t.Key && !slices.Contains(gone, u) {
			gone = append(gone, u)
		}
	}
	block, _ := roleOf(definitionOf(s.file, string(t.Object.Type())), t.Relation)
	for _, u := range left {
		if other, _ := roleOf(definitionOf(s.file, string(u.Object.Type())), u.Relation); block != nil && other == block && u.Object == t.Object &&
			(block.OnePerSubject || s.planted != "assign leaves roles that are not one per subject") {
			take(u)
		}
	}
	if s.planted == "assign forgets spread rules" {
		return gone
	}
	for _, d := range s.file.Definitions {
		for _, r := range stored(d) {
			if r.OnePerWith == nil {
				continue
			}
			spread := func(u rel.Tuple) bool {
				return string(u.Object.Type()) == d.Name.Text && string(u.Relation) == r.Name.Text
			}
			var around []rel.Object
			if spread(t) {
				around = linked(t.Object, r.OnePerWith.Text)
			}
			if one(t) {
				around = append(around, t.Object)
			}
			for _, u := range left {
				if one(u) && slices.Contains(around, u.Object) {
					take(u)
				}
				if spread(u) && slices.ContainsFunc(linked(u.Object, r.OnePerWith.Text), func(w rel.Object) bool { return slices.Contains(around, w) }) {
					take(u)
				}
			}
		}
	}
	return gone
}

// gone are the tuples that a revoke takes.
func (s *walker) gone(left []rel.Tuple, r rel.Revoking) []rel.Tuple {
	inside := map[rel.Object]bool{}
	var enter func(o rel.Object, depth int)
	enter = func(o rel.Object, depth int) {
		if inside[o] || depth > 1 && s.planted == "revoke stops at one level" {
			return
		}
		inside[o] = true
		for _, t := range left {
			outer, _ := t.Subject.Object()
			plain := !t.Subject.IsUserset() || s.planted == "within follows usersets"
			if outer == o && plain && isWithin(definitionOf(s.file, string(t.Object.Type())), t.Relation) {
				enter(t.Object, depth+1)
			}
		}
	}
	enter(r.Within, 0)
	subject, _ := r.Subject.Object()
	var gone []rel.Tuple
	for _, t := range left {
		d := definitionOf(s.file, string(t.Object.Type()))
		block, _ := roleOf(d, t.Relation)
		o, _ := t.Subject.Object()
		exactly := t.Subject == r.Subject || s.planted == "revoke takes usersets" && o == subject
		ruled := block != nil && s.planted != "revoke leaves roles without a rule" || s.relation(d, t.Relation).Granted != nil ||
			s.planted == "revoke takes what has no rule"
		if exactly && ruled && inside[t.Object] && !s.bans(heldName{d.Name.Text, string(t.Relation)}) {
			gone = append(gone, t)
		}
	}
	return gone
}

func (s *walker) relation(d *syntax.Definition, name rel.Name) *syntax.Relation {
	for _, r := range stored(d) {
		if r.Name.Text == string(name) {
			return r
		}
	}
	return &syntax.Relation{}
}

// heldName is a name of a type.
type heldName struct{ typ, name string }

// bans reports whether a name can only take access away: it leads to nothing from
// which no exclusion is reached.
func (s *walker) bans(n heldName) bool {
	if s.planted == "revoke lifts bans" {
		return false
	}
	users, excluded := s.uses()
	var reach func(n heldName, seen map[heldName]bool)
	reach = func(n heldName, seen map[heldName]bool) {
		if seen[n] {
			return
		}
		seen[n] = true
		if s.planted == "revoke follows one use" && len(seen) > 1 {
			return
		}
		for _, user := range users[n] {
			reach(user, seen)
		}
	}
	all := map[heldName]bool{}
	reach(n, all)
	for m := range all {
		from, ends := map[heldName]bool{}, false
		reach(m, from)
		for k := range from {
			ends = ends || excluded[k]
		}
		if !ends {
			return false
		}
	}
	return true
}

// uses are, of each name, the names that are computed from it, and which names
// stand to the right of a `-` or in an except.
func (s *walker) uses() (map[heldName][]heldName, map[heldName]bool) {
	users, excluded := map[heldName][]heldName{}, map[heldName]bool{}
	for _, d := range s.file.Definitions {
		for _, block := range d.Roles {
			for i, r := range block.Roles {
				user := heldName{d.Name.Text, r.Name.Text}
				use := func(n heldName, right bool) { note(users, excluded, user, n, right) }
				if block.Except != nil {
					s.used(d, block.Except, true, use)
				}
				if r.Expr != nil {
					s.used(d, r.Expr, false, use)
				}
				for _, from := range block.Inherits {
					s.used(d, inherited(from, r), false, use)
				}
				if i+1 < len(block.Roles) {
					use(heldName{d.Name.Text, block.Roles[i+1].Name.Text}, false)
				}
			}
		}
		for _, p := range d.Permissions {
			user := heldName{d.Name.Text, p.Name.Text}
			s.used(d, p.Expr, false, func(n heldName, right bool) { note(users, excluded, user, n, right) })
		}
		for _, r := range stored(d) {
			for _, form := range r.Types {
				if form.Relation != nil {
					note(users, excluded, heldName{d.Name.Text, r.Name.Text}, heldName{form.Type.Text, form.Relation.Text}, false)
				}
			}
		}
	}
	return users, excluded
}

func note(users map[heldName][]heldName, excluded map[heldName]bool, user, used heldName, right bool) {
	if right {
		excluded[used] = true
	} else {
		users[used] = append(users[used], user)
	}
}

// used visits the names that an expression reads, and answers the types behind it
// where it is a relation or an arrow.
func (s *walker) used(d *syntax.Definition, e syntax.Expr, right bool, use func(heldName, bool)) []string {
	behind := func(types []string, name string) (all []string) {
		for _, typ := range types {
			if !has(s.file, typ, new(ident(name))) {
				continue
			}
			use(heldName{typ, name}, right)
			for _, form := range s.relation(definitionOf(s.file, typ), rel.Name(name)).Types {
				if !form.Wildcard {
					all = append(all, form.Type.Text)
				}
			}
		}
		return all
	}
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		return behind([]string{d.Name.Text}, e.Name.Text)
	case *syntax.ArrowExpr:
		return behind(s.used(d, e.Left, right, use), e.Target.Text)
	case *syntax.BinaryExpr:
		s.used(d, e.Left, right, use)
		s.used(d, e.Right, right || e.Op == syntax.Exclusion, use)
	}
	return nil
}

// An asking is an actor's write while it is judged.
type asking struct {
	*walker
	actor   rel.Actor
	effects []effect
	left    []rel.Tuple
	known   map[rel.Object][]rel.Tuple // the links of new objects
}

// refuses is the fault of a write that its actor may not do.
func (s *walker) refuses(actor rel.Actor, effects []effect, left []rel.Tuple) error {
	if actor.IsZero() || s.planted == "ACTOR_MUST_BE_ALLOWED_TO_GRANT not judged" {
		return nil
	}
	if s.planted == "the actor's context ignored" {
		actor.Context = rel.Context{}
	}
	a := &asking{s, actor, effects, left, map[rel.Object][]rel.Tuple{}}
	if s.planted == "rights on the state after" {
		before, memos := s.stored, s.memos
		s.stored, s.memos = left, map[string]*memo{}
		defer func() { s.stored, s.memos = before, memos }()
	}
	for _, e := range effects {
		r := s.relation(definitionOf(s.file, string(e.tuple.Object.Type())), e.tuple.Relation)
		if e.grant && !a.may(r.Granted, e.tuple, a.links(e.tuple.Object)) ||
			e.revoke && !a.may(s.revoker(r), e.tuple, a.links(e.tuple.Object)) ||
			e.adds && a.fresh(e.tuple.Object) && !a.creates(e.tuple.Object) {
			return fault.New(fault.ActorMustBeAllowedToGrant, "no")
		}
	}
	return nil
}

func (s *walker) revoker(r *syntax.Relation) *syntax.Rule {
	switch {
	case r.Revoked != nil && s.planted != "revoked by read as granted by":
		return r.Revoked
	case r.Granted != nil && s.planted == "except self not copied":
		return &syntax.Rule{Expr: r.Granted.Expr}
	}
	return r.Granted
}

// fresh reports whether an object stands in no tuple before the write.
func (a *asking) fresh(o rel.Object) bool {
	return !slices.ContainsFunc(a.stored, func(t rel.Tuple) bool {
		named, ok := t.Subject.Object()
		return a.counts(t) && (t.Object == o || ok && named == o && a.planted != "what was only a subject is new")
	})
}

// links are the tuples of a new object that its arrows may go over.
func (a *asking) links(o rel.Object) []rel.Tuple {
	if !a.fresh(o) || a.planted == "a new object has no links" {
		return nil
	}
	if known, ok := a.known[o]; ok {
		return known
	}
	var links []rel.Tuple
	for {
		had := len(links)
		for _, t := range a.left {
			r := a.relation(definitionOf(a.file, string(t.Object.Type())), t.Relation)
			if t.Object != o || slices.Contains(links, t) {
				continue
			}
			if a.planted == "every tuple of a new object is a link" || a.may(r.Granted, t, links[:had]) {
				links = append(links, t)
			}
		}
		if len(links) == had || a.planted == "links found in one round" {
			a.known[o] = links
			return links
		}
	}
}

func (a *asking) creates(o rel.Object) bool {
	if a.planted == "created by not judged" {
		return true
	}
	d := definitionOf(a.file, string(o.Type()))
	if len(d.CreatedBys) == 0 {
		return a.planted == "without created by anybody creates"
	}
	return a.holds(d.CreatedBys[0].Expr, rel.Tuple{Key: rel.Key{Object: o}}, a.links(o))
}

func (a *asking) may(rule *syntax.Rule, t rel.Tuple, links []rel.Tuple) bool {
	if rule == nil {
		return a.planted == "without a rule anybody may"
	}
	if rule.ExceptSelf && t.Subject == a.actor.Subject && a.planted != "except self ignored" {
		return false
	}
	return a.holds(rule.Expr, t, links)
}

func (a *asking) holds(e syntax.Expr, t rel.Tuple, links []rel.Tuple) bool {
	var walked func(e syntax.Expr) []rel.Name
	walked = func(e syntax.Expr) []rel.Name {
		switch e := syntax.Strip(e).(type) {
		case *syntax.BinaryExpr:
			return append(walked(e.Left), walked(e.Right)...)
		case *syntax.ArrowExpr:
			return []rel.Name{hops(e)[0].name}
		}
		return nil
	}
	over := walked(e)
	links = slices.DeleteFunc(slices.Clone(links), func(t rel.Tuple) bool { return !slices.Contains(over, t.Relation) })
	value := a.value(e, t, links, false)
	return value == oracle.Yes || value == oracle.Conditional && a.planted == "a conditional right is a right"
}

// on asks the walker what an actor holds, with these tuples beside those before.
func (a *asking) on(links []rel.Tuple, ask func(*walk) oracle.Truth) oracle.Truth {
	principal, _ := rel.NewPrincipal(a.actor.Subject)
	w := &walk{walker: a.walker, memo: a.memoOf(Asker{principal, a.actor.Context, links})}
	return w.final(func() oracle.Truth { return ask(w) })
}

func (a *asking) value(e syntax.Expr, t rel.Tuple, links []rel.Tuple, right bool) oracle.Truth {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		switch {
		case !a.fresh(t.Object), a.planted == "a bare name of a new object is judged":
		case t.Relation == "": // `created by` is about no tuple, and is asked
		case right && a.planted != "a bare name of a new object held to the right of a minus":
			return oracle.No
		default:
			return oracle.Yes
		}
	case *syntax.SubjectExpr:
		named, ok := t.Subject.Object()
		if !ok {
			return oracle.No
		}
		if a.planted == "subject rights need a plain subject" && t.Subject.IsUserset() {
			return oracle.No
		}
		if a.planted == "subject rights on the state after" {
			links = a.left
		} else {
			links = nil
		}
		return a.on(links, func(w *walk) oracle.Truth { return w.visit(heldPair{named, rel.Name(e.Target.Text)}) })
	case *syntax.BinaryExpr:
		if e.Op == syntax.Exclusion {
			taken := a.value(e.Right, t, links, true)
			return min(a.value(e.Left, t, links, right), oracle.Yes-taken)
		}
		both := []oracle.Truth{a.value(e.Left, t, links, right), a.value(e.Right, t, links, right)}
		if e.Op == syntax.Union {
			return slices.Max(both)
		}
		return slices.Min(both)
	}
	return a.on(links, func(w *walk) oracle.Truth { return w.eval(t.Object, e) })
}
