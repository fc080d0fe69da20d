package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pemba-io/pemba/internal/fault"
)

func main() { os.Exit(run(os.Args[1:])) }

// commandLine is what kong reads flags and arguments into. A command's tag
// `takes` names the groups of the globals that it has a use for: the others are
// neither in its help nor accepted. `without` names one of a group that it has no
// use for.
type commandLine struct {
	globals

	Serve   serveCmd   `cmd:"" help:"Serve a data directory over gRPC."`
	Check   checkCmd   `cmd:"" takes:"server,output" help:"Ask whether a subject holds a permission, and by which path."`
	Access  accessCmd  `cmd:"" takes:"server,output" help:"Show the role and the permissions of a subject on an object."`
	Why     whyCmd     `cmd:"" takes:"server,output" help:"Show why a subject holds a name on an object, or its role there, or why not."`
	Expand  expandCmd  `cmd:"" takes:"server,output" help:"Show how the holders of a name on an object come about."`
	List    listCmd    `cmd:"" help:"List the objects that a subject reaches, or the subjects that reach an object."`
	Write   writeCmd   `cmd:"" takes:"server,output" help:"Add tuples, all of them or none."`
	Assign  assignCmd  `cmd:"" takes:"server,output" help:"Give subjects roles in the place of those that they have."`
	Revoke  revokeCmd  `cmd:"" takes:"server,output" help:"Take away what a subject was given on an object and inside it."`
	Delete  deleteCmd  `cmd:"" takes:"server,output" help:"Take tuples away, all of them or none."`
	Read    readCmd    `cmd:"" takes:"server,output" help:"List or count the stored tuples that a filter selects."`
	History historyCmd `cmd:"" takes:"server,output" help:"Show who changed what, when, and why."`
	Export  exportCmd  `cmd:"" takes:"server,output" help:"Write all tuples of one state into a file."`
	Import  importCmd  `cmd:"" takes:"server,output" help:"Load the tuples of a file, millions of them."`
	Watch   watchCmd   `cmd:"" takes:"server,output" help:"Show every change of tuples and schema as it happens."`
	Schema  schemaCmd  `cmd:"" help:"Read, write, check and format schemas."`
	Store   storeCmd   `cmd:"" help:"Create, list and delete stores."`
	Test    testCmd    `cmd:"" takes:"output" help:"Run test files, in memory or on a server."`
	Verify  verifyCmd  `cmd:"" takes:"output" help:"Verify a data directory that no server has open."`
	Lsp     lspCmd     `cmd:"" help:"Serve the schema language to an editor."`
	Version versionCmd `cmd:"" takes:"output" help:"Show what this binary was built from."`
}

// defaultServer is where `serve` listens and where the other commands ask.
const defaultServer = "127.0.0.1:7878"

// globals are the flags that several commands have; they may stand before the
// command, too.
type globals struct {
	Server  string   `help:"The server to ask, as host:port. Default: ${default}." env:"PEMBA_SERVER" default:"${server}" placeholder:"ADDR" group:"server"`
	Store   string   `help:"The store to ask. Default: ${default}." default:"default" placeholder:"NAME" group:"server"`
	Timeout duration `help:"How long to wait for an answer. Default: ${default}." default:"10s" placeholder:"TIME" group:"server"`
	Output  string   `help:"How to print: table for people, json for programs." short:"o" enum:"table,json" default:"table" placeholder:"FORM" group:"output"`
}

const about = `pemba says who may do what, and why.

Everywhere, the object comes first, then the name, then the subject:
  pemba check project:p1 edit user:ana
  pemba write project:p1#editor@user:ana`

// exitCodes is part of the help, and a promise: scripts decide by them.
const exitCodes = `
Exit codes:
  0  done; the answer is yes
  1  done; the answer is no: not granted, a test failed, a schema has errors or
     differs or would be refused, a file is not formatted, or not all of one
     could be converted
  2  the command line, a reference or a file cannot be understood
  3  no server answered, or this one cannot start; try again later
  4  refused: a rule was broken, or what was asked for is not there
  5  done, but the answer could not be written; a write has happened

An error says on the standard error what broke which rule, and what to do.

With -o json an answer is the message of the API, with the names of its .proto
files, and an error is {"error": {code, reason, message, violations, metadata}};
reason and metadata are left out where there is none. What to do is at the end
of a server's message; what pemba itself found wrong has it apart, in do.
`

// run does what a command line says and answers with the exit code.
func run(args []string) int {
	var line commandLine
	parser, err := newParser(&line)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // the struct above is wrong: no command line can work
		return exitRefused
	}
	a := newApp(&line.globals)
	command, err := parser.Parse(understoodByKong(args))
	if err != nil {
		if asksForJSON(args) {
			a.Output = jsonOutput
		}
		return a.fail(usageFault(err))
	}
	if err := refuseForeignFlags(command); err != nil {
		return a.fail(err)
	}
	return a.finish(command.Run(a))
}

func newParser(line *commandLine) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("pemba"),
		kong.Description(about),
		kong.Vars{"server": defaultServer},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, FlagsLast: true, WrapUpperBound: columnsMax}),
		kong.Help(printHelp),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Flags of the commands that ask a server:"},
			{Key: "output", Title: "Flags of the commands that answer programs, too:"},
		}),
	)
}

// understoodByKong says in kong's words what people type in their own: help and
// --version, and a number below 0 after a flag, which kong takes for a flag.
func understoodByKong(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	args = slices.Clone(args)
	switch args[0] {
	case "help":
		args = append(args[1:], "--help")
	case "--version":
		args[0] = "version"
	}
	for i := 0; i+1 < len(args) && args[i] != "--"; i++ {
		next := args[i+1]
		if slices.Contains([]string{"--timeout", "--limit", "--page-size", "--expires"}, args[i]) && len(next) > 1 && next[0] == '-' && next[1] >= '0' && next[1] <= '9' {
			args = slices.Replace(args, i, i+2, args[i]+"="+next)
		}
	}
	return args
}

// refuseForeignFlags refuses a global flag that the command has no use for: who
// gives one expects something of it.
func refuseForeignFlags(command *kong.Context) error {
	selected := command.Selected()
	for _, part := range command.Path {
		if part.Flag != nil && !takes(selected, part.Flag) {
			return fault.Newf(fault.RequestMustBeReadable, "%s takes no --%s", strings.TrimSpace(selected.Path()), part.Flag.Name).
				Do("leave it out; see %s --help", selected.FullPath())
		}
	}
	return nil
}

// takes reports whether a command has a use for a flag.
func takes(command *kong.Node, flag *kong.Flag) bool {
	if flag.Group == nil || command == nil {
		return true
	}
	return slices.Contains(strings.Split(command.Tag.Get("takes"), ","), flag.Group.Key) && command.Tag.Get("without") != flag.Name
}

func printHelp(options kong.HelpOptions, command *kong.Context) error {
	if selected := command.Selected(); selected != nil {
		commands := []*kong.Node{selected}
		if !selected.Leaf() {
			commands = selected.Leaves(true)
		}
		for _, flag := range command.Model.Flags {
			taken := slices.ContainsFunc(commands, func(c *kong.Node) bool { return takes(c, flag) })
			flag.Hidden = flag.Hidden || !taken
		}
	}
	if err := kong.DefaultHelpPrinter(options, command); err != nil {
		return err
	}
	if command.Selected() == nil {
		_, err := fmt.Fprint(command.Stdout, exitCodes)
		return err
	}
	return nil
}
