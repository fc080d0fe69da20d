package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// While a schema is compared with much data, writers go on; and what they write in
// the meantime is judged by it all the same. In each round a writer puts one second
// owner, a little later than in the round before, while the schema that forbids it
// is written: whatever comes first, in the end either the schema was refused or
// everything fits it.
func TestASchemaIsJudgedBesideWriters(t *testing.T) {
	const (
		docs   = 3000
		rounds = 60
	)
	strict := strings.Replace(drive, "relation org: org [0..1]", "relation org: org [0..1]\n  relation owner: user [0..1]", 1)
	loose := strings.Replace(strict, "owner: user [0..1]", "owner: user", 1)
	f := open(t, "")
	f.schema(loose)
	for i := 0; i < docs; i += 500 {
		var updates []string
		for j := range 500 {
			updates = append(updates, fmt.Sprintf("touch doc:d%d#owner@user:u", i+j))
		}
		f.mustWrite(updates...)
	}
	accepted, refused, beside := 0, 0, 0
	for round := range rounds {
		f.schema(loose)
		var wrote atomic.Int64
		begun := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 1 + 2*round {
				if _, err := f.write(fmt.Sprintf("touch doc:d%d#viewer@user:r%d", i, round)); err != nil {
					t.Error(err)
				}
				wrote.Add(1)
				if i == 0 {
					close(begun)
				}
			}
			_, err := f.write("touch doc:d7#owner@user:second")
			if err != nil && !fault.Is(err, fault.UpperBoundMustHold) {
				t.Error(err)
			}
		})
		<-begun
		before := wrote.Load()
		_, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: strict})
		beside += int(wrote.Load() - before)
		writer.Wait()
		switch {
		case err == nil:
			accepted++
			if conflicts := f.conflicts(t); len(conflicts) > 0 {
				t.Fatalf("round %d: the schema is in force, and %v", round, conflicts)
			}
		case fault.Is(err, fault.TuplesMustFitTheSchema):
			refused++
		default:
			t.Fatal(err)
		}
		f.mustWrite("delete doc:d7#owner@user:second")
	}
	t.Logf("%d accepted, %d refused, %d writes beside the judging", accepted, refused, beside)
	if accepted == 0 || beside == 0 {
		t.Errorf("%d accepted, %d writes beside the judging: what is promised was not tried", accepted, beside)
	}
}

// conflicts are those of the newest data with the schema in force.
func (f fixture) conflicts(t *testing.T) []admission.Conflict {
	t.Helper()
	read, err := f.ReadSchema(context.Background(), service.SchemaQuery{Store: rel.DefaultStore})
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.WriteSchema(context.Background(), service.WriteSchemaCommand{Store: rel.DefaultStore, Text: read.Schema.Text() + "\n", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	return again.Conflicts
}

// A dry run says what would refuse a schema, with examples, and writes nothing.
func TestADryRunOfASchemaListsItsConflicts(t *testing.T) {
	f := withSchema(t)
	f.mustWrite("touch doc:a#viewer@user:ana", "touch doc:b#viewer@user:bob", "touch doc:a#viewer@team:t#member", "touch doc:b#org@org:o", "touch org:o#admin@user:mia")
	text := strings.ReplaceAll(drive, "viewer: user | team#member", "viewer: team#member")
	dry := service.WriteSchemaCommand{Store: rel.DefaultStore, Text: text, DryRun: true}
	answer, err := f.WriteSchema(context.Background(), dry)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Version != 1 || len(answer.Conflicts) != 1 || answer.Before == nil {
		t.Fatalf("version %d, conflicts %v", answer.Version, answer.Conflicts)
	}
	c := answer.Conflicts[0]
	if c.Code != fault.NotInSchema || c.Definition != "doc" || c.Name != "viewer" || c.Count != 2 || len(c.Examples) != 2 {
		t.Errorf("conflict %+v", c)
	}
	dry.Text = drive + "\ndefinition more {}"
	if answer, err = f.WriteSchema(context.Background(), dry); err != nil || len(answer.Conflicts) != 0 {
		t.Errorf("%v, %v", answer.Conflicts, err)
	}
	if read, err := f.ReadSchema(context.Background(), service.SchemaQuery{Store: rel.DefaultStore}); err != nil || read.Version != 1 || read.Schema.Text() != drive {
		t.Errorf("a dry run wrote version %d, %v", read.Version, err)
	}
	wrong := uint64(7)
	dry.Expected = &wrong
	if _, err := f.WriteSchema(context.Background(), dry); !fault.Is(err, fault.SchemaVersionMustMatch) {
		t.Errorf("a dry run of another version: %v", err)
	}
}

func TestSchemasAreComparedByWhatTheyMean(t *testing.T) {
	f := open(t, "")
	q := service.DiffSchemaQuery{Store: rel.DefaultStore, Text: drive}
	first, err := f.DiffSchema(context.Background(), q)
	if err != nil || first.Before != nil || first.Version != 0 || first.Snapshot == (rel.Snapshot{}) {
		t.Errorf("without a schema: version %d, %v", first.Version, err)
	}
	f.schema(drive)
	second, err := f.DiffSchema(context.Background(), q)
	if err != nil || second.Before == nil || second.Version != 1 {
		t.Errorf("with one: version %d, %v", second.Version, err)
	}
	none := ""
	q.Old = &none
	texts, err := f.DiffSchema(context.Background(), q)
	if err != nil || texts.Before != nil || texts.Snapshot != (rel.Snapshot{}) {
		t.Errorf("two texts: %v", err)
	}
	bad := "definition {"
	q.Old = &bad
	if _, err := f.DiffSchema(context.Background(), q); !fault.Is(err, fault.SchemaMustBeReadable) || fault.Of(err).Field != "old_schema" {
		t.Errorf("a bad old text: %v", err)
	}
	q.Text = "definition doc { permission view = veiw }"
	_, err = f.DiffSchema(context.Background(), q)
	var fields []string
	if wrong := fault.Of(err); wrong != nil {
		for _, each := range wrong.All() {
			fields = append(fields, each.Field)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(fields)), []string{"old_schema", "schema"}) {
		t.Errorf("two bad texts: %v, in the fields %q", err, fields)
	}
	q.Old = nil
	if _, err := f.DiffSchema(context.Background(), q); !fault.Is(err, fault.NameMustExist) || fault.Of(err).Field != "schema" {
		t.Errorf("a bad new text: %v", err)
	}
}
