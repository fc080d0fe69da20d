package fault

import (
	"fmt"
	"strconv"
	"strings"
)

// Nearest is the candidate that name was probably meant to be, or empty: it is
// silent rather than guess badly. Candidates at the same distance lose to the
// first of them.
func Nearest(name string, candidates []string) string {
	const longest = 256 // a longer name is no slip of the finger
	if len(name) > longest {
		return ""
	}
	best, bestDistance := "", 1 // of a short name little is left after two slips
	if len(name) >= 5 {
		bestDistance = 1 + len(name)/4
	}
	for _, c := range candidates {
		if c == name {
			continue
		}
		if d := distance(name, c, bestDistance+1); d < bestDistance || (d == bestDistance && best == "") {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, change or swap with a
// neighbour; anything at or over limit is limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

// List names at most max of the words, as "a, b, c and 4 more".
func List(words []string, max int) string {
	if len(words) == 0 {
		return "nothing"
	}
	if len(words) <= max {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:max], ", ") + " and " + strconv.Itoa(len(words)-max) + " more"
}

// Counted is a number and its noun: "1 tuple", "2 tuples".
func Counted[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
