package service

import (
	"context"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// rights are what an actor holds on the state that a view shows. All questions of
// one write share a walk.
type rights struct {
	service *Service
	view    *view
	actor   rel.Principal
	brought Brought
	walk    *engine.Walk
}

// rightsOf are the rights of an actor: of its one subject, by what it brings itself.
// What a caller presents beside itself gives no right to give rights.
func (s *Service) rightsOf(v *view, actor rel.Actor) (admission.Rights, error) {
	if actor.IsZero() {
		return nil, nil
	}
	if err := v.schema.CheckSubject(actor.Subject); err != nil {
		return nil, fault.Of(err).In("actor")
	}
	principal, err := rel.NewPrincipal(actor.Subject)
	if err != nil {
		return nil, err
	}
	return &rights{service: s, view: v, actor: principal, brought: Brought{Context: actor.Context}}, nil
}

// asked is the walk for the next question. A walk that carries the work of many
// questions along can run out of a budget that this question alone would keep.
func (r *rights) asked() *engine.Walk {
	if r.walk == nil || r.walk.Failed() || r.walk.Remembers() > rememberedMax {
		r.walk = r.service.walk(r.view, r.actor, r.brought, false)
	}
	return r.walk
}

// Held is what the actor holds of a slot.
func (r *rights) Held(ctx context.Context, o rel.Object, s schema.Slot) (certain, possible bool, err error) {
	result, err := r.asked().Held(ctx, o, s)
	return result == engine.Granted, result != engine.Denied, err
}

// With is what the actor holds where further tuples are there.
func (r *rights) With(tuples []rel.Tuple) admission.Rights {
	return &rights{service: r.service, view: r.view, actor: r.actor, brought: Brought{Context: r.brought.Context, Contextual: tuples}}
}

// Holding is the actor's effective access.
func (r *rights) Holding(ctx context.Context, o rel.Object) (role string, permissions []string, err error) {
	access, err := r.asked().Access(ctx, o)
	if err != nil {
		return "", nil, err
	}
	for _, p := range access.Permissions {
		permissions = append(permissions, string(p))
	}
	return string(access.Role), permissions, nil
}
