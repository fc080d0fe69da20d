package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// brought are the flags of a question that say what it brings beside its words.
type brought struct {
	Context    *string  `help:"Values for the parameters of caveats, as a JSON object; @FILE reads it from a file, @- from the standard input." placeholder:"JSON"`
	Contextual []string `help:"A tuple that counts as if it were stored, for this question alone. May be repeated." placeholder:"TUPLE" sep:"none"`
}

// read reads what the flags bring. All that cannot be read are faults.
func (b brought) read(a *app) (*structpb.Struct, []*pembav1.Tuple, error) {
	var faults []*fault.Fault
	context, err := contextOf(a, "--context", b.Context)
	if f := fault.Of(err); f != nil {
		faults = append(faults, f)
	}
	var tuples []*pembav1.Tuple
	for _, text := range b.Contextual {
		t, err := rel.ParseTuple(text)
		if f := fault.Of(err); f != nil {
			faults = append(faults, f)
		}
		tuples = append(tuples, tupleMessage(t))
	}
	return context, tuples, fault.Join(faults)
}

// contextOf reads the JSON object of a flag; nil where it is not given.
func contextOf(a *app, flag string, given *string) (*structpb.Struct, error) {
	if given == nil {
		return nil, nil
	}
	text := *given
	if text == "" { // an unset variable of a script must not mean that nothing is known
		return nil, fault.Newf(fault.FieldMustBeSet, "%s is empty", flag).Do(`give a JSON object, for example {"now":9}, or leave %s out`, flag)
	}
	name := ""
	if path, isFile := strings.CutPrefix(text, "@"); isFile {
		given, from, err := a.file(path)
		if err != nil {
			return nil, err
		}
		text, name = string(given), from
	}
	c, err := rel.ParseContext(text)
	if err == nil {
		err = c.CheckBytes(rel.RequestContextBytesMax)
	}
	if f := fault.Of(err); f != nil {
		f.File = name
		return nil, f
	}
	return contextMessage(c), nil
}

// contextMessage is a context in the API's form; nil where it is empty.
func contextMessage(c rel.Context) *structpb.Struct {
	if c.IsEmpty() {
		return nil
	}
	s, _ := structpb.NewStruct(c.Values()) // a context holds JSON values alone
	return s
}

// missingLines say what a conditional answer hangs on.
func missingLines(missing []*pembav1.Missing) []string {
	var lines []string
	for _, m := range missing {
		var what []string
		if len(m.GetParameters()) > 0 {
			what = append(what, "give "+strings.Join(m.GetParameters(), ", "))
		}
		if m.GetProblem() != "" {
			what = append(what, m.GetProblem())
		}
		key := m.GetTuple()
		lines = append(lines, m.GetCaveat()+" of "+key.GetObject()+"#"+key.GetRelation()+"@"+key.GetSubject()+": "+strings.Join(what, "; "))
	}
	return lines
}

// askAgain is how what is missing is given: the flag, with a place for each value;
// empty where no parameter is missing.
func askAgain(missing []*pembav1.Missing) string {
	var names []string
	for _, m := range missing {
		names = append(names, m.GetParameters()...)
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	var places []string
	for _, name := range slices.Compact(names) {
		places = append(places, `"`+name+`": …`)
	}
	return "--context '{" + strings.Join(places, ", ") + "}'"
}
