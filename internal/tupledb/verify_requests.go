package tupledb

import (
	"github.com/pemba-io/pemba/internal/rel"
)

// requests checks the requests that are kept: each is readable, names a revision
// that there is, and is found by its time; and what its time finds is it, or one
// that was written under its id later.
func (v *verification) requests() error {
	err := v.scan(kindRequest, func(it iterator) error {
		k, ok := decodeKept(it.Value())
		caller, rest, ok1 := nextField(string(it.Key()[fieldsAt:]))
		id, rest, ok2 := nextField(rest)
		switch {
		case !ok || !ok1 || !ok2 || rest != "" || id == "":
			v.report.problem("%v is not of the form that pemba writes", keyText(it.Key()))
			return nil
		case k.Revision > v.head.revision:
			return nil // written since the verification began
		}
		v.report.Requests++
		v.key = appendOldestKey(v.key[:0], v.store.number, k.Time.UnixMicro(), caller, rel.RequestID(id))
		if found, err := v.has(v.key); err != nil || found {
			return err
		}
		v.report.problem("%v is not found by its time", keyText(it.Key()))
		return nil
	})
	if err != nil {
		return err
	}
	return v.scan(kindOldest, func(it iterator) error {
		_, caller, id, ok := parseOldestKey(string(it.Key()[fieldsAt:]))
		if !ok {
			v.report.problem("%v is not of the form that pemba writes", keyText(it.Key()))
			return nil
		}
		v.key = appendRequestKey(v.key[:0], v.store.number, caller, id)
		if found, err := v.has(v.key); err != nil || found {
			return err
		}
		v.report.problem("%v leads to no request", keyText(it.Key()))
		return nil
	})
}

// has looks for a key that has no revision.
func (v *verification) has(key []byte) (bool, error) {
	if err := v.tick(); err != nil {
		return false, err
	}
	found := v.probe.SeekPrefixGE(key)
	if err := v.probe.Error(); err != nil {
		return false, unreadable(err)
	}
	return found, nil
}
