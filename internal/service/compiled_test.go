package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// schemaOf is the schema in force in a store, as it is kept.
func schemaOf(t *testing.T, s *Service, name rel.Store) *schema.Schema {
	t.Helper()
	v, err := s.look(t.Context(), name, Consistency{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	return v.schema
}

// A hundred stores that are asked in turn do not take each other's compiled schemas.
func TestEachStoreKeepsItsCompiledSchema(t *testing.T) {
	db, _ := openStore(t, 0)
	s := New(Config{DB: db})
	const stores = 100
	var before []*schema.Schema
	for i := range stores {
		name := rel.Store(fmt.Sprint("s", i))
		withStore(t, s, name, fmt.Sprintf("definition user {}\ndefinition t%d {}", i))
		before = append(before, schemaOf(t, s, name))
	}
	for i := range stores {
		if schemaOf(t, s, rel.Store(fmt.Sprint("s", i))) != before[i] {
			t.Fatalf("the schema of store %d was compiled again", i)
		}
	}
}

// What is kept is bounded by its size; what is given up is compiled again.
func TestCompiledSchemasAreBounded(t *testing.T) {
	db, _ := openStore(t, 0)
	s := New(Config{DB: db})
	large := "// " + strings.Repeat("x", SchemaTextBytesMax-100) + "\ndefinition user {}\ndefinition "
	for i := range 2 * compiledTextMax / SchemaTextBytesMax {
		name := rel.Store(fmt.Sprint("s", i))
		withStore(t, s, name, fmt.Sprintf("%st%d {}", large, i))
		schemaOf(t, s, name)
	}
	kept := 0
	for _, c := range *s.compiled.Load() {
		kept += len(c.schema.Text())
	}
	if kept > compiledTextMax || kept != s.textBytes || kept < compiledTextMax/2 {
		t.Errorf("%d bytes are kept, and counted as %d", kept, s.textBytes)
	}
	if _, err := schemaOf(t, s, "s0").MustDefine("t0"); err != nil {
		t.Errorf("the first one is not compiled again: %v", err)
	}
}
