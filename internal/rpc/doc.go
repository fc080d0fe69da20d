// Package rpc is pemba's edge: gRPC comes in, the words of internal/rel go to
// internal/service, and answers and faults go out as proto.
//
// It promises that every string of a request becomes a value of internal/rel
// here or is refused here, with the path of its field; that a field or an RPC
// which this release does not serve is refused, never accepted and ignored;
// and that every refusal carries a code, a reason and, as far as they fit, all
// violations. No status is UNKNOWN, and INTERNAL means that pemba is wrong. No
// result is ever unspecified, and granted is true only for what is certain.
//
// It decides nothing about access and keeps nothing between two calls.
// Generated types end here. Start reading at NewServer, then check.go: the
// other handlers have the same three lines.
package rpc
