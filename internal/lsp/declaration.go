package lsp

import (
	"fmt"
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// declaration is a symbol as the language declares it, without its members and
// its comments.
func (x *symbol) declaration() string {
	switch {
	case x.permission != nil:
		return permissionText(x.permission)
	case x.kind == roleKind:
		return roleText(x)
	case x.relation != nil:
		return "relation " + relationText(x.relation)
	case x.caveat != nil:
		return caveatText(x.caveat)
	case x.kind == partialKind:
		return "partial " + x.name.Text
	}
	return "definition " + x.name.Text
}

func permissionText(p *syntax.Permission) string {
	text := "permission " + p.Name.Text
	for i, t := range p.Annotation {
		text += map[bool]string{true: ": ", false: " | "}[i == 0] + t.Text
	}
	if p.Expr == nil {
		return text
	}
	return text + " = " + syntax.Text(p.Expr)
}

// roleText is a role with what its block adds to all of its roles.
func roleText(x *symbol) string {
	text := relationText(x.relation)
	for _, i := range x.block.Inherits {
		text += "\n  inherit from " + i.Rel.Text
	}
	if x.block.Except != nil {
		text += "\n  except " + syntax.Text(x.block.Except)
	}
	return text
}

func relationText(r *syntax.Relation) string {
	text := r.Name.Text
	for i, t := range r.Types {
		text += map[bool]string{true: ": ", false: " | "}[i == 0] + typeText(t)
	}
	if m := r.Multiplicity; m != nil {
		text += " " + multiplicityText(m)
	}
	if r.Expr != nil {
		text += " = " + syntax.Text(r.Expr)
	}
	if r.Of != nil {
		text += "\n  of " + r.Of.Text
	}
	if r.OnePerWith != nil {
		text += "\n  one per subject with " + r.OnePerWith.Text
	}
	return text + ruleText("granted by", r.Granted) + ruleText("revoked by", r.Revoked)
}

func ruleText(verb string, r *syntax.Rule) string {
	if r == nil {
		return ""
	}
	text := "\n  " + verb + " " + syntax.Text(r.Expr)
	if r.ExceptSelf {
		text += " except self"
	}
	return text
}

func typeText(t *syntax.TypeRef) string {
	text := t.Type.Text
	if t.Relation != nil {
		text += "#" + t.Relation.Text
	}
	if t.Wildcard {
		text += ":*"
	}
	var with []string
	if t.Caveat != nil {
		with = append(with, t.Caveat.Text)
	}
	if t.Expiration {
		with = append(with, "expiration")
	}
	if len(with) > 0 {
		text += " with " + strings.Join(with, " and ")
	}
	return text
}

func multiplicityText(m *syntax.Multiplicity) string {
	switch {
	case m.Unbounded:
		return fmt.Sprintf("[%d..*]", m.Min)
	case m.Min == m.Max:
		return fmt.Sprintf("[%d]", m.Min)
	}
	return fmt.Sprintf("[%d..%d]", m.Min, m.Max)
}

func caveatText(c *syntax.Caveat) string {
	params := make([]string, len(c.Params))
	for i, p := range c.Params {
		params[i] = p.Name.Text + " " + p.Type
	}
	return fmt.Sprintf("caveat %s(%s) {\n  %s\n}", c.Name.Text, strings.Join(params, ", "), c.Body)
}
