package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pemba-io/pemba/"

// rooms says which rooms of pemba a room may import, in its product code and in
// its tests alike. A room that is not listed may not exist. Data flows one way:
// no room imports one above it.
var rooms = map[string][]string{
	"internal":                   {},
	"internal/fault":             {},
	"internal/invariant":         {},
	"internal/rel":               {"internal/fault"},
	"internal/schema/syntax":     {"internal/fault", "internal/rel"},
	"internal/condition":         {"internal/fault", "internal/rel", "internal/invariant"},
	"internal/schema":            {"internal/fault", "internal/rel", "internal/invariant", "internal/condition", "internal/schema/syntax"},
	"internal/lsp":               {"internal/fault", "internal/rel", "internal/invariant", "internal/schema", "internal/schema/syntax"},
	"internal/tupledb":           {"internal/fault", "internal/rel", "internal/invariant"},
	"internal/engine":            {"internal/fault", "internal/rel", "internal/invariant", "internal/condition", "internal/schema"},
	"internal/admission":         {"internal/fault", "internal/rel", "internal/invariant", "internal/condition", "internal/schema"},
	"internal/service":           {"internal/fault", "internal/rel", "internal/invariant", "internal/condition", "internal/schema", "internal/tupledb", "internal/engine", "internal/admission"},
	"internal/rpc":               {"internal/fault", "internal/rel", "internal/invariant", "internal/schema", "internal/engine", "internal/service", "gen/pemba/v1"},
	"internal/oracle":            {"internal/fault", "internal/rel", "internal/condition", "internal/schema/syntax"},
	"internal/scenario":          {"internal/fault", "internal/rel", "internal/schema"},
	"internal/scenario/embedded": {"internal/fault", "internal/rel", "internal/engine", "internal/schema", "internal/service", "internal/tupledb", "internal/admission", "internal/scenario"},
	"internal/elsewhere":         {"internal/fault", "internal/rel", "internal/schema", "internal/schema/syntax", "internal/admission", "internal/scenario"},
	"examples":                   {"internal/fault", "internal/rel", "internal/scenario"},
}

// guarded says which outside modules only some rooms may know. Pebble is
// tupledb's alone; grpc and what buf writes are seen at the edge.
var guarded = map[string][]string{
	"github.com/cockroachdb/pebble": {"internal/tupledb"},
	"google.golang.org/grpc":        {"internal/rpc", "cmd/", "gen/"},
	"google.golang.org/protobuf":    {"internal/rpc", "cmd/", "gen/"},
	"google.golang.org/genproto":    {"internal/rpc", "cmd/"},
	"cel.dev/cel-go":                {"internal/condition"},
	"github.com/alecthomas/kong":    {"cmd/"},
	"go.yaml.in/yaml":               {"internal/scenario", "internal/elsewhere", "examples", "cmd/"},
	module + "internal/oracle":      {"internal/oracle", "internal/scenario/"},
	module + "gen/":                 {"internal/rpc", "cmd/", "gen/"},
}

// testsMay are further imports that tests alone may have: a test of a room may
// stand above it.
var testsMay = map[string][]string{
	"internal/schema":    {},
	"internal/engine":    {"internal/tupledb", "internal/schema/syntax"},
	"internal/admission": {"internal/tupledb"},
	"internal/rpc":       {"internal/tupledb", "internal/admission"},
	"internal/scenario":  {"internal/oracle", "internal/schema/syntax", "internal/scenario/oracledriver"},
	"internal/elsewhere": {"internal/scenario/embedded", "internal/scenario/oracledriver"},
	"examples":           {"internal/schema", "internal/scenario/embedded", "internal/service", "internal/tupledb", "internal/admission", "internal/oracle"},
}

// free are trees that may import every room: the binary, where rooms are wired,
// and the referee's campaigns, which compare them.
var free = []string{"cmd/", "internal/scenario/", "gen/"}

func TestRoomsImportWhatTheTableSays(t *testing.T) {
	root := ".."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			checkFile(t, root, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, root, path string) {
	relative, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	room := filepath.ToSlash(filepath.Dir(relative))
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	isTest := strings.HasSuffix(path, "_test.go")
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		at := files.Position(spec.Pos())
		if !allowed(room, imported, isTest) {
			t.Errorf("%s:%d: %s may not import %s", relative, at.Line, room, imported)
		}
	}
}

func allowed(room, imported string, isTest bool) bool {
	for guard, may := range guarded {
		if strings.HasPrefix(imported, guard) && !isTest && !slices.ContainsFunc(may, func(r string) bool {
			return room == r || strings.HasSuffix(r, "/") && strings.HasPrefix(room+"/", r)
		}) {
			return false
		}
	}
	own, ours := strings.CutPrefix(imported, module)
	if !ours || own == room {
		return true
	}
	if _, listed := rooms[room]; !listed {
		return slices.ContainsFunc(free, func(f string) bool { return strings.HasPrefix(room+"/", f) })
	}
	return slices.Contains(rooms[room], own) || isTest && slices.Contains(testsMay[room], own)
}
