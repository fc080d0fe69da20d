package rpc

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

func TestReadSchemaAnswersTextAndStructure(t *testing.T) {
	w := newWorld(t)
	answer, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetSchema() != worldSchema || answer.GetVersion() != 1 || answer.GetSnapshot() == "" || !answer.GetWrittenAt().IsValid() || len(answer.GetDefinitions()) != 5 {
		t.Errorf("got %v", answer)
	}
	got := new(pembav1.Definition)
	for _, d := range answer.GetDefinitions() {
		if d.GetName() == "project" {
			got = d
		}
	}
	user := `allowed_subjects { subject_type: "user" }`
	team := `allowed_subjects { subject_type: "team" relation: "member" }`
	rules := `rules { granted_by: "editor" revoked_by: "editor" }`
	want := new(pembav1.Definition)
	if err := prototext.Unmarshal([]byte(`
		name: "project"
		within: "organization"
		created_by: "organization->manage"
		roles_except: "banned"
		relations { name: "organization" allowed_subjects { subject_type: "organization" } multiplicity { min: 1 max: 1 } }
		relations { name: "banned" `+user+` }
		relations { name: "reviewer" `+user+` multiplicity { max: 2 } subjects_of: "banned" }
		permissions { name: "view" doc: "view is the least." expression: "viewer" }
		permissions { name: "edit" expression: "editor" }
		permissions { name: "none" expression: "nil" subject_types: "link" subject_types: "user" }
		roles { name: "viewer" `+user+` allowed_subjects { subject_type: "user" wildcard: true } allowed_subjects { subject_type: "link" } `+team+`
			expression: "organization->member" `+rules+` }
		roles { name: "editor" `+user+team+` expression: "organization->admin" `+rules+` }
		roles { name: "owner" expression: "editor & organization->admin" }
	`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want))
	}
	for _, d := range answer.GetDefinitions() {
		if d.GetName() != "organization" {
			continue
		}
		admin := d.GetRoles()[1]
		if !d.GetOneRolePerSubject() || admin.GetMultiplicity().GetMin() != 1 || admin.GetMultiplicity().Max != nil ||
			!admin.GetRules().GetRevokedExceptSelf() || admin.GetRules().GetGrantedExceptSelf() {
			t.Errorf("got %s", prototext.Format(d))
		}
	}
}

func TestReadSchemaAnswersCaveats(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: `use expiration
/** hours are ours. */
caveat office/hours(now timestamp, days list<int>) { now.getDayOfWeek() in days  && true }
definition user {}
definition doc { relation reader: user | user with office/hours | user with expiration | user:* with office/hours and expiration }
`}); err != nil {
		t.Fatal(err)
	}
	got, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := new(pembav1.ReadSchemaResponse)
	if err := prototext.Unmarshal([]byte(`
		definitions { name: "user" }
		definitions { name: "doc" relations { name: "reader"
			allowed_subjects { subject_type: "user" }
			allowed_subjects { subject_type: "user" caveat: "office/hours" }
			allowed_subjects { subject_type: "user" expiration: true }
			allowed_subjects { subject_type: "user" wildcard: true caveat: "office/hours" expiration: true } } }
		caveats { name: "office/hours" doc: "hours are ours." expression: "now.getDayOfWeek() in days  && true"
			parameters { name: "now" type_name: "timestamp" } parameters { name: "days" type_name: "list<int>" } }
	`), want); err != nil {
		t.Fatal(err)
	}
	got = &pembav1.ReadSchemaResponse{Definitions: got.GetDefinitions(), Caveats: got.GetCaveats()}
	if !proto.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want))
	}
}

func TestWriteSchemaSaysWhatChanged(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	const first = "definition user {}\ndefinition doc {\n  relation viewer: user\n}\n"
	const second = "definition user {}\ndefinition doc {\n  relation viewer: user | user:*\n  permission view = viewer & viewer + viewer\n}\n"
	answer, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: first, ExpectedVersion: proto.Uint64(0)})
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetVersion() != 1 || answer.GetSnapshot() == "" || len(answer.GetChanges()) != 4 || len(answer.GetWarnings()) != 0 {
		t.Errorf("got %v", answer)
	}
	for _, c := range answer.GetChanges() {
		if c.GetKind() != pembav1.SchemaDifference_KIND_ADDED || c.GetElement() == pembav1.SchemaDifference_ELEMENT_UNSPECIFIED {
			t.Errorf("got %v", c)
		}
	}

	again, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: first, ExpectedVersion: proto.Uint64(1)})
	if err != nil || again.GetVersion() != 1 || again.GetSnapshot() != answer.GetSnapshot() || len(again.GetChanges()) != 0 {
		t.Errorf("got %v, %v", again, err)
	}
	_, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: second, ExpectedVersion: proto.Uint64(0)})
	r := mustRefuse(t, err, codes.FailedPrecondition, "SCHEMA_VERSION_MUST_MATCH")
	if fields := r.fields(); len(fields) != 1 || fields[0] != "expected_version" {
		t.Errorf("got %q", fields)
	}

	answer, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: second})
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, c := range answer.GetChanges() {
		changes = append(changes, fmt.Sprintf("%v %v %s %s %q %q", c.GetKind(), c.GetElement(), c.GetDefinition(), c.GetName(), c.GetBefore(), c.GetAfter()))
	}
	const want = `KIND_ADDED ELEMENT_ALLOWED_SUBJECT doc viewer "" "user:*"
KIND_ADDED ELEMENT_PERMISSION doc view "" "permission view = viewer & viewer + viewer"`
	if got := strings.Join(changes, "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	if len(answer.GetWarnings()) == 0 {
		t.Fatal("no warnings")
	}
	for _, x := range answer.GetWarnings() {
		if x.GetLine() != 4 || x.GetColumn() == 0 || x.GetRule() == "" || x.GetMessage() == "" {
			t.Errorf("got %v", x)
		}
	}
}

func TestWriteSchemaRefusesWhatTuplesWouldBreak(t *testing.T) {
	w := newWorld(t)
	_, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: strings.Replace(worldSchema, "| link ", "", 1)})
	mustRefuse(t, err, codes.FailedPrecondition, "TUPLES_MUST_FIT_THE_SCHEMA")
	_, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: "caveat c(x int) { y > 1 }\ndefinition user {}\n"})
	mustRefuse(t, err, codes.InvalidArgument, "CAVEAT_MUST_BE_VALID")
	_, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: strings.Repeat("definition ", 1000)})
	r := refusalOf(t, err)
	if r.code != codes.InvalidArgument || len(r.violations) == 0 {
		t.Errorf("got %+v", r)
	}
}

// The largest schemas are written and read, whatever their answers would weigh.
func TestALargeSchemaIsAnsweredWithinAMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("a schema of one MiB takes a second, and twenty under the race detector")
	}
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "definition t%d {}\n", i)
	}
	for i := 0; text.Len() < service.SchemaTextBytesMax-20_000; i++ {
		fmt.Fprintf(&text, "definition d%d {\n", i)
		for r := range 40 {
			fmt.Fprintf(&text, "relation r%d:", r)
			for f := range 20 {
				fmt.Fprintf(&text, "t%d|", (i+r+f)%300)
			}
			fmt.Fprintf(&text, "d%d\n", i)
		}
		text.WriteString("}\n")
	}
	w := newEmptyWorld(t, service.Config{})
	if _, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: text.String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestEveryElementHasAName(t *testing.T) {
	for e := schema.ElementDefinition; e <= schema.ElementDoc; e++ {
		if differenceToProto(schema.Difference{Element: e}).GetElement() == pembav1.SchemaDifference_ELEMENT_UNSPECIFIED {
			t.Errorf("element %d has none", e)
		}
	}
}
