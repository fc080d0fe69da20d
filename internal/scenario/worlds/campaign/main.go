// Command campaign asks the engine and the oracle the same questions about
// random worlds until the time is over, or they disagree:
//
//	go run ./internal/scenario/worlds/campaign -duration 10m -seed 1
//
// Progress goes to standard error. The first disagreement is shrunk to a test
// file, which is printed on standard output, and the exit code is 1; a campaign
// that found nothing exits 0, and one that could not run exits 2.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/pemba-io/pemba/internal/scenario/worlds"
)

const (
	exitFound  = 1
	exitBroken = 2

	progressEvery = 5 * time.Second
)

func main() {
	var c campaign
	flag.DurationVar(&c.duration, "duration", 10*time.Minute, "how long to ask")
	flag.Uint64Var(&c.seed, "seed", 1, "the seed of the first world; the next ones count up")
	flag.IntVar(&c.questions, "questions", 0, "stop after so many answers; 0 for no such end")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "campaign: what is %q? it takes flags alone\n", flag.Arg(0))
		os.Exit(exitBroken)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	finding, err := c.run(ctx)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(exitBroken)
	case finding != nil:
		fmt.Print(finding)
		os.Exit(exitFound)
	}
}

type campaign struct {
	duration  time.Duration
	seed      uint64
	questions int
}

// run asks until the end, an interrupt or a disagreement, whatever comes first.
func (c campaign) run(ctx context.Context) (found *worlds.Finding, err error) {
	system := &worlds.Product{}
	defer func() { err = errors.Join(err, system.Close()) }()
	start := time.Now()
	shown := start
	var tally worlds.Tally
	seed := c.seed
	for ; time.Since(start) < c.duration && ctx.Err() == nil; seed++ {
		if c.questions > 0 && tally.Questions >= c.questions {
			break
		}
		got, finding, err := worlds.Find(ctx, system, seed)
		if ctx.Err() != nil {
			break // what an interrupted world answers says nothing
		}
		if err != nil {
			return nil, fmt.Errorf("the world of seed %d cannot be made: %w", seed, err)
		}
		tally.Add(got)
		if finding != nil {
			report(tally, seed, time.Since(start))
			return finding, nil
		}
		if time.Since(shown) >= progressEvery {
			shown = time.Now()
			report(tally, seed, time.Since(start))
		}
	}
	if tally.Worlds == 0 {
		return nil, errors.New("no world was asked")
	}
	report(tally, seed-1, time.Since(start))
	return nil, nil
}

func report(tally worlds.Tally, seed uint64, took time.Duration) {
	rate := float64(tally.Questions) / max(took.Seconds(), 1e-9)
	fmt.Fprintf(os.Stderr, "%s seed %d: %s; %.0f answers/s\n", took.Round(time.Second), seed, tally, rate)
}
