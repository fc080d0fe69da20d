package main

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type listObjectsCmd struct {
	Type    string   `arg:"" help:"The type of the objects."`
	Name    string   `arg:"" help:"A permission, role or relation of the type."`
	Subject string   `arg:"" help:"Who asks, as type:id or type:id#relation."`
	With    []string `help:"What the subject presents beside itself, such as a share link. May be repeated." placeholder:"SUBJECT" sep:"none"`
	brought
	Within  *string `help:"List only objects inside this one, at any depth, as the schema's within says." placeholder:"OBJECT"`
	MinRole *string `help:"List only objects on which the subject has this role or a higher one." placeholder:"ROLE"`
	Prefix  *string `help:"List only objects whose id begins with this." placeholder:"TEXT"`
	listing
	freshness
}

func (listObjectsCmd) Help() string {
	return `Prints every object of a type on which the subject holds the name, with the effective role there: the highest one over all paths. Nothing is left out, and no object comes twice; all of them are of one snapshot. Nothing at all is an answer, too, with exit code 0. An object whose access hangs on a caveat is listed with --conditional only, and then marked. "viewer or editor" is viewer for certain, and editor if a caveat holds.

Examples:

    pemba list objects project view user:ana
    pemba list objects project view user:zoe --with link:l1
    pemba list objects project view user:joe --within organization:acme
    pemba list objects project view user:ana --min-role editor
    pemba list objects doc view user:ana --prefix 2026- --limit 20
    pemba list objects doc view user:ana --conditional --context '{"now": 9}'
    pemba list objects project view user:ana -o json | jq -r '.objects[].object'`
}

// Run lists page by page, and prints each page when it is there.
func (c *listObjectsCmd) Run(a *app) error {
	much, err := c.amount("objects")
	if err != nil {
		return err
	}
	request, err := c.request(a)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	ask := func(size uint32, token string) (*pembav1.ListObjectsResponse, error) {
		request.PageSize, request.PageToken = size, token
		return ask(client, client.permissions().ListObjects, request)
	}
	count := func(answer *pembav1.ListObjectsResponse) int { return len(answer.GetObjects()) }
	show := (&objectTable{accessTable{app: a}}).page
	if a.wantsJSON() {
		all := &jsonPages{app: a, field: "objects"}
		show = func(answer *pembav1.ListObjectsResponse, last bool) error {
			return printEntries(all, answer, answer.GetObjects(), last, "")
		}
	}
	return eachPage(a, much, ask, count, show)
}

func (c *listObjectsCmd) request(a *app) (*pembav1.ListObjectsRequest, error) {
	typ, err := rel.ParseType(c.Type)
	if err != nil {
		return nil, err
	}
	name, err := rel.ParseName(c.Name)
	if err != nil {
		return nil, err
	}
	who, err := principal(c.Subject, c.With)
	if err != nil {
		return nil, err
	}
	request := &pembav1.ListObjectsRequest{
		ObjectType:         string(typ),
		Permission:         string(name),
		Subject:            who.Subjects()[0].String(),
		AdditionalSubjects: besideTexts(who),
		IncludeConditional: c.Conditional,
	}
	if err := c.filter(request); err != nil {
		return nil, err
	}
	if request.Context, request.ContextualTuples, err = c.brought.read(a); err != nil {
		return nil, err
	}
	request.Consistency, err = c.consistency()
	return request, err
}

// filter says which of the objects are wanted. What is given and empty is refused: an
// unset variable of a script must not mean all of them.
func (c *listObjectsCmd) filter(request *pembav1.ListObjectsRequest) error {
	if c.Within != nil {
		within, err := rel.ParseObject(*c.Within)
		if err != nil {
			return err
		}
		request.Within = within.String()
	}
	if c.MinRole != nil {
		role, err := rel.ParseName(*c.MinRole)
		if err != nil {
			return err
		}
		request.MinRole = string(role)
	}
	if c.Prefix != nil {
		if *c.Prefix == "" {
			return fault.New(fault.FieldMustBeSet, "--prefix is empty").Do("give what the ids begin with, or leave --prefix out for all objects")
		}
		if err := rel.CheckIDPrefix(*c.Prefix); err != nil {
			return err
		}
		request.IdPrefix = *c.Prefix
	}
	return nil
}

// An objectTable prints a line an object.
type objectTable struct{ accessTable }

func (t *objectTable) page(answer *pembav1.ListObjectsResponse, last bool) error {
	var rows []accessRow
	for _, o := range answer.GetObjects() {
		rows = append(rows, accessRow{
			reference: o.GetObject(),
			role:      roleText(o.GetRole(), o.GetConditionalRole()),
			below:     t.conditions(o.GetResult(), o.GetMissing()),
		})
	}
	t.rows(rows)
	if last {
		t.end(answer)
	}
	return nil
}
