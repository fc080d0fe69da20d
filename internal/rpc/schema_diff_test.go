package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/service"
)

func differences(changes []*pembav1.SchemaDifference) []string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s %s#%s", strings.TrimPrefix(c.GetKind().String(), "KIND_"), strings.TrimPrefix(c.GetElement().String(), "ELEMENT_"), c.GetDefinition(), c.GetName()))
	}
	return all
}

const smallSchema = "definition user {}\ndefinition doc {\n  relation viewer: user\n}\n"

func TestDiffSchemaComparesWithAStore(t *testing.T) {
	w := newWorld(t)
	same := "// a comment\n" + strings.ReplaceAll(worldSchema, "\n\n", "\n\n\n")
	answer, err := w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: same})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetChanges()) != 0 || answer.GetVersion() != 1 || answer.GetSnapshot() == "" {
		t.Errorf("got %v", answer)
	}
	other := strings.Replace(worldSchema, "permission view = viewer", "permission view = viewer & viewer + viewer", 1)
	answer, err = w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: other})
	if err != nil {
		t.Fatal(err)
	}
	if got := differences(answer.GetChanges()); !slices.Equal(got, []string{"CHANGED PERMISSION project#view"}) || len(answer.GetWarnings()) == 0 {
		t.Errorf("got %q, warnings %v", got, answer.GetWarnings())
	}
	if now, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{}); err != nil || now.GetVersion() != 1 {
		t.Errorf("comparing wrote: %v, %v", now, err)
	}
	_, err = w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: "definition", Store: "default"})
	if r := refusalOf(t, err); r.code != codes.InvalidArgument || len(r.violations) == 0 || !strings.HasPrefix(r.violations[0].GetField(), "schema:1:") {
		t.Errorf("got %+v", r)
	}
}

func TestDiffSchemaComparesWithNothingAndWithAnotherText(t *testing.T) {
	w := newEmptyWorld(t, service.Config{})
	all := []string{"ADDED DEFINITION user#", "ADDED DEFINITION doc#", "ADDED RELATION doc#viewer", "ADDED ALLOWED_SUBJECT doc#viewer"}
	answer, err := w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: smallSchema})
	if err != nil {
		t.Fatal(err)
	}
	if got := differences(answer.GetChanges()); !slices.Equal(got, all) || answer.GetVersion() != 0 || answer.GetSnapshot() == "" {
		t.Errorf("got %q, version %d, snapshot %q", got, answer.GetVersion(), answer.GetSnapshot())
	}

	w = newWorld(t)
	for _, c := range []struct {
		old  string
		want []string
	}{
		{"", all},
		{smallSchema, nil},
		{strings.Replace(smallSchema, "viewer", "reader", 1), []string{"ADDED RELATION doc#viewer", "ADDED ALLOWED_SUBJECT doc#viewer", "REMOVED RELATION doc#reader", "REMOVED ALLOWED_SUBJECT doc#reader"}},
	} {
		answer, err := w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: smallSchema, OldSchema: &c.old, Consistency: &pembav1.Consistency{}})
		if err != nil {
			t.Fatal(err)
		}
		got := differences(answer.GetChanges())
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) || answer.GetVersion() != 0 || answer.GetSnapshot() != "" {
			t.Errorf("got %q, version %d, snapshot %q", got, answer.GetVersion(), answer.GetSnapshot())
		}
	}
	_, err = w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: smallSchema, OldSchema: proto.String("definition")})
	if r := refusalOf(t, err); r.code != codes.InvalidArgument || len(r.violations) == 0 || !strings.HasPrefix(r.violations[0].GetField(), "old_schema:1:") {
		t.Errorf("got %+v", r)
	}
	_, err = w.schemas.DiffSchema(t.Context(), &pembav1.DiffSchemaRequest{Schema: smallSchema, Store: "elsewhere"})
	mustRefuse(t, err, codes.NotFound, "STORE_MUST_EXIST")
}

func TestADryRunListsWhatWouldRefuseASchema(t *testing.T) {
	w := newWorld(t)
	write(t, w.service, "project:p1#banned@user:b1\nproject:p1#banned@user:b2")
	narrower := strings.Replace(worldSchema, "| link ", "", 1)
	narrower = strings.Replace(narrower, "relation banned: user", "relation banned: user [0..2]", 1)
	before, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: narrower, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range answer.GetConflicts() {
		line := fmt.Sprintf("%s %s#%s %d", c.GetReason(), c.GetDefinition(), c.GetName(), c.GetTupleCount())
		for _, x := range c.GetExamples() {
			line += " " + text(x)
		}
		got = append(got, line)
		if !strings.Contains(c.GetMessage(), "; ") {
			t.Errorf("%q has no remedy", c.GetMessage())
		}
	}
	slices.Sort(got)
	want := []string{
		"TUPLES_MUST_FIT_THE_SCHEMA project#viewer 1 project:p1#viewer@link:l1",
		"UPPER_BOUND_MUST_HOLD project#banned 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if d := differences(answer.GetChanges()); !slices.Equal(d, []string{"ADDED MULTIPLICITY project#banned", "REMOVED ALLOWED_SUBJECT project#viewer"}) {
		t.Errorf("got %q", d)
	}
	if answer.GetVersion() != 1 || answer.GetSnapshot() != before.GetSnapshot() {
		t.Errorf("got version %d at %s", answer.GetVersion(), answer.GetSnapshot())
	}

	// One that would be accepted has none, and is not written either.
	wider := strings.Replace(worldSchema, "relation banned: user", "relation banned: user | link", 1)
	answer, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: wider, DryRun: true, ExpectedVersion: proto.Uint64(1)})
	if err != nil || len(answer.GetConflicts()) != 0 || len(answer.GetChanges()) != 1 || answer.GetVersion() != 1 {
		t.Errorf("got %v, %v", answer, err)
	}
	after, err := w.schemas.ReadSchema(t.Context(), &pembav1.ReadSchemaRequest{})
	if err != nil || after.GetSnapshot() != before.GetSnapshot() || after.GetSchema() != worldSchema {
		t.Errorf("a dry run wrote: %v, %v", after, err)
	}

	// What is no conflict of tuples is refused as ever.
	_, err = w.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: wider, DryRun: true, ExpectedVersion: proto.Uint64(7)})
	mustRefuse(t, err, codes.FailedPrecondition, "SCHEMA_VERSION_MUST_MATCH")

	first := newEmptyWorld(t, service.Config{})
	answer, err = first.schemas.WriteSchema(t.Context(), &pembav1.WriteSchemaRequest{Schema: smallSchema, DryRun: true})
	if err != nil || answer.GetVersion() != 0 || len(answer.GetChanges()) != 4 {
		t.Errorf("got %v, %v", answer, err)
	}
}

// The largest conflicts leave room for the difference beside them.
func TestConflictsFitAMessage(t *testing.T) {
	long := strings.Repeat("x", 1000)
	tuple := rel.Tuple{Key: rel.Key{Object: rel.Trusted("project", long), Relation: "viewer", Subject: rel.Of(rel.Trusted("user", long))}}
	numbers, err := rel.ParseContext(`{"x":[` + strings.Repeat("1,", 8000) + `1]}`)
	if err != nil {
		t.Fatal(err)
	}
	tuple.Caveat = rel.Caveat{Name: "c", Context: numbers}
	conflict := admission.Conflict{Code: fault.NotInSchema, Summary: tuple.String(), Count: 12}
	for range 10 {
		conflict.Examples = append(conflict.Examples, tuple)
	}
	answer := service.WriteSchemaAnswer{Conflicts: slices.Repeat([]admission.Conflict{conflict}, 100)}
	response := &pembav1.WriteSchemaResponse{Conflicts: conflictsToProto(answer)}
	size := proto.Size(response)
	if size > conflictsBytesMax || len(response.GetConflicts()) != 100 || len(response.GetConflicts()[0].GetExamples()) == 0 || response.GetConflicts()[99].GetTupleCount() != 12 {
		t.Errorf("%d conflicts in %d bytes, the first with %d examples", len(response.GetConflicts()), size, len(response.GetConflicts()[0].GetExamples()))
	}
}

// A schema that compiles must not look like a failure because a remark on it
// names a circle through thousands of permissions.
func TestARemarkOnALongCircleIsCut(t *testing.T) {
	var text strings.Builder
	text.WriteString("definition user {}\n")
	const types, each = 40, 100
	for i := range types {
		fmt.Fprintf(&text, "definition t%d {\nrelation next: t%d\n", i, (i+1)%types)
		for j := range each - 1 {
			fmt.Fprintf(&text, "permission p%d = p%d\n", j, j+1)
		}
		fmt.Fprintf(&text, "permission p%d = next->p0\n}\n", each-1)
	}
	compiled, faults := schema.Compile(text.String())
	if len(faults) > 0 || len(compiled.Warnings()) != 1 || len(compiled.Warnings()[0].Summary) < types*each {
		t.Fatalf("faults %v, %d warnings", faults, len(compiled.Warnings()))
	}
	shown := warningsToProto(compiled)
	if len(shown) != 1 || len(shown[0].GetMessage()) > diagnosticBytesMax || !strings.HasSuffix(shown[0].GetMessage(), "…") {
		t.Errorf("%d remarks; the first has %d bytes", len(shown), len(shown[0].GetMessage()))
	}
}
