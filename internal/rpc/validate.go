package rpc

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// Bounds on lists, as proto/pemba/v1 promises them.
const (
	batchItemsMax    = 1_000 // a batch is answered at once: its work and its answer are bounded by this
	updatesMax       = 1_000 // a write holds up the store's other writers while it is judged
	preconditionsMax = 100   // each can be a question of its own
	presentedMax     = rel.PrincipalSubjectsMax - 1

	// violationsMax bounds what is kept of a request that is wrong throughout.
	violationsMax = 100
)

// A form is a request while it is read: it turns fields into values of rel, and
// keeps what is wrong with each of them under the field's path. What a reading
// function returns for a field that is wrong is the zero value, and is not used,
// since the form then has a fault.
//
// The path is kept as steps, and becomes a text only where something is wrong:
// reading a good request builds no strings.
type form struct {
	steps  [3]step
	depth  int
	found  int            // how many faults were found
	faults []*fault.Fault // those that are kept
	best   fault.Code     // the lowest among faults
}

// A step leads into a field, or into one entry of it.
type step struct {
	field string
	index int // noIndex where the field is no list
}

const noIndex = -1

func (f *form) enter(field string, index int) {
	f.steps[f.depth] = step{field, index}
	f.depth++
}

func (f *form) leave() { f.depth-- }

// path is where the form stands, and a field below it; an empty field is the
// place itself.
func (f *form) path(field string, index int) string {
	var b strings.Builder
	add := func(s step) {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.field)
		if s.index != noIndex {
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		}
	}
	for _, s := range f.steps[:f.depth] {
		add(s)
	}
	if field != "" {
		add(step{field, index})
	}
	return b.String()
}

// keep keeps a fault. Beyond violationsMax only one with a rule of higher
// precedence than all before is kept, since it names the refusal.
func (f *form) keep(x *fault.Fault) {
	f.found++
	switch {
	case len(f.faults) < violationsMax:
		f.faults = append(f.faults, x)
	case x.Code < f.best:
		f.faults[violationsMax-1] = x
	default:
		return
	}
	if f.best == 0 || x.Code < f.best {
		f.best = x.Code
	}
}

// wrong keeps what another room said about a field, or about several together.
func (f *form) wrong(field string, err error) {
	f.keep(fault.Of(err).In(f.path(field, noIndex)))
}

// wrongText keeps what another room said about a text, and names the field and
// the text where that room does not show the text: it may have been told of a
// part of it alone, and "an id is empty" could be about any reference.
func (f *form) wrongText(field string, index int, text string, err error) {
	x, path, sent := fault.Of(err), f.path(field, index), quote(text)
	if !strings.Contains(x.Summary, sent) && (text == "" || !strings.Contains(x.Summary, text)) {
		x.Summary = path + " " + sent + ": " + x.Summary
	}
	f.keep(x.In(path))
}

// quote shows what a client sent as rel does: shortened, with nothing that a
// terminal would obey.
func quote(s string) string {
	const shown = 80
	if len(s) <= shown {
		return strconv.Quote(s)
	}
	end := shown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(s[:end]) + "…"
}

// err is what is wrong with the request: nil, or one error with all of it.
func (f *form) err() error {
	err := fault.Join(f.faults)
	if omitted := f.found - len(f.faults); omitted > 0 {
		return &tooManyFaults{fault.Of(err), omitted}
	}
	return err
}

// A tooManyFaults is a fault with more others than were kept: those are counted,
// so that nobody takes what is shown for all that is wrong.
type tooManyFaults struct {
	kept    *fault.Fault
	omitted int
}

func (e *tooManyFaults) Error() string {
	return e.kept.Sentence() + " (and " + strconv.Itoa(len(e.kept.Others)+e.omitted) + " more)"
}

func (e *tooManyFaults) Unwrap() error { return e.kept }

func (f *form) missing(field, remedy string) {
	path := f.path(field, noIndex)
	f.keep(fault.Newf(fault.FieldMustBeSet, "%s is not set", path).Do("%s", remedy).In(path))
}

func (f *form) unwanted(field, why string) {
	path := f.path(field, noIndex)
	f.keep(fault.Newf(fault.FieldMustNotBeSet, "%s is set", path).Do("%s", why).In(path))
}

// atMost bounds the length of a list, and reports whether it keeps the bound:
// what is longer is not read.
func (f *form) atMost(field string, have, most int) bool {
	if have > most {
		path := f.path(field, noIndex)
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "%s has %d entries", path, have).Do("send at most %d", most).In(path))
		return false
	}
	return true
}

// required reads a field that must be there.
func required[T any](f *form, field, text string, parse func(string) (T, error), remedy string) T {
	if text == "" {
		f.missing(field, remedy)
		var none T
		return none
	}
	return given(f, field, text, parse)
}

// optional reads a field that may be empty; empty is the zero value.
func optional[T any](f *form, field, text string, parse func(string) (T, error)) T {
	if text == "" {
		var none T
		return none
	}
	return given(f, field, text, parse)
}

func given[T any](f *form, field, text string, parse func(string) (T, error)) T {
	value, err := parse(text)
	if err != nil {
		f.wrongText(field, noIndex, text, err)
	}
	return value
}

func (f *form) store(text string) rel.Store { return given(f, "store", text, rel.ParseStore) }

func (f *form) object(text string) rel.Object {
	return required(f, "object", text, rel.ParseObject, "name the object as type:id, for example project:p1")
}

func (f *form) name(field, text, remedy string) rel.Name {
	return required(f, field, text, rel.ParseName, remedy)
}

func (f *form) permission(text string) rel.Name {
	return f.name("permission", text, "name a permission, role or relation of the object's type, for example view")
}

const subjectRemedy = "name the subject as type:id or type:id#name, for example user:ana"

// principal reads `subject` and `additional_subjects`.
func (f *form) principal(subject string, additional []string) rel.Principal {
	identity := required(f, "subject", subject, parseConcrete, subjectRemedy)
	if !f.atMost("additional_subjects", len(additional), presentedMax) {
		return rel.Principal{}
	}
	var beside []rel.Subject
	for i, text := range additional {
		s, err := parseConcrete(text)
		if err != nil {
			f.wrongText("additional_subjects", i, text, err)
			continue
		}
		beside = append(beside, s)
	}
	if len(f.faults) > 0 {
		return rel.Principal{}
	}
	p, err := rel.NewPrincipal(identity, beside...)
	if err != nil {
		f.wrong("additional_subjects", err)
	}
	return p
}

// parseConcrete reads a subject that a principal can have.
func parseConcrete(text string) (rel.Subject, error) {
	s, err := rel.ParseSubject(text)
	if err == nil && s.IsWildcard() {
		_, err = rel.NewPrincipal(s) // says why not
	}
	return s, err
}

// consistency reads which state is asked. On one node every read is of the newest
// state unless an older one is named, so what asks for less, and what asks for the
// newest, ask for nothing here. A bool set to false is refused as the proto promises: it
// could be meant as "not this one", and says nothing about which.
func (f *form) consistency(c *pembav1.Consistency) service.Consistency {
	if c.GetRequirement() == nil {
		return service.Consistency{}
	}
	f.enter("consistency", noIndex)
	defer f.leave()
	switch r := c.GetRequirement().(type) {
	case *pembav1.Consistency_MinimizeLatency:
		f.mustBeTrue("minimize_latency", r.MinimizeLatency)
	case *pembav1.Consistency_FullyConsistent:
		f.mustBeTrue("fully_consistent", r.FullyConsistent)
	case *pembav1.Consistency_AtLeastAsFresh:
		at := given(f, "at_least_as_fresh", r.AtLeastAsFresh, rel.ParseSnapshot)
		return service.Consistency{AtLeast: &at}
	case *pembav1.Consistency_AtExactSnapshot:
		at := given(f, "at_exact_snapshot", r.AtExactSnapshot, rel.ParseSnapshot)
		return service.Consistency{Exact: &at}
	case *pembav1.Consistency_AtTime:
		return service.Consistency{Time: f.time("at_time", r.AtTime)}
	}
	return service.Consistency{}
}

// time reads a time that is set.
func (f *form) time(field string, stamp *timestamppb.Timestamp) *time.Time {
	if !stamp.IsValid() {
		path := f.path(field, noIndex)
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "%s is not a time", path).
			Do("give a time from year 1 to 9999 with nanoseconds from 0 to 999,999,999").In(path))
		return nil
	}
	at := stamp.AsTime()
	return &at
}

// optionalTime reads a time that may be left out; nil where it is.
func (f *form) optionalTime(field string, stamp *timestamppb.Timestamp) *time.Time {
	if stamp == nil {
		return nil
	}
	return f.time(field, stamp)
}

func (f *form) mustBeTrue(field string, value bool) {
	if !value {
		path := f.path(field, noIndex)
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "%s is set to false", path).Do("set it to true, or leave it out").In(path))
	}
}

// pageSize reads how many entries a page may hold.
func (f *form) pageSize(size uint32) int {
	switch {
	case size == 0:
		return service.PageSizeDefault
	case size > service.PageSizeMax:
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "a page of %d entries", size).
			Do("ask for at most %d, or for 0, which means %d", service.PageSizeMax, service.PageSizeDefault).In(f.path("page_size", noIndex)))
	}
	return int(size)
}

// tuple reads a tuple to be written, or one that comes with a question.
func (f *form) tuple(t *pembav1.Tuple) rel.Tuple {
	return rel.Tuple{
		Key:     f.tupleKey(t.GetObject(), t.GetRelation(), t.GetSubject()),
		Caveat:  f.caveat(t.GetCaveat()),
		Expires: f.expiry(t.GetExpiresAt()),
	}
}

func (f *form) tupleKey(object, relation, subject string) rel.Key {
	return rel.Key{
		Object:   f.object(object),
		Relation: f.name("relation", relation, "name a relation or a writable role of the object's type, for example viewer"),
		Subject:  required(f, "subject", subject, rel.ParseSubject, "name the subject as type:id, type:id#name or type:*, for example user:ana"),
	}
}

// filter reads what selects tuples.
func (f *form) filter(field string, x *pembav1.TupleFilter) rel.Filter {
	return f.filterAt(field, noIndex, x)
}

func (f *form) filterAt(field string, index int, x *pembav1.TupleFilter) rel.Filter {
	f.enter(field, index)
	defer f.leave()
	before := f.found
	filter := rel.Filter{
		ObjectType:  optional(f, "object_type", x.GetObjectType(), rel.ParseType),
		ObjectID:    optional(f, "object_id", x.GetObjectId(), parseObjectID),
		IDPrefix:    optional(f, "object_id_prefix", x.GetObjectIdPrefix(), parseIDPrefix),
		Relation:    optional(f, "relation", x.GetRelation(), rel.ParseName),
		SubjectType: optional(f, "subject_type", x.GetSubjectType(), rel.ParseType),
		SubjectID:   optional(f, "subject_id", x.GetSubjectId(), parseIDPrefix),
	}
	if x != nil && x.SubjectRelation != nil {
		name := optional(f, "subject_relation", *x.SubjectRelation, rel.ParseName)
		filter.SubjectRelation = &name
	}
	if f.found == before {
		if err := filter.Check(); err != nil {
			f.wrong("", err)
		}
	}
	return filter
}

// parseIDPrefix reads what an id may begin with, which is what it may be, too.
func parseIDPrefix(text string) (string, error) { return text, rel.CheckIDPrefix(text) }

func parseObjectID(text string) (string, error) {
	if text == "*" {
		return "", fault.New(fault.ObjectMustBeConcrete, "the object id is a wildcard, which no object has").
			Do("name one object, or leave the id out for all of the type")
	}
	return parseIDPrefix(text)
}
