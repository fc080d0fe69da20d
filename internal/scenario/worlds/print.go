package worlds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// SchemaText writes a tree as schema text, with only the parentheses that the
// precedences need: a parser that has these wrong reads another schema.
func SchemaText(file *syntax.File) string {
	var b strings.Builder
	if needsRoles(file) {
		b.WriteString("use roles\n")
	}
	if needsSelf(file) {
		b.WriteString("use self\n")
	}
	if needsExpiration(file) {
		b.WriteString("use expiration\n")
	}
	if len(file.Partials) > 0 {
		b.WriteString("use partial\n")
	}
	for _, c := range file.Caveats {
		caveatText(&b, c)
	}
	for _, d := range file.Partials {
		definitionText(&b, "partial", d)
	}
	for _, d := range file.Definitions {
		definitionText(&b, "definition", d)
	}
	return b.String()
}

// pieces are the definitions and the partials of a schema.
func pieces(file *syntax.File) []*syntax.Definition {
	return slices.Concat(file.Partials, file.Definitions)
}

func caveatText(b *strings.Builder, c *syntax.Caveat) {
	params := make([]string, len(c.Params))
	for i, p := range c.Params {
		params[i] = p.Name.Text + " " + p.Type
	}
	fmt.Fprintf(b, "caveat %s(%s) {\n  %s\n}\n", c.Name.Text, strings.Join(params, ", "), strings.TrimSpace(c.Body))
}

func needsExpiration(file *syntax.File) bool {
	return slices.ContainsFunc(pieces(file), func(d *syntax.Definition) bool {
		return slices.ContainsFunc(stored(d), func(r *syntax.Relation) bool {
			return slices.ContainsFunc(r.Types, func(t *syntax.TypeRef) bool { return t.Expiration })
		})
	})
}

func needsSelf(file *syntax.File) bool {
	var has func(e syntax.Expr) bool
	has = func(e syntax.Expr) bool {
		switch e := syntax.Strip(e).(type) {
		case *syntax.SelfExpr:
			return true
		case *syntax.BinaryExpr:
			return has(e.Left) || has(e.Right)
		default:
			return false
		}
	}
	return slices.ContainsFunc(sites(pieces(file)), func(e *syntax.Expr) bool { return *e != nil && has(*e) })
}

// needsRoles reports whether the schema has any word that is a keyword only
// under `use roles`.
func needsRoles(file *syntax.File) bool {
	return slices.ContainsFunc(pieces(file), func(d *syntax.Definition) bool {
		return len(d.Roles)+len(d.Withins)+len(d.CreatedBys) > 0 || slices.ContainsFunc(d.Relations, func(r *syntax.Relation) bool {
			return r.Multiplicity != nil || r.Of != nil || r.OnePerWith != nil || r.Granted != nil || r.Revoked != nil
		})
	})
}

func definitionText(b *strings.Builder, word string, d *syntax.Definition) {
	if len(declared(d))+len(d.Includes)+len(d.Withins)+len(d.CreatedBys) == 0 {
		fmt.Fprintf(b, "%s %s {}\n", word, d.Name.Text)
		return
	}
	fmt.Fprintf(b, "%s %s {\n", word, d.Name.Text)
	for _, include := range d.Includes {
		fmt.Fprintf(b, "  ...%s\n", include.Name.Text)
	}
	for _, w := range d.Withins {
		fmt.Fprintf(b, "  within %s\n", identsText(w.Rels))
	}
	for _, c := range d.CreatedBys {
		fmt.Fprintf(b, "  created by %s\n", exprText(c.Expr))
	}
	for _, r := range d.Relations {
		fmt.Fprintf(b, "  relation %s\n", relationText(r))
	}
	for _, block := range d.Roles {
		rolesText(b, block)
	}
	for _, p := range d.Permissions {
		fmt.Fprintf(b, "  permission %s = %s\n", p.Name.Text, exprText(p.Expr))
	}
	b.WriteString("}\n")
}

func rolesText(b *strings.Builder, block *syntax.Roles) {
	b.WriteString("  roles")
	if block.OnePerSubject {
		b.WriteString(" one per subject")
	}
	if block.Except != nil {
		b.WriteString(" except " + exprText(block.Except))
	}
	b.WriteString(" {\n")
	for _, from := range block.Inherits {
		fmt.Fprintf(b, "    inherit from %s\n", from.Rel.Text)
	}
	for _, r := range block.Roles {
		fmt.Fprintf(b, "    %s\n", relationText(r))
	}
	b.WriteString("  }\n")
}

// relationText is a relation or a role, in the order that the language demands.
func relationText(r *syntax.Relation) string {
	s := r.Name.Text
	for i, t := range r.Types {
		if i == 0 {
			s += ": " + formText(t)
		} else {
			s += " | " + formText(t)
		}
	}
	if m := r.Multiplicity; m != nil {
		switch {
		case m.Unbounded:
			s += fmt.Sprintf(" [%d..*]", m.Min)
		case m.Min == m.Max:
			s += fmt.Sprintf(" [%d]", m.Min)
		default:
			s += fmt.Sprintf(" [%d..%d]", m.Min, m.Max)
		}
	}
	if r.Expr != nil {
		s += " = " + exprText(r.Expr)
	}
	if r.Of != nil {
		s += " of " + r.Of.Text
	}
	if r.OnePerWith != nil {
		s += " one per subject with " + r.OnePerWith.Text
	}
	return s + ruleText(" granted by ", r.Granted) + ruleText(" revoked by ", r.Revoked)
}

func ruleText(words string, rule *syntax.Rule) string {
	switch {
	case rule == nil:
		return ""
	case rule.ExceptSelf:
		return words + exprText(rule.Expr) + " except self"
	}
	return words + exprText(rule.Expr)
}

func identsText(all []syntax.Ident) string {
	texts := make([]string, len(all))
	for i, id := range all {
		texts[i] = id.Text
	}
	return strings.Join(texts, ", ")
}

// formText is a form with the attributes that it wants.
func formText(t *syntax.TypeRef) string {
	s := subjectText(t)
	switch {
	case t.Caveat != nil && t.Expiration:
		s += " with " + t.Caveat.Text + " and expiration"
	case t.Caveat != nil:
		s += " with " + t.Caveat.Text
	case t.Expiration:
		s += " with expiration"
	}
	return s
}

// subjectText is a form without its attributes.
func subjectText(t *syntax.TypeRef) string {
	switch {
	case t.Wildcard:
		return t.Type.Text + ":*"
	case t.Relation != nil:
		return t.Type.Text + "#" + t.Relation.Text
	default:
		return t.Type.Text
	}
}

func exprText(e syntax.Expr) string { return syntax.Text(parenthesised(e)) }

// parenthesised puts parentheses around an operand that would otherwise be read
// as part of something else: one that binds less tightly than its operator, or,
// on the right side, no more tightly.
func parenthesised(e syntax.Expr) syntax.Expr {
	binary, ok := syntax.Strip(e).(*syntax.BinaryExpr)
	if !ok {
		return syntax.Strip(e)
	}
	wrap := func(operand syntax.Expr, tightest int) syntax.Expr {
		operand = parenthesised(operand)
		if inner, ok := operand.(*syntax.BinaryExpr); ok && tightness(inner.Op) < tightest {
			return &syntax.ParenExpr{X: operand}
		}
		return operand
	}
	own := tightness(binary.Op)
	return &syntax.BinaryExpr{Op: binary.Op, Left: wrap(binary.Left, own), Right: wrap(binary.Right, own+1)}
}

func tightness(op syntax.Op) int {
	switch op {
	case syntax.Union:
		return 3
	case syntax.Intersection:
		return 2
	default:
		return 1
	}
}
