package oracledriver_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

const publicWorld = `schema: |
  use self
  definition user { permission me = self }
  definition doc {
    relation viewer: user | user:*
    relation guest: user
    relation banned: user
    permission view = (viewer + guest) - banned
    permission both = viewer & guest
    permission mixed = guest + both
    permission own = viewer->me
  }
relationships: |
  doc:1#viewer@user:*
  doc:1#guest@user:ana
  doc:1#banned@user:bob
  doc:2#viewer@user:ana
  doc:2#guest@user:bob
validation:
`

// Each of these lists has one thing wrong, and it is told as the file would have
// to have it.
func TestWrongValidationsFail(t *testing.T) {
	for _, c := range []struct{ name, list, want string }{
		{"nobody is listed", "  doc:2#viewer:\n", "[user:ana] is <doc:2#viewer> was found and is not listed"},
		{"one too many", `  doc:2#viewer: ["[user:ana] is <doc:2#viewer>", "[user:cem] is <doc:2#viewer>"]`,
			"user:cem is listed and not found"},
		{"one too few", `  doc:2#view: ["[user:ana] is <doc:2#viewer>"]`, "[user:bob] is <doc:2#guest> was found and is not listed"},
		{"another source", `  doc:2#viewer: ["[user:ana] is <doc:2#guest>"]`,
			"[user:ana] is <doc:2#viewer> was found for [user:ana] is <doc:2#guest>"},
		{"a source too many", `  doc:2#viewer: ["[user:ana] is <doc:2#viewer>/<doc:2#guest>"]`,
			"[user:ana] is <doc:2#viewer> was found for [user:ana] is <doc:2#guest>/<doc:2#viewer>"},
		{"a caveat that is none", `  doc:2#viewer: ["[user:ana[...]] is <doc:2#viewer>"]`,
			"[user:ana] is <doc:2#viewer> was found for [user:ana[...]] is <doc:2#viewer>"},
		{"an exception left out", `  doc:1#view: ["[user:*] is <doc:1#viewer>", "[user:ana] is <doc:1#guest>"]`,
			"[user:* - {user:bob}] is <doc:1#viewer> was found for [user:*] is <doc:1#viewer>"},
		{"an exception too many", `  doc:1#viewer: ["[user:* - {user:bob}] is <doc:1#viewer>"]`,
			"[user:*] is <doc:1#viewer> was found for [user:* - {user:bob}] is <doc:1#viewer>"},
		{"a wildcard that is none", `  doc:2#viewer: ["[user:*] is <doc:2#viewer>", "[user:ana] is <doc:2#viewer>"]`,
			"user:* is listed and not found"},
		{"a wildcard left out", `  doc:1#viewer: []`, "[user:*] is <doc:1#viewer> was found and is not listed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := run(t, oracledriver.New(), publicWorld+c.list+"\n")
			at := "some.yaml:20: validation of " + strings.Trim(strings.SplitN(c.list, ": ", 2)[0], " :\n")
			want := []string{at + ": expected the subjects that it lists, came " + c.want}
			if diff := cmp.Diff(want, report.Failures()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the file can say and asking does not decide is no pass.
func TestWhatAValidationCannotTellFails(t *testing.T) {
	for _, c := range []struct{ name, list, want string }{
		{"a subject without a tuple", "  user:ana#me: []", "user:ana holds the name by no tuple that names it"},
		{"by itself and beside a wildcard", `  doc:1#mixed: ["[user:ana] is <doc:1#guest>"]`, ""},
		{"a name that is not there", "  doc:1#veiw: []", "came an error: "},
		{"a type that is not there", "  dog:1#view: []", "came an error: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := run(t, oracledriver.New(), publicWorld+c.list+"\n")
			failures := strings.Join(report.Failures(), "\n")
			if c.want == "" {
				if failures != "" {
					t.Error(failures)
				}
				return
			}
			if report.Failed() != 1 || !strings.Contains(failures, c.want) {
				t.Errorf("got %s", failures)
			}
		})
	}
}

// A subject in more relations than can be weighed together is told, not guessed.
func TestAValidationBoundsItsQuestions(t *testing.T) {
	var relations, tuples, all strings.Builder
	for _, letter := range "abcdefghijkl" {
		name := "in_" + string(letter)
		relations.WriteString("    relation " + name + ": user\n")
		tuples.WriteString("  doc:1#" + name + "@user:ana\n")
		all.WriteString(" & " + name)
	}
	report := run(t, oracledriver.New(), "schema: |\n  definition user {}\n  definition doc {\n"+relations.String()+
		"    permission every = "+strings.TrimPrefix(all.String(), " & ")+"\n  }\nrelationships: |\n"+tuples.String()+
		"validation:\n  doc:1#every: []\n  doc:1#in_a: [\"[user:ana] is <doc:1#in_a>\"]\n")
	if got := strings.Join(report.Failures(), "\n"); report.Failed() < 1 || !strings.Contains(got, "user:ana stands in 12 relations that could matter together") {
		t.Error(got)
	}
}

// A driver that errs fails the case, and no other.
func TestAValidationThatCannotBeAskedFails(t *testing.T) {
	err := fault.New(fault.DeadlineMustNotPass, "too late")
	report := run(t, slow{oracledriver.New(), err}, publicWorld+"  doc:1#view: []\n")
	if got := report.Failures(); len(got) != 1 || !strings.Contains(got[0], "came an error: too late") {
		t.Error(got)
	}
}

type slow struct {
	*oracledriver.Driver
	err error
}

func (s slow) Check(context.Context, scenario.Question) (scenario.Answer, error) {
	return scenario.Answer{}, s.err
}
