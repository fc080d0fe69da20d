package condition

import (
	"regexp"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/pemba-io/pemba/internal/fault"
)

// review looks at a tree that CEL finds in order for what it cannot know: that a
// parameter is never read, and that a constant is none of those that our own
// functions take.
func (c *Caveat) review(tree *ast.AST) []*fault.Fault {
	r := &reviewer{caveat: c, info: tree.SourceInfo(), read: make([]bool, len(c.params)), hidden: make(map[string]int)}
	r.visit(tree.Expr())
	for i, p := range c.params {
		if !r.read[i] {
			r.faults = append(r.faults, paramMustBeRead(p.Name))
		}
	}
	return r.faults
}

type reviewer struct {
	caveat *Caveat
	info   *ast.SourceInfo
	read   []bool         // by position of the parameter
	hidden map[string]int // names that macros around have given to their items
	faults []*fault.Fault
}

func (r *reviewer) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		if i, found := r.caveat.position[name]; found && r.hidden[name] == 0 {
			r.read[i] = true
		}
	case ast.SelectKind:
		r.visit(e.AsSelect().Operand())
	case ast.CallKind:
		r.call(e.AsCall())
	case ast.ListKind:
		r.visitAll(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.visit(entry.AsMapEntry().Key())
			r.visit(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		// Messages are for talking to programs that have them. To plan one is to
		// reach for a registry of types that nobody means to offer here.
		r.report(e, fault.Newf(fault.CaveatMustBeValid, "a caveat makes no message, and %s is one", e.AsStruct().TypeName()).
			Do("write a map, for example {\"key\": value}"))
	case ast.ComprehensionKind:
		r.comprehension(e.AsComprehension())
	}
}

func (r *reviewer) visitAll(all []ast.Expr) {
	for _, e := range all {
		r.visit(e)
	}
}

func (r *reviewer) call(c ast.CallExpr) {
	if c.IsMemberFunction() {
		r.visit(c.Target())
	}
	r.visitAll(c.Args())
	switch c.FunctionName() {
	case "in_cidr":
		if text, at := literal(c.Args(), 0); at != nil {
			if _, err := parseNetwork(text); err != nil {
				r.report(at, fault.Newf(fault.CaveatMustBeValid, "%s is no network", quoted(text)).
					Do("write an address and the length of its prefix, for example 10.0.0.0/8"))
			}
		}
	case overloads.Matches:
		if text, at := literal(c.Args(), len(c.Args())-1); at != nil {
			r.pattern(text, at)
		}
	}
}

// pattern looks at a regular expression that is a constant. Its size is found out
// before it is compiled: a thousand `a{1000}` take a second.
func (r *reviewer) pattern(text string, at ast.Expr) {
	size, err := patternSize(text)
	if err == nil && size > patternMax {
		r.report(at, fault.Newf(fault.CaveatMustBeValid, "the regular expression has some %d instructions with its repetitions written out", size).
			Do("a caveat's may have %d; repeat less, or write it in two", patternMax))
		return
	}
	if err == nil {
		_, err = regexp.Compile(text)
	}
	if err != nil {
		r.report(at, fault.Newf(fault.CaveatMustBeValid, "%s is no regular expression", quoted(text)).
			Do("write it as RE2 does: no look-around, no back references, at most 1000 repetitions").Because(err))
	}
}

// literal is the text of an argument, and the argument; nil where it is no constant.
func literal(args []ast.Expr, i int) (string, ast.Expr) {
	if i < 0 || i >= len(args) || args[i].Kind() != ast.LiteralKind {
		return "", nil
	}
	text, ok := args[i].AsLiteral().(types.String)
	if !ok {
		return "", nil
	}
	return string(text), args[i]
}

// comprehension is what a macro becomes. The names that it gives hide parameters
// inside it, but not in what it goes over.
func (r *reviewer) comprehension(c ast.ComprehensionExpr) {
	r.visit(c.IterRange())
	r.visit(c.AccuInit())
	for _, name := range []string{c.IterVar(), c.IterVar2(), c.AccuVar()} {
		r.hidden[name]++
	}
	r.visitAll([]ast.Expr{c.LoopCondition(), c.LoopStep()})
	for _, name := range []string{c.IterVar(), c.IterVar2()} {
		r.hidden[name]--
	}
	r.visit(c.Result())
	r.hidden[c.AccuVar()]--
}

func (r *reviewer) report(at ast.Expr, f *fault.Fault) {
	place := r.info.GetStartLocation(at.ID())
	r.faults = append(r.faults, f.At(place.Line(), place.Column()+1))
}
