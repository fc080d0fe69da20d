// Package schema turns a schema text into a compiled, immutable Schema, or into
// diagnostics that say all that is wrong with it.
//
// It promises that a Schema is consistent: every name in an expression exists,
// every subject form names a type and a name that exist, the names are
// stratified (no name depends on itself through the right side of an
// exclusion), and every bound can be kept. Whoever walks one needs to check
// none of that again. A Schema is never changed; any number of goroutines may
// read it.
//
// A text is one schema. Files that import others are joined to one text before
// (Load), which keeps the place of everything in its file. Partials are put into
// the definitions that include them, and nothing below knows of them.
//
// The compiled form: every name of a definition has a slot, and so has every
// arrow and the stored part of every role. What a principal holds on an object
// is a set of slots. A definition's roles, its ladder, are listed lowest first.
// Start reading at Compile. What compiles and is probably not meant is looked for
// in warnings.go and holding.go; what a schema costs, and who gives by a group, is
// worked out on demand, in cost.go and delegation.go.
package schema
