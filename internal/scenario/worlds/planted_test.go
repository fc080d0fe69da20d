package worlds

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// walker is a second evaluator, from the question down, with a memo: the kind of
// program that the oracle is not, and in which the usual faults can be planted.
// Without one it is right.
//
// A walk that finds a pair on its way again takes it for no. What it answers is
// then only a lower bound; so it walks again and again, keeping what held, until
// nothing new holds, and only then takes what is left for no.
type walker struct {
	planted string // the name of the fault; empty for none

	file  *syntax.File
	world *oracle.Oracle // for the judgement of writes alone
	at    map[rel.Object]map[rel.Name][]rel.Subject
	memos map[string]*memo // by principal; kept between questions
}

type heldPair struct {
	object rel.Object
	name   rel.Name
}

// memo is what is known of one principal.
type memo struct {
	principal rel.Principal
	yes, no   map[heldPair]bool
}

// walk is one way down.
type walk struct {
	*walker
	*memo
	visited map[heldPair]bool
	depth   int
	grew    bool
}

func (s *walker) Load(_ context.Context, schema string, tuples []rel.Tuple) error {
	file, faults := syntax.Parse(schema)
	if err := fault.Join(faults); err != nil {
		return err
	}
	world, err := oracle.New(file, tuples)
	if err != nil {
		return err
	}
	s.file = file
	s.use(world)
	s.memos = map[string]*memo{}
	return nil
}

func (s *walker) use(world *oracle.Oracle) {
	s.world = world
	s.at = map[rel.Object]map[rel.Name][]rel.Subject{}
	for _, t := range world.Tuples() {
		if s.at[t.Object] == nil {
			s.at[t.Object] = map[rel.Name][]rel.Subject{}
		}
		s.at[t.Object][t.Relation] = append(s.at[t.Object][t.Relation], t.Subject)
	}
}

func (s *walker) Check(_ context.Context, q Question) (bool, error) {
	if s.planted == "each subject asks for itself" {
		return slices.ContainsFunc(q.Principal.Subjects(), func(subject rel.Subject) bool {
			alone, err := rel.NewPrincipal(subject)
			return err == nil && s.holds(s.memoOf(alone), q)
		}), nil
	}
	if s.planted == "only the identity asks" {
		alone, err := rel.NewPrincipal(q.Principal.Subjects()[0])
		return err == nil && s.holds(s.memoOf(alone), q), nil
	}
	return s.holds(s.memoOf(q.Principal), q), nil
}

func (s *walker) memoOf(p rel.Principal) *memo {
	key := p.String()
	if s.planted == "memo shared by principals" {
		key = ""
	}
	if s.memos[key] == nil {
		s.memos[key] = &memo{yes: map[heldPair]bool{}, no: map[heldPair]bool{}}
	}
	s.memos[key].principal = p
	return s.memos[key]
}

func (s *walker) holds(m *memo, q Question) bool {
	w := &walk{walker: s, memo: m}
	return w.finished(func() bool { return w.visit(heldPair{q.Object, q.Name}) })
}

// finished repeats a way down until nothing new holds.
func (w *walk) finished(ask func() bool) bool {
	for {
		w.visited, w.grew = map[heldPair]bool{}, false
		if ask() {
			return true
		}
		if !w.grew {
			for p := range w.visited {
				w.no[p] = !w.yes[p]
			}
			return false
		}
	}
}

func (w *walk) visit(p heldPair) bool {
	if w.yes[p] || w.no[p] || w.visited[p] {
		return w.yes[p]
	}
	if w.planted == "deep is no" && w.depth > 8 {
		return false
	}
	w.visited[p] = true
	w.depth++
	v := w.value(p.object, p.name)
	w.depth--
	if v {
		w.yes[p], w.grew = true, true
	} else if w.planted == "memo of a lower bound" {
		w.no[p] = true
	}
	return v
}

func (w *walk) value(o rel.Object, name rel.Name) bool {
	if w.principal.Holds(rel.Userset(o, name)) && w.planted != "userset is no member of itself" {
		return true
	}
	d := definitionOf(w.file, string(o.Type()))
	for _, p := range d.Permissions {
		if p.Name.Text == string(name) {
			return w.eval(o, p.Expr)
		}
	}
	for _, r := range d.Relations {
		if r.Name.Text == string(name) {
			return w.stored(o, name)
		}
	}
	for _, block := range d.Roles {
		for i, r := range block.Roles {
			if r.Name.Text == string(name) {
				return w.role(o, block, i)
			}
		}
	}
	return false
}

func (w *walk) role(o rel.Object, block *syntax.Roles, i int) bool {
	r := block.Roles[i]
	excepted := func() bool {
		return block.Except != nil && w.planted != "except ignored" && w.fresh(func(w *walk) bool { return w.eval(o, block.Except) })
	}
	held := w.stored(o, rel.Name(r.Name.Text))
	if w.planted == "except spares what is computed" && held && excepted() {
		held = false
	}
	if r.Expr != nil && (len(r.Types) == 0 || w.planted != "computed holders of a stored role forgotten") {
		held = held || w.eval(o, r.Expr)
	}
	for _, from := range block.Inherits {
		if w.planted != "inherit forgotten" && (i == 0 || w.planted != "inherit gives the lowest role") {
			held = held || w.arrow(o, &syntax.ArrowExpr{Left: &syntax.NameExpr{Name: from.Rel}, Target: r.Name})
		}
	}
	if i+1 < len(block.Roles) && w.planted != "higher role gives no lower one" {
		held = held || w.visit(heldPair{o, rel.Name(block.Roles[i+1].Name.Text)})
	}
	return held && (w.planted == "except spares what is computed" || !excepted())
}

// fresh asks what must be finished before it is read through a negation.
func (w *walk) fresh(ask func(*walk) bool) bool {
	if w.planted == "negation reads what is open" {
		return ask(w)
	}
	below := &walk{walker: w.walker, memo: w.memo}
	return below.finished(func() bool { return ask(below) })
}

func (w *walk) stored(o rel.Object, relation rel.Name) bool {
	for i, s := range w.at[o][relation] {
		if i > 0 && w.planted == "only the first tuple" {
			return false
		}
		if s.IsWildcard() && w.planted == "wildcard ignored" {
			continue
		}
		if s.IsWildcard() && w.planted == "wildcard covers every type" {
			return true
		}
		if w.principal.Matches(s) || (s.IsWildcard() && w.planted == "wildcard covers usersets" && w.hasOfType(s.Type())) {
			return true
		}
		if there, ok := s.Object(); ok && s.IsUserset() && w.visit(heldPair{there, s.Relation()}) {
			return true
		}
	}
	return false
}

func (w *walk) hasOfType(typ rel.ObjectType) bool {
	return slices.ContainsFunc(w.principal.Subjects(), func(s rel.Subject) bool { return s.Type() == typ })
}

func (w *walk) eval(o rel.Object, e syntax.Expr) bool {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		return w.visit(heldPair{o, rel.Name(e.Name.Text)})
	case *syntax.ArrowExpr:
		return w.arrow(o, e)
	case *syntax.BinaryExpr:
		return w.binary(o, e)
	case *syntax.SelfExpr:
		return w.principal.Holds(rel.Of(o)) && w.planted != "self forgotten"
	default:
		return false
	}
}

func (w *walk) binary(o rel.Object, e *syntax.BinaryExpr) bool {
	left := w.eval(o, e.Left)
	switch {
	case w.planted == "union reads the left side" && e.Op == syntax.Union,
		w.planted == "intersection reads the left side" && e.Op == syntax.Intersection:
		return left
	case e.Op == syntax.Union, w.planted == "intersection is union" && e.Op == syntax.Intersection:
		return left || w.eval(o, e.Right)
	case e.Op == syntax.Intersection:
		return left && w.eval(o, e.Right)
	case w.planted == "exclusion ignored":
		return left
	default:
		return left && !w.fresh(func(w *walk) bool { return w.eval(o, e.Right) })
	}
}

func (w *walk) arrow(o rel.Object, e *syntax.ArrowExpr) bool {
	return w.through(o, e.Left, e.Kind, func(there rel.Object) bool {
		return w.visit(heldPair{there, rel.Name(e.Target.Text)})
	})
}

func (w *walk) through(o rel.Object, left syntax.Expr, kind syntax.ArrowKind, ask func(rel.Object) bool) bool {
	switch left := left.(type) {
	case *syntax.ArrowExpr:
		if w.planted == "nested arrow ends at the first hop" {
			return w.through(o, left.Left, left.Kind, ask)
		}
		return w.through(o, left.Left, left.Kind, func(there rel.Object) bool {
			return w.over(there, rel.Name(left.Target.Text), kind, ask)
		})
	default:
		return w.over(o, rel.Name(left.(*syntax.NameExpr).Name.Text), kind, ask)
	}
}

func (w *walk) over(o rel.Object, relation rel.Name, kind syntax.ArrowKind, ask func(rel.Object) bool) bool {
	all := kind == syntax.All && w.planted != "all is any"
	held := all && (len(w.at[o][relation]) > 0 || w.planted == "all of none holds")
	for _, s := range w.at[o][relation] {
		there, ok := s.Object()
		if s.IsUserset() && w.planted == "arrow stops at usersets" {
			continue
		}
		if !ok && all && w.planted == "all forgets wildcards" {
			continue
		}
		if here := ok && ask(there); here != all {
			return here
		}
		if w.planted == "arrow asks the first parent" {
			return held
		}
	}
	return held
}

func (s *walker) Effective(ctx context.Context, object rel.Object, principal rel.Principal) (rel.Name, []rel.Name, error) {
	d := definitionOf(s.file, string(object.Type()))
	ask := func(id syntax.Ident) bool {
		granted, _ := s.Check(ctx, Question{object, rel.Name(id.Text), principal})
		return granted
	}
	var role rel.Name
	for _, block := range d.Roles {
		for _, r := range block.Roles {
			if ask(r.Name) && (role == "" || s.planted != "the first role is the role") {
				role = rel.Name(r.Name.Text)
			}
		}
	}
	var names []rel.Name
	for _, p := range d.Permissions {
		if ask(p.Name) {
			names = append(names, rel.Name(p.Name.Text))
		}
	}
	return role, names, nil
}

func (s *walker) Batch(ctx context.Context, questions []Question) ([]bool, error) {
	granted := make([]bool, len(questions))
	for i, q := range questions {
		granted[i], _ = s.Check(ctx, q)
		if s.planted == "batch mixes two answers up" && i == 7 {
			granted[i], granted[i-1] = granted[i-1], granted[i]
		}
	}
	return granted, nil
}

func (s *walker) Write(_ context.Context, updates []rel.Update) ([]rel.Change, error) {
	changes, next, err := s.world.Write(updates, nil)
	if f := fault.Of(err); f != nil && s.planted == f.Code.Reason()+" not judged" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.planted == "changes without deletes" {
		changes = slices.DeleteFunc(changes, func(c rel.Change) bool { return c.Op == rel.Delete })
	}
	s.use(next)
	if s.planted != "write leaves the memo" {
		s.memos = map[string]*memo{}
	}
	return changes, nil
}
