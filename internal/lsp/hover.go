package lsp

import (
	"fmt"
	"strings"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

const (
	// hoverSymbolsMax bounds how many meanings of one name are shown, and
	// hoverUsesMax how many of their uses: a hover covers the text below it.
	hoverSymbolsMax = 5
	hoverUsesMax    = 8
)

// hover says what stands at a place: a name with all that its declaration says,
// or in one line a word of the language.
func (s *server) hover(d *document, params documentParams) any {
	offset := d.offset(params.Position)
	if m := d.at(offset); m != nil {
		if m.use != nil && m.use.place == featurePlace {
			return s.hoverText(d.source, m.start, m.end, []string{featureText[m.use.name.Text]})
		}
		return s.hoverText(d.source, m.start, m.end, s.describe(s.world(d), m))
	}
	if i, start, end := d.importAt(offset); i != nil {
		return s.hoverText(d.source, start, end, []string{"import of " + i.Path})
	}
	start, end := d.wordAt(offset)
	return s.hoverText(d.source, start, end, []string{wordText(d.code(), start, end)})
}

// hoverText is the answer with these paragraphs, or no answer without any.
func (s *server) hoverText(text *source, start, end int, paragraphs []string) any {
	value := strings.TrimSpace(strings.Join(paragraphs, "\n\n"))
	if value == "" {
		return nil
	}
	return hover{markupContent{s.markup, value}, text.textRange(start, end)}
}

// describe is the paragraphs about the symbols that a mention means.
func (s *server) describe(w *world, m *mention) []string {
	var out []string
	symbols := w.meant(m)
	for i, x := range symbols {
		if i == hoverSymbolsMax {
			out = append(out, fmt.Sprintf("and %d more", len(symbols)-i))
			break
		}
		out = append(out, s.block(x.declaration()), x.title(m), x.doc)
		if x.relation != nil && uses(x.source, "roles") {
			out = append(out, whoGrants(x.relation))
		}
		out = append(out, s.usedIn(w.usesOf([]*symbol{x}), m))
	}
	return nonEmpty(out)
}

func nonEmpty(paragraphs []string) []string {
	var out []string
	for _, p := range paragraphs {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// block sets lines of the language apart, where the client shows markdown.
func (s *server) block(code string) string {
	if s.markup == markdown {
		return "```zed\n" + code + "\n```"
	}
	return code
}

// title is what kind of name a symbol is, and where it comes from.
func (x *symbol) title(seen *mention) string {
	title := x.kind.String()
	if x.owner != nil {
		title += fmt.Sprintf(" of %s %s", x.owner.kind, x.owner.name.Text)
	}
	if x.block != nil && len(x.block.Roles) > 1 {
		names := make([]string, len(x.block.Roles))
		for i, r := range x.block.Roles {
			names[i] = r.Name.Text
		}
		title += ", on the ladder " + strings.Join(names, " < ")
	}
	if from := seen.source(); x.source != from {
		title += ", in " + x.source.name()
	}
	return title
}

func (m *mention) source() *source {
	if m.symbol != nil {
		return m.symbol.source
	}
	return m.use.source
}

// name is what a text is called to a reader.
func (s *source) name() string {
	if s.path != "" {
		return s.path
	}
	return s.uri
}

// whoGrants is who may write a relation's tuples, where its declaration does not
// say it. It is told where the text has rules at all.
func whoGrants(r *syntax.Relation) string {
	if len(r.Types) > 0 && r.Granted == nil && r.Revoked == nil {
		return "no actor may write it: there is no granted by, and only the application itself grants it"
	}
	return ""
}

// usedIn lists uses, those of the same text by their lines.
func (s *server) usedIn(uses []*use, seen *mention) string {
	switch len(uses) {
	case 0:
		return "used nowhere here"
	case 1:
		return "used in " + uses[0].where(seen.source())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "used %d times:\n", len(uses))
	for i, u := range uses {
		if i == hoverUsesMax {
			fmt.Fprintf(&b, "\n- and %d more", len(uses)-i)
			break
		}
		b.WriteString("\n- " + u.where(seen.source()))
	}
	return b.String()
}

// where is in what a name is used, and on which line.
func (u *use) where(from *source) string {
	var in []string
	if u.by != nil {
		in = append(in, u.by.kind.String()+" "+u.by.name.Text)
	}
	if u.by == nil || u.clause != u.by.kind.String() {
		in = append(in, u.clause)
	}
	in = append(in, fmt.Sprintf("line %d", u.name.At.Line))
	text := strings.Join(in, ", ")
	if u.owner != nil {
		text = fmt.Sprintf("%s %s: %s", u.owner.kind, u.owner.name.Text, text)
	}
	if u.source != from {
		text += " of " + u.source.name()
	}
	return text
}
