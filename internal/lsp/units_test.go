package lsp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every offset between two characters comes back from its position, in each
// encoding and whatever ends the lines.
func TestOffsetsComeBackFromTheirPositions(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"a", "é", "ẞ", "𝄞", "🙂", " ", "\n", "\r\n", "\r"})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(pieces).Draw(t, "text")
		e := rapid.SampledFrom([]encoding{utf8Units, utf16Units, utf32Units}).Draw(t, "encoding")
		r := newRuler(strings.Join(parts, ""), e)
		offset := 0
		for _, part := range parts {
			inCRLF := offset > 0 && r.text[offset-1] == '\r' && part[0] == '\n'
			if got := r.offset(r.position(offset)); got != offset && !inCRLF {
				t.Fatalf("offset %d came back as %d", offset, got)
			}
			offset += len(part)
		}
	})
}

func TestPositionsOutsideOfTheTextAreAtItsEdge(t *testing.T) {
	r := newRuler("ab\r\n🙂c\r", utf16Units)
	for _, c := range []struct {
		line, character, offset int
	}{
		{0, 2, 2}, {0, 99, 2}, {1, 1, 4}, {1, 2, 8}, {1, 99, 9}, {2, 0, 10}, {2, 9, 10}, {99, 0, 10}, {-1, 3, 0}, {0, -1, 0},
	} {
		if got := r.offset(position{c.line, c.character}); got != c.offset {
			t.Errorf("%d:%d is offset %d, want %d", c.line, c.character, got, c.offset)
		}
	}
}

// The compiler does not count a byte order mark, and the protocol does.
func TestPlacesBehindAByteOrderMark(t *testing.T) {
	r := newRuler(byteOrderMark+"use x\nuse y", utf16Units)
	if got := r.place(1, 5); r.text[got:got+1] != "x" {
		t.Errorf("1:5 is %q", r.text[got:])
	}
	if got := r.place(2, 5); r.text[got:] != "y" {
		t.Errorf("2:5 is %q", r.text[got:])
	}
}

func TestTheDifferenceIsTheLinesThatDiffer(t *testing.T) {
	for _, c := range []struct{ before, after, cut, put string }{
		{"a\nb\nc\n", "a\nx\nc\n", "b\n", "x\n"},
		{"a\nb\nc", "a\nb\nd", "c", "d"},
		{"a\n", "a\na\n", "", "a\n"},
		{"a\na\n", "a\n", "a\n", ""},
		{"", "a\n", "", "a\n"},
		{"a\r\nb\r\n", "a\nb\n", "a\r\nb\r\n", "a\nb\n"},
	} {
		start, end, put := difference(c.before, c.after)
		if c.before[start:end] != c.cut || put != c.put {
			t.Errorf("%q to %q: %q becomes %q", c.before, c.after, c.before[start:end], put)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.SampledFrom([]string{"a\n", "b\n", "\n", "c", "a\r\n"}))
		before, after := strings.Join(lines.Draw(t, "before"), ""), strings.Join(lines.Draw(t, "after"), "")
		start, end, put := difference(before, after)
		if before[:start]+put+before[end:] != after {
			t.Fatalf("%q with %q at %d:%d is not %q", before, put, start, end, after)
		}
	})
}

// A request that is cancelled while it waits is answered as cancelled; one that
// was answered already leaves nothing behind for its id.
func TestARequestThatWaitsCanBeCancelled(t *testing.T) {
	var in, out bytes.Buffer
	for _, body := range []string{
		`{"id":1,"method":"shutdown"}`, `{"id":"2","method":"shutdown"}`,
		`{"method":"$/cancelRequest","params":{"id":"2"}}`, `{"method":"$/cancelRequest","params":{"id":3}}`,
		`{"id":3,"method":"shutdown"}`,
	} {
		if err := writeFrame(&in, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{out: &out, initialized: true, queue: newQueue(&in, nil)}
	var arrived []*message
	for a := range s.queue.arrived { // to the end: so the cancellations are read, too
		if a.message != nil {
			arrived = append(arrived, a.message)
		}
	}
	for _, m := range arrived {
		s.shutDown = false
		s.take(m)
	}
	got := out.String()
	for _, want := range []string{`"id":1,"result":null`, `"id":"2","error":{"code":-32800`, `"id":3,"result":null`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if n := len(s.queue.waiting) + len(s.queue.cancelled); n != 0 {
		t.Errorf("%d ids are kept", n)
	}
}

// A panic costs one answer, and the session goes on.
func TestAPanicIsAnAnswer(t *testing.T) {
	s := &server{out: &bytes.Buffer{}}
	err := s.guarded(func() error { panic("here") })
	if err == nil || !strings.Contains(err.Error(), "here") {
		t.Errorf("%v", err)
	}
}

// Only a regular file within the bound is read for an import: no device, which
// might never end, and no folder.
func TestOnlyFilesWithinTheBoundAreImported(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		text := "definition user {}" + strings.Repeat(" ", size-len("definition user {}"))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("fits.zed", importBytesMax)
	write("long.zed", importBytesMax+1)
	for _, c := range []struct {
		path  string
		found int
	}{{"fits.zed", 1}, {"long.zed", 0}, {"/dev/zero", 0}, {".", 0}, {"", 0}} {
		s := newSource(uriOf(filepath.Join(dir, "main.zed")), "use import\nimport \""+c.path+"\"\n", utf16Units)
		if got := newWorld(s, nil).top(s, typeKind, "user"); len(got) != c.found {
			t.Errorf("%q: %d types, want %d", c.path, len(got), c.found)
		}
	}
}

func TestURIsAndPaths(t *testing.T) {
	for uri, path := range map[string]string{
		"file:///a/b%20c.zed": "/a/b c.zed", "file:///a/../b.zed": "/b.zed", "untitled:x": "", "file://": "", ":": "",
	} {
		if got := pathOf(uri); got != filepath.FromSlash(path) {
			t.Errorf("%s is the path %q, want %q", uri, got, path)
		}
	}
	if got := uriOf("/a/b c#d.zed"); got != "file:///a/b%20c%23d.zed" {
		t.Errorf("the URI is %s", got)
	}
}

// Whatever a text is, every question about it has an answer, in a time that grows
// with it and not with its square; else this test does not end.
func TestHostileTextsAreAnsweredInLinearTime(t *testing.T) {
	const size = 1 << 15
	repeat := func(part string) string { return strings.Repeat(part, size/len(part)) }
	for _, text := range []string{
		repeat("{"), repeat("/*"), repeat("'"), repeat("definition a {\n"), repeat("caveat a(b c){\n"), repeat("caveat a(b c){ \"\"\"\n"),
		repeat("\xff"), repeat("𝄞"), repeat("\r"), repeat("import \"a\"\n"), repeat("import \"\n"),
		"definition a { relation b: a" + repeat("|a") + "\npermission c = b" + repeat("->b") + " }",
		"definition a { permission b = b" + repeat("+b->b") + " }",
		repeat("definition a { relation b: a; permission c = b }; "),
		"definition a {" + repeat("relation b: a; ") + "}",
		repeat("partial a { ...a\n ...b }\npartial b { ...a\n permission c = d }\n"),
		repeat("definition a { relation b: a\n permission c = b->c }\n"),
	} {
		s := &server{out: &bytes.Buffer{}, encoding: utf16Units, initialized: true}
		s.open(textDocument{URI: "file:///a.zed", Text: text})
		d := s.documents[0]
		for _, offset := range []int{len(text) / 3, len(text) / 2, len(text)} {
			p := documentParams{Position: d.position(offset)}
			for _, ask := range []func(*document, documentParams) any{s.hover, s.definition, s.references, s.symbols, s.completion} {
				ask(d, p)
			}
		}
	}
}

func FuzzEveryQuestionHasAnAnswer(f *testing.F) {
	f.Add("use roles\ndefinition a { roles { b: a = c->b granted by subject->b } }", 20)
	f.Add("caveat c(x int) { x > 1 }\npartial p { ...p }\nimport \"x\" // \U0001d11e", 30)
	f.Fuzz(func(t *testing.T, text string, offset int) {
		s := &server{out: &bytes.Buffer{}, encoding: utf16Units, initialized: true, hierarchical: true}
		s.open(textDocument{URI: "untitled:a", Text: text})
		d := s.documents[0]
		offset = max(0, min(offset, len(text)))
		p := documentParams{Position: d.position(offset)}
		for _, ask := range []func(*document, documentParams) any{s.hover, s.definition, s.references, s.symbols, s.completion, s.format} {
			ask(d, p)
		}
		s.diagnose(d.source)
	})
}
