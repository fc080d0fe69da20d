package worlds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Disagreement is the first answer of a trial that is not the oracle's.
type Disagreement struct {
	Step, Question int // where in the trial
	Way            Way
	Asked          string
	Got, Want      string
}

func (d *Disagreement) String() string {
	asked := d.Asked
	if d.Step >= 0 {
		asked = d.Way.String() + " " + asked
	}
	return fmt.Sprintf("%s: the system says %s, the oracle says %s", asked, d.Got, d.Want)
}

// Run plays a trial on a system and compares every answer. It returns the first
// disagreement, nil for none. An error is that the oracle itself could not play
// the trial: the world is no world.
func (t Trial) Run(ctx context.Context, system System) (Tally, *Disagreement, error) {
	world, err := oracle.Load(t.Schema, t.Tuples)
	if err != nil {
		return Tally{}, nil, err
	}
	r := &referee{ctx: ctx, system: system, world: world, tally: Tally{Worlds: 1}}
	if err := system.Load(ctx, SchemaText(t.Schema), t.Tuples); err != nil {
		return r.tally, &Disagreement{Step: -1, Asked: "load", Got: errorText(err), Want: "no error"}, nil
	}
	for i, step := range t.Steps {
		if d := r.play(step); d != nil {
			d.Step, d.Way = i, step.Way
			return r.tally, d, nil
		}
	}
	return r.tally, nil, nil
}

// A referee holds a system against the oracle through one trial.
type referee struct {
	ctx    context.Context
	system System
	world  *oracle.Oracle
	access map[string]*oracle.Access // by principal, in the present state
	tally  Tally
}

func (r *referee) play(s Step) *Disagreement {
	switch s.Way {
	case Check:
		for i, q := range s.Questions {
			granted, err := r.system.Check(r.ctx, q)
			if d := r.compare(q, granted, err); d != nil {
				d.Question = i
				return d
			}
		}
	case Batch:
		granted, err := r.system.Batch(r.ctx, s.Questions)
		if err == nil && len(granted) != len(s.Questions) {
			err = fmt.Errorf("a batch of %d has %d answers", len(s.Questions), len(granted))
		}
		for i, q := range s.Questions {
			answer := err == nil && granted[i]
			if d := r.compare(q, answer, err); d != nil {
				d.Question = i
				return d
			}
		}
	case Effective:
		for i, q := range s.Questions {
			if d := r.effective(q); d != nil {
				d.Question = i
				return d
			}
		}
	case Write:
		return r.write(s.Updates)
	}
	return nil
}

// of is what a principal holds in the present state.
func (r *referee) of(principal rel.Principal) *oracle.Access {
	key := principal.String()
	if r.access[key] == nil {
		if r.access == nil {
			r.access = map[string]*oracle.Access{}
		}
		r.access[key] = r.world.For(principal)
	}
	return r.access[key]
}

func (r *referee) compare(q Question, granted bool, err error) *Disagreement {
	access := r.of(q.Principal)
	want := access.Holds(q.Object, q.Name)
	if err != nil || granted != want {
		return &Disagreement{Asked: q.String(), Got: answerText(granted, err), Want: answerText(want, nil)}
	}
	r.tally.Questions++
	if want {
		r.tally.Granted++
	}
	if access.ChangedByExclusion(q.Object, q.Name) {
		r.tally.Excluded++
	}
	if r.world.ThroughCycle(q.Object, q.Name) {
		r.tally.Cyclic++
	}
	return nil
}

func (r *referee) effective(q Question) *Disagreement {
	role, names, err := r.system.Effective(r.ctx, q.Object, q.Principal)
	access := r.of(q.Principal)
	got, want := accessText(role, names, err), accessText(access.Role(q.Object), access.Names(q.Object), nil)
	if got != want {
		return &Disagreement{Asked: q.Object.String() + "@" + q.Principal.String(), Got: got, Want: want}
	}
	r.tally.Effective++
	return nil
}

func (r *referee) write(updates []rel.Update) *Disagreement {
	writer, ok := r.system.(Writer)
	if !ok {
		return nil
	}
	changes, next, wantErr := r.world.Write(updates, nil)
	gotChanges, gotErr := writer.Write(r.ctx, updates)
	got, want := writeText(gotChanges, gotErr), writeText(changes, wantErr)
	if got != want {
		texts := make([]string, len(updates))
		for i, u := range updates {
			texts[i] = u.String()
		}
		return &Disagreement{Asked: strings.Join(texts, ", "), Got: got, Want: want}
	}
	if wantErr != nil {
		r.tally.Refused++
		return nil
	}
	r.tally.Accepted++
	r.world, r.access = next, nil
	return nil
}

func answerText(granted bool, err error) string {
	switch {
	case err != nil:
		return errorText(err)
	case granted:
		return "granted"
	default:
		return "denied"
	}
}

func accessText(role rel.Name, names []rel.Name, err error) string {
	if err != nil {
		return errorText(err)
	}
	if role == "" {
		role = "none"
	}
	names = slices.Sorted(slices.Values(names))
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return fmt.Sprintf("role %s, permissions [%s]", role, strings.Join(texts, " "))
}

// writeText is the same for the same net change in any order, and for the same
// reason in any words.
func writeText(changes []rel.Change, err error) string {
	if f := fault.Of(err); f != nil {
		return "refused " + f.Code.Reason()
	}
	if err != nil {
		return errorText(err)
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	slices.Sort(texts)
	return "accepted [" + strings.Join(texts, ", ") + "]"
}

func errorText(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errorPrefix + "nothing in time"
	}
	return errorPrefix + err.Error()
}

// errorPrefix tells an error from an answer.
const errorPrefix = "an error: "
