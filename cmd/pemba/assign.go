package main

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

type assignCmd struct {
	Tuples  []string `arg:"" name:"tuple" help:"Tuples, as object#role@subject; - reads them from the standard input, a line each."`
	Expires *string  `help:"When the roles stop counting: a time like 2027-01-01T00:00:00Z, or how long from now, like 30d or 12h." placeholder:"TIME"`
	terms
}

func (assignCmd) Help() string {
	return `Gives subjects roles in the place of those that they have: each tuple is put, and the other stored roles of its subject on the object go in the same step, custom roles of the same workspace among them where the schema says that they count as one. Prints the net change and the snapshot that has it.

With --as the rules of the schema decide whether that actor may do so.

Examples:

    pemba assign project:p1#viewer@user:joe
    pemba assign project:p1#viewer@user:joe --as user:mia
    pemba assign organization:acme#admin@user:ana --as user:mia --dry-run`
}

// Run assigns roles.
func (c *assignCmd) Run(a *app) error {
	roles, err := a.tuples(c.Tuples, rel.ParseTuple)
	if err == nil && c.Expires != nil {
		err = expire(roles, *c.Expires)
	}
	if err != nil {
		return err
	}
	var updates []*pembav1.Update
	for _, t := range roles {
		updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_Assign{Assign: tupleMessage(t)}})
	}
	return a.write(updates, c.terms)
}
