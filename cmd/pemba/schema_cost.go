package main

import (
	"fmt"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/schema"
)

// A nameCost is what one name costs.
type nameCost struct {
	File       string         `json:"file"`
	Definition string         `json:"definition"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	List       string         `json:"list"` // "found" or "verified"
	Because    []costOperator `json:"because"`
	Circle     []string       `json:"circle"` // how tuples may lead back; empty where they cannot
	Strata     int            `json:"strata"`
	Hops       *int           `json:"hops"` // null over a circle: the data says
	Relations  int            `json:"relations"`
}

// A costOperator is why candidates are verified.
type costOperator struct {
	Operator string `json:"operator"`
	In       string `json:"in"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
}

const (
	listFound    = "found"
	listVerified = "verified"
)

func (r *checkReport) addCosts(loaded schema.Loaded, s *schema.Schema) {
	file, _, _ := loaded.Place(1, 1)
	for _, c := range s.Costs() {
		cost := nameCost{
			File: file, Definition: string(c.Type), Name: string(c.Name), Kind: c.Kind.String(),
			List: listFound, Because: []costOperator{}, Circle: []string{}, Strata: c.Strata, Relations: c.Relations,
		}
		for _, o := range c.Verified {
			at := costOperator{Operator: o.Text, In: o.In}
			at.File, at.Line, at.Column = loaded.Place(o.Line, o.Column)
			cost.List = listVerified
			cost.Because = append(cost.Because, at)
		}
		cost.Circle = append(cost.Circle, c.Circle...)
		if c.Hops != schema.Unbounded {
			cost.Hops = &c.Hops
		}
		r.Costs = append(r.Costs, cost)
	}
}

// printCosts prints a table for each definition that has names.
func (r *checkReport) printCosts(a *app) {
	if len(r.Costs) == 0 {
		return
	}
	width := 0
	for _, c := range r.Costs {
		width = max(width, len(c.Name))
	}
	var last nameCost
	for _, c := range r.Costs {
		if c.File != last.File || c.Definition != last.Definition {
			a.line("%s: %s", c.File, c.Definition)
		}
		last = c
		a.line("  %-*s  %-8s  %s", width, c.Name, c.List, c.reads())
		for _, o := range c.Because {
			at := fault.Fault{Line: o.Line, Column: o.Column}
			if o.File != c.File {
				at.File = o.File
			}
			a.line("    `%s` in %s, %s", o.Operator, o.In, at.Place())
		}
		if len(c.Circle) == 0 {
			continue
		}
		for i, line := range brokenAt(strings.Join(c.Circle, " -> "), " -> ", columnsMax-len("    circle: ")) {
			a.line("    %-7s %s", []string{"circle:", ""}[min(i, 1)], line)
		}
	}
	a.line("%-8s  by following tuples back from the subject, about 2 us an object", listFound)
	a.line("%-8s  each candidate is checked, about 8 us an object", listVerified)
}

// reads is what Check reads for a name.
func (c nameCost) reads() string {
	hops := "any number of hops"
	if c.Hops != nil {
		hops = fault.Counted(*c.Hops, "hop")
	}
	text := fmt.Sprintf("%s, %s", fault.Counted(c.Relations, "relation"), hops)
	if c.Strata > 1 {
		text += fmt.Sprintf(", %d strata", c.Strata)
	}
	return text
}
