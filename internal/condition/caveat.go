package condition

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Param is a parameter of a caveat: its name, and its type as the schema
// writes it, for example `int` or `list<string>`.
type Param struct{ Name, Type string }

// A Caveat is a compiled condition. Caveats are immutable and safe for concurrent
// use. The zero Caveat decides nothing: it is open.
type Caveat struct {
	params   []Param
	types    []*valueType
	position map[string]int   // of a parameter, by name
	unknown  []*types.Unknown // what a parameter without a value is to CEL
	program  cel.Program
	text     string
}

// Compile reads a caveat's CEL. A fault's place counts lines and columns, from 1,
// within the body; one about a parameter has no place, and its Details name it
// under "parameter". Where there are faults there is no caveat.
func Compile(params []Param, body string) (*Caveat, []*fault.Fault) {
	c := &Caveat{params: slices.Clone(params), position: make(map[string]int, len(params))}
	if faults := c.declare(); len(faults) > 0 {
		return nil, faults
	}
	if len(body) > bodyBytesMax {
		return nil, []*fault.Fault{bodyTooLong(len(body))}
	}
	faults := c.compile(body)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// declare reads the parameters: their names and their types.
func (c *Caveat) declare() []*fault.Fault {
	if len(c.params) > paramsMax {
		return []*fault.Fault{tooManyParams(c.params[paramsMax].Name, len(c.params))}
	}
	var faults []*fault.Fault
	for i, p := range c.params {
		if f := checkParamName(p.Name); f != nil {
			faults = append(faults, f)
			continue
		}
		if _, twice := c.position[p.Name]; twice {
			faults = append(faults, paramMustBeUnique(p.Name))
			continue
		}
		t, f := parseType(p.Name, p.Type)
		if f != nil {
			faults = append(faults, f)
			continue
		}
		c.position[p.Name] = i
		c.types = append(c.types, t)
		c.unknown = append(c.unknown, types.NewUnknown(unknownID(i), types.NewAttributeTrail(p.Name)))
	}
	return faults
}

// unknownID is how an unknown value says which parameter it stands for: CEL merges
// what is unknown in a result by numbers, and ignores 0.
func unknownID(position int) int64 { return int64(position) + 1 }

// Params are the parameters in the order of the text. The slice is not to be changed.
func (c *Caveat) Params() []Param { return c.params }

// Text is the condition in one form: texts that differ in their layout, their
// comments or needless parentheses have the same.
func (c *Caveat) Text() string { return c.text }

// CheckContext says whether the values that a tuple brings fit the caveat: each
// names a parameter, and has its type.
func (c *Caveat) CheckContext(own rel.Context) error {
	values := own.Values()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var faults []*fault.Fault
	for _, name := range names {
		i, found := c.position[name]
		if !found {
			faults = append(faults, c.paramMustExist(name))
			continue
		}
		if _, why := c.types[i].convert(values[name]); why != "" {
			faults = append(faults, fault.New(fault.NotInSchema, c.wrongType(i, why)).
				Do("send a value of the type %s", c.params[i].Type).With("parameter", name))
		}
	}
	return fault.Join(faults)
}

// wrongType is the sentence about a value that does not fit its parameter.
func (c *Caveat) wrongType(i int, why string) string {
	return fmt.Sprintf("parameter %q must be %s: %s", c.params[i].Name, c.params[i].Type, why)
}

func (c *Caveat) paramNames() []string {
	names := make([]string, len(c.params))
	for i, p := range c.params {
		names[i] = p.Name
	}
	return names
}

// reservedWords cannot be names in CEL.
var reservedWords = strings.Fields("as break const continue else false for function if import in let loop package namespace null return true var void while")

// checkParamName refuses names that CEL could not read, and those that it uses.
func checkParamName(name string) *fault.Fault {
	switch {
	case slices.Contains(reservedWords, name):
		return paramMustBeValid(name, "CEL keeps the word for itself", "choose another name")
	case slices.Contains(typeWords, name):
		return paramMustBeValid(name, "it is the name of a type", "choose another name")
	case strings.HasPrefix(name, "__"):
		return paramMustBeValid(name, "names that begin with two underscores are CEL's own", "choose another name")
	case len(name) > paramBytesMax:
		return paramMustBeValid(name[:paramBytesMax]+"…", fmt.Sprintf("it has more than %d characters", paramBytesMax), "choose a shorter name")
	case !isIdentifier(name):
		return paramMustBeValid(name, "it is not a name as CEL has them", "write letters of ASCII, digits and underscores, and begin with no digit")
	default:
		return nil
	}
}

func isIdentifier(name string) bool {
	for i, r := range []byte(name) {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || '9' < r) {
			return false
		}
	}
	return name != ""
}
