package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// pathLines are the tuples that gave a result, from the object asked about to
// the principal, a line each. What only renames (a permission that is another
// name, a role below another) is left out; where several things were needed at
// once, each is a block of its own.
func pathLines(r *pembav1.Reason) []string {
	if resultWord(r.GetResult()) == resultWord(pembav1.Result_RESULT_DENIED) {
		return nil
	}
	var lines []string
	addPath(&lines, r, "")
	return lines
}

// isBareDenial reports whether a reason says no, and nothing more.
func isBareDenial(r *pembav1.Reason) bool {
	denied := r.GetResult() == pembav1.Result_RESULT_DENIED || r.GetResult() == pembav1.Result_RESULT_UNSPECIFIED
	return denied && r.GetTuple() == nil && len(r.GetBecause()) == 0
}

// openingLines are the tuples that would open a denial.
func openingLines(openings []*pembav1.Tuple) []string {
	if len(openings) == 0 {
		return nil
	}
	lines := []string{"each of these tuples would open it:"}
	if len(openings) == 1 {
		lines[0] = "this tuple would open it:"
	}
	for _, t := range openings {
		lines = append(lines, "  "+tupleText(t))
	}
	return lines
}

func addPath(lines *[]string, r *pembav1.Reason, indent string) {
	if r.GetTuple() != nil {
		text := tupleText(r.GetTuple())
		if r.GetContextual() {
			text += " (sent with the question)"
		}
		*lines = append(*lines, indent+text)
	}
	because := r.GetBecause()
	switch r.GetStep() {
	case pembav1.Reason_STEP_ALL_OF:
		if len(because) > 1 {
			word := "both"
			if len(because) > 2 {
				word = "all of"
			}
			for _, part := range because {
				*lines = append(*lines, indent+word)
				addPath(lines, part, indent+"  ")
				word = "and"
			}
			return
		}
	case pembav1.Reason_STEP_ITSELF:
		*lines = append(*lines, indent+title(r)+" is what asks")
	}
	switch {
	case len(because) > 0:
		addPath(lines, because[0], indent)
	case r.GetCut():
		*lines = append(*lines, indent+"…")
	}
}

// treeWidth is what is left of a line for a tree: it stands two columns in.
const treeWidth = columnsMax - 2

// treeLines are a whole explanation, a line for each reason, with its own result in
// front. What follows from the line below it stands above it, without being indented,
// so that a path reads as a list; where a reason stands on several, each of them
// begins with a dash.
func treeLines(r *pembav1.Reason) []string {
	if isBareDenial(r) && r.GetStep() != pembav1.Reason_STEP_NOTHING {
		return nil
	}
	var t tree
	if r.GetName() == "" && len(r.GetBecause()) > 0 { // an object as a whole, which the answer has named
		t.below(r, "")
	} else {
		t.add(r, "", "")
	}
	return t.lines
}

// A tree is written line by line. lead is what stands before the first line of a
// reason, and indent what stands before the others.
type tree struct{ lines []string }

// indentMax is how far a tree is indented: references need the rest of the line.
const indentMax = 36

func (t *tree) add(r *pembav1.Reason, lead, indent string) {
	line := resultWord(r.GetResult()) + "  " + lead + stepText(r)
	if part := onlyPart(r); part != nil {
		r = part
		line += " " + stepText(r)
	}
	if r.GetCut() && len(r.GetBecause()) == 0 && r.GetOmitted() == 0 {
		line += " …"
	}
	for _, note := range notes(r, lead != indent) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(note) <= treeWidth {
			line += " " + note
			continue
		}
		t.lines = append(t.lines, line)
		line = noResult + indent + "  " + note
	}
	t.lines = append(t.lines, line)
	t.below(r, indent)
}

// onlyPart is what a reason stands on alone, where that has no name of its own: both
// are said on one line.
func onlyPart(r *pembav1.Reason) *pembav1.Reason {
	if r.GetStep() != pembav1.Reason_STEP_ANY_OF && r.GetStep() != pembav1.Reason_STEP_MINUS || len(r.GetBecause()) != 1 || r.GetCut() {
		return nil
	}
	if part := r.GetBecause()[0]; part.GetName() == "" && part.GetResult() == r.GetResult() {
		return part
	}
	return nil
}

// noResult stands in front of a line that says of no result.
const noResult = "     "

func (t *tree) below(r *pembav1.Reason, indent string) {
	because := r.GetBecause()
	if len(because) == 1 && !r.GetCut() {
		t.add(because[0], indent, indent)
		return
	}
	below := indent
	if len(below) < indentMax {
		below += "  "
	}
	for _, b := range because {
		t.add(b, indent+"- ", below)
	}
	switch {
	case r.GetOmitted() > 0:
		t.lines = append(t.lines, noResult+indent+fmt.Sprintf("- … %d more", r.GetOmitted()))
	case r.GetCut() && len(because) > 0:
		t.lines = append(t.lines, noResult+indent+"- …")
	}
}

// notes are what is said of a reason behind its text, or below where the line is full;
// the role only of one of several.
func notes(r *pembav1.Reason, oneOfSeveral bool) []string {
	var notes []string
	if below := len(r.GetBecause()); r.GetStep() == pembav1.Reason_STEP_MINUS && isNamed(r) && (below > 1 || below == 1 && r.GetCut()) {
		notes = append(notes, firstLessSecond)
	}
	if r.GetContextual() {
		notes = append(notes, "(sent with the question)")
	}
	if r.GetConditionFalse() {
		notes = append(notes, "(its condition is false)")
	}
	if role := r.GetRole(); role != "" && oneOfSeveral {
		notes = append(notes, "(role "+role+")")
	}
	return notes
}

// firstLessSecond is how what is below an exclusion is to be read.
const firstLessSecond = "the first, less the second"

// resultWord is a result in three letters, so that a tree's lines align.
func resultWord(r pembav1.Result) string {
	switch r {
	case pembav1.Result_RESULT_GRANTED:
		return "yes"
	case pembav1.Result_RESULT_CONDITIONAL:
		return "if "
	default:
		return "no "
	}
}

func stepText(r *pembav1.Reason) string {
	several := len(r.GetBecause()) > 1 || r.GetCut() && len(r.GetBecause()) > 0
	denied := resultWord(r.GetResult()) == resultWord(pembav1.Result_RESULT_DENIED)
	switch r.GetStep() {
	case pembav1.Reason_STEP_TUPLE, pembav1.Reason_STEP_INHERITED:
		return tupleText(r.GetTuple())
	case pembav1.Reason_STEP_ANY_OF:
		switch {
		case denied && several:
			return of(r, "needs one of", "one of")
		case denied:
			return of(r, "needs", "what is below")
		case several:
			return of(r, "by any of", "any of")
		}
		return of(r, "by", "what is below")
	case pembav1.Reason_STEP_ALL_OF:
		if denied {
			return of(r, "needs all of", "all of")
		}
		return of(r, "by all of", "all of")
	case pembav1.Reason_STEP_MINUS:
		switch {
		case len(r.GetBecause()) == 0:
			return title(r) // it is cut, and not said whether anything is taken away
		case len(r.GetBecause()) < 2 && !r.GetCut():
			return of(r, "which nothing takes away, by", "what nothing takes away")
		case denied:
			return of(r, "taken away:", firstLessSecond)
		}
		return of(r, "may be taken away:", firstLessSecond)
	case pembav1.Reason_STEP_ROLE_BELOW:
		return of(r, "a role below", "a role below")
	case pembav1.Reason_STEP_ITSELF:
		return of(r, "which is what asks", "what asks")
	case pembav1.Reason_STEP_NOTHING:
		if !r.GetCut() {
			return of(r, "which nothing gives", "nothing")
		}
	}
	return title(r)
}

// of says something of what a reason is about, or, where it is about a part without
// a name, that alone.
func of(r *pembav1.Reason, named, unnamed string) string {
	if !isNamed(r) {
		return unnamed
	}
	return title(r) + ", " + named
}

func isNamed(r *pembav1.Reason) bool { return r.GetName() != "" || r.GetRole() != "" }

// title is what a reason is about.
func title(r *pembav1.Reason) string {
	if r.GetName() == "" {
		return r.GetObject()
	}
	return r.GetObject() + "#" + r.GetName()
}

// tupleText is a tuple of the API in the notation of tuples.
func tupleText(t *pembav1.Tuple) string {
	return t.GetObject() + "#" + t.GetRelation() + "@" + t.GetSubject() + attributesText(t)
}

// attributesText is what stands in a tuple's brackets.
func attributesText(t *pembav1.Tuple) string {
	text := ""
	if c := t.GetCaveat(); c != nil {
		text += "[" + c.GetName()
		if given := c.GetContext(); len(given.GetFields()) > 0 {
			if b, err := protoJSON(given); err == nil {
				text += ":" + harmless(b)
			}
		}
		text += "]"
	}
	if e := t.GetExpiresAt(); e != nil {
		text += "[expiration:" + timeText(e.AsTime()) + "]"
	}
	return text
}

// harmless is JSON with nothing in it that a terminal would obey. Ids cannot hold
// such characters; the texts of a context can, and JSON lets them stand.
func harmless(json []byte) string {
	var b strings.Builder
	for _, r := range string(json) {
		if unicode.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
