package main

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/pemba-io/pemba/internal/fault"
)

// readPageSize is how many entries of a list one answer of the server holds: enough
// that the way there and back costs little, few enough that the first come at once.
const readPageSize = 1_000

// A listed is an answer that holds a part of a list.
type listed interface {
	proto.Message
	GetSnapshot() string
	GetNextPageToken() string
}

// An amount is how much of a list is shown.
type amount struct {
	limit *int // nil: all of it
	size  int  // of a page
}

// checkLimit refuses a limit that shows nothing.
func checkLimit(limit *int, of string) error {
	if limit != nil && *limit < 1 {
		return fault.Newf(fault.FieldMustBeWithinBounds, "a limit of %d", *limit).Do("give a limit above 0, or leave it out for all %s", of)
	}
	return nil
}

// eachPage asks for the pages of a list one after another, and shows each when it is
// there. count says how many entries of a page count towards the limit.
func eachPage[P listed](a *app, much amount, ask func(size uint32, token string) (P, error), count func(P) int, show func(answer P, last bool) error) error {
	left, token := 0, ""
	if much.limit != nil {
		left = *much.limit
	}
	for {
		size := much.size
		if much.limit != nil {
			size = min(left, size)
		}
		answer, err := ask(uint32(size), token)
		if err != nil {
			return err
		}
		left -= count(answer)
		token = answer.GetNextPageToken()
		last := token == "" || much.limit != nil && left <= 0
		if err := show(answer, last); err != nil || last {
			return err
		}
		if err := a.out.Flush(); err != nil {
			return err
		}
	}
}

// jsonPages prints one answer that holds all pages. It is written piece by piece, so
// that a list of any length passes through.
type jsonPages struct {
	app   *app
	field string // the list's name in the .proto files
	begun bool
	count int
}

// printEntries prints the entries of a page; before those of the first page what
// stands before the list, and after the last page what stands behind it, with the
// fields that its answer has more.
func printEntries[E proto.Message](j *jsonPages, answer listed, entries []E, last bool, more string) error {
	if !j.begun {
		j.begun = true
		snapshot, err := json.Marshal(answer.GetSnapshot())
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(j.app.out, "{\n  \"snapshot\": %s,\n  %q: [", snapshot, j.field)
	}
	for _, e := range entries {
		text, err := protoJSON(e)
		if err != nil {
			return err
		}
		if j.count++; j.count > 1 {
			_ = j.app.out.WriteByte(',')
		}
		_, _ = fmt.Fprintf(j.app.out, "\n    %s", text)
	}
	if !last {
		return nil
	}
	token, err := json.Marshal(answer.GetNextPageToken())
	_, _ = fmt.Fprintf(j.app.out, "\n  ],\n  \"next_page_token\": %s%s\n}\n", token, more)
	return err
}
