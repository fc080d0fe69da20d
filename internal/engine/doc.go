// Package engine walks the graph of tuples: it says what a principal holds on an
// object, and why.
//
// It promises that an answer is the least fixpoint of the schema over the tuples
// that its Reader shows, whatever cycles they form, or an error that says which
// budget ran out; an error is never 'no'. It reads no clock, logs nothing,
// starts no goroutine, and knows neither Pebble nor gRPC.
//
// # How it walks
//
// The unit is a pair (object, slot). A pair is asked for once, however many paths
// lead to it; it remembers who asked, and when it comes to hold more they are
// told. So the work is linear in the pairs and tuples reached, and a cycle is
// nothing special: what nobody inside it can show stays 'no'.
//
// Pairs are worked off stratum by stratum, the lowest first. The right side of an
// exclusion lies in a lower stratum, so it is finished before it is read.
//
// Reading is lazy: an object is read when one of its stored slots is first asked
// for, what stands on the object itself is judged before any other object is
// touched, the right side of `&` and `-` is asked for only when the left side
// holds, and a walk stops as soon as the asked pair is certain. Start reading at
// Walk.Check, then walk.go; how an answer is explained begins at Walk.WhyCheck.
package engine
