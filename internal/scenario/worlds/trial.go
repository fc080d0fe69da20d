package worlds

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A System is what is compared with the oracle.
type System interface {
	// Load makes a world of its own, in place of whatever was loaded before, on a
	// clock that stands at a time.
	Load(ctx context.Context, at time.Time, schema string, tuples []rel.Tuple) error
	// Advance puts the clock forward. Nothing else moves it.
	Advance(to time.Time)
	Check(ctx context.Context, q Question) (Answer, error)
	// Effective is the effective access on the question's object.
	Effective(ctx context.Context, q Question) (Access, error)
	// Batch answers many questions at once, in their order.
	Batch(ctx context.Context, questions []Question) ([]Answer, error)
}

// An Answer is what a system says to a question.
type Answer struct {
	Result  oracle.Truth
	Missing []oracle.Missing // what a conditional answer hangs on
	// Until is when the answer, of the same tuples, can change at the earliest;
	// the zero Expiry says that it never does.
	Until rel.Expiry
}

// An Access is what a system says of all that somebody holds on an object.
type Access struct {
	Role, ConditionalRole               rel.Name // empty for none; the conditional one only where it is higher
	Permissions, ConditionalPermissions []rel.Name
	Missing                             []oracle.Missing // what the conditional ones hang on
	Until                               rel.Expiry
}

// A Writer is a System that can be written to after it was loaded. Where it
// cannot, the writes of a trial are left out.
type Writer interface {
	Write(ctx context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error)
}

// A Reader is a System that tells all that is live in it. What a write left is then
// compared, too, and not alone what is said of it.
type Reader interface {
	Tuples(ctx context.Context) ([]rel.Tuple, error)
}

// A Trial is a world and what is done to it, step by step. It is all that is
// needed to see a disagreement again.
type Trial struct {
	Schema *syntax.File
	Apart  []string
	Tuples []rel.Tuple
	Steps  []Step
}

// A Step asks questions in one of some ways, or writes, or puts the clock forward.
type Step struct {
	Way       Way
	Questions []Question   // for Effective the names are empty
	Actor     rel.Actor    // for Write alone; the zero Actor is the application itself
	Updates   []rel.Update // for Write alone
	To        time.Time    // for Advance alone
	Back      int          // for Past and lists: how many accepted writes ago
	Lists     []Listing    // for ListObjects and ListSubjects alone
	AtTime    bool         // for lists of the past: at a time, and not of a state seen now
}

// A Way is how a step asks.
type Way uint8

const (
	_ Way = iota
	Check
	Batch
	Effective
	Expand
	Past
	Write
	Advance
	ListObjects
	ListSubjects
	Explain
)

func (w Way) String() string {
	switch w {
	case Check:
		return "check"
	case Batch:
		return "batch"
	case Effective:
		return "effective access"
	case Expand:
		return "expand"
	case Past:
		return "check of the past"
	case Write:
		return "write"
	case Advance:
		return "advance"
	case ListObjects:
		return "list of objects"
	case ListSubjects:
		return "list of subjects"
	case Explain:
		return "explain"
	default:
		return "none"
	}
}

const (
	effectiveMax   = 60 // questions for effective access at first
	batchQuestions = 50 // items of a batch
	writesMin      = 2  // after the first questions
	writesMax      = 8
	writesMore     = 3   // by actors after each, of which nothing is asked
	askedFirst     = 150 // questions by Check, and as many by Batch
	askedAfter     = 30  // questions after each write and each move of the clock
	askedOfPast    = 12  // questions of an earlier state
	expandedMax    = 25  // questions that are read off a tree
	explainedMax   = 60  // questions that are explained, of names and of effective access each half
)

// Trial is what is asked of a world: questions by Check and by Batch, in an
// order of chance, and the effective access of each asker on each object; then a
// few writes, each on a clock that has moved, and with questions after it, some of
// them of the past. Of a
// large world not all is asked: the next world shows more than the rest of this
// one. Lists are asked for in between.
//
// Writes are drawn around what the oracle says is there, and where they are on
// behalf of somebody, so that many are allowed.
//
// The clock moves before every write, so that no two are committed at one time: a
// system may put the second a little later, and what expires in between is its
// own affair.
func (w *World) Trial() Trial { return w.withLists(w.questioned()) }

// questioned is the trial without lists.
func (w *World) questioned() Trial {
	d := &dice{rand.New(rand.NewPCG(w.Seed, trialStream))}
	t := Trial{Schema: w.Schema, Apart: w.Apart, Tuples: w.Tuples}
	all := w.Questions()
	ask := func(n int) []Question {
		d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return slices.Clone(all[:min(n, len(all))])
	}
	t.Steps = append(t.Steps, Step{Way: Check, Questions: ask(askedFirst)})
	var effective []Question
	for _, asker := range w.Askers {
		for _, object := range w.Objects {
			effective = append(effective, Question{Object: object, Asker: asker})
		}
	}
	t.Steps = append(t.Steps, Step{Way: Effective, Questions: some(d, effective, effectiveMax)})
	for chunk := range slices.Chunk(ask(askedFirst), batchQuestions) {
		t.Steps = append(t.Steps, Step{Way: Batch, Questions: chunk})
	}
	t.Steps = append(t.Steps, Step{Way: Expand, Questions: ask(expandedMax)})
	// What was asked already is asked again for its reasons: no chance is drawn for it.
	t.Steps = append(t.Steps, Step{Way: Explain, Questions: slices.Concat(
		t.Steps[0].Questions[:min(len(t.Steps[0].Questions), explainedMax/2)], t.Steps[1].Questions[:min(len(t.Steps[1].Questions), explainedMax/2)])})
	p := &population{dice: d, schema: w.Schema, shape: shape{objects: 3, users: 3}, now: start}
	world, err := oracle.LoadAt(w.Schema, w.Tuples, start)
	if err != nil {
		panic(invariant.Unreachable("tuples of a random world", err))
	}
	for n := range writesMin + d.IntN(writesMax-writesMin+1) {
		p.now = p.next(world.Stored())
		world = world.At(p.now)
		t.Steps = append(t.Steps, Step{Way: Advance, To: p.now})
		if d.chance(40) {
			t.Steps = append(t.Steps, Step{Way: pick(d, []Way{Check, Batch}), Questions: ask(askedAfter)})
		}
		drawn := acted{updates: p.updates(world.Stored())}
		if w.acting && d.chance(80) {
			drawn = p.acted(world)
		}
		write := func(drawn acted) {
			if _, next, err := world.Write(drawn.actor, drawn.updates, nil); err == nil {
				world = next
			}
			t.Steps = append(t.Steps, Step{Way: Write, Actor: drawn.actor, Updates: drawn.updates})
		}
		write(drawn)
		for range writesMore {
			if !w.acting {
				break
			}
			p.now = p.now.Add(time.Second)
			world = world.At(p.now)
			t.Steps = append(t.Steps, Step{Way: Advance, To: p.now})
			write(p.acted(world))
		}
		t.Steps = append(t.Steps,
			Step{Way: pick(d, []Way{Check, Batch}), Questions: ask(askedAfter)})
		if d.chance(30) {
			t.Steps = append(t.Steps, Step{Way: Effective, Questions: some(d, effective, askedAfter)})
		}
		if d.chance(45) {
			t.Steps = append(t.Steps, Step{Way: Past, Back: 1 + d.IntN(n+1), Questions: ask(askedOfPast)})
		}
	}
	return t
}

// next is where the clock moves: mostly to the time at which something expires, or
// to just before.
func (p *population) next(tuples []rel.Tuple) time.Time {
	later := p.now.Add(time.Second)
	var coming []time.Time
	for _, t := range tuples {
		if e := t.Expires.Time(); e.After(later) {
			coming = append(coming, e)
		}
	}
	if len(coming) == 0 || p.chance(20) {
		return later
	}
	// The next one, and not one of all, for else the clock were at the end at once.
	first := slices.MinFunc(coming, time.Time.Compare)
	if p.chance(35) {
		return first.Add(-time.Microsecond)
	}
	return first
}
