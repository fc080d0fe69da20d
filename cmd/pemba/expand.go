package main

import (
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type expandCmd struct {
	Object string  `arg:"" help:"The object, as type:id."`
	Name   string  `arg:"" help:"A permission, role or relation of the object's type."`
	Depth  *uint32 `help:"How many objects deep the tree goes, 1 to 25. Default: 3." placeholder:"N"`
	freshness
}

func (expandCmd) Help() string {
	return `Prints a name's expression as a tree, with the stored tuples at its leaves, their caveats and expirations after them. It asks about nobody and decides no caveat: for what somebody has, ask check or access. An @ begins the subject of a tuple; what is indented below is where that leads. A tree that goes on where it is not shown ends in "…".

Examples:

    pemba expand project:p1 view
    pemba expand project:p1 viewer --depth 1
    pemba expand project:p1 view -o json | jq .tree.operator`
}

// Run asks for a tree.
func (c *expandCmd) Run(a *app) error {
	object, err := rel.ParseObject(c.Object)
	if err != nil {
		return err
	}
	name, err := rel.ParseName(c.Name)
	if err != nil {
		return err
	}
	consistency, err := c.consistency()
	if err != nil {
		return err
	}
	request := &pembav1.ExpandRequest{Consistency: consistency, Object: object.String(), Permission: string(name)}
	if c.Depth != nil {
		if *c.Depth == 0 {
			return fault.New(fault.FieldMustBeWithinBounds, "a tree 0 objects deep").Do("give a depth from 1 to 25, or leave it out for 3")
		}
		request.MaxDepth = *c.Depth
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	answer, err := ask(client, client.permissions().Expand, request)
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.message(answer)
	}
	t := treeText{}
	t.tree(answer.GetTree(), "", "")
	for _, line := range t.lines {
		a.line("%s", line)
	}
	if t.cut {
		a.note("the tree goes on where … stands; raise --depth to see more")
	}
	return nil
}

// A treeText is a userset tree as lines.
type treeText struct {
	lines []string
	cut   bool // some of it goes on
}

func (t *treeText) add(indent, line string, cut bool) {
	if cut {
		line += " …"
		t.cut = true
	}
	t.lines = append(t.lines, indent+line)
}

// tree adds a tree: what it is about and how its parts are joined, and the parts
// below it. A part without a name is its operator alone, and so is the stored part
// of a role, whose name stands above it.
func (t *treeText) tree(x *pembav1.UsersetTree, above, indent string) {
	name := usersetOf(x)
	if parts := x.GetOperands(); len(parts) == 1 && usersetOf(parts[0]) == name {
		x = parts[0] // a role that has its stored part alone
	}
	line := operatorText(x)
	if x.GetName() != "" && name != above {
		line = name + ": " + line
	}
	t.add(indent, line, x.GetCut())
	t.below(x, name, indent+"  ")
}

func usersetOf(x *pembav1.UsersetTree) string { return x.GetObject() + "#" + x.GetName() }

func (t *treeText) below(x *pembav1.UsersetTree, above, indent string) {
	for _, part := range x.GetOperands() {
		t.tree(part, above, indent)
	}
	for _, edge := range x.GetEdges() {
		t.edge(edge, indent)
	}
}

// edge adds a tuple's subject and, below it, where that leads.
func (t *treeText) edge(e *pembav1.UsersetEdge, indent string) {
	subject := e.GetTuple().GetSubject()
	t.add(indent, "@"+subject+attributesText(e.GetTuple()), false)
	if leads := e.GetTree(); leads != nil {
		t.tree(leads, subject, indent+"  ")
	}
}

// operatorText says how what is below is joined.
func operatorText(x *pembav1.UsersetTree) string {
	switch x.GetOperator() {
	case pembav1.UsersetTree_OPERATOR_STORED:
		if len(x.GetEdges()) == 0 && !x.GetCut() {
			return "no tuples"
		}
		return "tuples"
	case pembav1.UsersetTree_OPERATOR_ANY_OF:
		if len(x.GetOperands()) == 1 {
			return "the same as"
		}
		return "any of"
	case pembav1.UsersetTree_OPERATOR_ALL_OF:
		return "all of"
	case pembav1.UsersetTree_OPERATOR_MINUS:
		return "the first less the second"
	case pembav1.UsersetTree_OPERATOR_INHERITED:
		return overText(x, "over")
	case pembav1.UsersetTree_OPERATOR_INHERITED_BY_ALL:
		return overText(x, "over all of")
	case pembav1.UsersetTree_OPERATOR_ITSELF:
		return x.GetObject() + " itself"
	default:
		return "nobody"
	}
}

// overText is an arrow, which its tuples name.
func overText(x *pembav1.UsersetTree, over string) string {
	if len(x.GetEdges()) == 0 {
		if x.GetCut() {
			return over + " its tuples"
		}
		return strings.TrimSuffix(over, " of") + " no tuples"
	}
	t := x.GetEdges()[0].GetTuple()
	return over + " " + t.GetObject() + "#" + t.GetRelation()
}
