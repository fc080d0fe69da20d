package service

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A BatchQuery is many checks at one snapshot. An item whose Err is set was
// malformed already, and is answered with that.
type BatchQuery struct {
	Store       rel.Store
	Consistency Consistency
	Items       []BatchItem
}

// A BatchItem is one check of a batch, or why it cannot be asked.
type BatchItem struct {
	CheckItem
	Err error
}

// A BatchAnswer has one outcome an item, in order.
type BatchAnswer struct {
	Snapshot rel.Snapshot
	Outcomes []BatchOutcome
	Cost     engine.Cost // of all items, those that failed among them
}

// A BatchOutcome is an answer, or an error of that item alone.
type BatchOutcome struct {
	Answer engine.Answer
	Err    error
}

// BatchCheck answers many checks at one snapshot, and reads for one item what it has
// not read for another. Items of one asker share a walk; askers share what stands on
// the objects that their walks meet. So a hundred names of one object cost one walk,
// a hundred objects of one subject look into its groups once, and a hundred subjects
// on one object read the object and its groups once.
func (s *Service) BatchCheck(ctx context.Context, q BatchQuery) (BatchAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return BatchAnswer{}, err
	}
	defer v.Close()
	b := &batch{
		service: s, view: v, reader: v.Snapshot, rememberedMax: rememberedMax,
		items: q.Items, outcomes: make([]BatchOutcome, len(q.Items)),
	}
	if err := b.answer(ctx); err != nil {
		return BatchAnswer{}, err
	}
	return BatchAnswer{Snapshot: v.Token(), Outcomes: b.outcomes, Cost: b.cost}, nil
}

// A batch is being answered: asker by asker, so that one walk is kept at a time.
type batch struct {
	service       *Service
	view          *view
	reader        engine.Reader
	rememberedMax int // by one walk
	items         []BatchItem
	outcomes      []BatchOutcome
	cost          engine.Cost
}

// rememberedMax bounds what a walk may keep for further items, some hundred megabytes
// at the worst: a thousand objects of one principal, each with a graph of its own,
// must not keep a thousand of them.
const rememberedMax = 2_000_000

// sharedBytesMax bounds what the walks of a batch share: some hundred thousand tuples.
// What a thousand principals have in common is mostly a few thousand.
const sharedBytesMax = 32 << 20

// answer answers all items.
func (b *batch) answer(ctx context.Context) error {
	askers := b.askers()
	if len(askers) > 1 {
		b.reader = engine.NewShared(b.view.Snapshot, sharedBytesMax)
	}
	for _, items := range askers {
		if err := b.answerAsker(ctx, items); err != nil {
			return err
		}
	}
	b.cost.Reads = b.view.Reads()
	return nil
}

// askers groups the items that can share a walk, by their places. What is malformed
// has its outcome now.
func (b *batch) askers() (groups [][]int) {
	byKey := make(map[string]int)
	last, group := -1, -1 // the item before, and its group: mostly the next one's, too
	for i := range b.items {
		if err := b.items[i].Err; err != nil {
			b.outcomes[i].Err = err
			continue
		}
		if last < 0 || !b.items[i].asksLike(&b.items[last].CheckItem) {
			key, known := b.items[i].asker(), false
			if group, known = byKey[key]; !known {
				group = len(groups)
				groups = append(groups, nil)
				byKey[key] = group
			}
		}
		groups[group] = append(groups[group], i)
		last = i
	}
	return groups
}

// asksLike reports whether two items can share a walk.
func (i *CheckItem) asksLike(other *CheckItem) bool {
	return i.Context == other.Context && slices.Equal(i.Principal.Subjects(), other.Principal.Subjects()) &&
		slices.Equal(i.Contextual, other.Contextual)
}

// asker is the same for items that can share a walk. No text in it holds the byte
// that keeps them apart.
func (i *CheckItem) asker() string {
	key := i.Principal.String()
	if !i.Context.IsEmpty() {
		key += "\x00" + i.Context.String()
	}
	for _, t := range i.Contextual {
		key += "\x00" + t.String()
	}
	return key
}

// answerAsker answers the items of one asker.
func (b *batch) answerAsker(ctx context.Context, items []int) error {
	var walk *engine.Walk
	first := &b.items[items[0]].CheckItem // who asks and what is brought are the same for all of them
	asker := knowing{schema: b.view.schema}
	asker.brought(first.Brought)
	asker.principal(first.Principal)
	for _, i := range items {
		if err := fault.Ended(ctx); err != nil {
			return err
		}
		item, outcome := &b.items[i].CheckItem, &b.outcomes[i]
		asked := knowing{schema: b.view.schema}
		asked.name("object", "permission", item.Object.Type(), item.Name)
		if outcome.Err = fault.Join(append(asked.faults, asker.faults...)); outcome.Err != nil {
			continue
		}
		if walk != nil && walk.Remembers() > b.rememberedMax {
			walk = nil
		}
		walk = b.check(ctx, walk, item, outcome)
	}
	return fault.Ended(ctx) // it may be what the last item failed of
}

// check asks on the asker's walk, and returns the walk to go on with. One that
// carries the work of earlier items along can run out of a budget that this item
// alone would keep; so an item that fails on a used walk is asked again on a new one.
func (b *batch) check(ctx context.Context, used *engine.Walk, item *CheckItem, outcome *BatchOutcome) *engine.Walk {
	walk := used
	if walk == nil {
		q := b.service.question(b.view, item.Principal, item.Brought)
		q.Reader = b.reader
		walk = engine.NewWalk(q)
	}
	outcome.Answer, outcome.Err = walk.Check(ctx, item.Object, item.Name)
	switch {
	case !walk.Failed():
		b.cost.Pairs += outcome.Answer.Cost.Pairs
		return walk
	case used == nil:
		return nil
	default:
		return b.check(ctx, nil, item, outcome)
	}
}
