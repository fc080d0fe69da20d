package main

import (
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

type whyCmd struct {
	Object  string   `arg:"" help:"The object, as type:id."`
	Name    string   `arg:"" help:"A permission, role or relation of the object's type. Leave it out to ask for the role."`
	Subject string   `arg:"" optional:"" help:"Who asks, as type:id or type:id#relation. Always the last."`
	With    []string `help:"What the subject presents beside itself, such as a share link. May be repeated." placeholder:"SUBJECT" sep:"none"`
	brought
	freshness
}

func (whyCmd) Help() string {
	return `pemba why OBJECT NAME SUBJECT answers as check does, and pemba why OBJECT SUBJECT as access; both say why. The path that decided comes first, then what else would do, and what an exclusion or a false condition took away. Of a denial it shows how far each path got, the furthest first, and tuples that would each open it, of which every one was tried.

In front of a line stands what it comes to: yes, no, or if where that hangs on a condition. A line stands on the one below it; where it stands on several, each begins with a dash.

Exit code 0 is granted, 1 is not: denied or conditional. Without NAME it is 0.

Examples:

    pemba why project:p1 edit_takeoff user:mia
    pemba why project:p1 view user:zoe
    pemba why project:p1 user:ana
    pemba why project:p1 view user:zoe --with link:l1
    pemba why doc:d1 view user:ana --context '{"now": 9}'
    pemba why doc:d1 view user:ana -o json | jq .openings`
}

// Run asks one question, and for all that there is to say about its answer.
func (c *whyCmd) Run(a *app) error {
	if c.Subject != "" {
		check := checkCmd{Object: c.Object, Permission: c.Name, Subject: c.Subject, With: c.With, brought: c.brought, Explain: true, freshness: c.freshness}
		return check.Run(a)
	}
	if !strings.Contains(c.Name, ":") {
		return fault.Newf(fault.FieldMustBeSet, "no subject is given, whose hold on %q is asked about", c.Name).
			Do("write pemba why %s %s SUBJECT, for example user:ana", c.Object, c.Name)
	}
	access := accessCmd{Object: c.Object, Subject: c.Name, With: c.With, brought: c.brought, Explain: true, freshness: c.freshness}
	return access.Run(a)
}
