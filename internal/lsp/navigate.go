package lsp

import (
	"os"
	"slices"
	"sort"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// definition is where the name at a place is declared: all the places, where an
// arrow leads to several types. Behind the path of an import it is the file.
func (s *server) definition(d *document, params documentParams) any {
	offset := d.offset(params.Position)
	if i, _, _ := d.importAt(offset); i != nil {
		path := importPath(d.source, i)
		if info, err := os.Stat(path); path == "" || err != nil || info.IsDir() {
			return []location{}
		}
		return []location{{URI: uriOf(path)}}
	}
	places := []location{}
	if m := d.at(offset); m != nil {
		for _, x := range s.world(d).meant(m) {
			places = append(places, s.location(x.source, x.name.At.Offset, x.name.Text))
		}
	}
	return places
}

// references are the places where the name at a place is used, in the open
// documents and what they import.
func (s *server) references(d *document, params documentParams) any {
	places := []location{}
	m := d.at(d.offset(params.Position))
	if m == nil {
		return places
	}
	w := s.world(d)
	symbols := w.meant(m)
	if params.Context.IncludeDeclaration {
		for _, x := range symbols {
			places = append(places, s.location(x.source, x.name.At.Offset, x.name.Text))
		}
	}
	for _, u := range w.usesOf(symbols) {
		places = append(places, s.location(u.source, u.name.At.Offset, u.name.Text))
	}
	return places
}

// location is where a name stands.
func (s *server) location(text *source, start int, name string) location {
	end := start + len(name)
	if m := text.at(start); m != nil && m.start == start {
		end = m.end
	}
	return location{text.uri, text.textRange(start, end)}
}

// symbols is the outline of a document.
func (s *server) symbols(d *document, _ documentParams) any {
	outline := s.outline(d.source)
	if s.hierarchical {
		return outline
	}
	flat := []symbolInformation{}
	var flatten func(symbols []documentSymbol, container string)
	flatten = func(symbols []documentSymbol, container string) {
		for _, x := range symbols {
			flat = append(flat, symbolInformation{x.Name, x.Kind, location{d.uri, x.Range}, container})
			flatten(x.Children, x.Name)
		}
	}
	flatten(outline, "")
	return flat
}

// outline says of every declaration how far it goes. The tree knows where each
// statement begins, and one ends where the next begins, less the white space,
// the comments, and, inside a definition, the braces between them.
func (s *server) outline(text *source) []documentSymbol {
	out := []documentSymbol{}
	begin := append(statements(text.file), len(text.text))
	for _, x := range text.symbols {
		end := text.end(next(begin, x.start), "")
		shown := s.documentSymbol(x, end)
		if len(x.members) > 0 {
			begin := append(memberStatements(x), end)
			for _, m := range x.members {
				shown.Children = append(shown.Children, s.documentSymbol(m, text.end(next(begin, m.start), "}")))
			}
		}
		out = append(out, shown)
	}
	return out
}

func (s *server) documentSymbol(x *symbol, end int) documentSymbol {
	text, name := x.source, x.source.at(x.name.At.Offset)
	return documentSymbol{
		Name: x.name.Text, Detail: x.kind.String(), Kind: symbolKindOf[x.kind],
		Range:          text.textRange(x.start, max(end, name.end)),
		SelectionRange: text.textRange(name.start, name.end),
	}
}

// next is the nearest of the sorted offsets behind one; the last of them is the
// end of all.
func next(offsets []int, after int) int {
	i := sort.SearchInts(offsets, after+1)
	return offsets[min(i, len(offsets)-1)]
}

// statements are the offsets where those outside of definitions begin.
func statements(file *syntax.File) []int {
	var begin []int
	for _, u := range file.Uses {
		begin = append(begin, u.At.Offset)
	}
	for _, i := range file.Imports {
		begin = append(begin, i.At.Offset)
	}
	for _, c := range file.Caveats {
		begin = append(begin, c.At.Offset)
	}
	for _, d := range slices.Concat(file.Partials, file.Definitions) {
		begin = append(begin, d.At.Offset)
	}
	slices.Sort(begin)
	return begin
}

// memberStatements are the offsets where those of a definition or partial begin.
func memberStatements(x *symbol) []int {
	var begin []int
	for _, m := range x.members {
		begin = append(begin, m.start)
	}
	for _, block := range x.definition.Roles {
		begin = append(begin, block.At.Offset)
		for _, i := range block.Inherits {
			begin = append(begin, i.At.Offset)
		}
	}
	for _, w := range x.definition.Withins {
		begin = append(begin, w.At.Offset)
	}
	for _, c := range x.definition.CreatedBys {
		begin = append(begin, c.At.Offset)
	}
	for _, i := range x.definition.Includes {
		begin = append(begin, i.At.Offset)
	}
	slices.Sort(begin)
	return begin
}

var symbolKindOf = [...]symbolKind{
	typeKind:       symbolClass,
	partialKind:    symbolModule,
	caveatKind:     symbolFunction,
	relationKind:   symbolField,
	roleKind:       symbolEnumMember,
	permissionKind: symbolMethod,
}
