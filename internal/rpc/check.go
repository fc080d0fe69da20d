package rpc

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
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
		Openings:    openingsToProto(a.Openings),
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
		var known rel.Principal
		if i > 0 && query.Items[i-1].Err == nil && sameSubject(item, req.GetItems()[i-1]) {
			known = query.Items[i-1].Principal
		}
		readItem(&query.Items[i], item, known)
	}
	return query, nil
}

// sameSubject reports whether two items are of one subject that presents nothing
// beside itself. So most neighbours are: a screen asks for whom it is shown to.
func sameSubject(a, b *pembav1.BatchCheckItem) bool {
	return a.GetSubject() == b.GetSubject() && len(a.GetAdditionalSubjects())+len(b.GetAdditionalSubjects()) == 0
}

// readItem reads one item, and its principal where that is not known yet. What is
// wrong with it is its own error, with paths that begin at the item.
func readItem(to *service.BatchItem, item *pembav1.BatchCheckItem, known rel.Principal) {
	var f form
	to.Object = f.object(item.GetObject())
	to.Name = f.permission(item.GetPermission())
	if to.Principal = known; len(known.Subjects()) == 0 {
		to.Principal = f.principal(item.GetSubject(), item.GetAdditionalSubjects())
	}
	to.Brought = f.brought(item.GetContext(), item.GetContextualTuples())
	to.Err = f.err()
}

func (s *permissionServer) batchResponse(ctx context.Context, a service.BatchAnswer) *pembav1.BatchCheckResponse {
	response := &pembav1.BatchCheckResponse{
		Snapshot: a.Snapshot.Token(),
		Answers:  make([]*pembav1.BatchCheckAnswer, len(a.Outcomes)),
	}
	answers := make([]batchAnswer, len(a.Outcomes)) // one piece of memory for all of them
	reported := false
	// Every item has its share of the message, and what those before it left.
	share, room := answerBytesMax/max(len(a.Outcomes), 1), 0
	for i := range a.Outcomes {
		outcome := &a.Outcomes[i]
		room += share
		if outcome.Err == nil {
			response.Answers[i] = answers[i].fill(outcome.Answer, room)
			if len(outcome.Answer.Missing) > 0 {
				room -= proto.Size(response.Answers[i])
			}
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

// A batchAnswer is the answer to an item, and the messages around it.
type batchAnswer struct {
	outer  pembav1.BatchCheckAnswer
	chosen pembav1.BatchCheckAnswer_Answer
	answer pembav1.CheckAnswer
}

func (b *batchAnswer) fill(a engine.Answer, room int) *pembav1.BatchCheckAnswer {
	b.answer.Granted = a.Result == engine.Granted
	b.answer.Result = resultToProto(a.Result)
	b.answer.Missing = missingToProto(a.Missing, room)
	b.answer.ValidUntil = expiryToProto(a.ValidUntil)
	b.chosen.Answer, b.outer.Outcome = &b.answer, &b.chosen
	return &b.outer
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
