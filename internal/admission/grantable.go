package admission

import (
	"context"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Grantable are the roles of an object that an actor may give to somebody and take
// away from somebody, lowest first. What a rule asks of who receives the role counts
// as not held, and who receives it is not the actor. Reads at most readsMax.
func Grantable(ctx context.Context, s *schema.Schema, stored Reader, actor rel.Subject, rights Rights, o rel.Object, readsMax int) (grant, revoke []rel.Name, err error) {
	j := newJudge(ctx, s, stored, readsMax)
	j.rights, j.actor = rights, actor
	d := s.Definition(o.Type())
	c := j.creationOf(o)
	if c != nil { // nobody is given anything on it before it is created
		rule := d.CreatedBy()
		if rule.IsZero() || (ruling{judge: j, object: o, created: c, creates: true}).eval(rule, rule.Expr) != yes {
			return nil, nil, j.err
		}
	}
	v := ruling{judge: j, object: o, created: c}
	may := func(rule schema.Rule) bool { return !rule.IsZero() && v.eval(rule, rule.Expr) == yes && j.err == nil }
	for _, role := range d.Ladder() {
		if role.Relation == nil {
			continue
		}
		if may(role.Relation.GrantedBy) {
			grant = append(grant, role.Name)
		}
		if may(role.Relation.RevokedBy) {
			revoke = append(revoke, role.Name)
		}
	}
	return grant, revoke, j.err
}
