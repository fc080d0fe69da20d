//go:build smallworlds

package engine

// The thresholds of a build for campaigns (docs/testing.md): so low that worlds of a
// few objects cross all of them. What a check costs is not asserted in such a build.
const (
	narrowTuplesMax  = 1
	usersetsAtOnce   = 2
	foresightFrom    = 1
	foresightSteps   = 1000
	chunkMin         = 2
	firstChunksMin   = 1
	passedMax        = 1
	chunkContextsMax = 8
)
