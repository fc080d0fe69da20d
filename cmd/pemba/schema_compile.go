package main

type schemaCompileCmd struct {
	File string `arg:"" help:"The schema file; - for the standard input."`
}

func (schemaCompileCmd) Help() string {
	return `Prints the one text that schema write would send: what the file imports comes before it, each file once. A path in an import is relative to the file that it stands in, and stays in the folder of FILE. A file that imports nothing is printed as it is. Exit code 2 where an import cannot be read.

Examples:

    pemba schema compile drive/main.zed
    pemba schema compile drive/main.zed > drive.zed
    pemba schema compile drive/main.zed | pemba schema check -`
}

// Run joins the file with what it imports.
func (c *schemaCompileCmd) Run(a *app) error {
	loaded, err := a.loadSchema(c.File)
	if err != nil {
		return err
	}
	_, err = a.out.WriteString(loaded.Text)
	return err
}
