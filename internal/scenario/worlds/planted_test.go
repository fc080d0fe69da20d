package worlds

import (
	"context"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// walker is a second evaluator, from the question down, with a memo: the kind of
// program that the oracle is not, and in which the usual faults can be planted.
// Without one it is right.
//
// A walk that finds a pair on its way again takes it for what is known of it so
// far. What it answers is then only a lower bound; so it walks again and again,
// keeping what held, until nothing more holds, and only then takes that for all.
type walker struct {
	planted string // the name of the fault; empty for none

	tree    *syntax.File // as it was read
	file    *syntax.File // with partials put in place
	caveats map[string]*condition.Caveat
	stored  []rel.Tuple
	now     time.Time
	past    [][]rel.Tuple    // what was loaded, and what each accepted write left
	memos   map[string]*memo // by asker; kept between questions
	last    Asker            // who asked last

	compiled map[string]*condition.Caveat // by text, from one world to the next
}

type heldPair struct {
	object rel.Object
	name   rel.Name
}

// memo is what is known of one asker.
type memo struct {
	asker  Asker
	given  *condition.Given
	at     map[rel.Object]map[rel.Name][]rel.Tuple // what counts for this asker
	judged map[rel.Tuple]condition.Verdict
	least  map[heldPair]oracle.Truth
	raised int               // how often least has grown
	done   map[heldPair]bool // least is all that there is
}

// walk is one way down.
type walk struct {
	*walker
	*memo
	visited map[heldPair]bool
	depth   int
	grew    bool
}

func (s *walker) Load(_ context.Context, at time.Time, schema string, tuples []rel.Tuple) error {
	file, faults := syntax.Parse(schema)
	if err := fault.Join(faults); err != nil {
		return err
	}
	s.tree, s.file = file, s.whole(file)
	s.caveats = map[string]*condition.Caveat{}
	for _, c := range file.Caveats {
		if s.caveats[c.Name.Text], faults = s.compile(c); len(faults) > 0 {
			return faults[0]
		}
	}
	s.stored, s.now, s.past = tuples, at, [][]rel.Tuple{tuples}
	s.memos = map[string]*memo{}
	return nil
}

func (s *walker) compile(c *syntax.Caveat) (*condition.Caveat, []*fault.Fault) {
	text := c.Body
	var params []condition.Param
	for _, p := range c.Params {
		text += ", " + p.Name.Text + " " + p.Type
		params = append(params, condition.Param{Name: p.Name.Text, Type: p.Type})
	}
	if known := s.compiled[text]; known != nil {
		return known, nil
	}
	compiled, faults := condition.Compile(params, c.Body)
	if s.compiled == nil {
		s.compiled = map[string]*condition.Caveat{}
	}
	s.compiled[text] = compiled
	return compiled, faults
}

// judge is the oracle, for the judgement of writes alone.
func (s *walker) judge() (*oracle.Oracle, error) {
	world, err := oracle.New(s.tree, s.stored)
	if err != nil {
		return nil, err
	}
	return world.At(s.now), nil
}

// whole puts what stands in partials where it is included.
func (s *walker) whole(file *syntax.File) *syntax.File {
	pieces := map[string]*syntax.Definition{}
	for _, p := range file.Partials {
		pieces[p.Name.Text] = p
	}
	var add func(d *syntax.Definition, from *syntax.Definition)
	add = func(d, from *syntax.Definition) {
		d.Relations = append(d.Relations, from.Relations...)
		d.Permissions = append(d.Permissions, from.Permissions...)
		d.Roles = append(d.Roles, from.Roles...)
		d.Withins = append(d.Withins, from.Withins...)
		d.CreatedBys = append(d.CreatedBys, from.CreatedBys...)
		for _, include := range from.Includes {
			if from == pieces[from.Name.Text] && s.planted == "partial in a partial forgotten" {
				continue
			}
			add(d, pieces[include.Name.Text])
		}
	}
	whole := &syntax.File{Caveats: file.Caveats}
	for _, d := range file.Definitions {
		w := &syntax.Definition{Name: d.Name}
		add(w, d)
		whole.Definitions = append(whole.Definitions, w)
	}
	return whole
}

func (s *walker) Advance(to time.Time) {
	if s.planted == "the clock does not move" {
		return
	}
	s.now = to
	if s.planted != "the clock leaves the memo" {
		s.memos = map[string]*memo{}
	}
}

// counts reports whether a tuple is not expired.
func (s *walker) counts(t rel.Tuple) bool {
	switch {
	case t.Expires.Never(), s.planted == "an expiry ignored":
		return true
	case s.planted == "an expiry is the last moment" && t.Expires.Time().Equal(s.now):
		return true
	case s.planted == "an expiry to the second":
		return t.Expires.Time().After(s.now.Round(time.Second))
	}
	return t.Expires.Time().After(s.now)
}

// index is what counts for somebody who brings these tuples.
func (s *walker) index(contextual []rel.Tuple) map[rel.Object]map[rel.Name][]rel.Tuple {
	at := map[rel.Object]map[rel.Name][]rel.Tuple{}
	add := func(t rel.Tuple) {
		if at[t.Object] == nil {
			at[t.Object] = map[rel.Name][]rel.Tuple{}
		}
		at[t.Object][t.Relation] = append(at[t.Object][t.Relation], t)
	}
	replaced := func(t rel.Tuple) bool {
		return slices.ContainsFunc(contextual, func(u rel.Tuple) bool {
			return u.Key == t.Key && (s.counts(u) || s.planted != "an expired contextual tuple replaces none")
		})
	}
	for _, t := range s.stored {
		if s.counts(t) && (!replaced(t) || s.planted == "a contextual tuple replaces none") {
			add(t)
		}
	}
	for _, t := range contextual {
		if s.counts(t) && s.planted != "contextual tuples ignored" {
			add(t)
		}
	}
	return at
}

func (s *walker) Check(_ context.Context, q Question) (Answer, error) {
	switch s.planted {
	case "each subject asks for itself":
		var best Answer
		for _, subject := range q.Principal.Subjects() {
			if answer := s.answer(alone(q, subject)); answer.Result > best.Result {
				best = answer
			}
		}
		return best, nil
	case "only the identity asks":
		return s.answer(alone(q, q.Principal.Subjects()[0])), nil
	}
	return s.answer(q), nil
}

func alone(q Question, subject rel.Subject) Question {
	q.Principal, _ = rel.NewPrincipal(subject)
	return q
}

func (s *walker) answer(q Question) Answer {
	w := &walk{walker: s, memo: s.memoOf(q.Asker)}
	p := heldPair{q.Object, q.Name}
	answer := Answer{Result: w.final(func() oracle.Truth { return w.visit(p) }), Until: s.until(q.Asker)}
	if answer.Result == oracle.Conditional {
		answer.Missing = w.missing(p)
	}
	switch {
	case s.planted == "conditional taken for yes" && answer.Result == oracle.Conditional:
		answer = Answer{Result: oracle.Yes, Until: answer.Until}
	case s.planted == "conditional taken for no" && answer.Result == oracle.Conditional:
		answer = Answer{Until: answer.Until}
	case s.planted == "only the first that is missing" && len(answer.Missing) > 1:
		answer.Missing = answer.Missing[:1]
	}
	return answer
}

// until is when the next tuple expires that the asker may see.
func (s *walker) until(a Asker) rel.Expiry {
	var until rel.Expiry
	tuples := s.stored
	if s.planted != "until forgets what is contextual" {
		tuples = slices.Concat(tuples, a.Contextual)
	}
	if s.planted == "until never" {
		return 0
	}
	for _, t := range tuples {
		switch {
		case t.Expires.PassedAt(s.now):
		case s.planted == "until the last expiry":
			until = max(until, t.Expires)
		default:
			until = until.Sooner(t.Expires)
		}
	}
	if s.planted == "until an hour later" && until != 0 {
		until += rel.Expiry(time.Hour.Microseconds())
	}
	return until
}

func (s *walker) memoOf(a Asker) *memo {
	key := a.Principal.String()
	if s.planted == "memo shared by principals" {
		key = ""
	}
	if s.planted != "memo shared by contexts" {
		key += a.Context.String()
	}
	if s.planted != "memo shared by contextual tuples" {
		key += tuplesText(a.Contextual)
	}
	last := s.last
	s.last = a
	if s.planted == "contextual tuples stay for the next question" && len(a.Contextual) == 0 && len(last.Contextual) > 0 {
		a.Contextual, key = last.Contextual, "leaked"
		delete(s.memos, key)
	}
	if s.memos[key] == nil {
		s.memos[key] = &memo{
			given: condition.NewGiven(a.Context), at: s.index(a.Contextual),
			judged: map[rel.Tuple]condition.Verdict{}, least: map[heldPair]oracle.Truth{}, done: map[heldPair]bool{},
		}
	}
	s.memos[key].asker = a
	return s.memos[key]
}

// final repeats a way down until nothing more holds.
func (w *walk) final(ask func() oracle.Truth) oracle.Truth {
	for {
		w.visited, w.grew = map[heldPair]bool{}, false
		v := ask()
		if v == oracle.Yes {
			return v
		}
		if !w.grew {
			for p := range w.visited {
				w.done[p] = true
			}
			return v
		}
	}
}

func (w *walk) visit(p heldPair) oracle.Truth {
	if w.least[p] == oracle.Yes || w.done[p] || w.visited[p] {
		return w.least[p]
	}
	if w.planted == "deep is no" && w.depth > 8 {
		return oracle.No
	}
	w.visited[p] = true
	w.depth++
	v := w.value(p.object, p.name)
	w.depth--
	if v > w.least[p] {
		w.least[p], w.grew = v, true
		w.raised++
	} else if v < oracle.Yes && w.planted == "memo of a lower bound" {
		w.done[p] = true
	}
	return w.least[p]
}

func (w *walk) value(o rel.Object, name rel.Name) oracle.Truth {
	if w.asker.Principal.Holds(rel.Userset(o, name)) && w.planted != "userset is no member of itself" {
		return oracle.Yes
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
	if block, i := roleOf(d, name); block != nil {
		return w.role(o, block, i)
	}
	return oracle.No
}

func roleOf(d *syntax.Definition, name rel.Name) (*syntax.Roles, int) {
	for _, block := range d.Roles {
		for i, r := range block.Roles {
			if r.Name.Text == string(name) {
				return block, i
			}
		}
	}
	return nil, 0
}

func (w *walk) role(o rel.Object, block *syntax.Roles, i int) oracle.Truth {
	held := w.stored(o, rel.Name(block.Roles[i].Name.Text))
	if w.planted == "except spares what is computed" {
		held = w.excepted(o, block, held)
	}
	held = max(held, w.computed(o, block, i))
	if w.planted == "except spares what is computed" {
		return held
	}
	return w.excepted(o, block, held)
}

func (w *walk) excepted(o rel.Object, block *syntax.Roles, held oracle.Truth) oracle.Truth {
	if block.Except == nil || held == oracle.No || w.planted == "except ignored" {
		return held
	}
	return w.minus(held, w.fresh(func(w *walk) oracle.Truth { return w.eval(o, block.Except) }))
}

func (w *walk) computed(o rel.Object, block *syntax.Roles, i int) oracle.Truth {
	r, held := block.Roles[i], oracle.No
	if r.Expr != nil && (len(r.Types) == 0 || w.planted != "computed holders of a stored role forgotten") {
		held = w.eval(o, r.Expr)
	}
	for _, from := range block.Inherits {
		if w.planted != "inherit forgotten" && (i == 0 || w.planted != "inherit gives the lowest role") {
			held = max(held, w.eval(o, inherited(from, r)))
		}
	}
	if i+1 < len(block.Roles) && w.planted != "higher role gives no lower one" {
		held = max(held, w.visit(heldPair{o, rel.Name(block.Roles[i+1].Name.Text)}))
	}
	return held
}

func inherited(from *syntax.Inherit, role *syntax.Relation) syntax.Expr {
	return &syntax.ArrowExpr{Left: &syntax.NameExpr{Name: from.Rel}, Target: role.Name}
}

// fresh asks what must be finished before it is read through a negation.
func (w *walk) fresh(ask func(*walk) oracle.Truth) oracle.Truth {
	if w.planted == "negation reads what is open" {
		return ask(w)
	}
	below := &walk{walker: w.walker, memo: w.memo}
	known := w.raised
	v := below.final(func() oracle.Truth { return ask(below) })
	// What has been found out below may have been read too early above.
	w.grew = w.grew || w.raised > known
	return v
}

func (w *walk) minus(held, taken oracle.Truth) oracle.Truth {
	if w.planted == "certain and possible not swapped by an exclusion" && taken == oracle.Conditional {
		return held // from what is certain only what is certain is taken
	}
	if w.planted == "what may be taken is taken" && taken == oracle.Conditional {
		return oracle.No
	}
	return min(held, oracle.Yes-taken)
}

// caveat is what a tuple's caveat comes to.
func (w *walk) caveat(t rel.Tuple) (oracle.Truth, condition.Verdict) {
	if t.Caveat.IsZero() {
		return oracle.Yes, condition.Verdict{}
	}
	c, own := w.caveats[string(t.Caveat.Name)], t.Caveat.Context
	v, known := w.judged[t]
	switch {
	case known:
	case w.planted == "the request's context wins":
		v = c.Decide(rel.Context{}, condition.NewGiven(joined(own, w.asker.Context)))
	default:
		v = c.Decide(own, w.given)
	}
	w.judged[t] = v
	switch {
	case v.Truth == condition.True:
		return oracle.Yes, v
	case v.Truth == condition.False,
		w.planted == "a missing parameter is no" && len(v.Missing) > 0,
		w.planted == "an error is no" && v.Problem != "" && !w.mistyped(c, own),
		w.planted == "a value of the wrong type is no" && w.mistyped(c, own):
		return oracle.No, v
	case w.planted == "open is true":
		return oracle.Yes, v
	}
	return oracle.Conditional, v
}

// joined are the values of both, the second's where both have one.
func joined(first, second rel.Context) rel.Context {
	values := map[string]any{}
	for _, c := range []rel.Context{first, second} {
		for name, v := range c.Values() {
			values[name] = v
		}
	}
	return contextOf(values)
}

// mistyped reports whether some value is of the wrong type.
func (w *walk) mistyped(c *condition.Caveat, own rel.Context) bool {
	values := map[string]any{}
	for name, v := range joined(w.asker.Context, own).Values() {
		if slices.ContainsFunc(c.Params(), func(p condition.Param) bool { return p.Name == name }) {
			values[name] = v
		}
	}
	return c.CheckContext(contextOf(values)) != nil
}

func (w *walk) stored(o rel.Object, relation rel.Name) oracle.Truth {
	held := oracle.No
	for i, t := range w.at[o][relation] {
		if i > 0 && w.planted == "only the first tuple" {
			break
		}
		match := w.match(t.Subject)
		if match == oracle.No {
			continue
		}
		caveat, _ := w.caveat(t)
		if caveat < oracle.Yes && t.Subject.IsUserset() && w.planted == "caveat on a userset forgotten" ||
			caveat < oracle.Yes && t.Subject.IsWildcard() && w.planted == "caveat on a wildcard forgotten" {
			caveat = oracle.Yes
		}
		if held = max(held, min(caveat, match)); held == oracle.Yes || held > 0 && w.planted == "the first path is the answer" {
			break
		}
	}
	return held
}

func (w *walk) match(s rel.Subject) oracle.Truth {
	if s.IsWildcard() && w.planted == "wildcard ignored" {
		return oracle.No
	}
	if w.asker.Principal.Matches(s) ||
		s.IsWildcard() && (w.planted == "wildcard covers every type" || w.planted == "wildcard covers usersets" && w.hasOfType(s.Type())) {
		return oracle.Yes
	}
	if there, ok := s.Object(); ok && s.IsUserset() {
		return w.visit(heldPair{there, s.Relation()})
	}
	return oracle.No
}

func (w *walk) hasOfType(typ rel.ObjectType) bool {
	return slices.ContainsFunc(w.asker.Principal.Subjects(), func(s rel.Subject) bool { return s.Type() == typ })
}

func (w *walk) eval(o rel.Object, e syntax.Expr) oracle.Truth {
	switch e := syntax.Strip(e).(type) {
	case *syntax.NameExpr:
		return w.visit(heldPair{o, rel.Name(e.Name.Text)})
	case *syntax.ArrowExpr:
		return w.through(o, e.Left, e.Kind, func(there rel.Object) oracle.Truth {
			return w.visit(heldPair{there, rel.Name(e.Target.Text)})
		})
	case *syntax.BinaryExpr:
		return w.binary(o, e)
	case *syntax.SelfExpr:
		if w.asker.Principal.Holds(rel.Of(o)) && w.planted != "self forgotten" {
			return oracle.Yes
		}
	}
	return oracle.No
}

func (w *walk) binary(o rel.Object, e *syntax.BinaryExpr) oracle.Truth {
	left := w.eval(o, e.Left)
	switch {
	case w.planted == "union reads the left side" && e.Op == syntax.Union,
		w.planted == "intersection reads the left side" && e.Op == syntax.Intersection,
		w.planted == "exclusion ignored" && e.Op == syntax.Exclusion:
		return left
	case e.Op == syntax.Union, w.planted == "intersection is union" && e.Op == syntax.Intersection:
		if left == oracle.Yes {
			return left
		}
		right := w.eval(o, e.Right)
		if w.planted == "minimum of what is open under +" && max(left, right) == oracle.Conditional {
			return min(left, right)
		}
		return max(left, right)
	case left == oracle.No:
		return left
	case e.Op == syntax.Intersection:
		right := w.eval(o, e.Right)
		if w.planted == "maximum of what is open under &" && min(left, right) == oracle.Conditional {
			return max(left, right)
		}
		return min(left, right)
	default:
		return w.minus(left, w.fresh(func(w *walk) oracle.Truth { return w.eval(o, e.Right) }))
	}
}

func (w *walk) through(o rel.Object, left syntax.Expr, kind syntax.ArrowKind, ask func(rel.Object) oracle.Truth) oracle.Truth {
	switch left := syntax.Strip(left).(type) {
	case *syntax.ArrowExpr:
		if w.planted == "nested arrow ends at the first hop" {
			return w.through(o, left.Left, left.Kind, ask)
		}
		return w.through(o, left.Left, left.Kind, func(there rel.Object) oracle.Truth {
			return w.over(there, rel.Name(left.Target.Text), kind, ask)
		})
	default:
		return w.over(o, rel.Name(left.(*syntax.NameExpr).Name.Text), kind, ask)
	}
}

func (w *walk) over(o rel.Object, relation rel.Name, kind syntax.ArrowKind, ask func(rel.Object) oracle.Truth) oracle.Truth {
	all := kind == syntax.All && w.planted != "all is any"
	tuples := w.at[o][relation]
	if all && len(tuples) == 0 && w.planted != "all of none holds" {
		return oracle.No
	}
	most, least := oracle.No, oracle.Yes
	for i, t := range tuples {
		there, ok := t.Subject.Object()
		if t.Subject.IsUserset() && w.planted == "arrow stops at usersets" || !ok && all && w.planted == "all forgets wildcards" {
			continue
		}
		if i > 0 && w.planted == "arrow asks the first parent" {
			break
		}
		v := oracle.No
		if ok {
			if v = ask(there); v > oracle.No {
				v = min(v, w.onArrow(t, all))
			}
		}
		most, least = max(most, v), min(least, v)
	}
	if all {
		return least
	}
	return most
}

// onArrow is the caveat of a tuple that an arrow walks over.
func (w *walk) onArrow(t rel.Tuple, all bool) oracle.Truth {
	if !all && w.planted == "caveat on an arrow forgotten" || all && w.planted == "caveat under all forgotten" {
		return oracle.Yes
	}
	caveat, _ := w.caveat(t)
	return caveat
}

func (s *walker) Effective(ctx context.Context, q Question) (Access, error) {
	d := definitionOf(s.file, string(q.Object.Type()))
	a := Access{Until: s.until(q.Asker)}
	missing := map[rel.Name][]oracle.Missing{}
	ask := func(id syntax.Ident) oracle.Truth {
		q.Name = rel.Name(id.Text)
		answer, _ := s.Check(ctx, q)
		missing[q.Name] = answer.Missing
		return answer.Result
	}
	for _, block := range d.Roles {
		for _, r := range block.Roles {
			switch ask(r.Name) {
			case oracle.Yes:
				if a.Role == "" || s.planted != "the first role is the role" {
					a.Role, a.ConditionalRole = rel.Name(r.Name.Text), ""
				}
			case oracle.Conditional:
				if a.Role == "" || s.planted != "conditional role beside a certain one forgotten" {
					a.ConditionalRole = rel.Name(r.Name.Text)
				}
			}
		}
	}
	for _, p := range d.Permissions {
		switch ask(p.Name) {
		case oracle.Yes:
			a.Permissions = append(a.Permissions, rel.Name(p.Name.Text))
		case oracle.Conditional:
			if s.planted == "conditional permissions are permissions" {
				a.Permissions = append(a.Permissions, rel.Name(p.Name.Text))
				continue
			}
			a.ConditionalPermissions = append(a.ConditionalPermissions, rel.Name(p.Name.Text))
		}
	}
	for _, name := range append(slices.Clone(a.ConditionalPermissions), a.ConditionalRole) {
		a.Missing = append(a.Missing, missing[name]...)
	}
	return a, nil
}

func (s *walker) Batch(ctx context.Context, questions []Question) ([]Answer, error) {
	answers := make([]Answer, len(questions))
	for i, q := range questions {
		if s.planted == "batch shares the first context" {
			q.Context = questions[0].Context
		}
		answers[i], _ = s.Check(ctx, q)
		if s.planted == "batch mixes two answers up" && i == 7 {
			answers[i], answers[i-1] = answers[i-1], answers[i]
		}
	}
	return answers, nil
}
