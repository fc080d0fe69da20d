package schema

import (
	"fmt"
	"strings"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// caveatsMax bounds the caveats of a schema: to compile one takes CEL up to a tenth
// of a second, and a usual one a third of a millisecond.
const caveatsMax = 500

// conditionBytesMax bounds what their conditions have together: one of two
// kibibytes can keep CEL as busy as a hundred usual ones.
const conditionBytesMax = 128 << 10

// A Caveat is a condition that tuples can carry.
type Caveat struct {
	Name       rel.CaveatName
	Doc        string
	Expression string // CEL, as it was written
	Condition  *condition.Caveat
}

// Caveats are the schema's caveats in source order.
func (s *Schema) Caveats() []*Caveat { return s.caveats }

// Caveat is a caveat of the schema, or nil.
func (s *Schema) Caveat(name rel.CaveatName) *Caveat { return s.byCaveat[name] }

// compileCaveats compiles every caveat of the text, once. It runs behind declare,
// since a caveat and a type have different names.
func (c *compiler) compileCaveats() {
	c.schema.byCaveat = make(map[rel.CaveatName]*Caveat, len(c.file.Caveats))
	first := make(map[rel.CaveatName]syntax.Pos)
	bytes := 0
	for i, tree := range c.file.Caveats {
		if i == caveatsMax {
			c.tooLarge = true
			c.mustStayWithinBounds(tree.Name.At, fmt.Sprintf("the schema has %d caveats", len(c.file.Caveats)),
				fmt.Sprintf("a schema has at most %d; pass what they differ in as a parameter", caveatsMax))
			return
		}
		if bytes += len(tree.Body); bytes > conditionBytesMax {
			c.tooLarge = true
			c.mustStayWithinBounds(tree.Name.At, fmt.Sprintf("the conditions of the caveats have more than %d bytes together", conditionBytesMax),
				"pass long lists and what conditions differ in as parameters")
			return
		}
		name, err := rel.ParseCaveatName(tree.Name.Text)
		if err != nil {
			c.nameMustBeValid(tree.Name.At, err)
			continue
		}
		if at, twice := first[name]; twice {
			c.caveatMustBeUnique(tree.Name.At, tree.Name.Text, at)
			continue
		}
		first[name] = tree.Name.At
		if c.schema.byType[rel.ObjectType(name)] != nil {
			c.caveatMustNotBeAType(tree.Name.At, tree.Name.Text)
		}
		x := &Caveat{Name: name, Doc: tree.Doc, Expression: tree.Body, Condition: c.compileCondition(tree)}
		c.schema.caveats = append(c.schema.caveats, x)
		c.schema.byCaveat[name] = x // even where its text is wrong, so that its uses are not wrong, too
	}
}

// compileCondition compiles the text of one caveat; what is wrong in it is placed
// where it stands in the schema.
func (c *compiler) compileCondition(tree *syntax.Caveat) *condition.Caveat {
	params := make([]condition.Param, len(tree.Params))
	for i, p := range tree.Params {
		params[i] = condition.Param{Name: p.Name.Text, Type: p.Type}
	}
	compiled, faults := condition.Compile(params, tree.Body)
	for _, f := range faults {
		c.report(placeInCaveat(tree, f), f)
	}
	return compiled
}

// placeInCaveat is where a fault of a caveat stands in the schema: in its body, or
// at the parameter that it names. Of a name that is there twice it is the second.
func placeInCaveat(tree *syntax.Caveat, f *fault.Fault) syntax.Pos {
	if f.Line == 0 {
		at := tree.Name.At
		for _, p := range tree.Params {
			if p.Name.Text == f.Details["parameter"] {
				at = p.Name.At
			}
		}
		return at
	}
	at := tree.BodyAt
	if f.Line == 1 {
		return syntax.Pos{Line: at.Line, Column: at.Column + f.Column - 1}
	}
	return syntax.Pos{Line: at.Line + f.Line - 1, Column: f.Column}
}

// hasCaveat reports whether a form may name a caveat, and says so where it may not.
func (c *compiler) hasCaveat(name *syntax.Ident) bool {
	if name == nil || c.schema.byCaveat[rel.CaveatName(name.Text)] != nil {
		return true
	}
	c.caveatMustExist(name.At, name.Text, c.schema)
	return false
}

func (d *diagnostics) caveatMustBeUnique(at syntax.Pos, name string, first syntax.Pos) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "caveat %q is defined twice; first %s", name, d.onLine(first)).
		Do("rename one of them"))
}

func (d *diagnostics) caveatMustNotBeAType(at syntax.Pos, name string) {
	d.report(at, fault.Newf(fault.NameMustBeUnique, "%q is the name of a type, too", name).
		Do("a caveat and a type need different names; rename one of them"))
}

func (d *diagnostics) caveatMustExist(at syntax.Pos, name string, s *Schema) {
	f := fault.Newf(fault.CaveatMustExist, "caveat %q is not defined", name)
	d.reportWith(at, f, func() string {
		var defined []string
		for _, x := range s.caveats {
			defined = append(defined, string(x.Name))
		}
		if near := fault.Nearest(name, defined); near != "" {
			return fmt.Sprintf("did you mean %q? otherwise add `caveat %s(parameter type) { … }`", near, name)
		}
		if len(defined) == 0 {
			return fmt.Sprintf("add `caveat %s(parameter type) { … }`", name)
		}
		return fmt.Sprintf("add `caveat %s(parameter type) { … }`; the schema has %s", name, fault.List(defined, 5))
	})
}

// caveats compares the caveats of two schemas; either may be nil.
func (all *differences) caveats(before, after *Schema) {
	if before == nil {
		before = &Schema{}
	}
	if after == nil {
		after = &Schema{}
	}
	for _, x := range after.caveats {
		all.caveat(before.byCaveat[x.Name], x)
	}
	for _, x := range before.caveats {
		if after.byCaveat[x.Name] == nil {
			all.caveat(x, nil)
		}
	}
}

// caveat compares two caveats of one name; either may be nil. The order of the
// parameters means nothing, nor does the layout of the condition.
func (all *differences) caveat(a, b *Caveat) {
	named := b
	if b == nil {
		named = a
	}
	all.definedAs, all.nameInside = rel.ObjectType(named.Name), ""
	if a == nil || b == nil {
		all.add(ElementCaveat, a.declared(), b.declared())
	} else {
		all.add(ElementCaveat, a.written(), b.written())
	}
	all.add(ElementDoc, a.doc(), b.doc())
	for _, p := range b.params() {
		all.nameInside = rel.Name(p.Name)
		all.add(ElementCaveatParameter, a.writtenParam(p.Name), p.Name+" "+p.Type)
	}
	for _, p := range a.params() {
		if b.writtenParam(p.Name) == "" {
			all.nameInside = rel.Name(p.Name)
			all.add(ElementCaveatParameter, p.Name+" "+p.Type, "")
		}
	}
}

// declared is a caveat with its parameters, as it is shown where only one of the
// schemas has it.
func (x *Caveat) declared() string {
	var params []string
	for _, p := range x.params() {
		params = append(params, p.Name+" "+p.Type)
	}
	if x == nil {
		return ""
	}
	return fmt.Sprintf("caveat %s(%s) { %s }", x.Name, strings.Join(params, ", "), x.Condition.Text())
}

// written is a caveat of both schemas as its own element shows it; its parameters are elements of
// their own.
func (x *Caveat) written() string {
	if x == nil {
		return ""
	}
	return fmt.Sprintf("caveat %s { %s }", x.Name, x.Condition.Text())
}

func (x *Caveat) doc() string {
	if x == nil {
		return ""
	}
	return x.Doc
}

func (x *Caveat) params() []condition.Param {
	if x == nil {
		return nil
	}
	return x.Condition.Params()
}

// writtenParam is a parameter as it is declared; empty where there is none.
func (x *Caveat) writtenParam(name string) string {
	for _, p := range x.params() {
		if p.Name == name {
			return p.Name + " " + p.Type
		}
	}
	return ""
}
