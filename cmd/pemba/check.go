package main

import (
	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/rel"
)

type checkCmd struct {
	Object     string   `arg:"" help:"The object, as type:id."`
	Permission string   `arg:"" help:"A permission, role or relation of the object's type."`
	Subject    string   `arg:"" help:"Who asks, as type:id or type:id#relation."`
	With       []string `help:"What the subject presents beside itself, such as a share link. May be repeated." placeholder:"SUBJECT" sep:"none"`
	brought
	Explain bool `help:"Show the whole explanation, not only the path that decided."`
	freshness
}

func (checkCmd) Help() string {
	return `Prints "granted" and the tuples that gave it, or "denied"; --explain says why, and so does pemba why. Where access hangs on a caveat that --context leaves open, it prints "conditional" and what is missing: that is no access. Exit code 0 is granted, 1 is not: denied or conditional.

Examples:

    pemba check project:p1 edit_takeoff user:mia
    pemba check project:p1 view user:zoe --with link:l1
    pemba check project:p1 view user:ana --snapshot TOKEN
    pemba check project:p1 view user:ana -o json | jq .granted
    pemba check doc:d1 view user:ana --context '{"now": 9}'
    pemba check doc:d1 view user:ana --context @request.json
    pemba check doc:d1 view user:ana --contextual doc:d1#viewer@user:ana`
}

// Run asks one question. For people the path is always asked for: an answer
// without its reason is the beginning of a search.
func (c *checkCmd) Run(a *app) error {
	request, who, err := c.request(a)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	request.Explain = c.Explain || !a.wantsJSON()
	answer, err := ask(client, client.permissions().Check, request)
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		err = a.message(answer)
	} else {
		c.print(a, answer, who)
	}
	if err == nil && !answer.GetGranted() {
		return answeredNo{}
	}
	return err
}

func (c *checkCmd) request(a *app) (*pembav1.CheckRequest, rel.Principal, error) {
	object, err := rel.ParseObject(c.Object)
	if err != nil {
		return nil, rel.Principal{}, err
	}
	name, err := rel.ParseName(c.Permission)
	if err != nil {
		return nil, rel.Principal{}, err
	}
	who, err := principal(c.Subject, c.With)
	if err != nil {
		return nil, rel.Principal{}, err
	}
	context, contextual, err := c.brought.read(a)
	if err != nil {
		return nil, rel.Principal{}, err
	}
	consistency, err := c.consistency()
	return &pembav1.CheckRequest{
		Consistency:        consistency,
		Object:             object.String(),
		Permission:         string(name),
		Subject:            who.Subjects()[0].String(),
		AdditionalSubjects: besideTexts(who),
		Context:            context,
		ContextualTuples:   contextual,
	}, who, err
}

func (c *checkCmd) print(a *app, answer *pembav1.CheckResponse, who rel.Principal) {
	said := who.String() + " does not hold "
	word := "denied"
	switch {
	case answer.GetGranted():
		word, said = "granted", who.String()+" holds "
	case answer.GetResult() == pembav1.Result_RESULT_CONDITIONAL:
		word, said = "conditional", who.String()+" may hold "
	}
	a.line("%s  %s%s on %s", word, said, c.Permission, c.Object)
	var lines []string
	switch {
	case c.Explain:
		lines = append(treeLines(answer.GetExplanation()), openingLines(answer.GetOpenings())...)
	case answer.GetResult() != pembav1.Result_RESULT_DENIED:
		lines = pathLines(answer.GetExplanation())
	}
	for _, open := range missingLines(answer.GetMissing()) {
		lines = append(lines, "needs "+open)
	}
	if again := askAgain(answer.GetMissing()); again != "" {
		lines = append(lines, "ask again with "+again)
	}
	if until := answer.GetValidUntil(); until != nil {
		lines = append(lines, "valid until "+timeText(until.AsTime()))
	}
	for _, line := range lines {
		a.line("  %s", line)
	}
}
