//go:build invariants

package invariant

// Enabled says whether costly checks run in this build.
const Enabled = true
