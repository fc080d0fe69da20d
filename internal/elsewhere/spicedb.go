package elsewhere

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
)

// testFile takes over a validation file of SpiceDB's tools, or a test file of
// pemba's, which is the same and more. Its words are pemba's, so there is nothing
// to convert, but something may be wrong with it here that is not there.
func (c *Conversion) testFile(path string, text []byte) error {
	file, faults := scenario.ReadPart(path, text)
	if file == nil {
		return fault.Join(faults) // one, about the form of the file
	}
	c.IsTestFile, c.LeftOut = true, faults
	c.Schema = file.Schema.Text
	c.schemaAt = func(line, column int) Place {
		var at Place
		at.File, at.Line, at.Column = file.Schema.Place(line, column)
		return at
	}
	for i, t := range file.Tuples {
		c.Tuples = append(c.Tuples, Tuple{t, Place{path, file.TuplesAt[i].Line, file.TuplesAt[i].Column}})
	}
	c.cases(file)
	return nil
}

// cases takes over what the file asks.
func (c *Conversion) cases(file *scenario.File) {
	test := Test{Name: "assertions", Tuples: file.Tuples, Validations: file.Validations}
	for _, a := range file.Assertions {
		switch a.Value {
		case scenario.Granted:
			test.True = append(test.True, a.Text)
		case scenario.Denied:
			test.False = append(test.False, a.Text)
		default:
			test.Caveated = append(test.Caveated, a.Text)
		}
	}
	if test.Cases() > 0 {
		c.Tests = append(c.Tests, test)
	}
	for _, r := range file.Roles {
		c.onlyHere(file.Path, r.Line, "a role")
	}
	for _, w := range file.Writes {
		c.onlyHere(file.Path, w.Line, "a write")
	}
}

// onlyHere leaves a case out that only pemba's own test files have.
func (c *Conversion) onlyHere(path string, line int, what string) {
	c.TestsLeftOut = append(c.TestsLeftOut, Place{path, line, 1}.on(
		fault.Newf(fault.SourceMustBeConvertible, "%s is a case of pemba's own test files", what).
			Do("run the file as it is, with pemba test")))
}
