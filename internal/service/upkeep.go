package service

import (
	"context"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
)

// upkeepEvery is how often the stores are looked after: an expired tuple is to be
// deleted within a second or so.
const upkeepEvery = 500 * time.Millisecond

// Upkeep does what nobody asks for, until ctx ends: it deletes what has expired, and what is
// past the history.
// Whoever opened the database runs it, and waits for it before closing that.
//
// What goes wrong is tried again the next time, and reported once for as long as
// it stays the same: a disk that is full says so twice a second.
func (s *Service) Upkeep(ctx context.Context, report func(error)) {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.lookAfter(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			report(err)
		}
	}
}

// lookAfter does all that is due now. It gives the write turn on after each piece.
func (s *Service) lookAfter(ctx context.Context) error {
	var first error
	for _, store := range s.db.Stores() {
		for _, piece := range []func(context.Context) (more bool, err error){
			func(ctx context.Context) (bool, error) {
				_, more, err := store.DeleteExpired(ctx)
				return more, err
			},
			store.Collect,
		} {
			err := toItsEnd(ctx, piece)
			if fault.Is(err, fault.StoreMustExist) {
				break // it was deleted meanwhile
			}
			if err != nil && first == nil {
				first = err // the rest is done all the same
			}
		}
	}
	return first
}

func toItsEnd(ctx context.Context, piece func(context.Context) (more bool, err error)) error {
	for {
		if more, err := piece(ctx); err != nil || !more {
			return err
		}
	}
}
