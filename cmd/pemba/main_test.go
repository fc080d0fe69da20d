package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is pemba, too: scripts and servers run it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pemba": main})
}

// TestScripts runs what a person would type against real servers, each a
// process of its own. The words that are not testscript's are in script_test.go.
func TestScripts(t *testing.T) {
	scripts := scriptsRun()
	if len(scripts) == 0 {
		t.Fatal("there are no scripts")
	}
	testscript.Run(t, testscript.Params{
		Files:               scripts,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:               prepareScript,
		Cmds:                scriptWords(),
	})
}
