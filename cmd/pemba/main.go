package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

func main() { os.Exit(run(os.Args[1:])) }

// commandLine is what kong reads flags and arguments into.
type commandLine struct {
	globals

	Serve   serveCmd   `cmd:"" help:"Serve a data directory over gRPC."`
	Check   checkCmd   `cmd:"" help:"Ask whether a subject holds a permission, and by which path."`
	Access  accessCmd  `cmd:"" help:"Show the role and the permissions of a subject on an object."`
	Write   writeCmd   `cmd:"" help:"Add tuples, all of them or none."`
	Delete  deleteCmd  `cmd:"" help:"Take tuples away, all of them or none."`
	Read    readCmd    `cmd:"" help:"List or count the stored tuples that a filter selects."`
	Schema  schemaCmd  `cmd:"" help:"Read, write, check and format schemas."`
	Test    testCmd    `cmd:"" help:"Run test files, without a server."`
	Version versionCmd `cmd:"" help:"Show what this binary was built from."`
}

// defaultServer is where `serve` listens and where the other commands ask.
const defaultServer = "127.0.0.1:7878"

// globals are the flags that stand on every command.
type globals struct {
	Server  string   `help:"The server to ask, as host:port. Default: ${default}." env:"PEMBA_SERVER" default:"${server}" placeholder:"ADDR" group:"server"`
	Store   string   `help:"The store to ask. Default: default." placeholder:"NAME" group:"server"`
	Timeout duration `help:"How long to wait for an answer. Default: ${default}." default:"10s" placeholder:"TIME" group:"server"`
	Output  string   `help:"How to print: table for people, json for programs." short:"o" enum:"table,json" default:"table" placeholder:"FORM" group:"server"`
}

const about = `pemba says who may do what, and why.

Everywhere, the object comes first, then the name, then the subject:
  pemba check project:p1 edit user:ana
  pemba write project:p1#editor@user:ana`

// exitCodes is part of the help, and a promise: scripts decide by them.
const exitCodes = `
Exit codes:
  0  done; the answer is yes
  1  done; the answer is no: not granted, a test failed, a schema has errors,
     a file is not formatted
  2  the command line, a reference or a file cannot be understood
  3  no server answered, or this one cannot start; try again later
  4  refused: a rule was broken, or what was asked for is not there

An error says on the standard error what broke which rule, and what to do.

With -o json an answer is the message of the API, with the names of its .proto
files, and an error is {"error": {code, reason, message, do, violations}}.
`

// run does what a command line says and answers with the exit code.
func run(args []string) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var line commandLine
	parser, err := kong.New(&line,
		kong.Name("pemba"),
		kong.Description(about),
		kong.Vars{"server": defaultServer},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, FlagsLast: true, WrapUpperBound: 80}),
		kong.Help(printHelp),
		kong.ExplicitGroups([]kong.Group{{Key: "server", Title: "Flags of every command:"}}),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // the struct above is wrong: no command line can work
		return exitRefused
	}
	a := newApp(&line.globals)
	command, err := parser.Parse(args)
	if err != nil {
		if asksForJSON(args) {
			a.Output = jsonOutput
		}
		return a.fail(usageFault(err))
	}
	return a.finish(command.Run(a))
}

func printHelp(options kong.HelpOptions, command *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, command); err != nil {
		return err
	}
	if command.Selected() == nil {
		_, err := fmt.Fprint(command.Stdout, exitCodes)
		return err
	}
	return nil
}
