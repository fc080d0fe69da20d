package rpc

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

// filtersMax bounds what each changed tuple is compared with, for each watcher.
const filtersMax = 100

// Watch sends the changes of a store until the client goes, or the server is told
// to stop: then the client is to start again, with another server or this one.
// Sending waits while the client's window is full, which is what slows the watch.
func (s *tupleServer) Watch(req *pembav1.WatchRequest, stream grpc.ServerStreamingServer[pembav1.WatchResponse]) error {
	query, err := watchQuery(req)
	if err != nil {
		return err
	}
	// A sign that the watch has begun: where the filters select little of a long
	// log, the first message may be long in coming.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	ctx, cancel := s.edge.whileServing(stream.Context())
	defer cancel()
	return s.service.Watch(ctx, query, func(m service.WatchMessage) error { return stream.Send(watchResponse(m)) })
}

func watchQuery(req *pembav1.WatchRequest) (service.WatchQuery, error) {
	var f form
	query := service.WatchQuery{
		Store:   f.store(req.GetStore()),
		Start:   f.watchStart(req),
		Measure: measure(),
	}
	if f.atMost("filters", len(req.GetFilters()), filtersMax) {
		for i, x := range req.GetFilters() {
			query.Filters = append(query.Filters, f.filterAt("filters", i, x))
		}
	}
	return query, f.err()
}

func (f *form) watchStart(req *pembav1.WatchRequest) service.WatchStart {
	switch start := req.GetStart().(type) {
	case *pembav1.WatchRequest_Snapshot:
		after := given(f, "snapshot", start.Snapshot, rel.ParseSnapshot)
		return service.WatchStart{After: &after}
	case *pembav1.WatchRequest_Now:
		f.mustBeTrue("now", start.Now)
	case *pembav1.WatchRequest_Beginning:
		f.mustBeTrue("beginning", start.Beginning)
		return service.WatchStart{Beginning: true}
	}
	return service.WatchStart{}
}

// measure says how large entries are, at least, as proto.
func measure() service.Measure {
	return service.Measure{
		Change:     func(c rel.Change) int { return sizeOf(c.Tuple) + framingBytes },
		Difference: differenceBytes,
	}
}

// differenceBytes is at least what a difference takes as proto.
func differenceBytes(d schema.Difference) int {
	return len(d.Definition) + len(d.Name) + len(d.Before) + len(d.After) + 2*framingBytes
}

func watchResponse(m service.WatchMessage) *pembav1.WatchResponse {
	response := &pembav1.WatchResponse{Snapshot: m.Snapshot.Token(), Checkpoint: m.Checkpoint, LastPiece: m.Last, ImportedCount: m.Imported}
	if m.Checkpoint {
		return response
	}
	response.Revision = revisionToProto(m.Revision)
	for _, c := range m.Changes {
		response.Changes = append(response.Changes, changeToProto(c))
	}
	response.SchemaChange = schemaChangeToProto(m.Schema)
	return response
}

func changeToProto(c rel.Change) *pembav1.TupleChange {
	return &pembav1.TupleChange{Operation: operationToProto(c.Op), Tuple: tupleToProto(c.Tuple)}
}

// schemaChangeToProto is nil where the schema was not written.
func schemaChangeToProto(s *service.SchemaWritten) *pembav1.SchemaChange {
	if s == nil {
		return nil
	}
	change := &pembav1.SchemaChange{Version: s.Version}
	for _, d := range s.Differences {
		change.Changes = append(change.Changes, differenceToProto(d))
	}
	return change
}

func revisionToProto(r service.Revision) *pembav1.Revision {
	revision := &pembav1.Revision{
		Snapshot:    r.Snapshot.Token(),
		CommittedAt: timestamppb.New(r.Time),
		Cause:       causeToProto(r.Cause),
	}
	if !r.Actor.IsZero() {
		revision.Actor = r.Actor.String()
	}
	for _, e := range r.Metadata.Entries() {
		if revision.Metadata == nil {
			revision.Metadata = make(map[string]string)
		}
		revision.Metadata[e.Key] = e.Value
	}
	return revision
}

func causeToProto(c service.Cause) pembav1.Cause {
	switch c {
	case service.CauseWrite:
		return pembav1.Cause_CAUSE_WRITE
	case service.CauseSchema:
		return pembav1.Cause_CAUSE_SCHEMA_WRITTEN
	case service.CauseExpired:
		return pembav1.Cause_CAUSE_EXPIRED
	case service.CauseImported:
		return pembav1.Cause_CAUSE_IMPORTED
	default:
		return pembav1.Cause_CAUSE_UNSPECIFIED
	}
}

// stopping is what a call is told that lasts until it is ended, when the server
// is told to stop.
func stopping() error {
	return fault.New(fault.ServerMustBeServing, "the server is being stopped").
		Do("call again, of a watch from the last snapshot that it sent: another server answers, or this one when it is back")
}
