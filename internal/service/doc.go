// Package service holds pemba's use cases, one function each, free of any
// transport: a question or a command in the words of internal/rel comes in, an
// answer of the same kind goes out.
//
// It promises that every answer is of one snapshot, which the answer names; that
// an answer never shows what a power cut could take back; and that a refused
// command changes nothing. It opens and closes snapshots, finds the schema in
// force, and leaves judging to internal/admission and walking to
// internal/engine. Start reading at Service.Check.
package service
