package service

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// An ExportQuery asks for all tuples that a filter selects.
type ExportQuery struct {
	Store       rel.Store
	Consistency Consistency
	Filter      rel.Filter
	// Measure says at most how many bytes a tuple takes on the way to the client.
	Measure func(rel.Tuple) int
}

// An ExportPiece is some of the tuples.
type ExportPiece struct {
	Snapshot rel.Snapshot // the same of all pieces
	Tuples   []rel.Tuple
}

// ExportPieceBytesMax bounds a piece, as the query's Measure counts.
const ExportPieceBytesMax = 1<<20 - 1<<10

// ExportTuples sends the tuples that a filter selects, each once, all of one snapshot
// and one time.
//
// Between two pieces nothing of the database is held: a client that is slow costs
// one piece of memory, however slow it is, and keeps no table on the disk that is of
// no use any more. Where the history that is kept has passed the snapshot meanwhile,
// the export ends with SNAPSHOT_MUST_BE_WITHIN_HISTORY.
func (s *Service) ExportTuples(ctx context.Context, q ExportQuery, send func(ExportPiece) error) error {
	if err := q.Filter.Check(); err != nil {
		return err
	}
	v, err := s.look(ctx, q.Store, q.Consistency)
	if err != nil {
		return err
	}
	e := exporting{query: q, at: v.Token(), time: v.Time()}
	err = v.schema.CheckFilter(q.Filter)
	v.Close()
	if err != nil {
		return err
	}
	store, err := s.db.Store(q.Store)
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		tuples, err := e.piece(ctx, store)
		if err != nil || len(tuples) == 0 && !first {
			return err
		}
		if err := send(ExportPiece{e.at, tuples}); err != nil {
			if ended := fault.Ended(ctx); ended != nil {
				return ended // what failed because of it says less
			}
			return err
		}
		if len(tuples) == 0 {
			return nil
		}
	}
}

// An exporting is an export on its way through the store.
type exporting struct {
	query ExportQuery
	at    rel.Snapshot
	time  time.Time
	after tupledb.Cursor
}

// piece reads as many tuples as fit into one; one always does.
func (e *exporting) piece(ctx context.Context, store *tupledb.Store) ([]rel.Tuple, error) {
	if err := fault.Ended(ctx); err != nil {
		return nil, err
	}
	snap, err := store.AtTime(e.at, e.time)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	boundByContext(ctx, snap)
	var tuples []rel.Tuple
	room := ExportPieceBytesMax
	for t, err := range snap.Tuples(e.query.Filter, e.after) {
		if err != nil {
			return nil, err
		}
		if room -= e.query.Measure(t); room < 0 && len(tuples) > 0 {
			break
		}
		tuples = append(tuples, t)
	}
	if len(tuples) > 0 {
		e.after = tupledb.CursorAfter(e.query.Filter, tuples[len(tuples)-1])
	}
	return tuples, nil
}
