package tupledb

import "time"

// Every bound of this room, with its reason.
const (
	// tuplesPerCommitMax bounds one revision: it is judged, logged and shown as
	// one, so it must fit in memory several times. At 200 bytes a tuple with
	// both indexes and the log a full one is a batch of 200 MB.
	tuplesPerCommitMax = 1_000_000

	// bytesPerCommitMax bounds the same in bytes: Pebble panics at a batch of 4 GB,
	// and each byte of a tuple stands in it three times, in both indexes and the log.
	bytesPerCommitMax = 256 << 20

	// expiredAtOnceMax bounds the expiries that one turn looks at: others wait for
	// it, and a read of each and a write of a thousand are some milliseconds.
	expiredAtOnceMax = 1_000

	// collectedAtOnceMax is how many changes of tuples are forgotten between two
	// looks at whether to go on; a batch of them is half a megabyte.
	collectedAtOnceMax = 2_000

	// chunkBytesMax is how much of a bulk load is gathered in memory before it is
	// written: 300,000 tuples with UUIDs. What does not fit into one chunk is merged
	// with the next by compactions, so fewer chunks cost less, and memory more.
	chunkBytesMax = 64 << 20

	// loadSublevelsMax is how many tables may lie above each other at a place before a
	// load waits for compactions: far more than it leaves on a machine that is not
	// busy, and far below where writers are stopped.
	loadSublevelsMax = 30

	// loadSweptAtOnceMax is how many keys one batch deletes of a load that is given up.
	loadSweptAtOnceMax = 10_000

	// hopsMax is how many versions newer than the snapshot a scan steps over
	// before it seeks past the rest: a step costs 0.1 us and a seek 2 us and up,
	// but both count as a read, and a tuple that was rewritten a thousand times
	// must not cost a thousand.
	hopsMax = 4

	// keyBytesHint is the room that a key buffer starts with: most keys fit, and
	// the largest possible one (8 KiB) grows it.
	keyBytesHint = 192

	// newestTuplesChecked is how many tuples of the newest change are looked up
	// in both indexes when a store is opened: enough to catch a torn batch, few
	// enough that opening does not depend on the size of the last write.
	newestTuplesChecked = 16

	// problemsMax is how many disagreements a verification lists; it counts the rest.
	problemsMax = 50

	// retryPauseMin and retryPauseMax bound how long a failed flush waits until it
	// is tried again: a hiccup costs nothing, a full disk is asked every few
	// seconds, and closing never waits much longer than that.
	retryPauseMin = 10 * time.Millisecond
	retryPauseMax = 5 * time.Second

	// requestKept is how long a request is remembered: far longer than anybody retries.
	requestKept = 24 * time.Hour

	// requestsDroppedMax is how many requests that are over one write deletes. A
	// write adds one at most, so what is over shrinks, and no write pays for a day.
	requestsDroppedMax = 16

	// storesMax bounds the stores of one data directory. Each is looked after twice a
	// second and read when the directory is opened, and the names and heads of all are
	// in memory.
	storesMax = 10_000

	// deletionRestMax is how long the deletion of a store rests in memory before its
	// space is given back: several that are deleted one after another are one piece
	// of work.
	deletionRestMax = 10 * time.Second

	// verifyStride is how many keys a verification reads between two looks at its context.
	verifyStride = 1024
)
