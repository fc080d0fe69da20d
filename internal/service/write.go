package service

import (
	"context"
	"iter"
	"time"

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
	// ActorContext are values for the caveats on the actor's own access.
	ActorContext rel.Context
	// Metadata is kept with the change.
	Metadata rel.Metadata
	// RequestID, where there is one, makes the same command again no second write.
	RequestID rel.RequestID
	// DryRun judges alone. It neither reads nor keeps the RequestID.
	DryRun bool
}

// A WriteAnswer is what a write did in the end.
type WriteAnswer struct {
	Snapshot rel.Snapshot
	// Changes are the net change, in the order of tuples. A replayed answer is
	// without them once the change log has forgotten the revision.
	Changes []rel.Change
	// How many changes there are of each kind, whether Changes has them or not.
	Created, Touched, Deleted int
	// Partial says that a filter's limit left tuples that it selects.
	Partial bool
	// Remaining is the access that those who were revoked still have, where they were;
	// RemainingCut says that there may be more.
	Remaining    []Remaining
	RemainingCut bool
	// Replayed says that the command was written before, and this is its answer.
	Replayed bool
}

// Write judges a write on the newest state and commits what it decides, in one
// revision. A write without a net change makes none, and answers with the
// newest snapshot.
//
// A command with a RequestID is kept with its answer in the same step, also where
// it changes nothing, but not where it is refused. The id is looked up in the write
// turn, so of two equal commands at once one writes and the other is replayed.
func (s *Service) Write(ctx context.Context, c WriteCommand) (WriteAnswer, error) {
	if c.DryRun {
		return s.tryWrite(ctx, c)
	}
	store, err := s.db.Store(c.Store)
	if err != nil {
		return WriteAnswer{}, err
	}
	var answer WriteAnswer
	var kept *tupledb.Kept
	var judged time.Time
	at, err := store.Update(ctx, func(snap *tupledb.Snapshot) (tupledb.Commit, error) {
		var request *tupledb.Request
		var err error
		if request, kept, err = c.named(snap); err != nil || kept != nil {
			return tupledb.Commit{}, err
		}
		judged = snap.Time()
		decision, _, err := s.judge(ctx, snap, c)
		if err != nil {
			return tupledb.Commit{}, err
		}
		answer = answerOf(decision)
		return c.commit(decision, request), nil
	})
	if err != nil {
		return WriteAnswer{}, err
	}
	answer.Snapshot = at
	if kept != nil {
		if answer, judged, err = replay(store, at, *kept); err != nil {
			return WriteAnswer{}, err
		}
	}
	answer.Remaining, answer.RemainingCut = s.afterWrite(ctx, c, answer.Snapshot, judged)
	return answer, nil
}

// tryWrite answers as the write would, from the newest published state. It takes
// no turn: a preview holds up nobody.
func (s *Service) tryWrite(ctx context.Context, c WriteCommand) (WriteAnswer, error) {
	store, err := s.db.Store(c.Store)
	if err != nil {
		return WriteAnswer{}, err
	}
	snap, err := store.Newest()
	if err != nil {
		return WriteAnswer{}, err
	}
	defer snap.Close()
	decision, v, err := s.judge(ctx, snap, c)
	if err != nil {
		return WriteAnswer{}, err
	}
	commit := c.commit(decision, nil)
	if err := commit.Fits(); err != nil {
		return WriteAnswer{}, err
	}
	answer := answerOf(decision)
	answer.Snapshot = snap.Token()
	if c.revokes() {
		answer.Remaining, answer.RemainingCut = s.afterDecision(v, decision).remaining(ctx, c.Updates)
	}
	return answer, nil
}

// judge decides on a write by the schema in force.
func (s *Service) judge(ctx context.Context, snap *tupledb.Snapshot, c WriteCommand) (admission.Decision, *view, error) {
	defer boundByContext(ctx, snap) // whoever reads it afterwards has the caller's time alone
	ctx, cancel := s.judgingBudget(ctx)
	defer cancel()
	s.boundJudging(ctx, snap)
	v, err := s.withSchema(c.Store, snap)
	if err != nil {
		return admission.Decision{}, nil, err
	}
	rights, err := s.rightsOf(v, rel.Actor{Subject: c.Actor, Context: c.ActorContext})
	if err != nil {
		return admission.Decision{}, nil, err
	}
	decision, err := admission.Admit(ctx, v.schema, beforeWrite{snap}, c.Write, s.holds(v), rights, s.judging)
	return decision, v, err
}

func (c WriteCommand) commit(d admission.Decision, request *tupledb.Request) tupledb.Commit {
	if request != nil {
		request.Partial = d.Partial
	}
	return tupledb.Commit{
		Put: d.Put, Touch: d.Touch, Delete: d.Delete,
		Metadata: c.Metadata.Encode(), Actor: c.Actor, Cause: tupledb.CauseWrite, Request: request,
	}
}

func answerOf(d admission.Decision) WriteAnswer {
	return WriteAnswer{
		Changes: d.Changes(), Partial: d.Partial,
		Created: len(d.Put), Touched: len(d.Touch), Deleted: len(d.Delete),
	}
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
