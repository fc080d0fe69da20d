package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

type verifyCmd struct {
	Data string `arg:"" help:"The data directory of a server that does not run." name:"dir"`
}

func (verifyCmd) Help() string {
	return `Reads every store of a data directory, compares its two indexes, its change log, its schemas and its requests with each other, and prints what it counted and what disagrees. It changes nothing in the directory, and keeps a server from opening it meanwhile.

What a killed server left in its log alone is read, too; it needs as much memory as the log has bytes.

Ends with 0 where all is in order, with 1 where something disagrees, with 2 where there is no such directory, with 3 where a server has it open, and with 4 where it is damaged so that it cannot be read.

Examples:

    pemba verify /var/lib/pemba
    pemba verify ./pemba-data -o json | jq '.stores[] | select(.problems != [])'`
}

// A verifyReport is what `verify -o json` prints.
type verifyReport struct {
	Directory string          `json:"directory"`
	InOrder   bool            `json:"in_order"`
	Stores    []verifiedStore `json:"stores"`
}

// A verifiedStore is one store as it was found.
type verifiedStore struct {
	Store    rel.Store `json:"store"`
	Head     uint64    `json:"head"`
	Tuples   int       `json:"tuples"`
	Expired  int       `json:"expired"` // and not deleted yet
	Versions int       `json:"versions"`
	Schemas  int       `json:"schemas"`
	Requests int       `json:"requests"`
	Problems []string  `json:"problems"`
	More     int       `json:"problems_omitted"`
}

// Run opens the directory to be read alone, and verifies store after store.
func (c *verifyCmd) Run(a *app) error {
	if c.Data == "" { // an unset variable of a script
		return fault.New(fault.FieldMustBeSet, "the data directory has no name").Do("name the directory that pemba serve has as --data")
	}
	told, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	context.AfterFunc(told, forget) // the second one ends the process
	db, err := tupledb.Open(tupledb.Config{Dir: c.Data, ReadOnly: true, Logger: diskLogger{slog.New(slog.NewTextHandler(a.err, nil))}})
	if err != nil {
		return err
	}
	report := verifyReport{Directory: c.Data, InOrder: true, Stores: []verifiedStore{}}
	for _, s := range db.Stores() {
		found, err := verifyStore(told, a.err, s)
		if err != nil {
			_ = db.Close() // nothing was written that closing could lose
			if f := fault.Of(err); f != nil && f.Code == fault.DataMustBeReadable && errors.Unwrap(f) != nil {
				a.note("store %s: %s", s.Name(), firstLine("%v", []any{errors.Unwrap(f)}))
			}
			return err
		}
		report.Stores = append(report.Stores, found)
		report.InOrder = report.InOrder && len(found.Problems) == 0
	}
	if err := db.Close(); err != nil {
		return err
	}
	return report.answer(a)
}

// verifyProgressEvery is how often somebody who watches sees that it goes on.
const verifyProgressEvery = 200 * time.Millisecond

func verifyStore(ctx context.Context, to io.Writer, s *tupledb.Store) (verifiedStore, error) {
	show := func(int) {}
	if isTerminal(to) {
		last := time.Now()
		show = func(reads int) {
			if time.Since(last) >= verifyProgressEvery {
				last = time.Now()
				fmt.Fprintf(to, "\r%s: %d keys read", s.Name(), reads)
			}
		}
		defer fmt.Fprint(to, "\r\x1b[K") // what follows is written where it stood
	}
	r, err := s.VerifyShowing(ctx, show)
	if err != nil {
		return verifiedStore{}, err
	}
	return verifiedStore{
		Store: r.Store, Head: uint64(r.Head), Tuples: r.Tuples, Expired: r.Expired, Versions: r.Versions,
		Schemas: r.Schemas, Requests: r.Requests, Problems: append([]string{}, r.Problems...), More: r.More,
	}, nil
}

// answer prints what was found, and is no where something disagrees.
func (r verifyReport) answer(a *app) error {
	if a.wantsJSON() {
		if err := a.value(r); err != nil {
			return err
		}
	} else if err := r.print(a); err != nil {
		return err
	}
	if !r.InOrder {
		return answeredNo{}
	}
	return nil
}

func (r verifyReport) print(a *app) error {
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "store\thead\ttuples\texpired\tversions\tschemas\trequests\tproblems")
	for _, s := range r.Stores {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Store, s.Head, s.Tuples, s.Expired, s.Versions, s.Schemas, s.Requests, len(s.Problems)+s.More)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range r.Stores {
		for _, p := range s.Problems {
			a.line("%s: %s", s.Store, p)
		}
		if s.More > 0 {
			a.line("%s: and %s more", s.Store, fault.Counted(s.More, "problem"))
		}
	}
	if r.InOrder {
		a.line("%s is in order", r.Directory)
	}
	return nil
}
