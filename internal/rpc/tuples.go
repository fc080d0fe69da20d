package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// answerBytesMax keeps what a list answers below the 4 MiB that a client takes by
// default, with room for what stands beside the list. Ten thousand tuples of the
// longest ids are 27 MB, and with the longest contexts 160 MB.
const answerBytesMax = 3 << 20

// framingBytes is what an entry of a list takes beside its texts: tags and
// lengths.
const framingBytes = 16

// ReadTuples lists or counts stored tuples.
func (s *tupleServer) ReadTuples(ctx context.Context, req *pembav1.ReadTuplesRequest) (*pembav1.ReadTuplesResponse, error) {
	query, err := readQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.ReadTuples(ctx, query)
	if err != nil {
		return nil, err
	}
	return readResponse(query, answer), nil
}

func readQuery(req *pembav1.ReadTuplesRequest) (service.ReadQuery, error) {
	var f form
	query := service.ReadQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Filter:      f.filter("filter", req.GetFilter()),
		CountOnly:   req.GetCountOnly(),
		PageSize:    service.PageSizeDefault,
		Measure:     sizeOf,
		PageBytes:   answerBytesMax,
	}
	token := req.GetPageToken()
	if query.CountOnly {
		if token != "" {
			f.unwanted("page_token", "leave it out; `count_only` counts all tuples at once")
		}
		return query, f.err()
	}
	query.PageSize = f.pageSize(req.GetPageSize())
	if err := f.err(); err != nil {
		return query, err
	}
	query.Page = given(&f, "page_token", token, service.FirstPage(readArguments(query)...).At)
	return query, f.err()
}

// readArguments are what must stay the same from page to page. A field that is
// not set and one set to its default are the same argument.
func readArguments(q service.ReadQuery) []string {
	subjectRelation := "any"
	if q.Filter.SubjectRelation != nil {
		subjectRelation = "=" + string(*q.Filter.SubjectRelation)
	}
	return []string{
		"ReadTuples", string(q.Store), q.Consistency.Argument(),
		string(q.Filter.ObjectType), q.Filter.ObjectID, q.Filter.IDPrefix, string(q.Filter.Relation),
		string(q.Filter.SubjectType), q.Filter.SubjectID, subjectRelation,
	}
}

// sizeOf is at least what a tuple takes as proto.
func sizeOf(t rel.Tuple) int {
	size := len(t.Object.Type()) + len(t.Object.ID()) + len(t.Relation) +
		len(t.Subject.Type()) + len(t.Subject.ID()) + len(t.Subject.Relation()) + framingBytes
	if !t.Always() {
		// A context can take six times its JSON, so it is not guessed.
		size += proto.Size(&pembav1.Tuple{Caveat: tupleCaveatToProto(t.Caveat), ExpiresAt: expiryToProto(t.Expires)})
	}
	return size
}

func readResponse(q service.ReadQuery, a service.ReadAnswer) *pembav1.ReadTuplesResponse {
	if q.CountOnly {
		return &pembav1.ReadTuplesResponse{Snapshot: a.Snapshot.Token(), Count: a.Count}
	}
	response := &pembav1.ReadTuplesResponse{
		Snapshot:      a.Snapshot.Token(),
		Tuples:        make([]*pembav1.Tuple, len(a.Tuples)),
		NextPageToken: a.Next,
	}
	for i, t := range a.Tuples {
		response.Tuples[i] = tupleToProto(t)
	}
	return response
}
