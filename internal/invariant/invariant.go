// Package invariant holds assertions about pemba's own state.
//
// A breach is a bug of ours, never something that a client or a disk can cause:
// those are faults. The build tag `invariants` turns the costly checks on; CI
// runs the tests with it.
package invariant

import "fmt"

// Unreachable is what to panic with where a switch has met a value it cannot meet.
func Unreachable(what string, value any) string {
	return fmt.Sprintf("pemba: unreachable %s %v", what, value)
}
