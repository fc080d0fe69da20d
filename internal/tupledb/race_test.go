//go:build race

package tupledb

// raceEnabled: the race detector makes sync.Pool drop what it is given, so
// allocations are not counted under it.
const raceEnabled = true
