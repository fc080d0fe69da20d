package worlds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
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
	trial := New(seed).Trial()
	tally, first, err := trial.Run(ctx, system)
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
	}
	return t
}

// alike reports whether two disagreements are of one kind. A shrinker that took
// any for any would end with a schema that one side merely refuses.
func (d *Disagreement) alike(e *Disagreement) bool {
	failed := func(s string) bool { return strings.HasPrefix(s, errorPrefix) }
	return failed(d.Got) == failed(e.Got) && (d.Step < 0) == (e.Step < 0)
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
func (t Trial) String() string {
	var b strings.Builder
	b.WriteString("schema: |\n")
	for line := range strings.Lines(SchemaText(t.Schema)) {
		b.WriteString("  " + line)
	}
	if len(t.Tuples) > 0 {
		b.WriteString("relationships: |\n")
		for _, tuple := range t.Tuples {
			fmt.Fprintf(&b, "  %s\n", tuple)
		}
	}
	world, err := oracle.Load(t.Schema, t.Tuples)
	if err != nil {
		fmt.Fprintf(&b, "# The oracle has no answer: %v\n", err)
		return b.String()
	}
	firstWrite := slices.IndexFunc(t.Steps, func(s Step) bool { return s.Way == Write })
	if firstWrite < 0 {
		firstWrite = len(t.Steps)
	}
	expected := expect(world, t.Steps[:firstWrite])
	if len(expected.granted)+len(expected.denied) > 0 {
		b.WriteString("assertions:\n" + expected.assertions("  "))
	}
	b.WriteString(expected.rolesText(""))
	if firstWrite < len(t.Steps) {
		b.WriteString("writes:\n")
		writesText(&b, world, t.Steps[firstWrite:])
	}
	return b.String()
}

func writesText(b *strings.Builder, world *oracle.Oracle, steps []Step) {
	for i, step := range steps {
		if step.Way != Write {
			continue
		}
		b.WriteString("  - updates:\n")
		for _, u := range step.Updates {
			fmt.Fprintf(b, "      - %q\n", u.String())
		}
		changes, next, err := world.Write(step.Updates, nil)
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
		if expected := expect(world, steps[i+1:end]); !expected.empty() {
			b.WriteString("    then:\n" + expected.assertions("      ") + expected.rolesText("      "))
		}
	}
}

// expectations are what the oracle says of some questions, each said once.
type expectations struct {
	granted, denied []string
	roles           []string
}

func (e expectations) empty() bool { return len(e.granted)+len(e.denied)+len(e.roles) == 0 }

func expect(world *oracle.Oracle, steps []Step) expectations {
	var e expectations
	assert := func(q Question, granted bool) {
		list := &e.denied
		if granted {
			list = &e.granted
		}
		if !slices.Contains(*list, q.String()) {
			*list = append(*list, q.String())
		}
	}
	for _, step := range steps {
		for _, q := range step.Questions {
			access := world.For(q.Principal)
			if step.Way != Effective {
				assert(q, access.Holds(q.Object, q.Name))
				continue
			}
			role := access.Role(q.Object)
			if role == "" {
				role = "none"
			}
			line := fmt.Sprintf("%q: %s", q.Object.String()+"@"+q.Principal.String(), role)
			if !slices.Contains(e.roles, line) {
				e.roles = append(e.roles, line)
			}
			for _, name := range world.PermissionsOf(q.Object.Type()) {
				assert(Question{q.Object, name, q.Principal}, access.Holds(q.Object, name))
			}
		}
	}
	return e
}

func (e expectations) assertions(indent string) string {
	var b strings.Builder
	for _, list := range []struct {
		key   string
		texts []string
	}{{"assertTrue", e.granted}, {"assertFalse", e.denied}} {
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
