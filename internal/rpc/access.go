package rpc

import (
	"context"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// EffectiveAccess answers everything that a principal has on an object.
func (s *permissionServer) EffectiveAccess(ctx context.Context, req *pembav1.EffectiveAccessRequest) (*pembav1.EffectiveAccessResponse, error) {
	query, err := accessQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.EffectiveAccess(ctx, query)
	if err != nil {
		return nil, err
	}
	return accessResponse(answer), nil
}

func accessQuery(req *pembav1.EffectiveAccessRequest) (service.AccessQuery, error) {
	var f form
	query := service.AccessQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Object:      f.object(req.GetObject()),
		Principal:   f.principal(req.GetSubject(), req.GetAdditionalSubjects()),
		Brought:     f.brought(req.GetContext(), req.GetContextualTuples()),
		Explain:     req.GetExplain(),
		Grantable:   req.GetIncludeGrantableRoles(),
	}
	return query, f.err()
}

func accessResponse(a service.AccessAnswer) *pembav1.EffectiveAccessResponse {
	return &pembav1.EffectiveAccessResponse{
		Snapshot:               a.Snapshot.Token(),
		Role:                   string(a.Role),
		Permissions:            texts(a.Permissions),
		ConditionalRole:        string(a.ConditionalRole),
		ConditionalPermissions: texts(a.ConditionalPermissions),
		Missing:                missingToProto(a.Missing, missingBytesMax),
		ValidUntil:             expiryToProto(a.ValidUntil),
		Explanation:            reasonToProto(a.Reason),
		Openings:               openingsToProto(a.Openings),
		GrantableRoles:         texts(a.Grantable),
		RevocableRoles:         texts(a.Revocable),
	}
}

func texts(names []rel.Name) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}
