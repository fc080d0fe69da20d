package condition

import (
	"cel.dev/cel-go/common/types/ref"

	"github.com/pemba-io/pemba/internal/rel"
)

// Given is what a request brings for all caveats of a question. A value is decoded
// when the first caveat reads it, and kept for the others. The zero Given has no
// values. A Given serves one goroutine at a time.
type Given struct {
	json      string
	converted map[slot]reading
	bindings  bindings // of the decision under way, kept for its memory
}

// A slot is a name of the request, read as a type.
type slot struct{ name, typ string }

// A reading is what a name comes to when it is read as a type: a value, what is
// wrong with it, or neither where there is none.
type reading struct {
	value ref.Val
	why   string
}

// NewGiven keeps the values that a request brings.
func NewGiven(c rel.Context) *Given { return &Given{json: c.String()} }

// read is what the request brings for a parameter.
func (g *Given) read(name string, t *valueType) reading {
	if g.json == "" {
		return reading{}
	}
	at := slot{name, t.text}
	if r, done := g.converted[at]; done {
		return r
	}
	r := readField(g.json, name, t)
	if g.converted == nil {
		g.converted = make(map[slot]reading)
	}
	g.converted[at] = r
	return r
}

// readField reads a name of a context as a type.
func readField(object, name string, t *valueType) reading {
	text, found := cutField(object, name)
	if !found {
		return reading{}
	}
	value, why := t.convert(decodeValue(text))
	return reading{value, why}
}
