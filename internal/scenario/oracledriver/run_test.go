package oracledriver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

func run(t *testing.T, driver scenario.Driver, text string) scenario.Report {
	t.Helper()
	file, err := scenario.Read("some.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return scenario.Run(t.Context(), file, driver)
}

const smallWorld = `schema: |
  use roles
  definition user {}
  definition doc {
    roles one per subject { viewer: user; editor: user }
    permission read = viewer
  }
relationships: |
  doc:1#viewer@user:ana
`

// A runner that passes what is wrong is worse than none: every kind of case is
// shown to fail, with what was expected and what came.
func TestWrongCasesFail(t *testing.T) {
	report := run(t, oracledriver.New(), smallWorld+`assertions:
  assertTrue: ["doc:1#read@user:bob", "doc:1#read@user:ana"]
  assertFalse: ["doc:1#read@user:ana", "doc:1#raed@user:ana"]
roles:
  "doc:1@user:ana": editor
  "doc:1@user:bob": viewer
writes:
  - updates: ["create doc:1#editor@user:ana"]
    expect: accepted
  - updates: ["create doc:1#editor@user:ana"]
    expect: refused LOWER_BOUND_MUST_HOLD
  - updates: ["create doc:1#editor@user:bob"]
    expect: refused
  - name: its changes are others
    updates: ["touch doc:1#editor@user:bob"]
    expect: accepted
    changes: ["create doc:1#editor@user:bob"]
    then: {roles: {"doc:1@user:bob": none}}
`)
	want := []string{
		`some.yaml:11: doc:1#read@user:bob: expected granted, came denied`,
		`some.yaml:12: doc:1#read@user:ana: expected denied, came granted`,
		`some.yaml:12: doc:1#raed@user:ana: expected denied, came an error`,
		`some.yaml:14: doc:1@user:ana: expected editor, came viewer`,
		`some.yaml:15: doc:1@user:bob: expected viewer, came none`,
		`some.yaml:17: create doc:1#editor@user:ana: expected accepted, came refused ONE_ROLE_PER_SUBJECT`,
		`some.yaml:19: create doc:1#editor@user:ana: expected refused LOWER_BOUND_MUST_HOLD, came refused ONE_ROLE_PER_SUBJECT`,
		`some.yaml:21: create doc:1#editor@user:bob: expected refused, came accepted`,
		`some.yaml:23: its changes are others: expected accepted with create doc:1#editor@user:bob, came accepted with no change`,
		`some.yaml:27: doc:1@user:bob: expected none, came editor`,
	}
	got := report.Failures()
	for i, line := range got {
		if i < len(want) && strings.HasPrefix(line, want[i]) {
			got[i] = want[i] // what else an error says is its own business
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if report.Passed() != 1 || report.Failed() != 10 {
		t.Errorf("%d passed, %d failed", report.Passed(), report.Failed())
	}
}

func TestAFileThatCannotBeLoadedFails(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"no schema", "assertions:\n", "some.yaml: the file has no schema; give"},
		{"a schema that cannot be read", "# a story\nschema: |\n  definition user {}\n  definition doc { relation }\n", "some.yaml:4:"},
		{"a name that is not there", "schema: |\n  definition user {}\n  definition doc {\n    permission p = q\n  }\n", "some.yaml:4:20: "},
		{"tuples against the rules", smallWorld + "  doc:1#editor@user:ana\n", "some.yaml:8:1: user:ana has 2 roles"},
		{"tuples that do not fit", smallWorld + "  doc:1#read@user:ana\n", "some.yaml:8:1: doc:1#read@user:ana"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := run(t, oracledriver.New(), c.text)
			failures := strings.Join(report.Failures(), "\n")
			if report.Failed() != 1 || report.Passed() != 0 || !strings.HasPrefix(failures, c.want) {
				t.Errorf("%d failed: %s", report.Failed(), failures)
			}
		})
	}
}

// A driver whose rooms say which tuple they speak of has it shown where it stands.
func TestARuleThatTheTuplesBreakIsShownAtTheTuple(t *testing.T) {
	faults := fault.Join([]*fault.Fault{
		fault.New(fault.OneRolePerSubject, "third").With("tuple", "doc:1#editor@user:ana"),
		fault.New(fault.NotInSchema, "second").With("tuple", "doc:1#viewer@user:ana"),
		fault.New(fault.LowerBoundMustHold, "first").With("tuple", "doc:9#viewer@user:ana"),
		fault.New(fault.DiskMustTakeWrites, "nowhere"),
	})
	report := run(t, unloadable{err: faults}, smallWorld+"  // not this one\n    doc:1#editor@user:ana\n")
	want := []string{
		"some.yaml: nowhere",
		"some.yaml:8:1: first",
		"some.yaml:9:3: second",
		"some.yaml:11:5: third",
	}
	if diff := cmp.Diff(want, report.Failures()); diff != "" {
		t.Error(diff)
	}
}

type unloadable struct {
	broken
	err error
}

func (u unloadable) Load(context.Context, string, []rel.Tuple) error { return u.err }

func TestARefusedWriteThatChangesNothingPasses(t *testing.T) {
	report := run(t, oracledriver.New(), smallWorld+`writes:
  - updates: ["create doc:1#editor@user:ana"]
    expect: refused
    changes: []
`)
	if report.Failed() != 0 || report.Passed() != 1 {
		t.Errorf("got %v", report.Failures())
	}
}

func TestAFileWithoutCasesPasses(t *testing.T) {
	report := run(t, oracledriver.New(), smallWorld)
	if report.Failed() != 0 || report.Passed() != 0 {
		t.Errorf("%d passed, %d failed", report.Passed(), report.Failed())
	}
}

func TestASchemaCanBeReplaced(t *testing.T) {
	file, err := scenario.Read("some.yaml", []byte(smallWorld))
	if err != nil {
		t.Fatal(err)
	}
	file.UseSchema(scenario.Schema{Text: "definition user {", Path: "other.zed"})
	report := scenario.Run(t.Context(), file, oracledriver.New())
	if failures := report.Failures(); len(failures) == 0 || !strings.HasPrefix(failures[0], "other.zed:1:") {
		t.Errorf("got %v", failures)
	}
}

// broken answers everything alike, by a path, and refuses writes for reasons of its own.
type broken struct {
	answer scenario.Answer
	role   scenario.RoleAnswer
	err    error
}

func (broken) Load(context.Context, string, []rel.Tuple) error { return nil }

func (b broken) Check(context.Context, scenario.Question) (scenario.Answer, error) {
	return b.answer, nil
}

func (b broken) Role(context.Context, rel.Object, rel.Principal, rel.Context) (scenario.RoleAnswer, error) {
	return b.role, nil
}

func (b broken) Write(context.Context, rel.Actor, []rel.Update) ([]rel.Change, error) {
	return nil, b.err
}

func (broken) Now() time.Time { return time.Time{} }

func TestFailuresTellThePath(t *testing.T) {
	generous := broken{
		answer: scenario.Answer{Value: scenario.Granted, Path: "doc:1#viewer@user:*"},
		role:   scenario.RoleAnswer{Role: "owner", Path: "doc:1#owner@user:*"},
	}
	report := run(t, generous, smallWorld+`assertions: {assertFalse: ["doc:1#read@user:bob"]}
roles: {"doc:1@user:bob": none}
`)
	want := []string{
		"some.yaml:10: doc:1#read@user:bob: expected denied, came granted, by doc:1#viewer@user:*",
		"some.yaml:11: doc:1@user:bob: expected none, came owner, by doc:1#owner@user:*",
	}
	if diff := cmp.Diff(want, report.Failures()); diff != "" {
		t.Error(diff)
	}
}

// A conditional answer is neither yes nor no, and what would decide it is told.
func TestFailuresTellWhatIsMissing(t *testing.T) {
	key, err := rel.ParseKey("doc:1#viewer@user:bob")
	if err != nil {
		t.Fatal(err)
	}
	office := scenario.Missing{Tuple: key, Caveat: "office_hours", Parameters: []string{"day", "now"}}
	limit := scenario.Missing{Tuple: key, Caveat: "a/limit", Problem: "division by zero"}
	undecided := broken{
		answer: scenario.Answer{Value: scenario.Conditional, Missing: []scenario.Missing{office, limit}},
		role:   scenario.RoleAnswer{Role: "viewer", Possible: "editor", Missing: []scenario.Missing{{Tuple: key, Caveat: "now", Parameters: []string{"now"}}}},
	}
	report := run(t, undecided, smallWorld+`assertions:
  assertTrue: ["doc:1#read@user:bob"]
  assertFalse: ["doc:1#read@user:bob"]
  assertCaveated: ["doc:1#read@user:bob"]
roles: {"doc:1@user:bob": editor, "doc:1@user:ana": viewer}
`)
	came := "came conditional: day, now are missing, for doc:1#viewer@user:bob[office_hours]; division by zero, for doc:1#viewer@user:bob[a/limit]"
	want := []string{
		"some.yaml:11: doc:1#read@user:bob: expected granted, " + came,
		"some.yaml:12: doc:1#read@user:bob: expected denied, " + came,
		"some.yaml:14: doc:1@user:bob: expected editor, came viewer, and editor is conditional: now is missing, for doc:1#viewer@user:bob[now]",
	}
	if diff := cmp.Diff(want, report.Failures()); diff != "" {
		t.Error(diff)
	}
	if report.Passed() != 2 {
		t.Errorf("%d passed", report.Passed())
	}
}

// A full disk must not pass for a rule that was kept.
func TestNotEveryErrorIsARefusal(t *testing.T) {
	text := smallWorld + "writes: [{updates: [\"touch doc:1#viewer@user:bob\"], expect: refused}]\n"
	for _, c := range []struct {
		err  error
		pass bool
	}{
		{fault.New(fault.DiskMustTakeWrites, "the disk is full"), false},
		{fault.New(fault.DeadlineMustNotPass, "too late"), false},
		{errors.New("something"), false},
		{context.Canceled, false},
		{fault.New(fault.UpperBoundMustHold, "too many"), true},
		{fault.New(fault.ActorMustBeAllowedToGrant, "may not"), true},
	} {
		report := run(t, broken{err: c.err}, text)
		if passed := report.Failed() == 0; passed != c.pass {
			t.Errorf("%v: %v", c.err, report.Failures())
		}
	}
}
