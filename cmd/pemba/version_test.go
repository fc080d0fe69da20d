package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionKnowsTheCommitWhereTheBuildRecordedIt(t *testing.T) {
	got := versionOf(&debug.BuildInfo{
		Main: debug.Module{Version: "v0.3.0"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "badf5b2"},
			{Key: "vcs.time", Value: "2026-11-22T10:00:00Z"},
			{Key: "vcs.modified", Value: "true"},
		},
	})
	if got.Version != "v0.3.0" || got.Commit != "badf5b2" || got.CommitTime != "2026-11-22T10:00:00Z" || !got.Modified {
		t.Errorf("%+v", got)
	}
}

func TestVersionOfABuildWithoutAnyRecord(t *testing.T) {
	for _, version := range []string{"", "(devel)"} {
		got := versionOf(&debug.BuildInfo{Main: debug.Module{Version: version}})
		if got.Version != "development build" || got.Commit != "" || got.Modified {
			t.Errorf("%+v", got)
		}
	}
}
