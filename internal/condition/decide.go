package condition

import (
	"errors"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Truth is what a caveat comes to. The zero Truth is false.
type Truth uint8

const (
	False Truth = iota
	Open
	True
)

// String is the truth in a word.
func (t Truth) String() string { return [...]string{"false", "open", "true"}[t] }

// A Verdict is what a caveat comes to, and where it is open, why.
type Verdict struct {
	Truth Truth
	// Missing are the parameters without a value that would decide, sorted.
	Missing []string
	// Problem says what else keeps it open: a value of the wrong type, an error, too
	// much work.
	Problem string
	// Cost is the work that it took, in units of which a decision has at most some
	// 50,000, for whoever decides many.
	Cost uint64
}

// Decide evaluates the caveat. What the tuple itself brings (own) wins over what
// the request brings.
//
// A parameter that has no value, or one of the wrong type, is unknown to CEL, and
// CEL says whether that matters. So `false && missing` is false, and a value of the
// wrong type that nothing reads is no problem.
func (c *Caveat) Decide(own rel.Context, given *Given) Verdict {
	if c.program == nil {
		return Verdict{Truth: Open, Problem: "the caveat is not compiled"}
	}
	if given == nil {
		given = new(Given)
	}
	b := &given.bindings
	b.begin(c, own, given)
	result, details, err := c.program.Eval(b)
	verdict := b.verdict(result, err)
	if cost := details.ActualCost(); cost != nil {
		verdict.Cost = *cost
	}
	b.end()
	return verdict
}

// bindings are the values of one decision, found as CEL asks for them: each
// parameter is looked up and converted at most once, and only if it is read.
type bindings struct {
	caveat *Caveat
	own    string
	given  *Given
	values []ref.Val // by position; nil where nothing asked yet
	wrong  []string  // by position: what is wrong with the value
}

func (b *bindings) begin(c *Caveat, own rel.Context, given *Given) {
	b.caveat, b.own, b.given = c, own.String(), given
	b.values = slices.Grow(b.values[:0], len(c.params))[:len(c.params)]
	clear(b.values)
	b.wrong = b.wrong[:0]
}

// end lets go of what belongs to others.
func (b *bindings) end() {
	clear(b.values)
	b.caveat, b.own, b.given = nil, "", nil
}

// ResolveName is how CEL asks for a parameter.
func (b *bindings) ResolveName(name string) (any, bool) {
	i, found := b.caveat.position[name]
	if !found {
		return nil, false
	}
	if b.values[i] == nil {
		b.values[i] = b.find(i)
	}
	return b.values[i], true
}

// Parent says that there are no values behind these.
func (b *bindings) Parent() interpreter.Activation { return nil }

// find is the value of a parameter: the tuple's own, else the request's, else unknown.
func (b *bindings) find(i int) ref.Val {
	name, t := b.caveat.params[i].Name, b.caveat.types[i]
	r := reading{}
	if b.own != "" {
		r = readField(b.own, name, t)
	}
	if r.value == nil && r.why == "" {
		r = b.given.read(name, t)
	}
	if r.value != nil {
		return r.value
	}
	if r.why != "" {
		if len(b.wrong) == 0 {
			b.wrong = make([]string, len(b.caveat.params))
		}
		b.wrong[i] = b.caveat.wrongType(i, r.why)
	}
	return b.caveat.unknown[i]
}

// verdict reads what CEL came to. Only its own true and false are a yes and a no.
func (b *bindings) verdict(result ref.Val, err error) Verdict {
	switch {
	case err != nil:
		return Verdict{Truth: Open, Problem: problem(err)}
	case result == types.True:
		return Verdict{Truth: True}
	case result == types.False:
		return Verdict{Truth: False}
	}
	unknown, ok := result.(*types.Unknown)
	if !ok {
		return Verdict{Truth: Open, Problem: "the caveat came to something that is neither true nor false"}
	}
	return b.open(unknown)
}

// open names the parameters that CEL leaves unknown: those without a value as
// missing, those with a wrong one with what is wrong.
func (b *bindings) open(unknown *types.Unknown) Verdict {
	v := Verdict{Truth: Open}
	var problems []string
	for _, id := range unknown.IDs() {
		i := int(id) - 1
		if i < 0 || i >= len(b.values) {
			continue
		}
		if len(b.wrong) > 0 && b.wrong[i] != "" {
			problems = append(problems, b.wrong[i])
			continue
		}
		v.Missing = append(v.Missing, b.caveat.params[i].Name)
	}
	slices.Sort(v.Missing)
	slices.Sort(problems)
	v.Problem = strings.Join(problems, "; ")
	if len(v.Missing) == 0 && v.Problem == "" {
		v.Problem = "the caveat came to nothing"
	}
	return v
}

// problemBytesMax bounds the sentence about an error: CEL repeats values in it.
const problemBytesMax = 200

func problem(err error) string {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return "the caveat takes too much work with these values"
	}
	text := strings.TrimSpace(err.Error())
	if len(text) > problemBytesMax {
		text = strings.ToValidUTF8(text[:problemBytesMax], "") + "…"
	}
	return "the caveat cannot be evaluated: " + text
}
