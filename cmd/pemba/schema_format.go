package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

type schemaFormatCmd struct {
	Files []string `arg:"" name:"file" help:"Schema files; - for the standard input."`
	Write bool     `help:"Write the files in place, and print the names of those that changed." short:"w" xor:"where"`
	Check bool     `help:"Write nothing, and print the names of the files that are laid out otherwise." xor:"where"`
}

func (schemaFormatCmd) Help() string {
	return `Prints the schema laid out in the one way: same meaning, same comments. With --check the exit code is 1 where a file is laid out otherwise.

Examples:

    pemba schema format drive.zed
    pemba schema format -w examples/*/schema.zed
    pemba schema format --check examples/*/schema.zed
    pemba schema read | pemba schema format -`
}

// Run formats each file. One that cannot be parsed stops the run before anything
// is written.
func (c *schemaFormatCmd) Run(a *app) error {
	type result struct {
		path, name, before, after string
	}
	var results []result
	var faults []*fault.Fault
	for _, path := range c.Files {
		if path == standardInput && c.Write {
			return fault.New(fault.RequestMustBeReadable, "the standard input cannot be written in place").
				Do("leave -w out to print the result")
		}
		text, name, err := a.file(path)
		if err != nil {
			return err
		}
		after, wrong := syntax.Format(string(text))
		for _, f := range wrong {
			f.File = name
		}
		faults = append(faults, wrong...)
		results = append(results, result{path, name, string(text), after})
	}
	if err := fault.Join(faults); err != nil {
		return err
	}
	changed := 0
	for _, r := range results {
		if !c.Write && !c.Check {
			_, _ = a.out.WriteString(r.after)
			continue
		}
		if r.before == r.after {
			continue
		}
		changed++
		a.line("%s", r.name)
		if !c.Write {
			continue
		}
		if err := rewrite(r.path, r.after); err != nil {
			return err
		}
	}
	if c.Check && changed > 0 {
		return answeredNo{}
	}
	return nil
}

// rewrite replaces a file's text and keeps its mode. The new text is put beside
// it first, so that a full disk does not cost the old one. A link stays a link:
// the file that it leads to is replaced.
func rewrite(path, text string) error {
	refused := func(err error) error {
		f := fault.Newf(fault.FileMustBeReadable, "cannot be written: %s", plainCause(err)).Do("make it and its folder writable")
		f.File = path
		return f
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return refused(err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return refused(err)
	}
	beside, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err != nil {
		return refused(err)
	}
	_, err = beside.WriteString(text)
	err = errors.Join(err, beside.Chmod(info.Mode().Perm()), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), target)
	}
	if err != nil {
		_ = os.Remove(beside.Name()) // what was begun; the error says more
		return refused(err)
	}
	return nil
}
