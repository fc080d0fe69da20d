package condition

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/pemba-io/pemba/internal/fault"
)

// Every sentence about a caveat's text is here. What CEL says is put into the
// house's words where it says one of the usual things; otherwise its first line is
// passed on, which is better than nothing.

func paramMustBeValid(name, why, remedy string) *fault.Fault {
	return fault.Newf(fault.CaveatMustBeValid, "no parameter can be called %q: %s", name, why).Do("%s", remedy).With("parameter", name)
}

func paramMustBeUnique(name string) *fault.Fault {
	return fault.Newf(fault.CaveatMustBeValid, "the parameter %q is declared twice", name).
		Do("rename one of them, or take it out").With("parameter", name)
}

func paramMustBeRead(name string) *fault.Fault {
	return fault.Newf(fault.CaveatMustBeValid, "the condition never reads its parameter %q", name).
		Do("correct the name where it is meant, or take the parameter out").With("parameter", name)
}

func tooManyParams(name string, n int) *fault.Fault {
	return fault.Newf(fault.SchemaMustStayWithinBounds, "the caveat has %d parameters", n).
		Do("a caveat has at most %d; put values that belong together into one map", paramsMax).With("parameter", name)
}

func typeMustExist(param, word string) *fault.Fault {
	f := fault.Newf(fault.CaveatMustBeValid, "the parameter %q has the type %q, which is none", param, clipped(word)).With("parameter", param)
	if near := nearestType(word); near != "" {
		return f.Do("did you mean %q?", near)
	}
	return f.Do("write one of %s", strings.Join(typeWords, ", "))
}

func typeMustBeValid(param, typ, why, remedy string) *fault.Fault {
	return fault.Newf(fault.CaveatMustBeValid, "the parameter %q cannot have the type %q: %s", param, clipped(typ), why).
		Do("%s", remedy).With("parameter", param)
}

func bodyTooLong(n int) *fault.Fault {
	return fault.Newf(fault.SchemaMustStayWithinBounds, "the condition has %d bytes", n).
		Do("a condition has at most %d; pass long lists as a parameter", bodyBytesMax).At(1, 1)
}

func bodyMustBeBool(typ string) *fault.Fault {
	f := fault.Newf(fault.CaveatMustBeValid, "the condition comes to %s, and must come to bool", typeName(typ)).At(1, 1)
	if typ == "dyn" {
		return f.Do("what it reads may be of any type; compare it with something, for example `… == true`")
	}
	return f.Do("compare it with something, for example with == or in")
}

func (c *Caveat) paramMustExist(name string) *fault.Fault {
	f := fault.Newf(fault.NotInSchema, "the caveat has no parameter %q", clipped(name)).With("parameter", clipped(name))
	if near := fault.Nearest(name, c.paramNames()); near != "" {
		return f.Do("did you mean %q?", near)
	}
	return f.Do("leave it out; the caveat has %s", fault.List(c.paramNames(), 8))
}

// bodyMustBeValid passes on what CEL says of the whole.
func bodyMustBeValid(body string, err error) *fault.Fault {
	return fault.Newf(fault.CaveatMustBeValid, "the condition cannot be compiled: %s", firstLine(err.Error())).
		Do("correct it; it is written in CEL").Because(err).At(1, 1)
}

// bodyFaults are what CEL finds wrong with a text, in its order.
func (c *Caveat) bodyFaults(issues []*cel.Error) []*fault.Fault {
	var faults []*fault.Fault
	for _, issue := range issues {
		if len(faults) > 0 && strings.HasPrefix(issue.Message, "Syntax error") {
			break // what follows the first follows from it
		}
		if bound := boundFault(issue.Message); bound != nil {
			return []*fault.Fault{bound.At(1, 1)}
		}
		f := c.bodyFault(issue.Message)
		f.At(max(issue.Location.Line(), 1), max(issue.Location.Column(), 0)+1)
		faults = append(faults, f)
	}
	slices.SortStableFunc(faults, func(a, b *fault.Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return faults[:min(len(faults), bodyFaultsMax)]
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'`)
	noField    = regexp.MustCompile(`^type '([^']*)' does not support field selection`)
	noRange    = regexp.MustCompile(`^expression of type '([^']*)' cannot be range of a comprehension`)
	mismatched = regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input ('(?:[^']|'')*'|'<EOF>')`)
	unreadable = regexp.MustCompile(`^Syntax error: token recognition error at: (.*)`)
	expected   = regexp.MustCompile(`^expected type '([^']*)' but found '([^']*)'`)
	badLiteral = regexp.MustCompile(`^invalid (timestamp|duration) argument`)
	reserved   = regexp.MustCompile(`^reserved identifier: (\S+)`)
)

// bodyFault says what CEL says, in the house's words.
func (c *Caveat) bodyFault(message string) *fault.Fault {
	say := func(format string, args ...any) *fault.Fault {
		return fault.Newf(fault.CaveatMustBeValid, format, args...)
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		f := say("there is no parameter or function %q", m[1])
		if near := fault.Nearest(m[1], c.paramNames()); near != "" {
			return f.Do("did you mean %q? otherwise declare it in the caveat's parentheses", near)
		}
		return f.Do("declare it in the caveat's parentheses; these have %s", fault.List(c.paramNames(), 8))
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return noSuchOperation(m[1], m[2])
	}
	if m := noField.FindStringSubmatch(message); m != nil {
		return say("%s has no fields to select", typeName(m[1])).Do("only a map has; declare the parameter as map<…>")
	}
	if m := noRange.FindStringSubmatch(message); m != nil {
		return say("%s cannot be gone over", typeName(m[1])).Do("only a list or a map can; declare the parameter as list<…> or map<…>")
	}
	if m := expected.FindStringSubmatch(message); m != nil {
		return say("%s stands where %s is needed", typeName(m[2]), typeName(m[1])).Do("compare it with something, or correct the parameter's type")
	}
	if m := badLiteral.FindStringSubmatch(message); m != nil {
		return say("the %s is not valid", literalWords[m[1]].what).Do("%s", literalWords[m[1]].remedy)
	}
	if m := reserved.FindStringSubmatch(message); m != nil {
		return say("%q is a word that CEL keeps for itself", m[1]).Do("choose another name")
	}
	return syntaxFault(message)
}

// boundFault is about a text that is too large, or too deep, to be looked at.
func boundFault(message string) *fault.Fault {
	switch {
	case strings.Contains(message, "recursion"):
		return fault.Newf(fault.SchemaMustStayWithinBounds, "the condition nests deeper than %d levels", nestingMax).
			Do("write it flatter; && and || may be as many as you like, and of + and the like each one nests")
	case strings.Contains(message, "count exceeds limit"):
		return fault.Newf(fault.SchemaMustStayWithinBounds, "the condition has more than %d parts, with its macros written out", nodesMax).
			Do("shorten it; pass long lists as a parameter")
	default:
		return nil
	}
}

// literalWords are what CEL's functions take as texts.
var literalWords = map[string]struct{ what, remedy string }{
	"timestamp": {"time", "write it as RFC 3339 does, like 2027-01-01T00:00:00Z"},
	"duration":  {"duration", "write it like 1h30m or 20s"},
}

// syntaxFault says where a text stops being CEL.
func syntaxFault(message string) *fault.Fault {
	const remedy = "correct it; a condition is written in CEL, for example `now.getHours() < closes && day in days`"
	if m := mismatched.FindStringSubmatch(message); m != nil {
		if m[1] == "'<EOF>'" {
			return fault.New(fault.CaveatMustBeValid, "the condition ends too early").Do("finish it")
		}
		return fault.Newf(fault.CaveatMustBeValid, "the condition cannot be read from %s on", clipped(m[1])).Do(remedy)
	}
	if strings.Contains(message, "error recovery") {
		return fault.New(fault.CaveatMustBeValid, "the condition cannot be read").Do(remedy)
	}
	if m := unreadable.FindStringSubmatch(message); m != nil {
		return fault.Newf(fault.CaveatMustBeValid, "the condition has a character that means nothing: %s", clipped(m[1])).Do(remedy)
	}
	return fault.Newf(fault.CaveatMustBeValid, "the condition is not valid: %s", firstLine(strings.TrimPrefix(message, "Syntax error: "))).Do(remedy)
}

// noSuchOperation is about an operator or a function whose operands do not fit it.
func noSuchOperation(name, operands string) *fault.Fault {
	operator := name
	if strings.HasSuffix(name, "_") || strings.HasPrefix(name, "@") { // _&&_, !_, @in; in_cidr is as it is written
		operator = strings.Trim(name, "_@")
	} else if name == "_[_]" {
		operator = "[ ]"
	}
	f := fault.Newf(fault.CaveatMustBeValid, "%s cannot be applied to %s", operator, typeName(operands))
	switch {
	case strings.Contains(operands, "uint"):
		return f.Do("write numbers without the u: uint parameters are compared with plain ones, for example `level > 3`")
	case strings.Contains(operands, "double") && strings.Contains(operands, "int") && !strings.Contains(operands, "string"):
		return f.Do("CEL does not mix int and double here: write 3.0 for 3, or double(…)")
	case strings.Contains(operands, "ipaddress"):
		return f.Do("an address is asked with ip.in_cidr(\"10.0.0.0/8\"), or compared with another ipaddress")
	case operator == "!":
		return f.Do("it needs a bool; compare the value with something")
	default:
		return f.Do("use values of types that go together, or correct the parameter's type")
	}
}

// typeName is CEL's name of a type, or of several, as a schema writes it:
// list(int) is list<int>.
func typeName(celName string) string {
	text := strings.NewReplacer("map(string, ", "map(", "dyn", "any", "google.protobuf.Timestamp", "timestamp", "google.protobuf.Duration", "duration").
		Replace(celName)
	var b strings.Builder
	var closing []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '(' && (strings.HasSuffix(text[:i], "list") || strings.HasSuffix(text[:i], "map")):
			b.WriteByte('<')
			closing = append(closing, '>')
		case c == '(':
			b.WriteByte(c)
			closing = append(closing, ')')
		case c == ')' && len(closing) > 0:
			b.WriteByte(closing[len(closing)-1])
			closing = closing[:len(closing)-1]
		default:
			b.WriteByte(c)
		}
	}
	return clipped(b.String())
}

// firstLine is a message without what follows its first line.
func firstLine(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if strings.HasPrefix(line, "ERROR: ") { // "ERROR: <input>:1:5: …"
		if parts := strings.SplitN(line, ": ", 3); len(parts) == 3 {
			line = parts[2]
		}
	}
	if len(line) > problemBytesMax {
		line = strings.ToValidUTF8(line[:problemBytesMax], "") + "…"
	}
	return line
}
