package main

import (
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

type accessCmd struct {
	Object  string   `arg:"" help:"The object, as type:id."`
	Subject string   `arg:"" help:"Who asks, as type:id or type:id#relation."`
	With    []string `help:"What the subject presents beside itself, such as a share link. May be repeated." placeholder:"SUBJECT" sep:"none"`
	brought
	Explain bool `help:"Show the whole explanation, not only the path that decided."`
	Grants  bool `help:"Show which roles the subject may give to others here, and take away from them."`
	freshness
}

func (accessCmd) Help() string {
	return `Prints the effective role, which is the highest one over all paths, every permission, and the tuples that gave the role; then what hangs on a caveat that --context leaves open, and what is missing. Exit code 0, also for nobody's access: it is an answer.

Examples:

    pemba access project:p1 user:ana
    pemba access project:p1 user:zoe --with link:l1
    pemba access project:p1 user:ana --explain
    pemba access project:p1 user:ana --grants
    pemba access doc:d1 user:ana --context '{"now": 9}'
    pemba access doc:d1 user:ana --contextual team:core#member@user:ana
    pemba access project:p1 user:ana -o json | jq -r .role`
}

// Run asks for everything that a subject has on an object.
func (c *accessCmd) Run(a *app) error {
	object, err := rel.ParseObject(c.Object)
	if err != nil {
		return err
	}
	who, err := principal(c.Subject, c.With)
	if err != nil {
		return err
	}
	context, contextual, err := c.brought.read(a)
	if err != nil {
		return err
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
	answer, err := ask(client, client.permissions().EffectiveAccess, &pembav1.EffectiveAccessRequest{
		Store:              client.store,
		Consistency:        consistency,
		Object:             object.String(),
		Subject:            who.Subjects()[0].String(),
		AdditionalSubjects: besideTexts(who),
		Context:            context,
		ContextualTuples:   contextual,
		Explain:            c.Explain || !a.wantsJSON(),

		IncludeGrantableRoles: c.Grants,
	})
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.message(answer)
	}
	a.line("%s on %s", who, object)
	for _, row := range c.rows(answer) {
		a.row(row)
	}
	if c.Explain && answer.GetExplanation() != nil {
		a.line("because")
		for _, line := range append(treeLines(answer.GetExplanation()), openingLines(answer.GetOpenings())...) {
			a.line("  %s", line)
		}
	}
	return nil
}

func (c *accessCmd) rows(answer *pembav1.EffectiveAccessResponse) []row {
	rows := []row{
		{"role", []string{orNone(answer.GetRole())}},
		{"permissions", []string{orNone(strings.Join(answer.GetPermissions(), ", "))}},
	}
	if c.Grants {
		rows = append(rows,
			row{"may grant", []string{orNone(strings.Join(answer.GetGrantableRoles(), ", "))}},
			row{"may revoke", []string{orNone(strings.Join(answer.GetRevocableRoles(), ", "))}})
	}
	var open []string
	if role := answer.GetConditionalRole(); role != "" {
		open = append(open, "role "+role)
	}
	if names := answer.GetConditionalPermissions(); len(names) > 0 {
		open = append(open, strings.Join(names, ", "))
	}
	if len(open) > 0 {
		rows = append(rows, row{"conditional", open})
	}
	if missing := missingLines(answer.GetMissing()); len(missing) > 0 {
		rows = append(rows, row{"needs", missing})
	}
	if again := askAgain(answer.GetMissing()); again != "" {
		rows = append(rows, row{"ask again", []string{"with " + again}})
	}
	if until := answer.GetValidUntil(); until != nil {
		rows = append(rows, row{"valid until", []string{timeText(until.AsTime())}})
	}
	if path := pathLines(answer.GetExplanation()); len(path) > 0 && !c.Explain {
		rows = append(rows, row{"path", path})
	}
	return rows
}
