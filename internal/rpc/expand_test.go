package rpc

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// drawn writes a tree as an indented text.
func drawn(x *pembav1.UsersetTree, indent string) string {
	cut := ""
	if x.GetCut() {
		cut = " CUT"
	}
	s := fmt.Sprintf("%s%s#%s %s%s\n", indent, x.GetObject(), x.GetName(), strings.TrimPrefix(x.GetOperator().String(), "OPERATOR_"), cut)
	for _, o := range x.GetOperands() {
		s += drawn(o, indent+" ")
	}
	for _, e := range x.GetEdges() {
		s += indent + " " + text(e.GetTuple()) + "\n"
		if e.GetTree() != nil {
			s += drawn(e.GetTree(), indent+"  ")
		}
	}
	return s
}

func TestExpandShowsHowANameComesAbout(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		object, permission string
		depth              uint32
		want               string
	}{
		{"team:core", "member", 0, `
team:core#member STORED
 team:core#member@team:sub#member
  team:sub#member STORED
   team:sub#member@user:sam
`},
		{"team:core", "member", 1, `
team:core#member STORED
 team:core#member@team:sub#member
  team:sub#member STORED CUT
`},
		{"project:p1", "owner", 2, `
project:p1#owner MINUS
 project:p1# ALL_OF
  project:p1#editor MINUS
   project:p1# ANY_OF
    project:p1#editor STORED
     project:p1#editor@user:bad
     project:p1#editor@user:eve
    project:p1# INHERITED
     project:p1#organization@organization:acme
      organization:acme#admin ANY_OF
       organization:acme#admin STORED
        organization:acme#admin@user:ana
    project:p1#owner MINUS CUT
   project:p1#banned STORED
    project:p1#banned@user:bad
  project:p1# INHERITED
   project:p1#organization@organization:acme
    organization:acme#admin ANY_OF
     organization:acme#admin STORED
      organization:acme#admin@user:ana
 project:p1#banned STORED
  project:p1#banned@user:bad
`},
		{"project:p1", "none", 0, "\nproject:p1#none NOTHING\n"},
		{"team:nowhere", "lead", 25, "\nteam:nowhere#lead STORED\n"},
	} {
		answer, err := w.permissions.Expand(t.Context(), &pembav1.ExpandRequest{Object: c.object, Permission: c.permission, MaxDepth: c.depth})
		if err != nil {
			t.Fatal(err)
		}
		if got := "\n" + drawn(answer.GetTree(), ""); got != c.want || answer.GetSnapshot() == "" {
			t.Errorf("%s#%s: got %swant %s", c.object, c.permission, got, c.want)
		}
	}
}

func TestExpandRefusesWhatTheSchemaDoesNotHave(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ object, permission, reason, field string }{
		{"projekt:p1", "view", "TYPE_MUST_EXIST", "object"},
		{"project:p1", "vew", "NAME_MUST_EXIST", "permission"},
	} {
		_, err := w.permissions.Expand(t.Context(), &pembav1.ExpandRequest{Object: c.object, Permission: c.permission})
		r := mustRefuse(t, err, codes.InvalidArgument, c.reason)
		if fields := r.fields(); len(fields) != 1 || fields[0] != c.field {
			t.Errorf("%v: the violations are in %q", c, fields)
		}
	}
}

// A tree of more than a message holds is cut, says so, and shows what is nearest.
func TestATreeFitsAMessage(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	long := strings.Repeat("x", 1000)
	var tuples strings.Builder
	const groups = 900
	for i := range groups { // each leads to 2 KB, and to a tree whose top takes 1 KB
		fmt.Fprintf(&tuples, "team:a%s#member@team:%d%s#member\n", long, i, long)
	}
	fill(t, w.service, worldSchema, tuples.String())
	var more strings.Builder
	for i := range groups {
		fmt.Fprintf(&more, "team:%d%s#member@user:%s\n", i, long, long)
	}
	write(t, w.service, more.String())
	answer, err := w.permissions.Expand(t.Context(), &pembav1.ExpandRequest{Object: "team:a" + long, Permission: "member"}) // the client takes 4 MiB
	if err != nil {
		t.Fatal(err)
	}
	shown, cut := 0, 0
	for _, e := range answer.GetTree().GetEdges() {
		switch {
		case e.GetTree() == nil:
			t.Fatal("a userset leads nowhere, and is not marked")
		case e.GetTree().GetCut():
			cut++
		case len(e.GetTree().GetEdges()) == 1:
			shown++
		}
	}
	size := proto.Size(answer)
	if answer.GetTree().GetCut() || shown+cut != groups || shown == 0 || cut == 0 || size > answerBytesMax+10_000 || size < answerBytesMax-20_000 {
		t.Errorf("%d shown, %d cut, %d bytes, the top cut: %v", shown, cut, size, answer.GetTree().GetCut())
	}
}

// No client meets a message that nests deeper than it reads, whatever a schema
// makes of a tree; the deepest one has a tuple at its bottom.
func TestATreeNestsAsDeepAsAClientReads(t *testing.T) {
	bottom := &engine.Tree{Operator: engine.HasTuple, Edges: []engine.Edge{{Tuple: rel.Tuple{Key: rel.Key{Relation: "x"}}}}}
	deep := bottom
	for range 200 {
		deep = &engine.Tree{Operator: engine.Except, Operands: []*engine.Tree{{}, deep}}
	}
	chain := bottom
	for range 200 {
		chain = &engine.Tree{Operator: engine.Inherited, Edges: []engine.Edge{{Tree: chain}}}
	}
	for name, tree := range map[string]*engine.Tree{"operands": deep, "edges": chain} {
		x, levels := treeToProto(tree), 1
		for !x.GetCut() {
			if len(x.GetOperands()) == 2 {
				x, levels = x.GetOperands()[1], levels+1
			} else if len(x.GetEdges()) == 1 && x.GetEdges()[0].GetTree() != nil {
				x, levels = x.GetEdges()[0].GetTree(), levels+2
			} else {
				t.Fatalf("%s end after %d levels, and are not marked", name, levels)
			}
		}
		if levels < treeNestingMax-1 || levels > treeNestingMax+1 || len(x.GetOperands())+len(x.GetEdges()) > 0 {
			t.Errorf("%s are cut after %d levels", name, levels)
		}
	}
}

func TestEveryOperatorHasAName(t *testing.T) {
	for o := engine.Nobody; o <= engine.TheObject; o++ {
		if treeTop(&engine.Tree{Operator: o}).GetOperator() == pembav1.UsersetTree_OPERATOR_UNSPECIFIED {
			t.Errorf("operator %d has none", o)
		}
	}
}
