package worlds

import (
	"context"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// Write leaves to the oracle what fits and what a write must leave behind. What
// updates do, and who may, it says itself.
func (s *walker) Write(_ context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error) {
	world, err := s.judge()
	if err != nil {
		return nil, err
	}
	changes, next, err := world.Write(rel.Actor{}, updates, nil)
	if !fault.Is(err, fault.NotInSchema) && !fault.Is(err, fault.AlreadyExistsCreate) {
		effects, left := s.effects(updates)
		if refused := s.refuses(actor, effects, left); refused != nil {
			return nil, refused
		}
		var plain []rel.Update
		for _, e := range effects {
			op := rel.Delete
			if e.puts {
				op = rel.Touch
			}
			plain = append(plain, rel.Update{Op: op, Tuple: e.tuple})
		}
		changes, next, err = world.Write(rel.Actor{}, plain, nil)
	}
	if s.unjudged(world, updates, fault.Of(err)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.planted == "create of what has expired refused" && s.createsExpired(updates) {
		return nil, fault.New(fault.AlreadyExistsCreate, "it was there")
	}
	s.stored = next.Stored()
	s.past = append(s.past, s.stored)
	if s.planted != "write leaves the memo" {
		s.memos = map[string]*memo{}
	}
	return s.told(world.Tuples(), updates, changes), nil
}

// CheckAt answers of the tuples that there were.
func (s *walker) CheckAt(ctx context.Context, write int, q Question) (Answer, error) {
	stored, memos, now := s.stored, s.memos, s.now
	defer func() { s.stored, s.memos, s.now = stored, memos, now }()
	switch s.planted {
	case "the past is the present":
		return s.Check(ctx, q)
	case "the past revives what has expired":
		s.now = start
	}
	s.stored, s.memos = s.past[write], map[string]*memo{}
	return s.Check(ctx, q)
}

// unjudged reports whether a planted fault lets a write pass that is refused.
func (s *walker) unjudged(world *oracle.Oracle, updates []rel.Update, refused *fault.Fault) bool {
	if refused == nil {
		return false
	}
	switch s.planted {
	case refused.Code.Reason() + " not judged":
		return true
	case "attributes not judged":
		return refused.Code == fault.NotInSchema && !slices.ContainsFunc(updates, func(u rel.Update) bool {
			_, _, err := world.Write(rel.Actor{}, []rel.Update{{Op: rel.Delete, Tuple: rel.Tuple{Key: u.Tuple.Key}}}, nil)
			return fault.Is(err, fault.NotInSchema)
		})
	case "lower bound counts what has a caveat":
		return refused.Code == fault.LowerBoundMustHold && s.enoughOfAnyKind(updates)
	case "touch of attributes not judged":
		return refused.Code > fault.PreconditionMustHold && !slices.ContainsFunc(updates, func(u rel.Update) bool {
			return u.Op != rel.Touch || !slices.ContainsFunc(world.Tuples(), func(t rel.Tuple) bool { return t.Key == u.Tuple.Key })
		})
	}
	return false
}

// enoughOfAnyKind reports whether a write would keep the lower bounds if tuples with
// a caveat or an expiration counted for them.
func (s *walker) enoughOfAnyKind(updates []rel.Update) bool {
	loose := cloned(s.file)
	least := map[*syntax.Relation]int{}
	for _, d := range loose.Definitions {
		for _, r := range stored(d) {
			if r.Multiplicity != nil {
				m := *r.Multiplicity
				least[r], m.Min, r.Multiplicity = m.Min, 0, &m
			}
		}
	}
	world, err := oracle.New(loose, s.stored)
	if err != nil {
		return false
	}
	_, next, err := world.At(s.now).Write(rel.Actor{}, updates, nil)
	if err != nil {
		return false
	}
	for _, o := range next.Objects() {
		for _, r := range stored(definitionOf(loose, string(o.Type()))) {
			count := 0
			for _, t := range next.Tuples() {
				if t.Object == o && string(t.Relation) == r.Name.Text && !t.Subject.IsWildcard() {
					count++
				}
			}
			if count < least[r] {
				return false
			}
		}
	}
	return true
}

func (s *walker) createsExpired(updates []rel.Update) bool {
	return slices.ContainsFunc(updates, func(u rel.Update) bool {
		return u.Op == rel.Create && slices.ContainsFunc(s.stored, func(t rel.Tuple) bool {
			return t.Key == u.Tuple.Key && t.Expires.PassedAt(s.now)
		})
	})
}

// told are the changes of a write, with what a planted fault makes of them.
func (s *walker) told(was []rel.Tuple, updates []rel.Update, changes []rel.Change) []rel.Change {
	changes = slices.Clone(changes)
	switch s.planted {
	case "changes without deletes":
		return slices.DeleteFunc(changes, func(c rel.Change) bool { return c.Op == rel.Delete })
	case "changes without touches":
		return slices.DeleteFunc(changes, func(c rel.Change) bool { return c.Op == rel.Touch })
	case "touch told as a create":
		for i := range changes {
			if changes[i].Op == rel.Touch {
				changes[i].Op = rel.Create
			}
		}
	case "delete told without what it had":
		for i := range changes {
			if changes[i].Op == rel.Delete {
				changes[i].Tuple = rel.Tuple{Key: changes[i].Tuple.Key}
			}
		}
	case "touch of the same told as a change":
		for _, u := range updates {
			if u.Op == rel.Touch && slices.Contains(was, u.Tuple) && slices.Contains(s.stored, u.Tuple) {
				changes = append(changes, rel.Change{Op: rel.Touch, Tuple: u.Tuple})
			}
		}
	}
	return changes
}
