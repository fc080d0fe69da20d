package elsewhere

import (
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

const (
	// modelBytesMax bounds a model: it is as large as a schema can be, and OpenFGA's
	// own bound is lower.
	modelBytesMax = 1 << 20
	// rewriteNestingMax bounds parentheses in parentheses: the parser goes down one
	// call for each.
	rewriteNestingMax = 100
	// modelFaultsMax keeps the answer to a file that is no model readable.
	modelFaultsMax = 100
)

// parseModel reads a text in OpenFGA's language, of schema 1.1, or a module of 1.2.
// Every statement that is wrong is a fault; the others are in the model.
//
//	Model     = ( "model" "schema" version | "module" name ) { Type | Condition } .
//	Type      = [ "extend" ] "type" name [ "relations" { "define" name ":" Rewrite } ] .
//	Rewrite   = Operand { "or" Operand } | Operand { "and" Operand } | Operand "but" "not" Operand .
//	Operand   = "[" Subject { "," Subject } "]" | name [ "from" name ] | "(" Rewrite ")" .
//	Subject   = name [ ":" "*" | "#" name ] [ "with" name ] .
//	Condition = "condition" name "(" Parameter { "," Parameter } ")" "{" cel "}" .
//	Parameter = name ":" name [ "<" name ">" ] .
//
// A statement begins a line.
func parseModel(text string, place func(line, column int) Place) (*model, []*fault.Fault) {
	p := &modelParser{scanner: newModelScanner(text, place), model: &model{}}
	if len(text) > modelBytesMax {
		return p.model, []*fault.Fault{notConvertible(place(1, 1), "the model has %d bytes", len(text)).Do("a model has at most %d", modelBytesMax)}
	}
	p.take()
	p.file()
	return p.model, p.faults
}

// notConvertible is the fault of something that pemba cannot take over.
func notConvertible(at Place, format string, args ...any) *fault.Fault {
	return at.on(fault.Newf(fault.SourceMustBeConvertible, format, args...))
}

type modelParser struct {
	scanner *modelScanner
	token   modelToken // the next one that is not taken
	model   *model
	typ     *typeDefinition // the one that `define` belongs to
	faults  []*fault.Fault
}

// take takes the token and returns it.
func (p *modelParser) take() modelToken {
	t := p.token
	p.token = p.scanner.next()
	return t
}

// statementWords begin statements.
var statementWords = []string{"model", "module", "schema", "extend", "type", "relations", "define", "condition"}

func (p *modelParser) file() {
	headed := false
	for p.token.kind != endOfModel && len(p.faults) < modelFaultsMax {
		t := p.take()
		ok := true
		switch {
		case !t.first:
			ok = p.expected(t, "the end of the line")
		case t.is("model"):
			headed = true
		case t.is("schema"):
			ok = p.version()
		case t.is("module"):
			headed = true
			_, ok = p.name("the name of the module")
		case t.is("extend"):
			if ok = p.token.is("type"); !ok {
				p.expected(p.token, "`type`")
				break
			}
			p.take()
			ok = p.typeDefinition(t, true)
		case t.is("type"):
			ok = p.typeDefinition(t, false)
		case t.is("relations"):
			if p.typ == nil {
				ok = p.refuse(t.at, "`relations` stands in no type", "write it below a type")
			}
		case t.is("define"):
			ok = p.relation(t)
		case t.is("condition"):
			ok = p.condition(t)
		default:
			ok = p.noStatement(t)
		}
		if !ok {
			p.recover()
		}
	}
	if p.token.kind != endOfModel {
		p.refuse(p.token.at, "what comes from here on was not read", "correct what is above first")
	}
	if !headed && len(p.faults) == 0 {
		p.refuse(p.scanner.place(1, 1), "the model does not begin with `model` or `module`", "write `model`, and below it `schema 1.1`")
	}
}

// recover skips to the next statement.
func (p *modelParser) recover() {
	for p.token.kind != endOfModel && !(p.token.first && slices.Contains(statementWords, p.token.text)) {
		p.take()
	}
}

func (p *modelParser) refuse(at Place, summary, remedy string) bool {
	p.faults = append(p.faults, notConvertible(at, "%s", summary).Do("%s", remedy))
	return false
}

func (p *modelParser) expected(t modelToken, what string) bool {
	found := "`" + t.text + "`"
	if t.kind == endOfModel {
		found = "the end of the model"
	}
	return p.refuse(t.at, "unexpected "+found, "here stands "+what)
}

func (p *modelParser) noStatement(t modelToken) bool {
	remedy := "a line begins with " + strings.Join(statementWords, ", ")
	if near := fault.Nearest(t.text, statementWords); near != "" {
		remedy = "did you mean `" + near + "`?"
	}
	return p.refuse(t.at, "unexpected `"+t.text+"`", remedy)
}

func (p *modelParser) version() bool {
	t := p.token
	if t.kind != modelWord || t.first {
		return p.expected(t, "a version, as in `schema 1.1`")
	}
	p.take()
	if t.text != "1.1" && t.text != "1.2" {
		return p.refuse(t.at, "the model is of schema "+t.text, "pemba reads schema 1.1, and modules of 1.2; convert the model to one of them with OpenFGA's tools")
	}
	return true
}

// name takes a name.
func (p *modelParser) name(what string) (modelToken, bool) {
	if p.token.kind != modelWord {
		return modelToken{}, p.expected(p.token, what)
	}
	return p.take(), true
}

// punctuation takes one character.
func (p *modelParser) punctuation(kind tokenKind) bool {
	if p.token.kind != kind {
		return p.expected(p.token, "`"+string(rune(kind))+"`")
	}
	p.take()
	return true
}

func (p *modelParser) typeDefinition(begin modelToken, extends bool) bool {
	p.typ = nil
	name, ok := p.name("the name of the type")
	if !ok {
		return false
	}
	p.typ = &typeDefinition{name: name.text, at: name.at, comments: begin.comments, extends: extends}
	if p.token.trailing != "" {
		p.typ.comments = append(p.typ.comments, p.token.trailing)
	}
	p.model.types = append(p.model.types, p.typ)
	return true
}

func (p *modelParser) relation(begin modelToken) bool {
	if p.typ == nil {
		return p.refuse(begin.at, "`define` stands in no type", "write it below `relations` of a type")
	}
	name, ok := p.name("the name of the relation")
	if !ok || !p.punctuation(':') {
		return false
	}
	r := &relation{name: name.text, at: name.at, comments: begin.comments}
	r.rewrite, ok = p.rewrite(r, 0)
	if !ok {
		return false
	}
	if p.token.trailing != "" {
		r.comments = append(r.comments, p.token.trailing)
	}
	p.typ.relations = append(p.typ.relations, r)
	return true
}

// operators are the words between operands.
var operators = map[string]rewriteOp{"or": union, "and": intersection, "but": exclusion}

// rewrite reads operands of one operator. Two of them beside each other are an
// error there, too: which binds tighter is not said anywhere.
func (p *modelParser) rewrite(r *relation, depth int) (*rewrite, bool) {
	left, ok := p.operand(r, depth)
	if !ok {
		return nil, false
	}
	for p.token.kind == modelWord {
		op, is := operators[p.token.text]
		if !is {
			if p.token.first {
				break // the next statement
			}
			return nil, p.expected(p.token, "`or`, `and`, `but not` or the end of the line")
		}
		t := p.take()
		if op == exclusion {
			if !p.token.is("not") {
				return nil, p.expected(p.token, "`not`, as in `but not`")
			}
			p.take()
		}
		if left.op >= union && !left.parenthesised && (left.op != op || op == exclusion) {
			return nil, p.refuse(t.at, "operators stand beside each other without parentheses", "put parentheses around what belongs together")
		}
		right, ok := p.operand(r, depth)
		if !ok {
			return nil, false
		}
		if left.op == op && !left.parenthesised {
			left.operands = append(left.operands, right)
		} else {
			left = &rewrite{op: op, operands: []*rewrite{left, right}}
		}
	}
	return left, true
}

func (p *modelParser) operand(r *relation, depth int) (*rewrite, bool) {
	switch t := p.token; {
	case t.kind == '[':
		if len(r.subjects) > 0 {
			return nil, p.refuse(t.at, "a second list of types", "a relation has one; write all types into it")
		}
		p.take()
		return &rewrite{op: direct}, p.subjects(r)
	case t.kind == '(' && depth == rewriteNestingMax:
		return nil, p.refuse(t.at, "parentheses nest too deep", "name what is inside by a relation of its own")
	case t.kind == '(':
		p.take()
		inner, ok := p.rewrite(r, depth+1)
		if !ok || !p.punctuation(')') {
			return nil, false
		}
		inner.parenthesised = true
		return inner, true
	case t.kind == modelWord && !(t.first && slices.Contains(statementWords, t.text)):
		p.take()
		if !p.token.is("from") {
			return &rewrite{op: computed, name: t.text}, true
		}
		p.take()
		tupleset, ok := p.name("the relation that leads to the other object")
		return &rewrite{op: from, name: t.text, tupleset: tupleset.text}, ok
	default:
		return nil, p.expected(t, "a relation, `[types]` or `(`")
	}
}

// subjects reads what stands behind the bracket that is open.
func (p *modelParser) subjects(r *relation) bool {
	for {
		name, ok := p.name("a type")
		if !ok {
			return false
		}
		s := restriction{typ: name.text}
		switch p.token.kind {
		case ':':
			p.take()
			if !p.punctuation('*') {
				return false
			}
			s.wildcard = true
		case '#':
			p.take()
			relation, ok := p.name("a relation of the type")
			if !ok {
				return false
			}
			s.relation = relation.text
		}
		if p.token.is("with") {
			p.take()
			condition, ok := p.name("a condition")
			if !ok {
				return false
			}
			s.condition = condition.text
		}
		r.subjects = append(r.subjects, s)
		if p.token.kind != ',' {
			return p.punctuation(']')
		}
		p.take()
	}
}

func (p *modelParser) condition(begin modelToken) bool {
	p.typ = nil
	name, ok := p.name("the name of the condition")
	if !ok || !p.punctuation('(') {
		return false
	}
	c := &condition{name: name.text, at: name.at, comments: begin.comments}
	for p.token.kind != ')' {
		if !p.parameter(c) {
			return false
		}
		if p.token.kind != ',' {
			break
		}
		p.take()
	}
	if !p.punctuation(')') {
		return false
	}
	brace := p.token
	if brace.kind != '{' {
		return p.expected(brace, "`{`")
	}
	// The scanner stands behind the brace: what comes is not of this language.
	body, closed := p.scanner.body()
	if !closed {
		p.token = p.scanner.next()
		return p.refuse(brace.at, "the condition does not end", "close it with `}`")
	}
	c.body = body
	p.take()
	p.model.conditions = append(p.model.conditions, c)
	return p.punctuation('}')
}

func (p *modelParser) parameter(c *condition) bool {
	name, ok := p.name("the name of a parameter")
	if !ok || !p.punctuation(':') {
		return false
	}
	typ, ok := p.name("the type of the parameter")
	if !ok {
		return false
	}
	text := typ.text
	if p.token.kind == '<' {
		p.take()
		of, ok := p.name("the type of what it holds")
		if !ok || !p.punctuation('>') {
			return false
		}
		text += "<" + of.text + ">"
	}
	c.parameters = append(c.parameters, parameter{name.text, text, name.at})
	return true
}
