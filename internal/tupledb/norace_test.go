//go:build !race

package tupledb

const raceEnabled = false

const (
	cutsDefault  = 600
	everyDefault = 29
)
