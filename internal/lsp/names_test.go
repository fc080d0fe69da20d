package lsp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// drive has a place for every kind of name: a mark with `=` in it is a use, and
// names what it is declared as.
const drive = `use roles
use expiration
use partial
‹kw use›use self

caveat ‹office›office(hour int) {
  hour >= 9 // viewer
}

‹kw partial›partial ‹shared›shared {
  relation ‹s.pinned›pinned: ‹=user 1›user
  permission ‹s.see›see = ‹=s.pinned›pinned + ‹=doc.viewer, partial›viewer
}

definition ‹user›user {}

definition ‹team›team {
  relation ‹t.member›member: user | team#‹=t.member›member
  permission ‹t.view›view = member
}

definition ‹org›acme/org {
  roles {
    ‹o.view›view: user
    ‹o.admin›admin: user
  }
}

/** A doc is written. */
definition ‹doc›doc {
  ...‹=shared›shared
  ‹kw within›within ‹=doc.parent, within›parent
  created by ‹=doc.parent, created›parent->‹=o.admin›admin
  relation ‹doc.parent›parent: ‹=team›team | ‹=org›acme/org | team:*
    ‹kw granted›granted ‹kw by›by ‹=doc.viewer, rule›viewer & subject->‹=t.view+o.view, subject›view
  relation ‹doc.list›list: user ‹kw of›of ‹=doc.viewer, of›viewer
  relation ‹doc.one›one: user one ‹kw per›per subject with ‹=doc.parent, one›parent
  roles ‹kw one›one per subject except ‹=doc.list, except›list {
    inherit from ‹=doc.parent, inherit›parent
    ‹doc.viewer›viewer: user with ‹=office›office ‹kw and›and expiration = parent->‹=t.view+o.view›view
    ‹doc.editor›editor: user
  }
  permission read = ‹=s.pinned, from the type›pinned + parent.any(‹=t.view+o.view, any›view) - ‹=doc.list›list
  // viewer ‹nothing: a comment›parent
  permission more = ‹=s.see›see + ‹nothing: undeclared›missing + ‹kw nil›nil
}
`

func TestDefinitionsOfEveryKindOfName(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file:///drive.zed", drive)
	tried := 0
	for mark := range p.places {
		var want []string
		switch {
		case strings.HasPrefix(mark, "="):
			to, _, _ := strings.Cut(mark[1:], ",")
			to = strings.TrimRight(to, " 0123456789")
			want = strings.Split(to, "+")
		case strings.HasPrefix(mark, "kw "), strings.HasPrefix(mark, "nothing"):
			want = []string{}
		default:
			want = []string{mark} // where it is declared, its place is its own
		}
		tried++
		same(t, mark, e.definition(p, mark), want)
	}
	if tried < 40 {
		t.Errorf("only %d places were tried", tried)
	}
}

func TestReferencesAreTheUsesOfOneName(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file:///drive.zed", drive)
	references := func(mark string, declaration bool) []string {
		params := e.at(p, mark)
		params["context"] = object{"includeDeclaration": declaration}
		var places []place
		e.call("textDocument/references", params, &places)
		return e.marks(places, p)
	}
	same(t, "of a role of another type", references("o.view", false),
		[]string{"=t.view+o.view, subject", "=t.view+o.view", "=t.view+o.view, any"})
	same(t, "from a use, with the declaration", references("=doc.viewer, of", true),
		[]string{"doc.viewer", "=doc.viewer, partial", "=doc.viewer, rule", "=doc.viewer, of"})
	same(t, "of both that an arrow leads to", references("=t.view+o.view, any", true),
		[]string{"t.view", "o.view", "=t.view+o.view, subject", "=t.view+o.view", "=t.view+o.view, any"})
	same(t, "of a word", references("kw of", true), []string{})
	same(t, "of a name that nobody declares", references("nothing: undeclared", true), []string{})
}

func TestHoverSaysWhatANameIs(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file:///drive.zed", drive)
	for _, c := range []struct {
		mark string
		says []string
	}{
		{"doc.parent", []string{
			"```zed\nrelation parent: team | acme/org | team:*\n  granted by viewer & subject->view\n```",
			"relation of type doc", "used 6 times:", "- type doc: within, line 32", "- type doc: role viewer, line 40",
			"- type doc: relation one, one per subject with, line 37", "- type doc: permission read, line 43",
		}},
		{"doc.viewer", []string{
			"viewer: user with office and expiration = parent->view\n  inherit from parent\n  except list",
			"role of type doc, on the ladder viewer < editor", "no actor may write it", "- type doc: relation parent, granted by, line 35",
		}},
		{"=t.view+o.view", []string{"permission view = member", "permission of type team", "view: user\n", "role of type acme/org, on the ladder view < admin"}},
		{"doc", []string{"definition doc\n", "A doc is written.", "used nowhere here"}},
		{"office", []string{"caveat office(hour int) {\n  hour >= 9 // viewer\n}", "used in type doc: role viewer, line 40"}},
		{"=shared", []string{"partial shared", "used in type doc: ..., line 31"}},
		{"s.see", []string{"permission see = pinned + viewer", "permission of partial shared"}},
		{"doc.one", []string{"relation one: user\n  one per subject with parent"}},
		{"kw one", []string{"at most one stored role"}},
		{"kw per", []string{"for each object that REL points to"}},
		{"kw granted", []string{"granted by EXPR: to add a tuple"}},
		{"kw by", []string{"granted by EXPR: to add a tuple"}},
		{"kw and", []string{"a caveat and a time"}},
		{"kw of", []string{"each subject must also stand in REL"}},
		{"kw within", []string{"inside another"}},
		{"kw partial", []string{"take in"}},
		{"kw use", []string{"switches on"}},
		{"kw nil", []string{"nobody"}},
	} {
		got := e.hover(p, c.mark)
		for _, part := range c.says {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %q in\n%s", c.mark, part, got)
			}
		}
	}
	for mark := range p.places {
		if strings.HasPrefix(mark, "nothing") {
			same(t, mark, e.hover(p, mark), "")
		}
	}
}

func TestHoverIsPlainForAClientWithoutMarkdown(t *testing.T) {
	e := startEditor(t, object{})
	defer e.leave()
	p := e.open("file:///a.zed", "use ‹feature›roles\n/** one of us */\ndefinition ‹user›user {}\n")
	same(t, "hover", e.hover(p, "user"), "definition user\n\ntype\n\none of us\n\nused nowhere here")
	if got := e.hover(p, "feature"); !strings.HasPrefix(got, "use roles: ") {
		t.Errorf("hover of a feature: %q", got)
	}
}

// Places are counted in what client and server agreed on, behind characters that
// take one, two, three and four bytes, and behind every kind of line end.
func TestPlacesAreCountedInTheUnitsOfTheClient(t *testing.T) {
	for _, c := range []struct {
		offered []string
		units   string
	}{
		{nil, "utf-16"}, {[]string{"utf-16"}, "utf-16"}, {[]string{"utf-16", "utf-32"}, "utf-32"},
		{[]string{"utf-32", "utf-16", "utf-8"}, "utf-8"}, {[]string{"utf-7"}, "utf-16"},
	} {
		e := startEditor(t, object{"general": object{"positionEncodings": c.offered}})
		same(t, "units", e.units, c.units)
		p := e.open("file:///a.zed", "/** 𝄞 a 🙂 type */ definition ‹user›user {}\r\n// ẞ𐐀\r"+
			"definition doc { /* 🙂é */ relation ‹r›viewer: /* 𝄞 */ ‹=user›user\n"+
			"/* 𐐀𐐀 */ permission a = /* é */ ‹=r›viewer + /* 🙂 */ ‹missing›missing }\n")
		same(t, "definition", e.definition(p, "=r"), []string{"r"})
		same(t, "definition", e.definition(p, "=user"), []string{"user"})
		if got := e.hover(p, "user"); !strings.Contains(got, "𝄞 a 🙂 type") {
			t.Errorf("hover: %s", got)
		}
		var said diagnostics
		e.await("textDocument/publishDiagnostics", &said)
		if len(said.Diagnostics) != 1 {
			t.Fatalf("%+v", said)
		}
		same(t, "diagnostic", e.marks([]place{{p.uri, said.Diagnostics[0].Range}}, p), []string{"missing"})
		e.leave()
	}
}

func TestATextWithErrorsIsFollowedAsFarAsItWasRead(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file:///a.zed", `definition ‹user›user {}
definition doc {
  relation ‹r›viewer: ‹=user›user |
  permission a = ‹=r›viewer + (
  permission b = ‹=r, behind an error›viewer
  relashun x: user
`)
	for mark := range p.places {
		if to, found := strings.CutPrefix(mark, "="); found {
			to, _, _ = strings.Cut(to, ",")
			same(t, mark, e.definition(p, mark), []string{to})
		}
	}
	if got := e.hover(p, "r"); !strings.Contains(got, "used 2 times") {
		t.Errorf("hover: %s", got)
	}
	var said diagnostics
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) < 3 {
		t.Errorf("%+v", said)
	}
	same(t, "formatted", e.formatted(p.uri, p.text), p.text)
}

func TestWarningsAreShownAsWarnings(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	e.open("file:///a.zed", "definition user {}\ndefinition doc {\n  relation a: user\n  permission b = a + a & a\n}\n")
	var said diagnostics
	e.await("textDocument/publishDiagnostics", &said)
	if len(said.Diagnostics) != 1 || said.Diagnostics[0].Severity != 2 || !strings.Contains(said.Diagnostics[0].Message, "\nput parentheses") {
		t.Errorf("%+v", said)
	}
}

// What an import names is found by its path from the document; an open document
// counts before the file.
func TestNamesAreFollowedIntoImportedFiles(t *testing.T) {
	dir := t.TempDir()
	shared := newPage("file://"+filepath.ToSlash(dir)+"/parts/shared%20one.zed",
		"use import\nimport \"../parts/shared one.zed\"\n/** from afar */\ndefinition ‹user›user { relation ‹boss›boss: ‹=doc›doc }\n")
	path := filepath.Join(dir, "parts", "shared one.zed")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(shared.text), 0o644); err != nil {
		t.Fatal(err)
	}
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file://"+filepath.ToSlash(dir)+"/main.zed", "use import\nimport \"‹path›parts/shared one.zed\"\nimport '‹gone›nowhere.zed'\n"+
		"definition ‹doc›doc {\n  relation owner: ‹=user›user\n  permission view = owner->‹=boss›boss\n}\n")
	same(t, "a type", e.definition(p, "=user", shared), []string{"user"})
	same(t, "behind an arrow", e.definition(p, "=boss", shared), []string{"boss"})
	if got := e.hover(p, "=user"); !strings.Contains(got, "from afar") || !strings.Contains(got, "type, in "+path) {
		t.Errorf("hover: %s", got)
	}
	var places []place
	e.call("textDocument/definition", e.at(p, "path"), &places)
	same(t, "the file", places, []place{{URI: shared.uri}})
	e.call("textDocument/definition", e.at(p, "gone"), &places)
	same(t, "a file that is not there", places, []place{})

	opened := e.open(shared.uri, "// one line more\n"+
		"use import\n/** from afar */\ndefinition ‹user›user { relation ‹boss›boss: ‹=doc›doc }\n")
	same(t, "a type of an open document", e.definition(p, "=user", opened), []string{"user"})
	same(t, "a type of who imports it", e.definition(opened, "=doc", p), []string{"doc"})
	if got := e.hover(p, "doc"); !strings.Contains(got, "used in type user: relation boss, line 4 of "+path) {
		t.Errorf("hover: %s", got)
	}
	alone := e.open("untitled:1", "use import\nimport \"‹path›parts/shared one.zed\"\ndefinition x { relation y: ‹user›user }")
	same(t, "from a text in no file", e.definition(alone, "user"), []string{})
	e.call("textDocument/definition", e.at(alone, "path"), &places)
	same(t, "the file of a text in no file", places, []place{})
}

// A text is judged together with what it imports: an open document before the file,
// and again when that changes.
func TestATextIsJudgedWithWhatItImports(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.zed"), []byte("definition user {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := startEditor(t, markdownClient())
	defer e.leave()
	uri := "file://" + filepath.ToSlash(dir)
	expect := func(of, want string) {
		t.Helper()
		var said diagnostics
		for said.URI != uri+of {
			said = diagnostics{}
			e.await("textDocument/publishDiagnostics", &said)
		}
		var got []string
		for _, d := range said.Diagnostics {
			got = append(got, fmt.Sprintf("%d %s", d.Range.Start.Line, d.Message))
		}
		if len(got) > 1 || strings.Join(got, "") == "" != (want == "") || !strings.Contains(strings.Join(got, ""), want) {
			t.Errorf("%s: %q, want %q", of, got, want)
		}
	}
	e.open(uri+"/main.zed", "use import\nimport \"users.zed\"\ndefinition doc { relation owner: user }\n")
	expect("/main.zed", "")
	e.open(uri+"/users.zed", "definition person {}\n")
	expect("/main.zed", `2 type "user" is not defined`)
	e.open(uri+"/users.zed", "definition user { relation boss: usr }\n")
	expect("/main.zed", "1 "+filepath.Join(dir, "users.zed")+`:1:34: type "usr" is not defined`)
	e.open(uri+"/lost.zed", "use import\nimport \"nowhere.zed\"\ndefinition x {}\n")
	expect("/lost.zed", `1 cannot import "nowhere.zed"`)
}

func TestTheOutlineHasEveryDeclarationInItsBounds(t *testing.T) {
	type symbol struct {
		Name, Detail          string
		Range, SelectionRange struct{ Start, End position }
		Children              []symbol
		ContainerName         string
		Location              place
	}
	e := startEditor(t, markdownClient())
	p := e.open("file:///drive.zed", drive)
	text := func(e *editor, from, to position) string {
		lines := strings.SplitAfter(p.text, "\n")
		start := len(strings.Join(lines[:from.Line], "")) + from.Character
		return p.text[start : len(strings.Join(lines[:to.Line], ""))+to.Character]
	}
	var outline []symbol
	e.call("textDocument/documentSymbol", object{"textDocument": object{"uri": p.uri}}, &outline)
	var lines []string
	for _, s := range outline {
		same(t, "selection", text(e, s.SelectionRange.Start, s.SelectionRange.End), s.Name)
		whole := text(e, s.Range.Start, s.Range.End)
		if !strings.HasPrefix(whole, strings.Replace(s.Detail, "type", "definition", 1)+" "+s.Name) || !strings.HasSuffix(whole, "}") {
			t.Errorf("%s is %q", s.Name, whole)
		}
		for _, m := range s.Children {
			lines = append(lines, s.Name+" "+m.Detail+": "+text(e, m.Range.Start, m.Range.End))
		}
	}
	for _, want := range []string{
		"team relation: relation member: user | team#member",
		"acme/org role: admin: user",
		"doc role: editor: user",
		"doc permission: permission more = see + missing + nil",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	e.leave()

	e = startEditor(t, object{})
	defer e.leave()
	e.open(p.uri, drive)
	var flat []symbol
	e.call("textDocument/documentSymbol", object{"textDocument": object{"uri": p.uri}}, &flat)
	found := slices.ContainsFunc(flat, func(s symbol) bool {
		return s.Name == "editor" && s.ContainerName == "doc" && s.Location.URI == p.uri &&
			text(e, s.Location.Range.Start, s.Location.Range.End) == "editor: user"
	})
	if !found {
		t.Errorf("no editor in %+v", flat)
	}
}

func TestCompletionOffersWhatCanStandThere(t *testing.T) {
	e := startEditor(t, markdownClient())
	defer e.leave()
	p := e.open("file:///drive.zed", `use expiration
use ‹feature›
caveat office(hour int) { hour > 9 }
partial shared { relation pinned: user }
definition user {}
definition team { relation member: us‹type›er | team#‹userset›
  permission view = member }
definition doc {
  ...‹partial›
  relation parent: team | doc
  relation owner: user with ‹caveat›
  permission view = ow‹name›
  permission all = parent->‹arrow›
  permission any = parent.any(‹any›)
  within ‹within›
  // parent->‹comment›
  ‹statement›
  relation ‹declared›
}
`)
	for _, c := range []struct {
		mark string
		want []string
	}{
		{"feature", []string{"expiration", "import", "partial", "roles", "self", "typechecking"}},
		{"type", []string{"user"}},
		{"userset", []string{"member", "view"}},
		{"partial", []string{"shared"}},
		{"caveat", []string{"office", "expiration"}},
		{"name", []string{"owner"}},
		{"arrow", []string{"member", "view", "parent", "owner", "all", "any"}},
		{"any", []string{"member", "view", "parent", "owner", "all", "any"}},
		{"within", []string{"parent", "owner"}},
		{"comment", nil}, {"statement", nil}, {"declared", nil},
	} {
		var items []struct {
			Label    string
			TextEdit struct {
				Range   struct{ Start, End position }
				NewText string
			}
		}
		e.call("textDocument/completion", e.at(p, c.mark), &items)
		var labels []string
		for _, i := range items {
			labels = append(labels, i.Label)
			same(t, "the end of what is replaced", i.TextEdit.Range.End, e.position(p, p.places[c.mark]))
		}
		same(t, c.mark, labels, c.want)
		if c.mark == "name" {
			same(t, "what is replaced", items[0].TextEdit.Range.Start, e.position(p, p.places[c.mark]-len("ow")))
		}
	}
}
