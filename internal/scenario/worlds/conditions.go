package worlds

import (
	"slices"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// Every caveat is made of one or two of these. What they compute does not matter;
// that they can be false, true, open and in error does, each in more than one way.
var atoms = []struct {
	text   string
	params []string
}{
	{"flag", []string{"flag"}},
	{"n > 1", []string{"n"}},
	{"n >= m", []string{"n", "m"}},
	{"n / m > 0", []string{"n", "m"}}, // an error where m is 0
	{`word == "a"`, []string{"word"}},
	{"n in items", []string{"n", "items"}},
	{"items.exists(i, i > 2)", []string{"items"}},
}

// types are of parameters, which have the same type in every caveat: so one
// context serves all of them.
var types = map[string]string{"n": "int", "m": "int", "flag": "bool", "word": "string", "items": "list<int>"}

// values are what a context may bring for a type; wrong ones are of another type.
var (
	values = map[string][]any{
		"int":       {0.0, 1.0, 2.0, 3.0, 3.0, "2"},
		"bool":      {true, true, true, false},
		"string":    {"a", "a", "a", "b"},
		"list<int>": {[]any{}, []any{1.0, 2.0, 3.0}, []any{0.0, 3.0}},
	}
	wrong = map[string][]any{
		"int":       {"x", true, 1.5},
		"bool":      {"x", 1.0},
		"string":    {1.0, []any{}},
		"list<int>": {1.0, []any{"x"}},
	}
)

var caveatNames = [...]string{"fresh", "inside", "near"}

// conditions gives a schema caveats, and many forms of its subjects a caveat, an
// expiration, or both; some of them beside the form without.
func (s *schemer) conditions() {
	for _, name := range some(s.dice, caveatNames[:], 1+s.IntN(len(caveatNames))) {
		s.file.Caveats = append(s.file.Caveats, s.caveat(name))
	}
	for _, def := range s.containers() {
		for _, r := range stored(def) {
			for _, form := range slices.Clone(r.Types) {
				if !s.chance(55) {
					continue
				}
				other := *form
				s.attributes(&other)
				if slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool { return formText(t) == formText(&other) }) {
					continue
				}
				if s.chance(40) {
					r.Types = append(r.Types, &other)
				} else {
					*form = other
				}
			}
		}
	}
}

func (s *schemer) caveat(name string) *syntax.Caveat {
	c := &syntax.Caveat{Name: ident(name)}
	first, second := pick(s.dice, atoms), pick(s.dice, atoms)
	c.Body = first.text
	uses := first.params
	if s.chance(45) {
		c.Body += pick(s.dice, []string{" && ", " || ", " || "}) + second.text
		uses = slices.Concat(uses, second.params)
	}
	for _, param := range uses {
		if !slices.ContainsFunc(c.Params, func(p *syntax.Param) bool { return p.Name.Text == param }) {
			c.Params = append(c.Params, &syntax.Param{Name: ident(param), Type: types[param]})
		}
	}
	return c
}

// attributes draws what a form wants of its tuples.
func (s *schemer) attributes(form *syntax.TypeRef) {
	n := s.IntN(100)
	if n < 85 {
		form.Caveat = new(pick(s.dice, s.file.Caveats).Name)
	}
	form.Expiration = n >= 68
}

func caveatOf(file *syntax.File, name string) *syntax.Caveat {
	for _, c := range file.Caveats {
		if c.Name.Text == name {
			return c
		}
	}
	return nil
}

// attributes draws a caveat's own values and an expiration, as a form wants them:
// values for none of the parameters, for some or for all, and an expiration in
// the past, now, soon, or late.
func (p *population) attributes(t *rel.Tuple, form *syntax.TypeRef) {
	t.Caveat, t.Expires = rel.Caveat{}, 0
	if form.Caveat != nil {
		t.Caveat.Name = rel.CaveatName(form.Caveat.Text)
		t.Caveat.Context = p.context(caveatOf(p.schema, form.Caveat.Text).Params, pick(p.dice, []int{0, 0, 0, 45, 100}), 0)
	}
	if form.Expiration {
		t.Expires = p.expiry()
	}
}

// expiries are the distances from now at which things expire. They are few, so
// that many do at once, and that the clock meets them exactly.
var expiries = [...]time.Duration{
	-time.Hour, 0, 10 * time.Second, 10 * time.Second, 20 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 24 * time.Hour,
}

func (p *population) expiry() rel.Expiry {
	e, err := rel.NewExpiry(p.now.Add(pick(p.dice, expiries[:])))
	if err != nil {
		panic(invariant.Unreachable("expiry of a random world", err))
	}
	return e
}

// context draws values for parameters: each with this chance in a hundred, and of
// these so many of the wrong type.
func (p *population) context(params []*syntax.Param, chance, wrongChance int) rel.Context {
	drawn := map[string]any{}
	for _, param := range params {
		if !p.chance(chance) {
			continue
		}
		from := values
		if p.chance(wrongChance) {
			from = wrong
		}
		drawn[param.Name.Text] = pick(p.dice, from[param.Type])
	}
	return contextOf(drawn)
}

// contextOf makes a context of values that this package made up itself.
func contextOf(values map[string]any) rel.Context {
	c, err := rel.NewContext(values)
	if err != nil {
		panic(invariant.Unreachable("context of a random world", err))
	}
	return c
}

// requestContext draws what a request brings: nothing, all, most, or something
// wrong; now and then what no caveat knows, too.
func (p *population) requestContext() rel.Context {
	var all []*syntax.Param
	for _, c := range p.schema.Caveats {
		for _, param := range c.Params {
			if !slices.ContainsFunc(all, func(q *syntax.Param) bool { return q.Name.Text == param.Name.Text }) {
				all = append(all, param)
			}
		}
	}
	if p.chance(5) {
		all = append(all, &syntax.Param{Name: ident("unknown"), Type: "int"})
	}
	switch n := p.IntN(100); {
	case n < 35:
		return rel.Context{}
	case n < 60:
		return p.context(all, 100, 0)
	case n < 85:
		return p.context(all, 60, 0)
	default:
		return p.context(all, 85, 40)
	}
}

// contextual draws tuples that a request brings: new ones, and such as stand in
// the place of a stored one with other attributes.
func (p *population) contextual() []rel.Tuple {
	var tuples []rel.Tuple
	if !p.chance(30) {
		return nil
	}
	for range 1 + p.IntN(3) {
		t, ok := p.anyTuple()
		if there := p.stored(); len(there) > 0 && p.chance(60) {
			t, ok = p.changed(pick(p.dice, there))
		}
		if ok && !slices.ContainsFunc(tuples, func(u rel.Tuple) bool { return u.Key == t.Key }) {
			tuples = append(tuples, t)
		}
	}
	return tuples
}

// changed is a tuple with the same key and attributes drawn anew.
func (p *population) changed(t rel.Tuple) (rel.Tuple, bool) {
	var forms []*syntax.TypeRef
	for _, form := range p.relation(t).Types {
		if subjectFits(form, t.Subject) {
			forms = append(forms, form)
		}
	}
	if len(forms) == 0 {
		return rel.Tuple{}, false
	}
	other := rel.Tuple{Key: t.Key}
	for range 3 {
		if p.attributes(&other, pick(p.dice, forms)); other != t {
			break
		}
	}
	return other, true
}

func tuplesText(tuples []rel.Tuple) string {
	texts := make([]string, len(tuples))
	for i, t := range tuples {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}
