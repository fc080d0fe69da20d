package worlds

import (
	"context"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/service"
)

// Product is the real system: the service over a database in memory. This file
// is all that ties random worlds to what they test. Whoever makes one closes it.
type Product struct{ embedded.Driver }

// Check asks one question.
func (p *Product) Check(ctx context.Context, q Question) (bool, error) {
	answer, err := p.Service().Check(ctx, service.CheckQuery{Store: rel.DefaultStore, Item: item(q)})
	return err == nil && answer.Result == engine.Granted, err
}

// Effective asks for role and permissions.
func (p *Product) Effective(ctx context.Context, object rel.Object, principal rel.Principal) (rel.Name, []rel.Name, error) {
	access, err := p.Service().EffectiveAccess(ctx, service.AccessQuery{Store: rel.DefaultStore, Object: object, Principal: principal})
	return access.Role, access.Permissions, err
}

// Batch asks many questions at one snapshot.
func (p *Product) Batch(ctx context.Context, questions []Question) ([]bool, error) {
	items := make([]service.BatchItem, len(questions))
	for i, q := range questions {
		items[i].CheckItem = item(q)
	}
	answer, err := p.Service().BatchCheck(ctx, service.BatchQuery{Store: rel.DefaultStore, Items: items})
	if err != nil {
		return nil, err
	}
	granted := make([]bool, len(questions))
	for i, outcome := range answer.Outcomes {
		if outcome.Err != nil {
			return nil, outcome.Err
		}
		granted[i] = outcome.Answer.Result == engine.Granted
	}
	return granted, nil
}

func item(q Question) service.CheckItem {
	return service.CheckItem{Object: q.Object, Name: q.Name, Principal: q.Principal}
}
