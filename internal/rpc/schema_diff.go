package rpc

import (
	"context"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

// DiffSchema compares two schemas.
func (s *schemaServer) DiffSchema(ctx context.Context, req *pembav1.DiffSchemaRequest) (*pembav1.DiffSchemaResponse, error) {
	query, err := diffQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.DiffSchema(ctx, query)
	if err != nil {
		return nil, err
	}
	return diffResponse(query, answer), nil
}

func diffQuery(req *pembav1.DiffSchemaRequest) (service.DiffSchemaQuery, error) {
	var f form
	query := service.DiffSchemaQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Text:        req.GetSchema(),
		Old:         req.OldSchema,
	}
	if query.Text == "" {
		f.missing("schema", "send the text of the new schema")
	}
	if query.Old != nil {
		const why = "leave it out; two texts are compared with each other, and no store is asked"
		if req.GetStore() != "" {
			f.unwanted("store", why)
		}
		if req.GetConsistency().GetRequirement() != nil {
			f.unwanted("consistency", why)
		}
	}
	return query, f.err()
}

func diffResponse(q service.DiffSchemaQuery, a service.DiffSchemaAnswer) *pembav1.DiffSchemaResponse {
	response := &pembav1.DiffSchemaResponse{Version: a.Version, Warnings: warningsToProto(a.Schema)}
	if q.Old == nil {
		response.Snapshot = a.Snapshot.Token()
	}
	response.Changes, response.ChangesCut = differencesToProto(schema.Diff(a.Before, a.Schema))
	return response
}

// warningsMax is how many remarks on a schema an answer has.
const warningsMax = 100

func warningsToProto(s *schema.Schema) []*pembav1.Diagnostic {
	warnings := s.Warnings()
	var shown []*pembav1.Diagnostic
	for _, w := range warnings[:min(len(warnings), warningsMax)] {
		shown = append(shown, diagnosticToProto(w))
	}
	return shown
}
