// Package condition gives caveats their value: it compiles their CEL, and decides
// whether a caveat is true, false or open for the values at hand. It is the only
// room that knows CEL.
//
// It promises three things. A caveat that compiled is a value: immutable, safe for
// concurrent use, and its cost is bounded, whatever the values. A decision is
// CEL's partial evaluation: `false && missing` is false, and what is open names
// the parameters that would decide it, or says what is wrong. And no error is
// ever a 'no': what cannot be evaluated is open, and why is told.
//
// It knows neither tuples nor schemas, reads no clock, and does no input or output.
// Start reading at Compile, then Caveat.Decide.
package condition
