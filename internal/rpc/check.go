package rpc

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/proto"

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
	query := service.CheckQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Item: service.CheckItem{
			Object:    f.object(req.GetObject()),
			Name:      f.permission(req.GetPermission()),
			Principal: f.principal(req.GetSubject(), req.GetAdditionalSubjects()),
			Brought:   f.brought(req.GetContext(), req.GetContextualTuples()),
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
		Missing:     missingToProto(a.Missing, missingBytesMax),
		ValidUntil:  expiryToProto(a.ValidUntil),
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
	asked := service.CheckItem{
		Object:    f.object(item.GetObject()),
		Name:      f.permission(item.GetPermission()),
		Principal: f.principal(item.GetSubject(), item.GetAdditionalSubjects()),
		Brought:   f.brought(item.GetContext(), item.GetContextualTuples()),
	}
	return service.BatchItem{CheckItem: asked, Err: f.err()}
}

func (s *permissionServer) batchResponse(ctx context.Context, a service.BatchAnswer) *pembav1.BatchCheckResponse {
	response := &pembav1.BatchCheckResponse{
		Snapshot: a.Snapshot.Token(),
		Answers:  make([]*pembav1.BatchCheckAnswer, len(a.Outcomes)),
	}
	reported := false
	// Every item has its share of the message, and what those before it left.
	share, room := answerBytesMax/max(len(a.Outcomes), 1), 0
	for i, outcome := range a.Outcomes {
		room += share
		if outcome.Err == nil {
			answer := checkAnswer(outcome.Answer, room)
			if answer.Missing != nil {
				room -= proto.Size(answer)
			}
			response.Answers[i] = &pembav1.BatchCheckAnswer{Outcome: &pembav1.BatchCheckAnswer_Answer{Answer: answer}}
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
		failed := f.item()
		room -= proto.Size(failed)
		response.Answers[i] = &pembav1.BatchCheckAnswer{Outcome: &pembav1.BatchCheckAnswer_Error{Error: failed}}
	}
	return response
}

func checkAnswer(a engine.Answer, room int) *pembav1.CheckAnswer {
	return &pembav1.CheckAnswer{
		Granted:    a.Result == engine.Granted,
		Result:     resultToProto(a.Result),
		Missing:    missingToProto(a.Missing, room),
		ValidUntil: expiryToProto(a.ValidUntil),
	}
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
