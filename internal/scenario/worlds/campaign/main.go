// Command campaign asks the engine and the oracle the same questions about
// random worlds until the time is over, or they disagree:
//
//	go run ./internal/scenario/worlds/campaign -duration 10m -seed 1
//	go run ./internal/scenario/worlds/campaign -only lists -questions 5000000 -workers 2
//
// With more than one worker the worlds are the same, but which are asked when the time
// is over is a matter of chance.
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
	"slices"
	"sync"
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
	flag.IntVar(&c.workers, "workers", 1, "how many worlds to ask at once")
	only := flag.String("only", "", "ask nothing but lists, or but reasons")
	flag.Parse()
	if c.mix = worlds.Mix(*only); !slices.Contains(worlds.Mixes(), c.mix) || c.workers < 1 {
		fmt.Fprintf(os.Stderr, "campaign: -only is one of %q, and -workers at least 1\n", worlds.Mixes())
		os.Exit(exitBroken)
	}
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
	workers   int
	mix       worlds.Mix
}

// run asks until the end, an interrupt or a disagreement, whatever comes first.
func (c campaign) run(ctx context.Context) (*worlds.Finding, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &ledger{campaign: c, next: c.seed, start: time.Now(), shown: time.Now()}
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() {
			if err := l.work(ctx); err != nil {
				l.fail(err)
			}
			if l.over() {
				stop() // what one worker has found ends the others' search
			}
		})
	}
	workers.Wait()
	if l.err == nil && l.tally.Worlds == 0 {
		return nil, errors.New("no world was asked")
	}
	l.report()
	return l.finding, l.err
}

// A ledger is what the workers share.
type ledger struct {
	campaign
	start time.Time

	mu      sync.Mutex
	next    uint64 // seed
	tally   worlds.Tally
	shown   time.Time
	finding *worlds.Finding
	err     error
}

// work asks one world after the other.
func (l *ledger) work(ctx context.Context) (err error) {
	system := &worlds.Product{}
	defer func() { err = errors.Join(err, system.Close()) }()
	for {
		seed, more := l.take(ctx)
		if !more {
			return nil
		}
		got, finding, err := worlds.FindIn(ctx, system, seed, l.mix)
		if ctx.Err() != nil {
			return nil // what an interrupted world answers says nothing
		}
		if err != nil {
			return fmt.Errorf("the world of seed %d cannot be made: %w", seed, err)
		}
		l.enter(got, finding)
	}
}

// take is the seed of the next world, unless the campaign is over.
func (l *ledger) take(ctx context.Context) (seed uint64, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	enough := l.questions > 0 && l.tally.Answers() >= l.questions
	if enough || l.finding != nil || l.err != nil || time.Since(l.start) >= l.duration || ctx.Err() != nil {
		return 0, false
	}
	l.next++
	return l.next - 1, true
}

// enter counts a world that was asked.
func (l *ledger) enter(got worlds.Tally, finding *worlds.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Add(got)
	if finding != nil && (l.finding == nil || finding.Seed < l.finding.Seed) {
		l.finding = finding
	}
	if time.Since(l.shown) >= progressEvery {
		l.shown = time.Now()
		l.report()
	}
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
}

func (l *ledger) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.finding != nil || l.err != nil
}

func (l *ledger) report() {
	took := time.Since(l.start)
	rate := float64(l.tally.Answers()) / max(took.Seconds(), 1e-9)
	fmt.Fprintf(os.Stderr, "%s to seed %d: %s; %.0f answers/s\n", took.Round(time.Second), l.next-1, l.tally, rate)
}
