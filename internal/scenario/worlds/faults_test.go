//go:build !race

// The race detector would see one goroutine in each of these tests, and take
// minutes for it.

package worlds

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

// faults are what is planted into the second evaluator, one at a time.
var faults = []string{
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
	"certain and possible not swapped by an exclusion",
	"what may be taken is taken",
	"an expiry ignored",
	"an expiry is the last moment",
	"an expiry to the second",
	"caveat on an arrow forgotten",
	"caveat on a userset forgotten",
	"caveat on a wildcard forgotten",
	"caveat under all forgotten",
	"conditional taken for yes",
	"conditional taken for no",
	"open is true",
	"the first path is the answer",
	"the request's context wins",
	"memo shared by contexts",
	"memo shared by contextual tuples",
	"contextual tuples stay for the next question",
	"contextual tuples ignored",
	"a contextual tuple replaces none",
	"an expired contextual tuple replaces none",
	"an error is no",
	"a missing parameter is no",
	"a value of the wrong type is no",
	"minimum of what is open under +",
	"maximum of what is open under &",
	"conditional role beside a certain one forgotten",
	"conditional permissions are permissions",
	"batch shares the first context",
	"only the first that is missing",
	"missing does not look behind",
	"missing forgets the except",
	"until never",
	"until the last expiry",
	"until an hour later",
	"until forgets what is contextual",
	"partial in a partial forgotten",
	"attributes not judged",
	"create of what has expired refused",
	"changes without touches",
	"touch told as a create",
	"touch of the same told as a change",
	"delete told without what it had",
	"the clock does not move",
	"the clock leaves the memo",
	"the past is the present",
	"the past revives what has expired",
}

// actingFaults are about who may write, what assign and revoke take away, and bounds
// that few random writes touch. They are looked for where rules are dense.
var actingFaults = []string{
	"lower bound counts what has a caveat",
	"touch of attributes not judged",
	"ACTOR_MUST_BE_ALLOWED_TO_GRANT not judged",
	"what assign takes is not judged",
	"delete_matching not judged",
	"delete_object not judged",
	"delete of what is not there lets anybody",
	"touch of attributes judged by granted alone",
	"touch of the same lets anybody",
	"revoked by read as granted by",
	"except self ignored",
	"except self not copied",
	"without a rule anybody may",
	"without created by anybody creates",
	"created by not judged",
	"a conditional right is a right",
	"the actor's context ignored",
	"rights on the state after",
	"subject rights on the state after",
	"subject rights need a plain subject",
	"what was only a subject is new",
	"a bare name of a new object is judged",
	"a bare name of a new object held to the right of a minus",
	"a new object has no links",
	"links found in one round",
	"every tuple of a new object is a link",
	"assign leaves roles that are not one per subject",
	"assign forgets spread rules",
	"revoke lifts bans",
	"revoke follows one use",
	"revoke stops at one level",
	"within follows usersets",
	"revoke takes usersets",
	"revoke takes what has no rule",
	"revoke leaves roles without a rule",
}

// everyFault is how many faults there are to one that is planted: all of them take a
// quarter of an hour. All are
//
//	go test ./internal/scenario/worlds -run Planted -timeout 1h -args -every-fault 1
var everyFault = flag.Int("every-fault", 7, "plant every n-th fault")

// A test of the test: each of the usual faults is found, and what is handed back
// is a test file that shows it, that the oracle passes, and that is short.
func TestPlantedFaultsAreFoundAndShrunk(t *testing.T) {
	const parts = 2
	for part := range parts {
		t.Run(fmt.Sprintf("part %d", part+1), func(t *testing.T) {
			t.Parallel()
			known, administered := worldsKept{}, worldsKept{}
			all := slices.Concat(faults, actingFaults)
			every := max(*everyFault, 1)
			for i := part * every; i < len(all); i += parts * every {
				t.Run(all[i], func(t *testing.T) {
					if i < len(faults) {
						findPlanted(t, all[i], known.world)
						return
					}
					findPlanted(t, all[i], func(seed uint64) *worldKept {
						if seed%5 == 0 {
							return known.world(seed / 5)
						}
						return administered.keep(seed, func() Trial { return administeredTrial(t, seed) })
					})
				})
			}
		})
	}
}

// worldsKept are the first worlds and what the oracle says of them: most faults
// are found there.
type worldsKept map[uint64]*worldKept

type worldKept struct {
	trial Trial
	book  *book
}

const worldsKeptMax = 40

func (k worldsKept) world(seed uint64) *worldKept {
	return k.keep(seed, func() Trial { return New(seed).Trial() })
}

func (k worldsKept) keep(seed uint64, first func() Trial) *worldKept {
	w := k[seed]
	if w == nil {
		if w = (&worldKept{first(), newBook()}); len(k) < worldsKeptMax {
			k[seed] = w
		}
	}
	return w
}

// findPlanted plays worlds until one shows a planted fault. Those of the write rules
// are looked for in the writes of schemas where rules are dense, too: in most random
// ones what they speak of is rare.
func findPlanted(t *testing.T, planted string, world func(seed uint64) *worldKept) {
	const (
		answersMax = 200_000 // to questions and to writes
		linesMax   = 60
	)
	var tally Tally
	answers := func() int { return tally.Questions + tally.Accepted + tally.Refused }
	for seed := uint64(1); answers() < answersMax; seed++ {
		w := world(seed)
		got, finding, err := find(t.Context(), &walker{planted: planted}, seed, w.trial, w.book)
		if err != nil {
			t.Fatal(err)
		}
		tally.Add(got)
		if finding == nil {
			continue
		}
		text := finding.String()
		t.Logf("found after %d answers\n%s", answers(), text)
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
	if len(report.Results) == 0 && !strings.Contains(text, "# Asked, too: ") {
		t.Error("the test file has no case")
	}
}
