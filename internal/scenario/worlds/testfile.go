package worlds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Finding is a world on which a system and the oracle disagree, and the
// smallest trial that was found to show it.
type Finding struct {
	Seed   uint64
	First  *Disagreement // in the whole world
	Trial  Trial         // the small one
	Second *Disagreement // in the small one
}

// Find plays the trial of one seed, and shrinks it where the system disagrees.
// A seed that makes no world is an error of this package.
func Find(ctx context.Context, system System, seed uint64) (Tally, *Finding, error) {
	return find(ctx, system, seed, New(seed).Trial(), newBook())
}

func find(ctx context.Context, system System, seed uint64, trial Trial, known *book) (Tally, *Finding, error) {
	tally, first, err := trial.run(ctx, system, known)
	if err != nil || first == nil {
		return tally, nil, err
	}
	f := &Finding{Seed: seed, First: first}
	f.Trial = Shrink(trial.upTo(first), func(t Trial) bool {
		_, d, err := t.Run(ctx, system)
		return err == nil && d != nil && d.alike(first)
	})
	if _, f.Second, err = f.Trial.Run(ctx, system); err != nil {
		return tally, nil, err
	}
	return tally, f, nil
}

// upTo cuts off what comes after a disagreement.
func (t Trial) upTo(d *Disagreement) Trial {
	t.Steps = slices.Clone(t.Steps[:d.Step+1])
	if d.Step >= 0 && t.Steps[d.Step].Way != Batch {
		last := &t.Steps[d.Step]
		last.Questions = last.Questions[:min(d.Question+1, len(last.Questions))]
		last.Lists = last.Lists[:min(d.Question+1, len(last.Lists))]
	}
	return t
}

// alike reports whether two disagreements are of one kind. A shrinker that took
// any for any would end with a schema that one side merely refuses.
func (d *Disagreement) alike(e *Disagreement) bool {
	failed := func(s string) bool { return strings.HasPrefix(s, errorPrefix) }
	return failed(d.Got) == failed(e.Got) && (d.Step < 0) == (e.Step < 0) &&
		(d.Way == Explain) == (e.Way == Explain) && (d.Way == Write) == (e.Way == Write) && (d.Way != Write || outcome(d.Got) == outcome(e.Got) && outcome(d.Want) == outcome(e.Want))
}

// outcome is what came of a write, without what it changed.
func outcome(text string) string {
	before, _, _ := strings.Cut(text, " [")
	return before
}

// String is the finding as a test file, ready to be put beside the scenarios.
func (f *Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Found in the world of seed %d, and shrunk.\n#\n", f.Seed)
	fmt.Fprintf(&b, "# There: %s\n", f.First)
	if f.Second != nil {
		fmt.Fprintf(&b, "# Here: %s\n", f.Second)
	} else {
		b.WriteString("# Here the system agrees again: the answer changes from one time to the next.\n")
	}
	b.WriteString(f.Trial.String())
	return b.String()
}

// String is the trial as a test file: what the oracle says is what is expected.
// A test file has no clock and no contextual tuples. So everything is shown as it
// is when the clock has stopped, and what else is to be known stands in comments.
func (t Trial) String() string {
	var b strings.Builder
	b.WriteString("schema: |\n")
	for line := range strings.Lines(t.schemaText()) {
		b.WriteString("  " + line)
	}
	t, moves := t.stopped()
	if len(t.Tuples) > 0 {
		b.WriteString("relationships: |\n")
		for _, tuple := range t.Tuples {
			fmt.Fprintf(&b, "  %s\n", tuple)
		}
	}
	for _, move := range moves {
		fmt.Fprintf(&b, "# %s\n", move)
	}
	world, err := oracle.LoadAt(t.Schema, t.Tuples, start)
	if err != nil {
		fmt.Fprintf(&b, "# The oracle has no answer: %v\n", err)
		return b.String()
	}
	firstWrite := slices.IndexFunc(t.Steps, func(s Step) bool { return s.Way == Write })
	if firstWrite < 0 {
		firstWrite = len(t.Steps)
	}
	expected := expect(world, t.Steps[:firstWrite])
	b.WriteString(expected.comments())
	if len(expected.granted)+len(expected.conditional)+len(expected.denied) > 0 {
		b.WriteString("assertions:\n" + expected.assertions("  "))
	}
	b.WriteString(expected.rolesText(""))
	if firstWrite < len(t.Steps) {
		b.WriteString("writes:\n")
		writesText(&b, world, t.Steps[firstWrite:])
	}
	return b.String()
}

// stopped is the trial as it is when its clock has moved for the last time, and
// what it did before. Whoever reads the file has another clock: so what has expired
// by then did so a generation ago, and what has not does so in the far future.
func (t Trial) stopped() (Trial, []string) {
	now := start
	var moves []string
	rest := slices.DeleteFunc(slices.Clone(t.Steps), func(s Step) bool {
		if s.Way == Advance {
			moves = append(moves, fmt.Sprintf("The clock moves from %s to %s.", now.Format(time.RFC3339Nano), s.To.Format(time.RFC3339Nano)))
			now = s.To
		}
		return s.Way == Advance
	})
	if len(moves) > 0 {
		for _, tuple := range t.Tuples {
			if !tuple.Expires.Never() {
				moves = append(moves, "There it is "+tuple.String()+".")
			}
		}
	}
	t.Steps = rest
	return t.mapped(mapping{tuple: func(tuple rel.Tuple) rel.Tuple {
		switch at := tuple.Expires.Time(); {
		case tuple.Expires.Never():
		case tuple.Expires.PassedAt(now):
			tuple.Expires = shifted(at, -25)
		default:
			tuple.Expires = shifted(at, 900)
		}
		return tuple
	}}), moves
}

func shifted(at time.Time, years int) rel.Expiry {
	e, err := rel.NewExpiry(at.AddDate(years, 0, 0))
	if err != nil {
		panic(invariant.Unreachable("expiry of a test file", err))
	}
	return e
}

func writesText(b *strings.Builder, world *oracle.Oracle, steps []Step) {
	for i, step := range steps {
		if step.Way != Write {
			continue
		}
		b.WriteString("  - ")
		if !step.Actor.IsZero() {
			fmt.Fprintf(b, "actor: %q\n    ", step.Actor.Subject.String()+withText(step.Actor.Context))
		}
		b.WriteString("updates:\n")
		for _, u := range step.Updates {
			fmt.Fprintf(b, "      - %q\n", u.String())
		}
		changes, next, err := world.Write(step.Actor, step.Updates, nil)
		if f := fault.Of(err); f != nil {
			fmt.Fprintf(b, "    expect: refused %s\n", f.Code.Reason())
		} else {
			world = next
			b.WriteString("    expect: accepted\n    changes:")
			if len(changes) == 0 {
				b.WriteString(" []")
			}
			b.WriteString("\n")
			for _, c := range changes {
				fmt.Fprintf(b, "      - %q\n", c.String())
			}
		}
		end := i + 1
		for end < len(steps) && steps[end].Way != Write {
			end++
		}
		expected := expect(world, steps[i+1:end])
		b.WriteString(expected.comments())
		if !expected.empty() {
			b.WriteString("    then:\n" + expected.assertions("      ") + expected.rolesText("      "))
		}
	}
}

// expectations are what the oracle says of some questions, each said once.
type expectations struct {
	granted, conditional, denied []string
	roles                        []string
	beside                       []string // lists, and with contextual tuples, which no case can have
}

func (e expectations) empty() bool {
	return len(e.granted)+len(e.conditional)+len(e.denied)+len(e.roles) == 0
}

func (e *expectations) assert(access *oracle.Access, q Question) {
	truth := access.Result(q.Object, q.Name)
	list, text := &e.denied, q.String()
	switch truth {
	case oracle.Yes:
		list = &e.granted
	case oracle.Conditional:
		list = &e.conditional
	}
	if len(q.Contextual) > 0 {
		list, text = &e.beside, fmt.Sprintf("%s: %v", q.all(), truth)
	}
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

func expect(world *oracle.Oracle, steps []Step) expectations {
	var e expectations
	for _, step := range steps {
		for _, q := range step.Lists {
			e.beside = append(e.beside, listedCase(world, step, q))
		}
		for _, q := range step.Questions {
			with, err := world.With(q.Contextual)
			if err != nil {
				panic(invariant.Unreachable("contextual tuples of a trial", err))
			}
			if step.Way == Past {
				e.beside = append(e.beside, fmt.Sprintf("%s, of the state %d writes before", q.all(), step.Back))
				continue
			}
			access := with.For(q.Principal, q.Context)
			if q.Name != "" {
				e.assert(access, q)
				continue
			}
			role := fmt.Sprintf("%q: %s", q.Object.String()+"@"+q.Principal.String()+withText(q.Context), roleText(access.Role(q.Object)))
			if len(q.Contextual) == 0 && !slices.Contains(e.roles, role) {
				e.roles = append(e.roles, role)
			}
			for _, name := range world.PermissionsOf(q.Object.Type()) {
				e.assert(access, Question{q.Object, name, q.Asker})
			}
		}
	}
	return e
}

func (e expectations) comments() string {
	var b strings.Builder
	for _, text := range e.beside {
		b.WriteString("# Asked, too: " + text + "\n")
	}
	return b.String()
}

func (e expectations) assertions(indent string) string {
	var b strings.Builder
	for _, list := range []struct {
		key   string
		texts []string
	}{{"assertTrue", e.granted}, {"assertCaveated", e.conditional}, {"assertFalse", e.denied}} {
		if len(list.texts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s%s:\n", indent, list.key)
		for _, text := range list.texts {
			fmt.Fprintf(&b, "%s  - %q\n", indent, text)
		}
	}
	return b.String()
}

func (e expectations) rolesText(indent string) string {
	if len(e.roles) == 0 {
		return ""
	}
	return indent + "roles:\n" + indent + "  " + strings.Join(e.roles, "\n"+indent+"  ") + "\n"
}
