package service

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
)

// A CheckQuery asks whether a principal holds a name on an object.
type CheckQuery struct {
	Store       rel.Store
	Consistency Consistency
	Item        CheckItem
	Explain     bool
}

// A CheckItem is what is asked, wherever and whenever.
type CheckItem struct {
	Object    rel.Object
	Name      rel.Name
	Principal rel.Principal
	Brought
}

// Brought is what a question brings beside its words, for itself alone.
type Brought struct {
	Context    rel.Context // values for the parameters of caveats
	Contextual []rel.Tuple // tuples that join the stored ones
}

// A CheckAnswer is the answer, and the state it is true of.
type CheckAnswer struct {
	Snapshot rel.Snapshot
	engine.Answer
	// Openings are tuples that would each turn a denial round, where an explanation
	// was asked for.
	Openings []rel.Tuple
}

// Check answers one question about access.
func (s *Service) Check(ctx context.Context, q CheckQuery) (CheckAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return CheckAnswer{}, err
	}
	defer v.Close()
	if err := v.knows(q.Item); err != nil {
		return CheckAnswer{}, err
	}
	walk := s.walk(v, q.Item.Principal, q.Item.Brought, q.Explain)
	answer, err := walk.Check(ctx, q.Item.Object, q.Item.Name)
	if err != nil || !q.Explain {
		return CheckAnswer{v.Token(), answer, nil}, err
	}
	why, err := walk.WhyCheck(ctx, q.Item.Object, q.Item.Name, answer)
	if err != nil {
		return CheckAnswer{}, err
	}
	answer.Reason, answer.Cost = why.Reason, answer.Cost.And(why.Cost)
	return CheckAnswer{v.Token(), answer, why.Openings}, nil
}

// An AccessQuery asks for all that a principal holds on an object.
type AccessQuery struct {
	Store       rel.Store
	Consistency Consistency
	Object      rel.Object
	Principal   rel.Principal
	Brought
	Explain bool
	// Grantable asks which roles the principal's own subject may give and take away.
	Grantable bool
}

// An AccessAnswer is the effective access, and the state it is true of.
type AccessAnswer struct {
	Snapshot rel.Snapshot
	engine.Access
	Openings []rel.Tuple // as of a CheckAnswer
	// Grantable and Revocable are the roles that the subject may give somebody and
	// take away from somebody, lowest first, where that was asked.
	Grantable, Revocable []rel.Name
}

// EffectiveAccess answers with the highest role and every permission, in one walk.
func (s *Service) EffectiveAccess(ctx context.Context, q AccessQuery) (AccessAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return AccessAnswer{}, err
	}
	defer v.Close()
	if err := v.knows(CheckItem{Object: q.Object, Principal: q.Principal, Brought: q.Brought}); err != nil {
		return AccessAnswer{}, err
	}
	walk := s.walk(v, q.Principal, q.Brought, q.Explain)
	access, err := walk.Access(ctx, q.Object)
	if err != nil {
		return AccessAnswer{}, err
	}
	answer := AccessAnswer{Snapshot: v.Token(), Access: access}
	if q.Explain {
		why, err := walk.WhyAccess(ctx, q.Object, access)
		if err != nil {
			return AccessAnswer{}, err
		}
		answer.Reason, answer.Openings, answer.Cost = why.Reason, why.Openings, access.Cost.And(why.Cost)
	}
	if q.Grantable {
		answer.Grantable, answer.Revocable, err = s.grantable(ctx, v, q)
	}
	return answer, err
}

// grantable judges the rules on roles for the subject alone, as for an actor: what it
// presents beside itself and contextual tuples give no right.
func (s *Service) grantable(ctx context.Context, v *view, q AccessQuery) (grant, revoke []rel.Name, err error) {
	actor := q.Principal.Subjects()[0]
	rights, err := s.rightsOf(v, rel.Actor{Subject: actor, Context: q.Context})
	if err != nil {
		return nil, nil, err
	}
	return admission.Grantable(ctx, v.schema, beforeWrite{v.Snapshot}, actor, rights, q.Object, s.judging)
}

// An ExpandQuery asks how a name of an object is put together.
type ExpandQuery struct {
	Store       rel.Store
	Consistency Consistency
	Object      rel.Object
	Name        rel.Name
	Depth       int // 1 to engine.ExpandDepthMax
}

// An ExpandAnswer is the tree, and the state that it is of.
type ExpandAnswer struct {
	Snapshot rel.Snapshot
	engine.Expansion
}

// Expand answers with the tree of a name.
func (s *Service) Expand(ctx context.Context, q ExpandQuery) (ExpandAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return ExpandAnswer{}, err
	}
	defer v.Close()
	if err := v.knows(CheckItem{Object: q.Object, Name: q.Name}); err != nil {
		return ExpandAnswer{}, err
	}
	expansion, err := engine.Expand(ctx, engine.ExpandQuestion{
		Schema: v.schema, Reader: v.Snapshot, Object: q.Object, Name: q.Name, Depth: q.Depth, ReadsMax: s.readsMax,
	})
	if err != nil {
		return ExpandAnswer{}, err
	}
	return ExpandAnswer{v.Token(), expansion}, nil
}

// A ReadQuery asks for the tuples that a filter selects, page by page.
type ReadQuery struct {
	Store       rel.Store
	Consistency Consistency
	Filter      rel.Filter
	CountOnly   bool
	PageSize    int // 1 to PageSizeMax
	Page        Page
	// Measure says at most how many bytes a tuple takes on the way to the client, and
	// PageBytes how many a page may; a first tuple always fits. Without a Measure
	// tuples take none.
	Measure   func(rel.Tuple) int
	PageBytes int
}

// A ReadAnswer is one page.
type ReadAnswer struct {
	Snapshot rel.Snapshot
	Tuples   []rel.Tuple
	Count    uint64
	Next     string // the next page's token; empty on the last page
}

// Bounds on a page of a list.
const (
	PageSizeDefault = 1_000
	PageSizeMax     = 10_000
)

// ReadTuples reads stored tuples. All pages of a list are of the first page's
// snapshot and time.
func (s *Service) ReadTuples(ctx context.Context, q ReadQuery) (ReadAnswer, error) {
	if err := q.Filter.Check(); err != nil {
		return ReadAnswer{}, err
	}
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.lookForPage(ctx, q.Store, q.Consistency, q.Page)
	if err != nil {
		return ReadAnswer{}, err
	}
	defer v.Close()
	if err := v.schema.CheckFilter(q.Filter); err != nil {
		return ReadAnswer{}, err
	}
	answer := ReadAnswer{Snapshot: v.Token()}
	room := q.PageBytes
	for t, err := range v.Tuples(q.Filter, q.Page.after) {
		if err != nil {
			return ReadAnswer{}, err
		}
		answer.Count++
		if q.CountOnly {
			continue
		}
		if q.Measure != nil {
			room -= q.Measure(t)
		}
		if n := len(answer.Tuples); n == q.PageSize || n > 0 && room < 0 {
			last := answer.Tuples[len(answer.Tuples)-1]
			answer.Next = q.Page.next(v.Snapshot, tupledbCursor(q.Filter, last))
			answer.Count--
			break
		}
		if answer.Tuples == nil {
			answer.Tuples = make([]rel.Tuple, 0, min(q.PageSize, 64))
		}
		answer.Tuples = append(answer.Tuples, t)
	}
	answer.Tuples = slices.Clip(answer.Tuples)
	return answer, nil
}
