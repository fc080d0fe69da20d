package worlds

import (
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// The second evaluator shares nothing with the oracle but the tree. Where both
// say the same of every random world, both probably say what is meant.
func TestTwoEvaluatorsAgree(t *testing.T) {
	var tally Tally
	for seed := range uint64(200) {
		got, finding, err := Find(t.Context(), &walker{}, seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if finding != nil {
			t.Fatal(finding)
		}
		tally.Add(got)
	}
	t.Log(tally)
}

// A test of the test: each of the usual faults is found, and what is handed back
// is a test file that shows it, that the oracle passes, and that is short.
func TestPlantedFaultsAreFoundAndShrunk(t *testing.T) {
	const (
		questionsMax = 50_000
		linesMax     = 60
	)
	for _, planted := range []string{
		"exclusion ignored",
		"except ignored",
		"except spares what is computed",
		"memo of a lower bound",
		"memo shared by principals",
		"negation reads what is open",
		"wildcard ignored",
		"wildcard covers usersets",
		"userset is no member of itself",
		"higher role gives no lower one",
		"inherit forgotten",
		"arrow stops at usersets",
		"only the first tuple",
		"intersection is union",
		"each subject asks for itself",
		"only the identity asks",
		"deep is no",
		"the first role is the role",
		"batch mixes two answers up",
		"union reads the left side",
		"intersection reads the left side",
		"wildcard covers every type",
		"arrow asks the first parent",
		"nested arrow ends at the first hop",
		"all is any",
		"all of none holds",
		"all forgets wildcards",
		"self forgotten",
		"inherit gives the lowest role",
		"computed holders of a stored role forgotten",
		"write leaves the memo",
		"changes without deletes",
		"NOT_IN_SCHEMA not judged",
		"ALREADY_EXISTS not judged",
		"ONE_ROLE_PER_SUBJECT not judged",
		"UPPER_BOUND_MUST_HOLD not judged",
		"LOWER_BOUND_MUST_HOLD not judged",
		"SUBJECT_MUST_BE_IN not judged",
	} {
		t.Run(planted, func(t *testing.T) {
			var tally Tally
			for seed := uint64(1); tally.Questions < questionsMax; seed++ {
				got, finding, err := Find(t.Context(), &walker{planted: planted}, seed)
				if err != nil {
					t.Fatal(err)
				}
				tally.Add(got)
				if finding == nil {
					continue
				}
				text := finding.String()
				t.Logf("found after %d questions\n%s", tally.Questions, text)
				if lines := strings.Count(text, "\n"); lines > linesMax {
					t.Errorf("the test file has %d lines", lines)
				}
				if finding.Second == nil {
					t.Error("the small trial does not fail any more")
				}
				oraclePasses(t, text)
				return
			}
			t.Errorf("not found in %v", tally)
		})
	}
}

func oraclePasses(t *testing.T, text string) {
	t.Helper()
	file, err := scenario.Read("shrunk.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	report := scenario.Run(t.Context(), file, oracledriver.New())
	for _, line := range report.Failures() {
		t.Error(line)
	}
	if len(report.Results) == 0 {
		t.Error("the test file has no case")
	}
}

// What a schema's text says is what its tree says.
func TestSchemaTextIsReadBack(t *testing.T) {
	for seed := range uint64(200) {
		w := New(seed)
		text := SchemaText(w.Schema)
		again := reparsed(t, text)
		if got := SchemaText(again); got != text {
			t.Fatalf("seed %d: written\n%s\nread back\n%s", seed, text, got)
		}
	}
}

func reparsed(t *testing.T, text string) *syntax.File {
	t.Helper()
	file, faults := syntax.Parse(text)
	if err := fault.Join(faults); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return file
}
