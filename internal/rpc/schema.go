package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

// schemaServer writes and reads schemas.
type schemaServer struct {
	pembav1.UnsafeSchemaServiceServer
	service *service.Service
}

// WriteSchema replaces the schema of a store.
func (s *schemaServer) WriteSchema(ctx context.Context, req *pembav1.WriteSchemaRequest) (*pembav1.WriteSchemaResponse, error) {
	command, err := writeSchemaCommand(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.WriteSchema(ctx, command)
	if err != nil {
		return nil, err
	}
	return writeSchemaResponse(answer), nil
}

func writeSchemaCommand(req *pembav1.WriteSchemaRequest) (service.WriteSchemaCommand, error) {
	var f form
	command := service.WriteSchemaCommand{
		Store: f.store(req.GetStore()), Text: req.GetSchema(), Expected: req.ExpectedVersion, DryRun: req.GetDryRun(),
		Actor: f.actor(req.GetActor(), rel.Context{}).Subject, Metadata: f.metadata(req.GetMetadata()),
	}
	if command.Text == "" {
		f.missing("schema", "send the text of the schema")
	}
	return command, f.err()
}

func writeSchemaResponse(a service.WriteSchemaAnswer) *pembav1.WriteSchemaResponse {
	response := &pembav1.WriteSchemaResponse{
		Snapshot:  a.Snapshot.Token(),
		Version:   a.Version,
		Warnings:  warningsToProto(a.Schema),
		Conflicts: conflictsToProto(a),
	}
	response.Changes, response.ChangesCut = differencesToProto(schema.Diff(a.Before, a.Schema))
	return response
}

// differencesToProto shows as many differences as a message holds: a schema that
// was written must not look like a failure because its answer is too large.
// Only the first schema of a store, or another one altogether, has so many.
func differencesToProto(differences []schema.Difference) (shown []*pembav1.SchemaDifference, cut bool) {
	room := answerBytesMax
	for _, d := range differences {
		x := differenceToProto(d)
		if room -= proto.Size(x) + framingBytes; room < 0 {
			return shown, true
		}
		shown = append(shown, x)
	}
	return shown, false
}

func differenceToProto(d schema.Difference) *pembav1.SchemaDifference {
	kind := pembav1.SchemaDifference_KIND_CHANGED
	switch {
	case d.Before == "":
		kind = pembav1.SchemaDifference_KIND_ADDED
	case d.After == "":
		kind = pembav1.SchemaDifference_KIND_REMOVED
	}
	return &pembav1.SchemaDifference{
		Kind:       kind,
		Element:    elementOf[d.Element],
		Definition: string(d.Definition),
		Name:       string(d.Name),
		Before:     d.Before,
		After:      d.After,
	}
}

var elementOf = [...]pembav1.SchemaDifference_Element{
	schema.ElementDefinition:      pembav1.SchemaDifference_ELEMENT_DEFINITION,
	schema.ElementRelation:        pembav1.SchemaDifference_ELEMENT_RELATION,
	schema.ElementPermission:      pembav1.SchemaDifference_ELEMENT_PERMISSION,
	schema.ElementRole:            pembav1.SchemaDifference_ELEMENT_ROLE,
	schema.ElementLadder:          pembav1.SchemaDifference_ELEMENT_LADDER,
	schema.ElementAllowedSubject:  pembav1.SchemaDifference_ELEMENT_ALLOWED_SUBJECT,
	schema.ElementRoleExpression:  pembav1.SchemaDifference_ELEMENT_ROLE_EXPRESSION,
	schema.ElementMultiplicity:    pembav1.SchemaDifference_ELEMENT_MULTIPLICITY,
	schema.ElementOnePerSubject:   pembav1.SchemaDifference_ELEMENT_ONE_PER_SUBJECT,
	schema.ElementSubjectsOf:      pembav1.SchemaDifference_ELEMENT_SUBJECTS_OF,
	schema.ElementGrantedBy:       pembav1.SchemaDifference_ELEMENT_GRANTED_BY,
	schema.ElementRevokedBy:       pembav1.SchemaDifference_ELEMENT_REVOKED_BY,
	schema.ElementCreatedBy:       pembav1.SchemaDifference_ELEMENT_CREATED_BY,
	schema.ElementWithin:          pembav1.SchemaDifference_ELEMENT_WITHIN,
	schema.ElementRolesExcept:     pembav1.SchemaDifference_ELEMENT_ROLES_EXCEPT,
	schema.ElementRolesInherited:  pembav1.SchemaDifference_ELEMENT_ROLES_INHERITED,
	schema.ElementCaveat:          pembav1.SchemaDifference_ELEMENT_CAVEAT,
	schema.ElementCaveatParameter: pembav1.SchemaDifference_ELEMENT_CAVEAT_PARAMETER,
	schema.ElementDoc:             pembav1.SchemaDifference_ELEMENT_DOC,
}

// diagnosticBytesMax bounds each of the two sentences of a remark. One that names
// a circle has all of its names, and a circle can go through a whole schema.
const diagnosticBytesMax = 2 << 10

func diagnosticToProto(f *fault.Fault) *pembav1.Diagnostic {
	return &pembav1.Diagnostic{
		Line:    uint32(max(f.Line, 0)),
		Column:  uint32(max(f.Column, 0)),
		Rule:    f.Code.Reason(),
		Message: cut(f.Summary, diagnosticBytesMax),
		Help:    cut(f.Remedy, diagnosticBytesMax),
	}
}

// ReadSchema answers the schema in force.
func (s *schemaServer) ReadSchema(ctx context.Context, req *pembav1.ReadSchemaRequest) (*pembav1.ReadSchemaResponse, error) {
	query, err := schemaQuery(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.service.ReadSchema(ctx, query)
	if err != nil {
		return nil, err
	}
	return readSchemaResponse(answer), nil
}

func schemaQuery(req *pembav1.ReadSchemaRequest) (service.SchemaQuery, error) {
	var f form
	query := service.SchemaQuery{Store: f.store(req.GetStore()), Consistency: f.consistency(req.GetConsistency())}
	return query, f.err()
}

func readSchemaResponse(a service.SchemaAnswer) *pembav1.ReadSchemaResponse {
	response := &pembav1.ReadSchemaResponse{
		Snapshot: a.Snapshot.Token(),
		Schema:   a.Schema.Text(),
		Version:  a.Version,
	}
	if !a.Written.IsZero() {
		response.WrittenAt = timestamppb.New(a.Written)
	}
	for _, d := range a.Schema.Definitions() {
		response.Definitions = append(response.Definitions, definitionToProto(d))
	}
	for _, c := range a.Schema.Caveats() {
		response.Caveats = append(response.Caveats, caveatToProto(c))
	}
	return response
}

func definitionToProto(d *schema.Definition) *pembav1.Definition {
	definition := &pembav1.Definition{
		Name:                  string(d.Type),
		Doc:                   d.Doc,
		OneRolePerSubject:     d.OneRolePerSubject(),
		RolesExcept:           d.RolesExcept(),
		RolesInheritedThrough: texts(d.Inherits()),
		Within:                texts(d.Within()),
		CreatedBy:             d.CreatedBy().Text,
	}
	for _, n := range d.Names() {
		switch n.Kind {
		case schema.KindRelation:
			definition.Relations = append(definition.Relations, relationToProto(n))
		case schema.KindPermission:
			definition.Permissions = append(definition.Permissions, &pembav1.Permission{
				Name: string(n.Name), Doc: n.Doc, Expression: n.Text, SubjectTypes: typeTexts(n.Types),
			})
		}
	}
	for _, n := range d.Ladder() {
		definition.Roles = append(definition.Roles, roleToProto(n))
	}
	return definition
}

func caveatToProto(c *schema.Caveat) *pembav1.CaveatDefinition {
	caveat := &pembav1.CaveatDefinition{Name: string(c.Name), Doc: c.Doc, Expression: c.Expression}
	for _, p := range c.Condition.Params() {
		caveat.Parameters = append(caveat.Parameters, &pembav1.CaveatParameter{Name: p.Name, TypeName: p.Type})
	}
	return caveat
}

func typeTexts(types []rel.ObjectType) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return out
}

func relationToProto(n *schema.Declared) *pembav1.Relation {
	r := n.Relation
	return &pembav1.Relation{
		Name:              string(n.Name),
		Doc:               n.Doc,
		AllowedSubjects:   formsToProto(r.Forms),
		Multiplicity:      multiplicityToProto(r),
		SubjectsOf:        string(r.Of),
		OnePerSubjectWith: string(r.With),
		Rules:             rulesToProto(r),
	}
}

// roleToProto shows a role; one that is computed alone has no stored part, and
// so nothing that speaks of tuples.
func roleToProto(n *schema.Declared) *pembav1.Role {
	role := &pembav1.Role{Name: string(n.Name), Doc: n.Doc, Expression: n.Text}
	if r := n.Relation; r != nil {
		role.AllowedSubjects = formsToProto(r.Forms)
		role.Multiplicity = multiplicityToProto(r)
		role.SubjectsOf = string(r.Of)
		role.OnePerSubjectWith = string(r.With)
		role.Rules = rulesToProto(r)
	}
	return role
}

func formsToProto(forms []schema.Form) []*pembav1.AllowedSubject {
	allowed := make([]*pembav1.AllowedSubject, len(forms))
	for i, f := range forms {
		allowed[i] = &pembav1.AllowedSubject{
			SubjectType: string(f.Type),
			Relation:    string(f.Relation),
			Wildcard:    f.Wildcard,
			Caveat:      string(f.Caveat),
			Expiration:  f.Expiration,
		}
	}
	return allowed
}

func multiplicityToProto(r *schema.Relation) *pembav1.Multiplicity {
	if r.Min == 0 && r.Max == schema.Unbounded {
		return nil
	}
	m := &pembav1.Multiplicity{Min: uint64(r.Min)}
	if r.Max != schema.Unbounded {
		m.Max = proto.Uint64(uint64(r.Max))
	}
	return m
}

func rulesToProto(r *schema.Relation) *pembav1.GrantRules {
	if r.GrantedBy.IsZero() && r.RevokedBy.IsZero() {
		return nil
	}
	return &pembav1.GrantRules{
		GrantedBy:         r.GrantedBy.Text,
		RevokedBy:         r.RevokedBy.Text,
		GrantedExceptSelf: r.GrantedBy.ExceptSelf,
		RevokedExceptSelf: r.RevokedBy.ExceptSelf,
	}
}
