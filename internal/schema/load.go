package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

const (
	// filesMax bounds the files of one schema: each is opened and read.
	filesMax = 1000
	// loadedBytesMax bounds what they hold together. It is the bound of one text,
	// found out before the next file is read.
	loadedBytesMax = 1 << 20
)

// A Loaded is a schema read from a file: the file's text as it stands, or where it
// imports others, one text of all of them that compiles anywhere. The features
// that they use stand at its top; then come the files, each once and behind those
// that it imports, without their `use` and `import` lines, which are left blank.
type Loaded struct {
	Text string

	files []loadedFile
}

// A loadedFile is where one file stands in the joined text.
type loadedFile struct {
	name         string
	before, last int // the lines of the joined text before its first, and its last
}

// Load reads a schema file and all that it imports, by read, which is os.ReadFile
// where files are files. A path in an import is relative to the file that it
// stands in, and written with `/` on every system. It stays in the folder of the
// file that is loaded, so that a folder is a whole schema wherever it is put, and
// a schema from elsewhere does not read what is around it.
//
// The error is a fault with all that is wrong: with the imports, and where there
// are any, with the form of the files. What the schema means is for Compile.
func Load(path string, read func(path string) ([]byte, error)) (Loaded, error) {
	l := &loader{read: read, root: filepath.Dir(path), files: make(map[string]*source)}
	main, err := l.open(path)
	if err != nil {
		return Loaded{}, cannotRead(path, err)
	}
	if len(main.file.Imports) == 0 {
		return Loaded{Text: main.text, files: []loadedFile{{name: path, last: 1 << 30}}}, nil
	}
	l.follow(main)
	if len(l.faults) > 0 {
		return Loaded{}, fault.Join(clipped(l.faults))
	}
	return l.join(), nil
}

// Joined reports whether the text is more than the file that was loaded.
func (l Loaded) Joined() bool { return len(l.files) > 1 }

// Place is where a place of the text stands: in which file, and where there. What
// stands in no file, as the features at the top, is of the first line of the one
// that was loaded.
func (l Loaded) Place(line, column int) (file string, fileLine, fileColumn int) {
	for _, f := range l.files {
		if f.before < line && line <= f.last {
			return f.name, line - f.before, column
		}
	}
	return l.files[len(l.files)-1].name, 1, 1
}

// Compile is Compile of the text, with every fault and warning placed in its file.
func (l Loaded) Compile() (*Schema, []*fault.Fault) {
	c, faults := compile(l.Text, l.where())
	l.place(faults)
	if len(faults) > 0 {
		return nil, faults
	}
	l.place(c.schema.warnings)
	return c.schema, nil
}

// where calls a line by its file, where there are several.
func (l Loaded) where() func(line int) string {
	if !l.Joined() {
		return nil
	}
	return func(line int) string {
		file, line, _ := l.Place(line, 1)
		return fmt.Sprintf("line %d of %s", line, file)
	}
}

func (l Loaded) place(faults []*fault.Fault) {
	for _, f := range faults {
		f.File, f.Line, f.Column = l.Place(f.Line, f.Column)
	}
}

// A source is one file while it is loaded.
type source struct {
	name    string
	text    string
	file    *syntax.File
	faults  []*fault.Fault // of its form
	visited bool           // all that it imports stands in order
}

// A loader follows imports.
type loader struct {
	read   func(string) ([]byte, error)
	root   string
	files  map[string]*source
	path   []*source // from the file that is loaded to the one that is followed
	order  []*source // each behind those that it imports
	bytes  int
	faults []*fault.Fault
}

func (l *loader) open(name string) (*source, error) {
	raw, err := l.read(name)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, text: string(raw)}
	s.file, s.faults = syntax.Parse(s.text)
	for _, f := range s.faults {
		f.File = name
	}
	l.files[filepath.Clean(name)] = s
	l.bytes += len(raw)
	return s, nil
}

// follow reads what a file imports, and puts the file behind it.
func (l *loader) follow(s *source) {
	l.faults = append(l.faults, s.faults...)
	l.path = append(l.path, s)
	for _, in := range s.file.Imports {
		l.importFile(s, in)
	}
	l.path = l.path[:len(l.path)-1]
	s.visited = true
	l.order = append(l.order, s)
}

func (l *loader) importFile(from *source, in *syntax.Import) {
	report := func(f *fault.Fault) {
		f.File, f.Line, f.Column = from.name, in.PathAt.Line, in.PathAt.Column
		l.faults = append(l.faults, f)
	}
	name, f := l.resolve(from, in.Path)
	if f != nil {
		report(f)
		return
	}
	if s := l.files[filepath.Clean(name)]; s != nil {
		if !s.visited {
			var circle []string
			for _, x := range l.path[slices.Index(l.path, s):] {
				circle = append(circle, x.name)
			}
			report(includesMustNotCircle("file", append(circle, s.name)))
		}
		return
	}
	if len(l.files) == filesMax || l.bytes > loadedBytesMax {
		if len(l.faults) == 0 || l.faults[len(l.faults)-1].Code != fault.SchemaMustStayWithinBounds {
			report(fault.Newf(fault.SchemaMustStayWithinBounds, "with %q the schema is too large", in.Path).
				Do("a schema has at most %d files and %d bytes", filesMax, loadedBytesMax))
		}
		return
	}
	s, err := l.open(name)
	if err != nil {
		report(fault.Newf(fault.ImportMustBeReadable, "cannot import %q: %s", in.Path, causeOf(name, err)).
			Do("a path is relative to the file that it stands in; correct it, or put the file there"))
		return
	}
	l.follow(s)
}

// resolve is the file that a path names.
func (l *loader) resolve(from *source, path string) (string, *fault.Fault) {
	refuse := func(summary, remedy string) (string, *fault.Fault) {
		return "", fault.Newf(fault.ImportMustBeReadable, "cannot import %q: %s", path, summary).Do("%s", remedy)
	}
	switch {
	case path == "":
		return refuse("there is no path", "write `import \"path/of/the/file.zed\"`")
	case strings.Contains(path, "://"):
		return refuse("only local files are imported", "put a copy of it beside the schema")
	case strings.ContainsAny(path, "\\\x00"):
		return refuse("it is no path", "write `/` between folders, on every system")
	case strings.HasPrefix(path, "/"), filepath.IsAbs(path), filepath.VolumeName(path) != "":
		return refuse("the path is absolute", "write it relative to this file")
	}
	name := filepath.Join(filepath.Dir(from.name), filepath.FromSlash(path))
	if inside, err := filepath.Rel(l.root, name); err != nil || !filepath.IsLocal(inside) || inside == "." {
		return refuse(fmt.Sprintf("it is outside of the folder of %s", l.path[0].name), "keep what belongs to a schema below the file that is loaded")
	}
	return name, nil
}

// causeOf is why a file could not be read, without the path that the reader knows.
func causeOf(name string, err error) string {
	var plain *fs.PathError
	if errors.As(err, &plain) {
		return fmt.Sprintf("%s: %s", name, plain.Err)
	}
	return fmt.Sprintf("%s: %s", name, err)
}

func cannotRead(path string, err error) error {
	summary := err.Error()
	var plain *fs.PathError
	if errors.As(err, &plain) {
		summary = plain.Err.Error()
	}
	f := fault.Newf(fault.FileMustBeReadable, "cannot be read: %s", summary).Do("name a file that exists and that you may read").Because(err)
	f.File = path
	return f
}

// join is the one text of all files.
func (l *loader) join() Loaded {
	var out strings.Builder
	lines := 0
	write := func(text string) {
		out.WriteString(text)
		lines += linesOf(text) - 1
	}
	for _, feature := range l.features() {
		write("use " + feature + "\n")
	}
	var joined Loaded
	for _, s := range l.order {
		write("\n// " + l.title(s) + "\n")
		text := s.withoutHead()
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		before := lines
		write(text)
		joined.files = append(joined.files, loadedFile{s.name, before, lines})
	}
	joined.Text = out.String()
	return joined
}

// features are what the files use, in the order in which they name it.
func (l *loader) features() []string {
	var all []string
	for _, s := range l.order {
		for _, use := range s.file.Uses {
			if use.Feature.Text != "import" && !slices.Contains(all, use.Feature.Text) {
				all = append(all, use.Feature.Text)
			}
		}
	}
	return all
}

// title is a file as it is called in the joined text: by its path in the folder,
// which is the same wherever the folder is.
func (l *loader) title(s *source) string {
	inside, err := filepath.Rel(l.root, s.name)
	if err != nil {
		inside = filepath.Base(s.name)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, filepath.ToSlash(inside))
}

// withoutHead is the text with spaces where `use` and `import` stand, so that
// everything else keeps its line and column. A doc comment before one of them
// becomes a plain one: it does not speak of the definition that comes next.
func (s *source) withoutHead() string {
	type span struct{ from, to int }
	var head []span
	for _, use := range s.file.Uses {
		head = append(head, span{use.At.Offset, use.Feature.At.Offset + len(use.Feature.Text)})
	}
	for _, in := range s.file.Imports {
		head = append(head, span{in.At.Offset, in.PathAt.Offset + len(in.Path) + len(`""`)})
	}
	slices.SortFunc(head, func(a, b span) int { return a.from - b.from })
	first := s.firstBlock()
	var out strings.Builder
	at := 0
	for _, x := range head {
		before := s.text[at:x.from]
		if x.from < first {
			before = strings.ReplaceAll(before, "/**", "/* ")
		}
		out.WriteString(before)
		out.WriteString(blanked(s.text[x.from:x.to]))
		at = x.to
	}
	out.WriteString(s.text[at:])
	was, is := strings.Split(s.text, "\n"), strings.Split(out.String(), "\n")
	for i, line := range is {
		if line = strings.TrimPrefix(line, "\uFEFF"); line != was[i] && strings.Trim(line, " \t\r;") == "" {
			is[i] = ""
		}
	}
	return strings.TrimPrefix(strings.Join(is, "\n"), "\uFEFF")
}

// firstBlock is where the first definition, partial or caveat begins.
func (s *source) firstBlock() int {
	first := len(s.text)
	for _, d := range slices.Concat(s.file.Definitions, s.file.Partials) {
		first = min(first, d.At.Offset)
	}
	for _, x := range s.file.Caveats {
		first = min(first, x.At.Offset)
	}
	return first
}

// blanked is a space for every character, line ends aside.
func blanked(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return ' '
	}, text)
}

// linesOf counts lines as the scanner does: LF, CR LF and CR alone end one.
func linesOf(text string) int {
	return 1 + strings.Count(text, "\n") + strings.Count(text, "\r") - strings.Count(text, "\r\n")
}
