package main

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

type writeCmd struct {
	Tuples  []string `arg:"" name:"tuple" help:"Tuples, as object#relation@subject; - reads them from the standard input, a line each."`
	Create  bool     `help:"Refuse the write where one of the tuples is there already."`
	Delete  []string `help:"Take this tuple away in the same write. May be repeated." placeholder:"TUPLE" sep:"none"`
	Expires *string  `help:"When the tuples stop counting: a time like 2027-01-01T00:00:00Z, or how long from now, like 30d or 12h." placeholder:"TIME"`
	terms
}

func (writeCmd) Help() string {
	return `All tuples are written in one step, or none is. A tuple that is there already gets the caveat and the expiration that are given here, none where none are. Prints the net change and the snapshot that has it. One write takes at most 1000 tuples.

After a tuple stand, in brackets, its caveat, with or without values, and its expiration; the schema says which of them the relation allows.

Examples:

    pemba write project:p1#editor@user:zoe
    pemba write project:p1#editor@user:zoe project:p1#viewer@user:pat
    pemba write --create project:p1#editor@user:zoe
    pemba write project:p1#editor@user:joe --delete project:p1#viewer@user:joe
    pemba write project:p1#viewer@user:zoe --unless project:p1#editor@user:zoe
    pemba write project:p1#viewer@user:zoe --expires 30d
    pemba write project:p1#viewer@user:zoe --dry-run
    pemba write project:p1#viewer@user:zoe --metadata ticket=OPS-7
    pemba write project:p1#viewer@user:zoe --request-id 4f0c2a9e
    pemba write 'doc:d1#viewer@user:zoe[office_hours]'
    pemba write 'doc:d1#viewer@user:zoe[office_hours:{"opens":9}]'
    pemba write 'doc:d1#viewer@user:zoe[expiration:2027-01-01T00:00:00Z]'
    pemba read | split -l 1000 --filter='pemba write - --server other:7878'`
}

// Run writes tuples. What is taken away goes first, so that a role can be
// replaced where a subject may have one only.
func (c *writeCmd) Run(a *app) error {
	gone, err := a.keys(c.Delete)
	if err != nil {
		return err
	}
	put, err := a.tuples(c.Tuples, rel.ParseTuple)
	if err == nil && c.Expires != nil {
		err = expire(put, *c.Expires)
	}
	if err != nil {
		return err
	}
	updates := deletions(gone)
	for _, t := range put {
		if c.Create {
			updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_Create{Create: tupleMessage(t)}})
		} else {
			updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_Touch{Touch: tupleMessage(t)}})
		}
	}
	return a.write(updates, c.terms)
}

// expire gives tuples an expiration. One that has its own is refused: which of the
// two was meant is not to be guessed.
func expire(tuples []rel.Tuple, text string) error {
	at, err := expiryOf(text, time.Now())
	if err != nil {
		return err
	}
	for i, t := range tuples {
		if !t.Expires.Never() {
			return fault.Newf(fault.FieldMustNotBeSet, "%s has an expiration, and --expires gives it another", t).
				Do("leave one of them out")
		}
		tuples[i].Expires = at
	}
	return nil
}

func deletions(tuples []rel.Tuple) []*pembav1.Update {
	var updates []*pembav1.Update
	for _, t := range tuples {
		key := &pembav1.TupleKey{Object: t.Object.String(), Relation: string(t.Relation), Subject: t.Subject.String()}
		updates = append(updates, &pembav1.Update{Operation: &pembav1.Update_DeleteTuple{DeleteTuple: key}})
	}
	return updates
}

func tupleMessage(t rel.Tuple) *pembav1.Tuple {
	m := &pembav1.Tuple{Object: t.Object.String(), Relation: string(t.Relation), Subject: t.Subject.String()}
	if !t.Caveat.IsZero() {
		m.Caveat = &pembav1.Caveat{Name: string(t.Caveat.Name), Context: contextMessage(t.Caveat.Context)}
	}
	if !t.Expires.Never() {
		m.ExpiresAt = timestamppb.New(t.Expires.Time())
	}
	return m
}

// conditions are the flags of a write that say what must be so before it.
type conditions struct {
	If     []string `help:"Write only where a stored tuple fits this filter. May be repeated." placeholder:"FILTER" sep:"none"`
	Unless []string `help:"Write only where no stored tuple fits this filter. May be repeated." placeholder:"FILTER" sep:"none"`
}

func (c conditions) preconditions() ([]*pembav1.Precondition, error) {
	var all []*pembav1.Precondition
	for _, text := range c.If {
		f, err := parseFilter("--if", text)
		if err != nil {
			return nil, err
		}
		all = append(all, &pembav1.Precondition{Condition: &pembav1.Precondition_FilterMustMatch{FilterMustMatch: f}})
	}
	for _, text := range c.Unless {
		f, err := parseFilter("--unless", text)
		if err != nil {
			return nil, err
		}
		all = append(all, &pembav1.Precondition{Condition: &pembav1.Precondition_FilterMustNotMatch{FilterMustNotMatch: f}})
	}
	return all, nil
}

// acting are the flags of a write that say on whose behalf it is.
type acting struct {
	As        *string `help:"On whose behalf: the rules of the schema decide what this subject may add and take away. Left out, the write is the application's own." placeholder:"ACTOR"`
	AsContext *string `name:"as-context" help:"Values for the parameters of caveats on the actor's own access, as a JSON object; @FILE reads it from a file." placeholder:"JSON"`
}

func (t acting) actor(a *app) (subject string, given *structpb.Struct, err error) {
	if t.As == nil {
		if t.AsContext != nil {
			return "", nil, fault.New(fault.FieldMustNotBeSet, "--as-context is about --as, which is not given").Do("name the actor, or leave it out")
		}
		return "", nil, nil
	}
	actor, err := rel.NewActor(*t.As, rel.Context{})
	if err != nil {
		return "", nil, err
	}
	given, err = contextOf(a, "--as-context", t.AsContext)
	return actor.Subject.String(), given, err
}

// updatesMax is what a server takes in one write. It is said here, in the words
// of a command line, and not cut into several: they would not be one step.
const updatesMax = 1_000

// terms are the flags that every write takes.
type terms struct {
	acting
	conditions
	DryRun    bool     `help:"Show what would change, or what refuses it, and write nothing."`
	RequestID *string  `name:"request-id" help:"An id of your choice that makes a retry harmless: the same write with it is done once, and answered alike for a day." placeholder:"ID"`
	Metadata  []string `help:"Why: a text that the history keeps beside the change. May be repeated." placeholder:"KEY=VALUE" sep:"none"`
}

// request is a write with these terms.
func (t terms) request(a *app, updates []*pembav1.Update) (*pembav1.WriteRequest, error) {
	request := &pembav1.WriteRequest{Updates: updates, DryRun: t.DryRun}
	var err error
	if request.Preconditions, err = t.preconditions(); err != nil {
		return nil, err
	}
	if request.Actor, request.ActorContext, err = t.actor(a); err != nil {
		return nil, err
	}
	if t.RequestID != nil {
		if _, err := rel.ParseRequestID(*t.RequestID); err != nil {
			return nil, err
		}
		request.RequestId = *t.RequestID
	}
	request.Metadata, err = metadata(t.Metadata)
	return request, err
}

// metadata reads the --metadata of a command line.
func metadata(texts []string) (map[string]string, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	read := make(map[string]string, len(texts))
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if _, twice := read[key]; !found || twice {
			return nil, fault.Newf(fault.RequestMustBeReadable, "--metadata %q is no KEY=VALUE, or the second one of its key", text).
				Do("write for example --metadata ticket=OPS-7, and each key once")
		}
		read[key] = value
	}
	_, err := rel.NewMetadata(read)
	return read, err
}

// write sends one write and prints what it changed.
func (a *app) write(updates []*pembav1.Update, t terms) error {
	return a.writeAnd(updates, t, func(answer *pembav1.WriteResponse) {
		words := done
		if t.DryRun {
			words = wouldBeDone
		}
		a.changes(answer, words)
	})
}

// writeAnd sends one write and lets tell print what it changed.
func (a *app) writeAnd(updates []*pembav1.Update, t terms, tell func(*pembav1.WriteResponse)) error {
	if n := len(updates); n > updatesMax {
		return fault.Newf(fault.FieldMustBeWithinBounds, "%d tuples; one write takes at most %d", n, updatesMax).
			Do("pipe them in portions, for example with split -l %d", updatesMax)
	}
	request, err := t.request(a, updates)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	request.Store = client.store
	answer, err := ask(client, client.tuples().Write, request)
	if err != nil {
		return err
	}
	a.wrote = !t.DryRun
	if a.wantsJSON() {
		return a.message(answer)
	}
	tell(answer)
	if answer.GetPartial() {
		a.note("the limit was reached, and tuples are left that the filter selects")
	}
	if answer.GetReplayed() {
		a.note("this is the answer of the first write with this request id; nothing was written now")
	}
	return nil
}

// changeWords say what a write did, or would do.
type changeWords struct {
	width                                            int
	created, touched, deleted, none, ended, snapshot string
}

var (
	done        = changeWords{8, "created", "touched", "deleted", "nothing changed", "", "snapshot"}
	wouldBeDone = changeWords{12, "would create", "would touch", "would delete", "nothing would change", "would be accepted; nothing was written", "judged at"}
)

// changes prints what a write did, a line a tuple.
func (a *app) changes(answer *pembav1.WriteResponse, words changeWords) {
	for _, change := range answer.GetChanges() {
		a.line("%-*s  %s", words.width, words.of(change.GetOperation()), tupleText(change.GetTuple()))
	}
	total := answer.GetCreatedCount() + answer.GetTouchedCount() + answer.GetDeletedCount()
	switch shown := uint64(len(answer.GetChanges())); {
	case total > shown:
		a.line("%-*s  %s more", words.width, "and", fault.Counted(total-shown, "change"))
	case shown == 0:
		a.line("%s", words.none)
	}
	if words.ended != "" {
		a.line("%s", words.ended)
	}
	a.line("%-*s  %s", words.width, words.snapshot, answer.GetSnapshot())
}

func (w changeWords) of(o pembav1.TupleChange_Operation) string {
	switch o {
	case pembav1.TupleChange_OPERATION_CREATED:
		return w.created
	case pembav1.TupleChange_OPERATION_TOUCHED:
		return w.touched
	case pembav1.TupleChange_OPERATION_DELETED:
		return w.deleted
	default:
		return "changed"
	}
}

// keys reads the tuples of a command line that are named alone. A caveat after one
// would look like a condition for taking it away.
func (a *app) keys(texts []string) ([]rel.Tuple, error) {
	return a.tuples(texts, func(text string) (rel.Tuple, error) {
		k, err := rel.ParseKey(text)
		return rel.Tuple{Key: k}, err
	})
}

// tuples reads the tuples of a command line, those that stand there as parse says,
// and those of the standard input as read prints them. All that cannot be read
// are faults.
func (a *app) tuples(texts []string, parse func(string) (rel.Tuple, error)) ([]rel.Tuple, error) {
	var tuples []rel.Tuple
	var faults []*fault.Fault
	for i, text := range texts {
		if text != standardInput {
			t, err := parse(text)
			if f := fault.Of(err); f != nil {
				faults = append(faults, f)
			}
			tuples = append(tuples, t)
			continue
		}
		if slices.Contains(texts[:i], standardInput) {
			return nil, fault.New(fault.RequestMustBeReadable, "the standard input is named twice").Do("write - once")
		}
		given, wrong, err := a.tupleLines()
		if err != nil {
			return nil, err
		}
		tuples, faults = append(tuples, given...), append(faults, wrong...)
	}
	if len(texts) > 0 && len(tuples) == 0 {
		return nil, fault.New(fault.FieldMustBeSet, "there are no tuples on the standard input").Do("send one a line")
	}
	return tuples, fault.Join(faults)
}

// tupleLines reads the standard input, a tuple a line; empty lines and lines that
// start with // are skipped.
func (a *app) tupleLines() ([]rel.Tuple, []*fault.Fault, error) {
	text, name, err := a.file(standardInput)
	if err != nil {
		return nil, nil, err
	}
	var tuples []rel.Tuple
	var faults []*fault.Fault
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		t, err := rel.ParseTuple(line)
		if f := fault.Of(err); f != nil {
			f.File = name
			faults = append(faults, f.At(i+1, 1))
		}
		tuples = append(tuples, t)
	}
	return tuples, faults, nil
}
