package condition

// Bounds on what one caveat may be. Whoever may write a schema is trusted with its
// meaning, not with the server's time: a caveat runs for every tuple that carries it.
const (
	// bodyBytesMax bounds the text, and with it what one pass over it costs: a
	// condition that people can review has a few lines, and one with a list of all
	// countries has less than 2 KiB.
	bodyBytesMax = 8 << 10
	// nodesMax bounds the tree behind the text, macros written out: constants are
	// free of charge, and so a loop may pass this many of them for one unit of cost.
	nodesMax = 2_000
	// nestingMax bounds how deep expressions nest: the checker, the planner and
	// every evaluation go down one call for each level, and a literal that holds
	// itself 150 levels deep keeps the checker busy for a second. `a && b && c` does
	// not nest, `a + b + c` does.
	nestingMax = 64
	// paramsMax bounds the parameters; each is declared to CEL, and named in answers.
	paramsMax = 64
	// paramBytesMax is as long as any other name may be.
	paramBytesMax = 64
	// typeNestingMax bounds types inside types. Values nest up to 32 levels; who
	// needs more than these writes `any`.
	typeNestingMax = 8
	// bodyFaultsMax keeps what is said about one caveat readable.
	bodyFaultsMax = 10
)

// Bounds on one decision. They are counted, not timed: the same question must have
// the same answer on a slow machine, and this room reads no clock.
const (
	// costMax is the work of one decision, in CEL's units: about one for each name
	// that is read and each function that is called. Everything that takes longer
	// than its unit is charged more, by cost.go. A loop over a list of 2,000 spends
	// about 10,000. The worst that we found, a loop over 300 constants, takes 25 ms
	// for all of it; most take 2 to 8.
	costMax = 50_000
	// zoneCost is what reading a time in a named zone costs: the zone is looked up
	// in the time zone database each time, which takes as long as this many names.
	zoneCost = 100
	// patternMax bounds a regular expression, in instructions of its program with
	// its repetitions written out: `a{1000}` is seven characters.
	patternMax = 1_000
	// patternBytesMax bounds the text of one that is not a constant, since it is
	// compiled each time.
	patternBytesMax = 512
)
