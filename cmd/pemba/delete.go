package main

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type deleteCmd struct {
	Tuples   []string `arg:"" optional:"" name:"tuple" help:"Tuples, as object#relation@subject; - reads them from the standard input, a line each."`
	Matching []string `help:"Take every tuple away that fits this filter. May be repeated." placeholder:"FILTER" sep:"none"`
	Limit    *int     `help:"How many tuples each --matching may take away, at most 100000; 1000 where it is left out. More are refused." placeholder:"N"`
	Partial  bool     `help:"Where more tuples than the limit fit, take that many away instead of refusing."`
	Object   []string `help:"Take every tuple away in which this object stands, on either side. May be repeated." placeholder:"OBJECT" sep:"none"`
	terms
}

func (deleteCmd) Help() string {
	return `All tuples are taken away in one step, or none is. One that is not there is no error and changes nothing. Object, relation and subject identify a tuple; what read prints after them in brackets, the standard input may have, too. A filter is written as for read. Prints the net change and the snapshot that has it. One write takes at most 1000 tuples, filters and objects.

Examples:

    pemba delete project:p1#editor@user:zoe
    pemba delete --matching project:p1#viewer --dry-run
    pemba delete --matching @user:zoe --limit 5000
    pemba delete --object project:p1 --metadata ticket=OPS-7
    pemba read @user:zoe | pemba delete -
    pemba read project: | split -l 1000 --filter='pemba delete -'`
}

// Run takes tuples away: those that are named, then those that fit, then those of
// objects.
func (c *deleteCmd) Run(a *app) error {
	if len(c.Tuples)+len(c.Matching)+len(c.Object) == 0 {
		return fault.New(fault.FieldMustBeSet, "nothing is named that is to go").
			Do("name tuples, or give --matching or --object")
	}
	gone, err := a.keys(c.Tuples)
	if err != nil {
		return err
	}
	updates := deletions(gone)
	matching, err := c.matching()
	if err != nil {
		return err
	}
	updates = append(updates, matching...)
	for _, text := range c.Object {
		o, err := rel.ParseObject(text)
		if err != nil {
			return err
		}
		updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_DeleteObject{
			DeleteObject: &pembav1.DeleteObject{Object: o.String()},
		}})
	}
	return a.write(updates, c.terms)
}

func (c *deleteCmd) matching() ([]*pembav1.Update, error) {
	if len(c.Matching) == 0 && (c.Limit != nil || c.Partial) {
		return nil, fault.New(fault.FieldMustNotBeSet, "--limit and --partial are about --matching, which is not given").
			Do("leave them out, or name a filter")
	}
	var limit uint32
	if c.Limit != nil {
		if *c.Limit < 1 || *c.Limit > rel.MatchingLimitMax {
			return nil, fault.Newf(fault.FieldMustBeWithinBounds, "a limit of %d", *c.Limit).
				Do("give a limit from 1 to %d, or leave it out for %d", rel.MatchingLimitMax, rel.MatchingLimitDefault)
		}
		limit = uint32(*c.Limit)
	}
	var updates []*pembav1.Update
	for _, text := range c.Matching {
		f, err := parseFilter("--matching", text)
		if err != nil {
			return nil, err
		}
		updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_DeleteMatching{
			DeleteMatching: &pembav1.DeleteMatching{Filter: f, Limit: limit, AllowPartial: c.Partial},
		}})
	}
	return updates, nil
}
