package syntax

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEveryNodeSaysWhereItStands(t *testing.T) {
	for _, newline := range []string{"\n", "\r\n", "\r"} {
		for _, mark := range []string{"", byteOrderMark} {
			text := mark + strings.ReplaceAll(read(t, "testdata/format/everything.zed"), "\n", newline)
			file, faults := Parse(text)
			if len(faults) > 0 {
				t.Fatal(faults[0])
			}
			checkPositions(t, file, text, true)
		}
	}
}

func TestColumnsCountCodePoints(t *testing.T) {
	file, faults := Parse("/* ẞ 👋🏽 */ definition user {}")
	if len(faults) > 0 {
		t.Fatal(faults[0])
	}
	want := Pos{Offset: len("/* ẞ 👋🏽 */ "), Line: 1, Column: 12}
	if got := file.Definitions[0].At; got != want {
		t.Errorf("the definition is at %v, want %v", got, want)
	}
}

// checkPositions holds every node against the text at its position. In a file
// with faults there are nodes that stand for what was not there.
func checkPositions(t *testing.T, file *File, text string, whole bool) {
	t.Helper()
	check := func(at Pos, starts string) {
		t.Helper()
		if at.Offset > len(text) || !strings.HasPrefix(text[at.Offset:], starts) {
			t.Fatalf("%q is not at %v", starts, at)
		}
		if want := posOf(text, at.Offset); at != want {
			t.Fatalf("%q is at %v, and says it is at %v", starts, want, at)
		}
	}
	eachNode(reflect.ValueOf(file), func(node any) {
		switch n := node.(type) {
		case Ident:
			if n.Text == "" {
				if whole {
					t.Fatalf("a name at %v is empty", n.At)
				}
				return
			}
			first, _, _ := strings.Cut(n.Text, "/") // white space may stand around the slashes
			check(n.At, first)
		case Use:
			check(n.At, "use")
		case Import:
			check(n.At, "import")
			if quote := text[n.PathAt.Offset]; quote != '"' && quote != '\'' {
				t.Fatalf("the path of an import is not at %v", n.PathAt)
			}
		case Definition:
			if whole || n.End != (Pos{}) {
				check(n.End, "}")
			}
		case Caveat:
			if n.Body != "" {
				check(n.BodyAt, n.Body)
			}
		case TypeRef:
			check(n.At, n.Type.Text[:min(len(n.Type.Text), 1)])
		case Multiplicity:
			check(n.At, "[")
		case Permission:
			if whole {
				check(n.At, "permission")
			}
		case Roles:
			if whole {
				check(n.At, "roles")
			}
		case Inherit:
			check(n.At, "inherit")
		case Include:
			check(n.At, "...")
		case ArrowExpr:
			check(n.At, map[ArrowKind]string{Arrow: "->", Any: ".", All: "."}[n.Kind])
		case SubjectExpr:
			check(n.At, "subject")
		case BinaryExpr:
			check(n.At, string(n.Op))
		case ParenExpr:
			check(n.At, "(")
		case SelfExpr:
			check(n.At, "self")
		case NilExpr:
			if whole {
				check(n.At, "nil")
			}
		}
	})
}

// eachNode visits every struct below a value, but for positions.
func eachNode(v reflect.Value, visit func(node any)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachNode(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachNode(v.Index(i), visit)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Pos]() {
			return
		}
		visit(v.Interface())
		for i := range v.NumField() {
			eachNode(v.Field(i), visit)
		}
	}
}

// posOf counts lines and columns from the start of the text.
func posOf(text string, offset int) Pos {
	before := text[:offset]
	lines := splitLines(strings.TrimPrefix(before, byteOrderMark))
	return Pos{
		Offset: offset,
		Line:   len(lines),
		Column: utf8.RuneCountInString(lines[len(lines)-1]) + 1,
	}
}
