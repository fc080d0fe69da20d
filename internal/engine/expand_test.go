package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// expand asks for the tree of "folder:f#view", so many objects deep.
func (w *world) expand(question string, depth int) engine.Expansion {
	w.t.Helper()
	object, name, _ := strings.Cut(question, "#")
	o, err := rel.ParseObject(object)
	if err != nil {
		w.t.Fatal(err)
	}
	snap, err := w.store.Newest()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(snap.Close)
	expansion, err := engine.Expand(context.Background(), engine.ExpandQuestion{Schema: w.schema, Reader: snap, Object: o, Name: rel.Name(name), Depth: depth})
	if err != nil {
		w.t.Fatal(err)
	}
	return expansion
}

// treeText draws a tree, two blanks a level.
func treeText(t *engine.Tree) string {
	var b strings.Builder
	var draw func(t *engine.Tree, indent string)
	draw = func(t *engine.Tree, indent string) {
		names := [...]string{"nobody", "stored", "any of", "all of", "except", "inherited", "inherited by all", "itself"}
		fmt.Fprintf(&b, "%s%s", indent, names[t.Operator])
		if t.Name != "" {
			fmt.Fprintf(&b, " %s#%s", t.Object, t.Name)
		}
		if t.Cut {
			b.WriteString(" …")
		}
		b.WriteString("\n")
		for _, o := range t.Operands {
			draw(o, indent+"  ")
		}
		for _, e := range t.Edges {
			fmt.Fprintf(&b, "%s  %s\n", indent, e.Tuple)
			if e.Tree != nil {
				draw(e.Tree, indent+"    ")
			}
		}
	}
	draw(t, "")
	return b.String()
}

func TestExpandShowsHowANameIsPutTogether(t *testing.T) {
	w := newWorld(t, drive,
		"folder:f#viewer@user:ana", "folder:f#viewer@team:core#member", "folder:f#viewer@user:*", "folder:f#org@org:o",
		"team:core#member@user:bob", "team:core#member@team:core#member", "org:o#admin@user:mia", "folder:f#banned@user:eve")
	for _, c := range []struct {
		question string
		depth    int
		want     string
	}{
		{"folder:f#view", 2, `
any of folder:f#view
  except folder:f#viewer
    any of
      stored folder:f#viewer
        folder:f#viewer@team:core#member
          stored team:core#member
            team:core#member@team:core#member
              stored team:core#member …
            team:core#member@user:bob
        folder:f#viewer@user:*
        folder:f#viewer@user:ana
      inherited
        folder:f#org@org:o
          any of org:o#member
            stored org:o#member
            any of org:o#admin
              stored org:o#admin
                org:o#admin@user:mia
      inherited
      except folder:f#editor
        any of
          stored folder:f#editor
          inherited
            folder:f#org@org:o
              any of org:o#admin
                stored org:o#admin
                  org:o#admin@user:mia
          inherited
        stored folder:f#banned
          folder:f#banned@user:eve
    stored folder:f#banned
      folder:f#banned@user:eve
`},
		{"folder:f#org", 1, "stored folder:f#org\n  folder:f#org@org:o\n"},
		{"org:o#member", 1, "any of org:o#member\n  stored org:o#member\n  any of org:o#admin\n    stored org:o#admin\n      org:o#admin@user:mia\n"},
		{"folder:nobody#banned", 3, "stored folder:nobody#banned\n"},
	} {
		if got, want := treeText(w.expand(c.question, c.depth).Tree), strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("%s, %d deep:\n%s\nwant\n%s", c.question, c.depth, got, want)
		}
	}
}

// A tree is as deep as was asked for, and says where it goes on.
func TestExpandIsCut(t *testing.T) {
	w := newWorld(t, drive, "folder:f#banned@team:a#member", "team:a#member@team:b#member", "team:b#member@user:bob")
	one := treeText(w.expand("folder:f#banned", 1).Tree)
	if want := "stored folder:f#banned\n  folder:f#banned@team:a#member\n    stored team:a#member …\n"; one != want {
		t.Errorf("one deep:\n%s", one)
	}
	if three := treeText(w.expand("folder:f#banned", 3).Tree); strings.Contains(three, "…") || !strings.Contains(three, "user:bob") {
		t.Errorf("three deep:\n%s", three)
	}

	// Two hundred groups in each other, 25 deep, would be more paths than atoms.
	var tuples []string
	for i := range 200 {
		for j := range 200 {
			tuples = append(tuples, fmt.Sprintf("team:t%d#member@team:t%d#member", i, j))
		}
	}
	wide := newWorld(t, drive, tuples...).expand("team:t0#member", engine.ExpandDepthMax)
	text := treeText(wide.Tree)
	if n := strings.Count(text, "@"); n != 10_000 {
		t.Errorf("the tree holds %d tuples", n)
	}
	if !strings.Contains(text, "…") || wide.Cost.Reads > 25_000 {
		t.Errorf("it is not cut, or took %d reads", wide.Cost.Reads)
	}

	// And so would names that each stand twice in the next.
	doubling := "definition user {}\ndefinition doc {\n  relation p0: user\n"
	for i := 1; i < 60; i++ {
		doubling += fmt.Sprintf("  permission p%d = p%d + (p%d & p%d)\n", i, i-1, i-1, i-1)
	}
	deep := newWorld(t, doubling+"}").expand("doc:d#p59", 1)
	if deep.Cost.Pairs > 40_000 || !strings.Contains(treeText(deep.Tree), "…") {
		t.Errorf("%d parts", deep.Cost.Pairs)
	}
}

func TestExpandRefusesWhatTheSchemaDoesNotHave(t *testing.T) {
	w := newWorld(t, drive)
	snap, err := w.store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(snap.Close)
	for question, code := range map[string]fault.Code{"folder:f#veiw": fault.NameMustExist, "file:f#view": fault.TypeMustExist} {
		object, name, _ := strings.Cut(question, "#")
		o, err := rel.ParseObject(object)
		if err != nil {
			t.Fatal(err)
		}
		_, err = engine.Expand(context.Background(), engine.ExpandQuestion{Schema: w.schema, Reader: snap, Object: o, Name: rel.Name(name), Depth: 1})
		if !fault.Is(err, code) {
			t.Errorf("%s: %v", question, err)
		}
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	w.put("folder:f#viewer@user:ana")
	newest, err := w.store.Newest()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(newest.Close)
	if _, err := engine.Expand(gone, engine.ExpandQuestion{Schema: w.schema, Reader: newest, Object: object(t, "folder:f"), Name: "viewer", Depth: 1}); !fault.Is(err, fault.CallerMustStay) {
		t.Errorf("the caller went away: %v", err)
	}
}
