package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A schemer makes a random schema. All names are declared first, without
// meaning; then each is given one, and one that would make the schema circular
// through a `-` is drawn again.
type schemer struct {
	*dice
	shape shape
	file  *syntax.File
}

var (
	plainTypes     = [...]string{"user", "link"}
	containerTypes = [...]string{"group", "folder", "doc", "org"}
	relationNames  = [...]string{"member", "parent", "banned", "guest", "auditor"}
	roleNames      = [...]string{"viewer", "editor", "manager", "owner"}
	permitNames    = [...]string{"view", "edit", "share", "audit", "delete"}
)

func newSchema(d *dice, shape shape) *syntax.File {
	s := &schemer{dice: d, shape: shape, file: &syntax.File{}}
	s.declare()
	for _, def := range s.containers() {
		for _, r := range stored(def) {
			s.types(def, r)
		}
	}
	for _, def := range s.containers() {
		s.ladder(def)
		for _, p := range def.Permissions {
			s.draw(func() syntax.Expr { return s.expr(def, 3) }, func(e syntax.Expr) { p.Expr = e })
		}
	}
	if shape.conditions {
		s.conditions()
	}
	if shape.rules {
		for _, def := range s.containers() {
			s.rules(def)
		}
	}
	return s.file
}

func (s *schemer) declare() {
	plain := plainTypes[:1]
	if s.chance(40) {
		plain = plainTypes[:]
	}
	for _, name := range plain {
		s.file.Definitions = append(s.file.Definitions, &syntax.Definition{Name: ident(name)})
	}
	for i := range s.shape.containers {
		def := &syntax.Definition{Name: ident(containerTypes[i])}
		for _, name := range some(s.dice, relationNames[:], 2+s.IntN(2)) {
			def.Relations = append(def.Relations, &syntax.Relation{Name: ident(name)})
		}
		if s.chance(70) {
			block := &syntax.Roles{}
			for _, name := range some(s.dice, roleNames[:], 2+s.IntN(len(roleNames)-1)) {
				block.Roles = append(block.Roles, &syntax.Relation{Name: ident(name)})
			}
			def.Roles = append(def.Roles, block)
		}
		for _, name := range some(s.dice, permitNames[:], 2+s.IntN(4)) {
			def.Permissions = append(def.Permissions, &syntax.Permission{Name: ident(name), Expr: &syntax.NilExpr{}})
		}
		s.file.Definitions = append(s.file.Definitions, def)
	}
}

// containers are the definitions that have members.
func (s *schemer) containers() []*syntax.Definition {
	return slices.DeleteFunc(slices.Clone(s.file.Definitions), func(d *syntax.Definition) bool {
		return slices.Contains(plainTypes[:], d.Name.Text)
	})
}

func (s *schemer) plain() []*syntax.Definition {
	return slices.DeleteFunc(slices.Clone(s.file.Definitions), func(d *syntax.Definition) bool {
		return !slices.Contains(plainTypes[:], d.Name.Text)
	})
}

// types says what a relation's subjects may be. A parent leads to containers,
// so that arrows have somewhere to go; a member is often a userset of its own
// kind, so that the data can go in circles.
func (s *schemer) types(def *syntax.Definition, r *syntax.Relation) {
	add := func(t *syntax.TypeRef) {
		if !slices.ContainsFunc(r.Types, func(u *syntax.TypeRef) bool { return formText(t) == formText(u) }) {
			r.Types = append(r.Types, t)
		}
	}
	switch name := r.Name.Text; {
	case name == "parent":
		add(&syntax.TypeRef{Type: ident(pick(s.dice, s.containers()).Name.Text)})
		if s.chance(50) {
			add(&syntax.TypeRef{Type: def.Name})
		}
		if s.chance(30) {
			add(s.form(def, r))
		}
		return
	case len(def.Roles) > 0 && slices.Contains(def.Roles[0].Roles, r) && s.chance(12):
		return // a role that is computed alone
	}
	add(&syntax.TypeRef{Type: ident("user")})
	if s.chance(45) {
		add(&syntax.TypeRef{Type: def.Name, Relation: new(ident(r.Name.Text))})
	}
	for range s.IntN(3) {
		add(s.form(def, r))
	}
}

// form is any form that a subject can have. The usersets of a relation are
// mostly of relations again, so that there is something below every `-`: were
// all names one circle, no schema with an exclusion would be left.
func (s *schemer) form(def *syntax.Definition, r *syntax.Relation) *syntax.TypeRef {
	switch n := s.IntN(100); {
	case n < 15:
		return &syntax.TypeRef{Type: ident(pick(s.dice, s.plain()).Name.Text)}
	case n < 40:
		return &syntax.TypeRef{Type: ident(pick(s.dice, s.plain()).Name.Text), Wildcard: true}
	case n < 50:
		return &syntax.TypeRef{Type: ident(pick(s.dice, s.containers()).Name.Text)}
	case n < 54:
		return &syntax.TypeRef{Type: ident(pick(s.dice, s.containers()).Name.Text), Wildcard: true}
	default:
		other := pick(s.dice, s.containers())
		if slices.Contains(def.Relations, r) && s.chance(85) {
			return &syntax.TypeRef{Type: other.Name, Relation: new(pick(s.dice, other.Relations).Name)}
		}
		return &syntax.TypeRef{Type: other.Name, Relation: new(ident(pick(s.dice, declared(other))))}
	}
}

// ladder gives the roles of a definition their meaning.
func (s *schemer) ladder(def *syntax.Definition) {
	if len(def.Roles) == 0 {
		return
	}
	block := def.Roles[0]
	for _, r := range block.Roles {
		if s.chance(40) || len(r.Types) == 0 {
			s.draw(func() syntax.Expr { return s.expr(def, 2) }, func(e syntax.Expr) { r.Expr = e })
		}
	}
	if s.chance(45) {
		var from []*syntax.Relation
		for _, r := range def.Relations {
			if s.sharesRole(r, block) {
				from = append(from, r)
			}
		}
		for _, r := range some(s.dice, from, 1) {
			block.Inherits = []*syntax.Inherit{{Rel: r.Name}}
			if !s.stratified() {
				block.Inherits = nil
			}
		}
	}
	if s.chance(85) && !s.shape.monotone {
		s.draw(func() syntax.Expr { return s.excluded(def, 1) }, func(e syntax.Expr) { block.Except = e })
	}
}

// sharesRole reports whether a type behind the relation has a name of the ladder.
func (s *schemer) sharesRole(r *syntax.Relation, block *syntax.Roles) bool {
	return slices.ContainsFunc(block.Roles, func(role *syntax.Relation) bool {
		return slices.Contains(s.behind(r), role.Name.Text)
	})
}

// behind lists the names that an arrow over the relation can ask for.
func (s *schemer) behind(r *syntax.Relation) []string {
	var all []string
	for _, t := range r.Types {
		if !t.Wildcard {
			all = append(all, declared(definitionOf(s.file, t.Type.Text))...)
		}
	}
	return all
}

// draw draws expressions until one keeps the schema free of circles through a
// `-`; where none does, there is nothing to be computed.
func (s *schemer) draw(expr func() syntax.Expr, set func(syntax.Expr)) {
	for range 10 {
		set(expr())
		if s.stratified() {
			return
		}
	}
	set(&syntax.NilExpr{})
}

func (s *schemer) stratified() bool {
	_, err := oracle.New(s.file, nil)
	return err == nil
}

func (s *schemer) expr(def *syntax.Definition, depth int) syntax.Expr {
	if depth == 0 || s.chance(15) {
		return s.leaf(def)
	}
	binary := &syntax.BinaryExpr{Left: s.expr(def, depth-1)}
	n := s.IntN(100)
	if s.shape.monotone {
		n /= 3
	}
	switch {
	case n < 30:
		binary.Op, binary.Right = syntax.Union, s.expr(def, depth-1)
	case n < 40:
		binary.Op, binary.Right = syntax.Intersection, s.expr(def, depth-1)
	default:
		binary.Op, binary.Right = syntax.Exclusion, s.excluded(def, depth-1)
	}
	return binary
}

// excluded is what stands to the right of a `-`: mostly something that the
// schema can finish first.
func (s *schemer) excluded(def *syntax.Definition, depth int) syntax.Expr {
	if s.chance(30) {
		return s.expr(def, depth)
	}
	low := name(pick(s.dice, forUsers(def.Relations)).Name.Text)
	if s.chance(40) {
		return &syntax.BinaryExpr{Op: syntax.Union, Left: low, Right: s.leaf(def)}
	}
	return low
}

// forUsers are the relations that somebody can stand in; all of them where there
// are none. What nobody can hold makes a dull question.
func forUsers(all []*syntax.Relation) []*syntax.Relation {
	some := slices.DeleteFunc(slices.Clone(all), func(r *syntax.Relation) bool {
		return !slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool { return t.Type.Text == "user" })
	})
	if len(some) == 0 {
		return all
	}
	return some
}

func (s *schemer) leaf(def *syntax.Definition) syntax.Expr {
	if s.chance(2) {
		return &syntax.NilExpr{}
	}
	if s.chance(35) {
		r := pick(s.dice, stored(def))
		if there := s.behind(r); len(there) > 0 {
			return s.further(r, &syntax.ArrowExpr{Left: name(r.Name.Text), Kind: s.kind(), Target: ident(pick(s.dice, there))})
		}
	}
	if s.chance(3) {
		return &syntax.SelfExpr{}
	}
	if s.chance(60) {
		return name(pick(s.dice, forUsers(stored(def))).Name.Text)
	}
	return name(pick(s.dice, declared(def)))
}

// kind is how an arrow is written.
func (s *schemer) kind() syntax.ArrowKind {
	switch n := s.IntN(100); {
	case n < 75:
		return syntax.Arrow
	case n < 82:
		return syntax.Any
	default:
		return syntax.All
	}
}

// further lets an arrow go on from a relation of the objects that it leads to.
func (s *schemer) further(r *syntax.Relation, arrow *syntax.ArrowExpr) *syntax.ArrowExpr {
	if !s.chance(20) {
		return arrow
	}
	for _, t := range r.Types {
		behind := definitionOf(s.file, t.Type.Text)
		if t.Wildcard || len(stored(behind)) == 0 {
			continue
		}
		next := pick(s.dice, stored(behind))
		if there := s.behind(next); len(next.Types) > 0 && len(there) > 0 {
			arrow.Target = next.Name
			return &syntax.ArrowExpr{Left: arrow, Kind: s.kind(), Target: ident(pick(s.dice, there))}
		}
	}
	return arrow
}

// rules adds what a write must leave behind.
func (s *schemer) rules(def *syntax.Definition) {
	for _, r := range stored(def) {
		if len(r.Types) == 0 {
			continue
		}
		if s.chance(32) {
			r.Multiplicity = s.multiplicity(r)
		}
		alike := slices.DeleteFunc(others(def, r), func(id syntax.Ident) bool { return !sharesForm(def, r, id) })
		if s.chance(20) && len(alike) > 0 {
			r.Of = new(pick(s.dice, alike))
		}
		if others := others(def, r); s.chance(12) && len(others) > 0 {
			if link := pick(s.dice, others); leadsToObjects(s.file, def, link.Text) {
				r.OnePerWith = &link
			}
		}
	}
	if len(def.Roles) > 0 && s.chance(60) {
		def.Roles[0].OnePerSubject = true
	}
}

func (s *schemer) multiplicity(r *syntax.Relation) *syntax.Multiplicity {
	concrete := slices.ContainsFunc(r.Types, counts)
	switch n := s.IntN(4); {
	case n == 0 && concrete:
		return &syntax.Multiplicity{Min: 1, Max: 1}
	case n == 1 && concrete:
		return &syntax.Multiplicity{Min: 1, Unbounded: true}
	case n == 2:
		return &syntax.Multiplicity{Max: 1}
	default:
		return &syntax.Multiplicity{Max: 2}
	}
}

// counts reports whether tuples of a form count for a lower bound.
func counts(t *syntax.TypeRef) bool { return !t.Wildcard && t.Caveat == nil && !t.Expiration }

// others are the writable relations of a definition other than this one, without
// the roles: a rule about a rule's own ladder is another rule.
func others(def *syntax.Definition, r *syntax.Relation) []syntax.Ident {
	var all []syntax.Ident
	for _, other := range def.Relations {
		if other != r {
			all = append(all, other.Name)
		}
	}
	return all
}

// sharesForm reports whether a subject could stand both in this relation and in
// the other: without that, nothing could be written to one that is `of` the other.
func sharesForm(def *syntax.Definition, r *syntax.Relation, other syntax.Ident) bool {
	return slices.ContainsFunc(def.Relations, func(o *syntax.Relation) bool {
		return o.Name.Text == other.Text && slices.ContainsFunc(o.Types, func(t *syntax.TypeRef) bool {
			return slices.ContainsFunc(r.Types, func(u *syntax.TypeRef) bool { return subjectText(t) == subjectText(u) })
		})
	})
}

func leadsToObjects(file *syntax.File, def *syntax.Definition, relation string) bool {
	for _, r := range def.Relations {
		if r.Name.Text == relation {
			return slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool {
				return !t.Wildcard && t.Relation == nil && len(declared(definitionOf(file, t.Type.Text))) > 0
			})
		}
	}
	return false
}

func definitionOf(file *syntax.File, typ string) *syntax.Definition {
	for _, d := range file.Definitions {
		if d.Name.Text == typ {
			return d
		}
	}
	return &syntax.Definition{}
}

func declared(def *syntax.Definition) []string {
	var all []string
	for _, r := range stored(def) {
		all = append(all, r.Name.Text)
	}
	for _, p := range def.Permissions {
		all = append(all, p.Name.Text)
	}
	return all
}

func ident(text string) syntax.Ident { return syntax.Ident{Text: text} }

func name(text string) *syntax.NameExpr { return &syntax.NameExpr{Name: ident(text)} }
