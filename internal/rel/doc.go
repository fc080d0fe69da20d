// Package rel is pemba's vocabulary: stores, objects, subjects, principals,
// tuples, filters, revisions and snapshots.
//
// It promises that whoever holds one of its values holds a valid one: the only
// ways to make them are the New and Parse functions here, which the gates call
// (internal/rpc, cmd, files) and nobody else. It imports nothing but fault,
// knows no schema, and does no input or output.
//
// Notation, the same everywhere:
//
//	project:p1                              an object: type, ':', id
//	user:ana   team:core#member   user:*    subjects
//	project:p1#viewer@team:core#member      a tuple
//
// Text is split at the first ':', the last '#', and, in a tuple, the first '@'
// after the relation. An id is compared byte by byte and never normalised.
package rel
