package scenariotest_test

import (
	"testing"

	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
	"github.com/pemba-io/pemba/internal/scenario/scenariotest"
)

// Every scenario is a promise about the product, so every way of asking must
// keep it: the definition itself, and the product on its own database.
func TestScenarios(t *testing.T) {
	scenariotest.Files(t, "../testdata/*.yaml", theOracle,
		scenariotest.Driver{
			Name: "embedded",
			New: func(t *testing.T) scenario.Driver {
				d := &embedded.Driver{}
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				})
				return d
			},
		})
}

// The tests of the examples are scenarios of whole systems. The product passes them
// where they stand.
func TestTheOraclePassesTheTestsOfTheExamples(t *testing.T) {
	scenariotest.Files(t, "../../../examples/*/tests/*.yaml", theOracle)
}

var theOracle = scenariotest.Driver{
	Name: "oracle",
	New:  func(*testing.T) scenario.Driver { return oracledriver.New() },
}
