package service

import (
	"context"
	"slices"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A HistoryQuery asks who changed what, page by page.
type HistoryQuery struct {
	Store       rel.Store
	Consistency Consistency // up to which state
	// Which changes: those on an object, those of tuples with a subject, or those of one
	// revision. With none of them, all.
	Object   *rel.Object
	Subject  *rel.Subject
	Revision *rel.Snapshot

	Since, Until *time.Time // committed at or after, and before
	OldestFirst  bool
	PageSize     int // changes, 1 to PageSizeMax
	// Measure says how large an entry is as it is answered with; a page has at most
	// HistoryPageBytesMax, but for one entry that is larger by itself.
	Measure Measure
	Page    Page
}

// HistoryPageBytesMax bounds a page of history, as its Measure counts.
const HistoryPageBytesMax = 2 << 20

const (
	// historyVersionsMax is how many versions of the tuples of an object or a subject
	// are read to find the revisions that made them. Where there are more, the change log
	// is gone through instead: what a page costs must not grow with the object.
	historyVersionsMax = 50_000
	// historyReadBytes is how much of the log is read at a time.
	historyReadBytes = 256 << 10
	// historyPageReadsMax is how much of the log a page goes through: it ends there,
	// with what it has found, and the next one goes on.
	historyPageReadsMax = 64 << 20
)

// A HistoryEntry is what one revision changed, as far as it was asked for and fits
// into the page.
type HistoryEntry struct {
	Revision Revision
	Changes  []rel.Change
	Schema   *SchemaWritten
	Imported uint64 // how many tuples were imported, where it is a bulk load
}

// A HistoryAnswer is one page.
type HistoryAnswer struct {
	Snapshot rel.Snapshot
	Entries  []HistoryEntry
	Next     string    // the next page's token; empty on the last page
	Begins   time.Time // of the history; zero where it is whole
}

// ListHistory lists who changed what, in the order of revisions. All pages are of the
// first page's snapshot.
func (s *Service) ListHistory(ctx context.Context, q HistoryQuery) (HistoryAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.lookForPage(ctx, q.Store, q.Consistency, q.Page)
	if err != nil {
		return HistoryAnswer{}, err
	}
	defer v.Close()
	store, err := s.db.Store(q.Store)
	if err != nil {
		return HistoryAnswer{}, err
	}
	h := &historian{ctx: ctx, service: s, view: v, store: store, query: q, room: q.PageSize, bytes: HistoryPageBytesMax}
	if err := h.plan(); err != nil {
		return HistoryAnswer{}, err
	}
	if err := h.list(); err != nil {
		return HistoryAnswer{}, err
	}
	answer := HistoryAnswer{Snapshot: v.Token(), Entries: h.entries, Begins: h.begins}
	if h.next != nil {
		answer.Next = q.Page.next(v.Snapshot, tupledb.Cursor(h.next.Encode()))
	}
	return answer, nil
}

// A historian gathers one page.
type historian struct {
	ctx     context.Context
	service *Service
	view    *view
	store   *tupledb.Store
	query   HistoryQuery

	stretch   tupledb.Stretch
	begins    time.Time
	known     bool           // revisions are all that there are to look into
	revisions []rel.Revision // in the order asked for
	at        tupledb.Position
	resumed   bool // at is out of a page token

	entries     []HistoryEntry
	room, bytes int // that are left of the page
	read        int // of the log
	next        *tupledb.Position
}

// plan finds where the page begins, and which revisions are to be looked into.
func (h *historian) plan() error {
	q := h.query
	if err := h.knowsScope(); err != nil {
		return err
	}
	var err error
	if h.stretch, h.begins, err = h.view.Stretch(q.Since, q.Until); err != nil {
		return err
	}
	if q.Revision != nil {
		if err := h.store.MustHaveHad(*q.Revision); err != nil {
			return err
		}
		r := q.Revision.Revision
		h.known = true
		if r >= h.stretch.First && r <= h.stretch.Last {
			h.revisions = []rel.Revision{r}
		} else if r < h.store.Floor() {
			_, err := h.store.Snapshot(r)
			return err // says that it is past the history
		}
	}
	switch {
	case q.Object != nil:
		h.revisions, h.known, err = h.view.ObjectChanges(*q.Object, h.stretch, historyVersionsMax)
	case q.Subject != nil:
		h.revisions, h.known, err = h.view.SubjectChanges(*q.Subject, h.stretch, historyVersionsMax)
	}
	if err != nil {
		return err
	}
	slices.Sort(h.revisions)
	if !q.OldestFirst {
		slices.Reverse(h.revisions)
	}
	if len(q.Page.after) > 0 {
		var ok bool
		if h.at, ok = tupledb.DecodePosition(q.Page.after); !ok {
			return badPosition()
		}
		h.resumed = true
	}
	return nil
}

func badPosition() error {
	return fault.New(fault.PageTokenMustBeReadable, "the page token is of no place in the history").
		Do("send next_page_token as an answer of pemba carried it, unchanged")
}

// knowsScope refuses a type that the store never had where the history begins or
// ends: a typing mistake must not look like a thing that nobody ever changed.
func (h *historian) knowsScope() error {
	var typ rel.ObjectType
	switch {
	case h.query.Object != nil:
		typ = h.query.Object.Type()
	case h.query.Subject != nil:
		typ = h.query.Subject.Type()
	default:
		return nil
	}
	_, err := h.view.schema.MustDefine(typ)
	if err == nil {
		return nil
	}
	before, old := h.service.schemaAt(h.query.Store, h.store, max(h.store.Floor(), 1))
	if old == nil && before.Definition(typ) != nil {
		return nil
	}
	return err
}

// list goes through the revisions until the page is full.
func (h *historian) list() error {
	for r, more := h.first(); more; r, more = h.after(r) {
		if err := fault.Ended(h.ctx); err != nil {
			return err
		}
		full, err := h.revision(r)
		if err != nil || full {
			return err
		}
	}
	return nil
}

// first is the revision that the page begins with.
func (h *historian) first() (rel.Revision, bool) {
	if h.resumed {
		return h.at.Revision, h.at.Revision >= h.stretch.First && h.at.Revision <= h.stretch.Last
	}
	switch {
	case h.known && len(h.revisions) == 0, h.stretch.First > h.stretch.Last:
		return 0, false
	case h.known:
		return h.revisions[0], true
	case h.query.OldestFirst:
		return h.stretch.First, true
	default:
		return h.stretch.Last, true
	}
}

// after is the revision that follows another in the order asked for.
func (h *historian) after(r rel.Revision) (rel.Revision, bool) {
	if h.known {
		i := slices.Index(h.revisions, r)
		if i < 0 || i+1 == len(h.revisions) {
			return 0, false
		}
		h.revisions = h.revisions[i:] // so that looking for the next is short
		return h.revisions[1], true
	}
	if h.query.OldestFirst {
		return r + 1, r < h.stretch.Last
	}
	return r - 1, r > h.stretch.First
}

// revision puts what a revision changed into the page; full says that the page ends
// with it, or inside it.
func (h *historian) revision(r rel.Revision) (full bool, err error) {
	at := tupledb.Position{Revision: r}
	first := true
	if h.resumed {
		at, h.resumed, first = h.at, false, h.at == tupledb.Position{Revision: r}
	}
	var entry *HistoryEntry
	for {
		if h.room <= 0 || h.bytes <= 0 || h.read >= historyPageReadsMax {
			h.next = &at
			return true, nil
		}
		part, read, next, err := h.store.Part(at, historyReadBytes, h.room)
		if err != nil {
			if !first && fault.Is(err, fault.DataMustBeReadable) {
				return false, badPosition()
			}
			return false, err
		}
		h.read += read
		if first {
			if entry, err = h.begin(part); err != nil {
				return false, err
			}
			first = false
		}
		for c := range part.Changes() {
			if !h.asked(c) {
				continue
			}
			if entry == nil {
				if entry, err = h.entry(part); err != nil {
					return false, err
				}
			}
			entry.Changes = append(entry.Changes, c)
			h.room--
			h.bytes -= h.query.Measure.Change(c)
		}
		if part.Last {
			return false, nil
		}
		at = next
	}
}

// asked reports whether a change is one of those asked for.
func (h *historian) asked(c rel.Change) bool {
	switch {
	case h.query.Object != nil:
		return c.Tuple.Object == *h.query.Object
	case h.query.Subject != nil:
		return c.Tuple.Subject == *h.query.Subject
	default:
		return true
	}
}

// entry begins an entry of the page.
func (h *historian) entry(p tupledb.Part) (*HistoryEntry, error) {
	revision, err := h.service.revisionOf(h.view.Token(), p)
	if err != nil {
		return nil, err
	}
	h.entries = append(h.entries, HistoryEntry{Revision: revision})
	h.bytes -= 4 << 10 // what stands beside the changes, mostly
	return &h.entries[len(h.entries)-1], nil
}

// begin begins the entry of a revision that says something without a change of
// tuples: a bulk load, of which any tuple may have been asked for, or of the schema,
// where everything was.
func (h *historian) begin(p tupledb.Part) (*HistoryEntry, error) {
	ofSchema := p.Schema > 0 && h.query.Object == nil && h.query.Subject == nil
	if p.Imported == 0 && !ofSchema {
		return nil, nil
	}
	entry, err := h.entry(p)
	if err != nil {
		return nil, err
	}
	if entry.Imported = p.Imported; !ofSchema {
		h.room--
		return entry, nil
	}
	entry.Schema = &SchemaWritten{Version: p.Schema}
	differences, err := h.service.differencesAt(h.query.Store, h.store, p.Revision)
	if err != nil {
		return nil, err
	}
	h.room--
	for _, d := range differences {
		if h.bytes -= h.query.Measure.Difference(d); h.bytes < 0 {
			break // the difference of two versions is DiffSchema's to tell
		}
		entry.Schema.Differences = append(entry.Schema.Differences, d)
	}
	return entry, nil
}

// revisionOf is a revision of the log as it is told.
func (s *Service) revisionOf(token rel.Snapshot, p tupledb.Part) (Revision, error) {
	metadata, ok := rel.DecodeMetadata(p.Metadata)
	if !ok {
		return Revision{}, fault.Newf(fault.DataMustBeReadable, "the metadata of revision %d is not of the form that pemba writes", p.Revision).
			Do("the data directory is damaged or was changed by another program: restore a backup")
	}
	token.Revision = p.Revision
	return Revision{Snapshot: token, Time: p.Time, Cause: p.Cause, Metadata: metadata, Actor: p.Actor}, nil
}

// differencesAt is by what the schema that a revision wrote differs from the one
// before; from nothing, where that no longer compiles, as in the answer to who
// wrote it.
func (s *Service) differencesAt(name rel.Store, store *tupledb.Store, r rel.Revision) ([]schema.Difference, error) {
	after, err := s.schemaAt(name, store, r)
	if err != nil {
		return nil, err
	}
	before, err := s.schemaAt(name, store, r-1)
	if err != nil && !fault.Is(err, fault.SchemaMustExist) && !fault.Is(err, fault.DataMustBeReadable) {
		return nil, err
	}
	return schema.Diff(before, after), nil
}
