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

	// chunkMin is how much of a run is read at least: a seek costs as much as some twenty
	// steps.
	chunkMin = 16
	// firstChunksMin is how much of all runs together is read first, at least. Of a
	// thousand runs most do not come to their second entry.
	firstChunksMin = 1_000
	// passedMax is how many tuples beyond a chunk are looked at for it before it says how
	// far it has come. A caveat can take away a million in a row.
	passedMax = 1_000
	// chunkContextsMax is how many bytes of caveat contexts one chunk keeps: there may be
	// ten thousand tuples in it, with sixteen KiB each.
	chunkContextsMax = 1 << 20
)
