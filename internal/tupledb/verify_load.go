package tupledb

import "github.com/pemba-io/pemba/internal/rel"

// A loadVerification is what a verification knows of bulk loads. The log does not
// list their tuples, so each version of such a revision is looked up in the other
// index, and they are counted against what the log says.
type loadVerification struct {
	underWay rel.Revision // which is not in the log; 0 where none is
	swept    bool         // it is being discarded
	finished map[rel.Revision]*loadedCount
}

// A loadedCount is what the log says of an import, and what was found of it.
type loadedCount struct{ logged, forward, reverse uint64 }

// imported takes an import of the log.
func (l *loadVerification) imported(c *Change) {
	if c.Cause != CauseImported {
		return
	}
	if l.finished == nil {
		l.finished = make(map[rel.Revision]*loadedCount)
	}
	l.finished[c.Revision] = &loadedCount{logged: c.Imported}
}

// counts reports whether a version was loaded in bulk, and counts it.
func (l *loadVerification) counts(k kind, r rel.Revision) bool {
	found, ok := l.finished[r]
	if ok && k == kindForward {
		found.forward++
	} else if ok {
		found.reverse++
	}
	return ok
}

// mustNotCover reports a version below one that was loaded in bulk: the store was
// empty before that, and so every tuple that there was had been deleted.
func (l *loadVerification) mustNotCover(report *Report, above rel.Revision, key []byte, live bool) {
	if _, loaded := l.finished[above]; loaded && live {
		report.problem("%v was there when revision %d was loaded into an empty store", keyText(key), above)
	}
}

// loading reads the mark of the store's bulk load, from what the verification sees.
func (v *verification) loading() error {
	it, err := v.probe.clone()
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	if !it.SeekPrefixGE(appendLoadKey(nil, v.store.number)) {
		if err := it.Error(); err != nil {
			return unreadable(err)
		}
		return nil
	}
	if m, ok := decodeLoadMark(it.Value()); !ok {
		v.report.problem("%v is not of the form that pemba writes", keyText(it.Key()))
	} else if m.state != loadFinished {
		v.loads.underWay, v.loads.swept = m.revision, m.state == loadDiscarding
	}
	return nil
}

// loadedVersion checks one version of the load under way.
func (v *verification) loadedVersion(k kind, it iterator) error {
	key := it.Key()
	n := splitKey(key)
	live, _, ok := parseValue(it.Value())
	if !ok || !live {
		v.report.problem("%v has no readable value", keyText(key))
		return nil
	}
	if k != kindForward {
		return nil
	}
	return v.hasReverse(key[fieldsAt:n], v.loads.underWay, it.Value())
}

// loaded compares the counts, when both indexes were read. One that is being
// discarded loses its versions in the forward index first.
func (v *verification) loaded(forward, reverse indexCount) {
	v.report.Loading = forward.loading
	if forward.loading != reverse.loading && !v.loads.swept {
		v.report.problem("the forward index has %d versions that are being loaded, the reverse index %d", forward.loading, reverse.loading)
	}
	for r, c := range v.loads.finished {
		if c.forward != c.logged || c.reverse != c.logged {
			v.report.problem("revision %d imported %d tuples, and the forward index has %d of them, the reverse index %d", r, c.logged, c.forward, c.reverse)
		}
	}
}
