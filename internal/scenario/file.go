// Package scenario reads and runs test files: a schema, tuples, and what must
// follow from them, in YAML.
//
// It promises that nothing in a file is passed over in silence: a key that it
// does not know is a fault with its line, and a case that asks for what this
// release does not do is a case that fails and says so. It decides nothing about
// permissions itself; every answer comes from a Driver, and the same file runs
// against every one of them.
//
// Start reading at Read for the format, and at Run for what a case means.
package scenario

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A File is one test file as it was read: a world, and cases about it.
type File struct {
	Path   string
	Schema Schema
	Tuples []rel.Tuple // what is there before the first case

	// Relationships is where the tuples stand together, and TuplesAt where each
	// of them does; a rule that they break is shown there.
	Relationships Place
	TuplesAt      []Place

	Questions                // asked of that state
	Writes      []Write      // in order, each on the state that the last accepted one left
	Validations []Validation // asked of the state before the writes
}

// A Place is a line of a file and a column in it, both from 1. The zero Place is
// nowhere.
type Place struct{ Line, Column int }

// A Schema is a schema's text and where it stands, so that a fault in it can be
// shown there.
type Schema struct {
	Text string
	Path string // the file that holds it: the test file, or its schemaFile

	// LinesBefore and ColumnsBefore is what stands above and left of the text in
	// that file.
	LinesBefore, ColumnsBefore int
	// Loaded is where each line of a text that was joined from files stands; nil for
	// the text of a test file itself.
	Loaded *schema.Loaded
}

// Questions are cases that change nothing.
type Questions struct {
	Assertions []Assertion
	Roles      []Role
}

// An Assertion says what a question comes to.
type Assertion struct {
	Line  int
	Text  string // as it was written
	Value Value  // what is asserted
	Question
}

// A Role says which role a principal has on an object; "" for none.
type Role struct {
	Line      int
	Text      string
	Object    rel.Object
	Principal rel.Principal
	Context   rel.Context
	Role      rel.Name
}

// A Write says what becomes of a write.
type Write struct {
	Line    int
	Name    string // the name it was given, or else its updates
	Actor   rel.Actor
	Updates []rel.Update
	Expect  Expectation
	Changes []rel.Change // the net change, exactly; nil where the file does not say
	Then    Questions    // asked afterwards
}

// An Expectation is `accepted`, `refused`, or `refused REASON`.
type Expectation struct {
	Accepted bool
	Reason   fault.Code // 0 where any reason will do
}

func (e Expectation) String() string {
	switch {
	case e.Accepted:
		return "accepted"
	case e.Reason == 0:
		return "refused"
	default:
		return "refused " + e.Reason.Reason()
	}
}

// UseSchema replaces the file's schema.
func (f *File) UseSchema(s Schema) { f.Schema = s }
