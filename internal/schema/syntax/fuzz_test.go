package syntax

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pemba-io/pemba/internal/fault"
)

// FuzzParse reads any text: no panic, a file, and faults that stand in the text
// and in source order, each with a rule and a remedy.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		file, faults := Parse(text)
		if file == nil {
			t.Fatal("no file")
		}
		if len(faults) > faultsMax {
			t.Fatalf("%d faults", len(faults))
		}
		lines := splitLines(text)
		var last *fault.Fault
		for _, f := range faults {
			switch {
			case f.Code == 0 || f.Summary == "" || f.Remedy == "" || !utf8.ValidString(f.Sentence()):
				t.Fatalf("the fault says too little: %#v", f)
			case f.Line < 1 || f.Line > len(lines) || f.Column < 1:
				t.Fatalf("%s is not in the text", f.Sentence())
			case f.Column > utf8.RuneCountInString(lines[f.Line-1])+1:
				t.Fatalf("%s is behind its line", f.Sentence())
			case last != nil && (f.Line < last.Line || f.Line == last.Line && f.Column < last.Column):
				t.Fatalf("%s stands behind %s", f.Sentence(), last.Sentence())
			}
			last = f
		}
		if len(faults) == 0 && len(text) <= schemaBytesMax && !utf8.ValidString(text) {
			t.Fatal("text that is not UTF-8 was read")
		}
		checkPositions(t, file, text, len(faults) == 0)
	})
}

// FuzzFormat lays out any text that can be read: what comes out can be read
// again, means the same, has the same comments, and is laid out already. The
// mangler finds what bytes alone hardly ever do: comments and line ends in every
// place where the language lets them stand.
func FuzzFormat(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		if !formatKeepsItsPromises(t, text) {
			return
		}
		for n := range uint64(4) {
			other := mangled(text, rand.New(rand.NewPCG(n, uint64(len(text)))))
			if !formatKeepsItsPromises(t, other) {
				_, faults := Parse(other)
				t.Errorf("mangled, %v\n%s\nof\n%s", faults[0], other, text)
			}
		}
	})
}

// formatKeepsItsPromises reports whether the text could be read.
func formatKeepsItsPromises(t *testing.T, text string) bool {
	t.Helper()
	once, faults := Format(text)
	file, parsed := Parse(text)
	if len(faults) != len(parsed) {
		t.Fatalf("%d faults of Format, %d of Parse", len(faults), len(parsed))
	}
	if len(faults) > 0 {
		if once != "" {
			t.Fatal("a text with faults was formatted")
		}
		return false
	}
	again, faults := Parse(once)
	if len(faults) > 0 {
		t.Fatalf("the result cannot be read: %s\n%s\nof\n%s", faults[0].Sentence(), once, text)
	}
	if diff := difference(file, again); diff != "" {
		t.Fatalf("the meaning changed:\n%s\n%s\nof\n%s", diff, once, text)
	}
	if before, after := words(text), words(once); !slices.Equal(before, after) {
		t.Fatalf("tokens or comments changed:\n%s\nof\n%s", cmp.Diff(before, after), text)
	}
	if twice, _ := Format(once); once != twice {
		t.Fatalf("formatted twice it differs:\n%s\nof\n%s", cmp.Diff(once, twice), text)
	}
	return true
}

// mangled puts other white space and new comments between the tokens of a text
// that can be read. The result can be read, too.
func mangled(text string, random *rand.Rand) string {
	p := newParser(text)
	p.keep = true
	p.parse()
	inside := []string{"", "", " ", " ", "\t ", " ", " /* c */ ", " /* c\n d */", " /** d */ "}
	before := []string{"", " ", "\n", "\r\n  ", " // c\n", "\n  // c\n", "\n/* c\n * d\n */\n", " // a\n\n\n// b\n"}
	between := []string{
		"\n", "\n\n\n", ";", " ; ", "\n;\n", " // c\n", "\n// c\n", "\n/** d */ ", "\n\n/** d\n * e */\n\n",
		"; /* c */ ", " /* c */ ; /** d */ ", " /* c\n   d */\n/** e\n  f\n    g */\n", "\n/** d */;\n// c\n", " /* a */ // b\n",
	}
	var out strings.Builder
	parens := 0
	for i, piece := range p.pieces {
		gap := ""
		pick := func(gaps []string) {
			if random.IntN(3) == 0 || gap == "" {
				gap = gaps[random.IntN(len(gaps))]
			}
		}
		breakable := parens > 0 || i > 0 && leavesOpen(p.pieces[i-1].kind)
		switch piece.part {
		case verbatim:
			gap = "\n"
		case clauseStart, ruleStart, operator, item:
			breakable = true
		}
		switch {
		case i == 0:
		case p.pieces[i-1].part == verbatim:
			gap = "\n" // behind what may end with a comment of CEL
		case piece.startsLine() && piece.part != verbatim:
			pick(between)
		case breakable:
			pick(before)
		default:
			pick(inside)
		}
		if gap == "" && i > 0 && spaced(p.pieces[i-1], piece) {
			gap = " "
		}
		out.WriteString(gap)
		out.WriteString(piece.text)
		switch piece.kind {
		case '(', '[':
			parens++
		case ')', ']':
			parens--
		}
	}
	return out.String()
}

// seed adds every schema of the tests and examples, and some that are nowhere.
func seed(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/*/*.zed", "../../../examples/*/schema.zed"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	for _, text := range []string{
		"", "; // c\ndefinition a {}", "\uFEFF", "\r", "//", "/*", "/**/", "'", "caveat a(b c) { \"\"\"\n }", "definition a {\r\n\r\n}",
		"use roles\ndefinition a { roles { of: a\n of a } }", "definition a { permission b = (((c",
		"definition a { permission b = c\n\t/** d */ // e\n\t+ f; /* g */ permission h = (i /* j\nk */ - l) }",
		"caveat a(b map<list<int>>) { b == r'\\' && '\\'}' == \"{\" // }\n && [1].all(x, {x: 1}[x] == 1) }",
	} {
		f.Add(text)
	}
}

// difference says where two files mean something else, wherever things stand.
// The lines of a caveat may be indented differently.
func difference(a, b *File) string {
	trimmed := cmp.FilterPath(func(path cmp.Path) bool { return path.Last().String() == ".Body" },
		cmp.Transformer("lines", func(body string) []string {
			lines := splitLines(body)
			for i := range lines {
				lines[i] = strings.Trim(lines[i], spaces)
			}
			return lines
		}))
	return cmp.Diff(a, b, cmpopts.IgnoreTypes(Pos{}), cmpopts.EquateEmpty(), trimmed)
}

// words lists the tokens and comments of a text, without white space.
func words(text string) []string {
	p := newParser(text)
	p.keep = true
	p.parse()
	var words []string
	add := func(comments []comment) {
		for _, c := range comments {
			words = append(words, strings.Join(strings.Fields(strings.Join(c.lines(), " ")), " "))
		}
	}
	for _, piece := range p.pieces {
		add(piece.lead)
		if !piece.startsLine() {
			add(piece.gap)
		}
		words = append(words, strings.Join(strings.Fields(piece.text), " "))
		add(piece.trail)
	}
	return words
}
