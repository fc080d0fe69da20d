package rpc

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// ListHistory lists who changed what.
func (s *tupleServer) ListHistory(ctx context.Context, req *pembav1.ListHistoryRequest) (*pembav1.ListHistoryResponse, error) {
	query, err := historyQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.ListHistory(ctx, query)
	if err != nil {
		return nil, err
	}
	return historyResponse(answer), nil
}

func historyQuery(req *pembav1.ListHistoryRequest) (service.HistoryQuery, error) {
	var f form
	query := service.HistoryQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Since:       f.optionalTime("since", req.GetSince()),
		Until:       f.optionalTime("until", req.GetUntil()),
		OldestFirst: req.GetOrder() == pembav1.ListHistoryRequest_ORDER_OLDEST_FIRST,
		PageSize:    f.pageSize(req.GetPageSize()),
		Measure:     measure(),
	}
	if _, known := pembav1.ListHistoryRequest_Order_name[int32(req.GetOrder())]; !known {
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "order is %d", req.GetOrder()).
			Do("send ORDER_NEWEST_FIRST or ORDER_OLDEST_FIRST, or leave it out for the newest first").In("order"))
	}
	switch scope := req.GetScope().(type) {
	case *pembav1.ListHistoryRequest_Object:
		o := f.object(scope.Object)
		query.Object = &o
	case *pembav1.ListHistoryRequest_Subject:
		s := required(&f, "subject", scope.Subject, rel.ParseSubject, "name the subject as type:id, type:id#name or type:*")
		query.Subject = &s
	case *pembav1.ListHistoryRequest_AtRevision:
		at := required(&f, "at_revision", scope.AtRevision, rel.ParseSnapshot, "send the snapshot of the revision")
		query.Revision = &at
	}
	if err := f.err(); err != nil {
		return query, err
	}
	query.Page = given(&f, "page_token", req.GetPageToken(), service.FirstPage(historyArguments(query)...).At)
	return query, f.err()
}

// historyArguments are what must stay the same from page to page.
func historyArguments(q service.HistoryQuery) []string {
	scope := "everything"
	switch {
	case q.Object != nil:
		scope = "object " + q.Object.String()
	case q.Subject != nil:
		scope = "subject " + q.Subject.String()
	case q.Revision != nil:
		scope = "revision " + q.Revision.Token()
	}
	return []string{
		"ListHistory", string(q.Store), q.Consistency.Argument(), scope,
		timeArgument(q.Since), timeArgument(q.Until), strconv.FormatBool(q.OldestFirst),
	}
}

func timeArgument(t *time.Time) string {
	if t == nil {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

func historyResponse(a service.HistoryAnswer) *pembav1.ListHistoryResponse {
	response := &pembav1.ListHistoryResponse{Snapshot: a.Snapshot.Token(), NextPageToken: a.Next}
	if !a.Begins.IsZero() {
		response.HistorySince = timestamppb.New(a.Begins)
	}
	for _, e := range a.Entries {
		entry := &pembav1.HistoryEntry{Revision: revisionToProto(e.Revision), SchemaChange: schemaChangeToProto(e.Schema), ImportedCount: e.Imported}
		for _, c := range e.Changes {
			entry.Changes = append(entry.Changes, changeToProto(c))
		}
		response.Entries = append(response.Entries, entry)
	}
	return response
}
