package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// An ImportCommand is what holds for all messages of a stream of an import.
type ImportCommand struct {
	Store rel.Store
	ID    rel.ImportID
	// Metadata is kept with the change. Of several streams it is that of the one
	// that finishes.
	Metadata rel.Metadata
}

// An ImportMessage is one message of the stream.
type ImportMessage struct {
	Offset  uint64 // how many tuples of the import come before these
	Tuples  []rel.Tuple
	Finish  bool
	Discard bool
}

// An ImportAnswer says how far an import is.
type ImportAnswer struct {
	Snapshot rel.Snapshot // zero while a load is not finished
	Loaded   uint64
	Finished bool
}

// ImportedAtOnceMax bounds a message into a store that has tuples: it is a write.
const ImportedAtOnceMax = 1_000

// notInSchemaMax bounds how many tuples of a message are told to be out of place.
const notInSchemaMax = 100

// ImportTuples loads what a stream sends, which next reads: in bulk into a store
// without tuples, by ordinary writes into another. The messages end with io.EOF, and
// the answer says how far the import is then.
//
// Whatever ends the stream, what it had sent before is loaded, so that an import
// that is interrupted often comes to its end all the same.
func (s *Service) ImportTuples(ctx context.Context, c ImportCommand, next func() (ImportMessage, error)) (ImportAnswer, error) {
	store, err := s.db.Store(c.Store)
	if err != nil {
		return ImportAnswer{}, err
	}
	i := &importing{service: s, store: store, command: c}
	answer, err := i.run(ctx, next)
	if err != nil {
		_ = i.flush(context.WithoutCancel(ctx)) // what went wrong is told; what is kept is asked for
	}
	return answer, err
}

// An importing is one stream of an import.
type importing struct {
	service *Service
	store   *tupledb.Store
	command ImportCommand

	// In bulk: the load, what was sent of it and not written yet, and what its tuples
	// must fit.
	load   *tupledb.Load
	chunk  *tupledb.Chunk
	schema *schema.Schema

	// Otherwise: the store has tuples, and this many were written, up to here.
	ordinary bool
	written  uint64
	at       rel.Snapshot
}

func (i *importing) run(ctx context.Context, next func() (ImportMessage, error)) (ImportAnswer, error) {
	for {
		m, err := next()
		if errors.Is(err, io.EOF) {
			return i.end(ctx)
		}
		if err == nil {
			err = fault.Ended(ctx)
		}
		if err != nil {
			return ImportAnswer{}, err
		}
		switch {
		case m.Discard:
			return i.discard(ctx)
		case len(m.Tuples) > 0 || m.Offset > 0:
			err = i.take(ctx, m)
		}
		if err == nil && m.Finish {
			return i.finish(ctx)
		}
		if err != nil {
			return ImportAnswer{}, err
		}
	}
}

// A stage is what the store is to an import.
type stage int

const (
	stageOpen     stage = iota // without tuples, and nobody loads it
	stageLoading               // this import loads it
	stageFinished              // this import was the last that was loaded into it
	stageOrdinary              // it has tuples
)

// stage finds out where the import is. Another import that loads the store is a
// refusal.
func (i *importing) stage(ctx context.Context) (stage, error) {
	if i.ordinary {
		return stageOrdinary, nil
	}
	if l := i.store.Load(); l != nil {
		if l.ID() != i.command.ID {
			return 0, i.store.MustNotBeLoading()
		}
		return stageLoading, i.join(l)
	}
	if id, _, _ := i.store.Imported(); id == i.command.ID {
		i.load, i.chunk = nil, nil // another stream has finished it
		return stageFinished, nil
	}
	if i.load != nil {
		i.load, i.chunk = nil, nil
		return 0, fault.Newf(fault.ImportMustContinue, "the import %q was discarded by another call", i.command.ID).
			Do("begin it anew, or leave it")
	}
	v, err := i.service.look(ctx, i.command.Store, Consistency{})
	if err != nil {
		return 0, err
	}
	v.Close()
	has, err := i.store.HasTuples(ctx)
	if has {
		return stageOrdinary, err
	}
	return stageOpen, err
}

// join goes on with a load.
func (i *importing) join(l *tupledb.Load) error {
	if i.load == l {
		return nil
	}
	snap, err := l.Before()
	if err != nil {
		return err
	}
	defer snap.Close()
	v, err := i.service.withSchema(i.command.Store, snap)
	if err != nil {
		return err
	}
	i.load, i.chunk, i.schema = l, l.NewChunk(), v.schema
	return nil
}

// take takes the tuples of a message.
func (i *importing) take(ctx context.Context, m ImportMessage) error {
	at, err := i.stage(ctx)
	if err == nil && at == stageOpen && len(m.Tuples) > 0 {
		at, err = i.begin(ctx, m)
	}
	if err != nil {
		return err
	}
	switch at {
	case stageOrdinary:
		return i.write(ctx, m.Tuples)
	case stageOpen:
		return mustContinue(m, 0)
	case stageFinished:
		_, sent, _ := i.store.Imported()
		m.Offset += uint64(len(m.Tuples)) // all of it must have come before
		return mustContinue(m, sent)
	}
	if loaded := i.load.Loaded(); loaded >= i.chunk.Reaches() {
		i.chunk.Restart(loaded) // another stream has come as far
	}
	if err := mustContinue(m, i.chunk.Reaches()); err != nil {
		return err
	}
	skipped := min(i.chunk.Reaches()-m.Offset, uint64(len(m.Tuples)))
	if err := i.fits(i.schema, m, int(skipped)); err != nil {
		return err
	}
	for _, t := range m.Tuples[skipped:] {
		i.chunk.Add(t)
	}
	if i.chunk.IsFull() {
		return i.flush(ctx)
	}
	return nil
}

// begin begins a load with the first message of an import. A message that is refused
// begins none: a mistake in it must not lock the store.
func (i *importing) begin(ctx context.Context, m ImportMessage) (stage, error) {
	l, err := i.store.BeginLoad(ctx, i.command.ID, func(snap *tupledb.Snapshot) error {
		v, err := i.service.withSchema(i.command.Store, snap)
		if err == nil {
			err = mustContinue(m, 0)
		}
		if err == nil {
			err = i.fits(v.schema, m, 0)
		}
		return err
	})
	if err != nil || l == nil {
		return stageOrdinary, err
	}
	return stageLoading, i.join(l)
}

// mustContinue refuses a message that begins beyond what was loaded.
func mustContinue(m ImportMessage, loaded uint64) error {
	if m.Offset <= loaded {
		return nil
	}
	return fault.Newf(fault.ImportMustContinue, "the import has come to tuple %d, and the message goes on from %d", loaded, m.Offset).
		Do("ask how far it is, and go on from there; an import that was finished or discarded takes nothing more: give another one an id of its own").
		In("offset").With("loaded_count", strconv.FormatUint(loaded, 10))
}

// fits judges the tuples of a message by the types and forms of a schema; all other
// rules can wait until all tuples are there.
func (i *importing) fits(by *schema.Schema, m ImportMessage, from int) error {
	var faults []*fault.Fault
	for n, t := range m.Tuples[from:] {
		f := admission.NotInSchema(by, t)
		if f == nil {
			continue
		}
		position := m.Offset + uint64(from+n)
		faults = append(faults, f.In(fmt.Sprintf("tuples[%d]", from+n)).With("position", strconv.FormatUint(position, 10)))
		if len(faults) == notInSchemaMax {
			break
		}
	}
	return fault.Join(faults)
}

// write writes the tuples of a message into a store that has some.
func (i *importing) write(ctx context.Context, tuples []rel.Tuple) error {
	i.ordinary = true
	if len(tuples) == 0 {
		return nil
	}
	if len(tuples) > ImportedAtOnceMax {
		return fault.Newf(fault.FieldMustBeWithinBounds, "tuples has %d entries, and the store has tuples already", len(tuples)).
			Do("send at most %d in a message: each is a write of its own", ImportedAtOnceMax).In("tuples")
	}
	c := WriteCommand{Store: i.command.Store, Metadata: i.command.Metadata}
	for _, t := range tuples {
		c.Updates = append(c.Updates, rel.Update{Op: rel.Touch, Tuple: t})
	}
	answer, err := i.service.Write(ctx, c)
	if err != nil {
		return inTuples(err, i.written)
	}
	i.written += uint64(len(tuples))
	i.at = answer.Snapshot
	return nil
}

// inTuples names the fields of a refused write as an import has them.
func inTuples(err error, before uint64) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	for _, each := range append([]*fault.Fault{f}, f.Others...) {
		rest, ok := strings.CutPrefix(each.Field, "updates[")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, "]")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			each.In("tuples["+number+"]").With("position", strconv.FormatUint(before+n, 10))
		}
	}
	return err
}

// flush writes what was gathered.
func (i *importing) flush(ctx context.Context) error {
	if i.load == nil || i.chunk.Reaches() <= i.load.Loaded() {
		return nil
	}
	if err := i.load.Write(ctx, i.chunk); err != nil {
		return err
	}
	i.chunk.Restart(i.load.Loaded())
	return nil
}

// end answers where the import is when the stream is over.
func (i *importing) end(ctx context.Context) (ImportAnswer, error) {
	if err := i.flush(ctx); err != nil {
		return ImportAnswer{}, err
	}
	at, err := i.stage(ctx)
	if err != nil {
		return ImportAnswer{}, err
	}
	return i.answer(at), nil
}

func (i *importing) answer(at stage) ImportAnswer {
	switch at {
	case stageLoading:
		return ImportAnswer{Loaded: i.load.Loaded()}
	case stageFinished:
		_, sent, snapshot := i.store.Imported()
		return ImportAnswer{Snapshot: snapshot, Loaded: sent, Finished: true}
	case stageOrdinary:
		if i.written == 0 {
			i.at = i.store.Head()
		}
		return ImportAnswer{Snapshot: i.at, Loaded: i.written, Finished: true}
	default:
		return ImportAnswer{}
	}
}

// finish judges and publishes. Where nothing was loaded there is nothing to do, and
// where it was done before, the answer is that of the first time.
func (i *importing) finish(ctx context.Context) (ImportAnswer, error) {
	if err := i.flush(ctx); err != nil {
		return ImportAnswer{}, err
	}
	at, err := i.stage(ctx)
	switch {
	case err != nil:
		return ImportAnswer{}, err
	case at == stageOpen:
		return ImportAnswer{Snapshot: i.store.Head(), Finished: true}, nil
	case at != stageLoading:
		return i.answer(at), nil
	}
	snapshot, err := i.load.Finish(ctx, i.command.Metadata.Encode(), func(snap *tupledb.Snapshot) error {
		boundByContext(ctx, snap)
		conflicts, err := admission.FitData(ctx, i.schema, beforeWrite{snap})
		if err != nil {
			return err
		}
		return brokenRules(conflicts)
	})
	if err != nil {
		return ImportAnswer{}, err
	}
	return ImportAnswer{Snapshot: snapshot, Loaded: i.load.Loaded(), Finished: true}, nil
}

// brokenRules refuses what was loaded, by the rules that a write would be refused by.
func brokenRules(conflicts []admission.Conflict) error {
	var faults []*fault.Fault
	for _, c := range conflicts {
		summary := c.Summary
		if c.Count > 1 {
			summary += fmt.Sprintf(" (and %d more like it)", c.Count-1)
		}
		f := fault.New(c.Code, summary).In("finish").
			Do("send the tuples that are wanting, or those that replace what is wrong, and finish again; what is too much cannot be taken away: discard the import").
			With("definition", string(c.Definition)).With("name", string(c.Name)).With("count", fmt.Sprint(c.Count))
		if len(c.Examples) > 0 {
			f.With("tuple", c.Examples[0].String())
		}
		faults = append(faults, f)
	}
	return fault.Join(faults)
}

// discard gives the load up. Where this import loads nothing, nothing is left of it.
func (i *importing) discard(ctx context.Context) (ImportAnswer, error) {
	at, err := i.stage(ctx)
	if err != nil || at != stageLoading {
		return i.answer(at), err
	}
	l := i.load
	i.load, i.chunk = nil, nil
	return ImportAnswer{}, l.Discard(ctx)
}
