//go:build race

package main

// scriptsRun are the scripts that run with the race detector: those in which
// servers start, answer and stop. The others run the same code and start some
// two hundred processes, each ten times slower to start with it.
func scriptsRun() []string {
	return []string{
		"testdata/script/first_light.txtar",
		"testdata/script/stop.txtar",
	}
}

// killsDefault is how often a server is killed, which is ten times slower to start.
const killsDefault = 2
