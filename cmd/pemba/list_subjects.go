package main

import (
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

type listSubjectsCmd struct {
	Object   string  `arg:"" help:"The object, as type:id."`
	Name     *string `arg:"" optional:"" help:"A permission, role or relation of the object's type. Without it, whoever has any role or permission."`
	Type     string  `required:"" help:"The type of the subjects, for example user." placeholder:"TYPE"`
	Relation *string `help:"List usersets of this name, such as member for team:core#member, in the place of subjects without one." placeholder:"NAME"`
	brought
	listing
	freshness
}

func (listSubjectsCmd) Help() string {
	return `Prints every subject of a type that has access to the object, with its effective role and where that comes from, what gives the most first: "direct", or "through" a group or another object; "as" names what that way gives where it is not the role. Nobody is left out, and nobody comes twice; all of them are of one snapshot. A role of none is access by permissions that come from elsewhere; "viewer or editor" is viewer for certain, and editor if a caveat holds.

Everybody of a type is one line, user:*, with those whom it does not reach; --limit does not count it. Who has access in another way, too, has a line of their own.

Examples:

    pemba list subjects project:p1 --type user
    pemba list subjects project:p1 edit_takeoff --type user
    pemba list subjects project:p1 --type team --relation member
    pemba list subjects project:p1 --type user --at 2026-03-01T12:00:00Z
    pemba list subjects door:d1 open --type user --conditional
    pemba list subjects project:p1 --type user -o json | jq '.subjects[].role'`
}

// Run lists page by page, and prints each page when it is there.
func (c *listSubjectsCmd) Run(a *app) error {
	much, err := c.amount("subjects")
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
	ask := func(size uint32, token string) (*pembav1.ListSubjectsResponse, error) {
		request.PageSize, request.PageToken = size, token
		return ask(client, client.permissions().ListSubjects, request)
	}
	show := (&subjectTable{accessTable{app: a}}).page
	if a.wantsJSON() {
		all := &jsonPages{app: a, field: "subjects"}
		show = func(answer *pembav1.ListSubjectsResponse, last bool) error {
			return printEntries(all, answer, answer.GetSubjects(), last, "")
		}
	}
	return eachPage(a, much, ask, subjectsOn, show)
}

// subjectsOn is how many subjects a page has, everybody not counted: a page may hold
// so many beside everybody, who comes again with further exceptions.
func subjectsOn(answer *pembav1.ListSubjectsResponse) int {
	n := 0
	for _, s := range answer.GetSubjects() {
		if !isEverybody(s) {
			n++
		}
	}
	return n
}

func isEverybody(s *pembav1.ListedSubject) bool { return strings.HasSuffix(s.GetSubject(), ":*") }

func (c *listSubjectsCmd) request(a *app) (*pembav1.ListSubjectsRequest, error) {
	object, err := rel.ParseObject(c.Object)
	if err != nil {
		return nil, err
	}
	typ, err := rel.ParseType(c.Type)
	if err != nil {
		return nil, err
	}
	request := &pembav1.ListSubjectsRequest{Object: object.String(), SubjectType: string(typ), IncludeConditional: c.Conditional}
	if c.Name != nil {
		name, err := rel.ParseName(*c.Name)
		if err != nil {
			return nil, err
		}
		request.Permission = string(name)
	}
	if c.Relation != nil {
		relation, err := rel.ParseName(*c.Relation)
		if err != nil {
			return nil, err
		}
		request.SubjectRelation = string(relation)
	}
	if request.Context, request.ContextualTuples, err = c.brought.read(a); err != nil {
		return nil, err
	}
	request.Consistency, err = c.consistency()
	return request, err
}

// A subjectTable prints a line a subject, and one more for each further source.
type subjectTable struct{ accessTable }

func (t *subjectTable) page(answer *pembav1.ListSubjectsResponse, last bool) error {
	var rows []accessRow
	for _, s := range answer.GetSubjects() {
		rows = append(rows, accessRow{
			reference: s.GetSubject(),
			role:      roleText(s.GetRole(), s.GetConditionalRole()),
			sources:   sourceTexts(s),
			below:     append(t.conditions(s.GetResult(), s.GetMissing()), t.exceptions(s)...),
		})
	}
	t.rows(rows)
	if last {
		t.end(answer)
	}
	return nil
}

// exceptions are the lines that say whom a wildcard does not reach, and whom perhaps.
func (t *subjectTable) exceptions(s *pembav1.ListedSubject) []string {
	var not, perhaps, needs []string
	for _, e := range s.GetExceptions() {
		if e.GetResult() != pembav1.Result_RESULT_CONDITIONAL {
			not = append(not, e.GetSubject())
			continue
		}
		perhaps = append(perhaps, e.GetSubject())
		for _, line := range missingLines(e.GetMissing()) {
			needs = append(needs, "  "+e.GetSubject()+" needs "+line)
		}
		t.open = append(t.open, e.GetMissing()...)
	}
	var lines []string
	if len(not) > 0 {
		lines = broken("except "+strings.Join(not, ", "), columnsMax-2)
	}
	if len(perhaps) > 0 {
		lines = append(lines, broken("perhaps except "+strings.Join(perhaps, ", "), columnsMax-2)...)
	}
	return append(lines, needs...)
}
