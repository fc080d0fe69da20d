package main

import (
	"runtime"
	"runtime/debug"

	"github.com/pemba-io/pemba/internal/tupledb"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return `Examples:

    pemba version
    pemba version -o json | jq -r .commit`
}

// A versionReport is what `version -o json` prints.
type versionReport struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`      // empty where the build did not record it
	CommitTime string `json:"commit_time"` // likewise
	Modified   bool   `json:"modified"`    // built from a tree with uncommitted changes
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	DataFormat int    `json:"data_format"`
}

// Run prints what the binary knows of its build.
func (versionCmd) Run(a *app) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	report := versionOf(info)
	if a.wantsJSON() {
		return a.value(report)
	}
	commit := orNone(report.Commit)
	if commit == "none" {
		commit = "not recorded in this build"
	} else if report.Modified {
		commit += ", modified"
	}
	a.line("pemba        %s", report.Version)
	a.line("commit       %s", commit)
	if report.CommitTime != "" {
		a.line("committed    %s", report.CommitTime)
	}
	a.line("go           %s %s", report.Go, report.Platform)
	a.line("data format  %d", report.DataFormat)
	return nil
}

func versionOf(info *debug.BuildInfo) versionReport {
	report := versionReport{
		Version:    info.Main.Version,
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
		DataFormat: tupledb.FormatVersion,
	}
	if report.Version == "" || report.Version == "(devel)" {
		report.Version = "development build"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			report.Commit = s.Value
		case "vcs.time":
			report.CommitTime = s.Value
		case "vcs.modified":
			report.Modified = s.Value == "true"
		}
	}
	return report
}
