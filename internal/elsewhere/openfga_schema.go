package elsewhere

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// A schemaWriter writes a model down as a schema.
type schemaWriter struct {
	model *model
	words *vocabulary
	out   strings.Builder
	lines int  // in out
	roles bool // some definition has a ladder

	drafted []origin // where the lines of out come from
}

func newSchemaWriter(m *model) *schemaWriter {
	return &schemaWriter{model: m, words: newVocabulary(m)}
}

// write is the text, laid out, and where its lines come from.
func (w *schemaWriter) write() (text string, at func(line, column int) Place) {
	for _, c := range w.model.conditions {
		w.caveat(c)
	}
	for _, t := range w.model.types {
		w.definition(t)
	}
	if w.out.Len() == 0 {
		return "", nil
	}
	text = w.out.String()
	head := ""
	if w.roles {
		head = "use roles\n\n"
	}
	if laidOut, faults := syntax.Format(head + text); len(faults) == 0 {
		return laidOut, w.origins(laidOut)
	}
	// It cannot be read, so it stays as it was drafted.
	for i := range w.drafted {
		w.drafted[i].line += strings.Count(head, "\n")
	}
	return head + text, lastBefore(w.drafted)
}

func (w *schemaWriter) line(format string, args ...any) {
	text := fmt.Sprintf(format+"\n", args...)
	w.lines += strings.Count(text, "\n")
	w.out.WriteString(text)
}

// begin notes what the next line comes from.
func (w *schemaWriter) begin(at Place) { w.drafted = append(w.drafted, origin{w.lines + 1, at}) }

func (w *schemaWriter) comments(indent string, comments []string) {
	for _, c := range comments {
		w.line("%s", strings.TrimRight(indent+"// "+c, " "))
	}
}

func (w *schemaWriter) name(there string) string {
	here, _ := w.words.relations.name(there)
	return here
}

func (w *schemaWriter) typeName(there string) string {
	here, _ := w.words.types.name(there)
	return here
}

func (w *schemaWriter) caveat(c *condition) {
	w.begin(c.at)
	w.comments("", c.comments)
	name, _ := w.words.conditions.name(c.name)
	var params []string
	for _, p := range c.parameters {
		if !mentions(c.body, p.name) {
			w.words.unread[c.name] = append(w.words.unread[c.name], p.name)
			w.words.change(p.at, "the parameter %s of the condition %s is left out: the condition does not read it", p.name, c.name)
			continue
		}
		params = append(params, p.name+" "+p.typ)
	}
	// A body of one line stays on it; others bring their own lines.
	w.line("caveat %s(%s) {\n%s\n}\n", name, strings.Join(params, ", "), strings.Trim(c.body, "\r\n"))
}

var celStringForm = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|//[^\n]*`)

// mentions reports whether CEL may read a parameter: the word stands somewhere in it
// outside of strings and comments.
func mentions(body, parameter string) bool {
	body = celStringForm.ReplaceAllString(body, " ")
	return regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(parameter) + `($|[^A-Za-z0-9_])`).MatchString(body)
}

func (w *schemaWriter) definition(t *typeDefinition) {
	w.begin(t.at)
	w.comments("", t.comments)
	if len(t.relations) == 0 {
		w.line("definition %s {}\n", w.typeName(t.name))
		return
	}
	w.line("definition %s {", w.typeName(t.name))
	ladder := climb(t)
	begun := false
	for _, r := range t.relations {
		switch {
		case !ladder.has(r):
			w.relation(t, r)
		case !begun:
			begun = true
			w.ladder(t, ladder)
		}
	}
	w.line("}\n")
}

// ladder writes the roles block.
func (w *schemaWriter) ladder(t *typeDefinition, l *ladder) {
	w.roles = true
	except := ""
	if l.except != nil {
		except = "except " + w.expression(l.except, "") + " "
	}
	w.line("  roles %s{", except)
	for i, r := range l.rungs {
		at, _ := rungOf(r)
		var sum []string
		for _, each := range at.operands {
			// Who holds the next role holds this one, and so on.
			if each.op != computed || !slices.ContainsFunc(l.rungs[i+1:], func(higher *relation) bool { return higher.name == each.name }) {
				sum = append(sum, w.operand(each, ""))
			}
		}
		w.words.written[typeRelation{t.name, r.name}] = w.name(r.name)
		w.begin(r.at)
		w.comments("    ", r.comments)
		text := w.name(r.name) + ": " + w.subjects(r)
		if len(sum) > 0 {
			text += " = " + strings.Join(sum, " + ")
		}
		w.line("    %s", text)
	}
	w.line("  }")
}

// relation writes a relation that is no role: as a relation, a permission, or both.
func (w *schemaWriter) relation(t *typeDefinition, r *relation) {
	w.begin(r.at)
	w.comments("  ", r.comments)
	name := w.name(r.name)
	if !r.rewrite.isWritten() {
		w.line("  permission %s = %s", name, w.expression(r.rewrite, ""))
		return
	}
	if r.rewrite.op == direct {
		w.words.written[typeRelation{t.name, r.name}] = name
		w.line("  relation %s: %s", name, w.subjects(r))
		return
	}
	stored := w.words.relations.free(nameLike("direct_" + r.name))
	w.words.written[typeRelation{t.name, r.name}] = stored
	w.words.change(r.at, "tuples of %s#%s are written to %s: a name is both written and computed only on the ladder of roles, and %s is not on it", t.name, r.name, stored, name)
	w.line("  relation %s: %s", stored, w.subjects(r))
	w.line("  permission %s = %s", name, w.expression(r.rewrite, stored))
}

// subjects are the forms of a relation.
func (w *schemaWriter) subjects(r *relation) string {
	var forms []string
	for _, s := range r.subjects {
		form := w.typeName(s.typ)
		switch {
		case s.wildcard:
			form += ":*"
		case s.relation != "":
			form += "#" + w.name(s.relation)
		}
		if s.condition != "" {
			condition, _ := w.words.conditions.name(s.condition)
			form += " with " + condition
		}
		forms = append(forms, form)
	}
	return strings.Join(forms, " | ")
}

// expression is a rewrite; what is written stands in the relation stored.
func (w *schemaWriter) expression(r *rewrite, stored string) string {
	operator, is := map[rewriteOp]string{union: " + ", intersection: " & ", exclusion: " - "}[r.op]
	if !is {
		return w.operand(r, stored)
	}
	texts := make([]string, len(r.operands))
	for i, each := range r.operands {
		texts[i] = w.operand(each, stored)
	}
	return strings.Join(texts, operator)
}

// operand is an expression that may stand beside any operator.
func (w *schemaWriter) operand(r *rewrite, stored string) string {
	switch r.op {
	case direct:
		return stored
	case computed:
		return w.name(r.name)
	case from:
		return w.name(r.tupleset) + "->" + w.name(r.name)
	default:
		return "(" + w.expression(r, stored) + ")"
	}
}

// An origin is a line of the schema at which something of the model begins.
type origin struct {
	line int
	at   Place
}

// origins says where the lines of a schema that was laid out come from: each from
// what was declared last before its end.
func (w *schemaWriter) origins(text string) func(line, column int) Place {
	file, _ := syntax.Parse(text)
	var all []origin
	places := w.places()
	add := func(line int, key string) {
		if at, known := places[key]; known {
			all = append(all, origin{line, at})
		}
	}
	for _, c := range file.Caveats {
		add(c.Name.At.Line, "caveat "+c.Name.Text)
	}
	for _, d := range file.Definitions {
		add(d.Name.At.Line, d.Name.Text)
		for _, r := range d.Relations {
			add(r.Name.At.Line, d.Name.Text+"#"+r.Name.Text)
		}
		for _, block := range d.Roles {
			for _, r := range block.Roles {
				add(r.Name.At.Line, d.Name.Text+"#"+r.Name.Text)
			}
		}
		for _, p := range d.Permissions {
			add(p.Name.At.Line, d.Name.Text+"#"+p.Name.Text)
		}
	}
	slices.SortStableFunc(all, func(a, b origin) int { return a.line - b.line })
	return lastBefore(all)
}

// lastBefore places a line where the last thing comes from that begins at it or above.
func lastBefore(all []origin) func(line, column int) Place {
	return func(line, _ int) Place {
		at := all[0].at
		for _, o := range all {
			if o.line <= line {
				at = o.at
			}
		}
		return at
	}
}

// places are the places of the model by what stands in the schema for them.
func (w *schemaWriter) places() map[string]Place {
	places := map[string]Place{}
	for _, c := range w.model.conditions {
		name, _ := w.words.conditions.name(c.name)
		places["caveat "+name] = c.at
	}
	for _, t := range w.model.types {
		name := w.typeName(t.name)
		places[name] = t.at
		for _, r := range t.relations {
			places[name+"#"+w.name(r.name)] = r.at
			if stored, is := w.words.written[typeRelation{t.name, r.name}]; is {
				places[name+"#"+stored] = r.at
			}
		}
	}
	return places
}
