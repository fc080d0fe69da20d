package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
)

// A serverDriver answers scenarios from a running server, over the API that every
// client has. Each world is in a store of its own, which is deleted when the next one
// is loaded, and at the end.
type serverDriver struct {
	client *client
	store  string // of the world that is loaded; empty for none
}

// Load makes a store, and writes the schema and the tuples into it, these as one
// write: every rule is judged on the whole.
func (d *serverDriver) Load(_ context.Context, schema string, tuples []rel.Tuple) error {
	if err := d.Close(); err != nil {
		return err
	}
	if len(tuples) > updatesMax {
		return fault.Newf(fault.FieldMustBeWithinBounds, "the file has %d relationships; a server takes at most %d in one write", len(tuples), updatesMax).
			Do("run this file without a server, or make two of it")
	}
	var drawn [8]byte
	_, _ = rand.Read(drawn[:]) // never fails
	name := "test-" + hex.EncodeToString(drawn[:])
	if _, err := ask(d.client, d.client.stores().CreateStore, &pembav1.CreateStoreRequest{Store: name}); err != nil {
		return asFault(err)
	}
	d.store = name
	if _, err := ask(d.client, d.client.schemas().WriteSchema, &pembav1.WriteSchemaRequest{Store: name, Schema: schema}); err != nil {
		return asFault(err)
	}
	if len(tuples) == 0 {
		return nil
	}
	updates := make([]rel.Update, len(tuples))
	for i, t := range tuples {
		updates[i] = rel.Update{Op: rel.Touch, Tuple: t}
	}
	_, err := d.Write(context.Background(), rel.Actor{}, updates)
	return err
}

// Close deletes the store of the world that is loaded.
func (d *serverDriver) Close() error {
	if d.store == "" {
		return nil
	}
	_, err := ask(d.client, d.client.stores().DeleteStore, &pembav1.DeleteStoreRequest{Store: d.store})
	d.store = ""
	return asFault(err)
}

// Now is this machine's time: the server's is not asked for.
func (*serverDriver) Now() time.Time { return time.Now() }

// Check asks whether the principal holds a name.
func (d *serverDriver) Check(_ context.Context, q scenario.Question) (scenario.Answer, error) {
	answer, err := ask(d.client, d.client.permissions().Check, &pembav1.CheckRequest{
		Store: d.store, Object: q.Object.String(), Permission: string(q.Name),
		Subject: q.Principal.Subjects()[0].String(), AdditionalSubjects: besideTexts(q.Principal),
		Context: contextMessage(q.Context), Explain: true,
	})
	if err != nil {
		return scenario.Answer{}, asFault(err)
	}
	values := map[pembav1.Result]scenario.Value{
		pembav1.Result_RESULT_GRANTED: scenario.Granted, pembav1.Result_RESULT_CONDITIONAL: scenario.Conditional,
	}
	return scenario.Answer{
		Value:   values[answer.GetResult()],
		Path:    strings.Join(pathLines(answer.GetExplanation()), ", "),
		Missing: missingOf(answer.GetMissing()),
	}, nil
}

// Role asks for the effective role.
func (d *serverDriver) Role(_ context.Context, object rel.Object, principal rel.Principal, given rel.Context) (scenario.RoleAnswer, error) {
	answer, err := ask(d.client, d.client.permissions().EffectiveAccess, &pembav1.EffectiveAccessRequest{
		Store: d.store, Object: object.String(),
		Subject: principal.Subjects()[0].String(), AdditionalSubjects: besideTexts(principal),
		Context: contextMessage(given), Explain: true,
	})
	if err != nil {
		return scenario.RoleAnswer{}, asFault(err)
	}
	role := scenario.RoleAnswer{
		Role: rel.Name(answer.GetRole()), Possible: rel.Name(answer.GetConditionalRole()),
		Path: strings.Join(pathLines(answer.GetExplanation()), ", "),
	}
	if role.Possible != "" {
		role.Missing = missingOf(answer.GetMissing())
	}
	return role, nil
}

// Write applies updates on behalf of an actor.
func (d *serverDriver) Write(_ context.Context, actor rel.Actor, updates []rel.Update) ([]rel.Change, error) {
	request := &pembav1.WriteRequest{Store: d.store}
	if !actor.IsZero() {
		request.Actor, request.ActorContext = actor.Subject.String(), contextMessage(actor.Context)
	}
	for _, u := range updates {
		request.Updates = append(request.Updates, updateMessage(u))
	}
	answer, err := ask(d.client, d.client.tuples().Write, request)
	if err != nil {
		return nil, asFault(err)
	}
	var changes []rel.Change
	for _, c := range answer.GetChanges() {
		t, err := rel.ParseTuple(tupleText(c.GetTuple()))
		if err != nil {
			return nil, err
		}
		op := map[pembav1.TupleChange_Operation]rel.Op{
			pembav1.TupleChange_OPERATION_CREATED: rel.Create, pembav1.TupleChange_OPERATION_TOUCHED: rel.Touch, pembav1.TupleChange_OPERATION_DELETED: rel.Delete,
		}[c.GetOperation()]
		changes = append(changes, rel.Change{Op: op, Tuple: t})
	}
	return changes, nil
}

// updateMessage is an update as the API has it.
func updateMessage(u rel.Update) *pembav1.Update {
	switch u.Op {
	case rel.Create:
		return &pembav1.Update{Operation: &pembav1.Update_Create{Create: tupleMessage(u.Tuple)}}
	case rel.Touch:
		return &pembav1.Update{Operation: &pembav1.Update_Touch{Touch: tupleMessage(u.Tuple)}}
	case rel.Assign:
		return &pembav1.Update{Operation: &pembav1.Update_Assign{Assign: tupleMessage(u.Tuple)}}
	case rel.DeleteMatching:
		return &pembav1.Update{Operation: &pembav1.Update_DeleteMatching{DeleteMatching: &pembav1.DeleteMatching{Filter: filterMessage(u.Matching.Filter)}}}
	case rel.DeleteObject:
		return &pembav1.Update{Operation: &pembav1.Update_DeleteObject{DeleteObject: &pembav1.DeleteObject{Object: u.Object.String()}}}
	case rel.Revoke:
		return &pembav1.Update{Operation: &pembav1.Update_Revoke{Revoke: &pembav1.Revoke{Subject: u.Revoking.Subject.String(), Within: u.Revoking.Within.String()}}}
	default:
		return deletions([]rel.Tuple{u.Tuple})[0]
	}
}

func missingOf(all []*pembav1.Missing) []scenario.Missing {
	var told []scenario.Missing
	for _, m := range all {
		k, err := rel.ParseKey(m.GetTuple().GetObject() + "#" + m.GetTuple().GetRelation() + "@" + m.GetTuple().GetSubject())
		if err == nil { // otherwise the server is none of this release
			told = append(told, scenario.Missing{Tuple: k, Caveat: rel.CaveatName(m.GetCaveat()), Parameters: m.GetParameters(), Problem: m.GetProblem()})
		}
	}
	return told
}

// asFault is what a server refused as the fault that it was there, with the place in
// the schema where it is about one.
func asFault(err error) error {
	var said interface{ GRPCStatus() *status.Status }
	if err == nil || !errors.As(err, &said) {
		return err
	}
	told := failureOfStatus(said.GRPCStatus())
	code, known := fault.CodeOf(told.Reason)
	if !known {
		return err
	}
	head := fault.New(code, told.Message)
	for key, value := range told.Metadata {
		head.With(key, value)
	}
	for i, v := range told.Violations {
		if place, ok := strings.CutPrefix(v.Field, "schema:"); ok && i == 0 {
			line, column, _ := strings.Cut(place, ":")
			head.Line, _ = strconv.Atoi(line) // 0 is no place
			head.Column, _ = strconv.Atoi(column)
			head.Summary = strings.TrimPrefix(v.Message, place+": ")
		}
	}
	return head
}
