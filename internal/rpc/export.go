package rpc

import (
	"google.golang.org/grpc"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// ExportTuples sends stored tuples until all are sent, the client goes, or the server
// is told to stop. Sending waits while the client's window is full, which is what
// slows the export.
func (s *tupleServer) ExportTuples(req *pembav1.ExportTuplesRequest, stream grpc.ServerStreamingServer[pembav1.ExportTuplesResponse]) error {
	var f form
	query := service.ExportQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Filter:      f.filter("filter", req.GetFilter()),
		Measure:     func(t rel.Tuple) int { return sizeOf(t) + framingBytes },
	}
	if err := f.err(); err != nil {
		return err
	}
	ctx, cancel := s.edge.whileServing(stream.Context())
	defer cancel()
	return s.service.ExportTuples(ctx, query, func(p service.ExportPiece) error {
		response := &pembav1.ExportTuplesResponse{Snapshot: p.Snapshot.Token(), Tuples: make([]*pembav1.Tuple, len(p.Tuples))}
		for i, t := range p.Tuples {
			response.Tuples[i] = tupleToProto(t)
		}
		return stream.Send(response)
	})
}
