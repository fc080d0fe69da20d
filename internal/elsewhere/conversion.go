package elsewhere

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/schema"
)

// A Conversion is a file of another system in pemba's words.
type Conversion struct {
	Schema string // empty where the file has none
	Tuples []Tuple
	Tests  []Test

	// IsTestFile says that pemba's test command runs the file as it is.
	IsTestFile bool
	// Changes are what is written otherwise than there, in source order.
	Changes []Change
	// SchemaFaults say why the schema does not compile. Then its text is a draft.
	SchemaFaults []*fault.Fault
	// LeftOut are the tuples and the parts of a model that are missing here, and
	// TestsLeftOut the tests.
	LeftOut, TestsLeftOut []*fault.Fault

	// schemaAt is where a place of the schema's text comes from.
	schemaAt func(line, column int) Place
}

// A Place is where something stands in a file.
type Place struct {
	File         string
	Line, Column int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// on puts a fault at the place.
func (p Place) on(f *fault.Fault) *fault.Fault {
	f.File = p.File
	return f.At(p.Line, p.Column)
}

// A Tuple is a tuple with its place.
type Tuple struct {
	rel.Tuple
	At Place
}

// A Test is what must hold of some tuples.
type Test struct {
	Name        string
	Tuples      []rel.Tuple
	True        []string // questions, as test files write them
	False       []string
	Caveated    []string
	Validations []scenario.Validation

	added []Tuple // those that only the test has
}

// Cases counts what is asked.
func (t Test) Cases() int {
	return len(t.True) + len(t.False) + len(t.Caveated) + len(t.Validations)
}

// A Change is something that is written otherwise here.
type Change struct {
	At   Place
	What string
}

func (c Change) String() string { return c.At.String() + ": " + c.What }

// A reading reads a file; it is os.ReadFile where files are files.
type reading func(path string) ([]byte, error)

// Reads reports whether a file is one for Read, by its name.
func Reads(path string) bool {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".fga", ".mod":
		return true
	default:
		return false
	}
}

// Read reads a file, and those that it names, by read. Which system a file is of is
// seen by its name, and of YAML by its keys; what is of none is read as a test file
// of pemba's. The error is a fault with all that keeps the file from being
// understood at all; what of it cannot be converted is in the Conversion.
func Read(path string, read func(path string) ([]byte, error)) (*Conversion, error) {
	text, err := readBounded(path, read)
	if err != nil {
		return nil, err
	}
	c := &Conversion{}
	switch {
	case filepath.Ext(path) == ".fga", filepath.Ext(path) == ".mod":
		o := &openfga{path: path, read: read, into: c}
		o.convertModelFile(path, text)
	case isOpenFGAStore(path, text):
		o := &openfga{path: path, read: read, into: c}
		if err := o.convertStore(text); err != nil {
			return nil, err
		}
	default:
		if err := c.testFile(path, text); err != nil {
			return nil, err
		}
	}
	c.compile()
	c.inOrder()
	return c, nil
}

// fileBytesMax bounds a file: as trees, texts of YAML and JSON take many times
// their size.
const fileBytesMax = 64 << 20

func readBounded(path string, read reading) ([]byte, error) {
	text, err := read(path)
	if err != nil {
		f := fault.Newf(fault.FileMustBeReadable, "cannot be read: %s", causeOf(err)).
			Do("name a file that exists and that you may read").Because(err)
		f.File = path
		return nil, f
	}
	if len(text) > fileBytesMax {
		f := fault.Newf(fault.FileMustBeReadable, "it has %d bytes", len(text)).
			Do("split it: a file has at most %d", fileBytesMax)
		f.File = path
		return nil, f
	}
	return text, nil
}

// compile sees whether the schema is one, and what tuples do not fit it.
func (c *Conversion) compile() {
	if c.Schema == "" {
		return
	}
	compiled, faults := schema.Compile(c.Schema)
	for _, f := range faults {
		at := c.schemaAt(f.Line, f.Column)
		c.SchemaFaults = append(c.SchemaFaults, at.on(f))
	}
	if compiled == nil {
		return
	}
	c.Tuples = slices.DeleteFunc(c.Tuples, func(t Tuple) bool {
		f := admission.NotInSchema(compiled, t.Tuple)
		if f != nil {
			c.LeftOut = append(c.LeftOut, t.At.on(f))
		}
		return f != nil
	})
	for i := range c.Tests {
		c.Tests[i].keepWhatFits(compiled, c)
	}
}

// keepWhatFits leaves the tuples out that do not fit the schema, which no test file may
// have. Of the file's own it is told already.
func (t *Test) keepWhatFits(s *schema.Schema, c *Conversion) {
	for _, each := range t.added {
		if f := admission.NotInSchema(s, each.Tuple); f != nil {
			c.TestsLeftOut = append(c.TestsLeftOut, each.At.on(f))
		}
	}
	t.Tuples = slices.DeleteFunc(slices.Clone(t.Tuples), func(each rel.Tuple) bool { return admission.NotInSchema(s, each) != nil })
}

// inOrder puts everything in the order of its places.
func (c *Conversion) inOrder() {
	for _, faults := range [][]*fault.Fault{c.SchemaFaults, c.LeftOut, c.TestsLeftOut} {
		slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
	}
	slices.SortStableFunc(c.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
}

// Missing is all that is not converted.
func (c *Conversion) Missing() []*fault.Fault {
	return slices.Concat(c.SchemaFaults, c.LeftOut, c.TestsLeftOut)
}
