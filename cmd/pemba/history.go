package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type historyCmd struct {
	Object   *string `help:"Only changes of tuples on this object." placeholder:"OBJECT" xor:"scope"`
	Subject  *string `help:"Only changes of tuples with exactly this subject." placeholder:"SUBJECT" xor:"scope"`
	Revision *string `help:"Only the write that this snapshot came from." placeholder:"TOKEN" xor:"scope"`

	Since       *string `help:"Only what was committed at or after this time, like 2027-01-01T00:00:00Z; or this long ago, like 30d or 12h." placeholder:"TIME"`
	Until       *string `help:"Only what was committed before this time, or before this long ago." placeholder:"TIME"`
	OldestFirst bool    `help:"Show the oldest write first, instead of the newest."`
	Limit       *int    `help:"Show at most this many changes; if there are more, the standard error says so." placeholder:"N"`
}

func (historyCmd) Help() string {
	return `Shows who changed what, when, on whose behalf and why: each write as one entry, however many tuples it changed, the newest first. It reaches as far back as the server keeps its history.

What somebody could do at a time, ask with --at: pemba access, check and read take it.

Examples:

    pemba history --limit 20
    pemba history --object project:p1
    pemba history --subject user:joe --since 30d
    pemba history --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z
    pemba history --revision "$SNAPSHOT"
    pemba access project:p1 user:ana --at 2026-03-03T12:00:00Z`
}

// Run lists page by page, and prints each page when it is there.
func (c *historyCmd) Run(a *app) error {
	request, err := c.request(time.Now())
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	ask := func(size uint32, token string) (*pembav1.ListHistoryResponse, error) {
		request.PageSize, request.PageToken = size, token
		return ask(client, client.tuples().ListHistory, request)
	}
	show := (&plainHistory{app: a}).page
	if a.wantsJSON() {
		show = (&jsonHistory{jsonPages{app: a, field: "entries"}}).page
	}
	return eachPage(a, amount{c.Limit, readPageSize}, ask, changesOf, show)
}

// changesOf is how many changes a page shows. What changed no tuple is one.
func changesOf(answer *pembav1.ListHistoryResponse) int {
	changes := 0
	for _, e := range answer.GetEntries() {
		changes += max(1, len(e.GetChanges()))
	}
	return changes
}

func (c *historyCmd) request(now time.Time) (*pembav1.ListHistoryRequest, error) {
	if err := checkLimit(c.Limit, "changes"); err != nil {
		return nil, err
	}
	request := &pembav1.ListHistoryRequest{Order: pembav1.ListHistoryRequest_ORDER_NEWEST_FIRST}
	if c.OldestFirst {
		request.Order = pembav1.ListHistoryRequest_ORDER_OLDEST_FIRST
	}
	switch {
	case c.Object != nil:
		o, err := rel.ParseObject(*c.Object)
		if err != nil {
			return nil, err
		}
		request.Scope = &pembav1.ListHistoryRequest_Object{Object: o.String()}
	case c.Subject != nil:
		s, err := rel.ParseSubject(*c.Subject)
		if err != nil {
			return nil, err
		}
		request.Scope = &pembav1.ListHistoryRequest_Subject{Subject: s.String()}
	case c.Revision != nil:
		if err := mustBeSnapshot("--revision", *c.Revision); err != nil {
			return nil, err
		}
		request.Scope = &pembav1.ListHistoryRequest_AtRevision{AtRevision: *c.Revision}
	}
	var err error
	if request.Since, err = pastTime("--since", c.Since, now); err != nil {
		return nil, err
	}
	request.Until, err = pastTime("--until", c.Until, now)
	return request, err
}

// pastTime reads a time, or how long ago it was; nil where it is not given.
func pastTime(flag string, text *string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == nil {
		return nil, nil
	}
	if ago, ok := durationOf(*text); ok {
		return timestamppb.New(now.Add(-ago)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return nil, fault.Newf(fault.FieldMustBeWithinBounds, "%s %q is not a time", flag, *text).
			Do("write it as RFC 3339 does, for example 2026-03-01T12:00:00Z, or how long ago it was, for example 30d")
	}
	return timestamppb.New(at), nil
}

// plainHistory prints each write as one paragraph. One that goes on on the next page
// goes on below its changes.
type plainHistory struct {
	app    *app
	before string // the snapshot of the entry that was printed last
}

func (p *plainHistory) page(answer *pembav1.ListHistoryResponse, last bool) error {
	for _, e := range answer.GetEntries() {
		if at := e.GetRevision().GetSnapshot(); at != p.before {
			if p.before != "" {
				p.app.line("")
			}
			p.before = at
			p.app.line("%s", revisionLine(e.GetRevision()))
		}
		for _, c := range e.GetChanges() {
			p.app.line("  %-8s  %s", done.of(c.GetOperation()), tupleText(c.GetTuple()))
		}
		if s := e.GetSchemaChange(); s != nil {
			p.app.line("  %-8s  version %d", "schema", s.GetVersion())
			for _, line := range differenceLines(s.GetChanges()) {
				p.app.line("    %s", line)
			}
		}
		if n := e.GetImportedCount(); n > 0 {
			p.app.line("  %-8s  %s", "imported", fault.Counted(n, "tuple"))
		}
	}
	if !last {
		return nil
	}
	if p.before == "" {
		p.app.line("no changes")
	}
	if answer.GetNextPageToken() != "" {
		p.app.note("there are more; raise --limit to see them")
	} else if since := answer.GetHistorySince(); since != nil {
		p.app.note("the server keeps no history from before %s", timeText(since.AsTime()))
	}
	return nil
}

// revisionLine is when, why and by whom a write was committed.
func revisionLine(r *pembav1.Revision) string {
	line := r.GetCommittedAt().AsTime().Format(watchTimeLayout) + "  " + r.GetSnapshot()
	if r.GetCause() == pembav1.Cause_CAUSE_EXPIRED {
		line += "  expired"
	}
	if actor := r.GetActor(); actor != "" {
		line += "  by " + actor
	}
	var why []string
	for key, value := range r.GetMetadata() {
		why = append(why, fmt.Sprintf("%s=%q", key, value))
	}
	slices.Sort(why)
	if len(why) > 0 {
		line += "  " + strings.Join(why, " ")
	}
	return line
}

// jsonHistory prints one ListHistoryResponse that holds all pages.
type jsonHistory struct{ jsonPages }

func (j *jsonHistory) page(answer *pembav1.ListHistoryResponse, last bool) error {
	since, err := json.Marshal(timeOrNull(answer.GetHistorySince()))
	if err != nil {
		return err
	}
	return printEntries(&j.jsonPages, answer, answer.GetEntries(), last, fmt.Sprintf(",\n  \"history_since\": %s", since))
}

// timeOrNull is a time as protobuf's JSON has it.
func timeOrNull(t *timestamppb.Timestamp) *string {
	if t == nil {
		return nil
	}
	text := timeText(t.AsTime())
	return &text
}
