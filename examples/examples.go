// Package examples holds the example systems, so that the one binary can serve
// and test them wherever it runs.
//
// It promises that every example it names is whole: its schema compiles, its
// tuples satisfy its rules, and its tests pass. It decides nothing; what the
// systems are is told in README.md and in the files themselves.
package examples

import (
	"embed"
	"io/fs"
	"path"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
)

//go:embed */schema.zed */tuples.yaml */tests/*.yaml
var files embed.FS

// An Example is a system to play with.
type Example struct {
	Name   string
	Schema string
	Tuples []rel.Tuple
	Try    []Try
}

// A Try is something to ask of an example once it is served.
type Try struct {
	Shows   string // what there is to see
	Command string // arguments of the command line
}

// tries are in the order in which they tell a story, and the names are in the
// order of the README. A test runs all of them.
var tries = [...]struct {
	name  string
	tries []Try
}{
	{"exayard", []Try{
		{"ana is a viewer as a member of acme, and an editor of p1 by her own role", "access project:p1 user:ana"},
		{"mia may edit p2: she is admin of the organization that it belongs to", "check project:p2 edit_takeoff user:mia"},
		{"zoe is nobody here, but she has the link", "check project:p1 view user:zoe --with link:l1"},
		{"whom p1 is open to, with the roles and where they come from", "list subjects project:p1 --type user"},
		{"joe becomes an editor of p1: one write, for a person has one role there", "write project:p1#editor@user:joe --delete project:p1#viewer@user:joe"},
		{"an organization is never without an admin: this is refused", "delete organization:acme#admin@user:mia"},
	}},
	{"blue", []Try{
		{"olga has no role of her own in web: she is admin of the organization", "access workspace:web user:olga"},
		{"all people of web, the holders of custom roles, too", "list subjects workspace:web --type user"},
		{"rob sees a record of the list that is assigned to him", "check record:login view user:rob"},
		{"and no other one", "check record:search view user:rob"},
		{"one role a person, custom roles counted: this is refused", "write workspace:web#member@user:rob"},
	}},
	{"blue-client", []Try{
		{"what the customer may do", "access workspace:shop user:carl"},
		{"what tess sees: the one record that is assigned to her", "list objects record view user:tess"},
		{"tess sees what is assigned to her", "check record:imprint view user:tess"},
		{"and no other record", "check record:slogan view user:tess"},
		{"one role a person, custom roles counted: this is refused", "write workspace:shop#member@user:tess"},
	}},
	{"clickup", []Try{
		{"gina is a guest: she has what was shared with her, here through the list", "access task:logo user:gina"},
		{"nobody but its creator reaches a private list, not even the admin", "check list:salaries view user:ada"},
		{"mia imports data by a custom role", "check workspace:studio import_data user:mia"},
		{"a workspace has exactly one owner: this is refused", "delete workspace:studio#owner@user:otto"},
	}},
}

// Names are the examples' names.
func Names() []string {
	var names []string
	for _, t := range tries {
		names = append(names, t.name)
	}
	return names
}

// Load reads an example.
func Load(name string) (Example, error) {
	for _, t := range tries {
		if t.name == name {
			return load(t.name, t.tries)
		}
	}
	f := fault.Newf(fault.FieldMustBeWithinBounds, "there is no example %q", name)
	if near := fault.Nearest(name, Names()); near != "" {
		return Example{}, f.Do("did you mean %s? the examples are %s", near, fault.List(Names(), len(tries)))
	}
	return Example{}, f.Do("the examples are %s", fault.List(Names(), len(tries)))
}

func load(name string, tries []Try) (Example, error) {
	schema, err := fs.ReadFile(files, path.Join(name, "schema.zed"))
	if err != nil {
		return Example{}, err
	}
	tuples := path.Join(name, "tuples.yaml")
	text, err := fs.ReadFile(files, tuples)
	if err != nil {
		return Example{}, err
	}
	file, err := scenario.Read(tuples, text)
	if err != nil {
		return Example{}, err
	}
	return Example{Name: name, Schema: string(schema), Tuples: file.Tuples, Try: tries}, nil
}

// Files are all files of the examples: NAME/schema.zed, NAME/tuples.yaml and
// NAME/tests/*.yaml.
func Files() fs.FS { return files }
