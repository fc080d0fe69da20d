// Package worlds makes small random worlds, asks a system everything that can be
// asked about them, and compares every answer with the oracle's. It is for tests.
//
// It promises that a seed is a world, on every machine and for as long as this
// package is not changed, and that what it finds it hands back small: a failing
// world is shrunk to a test file that a person can read (shrink.go, testfile.go).
//
// The system under test is behind one interface (System); system.go is the one
// file that connects the real one. Start reading at World.
package worlds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A World is a schema, tuples that satisfy it, and who asks about them.
type World struct {
	Seed    uint64
	Schema  *syntax.File
	Apart   []string // what stands in partials where the schema is written as text; see partials.go
	Tuples  []rel.Tuple
	Askers  []Asker
	Objects []rel.Object // to ask about

	acting bool // the schema has rules on who may write
}

// An Asker is who asks, and what the request brings along.
type Asker struct {
	Principal  rel.Principal
	Context    rel.Context
	Contextual []rel.Tuple
}

// A Question asks whether a principal holds a name on an object.
type Question struct {
	Object rel.Object
	Name   rel.Name
	Asker
}

// String is the question as a test file writes it, which has no contextual tuples.
func (q Question) String() string {
	return fmt.Sprintf("%s#%s@%s%s", q.Object, q.Name, q.Principal, withText(q.Context))
}

// withText is how a context follows a question.
func withText(c rel.Context) string {
	if c.IsEmpty() {
		return ""
	}
	return " with " + c.String()
}

// String is the asker with all that the request brings.
func (a Asker) String() string { return a.Principal.String() + withText(a.Context) + a.besideText() }

// besideText says which tuples a request brings.
func (a Asker) besideText() string {
	if len(a.Contextual) == 0 {
		return ""
	}
	return " beside " + tuplesText(a.Contextual)
}

// all is the question with all that the request brings.
func (q Question) all() string { return q.String() + q.besideText() }

// start is the time at which every world begins. What expires in it does so
// around this time.
var start = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// New makes the world of a seed.
func New(seed uint64) *World {
	d := &dice{rand.New(rand.NewPCG(seed, worldStream))}
	shape := newShape(d)
	schema := newSchema(d, shape)
	acting := actingOf(seed, shape, schema)
	w := populated(d, seed, shape, schema)
	w.acting, w.Apart = acting, apart(d, schema)
	return w
}

// populated is a world of a schema.
func populated(d *dice, seed uint64, shape shape, schema *syntax.File) *World {
	empty, err := oracle.New(schema, nil)
	if err != nil {
		panic(invariant.Unreachable("schema of a random world", err))
	}
	p := &population{dice: d, shape: shape, schema: schema, world: empty.At(start), now: start}
	p.populate()
	return &World{Seed: seed, Schema: schema, Tuples: p.stored(), Askers: p.askers(), Objects: p.asked()}
}

// worldStream keeps the draws of a world apart from those of what is done to it, of
// who may do it, and of the lists that are asked for.
const (
	worldStream = 1
	trialStream = 2
	rulesStream = 3
	listStream  = 4
)

// actingOf gives most schemas rules on who may write; it reports whether it did.
func actingOf(seed uint64, shape shape, schema *syntax.File) bool {
	s := &schemer{dice: &dice{rand.New(rand.NewPCG(seed, rulesStream))}, shape: shape, file: schema}
	if !s.chance(75) {
		return false
	}
	s.acting()
	return true
}

// A shape is what kind of world it is; the sizes are small, because what two
// objects cannot show is rarely shown by ten.
type shape struct {
	containers int  // definitions beside the plain subjects
	objects    int  // of each container type
	users      int  // of each plain subject type
	perPlace   int  // tuples of one relation of one object, at most
	chain      int  // length of a chain of objects in objects; 0 for none
	clique     int  // how many groups are each a member of all others; 0 for none
	rules      bool // with multiplicities, one-role rules and `of`
	monotone   bool // without `-` and `except`
	conditions bool // with caveats and expirations
}

func newShape(d *dice) shape {
	s := shape{
		containers: 2 + d.IntN(3),
		objects:    2 + d.IntN(2),
		users:      2 + d.IntN(2),
		perPlace:   5 + d.IntN(6),
		rules:      d.chance(36),
		monotone:   d.chance(5),
		conditions: d.chance(90),
	}
	switch {
	case d.chance(2):
		s.chain, s.objects = 100+d.IntN(100), 2
	case d.chance(7):
		s.chain, s.objects = 10+d.IntN(30), 2
	case d.chance(8):
		s.clique, s.objects = 4+d.IntN(5), 2
	}
	return s
}

// objectsMax bounds what is asked of a world: without it the few worlds with a
// long chain would ask most of the questions.
const objectsMax = 10

// Questions are every name of every object to ask about, by every asker;
// but relations, whose answers are the simplest, only of every second object.
func (w *World) Questions() []Question {
	var all []Question
	for _, asker := range w.Askers {
		for i, object := range w.Objects {
			simple := len(definitionOf(w.Schema, string(object.Type())).Relations)
			for j, name := range namesOf(w.Schema, object.Type()) {
				if i%2 == 0 || j >= simple {
					all = append(all, Question{object, name, asker})
				}
			}
		}
	}
	return all
}

// objectOf makes an object of parts that this package made up itself.
func objectOf(typ, id string) rel.Object {
	o, err := rel.NewObject(typ, id)
	if err != nil {
		panic(invariant.Unreachable("object of a random world", err))
	}
	return o
}

// namesOf lists what a type declares: relations, roles, permissions.
func namesOf(file *syntax.File, typ rel.ObjectType) []rel.Name {
	var all []rel.Name
	for _, text := range declared(definitionOf(file, string(typ))) {
		all = append(all, rel.Name(text))
	}
	return all
}

// stored is every relation and role of a definition.
func stored(d *syntax.Definition) []*syntax.Relation {
	all := slices.Clone(d.Relations)
	for _, block := range d.Roles {
		all = append(all, block.Roles...)
	}
	return all
}

// dice are where chance comes from.
type dice struct{ *rand.Rand }

// chance is true in so many of a hundred.
func (d *dice) chance(percent int) bool { return d.IntN(100) < percent }

// pick takes one of a list that is not empty.
func pick[T any](d *dice, all []T) T { return all[d.IntN(len(all))] }

// some takes up to n different ones of a list, in their order.
func some[T any](d *dice, all []T, n int) []T {
	n = min(n, len(all))
	at := d.Perm(len(all))[:n]
	slices.Sort(at)
	taken := make([]T, n)
	for i, j := range at {
		taken[i] = all[j]
	}
	return taken
}
