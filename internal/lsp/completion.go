package lsp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// completionsMax bounds an answer; whoever has more names than that types a
// letter first.
const completionsMax = 1000

// completion offers the names that can stand at a place. To know what can stand
// there, a name is put there and the text is read: the parser says what place it
// is, in a text that is half written, too. Where it can tell nothing, as at the
// beginning of a statement or in a comment, nothing is offered.
func (s *server) completion(d *document, params documentParams) any {
	offset := d.offset(params.Position)
	with := newSource(d.uri, d.text[:offset]+"x"+d.text[offset:], s.encoding)
	m := with.at(offset)
	if m == nil || m.use == nil || m.start > offset {
		return []completionItem{}
	}
	c := completer{
		items: []completionItem{}, seen: make(map[string]bool),
		prefix: d.text[m.start:offset],
		place:  d.textRange(m.start, offset),
	}
	open := []*source{with}
	for _, other := range s.documents {
		if other != d {
			open = append(open, other.source)
		}
	}
	c.offer(newWorld(with, open), m.use)
	return c.items
}

// A completer collects what can stand at one place.
type completer struct {
	items  []completionItem
	seen   map[string]bool
	prefix string    // what is typed already
	place  textRange // where that stands
}

func (c *completer) offer(w *world, u *use) {
	switch u.place {
	case typePlace:
		c.top(w, u, typeKind)
	case caveatPlace:
		c.top(w, u, caveatKind)
		if uses(u.source, "expiration") {
			c.word("expiration")
		}
	case partialPlace:
		c.top(w, u, partialKind)
	case featurePlace:
		for _, name := range slices.Sorted(maps.Keys(featureText)) {
			c.word(name)
		}
	case relationPlace:
		c.members(w, u.owner, func(x *symbol) bool { return x.relation != nil && len(x.relation.Types) > 0 }, nil)
	default:
		for _, t := range w.containers(u) {
			c.members(w, t, func(x *symbol) bool { return u.place != namePlace || x != u.by }, nil)
		}
		if u.place == namePlace {
			c.word("nil")
			if uses(u.source, "self") {
				c.word("self")
			}
		}
	}
}

// top offers what is declared outside of definitions, as far as the text sees it.
func (c *completer) top(w *world, u *use, k kind) {
	for _, s := range w.view(u.source) {
		for _, x := range s.symbols {
			if x.kind == k {
				c.symbol(x)
			}
		}
	}
}

// members offers those of a type or partial, and of the partials that it takes in.
func (c *completer) members(w *world, owner *symbol, fits func(*symbol) bool, been map[*symbol]bool) {
	if been == nil {
		been = make(map[*symbol]bool)
	}
	if owner == nil || been[owner] {
		return
	}
	been[owner] = true
	for _, x := range owner.members {
		if fits(x) {
			c.symbol(x)
		}
	}
	for _, i := range owner.definition.Includes {
		for _, partial := range w.top(owner.source, partialKind, i.Name.Text) {
			c.members(w, partial, fits, been)
		}
	}
}

func (c *completer) symbol(x *symbol) {
	detail := x.kind.String()
	if x.owner != nil {
		detail += fmt.Sprintf(" of %s %s", x.owner.kind, x.owner.name.Text)
	}
	c.add(completionItem{Label: x.name.Text, Kind: completionKindOf[x.kind], Detail: detail, Documentation: x.doc})
}

func (c *completer) word(w string) { c.add(completionItem{Label: w, Kind: completionKeyword}) }

func (c *completer) add(item completionItem) {
	if c.seen[item.Label] || len(c.items) == completionsMax || !strings.HasPrefix(item.Label, c.prefix) {
		return
	}
	c.seen[item.Label] = true
	item.TextEdit = textEdit{c.place, item.Label}
	c.items = append(c.items, item)
}

func uses(s *source, feature string) bool {
	for _, u := range s.file.Uses {
		if u.Feature.Text == feature {
			return true
		}
	}
	return false
}

var completionKindOf = [...]completionKind{
	typeKind:       completionClass,
	partialKind:    completionModule,
	caveatKind:     completionFunction,
	relationKind:   completionField,
	roleKind:       completionEnumMember,
	permissionKind: completionMethod,
}
