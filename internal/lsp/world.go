package lsp

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

const (
	// importedMax bounds the files that are read to answer one request, and
	// importBytesMax each of them: the compiler refuses a longer text.
	importedMax    = 100
	importBytesMax = 1 << 20

	// behindMax bounds the types that one arrow is followed to, and the types
	// that one partial is looked up in. The compiler allows a relation as many.
	behindMax = 256
)

// A world is the texts that one request is about: every open document, and what
// they import. It says what a name in one of them means.
type world struct {
	sources []*source // the one that was asked about first
	byPath  map[string]*source

	seen      map[*source][]*source     // what a source can see by its imports, itself first
	behind    map[syntax.Expr][]*symbol // the types that an arrow leads to
	includers map[*symbol][]*symbol     // the types and partials that take a partial in
	imported  int
}

// newWorld is the world around a source; open are the other documents.
func newWorld(asked *source, open []*source) *world {
	w := &world{
		byPath: make(map[string]*source),
		seen:   make(map[*source][]*source),
		behind: make(map[syntax.Expr][]*symbol),
	}
	w.add(asked)
	for _, s := range open {
		if s != asked {
			w.add(s)
		}
	}
	for i := 0; i < len(w.sources); i++ { // grows by what they import
		for _, statement := range w.sources[i].file.Imports {
			w.load(w.sources[i], importPath(w.sources[i], statement))
		}
	}
	return w
}

func (w *world) add(s *source) {
	w.sources = append(w.sources, s)
	if s.path != "" {
		w.byPath[s.path] = s
	}
}

// importPath is the file that an import names, by its path from the text that it
// stands in; empty where that is in no file.
func importPath(from *source, i *syntax.Import) string {
	if from.path == "" || i.Path == "" {
		return ""
	}
	path := filepath.FromSlash(i.Path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(from.path), path)
}

// load reads an imported file. One that cannot be read is not there for the
// names; that it is missing, the compiler says.
func (w *world) load(from *source, path string) {
	if path == "" || w.byPath[path] != nil || w.imported == importedMax {
		return
	}
	w.imported++
	text, err := readFile(path)
	if err != nil {
		return
	}
	w.add(newSource(uriOf(path), string(text), from.encoding))
}

// readFile reads an imported file, if it is one, and not too large.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > importBytesMax {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	return os.ReadFile(path)
}

// view is what a source can see: itself, and what it imports, at any depth.
func (w *world) view(s *source) []*source {
	if view, known := w.seen[s]; known {
		return view
	}
	view := []*source{s}
	for i := 0; i < len(view); i++ {
		for _, statement := range view[i].file.Imports {
			if next := w.byPath[importPath(view[i], statement)]; next != nil && !slices.Contains(view, next) {
				view = append(view, next)
			}
		}
	}
	w.seen[s] = view
	return view
}

// top finds what is declared outside of definitions under a name of this kind,
// as far as a source sees it. What it does not see by itself is looked for where
// it is imported: a part of a schema may count on the rest of it.
func (w *world) top(from *source, k kind, name string) []*symbol {
	found := declaredIn(w.view(from), k, name)
	for i := 0; len(found) == 0 && i < len(w.sources); i++ {
		if view := w.view(w.sources[i]); slices.Contains(view, from) {
			found = declaredIn(view, k, name)
		}
	}
	return found
}

func declaredIn(view []*source, k kind, name string) []*symbol {
	var found []*symbol
	for _, s := range view {
		for _, x := range s.named[name] {
			if x.kind == k {
				found = append(found, x)
			}
		}
	}
	return found
}

// meaning is what a use stands for: several symbols where an arrow leads to
// several types, none where nothing is declared.
func (w *world) meaning(u *use) []*symbol {
	switch u.place {
	case typePlace:
		return w.top(u.source, typeKind, u.name.Text)
	case caveatPlace:
		return w.top(u.source, caveatKind, u.name.Text)
	case partialPlace:
		return w.top(u.source, partialKind, u.name.Text)
	case namePlace, relationPlace:
		return w.nameOf(u.owner, u.name.Text)
	}
	var found []*symbol
	for _, t := range w.containers(u) {
		found = append(found, w.member(t, u.name.Text, nil)...)
	}
	return found
}

// containers are the types, or the one type or partial, that a use names
// something of.
func (w *world) containers(u *use) []*symbol {
	switch u.place {
	case usersetPlace:
		return w.top(u.source, typeKind, u.typ)
	case arrowPlace:
		return w.typesBehind(u.owner, u.left)
	case subjectPlace:
		return w.typesOf(u.source, u.types)
	case namePlace, relationPlace:
		return []*symbol{u.owner}
	}
	return nil
}

// nameOf finds a name that an expression of a type or partial may use. One of a
// partial may be declared by whoever takes it in.
func (w *world) nameOf(owner *symbol, name string) []*symbol {
	if owner == nil {
		return nil
	}
	found := w.member(owner, name, nil)
	if len(found) > 0 || owner.kind != partialKind {
		return found
	}
	for _, around := range w.includersOf(owner) {
		for _, m := range w.member(around, name, nil) {
			if !slices.Contains(found, m) {
				found = append(found, m)
			}
		}
	}
	return found
}

// member finds a name of a type or partial, its own or of a partial that it takes
// in; been are the partials on the way, which may stand in a circle.
func (w *world) member(owner *symbol, name string, been map[*symbol]bool) []*symbol {
	found := owner.named[name]
	if len(found) > 0 || len(owner.definition.Includes) == 0 {
		return found
	}
	if been == nil {
		been = make(map[*symbol]bool)
	}
	been[owner] = true
	for _, i := range owner.definition.Includes {
		for _, partial := range w.top(owner.source, partialKind, i.Name.Text) {
			if !been[partial] {
				found = append(found, w.member(partial, name, been)...)
			}
		}
	}
	return found
}

// includersOf are the types and partials that take a partial in, at any depth.
func (w *world) includersOf(partial *symbol) []*symbol {
	if w.includers == nil {
		w.includers = make(map[*symbol][]*symbol)
		for _, s := range w.sources {
			for _, x := range s.symbols {
				if x.definition == nil {
					continue
				}
				for _, i := range x.definition.Includes {
					for _, p := range w.top(s, partialKind, i.Name.Text) {
						w.includers[p] = append(w.includers[p], x)
					}
				}
			}
		}
	}
	found := slices.Clone(w.includers[partial])
	for i := 0; i < len(found) && len(found) < behindMax; i++ {
		for _, around := range w.includers[found[i]] {
			if !slices.Contains(found, around) {
				found = append(found, around)
			}
		}
	}
	return found
}

// typesBehind are the types that an arrow from this expression leads to.
func (w *world) typesBehind(owner *symbol, left syntax.Expr) []*symbol {
	if types, known := w.behind[left]; known {
		return types
	}
	var relations []*symbol
	switch left := left.(type) {
	case *syntax.NameExpr:
		relations = w.nameOf(owner, left.Name.Text)
	case *syntax.ArrowExpr:
		for _, t := range w.typesBehind(owner, left.Left) {
			relations = append(relations, w.member(t, left.Target.Text, nil)...)
		}
	}
	var types []*symbol
	for _, r := range relations {
		if r.relation == nil {
			continue // an arrow starts at what is stored
		}
		for _, t := range w.typesOf(r.source, r.relation.Types) {
			if len(types) < behindMax && !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	w.behind[left] = types
	return types
}

// typesOf are the types that subjects of these forms have. The relation of a
// userset is left aside, and a wildcard leads nowhere.
func (w *world) typesOf(from *source, forms []*syntax.TypeRef) []*symbol {
	var types []*symbol
	for _, f := range forms {
		if f.Wildcard || len(types) >= behindMax {
			continue
		}
		for _, t := range w.top(from, typeKind, f.Type.Text) {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return types
}

// meant are the symbols that a mention is about.
func (w *world) meant(m *mention) []*symbol {
	if m.symbol != nil {
		return []*symbol{m.symbol}
	}
	return w.meaning(m.use)
}

// usesOf are the uses of any of these symbols, which share a name, in source
// order.
func (w *world) usesOf(symbols []*symbol) []*use {
	var uses []*use
	if len(symbols) == 0 {
		return nil
	}
	for _, s := range w.sources {
		for _, m := range s.mentions {
			if m.use == nil || m.use.name.Text != symbols[0].name.Text {
				continue
			}
			if slices.ContainsFunc(w.meaning(m.use), func(x *symbol) bool { return slices.Contains(symbols, x) }) {
				uses = append(uses, m.use)
			}
		}
	}
	return uses
}
