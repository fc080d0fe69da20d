//go:build !race

package main

import "path/filepath"

// scriptsRun are all scripts.
func scriptsRun() []string {
	paths, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	return paths
}

// killsDefault is how often a server is killed.
const killsDefault = 5
