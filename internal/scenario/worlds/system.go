package worlds

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
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
	now   time.Time
	marks []rel.Snapshot // of what was loaded, and of each accepted write
}

// Load makes a new database, on a clock that stands still.
func (p *Product) Load(ctx context.Context, at time.Time, schema string, tuples []rel.Tuple) error {
	p.now = at
	p.Clock = func() time.Time { return p.now }
	if err := p.Driver.Load(ctx, schema, tuples); err != nil {
		return err
	}
	newest, err := p.Service().ReadTuples(ctx, service.ReadQuery{Store: rel.DefaultStore, CountOnly: true})
	p.marks = []rel.Snapshot{newest.Snapshot}
	return err
}

// Write writes on behalf of an actor.
func (p *Product) Write(ctx context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error) {
	answer, err := p.Service().Write(ctx, service.WriteCommand{
		Store: rel.DefaultStore, Write: admission.Write{Actor: actor.Subject, Updates: updates}, ActorContext: actor.Context,
	})
	if err == nil {
		p.marks = append(p.marks, answer.Snapshot)
	}
	return answer.Changes, err
}

// CheckAt asks one question of an earlier state.
func (p *Product) CheckAt(ctx context.Context, write int, q Question) (Answer, error) {
	answer, err := p.Service().Check(ctx, service.CheckQuery{
		Store: rel.DefaultStore, Item: item(q), Consistency: service.Consistency{Exact: &p.marks[write]},
	})
	return answerOf(answer.Answer), err
}

// Expand asks for the tree of a name, as deep as it can be had.
func (p *Product) Expand(ctx context.Context, object rel.Object, name rel.Name) (*Tree, error) {
	answer, err := p.Service().Expand(ctx, service.ExpandQuery{
		Store: rel.DefaultStore, Object: object, Name: name, Depth: engine.ExpandDepthMax,
	})
	if err != nil {
		return nil, err
	}
	return treeOf(answer.Tree), nil
}

var joins = map[engine.Operator]Join{
	engine.Nobody: Nobody, engine.HasTuple: Stored, engine.AnyOf: AnyOf, engine.AllOf: AllOf, engine.Except: Except,
	engine.Inherited: Through, engine.InheritedByAll: ThroughAll, engine.TheObject: TheObject,
}

func treeOf(t *engine.Tree) *Tree {
	if t == nil {
		return nil
	}
	tree := &Tree{Object: t.Object, Name: t.Name, Joins: joins[t.Operator], Cut: t.Cut}
	for _, part := range t.Operands {
		tree.Parts = append(tree.Parts, treeOf(part))
	}
	for _, edge := range t.Edges {
		tree.Edges = append(tree.Edges, Edge{edge.Tuple, treeOf(edge.Tree)})
	}
	return tree
}

// Explain asks why.
func (p *Product) Explain(ctx context.Context, q Question) (Explanation, error) {
	if q.Name != "" {
		answer, err := p.Service().Check(ctx, service.CheckQuery{Store: rel.DefaultStore, Item: item(q), Explain: true})
		return Explanation{Result: answerOf(answer.Answer).Result, Reason: reasonOf(answer.Reason), Openings: answer.Openings}, err
	}
	access, err := p.Service().EffectiveAccess(ctx, service.AccessQuery{
		Store: rel.DefaultStore, Object: q.Object, Principal: q.Principal, Brought: brought(q.Asker), Explain: true,
	})
	role := access.Role
	if role == "" {
		role = access.ConditionalRole
	}
	return Explanation{Role: role, Reason: reasonOf(access.Reason), Openings: access.Openings}, err
}

var steps = map[engine.Step]ReasonStep{
	engine.StepNone: ByNothing, engine.StepTuple: ByTuple, engine.StepItself: ByItself, engine.StepAnyOf: ByAnyOf,
	engine.StepAllOf: ByAllOf, engine.StepMinus: ByMinus, engine.StepRoleBelow: ByRoleAbove, engine.StepInherited: ByArrow,
}

func reasonOf(r *engine.Reason) *Reason {
	if r == nil {
		return nil
	}
	reason := &Reason{
		Object: r.Object, Name: r.Name, Result: answerOf(engine.Answer{Result: r.Result}).Result, Step: steps[r.Step], Tuple: r.Tuple,
		Contextual: r.Contextual, ConditionFalse: r.ConditionFalse, Cut: r.Cut, Role: r.Role,
	}
	for _, b := range r.Because {
		reason.Because = append(reason.Because, reasonOf(b))
	}
	return reason
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

// Tuples are all live tuples.
func (p *Product) Tuples(ctx context.Context) ([]rel.Tuple, error) {
	var all []rel.Tuple
	query := service.ReadQuery{Store: rel.DefaultStore, PageSize: service.PageSizeMax, Page: service.FirstPage()}
	for {
		page, err := p.Service().ReadTuples(ctx, query)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Tuples...)
		if page.Next == "" {
			return all, nil
		}
		if query.Page, err = query.Page.At(page.Next); err != nil {
			return nil, err
		}
	}
}

func item(q Question) service.CheckItem {
	return service.CheckItem{Object: q.Object, Name: q.Name, Principal: q.Principal, Brought: brought(q.Asker)}
}

func brought(a Asker) service.Brought {
	return service.Brought{Context: a.Context, Contextual: a.Contextual}
}

func answerOf(a engine.Answer) Answer {
	return Answer{Result: truthOf(a.Result), Missing: missingOf(a.Missing), Until: a.ValidUntil}
}

func missingOf(all []engine.Missing) []oracle.Missing {
	var missing []oracle.Missing
	for _, m := range all {
		missing = append(missing, oracle.Missing{Key: m.Tuple, Caveat: m.Caveat, Parameters: m.Parameters, Problem: m.Problem != ""})
	}
	return missing
}
