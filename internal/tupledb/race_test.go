//go:build race

package tupledb

// raceEnabled: the race detector makes sync.Pool drop what it is given, so
// allocations are not counted under it.
const raceEnabled = true

// What the tests of crashes do with the race detector, which makes them ten times
// slower and adds no crash.
const (
	cutsDefault  = 150
	everyDefault = 97
)
