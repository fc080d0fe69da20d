package service

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// Bounds on what is looked for after a revoke. What is found within them is told,
// and that there may be more.
const (
	// remainingMax is how many objects are told of.
	remainingMax = 1_000
	// remainingLooksMax is how many objects inside are looked at, each with a walk: an
	// organization may have a million of them.
	remainingLooksMax = 10_000
)

// A Remaining is the access that a revoked subject still has on an object.
type Remaining struct {
	Subject         rel.Subject
	Object          rel.Object
	Role            rel.Name
	ConditionalRole rel.Name
	Permissions     []rel.Name
	Sources         []engine.Source
}

// An aftermath is the state after a write, as those who were revoked in it are
// looked for there.
type aftermath struct {
	service *Service
	schema  *schema.Schema
	reader  engine.Reader
	now     time.Time
}

// afterDecision is the state after a decision that is not written: what it deletes
// joins the state before as what has expired, and is not there.
func (s *Service) afterDecision(v *view, d admission.Decision) aftermath {
	joined := make([]rel.Tuple, 0, len(d.Put)+len(d.Touch)+len(d.Delete))
	joined = append(append(joined, d.Put...), d.Touch...)
	for _, t := range d.Delete {
		t.Expires = 1
		joined = append(joined, t)
	}
	return aftermath{s, v.schema, engine.Joined(v.Snapshot, joined, v.Time()), v.Time()}
}

// afterWrite tells what remains after a write that is stored, at the time at which
// it was judged. A replay whose revision the history has forgotten tells nothing,
// and that it is cut.
func (s *Service) afterWrite(ctx context.Context, c WriteCommand, at rel.Snapshot, judged time.Time) (remaining []Remaining, cut bool) {
	if !c.revokes() {
		return nil, false
	}
	store, err := s.db.Store(c.Store)
	if err != nil {
		return nil, true
	}
	snap, err := store.AtTime(at, judged)
	if err != nil {
		return nil, true
	}
	defer snap.Close()
	boundByContext(ctx, snap)
	v, err := s.withSchema(c.Store, snap)
	if err != nil {
		return nil, true
	}
	return aftermath{s, v.schema, v.Snapshot, v.Time()}.remaining(ctx, c.Updates)
}

// revokes reports whether a command has an update that tells what remains.
func (c WriteCommand) revokes() bool {
	for _, u := range c.Updates {
		if u.Op == rel.Revoke {
			return true
		}
	}
	return false
}

// remaining is what those who are revoked still have on the objects and inside
// them; cut says that there may be more. What is written is written, so a look that
// takes too long, or that fails, is one that was cut.
func (a aftermath) remaining(ctx context.Context, updates []rel.Update) (found []Remaining, cut bool) {
	ctx, cancel := a.service.budget(ctx)
	defer cancel()
	looks := 0
	told := make(map[rel.Revoking]bool)
	for _, u := range updates {
		if u.Op != rel.Revoke || told[u.Revoking] {
			continue
		}
		told[u.Revoking] = true
		principal, err := rel.NewPrincipal(u.Revoking.Subject)
		if err != nil {
			continue // the gate lets no wildcard in
		}
		walk := engine.NewWalk(engine.Question{
			Schema: a.schema, Reader: a.reader, Principal: principal, Time: a.now, ReadsMax: a.service.readsMax, Explain: true,
		})
		whole := a.inside(u.Revoking.Within, func(o rel.Object) bool {
			if looks++; looks > remainingLooksMax || walk.Remembers() > rememberedMax {
				return false
			}
			access, err := walk.Access(ctx, o)
			if err != nil {
				return false
			}
			if access.Role == "" && access.ConditionalRole == "" && len(access.Permissions) == 0 {
				return true
			}
			if len(found) == remainingMax {
				return false
			}
			found = append(found, Remaining{
				Subject: u.Revoking.Subject, Object: o, Role: access.Role, ConditionalRole: access.ConditionalRole,
				Permissions: access.Permissions, Sources: sourcesOf(access),
			})
			return true
		})
		if !whole {
			return found, true
		}
	}
	return found, false
}

// inside visits an object and everything inside it, what is nearest first, each
// once; whole says that nobody ended it.
func (a aftermath) inside(within rel.Object, visit func(rel.Object) bool) (whole bool) {
	seen := map[rel.Object]bool{within: true}
	for queue := []rel.Object{within}; len(queue) > 0; queue = queue[1:] {
		if !visit(queue[0]) {
			return false
		}
		for _, d := range a.schema.Definitions() {
			for _, name := range d.Within() {
				if !d.Relation(name).Allows(rel.Of(queue[0])) {
					continue
				}
				for t, err := range a.reader.Objects(rel.Of(queue[0]), d.Type, name, rel.IDs{}) {
					if err != nil {
						return false
					}
					if len(seen) > 2*remainingLooksMax { // enough to be cut by what is looked at
						break
					}
					if !seen[t.Object] {
						seen[t.Object] = true
						queue = append(queue, t.Object)
					}
				}
			}
		}
	}
	return true
}

// sourcesOf is where an access comes from: the way that gives the most.
func sourcesOf(access engine.Access) []engine.Source {
	reason := access.Reason
	for reason != nil && reason.Step != engine.StepTuple && reason.Step != engine.StepInherited && len(reason.Because) > 0 {
		reason = reason.Because[0]
	}
	if reason == nil {
		return nil
	}
	source := engine.Source{Role: access.Role}
	if source.Role == "" {
		source.Role = access.ConditionalRole
	}
	if reason.Step == engine.StepTuple || reason.Step == engine.StepInherited {
		source.Tuple = reason.Tuple
		if len(reason.Because) > 0 {
			if name, err := rel.ParseName(reason.Because[0].Name); err == nil {
				source.Through = rel.Userset(reason.Because[0].Object, name)
			}
		}
	}
	return []engine.Source{source}
}
