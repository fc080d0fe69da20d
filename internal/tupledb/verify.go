package tupledb

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Report is what a verification of one store found.
type Report struct {
	Store    rel.Store
	Head     rel.Revision
	Tuples   int // there at the head, when the verification began
	Expired  int // stored as if they were there, but expired by then
	Versions int // of tuples, tombstones included
	Schemas  int // versions
	Requests int // that are kept
	Loading  int // tuples of a bulk load that is not published

	// Problems are the first disagreements found, one sentence each, and More is
	// how many there are beyond them. A store in order has neither.
	Problems []string
	More     int
}

// InOrder reports whether nothing disagreed.
func (r *Report) InOrder() bool { return len(r.Problems) == 0 }

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == problemsMax {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// A verification reads a store as it is on the disk and compares its three
// accounts of the same history: the forward index, the reverse index and the
// change log.
//
// Every change in the log must have its version in each index, with the same
// attributes, and each index must have as many versions as the log has changes;
// so the three say the same, at the head and at every revision before, and no set
// of tuples has to fit in memory. Beside that, revisions are dense, times
// increase, and each change is one: what was put was not there, what was touched
// was there with other attributes, what was deleted was there as the log has it.
// Of what is from before the history the log says nothing, and the two indexes are
// compared with each other, and likewise what was loaded in bulk, which the log only
// counts, and what is being loaded. Whether an expired tuple was there is decided by the change's own time. Each
// tuple that will expire has its entry among the expiries, and each entry there is
// of a version.
type verification struct {
	ctx        context.Context
	store      *Store
	head       *head
	floor      rel.Revision // what is below it may be gone, and is of no revision
	now        time.Time
	logged     rel.Revision // the last in the log as the indexes are read: later than head where writers go on
	loads      loadVerification
	report     *Report
	probe      iterator
	key, value []byte
	reads      int
	show       func(reads int)
}

// Verify walks the whole store at its head while it stays in use. The error is
// of the disk or of ctx; what disagrees is in the report.
func (s *Store) Verify(ctx context.Context) (*Report, error) {
	return s.VerifyShowing(ctx, func(int) {})
}

// VerifyShowing verifies, and shows now and then how many keys it has read.
func (s *Store) VerifyShowing(ctx context.Context, show func(reads int)) (*Report, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	h := s.head.Load()
	v := &verification{ctx: ctx, store: s, head: h, now: s.now(h), report: &Report{Store: s.name, Head: h.revision}, show: show}
	var err error
	if v.probe, err = s.iterator(); err != nil {
		return nil, err
	}
	defer func() { _ = v.probe.Close() }()
	// After the iterator is open: from this floor on it sees everything.
	v.floor = min(s.Floor(), h.revision)

	if err := v.loading(); err != nil {
		return nil, err
	}
	changes, err := v.changeLog()
	if err != nil {
		return nil, err
	}
	forward, err := v.index(kindForward)
	if err != nil {
		return nil, err
	}
	reverse, err := v.index(kindReverse)
	if err != nil {
		return nil, err
	}
	if err := v.expiries(); err != nil {
		return nil, err
	}
	if forward.recent != changes || reverse.recent != changes {
		v.report.problem("the log has %d changes of tuples, the forward index %d versions, the reverse index %d", changes, forward.recent, reverse.recent)
	}
	if forward.versions-forward.recent != reverse.versions-reverse.recent {
		v.report.problem("the forward index has %d versions from before the history, the reverse index %d", forward.versions-forward.recent, reverse.versions-reverse.recent)
	}
	if forward.there != reverse.there {
		v.report.problem("the forward index has %d tuples that are there, the reverse index %d", forward.there, reverse.there)
	}
	v.loaded(forward, reverse)
	if err := v.requests(); err != nil {
		return nil, err
	}
	v.report.Tuples, v.report.Expired, v.report.Versions = forward.there, forward.expired, forward.versions
	return v.report, nil
}

// tick looks at the context now and then.
func (v *verification) tick() error {
	if v.reads++; v.reads%verifyStride > 0 {
		return nil
	}
	v.show(v.reads)
	if v.ctx.Err() != nil {
		return gone(v.ctx, "the verification ended")
	}
	return nil
}

// scan calls each with every key of a kind.
func (v *verification) scan(k kind, each func(it iterator) error) error {
	it, err := v.probe.cloneOver(append(appendKind(nil, v.store.number, k), 0), appendKindEnd(nil, v.store.number, k))
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for it.First(); it.Valid(); it.Next() {
		if err := v.tick(); err != nil {
			return err
		}
		if err := each(it); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return unreadable(err)
	}
	return nil
}

// changeLog checks the log by itself and against the indexes, and counts the
// changes of tuples in it. It ends with the schema versions, which have to be
// those that the log names.
func (v *verification) changeLog() (changes int, err error) {
	expected, first := rel.Revision(1), true
	lastMicros := int64(-1 << 62)
	schemas, before := uint64(0), uint64(0) // in the history, and numbered before it
	err = v.scan(kindChange, func(it iterator) error {
		r, ok := revisionOfChangeKey(it.Key())
		if ok && r > v.head.revision && r == v.logged+1 {
			v.logged = r
			return nil // written since the verification began
		}
		if first && v.floor > 1 { // the beginning is being forgotten, or is
			expected = max(min(r, v.floor), 1)
		}
		first = false
		c, err := readChange(it, expected)
		expected = max(expected, r) + 1
		v.logged = max(v.logged, r)
		if err != nil {
			v.report.problem("%v", err)
			return nil
		}
		if m := c.Time.UnixMicro(); m <= lastMicros {
			v.report.problem("revision %d was committed at %v, not after the one before it", r, c.Time)
		} else {
			lastMicros = m
		}
		if r < v.floor {
			return nil
		}
		if c.Schema != 0 {
			if schemas == 0 && v.floor > 1 {
				before = c.Schema - 1
			}
			if schemas++; c.Schema != before+schemas {
				v.report.problem("revision %d brings schema version %d where %d belongs", r, c.Schema, before+schemas)
			}
			found, err := v.mustHave(appendSchemaPrefix(v.key[:0], v.store.number), r, nil, "schema version")
			if err != nil {
				return err
			}
			if found {
				v.schema(&c)
			}
		}
		changes += len(c.Put) + len(c.Touch) + len(c.Delete) + int(c.Imported)
		v.loads.imported(&c)
		return v.tuples(&c)
	})
	if err != nil {
		return 0, err
	}
	if expected != v.head.revision+1 {
		v.report.problem("the head is at revision %d, and the log ends at %d", v.head.revision, expected-1)
	}
	stored, recent, err := v.schemas()
	if err == nil && uint64(recent) != schemas {
		v.report.problem("the log names %d schema versions, and %d are stored", schemas, recent)
	}
	if err == nil && before > 0 && stored == recent {
		v.report.problem("schema version %d is missing, which the history begins with", before)
	}
	v.report.Schemas = stored
	return changes, err
}

// schema compares the schema version that the probe is at with what the log says
// of it.
func (v *verification) schema(c *Change) {
	stored, err := decodeSchema(v.probe.Value(), c.Revision)
	switch {
	case err != nil: // said by whoever reads the versions
	case stored.Number != c.Schema:
		v.report.problem("the log names schema version %d at revision %d, and schema version %d is stored", c.Schema, c.Revision, stored.Number)
	case sumOfSchema(stored.Text) != c.schemaSum:
		v.report.problem("the text of schema version %d is not the one that the log names at revision %d", c.Schema, c.Revision)
	case !stored.Written.Equal(c.Time):
		v.report.problem("schema version %d was written at %v, and revision %d at %v", c.Schema, stored.Written, c.Revision, c.Time)
	}
}

// isLater reports whether a version is of a revision after the head: one that was
// written since the verification began is in the log that is read with it. What
// is not would come alive when the head gets there.
func (v *verification) isLater(key []byte, r rel.Revision) bool {
	if r > v.logged && r != v.loads.underWay {
		v.report.problem("%v is of revision %d, which the log does not have", keyText(key), r)
	}
	return r > v.head.revision
}

// schemas counts the versions that are stored, and those that the history brought.
func (v *verification) schemas() (stored, recent int, err error) {
	err = v.scan(kindSchema, func(it iterator) error {
		r := revisionOf(it.Key()[splitKey(it.Key()):])
		if v.isLater(it.Key(), r) {
			return nil
		}
		stored++
		if r >= v.floor {
			recent++
		}
		if _, err := decodeSchema(it.Value(), r); err != nil {
			v.report.problem("%v", err)
		}
		return nil
	})
	return stored, recent, err
}

// tuples checks what a change says of tuples against the indexes.
func (v *verification) tuples(c *Change) error {
	for _, t := range c.Put {
		v.value = appendValue(v.value[:0], t)
		if err := v.changed(t, c, v.value, func(_ rel.Tuple, there bool) bool { return !there }); err != nil {
			return err
		}
	}
	for _, t := range c.Touch {
		v.value = appendValue(v.value[:0], t)
		if err := v.changed(t, c, v.value, func(was rel.Tuple, there bool) bool { return there && was != t }); err != nil {
			return err
		}
	}
	for _, t := range c.Delete {
		if err := v.changed(t, c, []byte{stateTombstone}, func(was rel.Tuple, there bool) bool { return there && was == t }); err != nil {
			return err
		}
	}
	return nil
}

// changed checks one change of a tuple: both indexes have its version with this
// value, and it was net over what was there before.
func (v *verification) changed(t rel.Tuple, c *Change, value []byte, net func(was rel.Tuple, there bool) bool) error {
	if !isReadable(t.Caveat) {
		v.report.problem("the change of revision %d has a caveat of %v that is not of the form that pemba writes", c.Revision, t.Key)
	}
	if _, err := v.mustHave(appendReverse(v.key[:0], v.store.number, t.Key), c.Revision, value, "reverse index"); err != nil {
		return err
	}
	found, err := v.mustHave(appendForward(v.key[:0], v.store.number, t.Key), c.Revision, value, "forward index")
	if err != nil || !found {
		return err
	}
	was, there := rel.Tuple{}, false
	if v.probe.Next() { // to the version before, and not beyond this tuple
		live, carried, ok := parseValue(v.probe.Value())
		if !ok {
			return nil // the index's own check says so
		}
		if live {
			was, there = carried.of(t.Key), !carried.expires.PassedAt(c.Time)
		}
	}
	if err := v.probe.Error(); err != nil {
		return unreadable(err)
	}
	if c.Cause == CauseExpired { // the one change of what was not there any more
		there = was == t && t.Expires.PassedAt(c.Time)
	}
	if !net(was, there) {
		v.report.problem("%v does not change what was there before as the log says", keyText(v.key))
	}
	return nil
}

// isReadable reports whether a caveat is one that rel would make.
func isReadable(c rel.Caveat) bool {
	if c.IsZero() {
		return true
	}
	_, err := rel.ParseCaveatName(string(c.Name))
	if err != nil || c.Context.IsEmpty() {
		return err == nil
	}
	context, err := rel.ParseContext(c.Context.String())
	return err == nil && context == c.Context
}

// mustHave looks for one version; a nil value is not compared.
func (v *verification) mustHave(prefix []byte, r rel.Revision, value []byte, where string) (found bool, err error) {
	v.key = appendSuffix(prefix, r)
	if err := v.tick(); err != nil {
		return false, err
	}
	found = v.probe.SeekPrefixGE(v.key) && bytes.Equal(v.probe.Key(), v.key)
	if err := v.probe.Error(); err != nil {
		return false, unreadable(err)
	}
	switch {
	case !found:
		v.report.problem("the change of revision %d has no %s: %v is missing", r, where, keyText(v.key))
	case value != nil && !bytes.Equal(v.probe.Value(), value):
		v.report.problem("the change of revision %d and the %s disagree on %v", r, where, keyText(v.key))
	}
	return found, nil
}

// An indexCount is what an index holds at the head; recent are the versions that the
// history brought.
type indexCount struct{ there, expired, versions, recent, loading int }

// index checks one index by itself and counts it.
func (v *verification) index(k kind) (count indexCount, err error) {
	parse := parseForward
	if k == kindReverse {
		parse = parseReverse
	}
	var prefix []byte      // of the version before, which is the newer one
	var newer bool         // whether that one is live
	var later []byte       // the prefix of the last version that is newer than the head
	var above rel.Revision // the version before's
	endTuple := func() {   // the version before was the oldest of its tuple
		if prefix != nil && !newer {
			v.report.problem("%v begins with a tombstone", keyText(prefix))
		}
	}
	err = v.scan(k, func(it iterator) error {
		key := it.Key()
		n := splitKey(key)
		r := revisionOf(key[n:])
		if r == v.loads.underWay {
			count.loading++
			return v.loadedVersion(k, it)
		}
		if v.isLater(key, r) {
			later = append(later[:0], key[:n]...)
			return nil
		}
		count.versions++
		if r >= v.floor {
			count.recent++
		}
		if isLogged := r >= v.floor && !v.loads.counts(k, r); !isLogged && k == kindForward {
			if err := v.hasReverse(key[fieldsAt:splitKey(key)], r, it.Value()); err != nil {
				return err
			}
		}
		live, carried, ok := parseValue(it.Value())
		if r == 0 || !ok {
			v.report.problem("%v has no readable value", keyText(key))
			return nil
		}
		if bytes.Equal(prefix, key[:n]) {
			if !newer && !live {
				v.report.problem("%v is a tombstone under another", keyText(key))
			}
			v.loads.mustNotCover(v.report, above, key, live)
		} else {
			endTuple()
			prefix = append(prefix[:0], key[:n]...)
			if _, ok := parseFields(key[fieldsAt:n], parse); !ok {
				v.report.problem("%v is not of the form that pemba writes", keyText(key))
			}
			switch {
			case live && carried.expires.PassedAt(v.now):
				count.expired++
			case live:
				count.there++
			}
			// What took its place since the verification began took the entry with it.
			if live && carried.expires != 0 && k == kindForward && !bytes.Equal(later, key[:n]) {
				if err := v.expects(key[fieldsAt:n], carried.expires, r); err != nil {
					return err
				}
			}
		}
		newer, above = live, r
		return nil
	})
	endTuple()
	return count, err
}

// expects looks for the entry that lets a tuple be deleted when its time has come.
func (v *verification) expects(fields []byte, expires rel.Expiry, r rel.Revision) error {
	k, ok := parseFields(fields, parseForward)
	if !ok {
		return nil // said already
	}
	_, err := v.mustHave(appendExpiring(v.key[:0], v.store.number, expires, k), r, nil, "entry among the expiries")
	return err
}

// expiries sees that each entry is of a version that expires then.
func (v *verification) expiries() error {
	return v.scan(kindExpiry, func(it iterator) error {
		key := it.Key()
		n := splitKey(key)
		r := revisionOf(key[n:])
		if r > v.head.revision {
			return nil
		}
		expires, k, ok := parseExpiring(key[fieldsAt:n])
		if r == 0 || !ok || len(it.Value()) > 0 {
			v.report.problem("%v is not of the form that pemba writes", keyText(key))
			return nil
		}
		found, err := v.mustHave(appendForward(v.key[:0], v.store.number, k), r, nil, "version in the forward index")
		if err != nil || !found {
			return err
		}
		if live, carried, ok := parseValue(v.probe.Value()); ok && (!live || carried.expires != expires) {
			v.report.problem("%v is of a version that does not expire then", keyText(key))
		}
		return nil
	})
}

// hasReverse compares a version from before the history, of which the log says
// nothing any more, with the other index.
func (v *verification) hasReverse(fields []byte, r rel.Revision, value []byte) error {
	k, ok := parseFields(fields, parseForward)
	if !ok {
		return nil // said by whoever reads the keys
	}
	_, err := v.mustHave(appendReverse(v.key[:0], v.store.number, k), r, value, "reverse index")
	return err
}
