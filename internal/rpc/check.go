package rpc

import (
	"context"
	"log/slog"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/service"
)

// permissionServer answers questions about access.
type permissionServer struct {
	pembav1.UnsafePermissionServiceServer
	service *service.Service
	edge    *edge
}

// Check answers one question about access.
func (s *permissionServer) Check(ctx context.Context, req *pembav1.CheckRequest) (*pembav1.CheckResponse, error) {
	query, err := checkQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.Check(ctx, query)
	if err != nil {
		return nil, err
	}
	return checkResponse(answer), nil
}

func checkQuery(req *pembav1.CheckRequest) (service.CheckQuery, error) {
	var f form
	f.refuse("context", len(req.GetContext().GetFields()) > 0, noConditions)
	f.refuse("contextual_tuples", len(req.GetContextualTuples()) > 0, noContextual)
	query := service.CheckQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Item: service.CheckItem{
			Object:    f.object(req.GetObject()),
			Name:      f.permission(req.GetPermission()),
			Principal: f.principal(req.GetSubject(), req.GetAdditionalSubjects()),
		},
		Explain: req.GetExplain(),
	}
	return query, f.err()
}

func checkResponse(a service.CheckAnswer) *pembav1.CheckResponse {
	return &pembav1.CheckResponse{
		Snapshot:    a.Snapshot.Token(),
		Granted:     a.Result == engine.Granted,
		Result:      resultToProto(a.Result),
		Explanation: reasonToProto(a.Reason),
	}
}

// BatchCheck answers many questions of one state.
func (s *permissionServer) BatchCheck(ctx context.Context, req *pembav1.BatchCheckRequest) (*pembav1.BatchCheckResponse, error) {
	query, err := batchQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.BatchCheck(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.batchResponse(ctx, answer), nil
}

func batchQuery(req *pembav1.BatchCheckRequest) (service.BatchQuery, error) {
	var f form
	query := service.BatchQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
	}
	if len(req.GetItems()) == 0 {
		f.missing("items", "send the checks that are asked")
	}
	f.atMost("items", len(req.GetItems()), batchItemsMax)
	if err := f.err(); err != nil {
		return service.BatchQuery{}, err
	}
	query.Items = make([]service.BatchItem, len(req.GetItems()))
	for i, item := range req.GetItems() {
		query.Items[i] = batchItem(item)
	}
	return query, nil
}

// batchItem reads one item. What is wrong with it is its own error, with paths
// that begin at the item.
func batchItem(item *pembav1.BatchCheckItem) service.BatchItem {
	var f form
	f.refuse("context", len(item.GetContext().GetFields()) > 0, noConditions)
	f.refuse("contextual_tuples", len(item.GetContextualTuples()) > 0, noContextual)
	asked := service.CheckItem{
		Object:    f.object(item.GetObject()),
		Name:      f.permission(item.GetPermission()),
		Principal: f.principal(item.GetSubject(), item.GetAdditionalSubjects()),
	}
	return service.BatchItem{CheckItem: asked, Err: f.err()}
}

func (s *permissionServer) batchResponse(ctx context.Context, a service.BatchAnswer) *pembav1.BatchCheckResponse {
	response := &pembav1.BatchCheckResponse{
		Snapshot: a.Snapshot.Token(),
		Answers:  make([]*pembav1.BatchCheckAnswer, len(a.Outcomes)),
	}
	reported := false
	for i, outcome := range a.Outcomes {
		if outcome.Err == nil {
			response.Answers[i] = &pembav1.BatchCheckAnswer{Outcome: &pembav1.BatchCheckAnswer_Answer{Answer: &pembav1.CheckAnswer{
				Granted: outcome.Answer.Result == engine.Granted,
				Result:  resultToProto(outcome.Answer.Result),
			}}}
			continue
		}
		// What a call that failed for the same reason would have said. The call
		// itself goes well, so what an operator must know is reported here, and
		// once: a thousand items fail for one disk.
		f := failureOf(outcome.Err)
		if !reported && f.level() > slog.LevelDebug {
			reported = true
			s.edge.report(ctx, pembav1.PermissionService_BatchCheck_FullMethodName, f, outcome.Err)
		}
		response.Answers[i] = &pembav1.BatchCheckAnswer{Outcome: &pembav1.BatchCheckAnswer_Error{Error: f.item()}}
	}
	return response
}

// resultToProto never answers RESULT_UNSPECIFIED: what is no result is denied.
func resultToProto(r engine.Result) pembav1.Result {
	switch r {
	case engine.Granted:
		return pembav1.Result_RESULT_GRANTED
	case engine.Conditional:
		return pembav1.Result_RESULT_CONDITIONAL
	default:
		return pembav1.Result_RESULT_DENIED
	}
}
