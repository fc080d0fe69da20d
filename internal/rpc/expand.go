package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/service"
)

// Expand shows how a name of an object is put together.
func (s *permissionServer) Expand(ctx context.Context, req *pembav1.ExpandRequest) (*pembav1.ExpandResponse, error) {
	query, err := expandQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.Expand(ctx, query)
	if err != nil {
		return nil, err
	}
	return &pembav1.ExpandResponse{Snapshot: answer.Snapshot.Token(), Tree: treeToProto(answer.Tree)}, nil
}

func expandQuery(req *pembav1.ExpandRequest) (service.ExpandQuery, error) {
	var f form
	query := service.ExpandQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Object:      f.object(req.GetObject()),
		Name:        f.permission(req.GetPermission()),
		Depth:       f.maxDepth(req.GetMaxDepth()),
	}
	return query, f.err()
}

func (f *form) maxDepth(depth uint32) int {
	switch {
	case depth == 0:
		return engine.ExpandDepthDefault
	case depth > engine.ExpandDepthMax:
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "a tree %d objects deep", depth).
			Do("ask for at most %d, or for 0, which means %d", engine.ExpandDepthMax, engine.ExpandDepthDefault).In(f.path("max_depth", noIndex)))
	}
	return int(depth)
}

// treeNestingMax bounds how deep messages nest in a tree. Clients in C++, Java and
// Python read 100 levels, and a tuple at the bottom of a tree needs some of its own.
const treeNestingMax = 80

// treeToProto is a tree as clients see it: what does not fit a message is cut, and
// marked.
func treeToProto(t *engine.Tree) *pembav1.UsersetTree {
	top := treeTop(t)
	w := treeWriter{room: answerBytesMax - costOf(top)}
	w.fill(top, t, 1)
	return top
}

// treeTop is a tree without what is below it.
func treeTop(t *engine.Tree) *pembav1.UsersetTree {
	return &pembav1.UsersetTree{Object: t.Object.String(), Name: string(t.Name), Operator: operatorOf[t.Operator], Cut: t.Cut}
}

var operatorOf = [...]pembav1.UsersetTree_Operator{
	engine.Nobody:         pembav1.UsersetTree_OPERATOR_NOTHING,
	engine.HasTuple:       pembav1.UsersetTree_OPERATOR_STORED,
	engine.AnyOf:          pembav1.UsersetTree_OPERATOR_ANY_OF,
	engine.AllOf:          pembav1.UsersetTree_OPERATOR_ALL_OF,
	engine.Except:         pembav1.UsersetTree_OPERATOR_MINUS,
	engine.Inherited:      pembav1.UsersetTree_OPERATOR_INHERITED,
	engine.InheritedByAll: pembav1.UsersetTree_OPERATOR_INHERITED_BY_ALL,
	engine.TheObject:      pembav1.UsersetTree_OPERATOR_ITSELF,
}

// costOf is what a message takes inside another.
func costOf(m proto.Message) int { return proto.Size(m) + framingBytes }

// A treeWriter has so many bytes left. The top of a tree is paid for before it is
// filled, so that one which stays empty is still there to say that it is cut.
type treeWriter struct{ room int }

// pay takes what something costs, if there is that much left.
func (w *treeWriter) pay(cost int) bool {
	if cost > w.room {
		return false
	}
	w.room -= cost
	return true
}

// fill writes what is below the top of a tree.
func (w *treeWriter) fill(x *pembav1.UsersetTree, t *engine.Tree, nesting int) {
	if nesting >= treeNestingMax {
		x.Cut = x.Cut || len(t.Operands)+len(t.Edges) > 0
		return
	}
	w.operands(x, t, nesting)
	w.edges(x, t, nesting)
}

// operands are written all or none: an intersection or an exclusion of which a
// part is left out would show another set.
func (w *treeWriter) operands(x *pembav1.UsersetTree, t *engine.Tree, nesting int) {
	tops, cost := make([]*pembav1.UsersetTree, len(t.Operands)), 0
	for i, o := range t.Operands {
		tops[i] = treeTop(o)
		cost += costOf(tops[i])
	}
	if !w.pay(cost) {
		x.Cut = true
		return
	}
	x.Operands = tops
	for i, o := range t.Operands {
		w.fill(tops[i], o, nesting+1)
	}
}

// edges are written as far as they fit. Where they lead comes after all of them:
// of a tree that is cut, what is nearest is shown.
func (w *treeWriter) edges(x *pembav1.UsersetTree, t *engine.Tree, nesting int) {
	for _, e := range t.Edges {
		edge := &pembav1.UsersetEdge{Tuple: tupleToProto(e.Tuple)}
		if e.Tree != nil {
			edge.Tree = treeTop(e.Tree)
		}
		if !w.pay(costOf(edge)) {
			x.Cut = true
			break
		}
		x.Edges = append(x.Edges, edge)
	}
	for i, edge := range x.Edges {
		if edge.Tree != nil {
			w.fill(edge.Tree, t.Edges[i].Tree, nesting+2)
		}
	}
}
