// Package tupledb keeps tuples, schema texts and their history in Pebble.
//
// It promises four things. A revision is atomic: all of its changes are visible
// or none are. A revision is durable before anybody sees it: Pebble shows a
// write to readers before its fsync is done, so this room publishes a revision
// only afterwards, and reads nothing above the published one. A revision is for
// ever, as long as history is kept: a snapshot at r answers the same today and
// tomorrow. And the order of a store's revisions is total and dense, 1, 2, 3…,
// with strictly increasing commit times, even when the clock steps back.
//
// A read has a time beside its revision: a tuple whose expiry is at or before it
// is not there, for a read and for the judge of a write alike. The evaluation
// time is the clock's, or the newest published commit's where the clock is behind
// that, and an old snapshot is read at the time of the reading. So what a
// published commit may have seen expired stays expired. A clock that steps back
// while nothing is committed is believed: what had expired in the meantime only
// is there again until its time comes once more. Whoever reopens a snapshot at a
// time that it had before, as a list's pages do, reads what it read then.
//
// A store has nothing in common with another. Each key begins with its store's
// number, which no other store has or will have, and whoever reads a store reads
// through an iterator with that number's bounds. A store that is deleted is gone at
// once and whole, and is never read as an empty one.
//
// It knows nothing of what a schema means, of permissions or of requests, and it
// is the only room that knows Pebble. It starts no goroutine of its own.
//
// # Damage
//
// What is damaged is refused or is an error of the read that meets it, and never
// opens a store that is shorter than it was. Tables check their blocks themselves.
// Pebble's logs and its manifest do not: it takes damage at their end for a write
// that a power cut tore. So two files of our own stand beside them. SEAL says what a
// directory holds that was closed, and SYNCED, while it is open and after a process
// was killed, how much of the logs and of the manifest was on the disk (ledger.go).
// What remains: after a power cut SYNCED may be some seconds old, since it is not
// synced with each write. A record of those seconds that is damaged as well, and not
// only torn, can pass for a torn one; and where both files were taken away, as much is
// known as Pebble knows.
//
// # Keys
//
// A key is a prefix, which ends in 0x00, and a suffix, which is a revision or
// nothing. Prefixes are ordered byte by byte, suffixes newest first, so that "as
// of r" is one seek. No id, type or name holds a 0x00, so fields need no
// escaping; below, "·" is that byte, and every line but the last three starts
// with the store's number (4 bytes, big-endian) and the kind. An id of an object or
// a subject that is a canonical UUID is packed: 0x01, its 16 bytes, whatever they
// are, and the 0x00. So such ids come before those that are text.
//
//	f object type·object id·class relation·subject type·subject id·subject relation· ^revision -> state
//	r subject type·subject id·subject relation·object type·relation·object id·       ^revision -> state
//	c revision (8 bytes)·                                                                      -> the change: when, why, what
//	e expiry (8 bytes, microseconds)object type·object id·class relation·subject type·subject id·subject relation· ^revision -> (empty)
//	i caller·request id·                                                                       -> the request: its body's hash, when, what it did
//	h ·                                                                                        -> the oldest revision that can be read
//	l ·                                                                                        -> the bulk load: how far it is, of which import
//	o time (8 bytes)caller·request id·                                          -> nothing: the requests, the oldest first
//	s ·                                                                              ^revision -> schema number, time, text
//	0 m format·                                                                                -> version of this table
//	0 m number·                                                                                -> the highest number that a store ever had
//	0 m store·name·                                                                            -> number, incarnation, epoch, time of creation
//
// The class keeps usersets and wildcards ('0') before and apart from plain
// subjects ('1'): a walk needs the few usersets of a relation, and must not read
// ten thousand plain subjects to find them.
//
// The state is one byte, live or tombstone, and all of it for a tuple without
// attributes. Both indexes carry the attributes of one that has any, since a walk
// reads either: a byte of flags, then what these say is there, the expiry
// (microseconds, a varint), the caveat's name and its context (each a length and
// a text). An expired tuple keeps its version until it is deleted, by a revision with
// the cause Expired: what is put over it before is a put, so one put may follow
// another without a delete between them.
//
// A change that brings a schema names its number and a sum of its text.
//
// Versions below the oldest revision that can be read, its floor, are deleted in
// the background, from the beginning of the change log on: of a tuple those that a
// later one up to there replaced, tombstones among them.
//
// Each version that expires has an entry among the expiries, written with it. The
// entry goes with the revision that deletes the tuple, or when its time has come
// and a newer version has taken the tuple's place.
//
// A request id stands in the batch of its write, or in one of its own where that
// changes nothing, so it is there exactly when its write is. It is good for a day;
// later writes delete it. The caller is empty as long as nobody is known by name.
//
// A bulk load writes versions of the revision after the head, without an entry in
// the change log: until that is written they are of no state. The load's record says
// that they belong there. It stays when the load is finished, so that whoever finishes
// it twice gets the same answer.
//
// Start reading at Store.Update for writes, at Snapshot for reads, at Store.Parts for
// what changed, at DB.CreateStore and DB.DeleteStore for stores, and at Load for tuples
// by the million.
package tupledb
