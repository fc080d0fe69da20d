package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
)

type listCmd struct {
	Objects  listObjectsCmd  `cmd:"" takes:"server,output" help:"List the objects on which a subject holds a name."`
	Subjects listSubjectsCmd `cmd:"" takes:"server,output" help:"List who has access to an object, and where it comes from."`
}

// listing are the flags that both lists have.
type listing struct {
	Conditional bool `help:"List also what hangs on a caveat that --context leaves open, with what is missing."`
	Limit       *int `help:"List at most this many; if there may be more, the standard error says so." placeholder:"N"`
	PageSize    *int `help:"How many to ask the server for at a time, 1 to 10000. Default: 1000." placeholder:"N"`
}

// listPageSizeMax is the largest page that a server gives.
const listPageSizeMax = 10_000

// amount is how much of the list is asked for.
func (l listing) amount(of string) (amount, error) {
	if err := checkLimit(l.Limit, of); err != nil {
		return amount{}, err
	}
	much := amount{l.Limit, readPageSize}
	if l.PageSize != nil {
		much.size = *l.PageSize
	}
	if much.size < 1 || much.size > listPageSizeMax {
		return amount{}, fault.Newf(fault.FieldMustBeWithinBounds, "pages of %d", much.size).
			Do("give --page-size from 1 to %d, or leave it out for %d", listPageSizeMax, readPageSize)
	}
	return much, nil
}

// An accessTable prints who or what a list has, and the access, in columns. Its
// columns are as wide as the pages until now need them: a page is printed before the
// next one is there.
type accessTable struct {
	app    *app
	widths [2]int
	roles  bool // some entry has had a role: there may be no ladder
	open   []*pembav1.Missing
}

// An accessRow is one entry.
type accessRow struct {
	reference string
	role      string   // empty: none
	sources   []string // one below the other
	below     []string // lines of their own
}

// accessColumnMax keeps one long id from pushing all roles out of sight: it stands
// over. A UUID and its type fit.
const accessColumnMax = 48

// sourceColumnMin is what is left for the sources however wide the others are.
const sourceColumnMin = 40

// rows prints a page.
func (t *accessTable) rows(rows []accessRow) {
	for _, r := range rows {
		t.roles = t.roles || r.role != ""
	}
	for i, r := range rows {
		if t.roles {
			rows[i].role = orNone(r.role)
		}
		for column, text := range []string{r.reference, rows[i].role} {
			if n := utf8.RuneCountInString(text); n <= accessColumnMax {
				t.widths[column] = max(t.widths[column], n)
			}
		}
	}
	for _, r := range rows {
		t.row(r)
	}
}

func (t *accessTable) row(r accessRow) {
	lead, indent := fmt.Sprintf("%-*s", t.widths[0], r.reference), t.widths[0]
	if t.roles {
		lead += fmt.Sprintf("  %-*s", t.widths[1], r.role)
		indent += 2 + t.widths[1]
	}
	var beside []string
	for _, source := range r.sources {
		beside = append(beside, broken(source, max(sourceColumnMin, columnsMax-indent-2))...)
	}
	if len(beside) == 0 {
		beside = []string{""}
	}
	for _, source := range beside {
		t.app.line("%s", strings.TrimRight(lead+"  "+source, " "))
		lead = strings.Repeat(" ", indent)
	}
	for _, line := range r.below {
		t.app.line("  %s", line)
	}
}

// conditions are the lines that say what an entry hangs on.
func (t *accessTable) conditions(r pembav1.Result, missing []*pembav1.Missing) []string {
	if r != pembav1.Result_RESULT_CONDITIONAL {
		return nil
	}
	t.open = append(t.open, missing...)
	lines := missingLines(missing)
	for i, line := range lines {
		lines[i] = "conditional: needs " + line
	}
	if len(lines) == 0 {
		return []string{"conditional"}
	}
	return lines
}

// end says what is not listed, and how what hangs on a condition is asked for again.
func (t *accessTable) end(answer listed) {
	if again := askAgain(t.open); again != "" {
		t.app.note("ask again with %s", again)
	}
	if answer.GetNextPageToken() != "" {
		t.app.note("there may be more; raise --limit to see them")
	}
}

// roleText is the role that is certain, and the higher one that may be held, too.
func roleText(certain, conditional string) string {
	if conditional == "" {
		return certain
	}
	return orNone(certain) + " or " + conditional
}

// sourceTexts say where an access comes from, in the words of a sentence. What one
// group gives by several relations is one of them.
func sourceTexts(s *pembav1.ListedSubject) []string {
	var texts []string
	names := make(map[string][]string)
	for _, source := range s.GetSources() {
		way, gives := wayText(s, source), givenBy(source)
		if gives != "" && gives != s.GetRole() {
			way += " as "
		} else {
			gives = ""
		}
		if _, known := names[way]; !known {
			texts = append(texts, way)
		}
		if !slices.Contains(names[way], gives) {
			names[way] = append(names[way], gives)
		}
	}
	for i, way := range texts {
		texts[i] += strings.Join(names[way], ", ")
	}
	return texts
}

// wayText is the way that a source is, with what limits it.
func wayText(s *pembav1.ListedSubject, source *pembav1.Source) string {
	tuple := source.GetTuple()
	var text string
	switch {
	case source.GetThrough() != "":
		text = "through " + source.GetThrough()
	case tuple == nil:
		text = "itself"
	case isEverybody(s):
		text = "everybody"
	default:
		text = "direct"
	}
	if c := tuple.GetCaveat(); c != nil {
		text += " with " + c.GetName()
	}
	if end := tuple.GetExpiresAt(); end != nil {
		text += " until " + timeText(end.AsTime())
	}
	return text
}

// givenBy is the role that a source gives, or the relation by which it gives what is
// no role: that of a link to another object says nothing.
func givenBy(source *pembav1.Source) string {
	tuple, through := source.GetTuple(), source.GetThrough()
	if source.GetRole() == "" && (through == "" || through == tuple.GetSubject()) {
		return tuple.GetRelation()
	}
	return source.GetRole()
}
