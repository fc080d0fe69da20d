package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// pathLines are the tuples that gave a result, from the object asked about to
// the principal, a line each. What only renames (a permission that is another
// name, a role below another) is left out; where several things were needed at
// once, each is a block of its own.
func pathLines(r *pembav1.Reason) []string {
	if isBareDenial(r) {
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

func addPath(lines *[]string, r *pembav1.Reason, indent string) {
	if r.GetTuple() != nil {
		*lines = append(*lines, indent+tupleOfReason(r))
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

// treeLines are a whole explanation: a line for each reason, indented below what
// it is a reason for, with its own result in front. A denial comes without
// reasons: nothing gave, or something took away, and the answer does not say
// which.
func treeLines(r *pembav1.Reason) []string {
	if isBareDenial(r) {
		return []string{"why not is not shown in this release"}
	}
	var lines []string
	addTree(&lines, r, "")
	return lines
}

// takenAway says of an exclusion whose first side alone is shown what the other
// does. Where the whole is less certain than the first side, the other hangs on a
// condition; where both hang on one, it may do so, too.
func takenAway(r *pembav1.Reason) string {
	switch {
	case r.GetResult() != pembav1.Result_RESULT_CONDITIONAL:
		return ", which nothing takes away, by"
	case len(r.GetBecause()) == 1 && r.GetBecause()[0].GetResult() == pembav1.Result_RESULT_GRANTED:
		return ", which a condition may take away, by"
	default:
		return ", which nothing takes away for certain, by"
	}
}

func addTree(lines *[]string, r *pembav1.Reason, indent string) {
	line := resultWord(r.GetResult()) + "  " + indent + stepText(r)
	if role := r.GetRole(); role != "" {
		line += " (role " + role + ")"
	}
	if r.GetCut() {
		line += " …"
	}
	*lines = append(*lines, line)
	for _, b := range r.GetBecause() {
		addTree(lines, b, indent+"  ")
	}
}

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
	switch r.GetStep() {
	case pembav1.Reason_STEP_TUPLE:
		return tupleOfReason(r)
	case pembav1.Reason_STEP_INHERITED:
		return title(r) + ", over " + tupleOfReason(r)
	case pembav1.Reason_STEP_ANY_OF:
		return title(r) + ", by"
	case pembav1.Reason_STEP_ALL_OF:
		return title(r) + ", by all of"
	case pembav1.Reason_STEP_MINUS:
		if len(r.GetBecause()) < 2 {
			return title(r) + takenAway(r)
		}
		return title(r) + ", by the first less the second"
	case pembav1.Reason_STEP_ROLE_BELOW:
		return title(r) + ", a role below"
	case pembav1.Reason_STEP_ITSELF:
		return title(r) + ", which is what asks"
	default:
		return title(r)
	}
}

// title is what a reason is about.
func title(r *pembav1.Reason) string {
	if r.GetName() == "" {
		return r.GetObject()
	}
	return r.GetObject() + "#" + r.GetName()
}

func tupleOfReason(r *pembav1.Reason) string {
	text := tupleText(r.GetTuple())
	if r.GetContextual() {
		text += " (sent with the question)"
	}
	return text
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
