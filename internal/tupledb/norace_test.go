//go:build !race

package tupledb

const raceEnabled = false
