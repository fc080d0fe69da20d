package worlds

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/service"
)

// Product is the real system: the service over a database in memory. This file
// is all that ties random worlds to what they test. Whoever makes one closes it.
type Product struct {
	embedded.Driver
	now time.Time
}

// Load makes a new database, on a clock that stands still.
func (p *Product) Load(ctx context.Context, at time.Time, schema string, tuples []rel.Tuple) error {
	p.now = at
	p.Clock = func() time.Time { return p.now }
	return p.Driver.Load(ctx, schema, tuples)
}

// Advance puts the clock forward.
func (p *Product) Advance(to time.Time) { p.now = to }

// Check asks one question.
func (p *Product) Check(ctx context.Context, q Question) (Answer, error) {
	answer, err := p.Service().Check(ctx, service.CheckQuery{Store: rel.DefaultStore, Item: item(q)})
	return answerOf(answer.Answer), err
}

// Effective asks for roles and permissions.
func (p *Product) Effective(ctx context.Context, q Question) (Access, error) {
	access, err := p.Service().EffectiveAccess(ctx, service.AccessQuery{
		Store: rel.DefaultStore, Object: q.Object, Principal: q.Principal, Brought: brought(q.Asker),
	})
	return Access{
		Role: access.Role, ConditionalRole: access.ConditionalRole,
		Permissions: access.Permissions, ConditionalPermissions: access.ConditionalPermissions,
		Missing: missingOf(access.Missing), Until: access.ValidUntil,
	}, err
}

// Batch asks many questions at one snapshot.
func (p *Product) Batch(ctx context.Context, questions []Question) ([]Answer, error) {
	items := make([]service.BatchItem, len(questions))
	for i, q := range questions {
		items[i].CheckItem = item(q)
	}
	batch, err := p.Service().BatchCheck(ctx, service.BatchQuery{Store: rel.DefaultStore, Items: items})
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(questions))
	for i, outcome := range batch.Outcomes {
		if outcome.Err != nil {
			return nil, outcome.Err
		}
		answers[i] = answerOf(outcome.Answer)
	}
	return answers, nil
}

func item(q Question) service.CheckItem {
	return service.CheckItem{Object: q.Object, Name: q.Name, Principal: q.Principal, Brought: brought(q.Asker)}
}

func brought(a Asker) service.Brought {
	return service.Brought{Context: a.Context, Contextual: a.Contextual}
}

func answerOf(a engine.Answer) Answer {
	answer := Answer{Missing: missingOf(a.Missing), Until: a.ValidUntil}
	switch a.Result {
	case engine.Granted:
		answer.Result = oracle.Yes
	case engine.Conditional:
		answer.Result = oracle.Conditional
	}
	return answer
}

func missingOf(all []engine.Missing) []oracle.Missing {
	var missing []oracle.Missing
	for _, m := range all {
		missing = append(missing, oracle.Missing{Key: m.Tuple, Caveat: m.Caveat, Parameters: m.Parameters, Problem: m.Problem != ""})
	}
	return missing
}
