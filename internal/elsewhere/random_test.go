package elsewhere_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/elsewhere"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

// Whatever stands beside what in a relation of OpenFGA's, its conversion holds for the
// same users: random models are evaluated as OpenFGA defines them, by the shortest
// program that does it, and their conversion by the oracle.
func TestConversionsKeepTheMeaning(t *testing.T) {
	roles, split, granted, asked := 0, 0, 0, 0
	for seed := range uint64(200) {
		w := newStore(seed)
		c, err := elsewhere.Read("w.fga.yaml", opening(map[string]string{"w.fga.yaml": w.text()}))
		if err != nil {
			t.Fatal(err)
		}
		if missing := c.Missing(); len(missing) > 0 {
			t.Fatalf("seed %d: %s\n%s", seed, missing[0].Sentence(), w.text())
		}
		roles += strings.Count(c.Schema, "roles ")
		split += len(c.Changes)
		var tuples []rel.Tuple
		for _, each := range c.Tuples {
			tuples = append(tuples, each.Tuple)
		}
		driver := oracledriver.New()
		if err := driver.Load(t.Context(), c.Schema, tuples); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, c.Schema)
		}
		for _, user := range users {
			holds := w.holders(user)
			for _, doc := range docs {
				for _, r := range w.relations {
					answer, err := driver.Check(t.Context(), question(t, doc, r.name, user))
					if err != nil {
						t.Fatal(err)
					}
					want := holds[fact{doc, r.name}]
					if (answer.Value == scenario.Granted) != want {
						t.Fatalf("seed %d: %s#%s@%s is %v, and OpenFGA says %t\n%s\n%s", seed, doc, r.name, user, answer.Value, want, w.text(), c.Schema)
					}
					asked++
					if want {
						granted++
					}
				}
			}
		}
	}
	t.Logf("%d asked, %d granted; %d ladders, %d relations split", asked, granted, roles, split)
	if roles < 100 || split < 100 || granted < asked/10 || granted > asked*9/10 {
		t.Error("the models are too much alike to show anything")
	}
}

func question(t *testing.T, object, name, user string) scenario.Question {
	t.Helper()
	o, err := rel.ParseObject(object)
	if err != nil {
		t.Fatal(err)
	}
	principal, err := rel.ParsePrincipal(user)
	if err != nil {
		t.Fatal(err)
	}
	return scenario.Question{Object: o, Name: rel.Name(name), Principal: principal}
}

var (
	users  = []string{"user:a", "user:b", "user:c"}
	groups = []string{"group:g", "group:h"}
	docs   = []string{"doc:1", "doc:2", "doc:3"}
)

// A store is a random model with tuples. Each relation refers to later ones on the
// same document, and to any on its parent; what excludes is written and no more.
type store struct {
	random    *rand.Rand
	relations []definition
	tuples    [][3]string // user, relation, object
}

type definition struct {
	name  string
	text  string
	holds func(w *store, holds map[fact]bool, doc, user string) bool
}

type fact struct{ object, relation string }

func newStore(seed uint64) *store {
	w := &store{random: rand.New(rand.NewPCG(seed, 1))}
	const last = 5
	for i := range last {
		w.relations = append(w.relations, w.definition(i, last))
	}
	w.relations = append(w.relations, w.written("hidden"))
	for range 12 {
		w.tuples = append(w.tuples, w.tuple())
	}
	slices.SortFunc(w.tuples, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) })
	w.tuples = slices.Compact(w.tuples)
	return w
}

func pick[T any](w *store, from []T) T { return from[w.random.IntN(len(from))] }

// tuple is one that may be written: of a relation with types, of a group or a parent.
func (w *store) tuple() [3]string {
	switch w.random.IntN(6) {
	case 0:
		group := pick(w, groups)
		for { // nobody can write there that a userset is in itself
			if user := pick(w, append(slices.Clone(users), "group:g#member", "group:h#member")); user != group+"#member" {
				return [3]string{user, "member", group}
			}
		}
	case 1:
		return [3]string{pick(w, docs), "parent", pick(w, docs)}
	}
	for {
		r := pick(w, w.relations)
		if strings.Contains(r.text, "[") {
			return [3]string{pick(w, append(slices.Clone(users), "user:*", "group:g#member", "group:h#member")), r.name, pick(w, docs)}
		}
	}
}

const types = "[user, user:*, group#member]"

// written is a relation with types alone.
func (w *store) written(name string) definition {
	return definition{name, types, func(w *store, holds map[fact]bool, doc, user string) bool {
		for _, t := range w.tuples {
			if t[1] != name || t[2] != doc {
				continue
			}
			group, _, isUserset := strings.Cut(t[0], "#")
			if t[0] == user || t[0] == "user:*" || isUserset && holds[fact{group, "member"}] {
				return true
			}
		}
		return false
	}}
}

func (w *store) computed(name string) definition {
	return definition{name, name, func(_ *store, holds map[fact]bool, doc, _ string) bool { return holds[fact{doc, name}] }}
}

func (w *store) fromParent(name string) definition {
	return definition{name, name + " from parent", func(w *store, holds map[fact]bool, doc, _ string) bool {
		for _, t := range w.tuples {
			if t[1] == "parent" && t[2] == doc && holds[fact{t[0], name}] {
				return true
			}
		}
		return false
	}}
}

// definition is the relation of a number: r0 may refer to r1, and so on.
func (w *store) definition(i, last int) definition {
	name := fmt.Sprintf("r%d", i)
	var operands []definition
	if w.random.IntN(5) > 0 {
		operands = append(operands, w.written(name))
	}
	if i+1 < last && w.random.IntN(4) > 0 {
		operands = append(operands, w.computed(fmt.Sprintf("r%d", i+1)))
	}
	if i+2 < last && w.random.IntN(3) == 0 {
		operands = append(operands, w.computed(fmt.Sprintf("r%d", i+2)))
	}
	if w.random.IntN(3) == 0 || len(operands) == 0 {
		operands = append(operands, w.fromParent(fmt.Sprintf("r%d", w.random.IntN(last))))
	}
	whole := operands[0]
	for n, each := range operands[1:] {
		op := "or"
		if w.random.IntN(6) == 0 {
			op = "and"
		}
		whole = joined(whole, op, each, n > 0)
	}
	if w.random.IntN(3) == 0 {
		whole = joined(whole, "but not", w.computed("hidden"), len(operands) > 1)
	}
	whole.name = name
	return whole
}

func joined(a definition, op string, b definition, parentheses bool) definition {
	left := a.text
	if parentheses {
		left = "(" + left + ")"
	}
	return definition{"", left + " " + op + " " + b.text, func(w *store, holds map[fact]bool, doc, user string) bool {
		x, y := a.holds(w, holds, doc, user), b.holds(w, holds, doc, user)
		switch op {
		case "or":
			return x || y
		case "and":
			return x && y
		default:
			return x && !y
		}
	}}
}

// holders is what a user holds on what: the least of all that agree with the
// definitions. What excludes is known from the first round on, since it depends on
// groups alone.
func (w *store) holders(user string) map[fact]bool {
	holds := map[fact]bool{}
	member, hidden := w.written("member"), w.relations[len(w.relations)-1]
	again := func(of definition, objects []string) (changed bool) {
		for _, o := range objects {
			if at := (fact{o, of.name}); !holds[at] && of.holds(w, holds, o, user) {
				holds[at], changed = true, true
			}
		}
		return changed
	}
	for again(member, groups) {
	}
	again(hidden, docs)
	for changed := true; changed; {
		changed = false
		for _, r := range w.relations {
			changed = again(r, docs) || changed
		}
	}
	return holds
}

// text is the store as a file of OpenFGA's.
func (w *store) text() string {
	var out strings.Builder
	out.WriteString("model: |\n  model\n    schema 1.1\n  type user\n  type group\n    relations\n      define member: [user, group#member]\n  type doc\n    relations\n      define parent: [doc]\n")
	for _, r := range w.relations {
		fmt.Fprintf(&out, "      define %s: %s\n", r.name, r.text)
	}
	out.WriteString("tuples:\n")
	for _, t := range w.tuples {
		fmt.Fprintf(&out, "  - {user: %q, relation: %s, object: %q}\n", t[0], t[1], t[2])
	}
	return out.String()
}
