package tupledb

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Report is what a verification of one store found.
type Report struct {
	Store    rel.Store
	Head     rel.Revision
	Tuples   int // live at the head
	Versions int // of tuples, tombstones included
	Schemas  int // versions

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
// Every change in the log must have its version in each index, and each index
// must have as many versions as the log has changes; so the three say the same,
// at the head and at every revision before, and no set of tuples has to fit in
// memory. Beside that, revisions are dense, times increase, and the versions of
// one tuple are live and tombstone in turn, the oldest one live.
type verification struct {
	ctx    context.Context
	store  *Store
	head   *head
	report *Report
	probe  *pebble.Iterator
	key    []byte
	reads  int
}

// Verify walks the whole store at its head while it stays in use. The error is
// of the disk or of ctx; what disagrees is in the report.
func (s *Store) Verify(ctx context.Context) (*Report, error) {
	if !s.db.use.enter() {
		return nil, errShut()
	}
	defer s.db.use.leave()
	h := s.head.Load()
	v := &verification{ctx: ctx, store: s, head: h, report: &Report{Store: s.name, Head: h.revision}}
	var err error
	if v.probe, err = s.db.pebble.NewIter(&s.db.readOptions); err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = v.probe.Close() }()

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
	if forward.versions != changes || reverse.versions != changes {
		v.report.problem("the log has %d changes of tuples, the forward index %d versions, the reverse index %d", changes, forward.versions, reverse.versions)
	}
	if forward.live != reverse.live {
		v.report.problem("the forward index has %d live tuples, the reverse index %d", forward.live, reverse.live)
	}
	v.report.Tuples, v.report.Versions = forward.live, forward.versions
	return v.report, nil
}

// tick looks at the context now and then.
func (v *verification) tick() error {
	if v.reads++; v.reads%verifyStride == 0 && v.ctx.Err() != nil {
		return gone(v.ctx, "the verification ended")
	}
	return nil
}

// scan calls each with every key of a kind.
func (v *verification) scan(k kind, each func(it *pebble.Iterator) error) error {
	it, err := v.probe.Clone(pebble.CloneOptions{IterOptions: &pebble.IterOptions{
		LowerBound: append(appendKind(nil, v.store.number, k), 0),
		UpperBound: appendKindEnd(nil, v.store.number, k),
	}})
	if err != nil {
		return unreadable(err)
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
	expected := rel.Revision(1)
	lastMicros := int64(-1 << 62)
	schemas := uint64(0)
	err = v.scan(kindChange, func(it *pebble.Iterator) error {
		r, ok := revisionOfChangeKey(it.Key())
		if ok && r > v.head.revision {
			return nil // written since the verification began
		}
		c, err := readChange(it, expected)
		expected = max(expected, r) + 1
		if err != nil {
			v.report.problem("%v", err)
			return nil
		}
		if m := c.Time.UnixMicro(); m <= lastMicros {
			v.report.problem("revision %d was committed at %v, not after the one before it", r, c.Time)
		} else {
			lastMicros = m
		}
		if c.Schema != 0 {
			if schemas++; c.Schema != schemas {
				v.report.problem("revision %d brings schema version %d where %d belongs", r, c.Schema, schemas)
			}
			if err := v.mustHave(appendSchemaPrefix(v.key[:0], v.store.number), r, nil, "schema version"); err != nil {
				return err
			}
		}
		changes += len(c.Put) + len(c.Delete)
		for _, t := range c.Put {
			if err := v.mustHaveBoth(t, r, stateLive); err != nil {
				return err
			}
		}
		for _, t := range c.Delete {
			if err := v.mustHaveBoth(t, r, stateTombstone); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if expected != v.head.revision+1 {
		v.report.problem("the head is at revision %d, and the log ends at %d", v.head.revision, expected-1)
	}
	stored, err := v.schemas()
	if err == nil && uint64(stored) != schemas {
		v.report.problem("the log names %d schema versions, and %d are stored", schemas, stored)
	}
	v.report.Schemas = stored
	return changes, err
}

func (v *verification) schemas() (stored int, err error) {
	err = v.scan(kindSchema, func(it *pebble.Iterator) error {
		r := revisionOf(it.Key()[splitKey(it.Key()):])
		if r > v.head.revision {
			return nil
		}
		stored++
		if _, err := decodeSchema(it.Value(), r); err != nil {
			v.report.problem("%v", err)
		}
		return nil
	})
	return stored, err
}

func (v *verification) mustHaveBoth(t rel.Tuple, r rel.Revision, state byte) error {
	if err := v.mustHave(appendForward(v.key[:0], v.store.number, t), r, []byte{state}, "forward index"); err != nil {
		return err
	}
	return v.mustHave(appendReverse(v.key[:0], v.store.number, t), r, []byte{state}, "reverse index")
}

// mustHave looks for one version; a nil value is not compared.
func (v *verification) mustHave(prefix []byte, r rel.Revision, value []byte, where string) error {
	v.key = appendSuffix(prefix, r)
	if err := v.tick(); err != nil {
		return err
	}
	found := v.probe.SeekPrefixGE(v.key) && bytes.Equal(v.probe.Key(), v.key)
	if err := v.probe.Error(); err != nil {
		return unreadable(err)
	}
	switch {
	case !found:
		v.report.problem("the change of revision %d has no %s: %v is missing", r, where, keyText(v.key))
	case value != nil && !bytes.Equal(v.probe.Value(), value):
		v.report.problem("the change of revision %d and the %s disagree on %v", r, where, keyText(v.key))
	}
	return nil
}

// An indexCount is what an index holds at the head.
type indexCount struct{ live, versions int }

// index checks one index by itself and counts it.
func (v *verification) index(k kind) (count indexCount, err error) {
	parse := parseForward
	if k == kindReverse {
		parse = parseReverse
	}
	var prefix []byte // of the version before, which is the newer one
	var newer byte
	endTuple := func() { // the version before was the oldest of its tuple
		if prefix != nil && newer != stateLive {
			v.report.problem("%v begins with a tombstone", keyText(prefix))
		}
	}
	err = v.scan(k, func(it *pebble.Iterator) error {
		key := it.Key()
		n := splitKey(key)
		r, state := revisionOf(key[n:]), it.Value()
		if r > v.head.revision {
			return nil
		}
		count.versions++
		if r == 0 || len(state) != 1 || state[0] > stateLive {
			v.report.problem("%v has no readable state", keyText(key))
			return nil
		}
		if bytes.Equal(prefix, key[:n]) {
			if newer == state[0] {
				v.report.problem("%v does not change what was there before", keyText(key))
			}
		} else {
			endTuple()
			prefix = append(prefix[:0], key[:n]...)
			if _, ok := parse(string(key[fieldsAt:n])); !ok {
				v.report.problem("%v is not of the form that pemba writes", keyText(key))
			}
			if state[0] == stateLive {
				count.live++
			}
		}
		newer = state[0]
		return nil
	})
	endTuple()
	return count, err
}
