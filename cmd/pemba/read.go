package main

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type readCmd struct {
	Filter *string `arg:"" optional:"" help:"Tuple text with parts left out. Without it, all tuples."`
	Count  bool    `help:"Count the tuples, and list none." xor:"amount"`
	Limit  *int    `help:"List at most this many tuples; if there are more, the standard error says so." placeholder:"N" xor:"amount"`
	freshness
}

func (readCmd) Help() string {
	return `Prints the stored tuples as they are, a line each, in the notation that write and delete take. It follows no group and computes nothing: for who has access, ask check or access. All of them are of one snapshot.

Examples:

    pemba read project:p1                all tuples on project:p1
    pemba read project:p1#viewer         its viewers
    pemba read project:#editor@user:joe  where joe is an editor
    pemba read @user:joe                 all tuples whose subject is joe
    pemba read @team:core#member         ... is that userset
    pemba read '@team:core#*'            ... is team:core, or a userset of it
    pemba read @team:                    ... is any team
    pemba read --count`
}

// Run reads page by page and prints each page when it is there.
func (c *readCmd) Run(a *app) error {
	if err := checkLimit(c.Limit, "tuples"); err != nil {
		return err
	}
	var filter *pembav1.TupleFilter // none selects all
	if c.Filter != nil {
		var err error
		if filter, err = parseFilter("the filter", *c.Filter); err != nil {
			return err
		}
	}
	consistency, err := c.consistency()
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request := &pembav1.ReadTuplesRequest{Store: client.store, Consistency: consistency, Filter: filter, CountOnly: c.Count}
	if c.Count {
		return c.count(a, client, request)
	}
	return c.list(a, client, request)
}

func (c *readCmd) count(a *app, client *client, request *pembav1.ReadTuplesRequest) error {
	answer, err := ask(client, client.tuples().ReadTuples, request)
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.message(answer)
	}
	a.line("%d", answer.GetCount())
	return nil
}

func (c *readCmd) list(a *app, client *client, request *pembav1.ReadTuplesRequest) error {
	ask := func(size uint32, token string) (*pembav1.ReadTuplesResponse, error) {
		request.PageSize, request.PageToken = size, token
		return ask(client, client.tuples().ReadTuples, request)
	}
	count := func(answer *pembav1.ReadTuplesResponse) int { return len(answer.GetTuples()) }
	show := a.plainTuples
	if a.wantsJSON() {
		all := &jsonPages{app: a, field: "tuples"}
		show = func(answer *pembav1.ReadTuplesResponse, last bool) error {
			return printEntries(all, answer, answer.GetTuples(), last, "")
		}
	}
	return eachPage(a, amount{c.Limit, readPageSize}, ask, count, show)
}

// plainTuples prints a page of tuples, a line each.
func (a *app) plainTuples(answer *pembav1.ReadTuplesResponse, last bool) error {
	for _, t := range answer.GetTuples() {
		a.line("%s", tupleText(t))
	}
	if last && answer.GetNextPageToken() != "" {
		a.note("there are more; raise --limit to see them")
	}
	return nil
}

// parseFilter reads a filter into the API's form. Empty text is refused: an
// unset variable of a script must not mean all tuples.
func parseFilter(what, text string) (*pembav1.TupleFilter, error) {
	if text == "" {
		return nil, fault.Newf(fault.FieldMustBeSet, "%s is empty", what).Do("write one, for example project:p1#viewer, or leave it out")
	}
	f, err := rel.ParseFilter(text)
	if err != nil {
		return nil, err
	}
	return filterMessage(f), nil
}

// filterMessage is a filter as the API has it.
func filterMessage(f rel.Filter) *pembav1.TupleFilter {
	out := &pembav1.TupleFilter{
		ObjectType:  string(f.ObjectType),
		ObjectId:    f.ObjectID,
		Relation:    string(f.Relation),
		SubjectType: string(f.SubjectType),
		SubjectId:   f.SubjectID,
	}
	if f.SubjectRelation != nil {
		relation := string(*f.SubjectRelation)
		out.SubjectRelation = &relation
	}
	return out
}
