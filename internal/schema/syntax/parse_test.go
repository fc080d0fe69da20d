package syntax

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
)

func TestExpressionsGroup(t *testing.T) {
	for _, c := range []struct{ name, expr, want string }{
		{"a name is itself", "a", "a"},
		{"union binds tighter than intersection", "a + b & c", "((a + b) & c)"},
		{"on either side", "a & b + c", "(a & (b + c))"},
		{"intersection binds tighter than exclusion", "a - b & c", "(a - (b & c))"},
		{"exclusion comes last", "a + b & c - d & e + f", "(((a + b) & c) - (d & (e + f)))"},
		{"union groups to the left", "a + b + c", "((a + b) + c)"},
		{"exclusion groups to the left", "a - b - c", "((a - b) - c)"},
		{"parentheses are kept", "a - (b - (c))", "(a - <(b - <c>)>)"},
		{"an arrow binds tightest", "a + b->c & d", "((a + b->c) & d)"},
		{"arrows nest to the left", "a->b->c", "a->b->c"},
		{"functions are arrows", "a.any(b) + c.all(d)", "(a.any(b) + c.all(d))"},
		{"functions and arrows mix", "a->b.all(c)->d", "a->b.all(c)->d"},
		{"nil and self are no names", "nil + self", "(NIL + SELF)"},
		{"behind an arrow they are", "a->nil + a->self", "(a->nil + a->self)"},
		{"subject is a name outside of rules", "subject + subject->a", "(subject + subject->a)"},
		{"lines continue with an operator", "a\n + b\n\n // why\n - c\n ->d", "((a + b) - c->d)"},
		{"lines continue behind an operator", "a +\n b -\n\n /* why */ c->\n d", "((a + b) - c->d)"},
		{"lines continue in parentheses", "(\na\n+ b\n)", "<(a + b)>"},
		{"words of the language are names", "of + granted & one - roles->within", "(((of + granted) & one) - roles->within)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := parsed(t, "use self\ndefinition d { permission p = "+c.expr+"\n}")
			if got := show(file.Definitions[0].Permissions[0].Expr); got != c.want {
				t.Errorf("%s is %s, want %s", c.expr, got, c.want)
			}
		})
	}
}

func TestRelationsHaveTheirParts(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{
			"types of each form", "relation a: b | b:* | b#c | d/b#... | b/c/d",
			"a: b | b:* | b#c | d/b | b/c/d",
		},
		{
			"types with conditions", "relation a: b with c | b:* with d/c | b with expiration | b#e with c and expiration",
			"a: b with c | b:* with d/c | b with expiration | b#e with c and expiration",
		},
		{"a multiplicity of one number", "relation a: b [3]", "a: b [3..3]"},
		{"a multiplicity of two", "relation a: b [0..1000000]", "a: b [0..1000000]"},
		{"a multiplicity without end", "relation a: b [ 1 .. * ]", "a: b [1..*]"},
		{
			"all clauses", "relation a: b [1] of c one per subject with d granted by e except self revoked by f",
			"a: b [1..1] of c one per subject with d granted by e except self revoked by f",
		},
		{
			"clauses on lines of their own",
			"relation a: b\n| c\n of d\n\n one per subject with e\n granted by f\n & g\n except self\n // why\n revoked by h",
			"a: b | c of d one per subject with e granted by (f & g) except self revoked by h",
		},
		{
			"subject-> in both rules", "relation a: b granted by subject->c & d revoked by c->subject - subject->e",
			"a: b granted by (SUBJECT->c & d) revoked by (c->subject - SUBJECT->e)",
		},
		{
			"a relation with the name of a clause", "relation of: of of of granted by granted revoked by revoked",
			"of: of of of granted by granted revoked by revoked",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := parsed(t, "use roles\nuse expiration\ndefinition z {\n"+c.text+"\n}")
			if got := showRelation(file.Definitions[0].Relations[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRolesBlocksHaveTheirParts(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{
			"roles of each kind", "roles { a: b; c = d; e: f [1..*] = g + h of i one per subject with j granted by k revoked by l; m }",
			"roles { a: b; c = d; e: f [1..*] = (g + h) of i one per subject with j granted by k revoked by l; m }",
		},
		{"a head of all words", "roles one per subject except a - b {\n}", "roles one per subject except (a - b) { }"},
		{"a head over lines", "roles\n one per subject\n except a\n + b\n {\n}", "roles one per subject except (a + b) { }"},
		{"subject is a name in a head", "roles except subject->a {}", "roles except subject->a { }"},
		{"inherit", "roles { inherit from a; b\n inherit from c }", "roles { b; inherit a; inherit c }"},
		{
			"roles with the names of clauses",
			"roles {\n of: a\n granted: a\n revoked = a\n except = a\n one\n per\n inherit\n from: a\n of\n }",
			"roles { of: a; granted: a; revoked = a; except = a; one; per; inherit; from: a; of }",
		},
		{
			"the clauses with these names",
			"roles {\n of: a\n of of\n granted by granted\n except self\n revoked\n }",
			"roles { of: a of of granted by granted except self; revoked }",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := parsed(t, "use roles\ndefinition z {\n"+c.text+"\n}")
			if got := showRoles(file.Definitions[0].Roles[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTheRestOfAFile(t *testing.T) {
	file := parsed(t, `
		use partial; use import; use roles
		import "a/b.zed"
		import 'c "d".zed'
		caveat x/in_list(names list<list< string >>, at timestamp) {
			names.exists(n, n == "}") && r'\' != '''
'}''' // it's }
		}
		partial p { relation a: b }
		definition q/r {
			...p
			within a, b
			within c
			created by a->subject
			permission d: e | f/g = nil
		}
	`)
	want := &File{
		Uses:    []*Use{{Feature: Ident{Text: "partial"}}, {Feature: Ident{Text: "import"}}, {Feature: Ident{Text: "roles"}}},
		Imports: []*Import{{Path: "a/b.zed"}, {Path: `c "d".zed`}},
		Caveats: []*Caveat{{
			Name: Ident{Text: "x/in_list"},
			Params: []*Param{
				{Name: Ident{Text: "names"}, Type: "list<list<string>>"},
				{Name: Ident{Text: "at"}, Type: "timestamp"},
			},
			Body: "names.exists(n, n == \"}\") && r'\\' != '''\n'}''' // it's }",
		}},
		Partials: []*Definition{{
			Name:      Ident{Text: "p"},
			Relations: []*Relation{{Name: Ident{Text: "a"}, Types: []*TypeRef{{Type: Ident{Text: "b"}}}}},
		}},
		Definitions: []*Definition{{
			Name:     Ident{Text: "q/r"},
			Includes: []*Include{{Name: Ident{Text: "p"}}},
			Withins:  []*Within{{Rels: []Ident{{Text: "a"}, {Text: "b"}}}, {Rels: []Ident{{Text: "c"}}}},
			CreatedBys: []*CreatedBy{
				{Expr: &ArrowExpr{Left: &NameExpr{Ident{Text: "a"}}, Target: Ident{Text: "subject"}}},
			},
			Permissions: []*Permission{
				{Name: Ident{Text: "d"}, Annotation: []Ident{{Text: "e"}, {Text: "f/g"}}, Expr: &NilExpr{}},
			},
		}},
	}
	if diff := difference(want, file); diff != "" {
		t.Error(diff)
	}
}

func TestDocCommentsBelongToWhatFollows(t *testing.T) {
	file := parsed(t, `/** the file's first line */ use roles
/** not of a caveat */
/** of a caveat */
// and this is no doc comment

caveat c() { true }
/**
 * of a definition
 *   with an indented line
 *
 * and a last one
 **/
definition d { /** behind a brace */
  /** of a relation */ relation a: b /** behind a relation */
  relation b: c // nothing

  /** of a block
      with another line
        and an indented one */
  roles { /** of a role */ r: u; /** of another */ s: u
    t: u
    /** of nobody */
  }
  /**/ permission p = a
  /*** a line of stars ***/
  permission q = a
  /** before a separator */ ;
  permission r = a
}`)
	d := file.Definitions[0]
	got := []string{
		file.Caveats[0].Doc, d.Doc, d.Relations[0].Doc, d.Relations[1].Doc, d.Roles[0].Doc,
		d.Roles[0].Roles[0].Doc, d.Roles[0].Roles[1].Doc, d.Roles[0].Roles[2].Doc,
		d.Permissions[0].Doc, d.Permissions[1].Doc, d.Permissions[2].Doc,
	}
	want := []string{
		"of a caveat", "of a definition\n  with an indented line\n\nand a last one", "of a relation", "",
		"of a block\nwith another line\n  and an indented one",
		"of a role", "of another", "", "", "", "before a separator",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A relation may be called as a word of the language wherever only one thing can
// be meant, and schemas that know nothing of roles are full of such names.
func TestAddedWordsAreNamesWithoutTheirFeature(t *testing.T) {
	file := parsed(t, `
		definition subject { relation self: subject }
		definition roles {
			relation of: subject
			relation within: subject | roles#of
			relation created: granted
			relation inherit: subject:*
			relation roles: roles
			permission granted = of + within - created->inherit
			permission self = roles->self & self
			permission one = subject
				+ one
		}`)
	if n := len(file.Definitions[1].Relations) + len(file.Definitions[1].Permissions); n != 8 {
		t.Errorf("%d members, want 8", n)
	}
}

func TestWhatCouldBeReadIsKept(t *testing.T) {
	file, faults := Parse(`
		definition a {
			relation b: c |
			relation d: e f
			permission g = h +
			permission i
			permission j = (k
			relation : l
			roles { m: n granted by; o p; q }
		}
		definition {}
		definition r {`)
	if len(faults) != 11 {
		t.Errorf("%d faults", len(faults))
	}
	var got []string
	for _, d := range file.Definitions {
		for _, r := range d.Relations {
			got = append(got, showRelation(r))
		}
		for _, p := range d.Permissions {
			got = append(got, p.Name.Text+" = "+show(p.Expr))
		}
		for _, r := range d.Roles {
			got = append(got, showRoles(r))
		}
	}
	want := []string{
		"b: c", "d: e", "g = (h + NIL)", "i = NIL", "j = <k>", "roles { m: n granted by NIL; o; q }",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(file.Definitions) != 2 {
		t.Errorf("%d definitions, want 2", len(file.Definitions))
	}
}

func TestLimits(t *testing.T) {
	in := func(expr string) string { return "definition d { permission p = " + expr + " }" }
	nested := func(n int) string { return in(strings.Repeat("(", n) + "a" + strings.Repeat(")", n)) }
	long := func(n int) string { return "// " + strings.Repeat("x", n-len("// ")) }
	for _, c := range []struct {
		name, text string
		fits       bool
	}{
		{"a schema of 1 MiB", long(schemaBytesMax), true},
		{"a schema of 1 MiB and a byte", long(schemaBytesMax + 1), false},
		{"parentheses at the limit", nested(nestingMax), true},
		{"one parenthesis more", nested(nestingMax + 1), false},
		{"names at the limit", in(strings.Repeat("a + ", operandsMax-1) + "a"), true},
		{"one name more", in(strings.Repeat("a + ", operandsMax) + "a"), false},
		{"arrows at the limit", in(strings.Repeat("a->", operandsMax-1) + "a"), true},
		{"one arrow more", in(strings.Repeat("a->", operandsMax) + "a"), false},
		{"a type name at the limit", "definition " + strings.Repeat("a/", 127) + "aa {}", true},
		{"a type name of one byte more", "definition " + strings.Repeat("a/", 127) + "aaa {}", false},
		{"types in types at the limit", "caveat c(p " + strings.Repeat("a<", nestingMax) + "a" + strings.Repeat(">", nestingMax) + ") { p }", true},
		{"one type more", "caveat c(p " + strings.Repeat("a<", nestingMax+1) + "a" + strings.Repeat(">", nestingMax+1) + ") { p }", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, faults := Parse(c.text)
			switch {
			case file == nil:
				t.Error("no file")
			case c.fits && len(faults) > 0:
				t.Error(faults[0])
			case !c.fits && (len(faults) != 1 || faults[0].Code != fault.SchemaMustStayWithinBounds):
				t.Errorf("faults %v, want one about a bound", faults)
			}
		})
	}
}

func TestTextThatIsNotUTF8(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		column     int
	}{
		{"in a name", "definition us\xffer {}", 1, 14},
		{"in a comment", "\n/* ẞ \xff\xff */ definition user {}", 2, 6},
		{"in a line comment", "definition user {} // \xe1\xba", 1, 23},
		{"in a path", "use import\nimport 'ẞ\xff'", 2, 10},
		{"in a caveat", "caveat c() {\n\n  'ẞ' == '\xff'\n}", 3, 11},
		{"in a caveat's comment", "caveat c() {\n  true // \xff\n}", 2, 11},
		{"a surrogate", "// \xed\xa0\x80", 1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := Parse(c.text)
			if len(faults) != 1 {
				t.Fatalf("faults %v, want one", faults)
			}
			f := faults[0]
			if f.Line != c.line || f.Column != c.column || !strings.Contains(f.Summary, "not UTF-8") {
				t.Errorf("%s; want the place %d:%d", f.Sentence(), c.line, c.column)
			}
		})
	}
}

func TestFaultsAreReportedUpToAMaximum(t *testing.T) {
	text := func(n int) string { return "partial a {\n" + strings.Repeat("relation b\n", n) + "}" }
	for _, c := range []struct{ lines, want int }{{1, 2}, {faultsMax - 1, faultsMax}, {faultsMax, faultsMax}, {2 * faultsMax, faultsMax}} {
		_, faults := Parse(text(c.lines))
		if len(faults) != c.want {
			t.Errorf("%d faults of %d lines, want %d", len(faults), c.lines, c.want)
		}
		if faults[0].Code != fault.SchemaMustUseItsFeatures {
			t.Errorf("of %d lines the first is %v, want the missing feature", c.lines, faults[0])
		}
	}
}

// A text is read in a time that grows with it and not with its square, whatever
// it repeats; else this test does not end.
func TestHostileTextsAreReadInLinearTime(t *testing.T) {
	const size = schemaBytesMax / 8
	for _, part := range []string{
		"{", "}", "(", "a\n", ";", "'", "/*", "//\n", "\xff\n", "[", "1", "\r",
		"definition a {\n", "roles { relation a: b\n", "definition a{roles{relation a:b\n",
		"caveat a(b c){\n", "caveat a(b c){\"\"\"\n", "caveat a(b c){\\\"\"\"\n", "caveat a(b c){'\n", "caveat a(b<",
		"relation a: b with c and ", "definition a { permission b = (c }\n", "/** a */;", "use x\n",
	} {
		text := strings.Repeat(part, size/len(part))
		Parse(text)
		Format(text)
	}
	Format("definition a { relation b: c" + strings.Repeat("/* d */", size/7) + "| e }")
	Format("use roles\ndefinition a { within b" + strings.Repeat(",b", size/2) + "}")
}

// parsed is the file of a text without faults.
func parsed(t *testing.T, text string) *File {
	t.Helper()
	file, faults := Parse(text)
	for _, f := range faults {
		t.Error(f)
	}
	return file
}

// show writes an expression with parentheses around every operation; those of
// the text are angles, and words that are no names are in capitals.
func show(e Expr) string {
	switch e := e.(type) {
	case *NameExpr:
		return e.Name.Text
	case *ArrowExpr:
		form := map[ArrowKind]string{Arrow: "%s->%s", Any: "%s.any(%s)", All: "%s.all(%s)"}[e.Kind]
		return fmt.Sprintf(form, show(e.Left), e.Target.Text)
	case *SubjectExpr:
		return "SUBJECT->" + e.Target.Text
	case *BinaryExpr:
		return fmt.Sprintf("(%s %c %s)", show(e.Left), e.Op, show(e.Right))
	case *ParenExpr:
		return "<" + show(e.X) + ">"
	case *NilExpr:
		return "NIL"
	case *SelfExpr:
		return "SELF"
	}
	return fmt.Sprint(e)
}

func showRelation(r *Relation) string {
	text := r.Name.Text
	for i, ref := range r.Types {
		text += map[bool]string{true: ": ", false: " | "}[i == 0] + showType(ref)
	}
	if m := r.Multiplicity; m != nil && m.Unbounded {
		text += fmt.Sprintf(" [%d..*]", m.Min)
	} else if m != nil {
		text += fmt.Sprintf(" [%d..%d]", m.Min, m.Max)
	}
	if r.Expr != nil {
		text += " = " + show(r.Expr)
	}
	if r.Of != nil {
		text += " of " + r.Of.Text
	}
	if r.OnePerWith != nil {
		text += " one per subject with " + r.OnePerWith.Text
	}
	return text + showRule(" granted by ", r.Granted) + showRule(" revoked by ", r.Revoked)
}

func showRule(verb string, r *Rule) string {
	switch {
	case r == nil:
		return ""
	case r.ExceptSelf:
		return verb + show(r.Expr) + " except self"
	}
	return verb + show(r.Expr)
}

func showType(ref *TypeRef) string {
	text := ref.Type.Text
	if ref.Relation != nil {
		text += "#" + ref.Relation.Text
	}
	if ref.Wildcard {
		text += ":*"
	}
	switch {
	case ref.Caveat != nil && ref.Expiration:
		text += " with " + ref.Caveat.Text + " and expiration"
	case ref.Caveat != nil:
		text += " with " + ref.Caveat.Text
	case ref.Expiration:
		text += " with expiration"
	}
	return text
}

func showRoles(r *Roles) string {
	text := "roles"
	if r.OnePerSubject {
		text += " one per subject"
	}
	if r.Except != nil {
		text += " except " + show(r.Except)
	}
	var parts []string
	for _, role := range r.Roles {
		parts = append(parts, showRelation(role))
	}
	for _, inherit := range r.Inherits {
		parts = append(parts, "inherit "+inherit.Rel.Text)
	}
	return strings.TrimSpace(text+" { "+strings.Join(parts, "; ")) + " }"
}
