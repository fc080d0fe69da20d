package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// These commands are about stores and in none, so they take no --store.
type storeCmd struct {
	Create storeCreateCmd `cmd:"" takes:"server,output" without:"store" help:"Create a store: a tenant with a schema and tuples of its own."`
	List   storeListCmd   `cmd:"" takes:"server,output" without:"store" help:"List the stores."`
	Delete storeDeleteCmd `cmd:"" takes:"server,output" without:"store" help:"Delete a store with all that it holds."`
}

type storeCreateCmd struct {
	Name string `arg:"" help:"The name: 1 to 64 characters, [a-z0-9][a-z0-9_-]*."`
}

func (storeCreateCmd) Help() string {
	return `Makes an empty store, without a schema. The other commands work in it with --store NAME. The store default is there from the beginning.

Examples:

    pemba store create acme
    pemba store create acme && pemba --store acme schema write drive.zed`
}

// Run creates a store.
func (c *storeCreateCmd) Run(a *app) error {
	name, err := storeName(c.Name)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	answer, err := ask(client, client.stores().CreateStore, &pembav1.CreateStoreRequest{Store: name})
	if err != nil {
		return err
	}
	a.wrote = true
	if a.wantsJSON() {
		return a.message(answer)
	}
	a.line("created   %s", answer.GetStore().GetName())
	a.line("snapshot  %s", answer.GetSnapshot())
	return nil
}

type storeListCmd struct {
	Prefix *string `help:"List only stores whose name begins with this." placeholder:"TEXT"`
}

func (storeListCmd) Help() string {
	return `Shows the stores by name: when each was created, and its newest snapshot.

Examples:

    pemba store list
    pemba store list --prefix eu-
    pemba store list -o json | jq -r '.stores[].name'`
}

// storesPageSize is the largest page that a server gives: most need one.
const storesPageSize = 10_000

// Run lists the stores.
func (c *storeListCmd) Run(a *app) error {
	request := &pembav1.ListStoresRequest{PageSize: storesPageSize}
	if c.Prefix != nil {
		if *c.Prefix == "" { // an unset variable of a script must not mean all stores
			return fault.New(fault.FieldMustBeSet, "--prefix is empty").Do("give what the names begin with, or leave --prefix out for all stores")
		}
		request.NamePrefix = *c.Prefix
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	all := &pembav1.ListStoresResponse{} // as if it were one page: a server keeps ten thousand stores at most
	for {
		answer, err := ask(client, client.stores().ListStores, request)
		if err != nil {
			return err
		}
		all.Stores = append(all.Stores, answer.GetStores()...)
		if request.PageToken = answer.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	if a.wantsJSON() {
		return a.message(all)
	}
	width := 0
	for _, s := range all.GetStores() {
		width = max(width, utf8.RuneCountInString(s.GetName()))
	}
	for _, s := range all.GetStores() {
		a.line("%-*s  %s  %s", width, s.GetName(), s.GetCreatedAt().AsTime().Format(time.RFC3339), s.GetSnapshot())
	}
	return nil
}

type storeDeleteCmd struct {
	Name string `arg:"" help:"The store."`
	Yes  bool   `help:"Delete it without asking. Needed where nobody can be asked: in scripts."`
}

func (storeDeleteCmd) Help() string {
	return `Deletes the store with its schema, its tuples and its history, at once; the disk space is given back later. It cannot be undone. On a terminal it asks for the store's name first. The store default is there always: deleting it makes it anew, empty.

Examples:

    pemba store delete acme
    pemba store delete acme --yes`
}

// Run deletes a store, when that is confirmed.
func (c *storeDeleteCmd) Run(a *app) error {
	name, err := storeName(c.Name)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := a.confirmDeletion(name); err != nil {
			return err
		}
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.close()
	answer, err := ask(client, client.stores().DeleteStore, &pembav1.DeleteStoreRequest{Store: name})
	if err != nil {
		return err
	}
	a.wrote = true
	if a.wantsJSON() {
		return a.message(answer)
	}
	a.line("deleted   %s", name)
	return nil
}

// confirmDeletion lets a person at a terminal type the store's name. A yes or no is
// typed by habit; a name is not.
func (a *app) confirmDeletion(name string) error {
	unconfirmed := fault.Newf(fault.FieldMustBeSet, "nothing was deleted: the deletion of %s was not confirmed", name)
	if !isTerminal(a.in) {
		return unconfirmed.Do("give --yes")
	}
	_, _ = fmt.Fprintf(a.err, "This deletes the store %s of %s with all that it holds, for ever.\nIts name, to go on: ", name, a.Server)
	said, _ := bufio.NewReader(a.in).ReadString('\n') // what was typed before an end counts
	if !strings.HasSuffix(said, "\n") {
		a.note("")
	}
	if strings.TrimSpace(said) != name {
		return unconfirmed.Do("type %s when you are asked, or give --yes", name)
	}
	return nil
}

// storeName reads the name of a store that must be named.
func storeName(text string) (string, error) {
	if text == "" { // an unset variable of a script must not mean default
		return "", fault.New(fault.FieldMustBeSet, "the store has no name").Do("name it, for example acme")
	}
	s, err := rel.ParseStore(text)
	return string(s), err
}
