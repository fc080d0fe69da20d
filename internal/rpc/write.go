package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// Bounds on the changes that a write answers with, as the proto promises them:
// an answer stays below the 4 MiB that a client takes, whatever was deleted.
const (
	changesMax      = 10_000
	changesBytesMax = 1 << 20
)

// tupleServer writes and reads tuples.
type tupleServer struct {
	pembav1.UnsafeTupleServiceServer
	service *service.Service
	edge    *edge
}

// Write changes tuples, all of the updates or none.
func (s *tupleServer) Write(ctx context.Context, req *pembav1.WriteRequest) (*pembav1.WriteResponse, error) {
	command, err := writeCommand(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.Write(ctx, command)
	if err != nil {
		return nil, err
	}
	return writeResponse(answer), nil
}

func writeCommand(req *pembav1.WriteRequest) (service.WriteCommand, error) {
	var f form
	if req.GetActor() == "" && req.GetActorContext() != nil {
		f.unwanted("actor_context", "send it together with `actor`, whose access it is about")
	}
	actor := f.actor(req.GetActor(), f.context("actor_context", req.GetActorContext(), rel.RequestContextBytesMax))
	command := service.WriteCommand{
		Store:     f.store(req.GetStore()),
		Metadata:  f.metadata(req.GetMetadata()),
		RequestID: optional(&f, "request_id", req.GetRequestId(), rel.ParseRequestID),
		DryRun:    req.GetDryRun(),

		ActorContext: actor.Context,
	}
	command.Actor = actor.Subject
	if len(req.GetUpdates()) == 0 {
		f.missing("updates", "send the tuples to create, touch or delete")
	}
	if f.atMost("updates", len(req.GetUpdates()), updatesMax) {
		command.Updates = f.updates(req.GetUpdates())
	}
	if f.atMost("preconditions", len(req.GetPreconditions()), preconditionsMax) {
		command.Preconditions = f.preconditions(req.GetPreconditions())
	}
	return command, f.err()
}

func (f *form) updates(updates []*pembav1.Update) []rel.Update {
	read := make([]rel.Update, len(updates))
	for i, u := range updates {
		f.enter("updates", i)
		read[i] = f.update(u)
		f.leave()
	}
	return read
}

func (f *form) update(u *pembav1.Update) rel.Update {
	switch o := u.GetOperation().(type) {
	case *pembav1.Update_Create:
		return rel.Update{Op: rel.Create, Tuple: f.tupleIn("create", o.Create)}
	case *pembav1.Update_Touch:
		return rel.Update{Op: rel.Touch, Tuple: f.tupleIn("touch", o.Touch)}
	case *pembav1.Update_DeleteTuple:
		f.enter("delete_tuple", noIndex)
		defer f.leave()
		return rel.Update{Op: rel.Delete, Tuple: rel.Tuple{Key: f.tupleKey(o.DeleteTuple.GetObject(), o.DeleteTuple.GetRelation(), o.DeleteTuple.GetSubject())}}
	case *pembav1.Update_Assign:
		return rel.Update{Op: rel.Assign, Tuple: f.tupleIn("assign", o.Assign)}
	case *pembav1.Update_DeleteMatching:
		f.enter("delete_matching", noIndex)
		defer f.leave()
		return rel.Update{Op: rel.DeleteMatching, Matching: f.matching(o.DeleteMatching)}
	case *pembav1.Update_Revoke:
		f.enter("revoke", noIndex)
		defer f.leave()
		return rel.Update{Op: rel.Revoke, Revoking: rel.Revoking{
			Subject: required(f, "subject", o.Revoke.GetSubject(), parseConcrete, "name whose tuples go, for example user:joe"),
			Within:  required(f, "within", o.Revoke.GetWithin(), rel.ParseObject, "name the object on which, and inside which, for example organization:acme"),
		}}
	case *pembav1.Update_DeleteObject:
		f.enter("delete_object", noIndex)
		defer f.leave()
		return rel.Update{Op: rel.DeleteObject, Object: f.object(o.DeleteObject.GetObject())}
	default:
		f.missing("", "set one of create, touch, assign, delete_tuple, delete_matching, revoke and delete_object")
	}
	return rel.Update{}
}

// actor reads on whose behalf something is written; empty is nobody.
func (f *form) actor(text string, given rel.Context) rel.Actor {
	if text == "" {
		return rel.Actor{}
	}
	actor, err := rel.NewActor(text, given)
	if err != nil {
		f.wrongText("actor", noIndex, text, err)
	}
	return actor
}

// matching reads which tuples are to go. A filter with nothing set would be the
// whole store, and is more likely a mistake.
func (f *form) matching(m *pembav1.DeleteMatching) rel.Matching {
	read := rel.Matching{
		Filter:  f.filter("filter", m.GetFilter()),
		Limit:   int(m.GetLimit()),
		Partial: m.GetAllowPartial(),
	}
	if x := m.GetFilter(); x == nil || proto.Size(x) == 0 {
		f.missing("filter", "set a part of it, for example object_type; to empty a store, delete it type by type")
	}
	if read.Limit > rel.MatchingLimitMax {
		path := f.path("limit", noIndex)
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "%s is %d", path, m.GetLimit()).
			Do("ask for at most %d, or for 0, which means %d", rel.MatchingLimitMax, rel.MatchingLimitDefault).In(path))
	}
	return read
}

// metadata reads why something is written.
func (f *form) metadata(texts map[string]string) rel.Metadata {
	m, err := rel.NewMetadata(texts)
	if err != nil {
		f.wrong("metadata", err)
	}
	return m
}

func (f *form) tupleIn(field string, t *pembav1.Tuple) rel.Tuple {
	f.enter(field, noIndex)
	defer f.leave()
	return f.tuple(t)
}

func (f *form) preconditions(preconditions []*pembav1.Precondition) []rel.Precondition {
	var read []rel.Precondition
	for i, p := range preconditions {
		f.enter("preconditions", i)
		read = append(read, f.precondition(p))
		f.leave()
	}
	return read
}

func (f *form) precondition(p *pembav1.Precondition) rel.Precondition {
	switch c := p.GetCondition().(type) {
	case *pembav1.Precondition_FilterMustMatch:
		return rel.Precondition{Kind: rel.Must, Filter: f.filter("filter_must_match", c.FilterMustMatch)}
	case *pembav1.Precondition_FilterMustNotMatch:
		return rel.Precondition{Kind: rel.MustNot, Filter: f.filter("filter_must_not_match", c.FilterMustNotMatch)}
	case *pembav1.Precondition_PermissionMustHold:
		f.enter("permission_must_hold", noIndex)
		defer f.leave()
		hold := c.PermissionMustHold
		return rel.Precondition{
			Kind:      rel.Holds,
			Object:    f.object(hold.GetObject()),
			Name:      f.permission(hold.GetPermission()),
			Principal: f.principal(hold.GetSubject(), hold.GetAdditionalSubjects()),
			Context:   f.context("context", hold.GetContext(), rel.RequestContextBytesMax),
		}
	default:
		f.missing("", "set one of filter_must_match, filter_must_not_match and permission_must_hold")
		return rel.Precondition{}
	}
}

func writeResponse(a service.WriteAnswer) *pembav1.WriteResponse {
	response := &pembav1.WriteResponse{
		Snapshot:     a.Snapshot.Token(),
		CreatedCount: uint64(a.Created),
		TouchedCount: uint64(a.Touched),
		DeletedCount: uint64(a.Deleted),
		Partial:      a.Partial,
		Replayed:     a.Replayed,
	}
	response.Remaining, response.RemainingCut = remainingToProto(a)
	room := changesBytesMax
	for _, c := range a.Changes {
		change := changeToProto(c)
		room -= proto.Size(change)
		if room < 0 || len(response.Changes) == changesMax {
			break
		}
		response.Changes = append(response.Changes, change)
	}
	response.ChangesCut = len(response.Changes) < a.Created+a.Touched+a.Deleted
	return response
}

// remainingBytesMax bounds what is told of remaining access: together with the
// changes an answer stays below what a client takes.
const remainingBytesMax = 1 << 20

func remainingToProto(a service.WriteAnswer) (told []*pembav1.RemainingAccess, cut bool) {
	room := remainingBytesMax
	for _, r := range a.Remaining {
		one := &pembav1.RemainingAccess{
			Subject: r.Subject.String(), Object: r.Object.String(),
			Role: string(r.Role), ConditionalRole: string(r.ConditionalRole), Permissions: texts(r.Permissions),
			Sources: sourcesToProto(r.Sources),
		}
		if room -= proto.Size(one); room < 0 {
			return told, true
		}
		told = append(told, one)
	}
	return told, a.RemainingCut
}

func operationToProto(o rel.Op) pembav1.TupleChange_Operation {
	switch o {
	case rel.Create:
		return pembav1.TupleChange_OPERATION_CREATED
	case rel.Delete:
		return pembav1.TupleChange_OPERATION_DELETED
	default:
		return pembav1.TupleChange_OPERATION_TOUCHED
	}
}
