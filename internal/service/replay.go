package service

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// named looks a command's request id up: it is new, and request is to be kept with
// the write; or the same command was written before, and kept is what is known of
// it; or another one was, which is refused. A command without an id is none of them.
func (c WriteCommand) named(snap *tupledb.Snapshot) (request *tupledb.Request, kept *tupledb.Kept, err error) {
	if c.RequestID == "" {
		return nil, nil, nil
	}
	request = &tupledb.Request{ID: c.RequestID, Body: c.body()}
	before, found, err := snap.Request(request.Caller, request.ID)
	if err != nil || !found {
		return request, nil, err
	}
	if before.Body != request.Body {
		return nil, nil, fault.Newf(fault.RequestIDMustNotBeReused, "the request id %q came with another write before", c.RequestID).
			Do("give every write an id of its own, and a retry the id and the body of what it repeats").In("request_id")
	}
	return nil, &before, nil
}

// replay is the answer that a request was given. Its changes are in the change log,
// as long as that remembers them; their numbers are kept beside. The log is read
// when the write turn is over: others write meanwhile, and revisions do not change.
func replay(store *tupledb.Store, at rel.Snapshot, kept tupledb.Kept) (answer WriteAnswer, judged time.Time, err error) {
	at.Revision = kept.Revision
	answer = WriteAnswer{
		Snapshot: at, Partial: kept.Partial, Replayed: true,
		Created: int(kept.Put), Touched: int(kept.Touch), Deleted: int(kept.Delete),
	}
	if !kept.Made {
		return answer, time.Time{}, nil
	}
	for change, err := range store.Changes(kept.Revision) {
		if fault.Is(err, fault.SnapshotMustBeWithinHistory) {
			break
		}
		if err != nil {
			return WriteAnswer{}, time.Time{}, err
		}
		judged = change.Time
		answer.Changes = admission.Decision{Put: change.Put, Touch: change.Touch, Delete: change.Delete}.Changes()
		break
	}
	return answer, judged, nil
}

// bodyForm is hashed before everything else. A release that hashes another way has
// another one: a retry across the upgrade is then refused, and never mistaken.
const bodyForm = 1

// body is what the command asks, as a hash: of what was understood, in one form,
// and not of what was sent, which a client may encode in another way each time. The
// id itself and the store, in which it is kept, are no part of it.
func (c WriteCommand) body() (sum tupledb.RequestBody) {
	b := bodyHash{sha256.New()}
	b.number(bodyForm)
	b.number(len(c.Updates))
	for _, u := range c.Updates {
		b.text(u.Op.String())
		switch u.Op {
		case rel.DeleteMatching:
			b.filter(u.Matching.Filter)
			b.number(u.Matching.Most())
			b.truth(u.Matching.Partial)
		case rel.DeleteObject:
			b.text(u.Object.String())
		case rel.Revoke:
			b.text(u.Revoking.Subject.String())
			b.text(u.Revoking.Within.String())
		default:
			b.text(u.Tuple.String())
		}
	}
	b.number(len(c.Preconditions))
	for _, p := range c.Preconditions {
		b.number(int(p.Kind))
		if p.Kind != rel.Holds {
			b.filter(p.Filter)
			continue
		}
		b.text(p.Object.String())
		b.text(string(p.Name))
		b.text(p.Principal.String())
		b.text(p.Context.String())
	}
	b.text(string(c.Metadata.Encode()))
	if c.Actor != (rel.Subject{}) {
		b.text(c.Actor.String())
		b.text(c.ActorContext.String())
	}
	b.hash.Sum(sum[:0])
	return sum
}

// A bodyHash takes texts with their lengths, so that no two lists of them look alike.
type bodyHash struct{ hash hash.Hash }

func (b bodyHash) number(n int) {
	_, _ = b.hash.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) // a hash returns no error
}

func (b bodyHash) truth(is bool) {
	n := 0
	if is {
		n = 1
	}
	b.number(n)
}

func (b bodyHash) text(s string) {
	b.number(len(s))
	_, _ = b.hash.Write([]byte(s)) // a hash returns no error
}

func (b bodyHash) filter(f rel.Filter) {
	for _, part := range []string{
		string(f.ObjectType), f.ObjectID, f.IDPrefix, string(f.Relation), string(f.SubjectType), f.SubjectID,
	} {
		b.text(part)
	}
	b.truth(f.SubjectRelation != nil)
	if f.SubjectRelation != nil {
		b.text(string(*f.SubjectRelation))
	}
}
