//go:build !smallworlds

package engine

// From these sizes on the walk goes another way to the same answer. They cost
// reads, and nothing else depends on them; thresholds_small.go has those with
// which small random worlds go all the ways.
const (
	// narrowTuplesMax is how many tuples of an object are read in one go. Most
	// objects have fewer: one seek then shows all that stands on them. Of a wider
	// one the walk asks for what it needs, relation by relation.
	narrowTuplesMax = 32

	// usersetsAtOnce is how many usersets of a relation are gathered before they
	// are followed.
	usersetsAtOnce = 1024

	// foresightFrom is how many usersets of one kind make it worth asking from the
	// principal's side: below it a look into each group is as good.
	foresightFrom = 16

	// foresightSteps is how many steps along the principal's own tuples are spent
	// for each group that need not be looked into. A seek costs as much as 20 to
	// 40 steps, and of a principal in a million groups the rest stays unread.
	foresightSteps = 16
)
