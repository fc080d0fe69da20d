package worlds

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A System is what is compared with the oracle.
type System interface {
	// Load makes a world of its own, in place of whatever was loaded before.
	Load(ctx context.Context, schema string, tuples []rel.Tuple) error
	Check(ctx context.Context, q Question) (granted bool, err error)
	// Effective is the effective role, "" for none, and every permission that holds.
	Effective(ctx context.Context, object rel.Object, principal rel.Principal) (role rel.Name, permissions []rel.Name, err error)
	// Batch answers many questions at once, in their order.
	Batch(ctx context.Context, questions []Question) (granted []bool, err error)
}

// A Writer is a System that can be written to after it was loaded. Where it
// cannot, the writes of a trial are left out.
type Writer interface {
	Write(ctx context.Context, updates []rel.Update) ([]rel.Change, error)
}

// A Trial is a world and what is done to it, step by step. It is all that is
// needed to see a disagreement again.
type Trial struct {
	Schema *syntax.File
	Tuples []rel.Tuple
	Steps  []Step
}

// A Step asks questions in one of three ways, or writes.
type Step struct {
	Way       Way
	Questions []Question   // for Effective the names are empty
	Updates   []rel.Update // for Write alone
}

// A Way is how a step asks.
type Way uint8

const (
	_ Way = iota
	Check
	Batch
	Effective
	Write
)

func (w Way) String() string {
	switch w {
	case Check:
		return "check"
	case Batch:
		return "batch"
	case Effective:
		return "effective access"
	case Write:
		return "write"
	default:
		return "none"
	}
}

const (
	batchQuestions = 50 // items of a batch
	writesMin      = 2  // after the first questions
	writesMax      = 8
	askedFirst     = 150 // questions by Check, and as many by Batch
	askedAfter     = 30  // questions after each write
)

// Trial is what is asked of a world: questions by Check and by Batch, in an
// order of chance, and the effective access of each principal on each object;
// then a few writes, each with questions after it. Of a large world not all is
// asked: the next world shows more than the rest of this one.
func (w *World) Trial() Trial {
	d := &dice{rand.New(rand.NewPCG(w.Seed, trialStream))}
	t := Trial{Schema: w.Schema, Tuples: w.Tuples}
	all := w.Questions()
	ask := func(n int) []Question {
		d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return slices.Clone(all[:min(n, len(all))])
	}
	t.Steps = append(t.Steps, Step{Way: Check, Questions: ask(askedFirst)})
	var effective []Question
	for _, principal := range w.Principals {
		for _, object := range w.Objects {
			effective = append(effective, Question{Object: object, Principal: principal})
		}
	}
	t.Steps = append(t.Steps, Step{Way: Effective, Questions: effective})
	for chunk := range slices.Chunk(ask(askedFirst), batchQuestions) {
		t.Steps = append(t.Steps, Step{Way: Batch, Questions: chunk})
	}
	p := &population{dice: d, schema: w.Schema, shape: shape{objects: 3, users: 3}}
	for range writesMin + d.IntN(writesMax-writesMin+1) {
		t.Steps = append(t.Steps,
			Step{Way: Write, Updates: p.updates(w.Tuples)},
			Step{Way: pick(d, []Way{Check, Batch}), Questions: ask(askedAfter)})
	}
	return t
}
