package service

import (
	"context"
	"iter"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A WriteCommand asks for tuples to be put and deleted, all of them or none.
type WriteCommand struct {
	Store rel.Store
	admission.Write
}

// A WriteAnswer is what a write did in the end.
type WriteAnswer struct {
	Snapshot rel.Snapshot
	Changes  []rel.Change // the net change, in the order of tuples
}

// Write judges a write on the newest state and commits what it decides, in one
// revision. A write without a net change makes none, and answers with the
// newest snapshot.
func (s *Service) Write(ctx context.Context, c WriteCommand) (WriteAnswer, error) {
	store, err := s.db.Store(c.Store)
	if err != nil {
		return WriteAnswer{}, err
	}
	var decision admission.Decision
	at, err := store.Update(ctx, func(snap *tupledb.Snapshot) (tupledb.Commit, error) {
		ctx, cancel := s.judgingBudget(ctx)
		defer cancel()
		s.boundJudging(ctx, snap)
		v, err := s.withSchema(c.Store, snap)
		if err != nil {
			return tupledb.Commit{}, err
		}
		decision, err = admission.Admit(ctx, v.schema, beforeWrite{snap}, c.Write, s.holds(v), s.judging)
		if err != nil {
			return tupledb.Commit{}, err
		}
		return tupledb.Commit{Put: decision.Put, Touch: decision.Touch, Delete: decision.Delete, Cause: tupledb.CauseWrite}, nil
	})
	if err != nil {
		return WriteAnswer{}, err
	}
	return WriteAnswer{at, decision.Changes()}, nil
}

// judgingBudget is the time that judging a write has, from its turn on: reads alone
// do not bound it, for a precondition can have as many conditions to decide.
func (s *Service) judgingBudget(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.timeMax, fault.Newf(fault.JudgingMustStayWithinBudget, "judging the write needs more than %v; nothing was written", s.timeMax).
		Do("split the write, or ask for less in its preconditions"))
}

// boundJudging ends a scan that judging a write has begun, when the caller has gone
// or the judging has read more than it may: all other writers wait for it.
func (s *Service) boundJudging(ctx context.Context, snap *tupledb.Snapshot) {
	snap.Bound(readsBetweenLooks, func(reads int) error {
		if reads > s.judging {
			return admission.OverBudget(s.judging)
		}
		return fault.Ended(ctx)
	})
}

// holds answers preconditions on the state before a write.
func (s *Service) holds(v *view) admission.Holds {
	return func(ctx context.Context, p rel.Precondition) (bool, error) {
		item := CheckItem{p.Object, p.Name, p.Principal, Brought{Context: p.Context}}
		if err := v.knows(item); err != nil {
			return false, err
		}
		answer, err := s.walk(v, p.Principal, item.Brought, false).Check(ctx, p.Object, p.Name)
		return err == nil && answer.Result == engine.Granted, err
	}
}

// beforeWrite shows a snapshot to admission.
type beforeWrite struct{ *tupledb.Snapshot }

func (b beforeWrite) Tuples(f rel.Filter) iter.Seq2[rel.Tuple, error] {
	return b.Snapshot.Tuples(f, nil)
}
