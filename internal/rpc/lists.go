package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// ListObjects lists the objects on which a principal holds a name.
func (s *permissionServer) ListObjects(ctx context.Context, req *pembav1.ListObjectsRequest) (*pembav1.ListObjectsResponse, error) {
	query, err := objectsQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.ListObjects(ctx, query)
	if err != nil {
		return nil, err
	}
	return objectsResponse(answer), nil
}

func objectsQuery(req *pembav1.ListObjectsRequest) (service.ObjectsQuery, error) {
	var f form
	query := service.ObjectsQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Type:        required(&f, "object_type", req.GetObjectType(), rel.ParseType, "name the type of the objects, for example project"),
		Name:        f.permission(req.GetPermission()),
		Principal:   f.principal(req.GetSubject(), req.GetAdditionalSubjects()),
		Brought:     f.brought(req.GetContext(), req.GetContextualTuples()),
		Within:      optional(&f, "within", req.GetWithin(), rel.ParseObject),
		MinRole:     optional(&f, "min_role", req.GetMinRole(), rel.ParseName),
		IDPrefix:    optional(&f, "id_prefix", req.GetIdPrefix(), parseIDPrefix),
		Conditional: req.GetIncludeConditional(),
		PageSize:    f.pageSize(req.GetPageSize()),
		Measure:     sizeOfListedObject,
		PageBytes:   answerBytesMax,
	}
	if err := f.err(); err != nil {
		return query, err
	}
	query.Page = given(&f, "page_token", req.GetPageToken(), service.FirstPage(objectsArguments(query)...).At)
	return query, f.err()
}

// objectsArguments are what must stay the same from page to page. No text of a
// reference holds what parts arguments, and what a question brings, whose length
// is its own, stands last.
func objectsArguments(q service.ObjectsQuery) []string {
	within := ""
	if q.Within != (rel.Object{}) {
		within = q.Within.String()
	}
	return append([]string{
		"ListObjects", string(q.Store), q.Consistency.Argument(), string(q.Type), string(q.Name), q.Principal.String(),
		within, string(q.MinRole), q.IDPrefix, strconv.FormatBool(q.Conditional),
	}, broughtArguments(q.Brought)...)
}

// broughtArguments are a question's context, and its tuples in the order in which
// they came: of two with one key, the order says which counts.
func broughtArguments(b service.Brought) []string {
	arguments := []string{b.Context.String()}
	for _, t := range b.Contextual {
		arguments = append(arguments, t.String())
	}
	return arguments
}

func objectsResponse(a service.ObjectsAnswer) *pembav1.ListObjectsResponse {
	response := &pembav1.ListObjectsResponse{
		Snapshot:      a.Snapshot.Token(),
		Objects:       make([]*pembav1.ListedObject, len(a.Objects)),
		NextPageToken: a.Next,
	}
	for i, o := range a.Objects {
		response.Objects[i] = &pembav1.ListedObject{
			Object:          o.Object.String(),
			Result:          resultToProto(o.Result),
			Role:            string(o.Role),
			ConditionalRole: string(o.ConditionalRole),
			Missing:         missingToProto(o.Missing, answerBytesMax),
		}
	}
	return response
}

// ListSubjects lists who has access to an object.
func (s *permissionServer) ListSubjects(ctx context.Context, req *pembav1.ListSubjectsRequest) (*pembav1.ListSubjectsResponse, error) {
	query, err := subjectsQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.ListSubjects(ctx, query)
	if err != nil {
		return nil, err
	}
	return subjectsResponse(answer), nil
}

func subjectsQuery(req *pembav1.ListSubjectsRequest) (service.SubjectsQuery, error) {
	var f form
	query := service.SubjectsQuery{
		Store:       f.store(req.GetStore()),
		Consistency: f.consistency(req.GetConsistency()),
		Object:      f.object(req.GetObject()),
		Name:        optional(&f, "permission", req.GetPermission(), rel.ParseName),
		Type:        required(&f, "subject_type", req.GetSubjectType(), rel.ParseType, "name the type of the subjects, for example user"),
		Relation:    optional(&f, "subject_relation", req.GetSubjectRelation(), rel.ParseName),
		Brought:     f.brought(req.GetContext(), req.GetContextualTuples()),
		Conditional: req.GetIncludeConditional(),
		PageSize:    f.pageSize(req.GetPageSize()),
		Measure:     sizeOfListedSubject,
		PageBytes:   answerBytesMax,
	}
	if err := f.err(); err != nil {
		return query, err
	}
	query.Page = given(&f, "page_token", req.GetPageToken(), service.FirstPage(subjectsArguments(query)...).At)
	return query, f.err()
}

// subjectsArguments are what must stay the same from page to page.
func subjectsArguments(q service.SubjectsQuery) []string {
	return append([]string{
		"ListSubjects", string(q.Store), q.Consistency.Argument(), q.Object.String(), string(q.Name),
		string(q.Type), string(q.Relation), strconv.FormatBool(q.Conditional),
	}, broughtArguments(q.Brought)...)
}

func subjectsResponse(a service.SubjectsAnswer) *pembav1.ListSubjectsResponse {
	response := &pembav1.ListSubjectsResponse{
		Snapshot:      a.Snapshot.Token(),
		Subjects:      make([]*pembav1.ListedSubject, len(a.Subjects)),
		NextPageToken: a.Next,
	}
	for i, s := range a.Subjects {
		response.Subjects[i] = &pembav1.ListedSubject{
			Subject:         s.Subject.String(),
			Result:          resultToProto(s.Result),
			Role:            string(s.Role),
			ConditionalRole: string(s.ConditionalRole),
			Sources:         sourcesToProto(s.Sources),
			Exceptions:      exceptionsToProto(s.Exceptions),
			Missing:         missingToProto(s.Missing, answerBytesMax),
		}
	}
	return response
}

func exceptionsToProto(exceptions []engine.Exception) []*pembav1.WildcardException {
	var shown []*pembav1.WildcardException
	for _, e := range exceptions {
		shown = append(shown, &pembav1.WildcardException{
			Subject: e.Subject.String(),
			Result:  resultToProto(e.Result),
			Missing: missingToProto(e.Missing, answerBytesMax),
		})
	}
	return shown
}

// sourcesToProto are the ways in which a subject comes to what it has.
func sourcesToProto(sources []engine.Source) []*pembav1.Source {
	var shown []*pembav1.Source
	for _, s := range sources {
		source := &pembav1.Source{Role: string(s.Role)}
		if s.Tuple != (rel.Tuple{}) {
			source.Tuple = tupleToProto(s.Tuple)
		}
		if !s.Through.IsZero() {
			source.Through = s.Through.String()
		}
		shown = append(shown, source)
	}
	return shown
}

// sizeOfListedObject is at least what an entry takes as proto.
func sizeOfListedObject(o engine.ListedObject) int {
	return len(o.Object.Type()) + len(o.Object.ID()) + len(o.Role) + len(o.ConditionalRole) + framingBytes + sizeOfMissing(o.Missing)
}

// sizeOfListedSubject is at least what an entry takes as proto, and grows with each
// of its parts: a wildcard's exceptions are spread over pages by it.
func sizeOfListedSubject(s engine.ListedSubject) int {
	size := sizeOfSubject(s.Subject) + len(s.Role) + len(s.ConditionalRole) + framingBytes + sizeOfMissing(s.Missing)
	for _, source := range s.Sources {
		size += len(source.Role) + sizeOfSubject(source.Through) + framingBytes
		if source.Tuple != (rel.Tuple{}) {
			size += sizeOf(source.Tuple)
		}
	}
	for _, e := range s.Exceptions {
		size += sizeOfSubject(e.Subject) + framingBytes + sizeOfMissing(e.Missing)
	}
	return size
}

func sizeOfSubject(s rel.Subject) int { return len(s.Type()) + len(s.ID()) + len(s.Relation()) }

// sizeOfMissing is rarely asked about more than nothing, so conditions are made
// into proto to be measured.
func sizeOfMissing(missing []engine.Missing) int {
	size := 0
	for _, m := range missingToProto(missing, answerBytesMax) {
		size += proto.Size(m) + framingBytes
	}
	return size
}
