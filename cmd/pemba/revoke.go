package main

import (
	"strings"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type revokeCmd struct {
	Subject string `arg:"" help:"Whose roles go, as type:id or type:id#relation."`
	Within  string `required:"" help:"The object on which they go, and on everything inside it." placeholder:"OBJECT"`
	terms
}

func (revokeCmd) Help() string {
	return `Takes away, in one step, what the subject itself was given on an object and on everything inside it, at any depth: its roles, and its tuples in relations that have a grant rule, but no bans. What it has through groups, links or everybody stays, and is listed: at most 1000 objects.

With --dry-run it shows the same and writes nothing. With --as the rules of the schema decide whether that actor may do so.

Examples:

    pemba revoke user:joe --within organization:acme --dry-run
    pemba revoke user:joe --within organization:acme --as user:mia
    pemba revoke user:joe --within organization:acme --metadata ticket=HR-12
    pemba revoke team:core#member --within project:p1`
}

// Run takes away what a subject was given.
func (c *revokeCmd) Run(a *app) error {
	subject, err := rel.ParseSubject(c.Subject)
	if err != nil {
		return err
	}
	within, err := rel.ParseObject(c.Within)
	if err != nil {
		return err
	}
	update := &pembav1.Update{Operation: &pembav1.Update_Revoke{
		Revoke: &pembav1.Revoke{Subject: subject.String(), Within: within.String()},
	}}
	return a.writeAnd([]*pembav1.Update{update}, c.terms, func(answer *pembav1.WriteResponse) {
		a.revoked(answer, subject, within, c.DryRun)
	})
}

// revoked prints what went and what stays, as a dialog would put it.
func (a *app) revoked(answer *pembav1.WriteResponse, subject rel.Subject, within rel.Object, dryRun bool) {
	removed := map[bool]string{false: "removed", true: "removes"}[dryRun]
	switch n := answer.GetDeletedCount(); {
	case n == 0:
		a.line("%s has nothing of its own inside %s", subject, within)
	default:
		a.line("%s %s of %s inside %s:", removed, fault.Counted(n, "role"), subject, within)
		for _, change := range answer.GetChanges() {
			a.line("  %s", tupleText(change.GetTuple()))
		}
		if more := n - uint64(len(answer.GetChanges())); more > 0 {
			a.line("  and %d more", more)
		}
	}
	for _, r := range answer.GetRemaining() {
		a.line("keeps %s", remainingText(r))
	}
	if answer.GetRemainingCut() {
		a.line("and may keep more: not everything inside %s was looked at", within)
	}
	if dryRun {
		a.line("nothing was written")
		a.line("judged at  %s", answer.GetSnapshot())
		return
	}
	a.line("snapshot  %s", answer.GetSnapshot())
}

// remainingText is what stays on one object, and through what.
func remainingText(r *pembav1.RemainingAccess) string {
	held := r.GetRole()
	switch {
	case held == "" && len(r.GetPermissions()) > 0:
		held = strings.Join(r.GetPermissions(), ", ")
	case held == "":
		held = r.GetConditionalRole() + ", under a condition,"
	}
	text := held + " on " + r.GetObject()
	for _, source := range r.GetSources()[:min(1, len(r.GetSources()))] {
		switch {
		case source.GetThrough() != "":
			text += " through " + source.GetThrough()
		case source.GetTuple() != nil:
			text += " by " + tupleText(source.GetTuple())
		}
	}
	return text
}
