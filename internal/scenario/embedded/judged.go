package embedded

import (
	"context"
	"fmt"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

// A clause is a rule on who may write, and the name that coverage knows it by.
type clause struct {
	rule schema.Rule
	name scenario.Name
}

func newClause(typ rel.ObjectType, relation rel.Name, words string, rule schema.Rule) clause {
	return clause{rule, scenario.Name{Type: typ, Name: relation, Rule: words + " " + rule.String()}}
}

// clauses are the rules of a definition as they are written: a `revoked by` that is
// left out is the clause before it, and none of its own.
func clauses(d *schema.Definition) []clause {
	var all []clause
	if rule := d.CreatedBy(); !rule.IsZero() {
		all = append(all, newClause(d.Type, "", "created by", rule))
	}
	for _, r := range d.Relations() {
		if !r.GrantedBy.IsZero() {
			all = append(all, newClause(r.Type, r.Name, "granted by", r.GrantedBy))
		}
		if !r.RevokedBy.IsZero() && r.RevokedBy.Expr != r.GrantedBy.Expr {
			all = append(all, newClause(r.Type, r.Name, "revoked by", r.RevokedBy))
		}
	}
	return all
}

// Judged are the rules that decided on the last write of an actor: where it was
// accepted, those of its net change and of the objects that it created; where it was
// refused, those that it broke.
func (d *Driver) Judged(ctx context.Context, changes []rel.Change, refusal error) ([]scenario.Name, error) {
	if refusal != nil {
		return d.broken(refusal), nil
	}
	var names []scenario.Name
	for _, c := range changes {
		definition := d.schema.Definition(c.Tuple.Object.Type())
		r := definition.Relation(c.Tuple.Relation)
		if c.Op != rel.Delete {
			names = append(names, named(definition, r.GrantedBy)...)
		}
		if c.Op != rel.Create {
			names = append(names, named(definition, r.RevokedBy)...)
		}
		created, err := d.created(ctx, c.Tuple.Object, changes)
		if err != nil {
			return nil, err
		}
		if created {
			names = append(names, named(definition, definition.CreatedBy())...)
		}
	}
	return names, nil
}

// named is the name of a rule. A `revoked by` that was left out has the expression of
// the `granted by` which stands for it, and so its name.
func named(d *schema.Definition, rule schema.Rule) []scenario.Name {
	for _, c := range clauses(d) {
		if c.rule.Expr == rule.Expr {
			return []scenario.Name{c.name}
		}
	}
	return nil
}

// broken are the rules that a refusal names.
func (d *Driver) broken(refusal error) []scenario.Name {
	head := fault.Of(refusal)
	if head == nil {
		return nil
	}
	var names []scenario.Name
	for _, f := range head.All() {
		t, err := rel.ParseTuple(f.Details["tuple"])
		if f.Code != fault.ActorMustBeAllowedToGrant || err != nil {
			continue
		}
		for _, c := range clauses(d.schema.Definition(t.Object.Type())) {
			about := c.name.Name == "" || c.name.Name == t.Relation
			if about && c.rule.String() == f.Details["rule"] && fmt.Sprint(c.rule.Line) == f.Details["line"] {
				names = append(names, c.name)
			}
		}
	}
	return names
}

// created reports whether an object stood in no tuple before the last write: whether
// that created all tuples in which it stands, and took none away.
func (d *Driver) created(ctx context.Context, o rel.Object, changes []rel.Change) (bool, error) {
	var asObject, asSubject uint64
	for _, c := range changes {
		named, is := c.Tuple.Subject.Object()
		onIt, ofIt := c.Tuple.Object == o, is && named == o
		switch {
		case (onIt || ofIt) && c.Op != rel.Create:
			return false, nil
		case onIt:
			asObject++
		}
		if ofIt {
			asSubject++
		}
	}
	onIt, err := d.count(ctx, rel.Filter{ObjectType: o.Type(), ObjectID: o.ID()})
	if err != nil || onIt != asObject {
		return false, err
	}
	ofIt, err := d.count(ctx, rel.Filter{SubjectType: o.Type(), SubjectID: o.ID()})
	return ofIt == asSubject, err
}

func (d *Driver) count(ctx context.Context, f rel.Filter) (uint64, error) {
	answer, err := d.service.ReadTuples(ctx, service.ReadQuery{Store: rel.DefaultStore, Filter: f, CountOnly: true, PageSize: 1})
	return answer.Count, err
}
