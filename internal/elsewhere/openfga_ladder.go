package elsewhere

import "strings"

// A ladder is the relations of a type that become its roles, the lowest first, and
// what takes all of them away.
//
// In OpenFGA any relation may be both written and computed, and here only a role is.
// `viewer: [user] or editor` is what the ladder of viewer and editor says; so along
// a chain of such relations nothing changes its name, and tuples stay as they are. A
// type has one ladder, so the chain is the one with the most relations that are both
// written and computed: each of the others is split into a relation for its tuples
// and a permission (openfga_schema.go).
type ladder struct {
	rungs  []*relation
	except *rewrite // nil where nothing does
}

// has reports whether a relation is a role.
func (l *ladder) has(r *relation) bool {
	for _, each := range l.rungs {
		if each == r {
			return true
		}
	}
	return false
}

// A rung is a relation as a role could say it: tuples, or computed by one of these,
// unless excepted.
type rung struct {
	operands []*rewrite
	except   *rewrite
	both     bool // written and computed
}

// rungOf is how a role would say a relation; ok is false where none could.
func rungOf(r *relation) (rung, bool) {
	if r.name == "none" || len(r.subjects) == 0 { // `none` stands for no role
		return rung{}, false
	}
	var out rung
	sum := r.rewrite
	if sum.op == exclusion {
		if sum.operands[1].isWritten() {
			return rung{}, false
		}
		sum, out.except = sum.operands[0], sum.operands[1]
	}
	operands := []*rewrite{sum}
	if sum.op == union {
		operands = sum.operands
	}
	written := 0
	for _, each := range operands {
		switch {
		case each.op == direct:
			written++
		case each.isWritten():
			return rung{}, false
		default:
			out.operands = append(out.operands, each)
		}
	}
	out.both = len(out.operands) > 0 || out.except != nil
	return out, written > 0
}

// rungsMax is more names than a definition can have; a longer chain is not looked for.
const rungsMax = 256

// climb finds the ladder of a type; it has no rungs where nothing is both written and
// computed.
func climb(t *typeDefinition) *ladder {
	if len(t.relations) > rungsMax {
		return &ladder{}
	}
	c := &climber{of: t, best: map[*relation]climbed{}, on: map[*relation]bool{}}
	var best climbed
	for _, r := range t.relations {
		if _, ok := rungOf(r); ok {
			if found := c.from(r); found.better(best) {
				best = found
			}
		}
	}
	if best.both == 0 {
		return &ladder{}
	}
	lowest, _ := rungOf(best.path[0])
	return &ladder{best.path, lowest.except}
}

// A climbed is a way up from a relation, that included.
type climbed struct {
	path []*relation
	both int
}

func (c climbed) better(than climbed) bool {
	if c.both != than.both {
		return c.both > than.both
	}
	return len(c.path) > len(than.path)
}

// A climber finds the best way up from each relation, once. Relations may stand in a
// circle; a way does not go through one twice.
type climber struct {
	of   *typeDefinition
	best map[*relation]climbed
	on   map[*relation]bool
}

func (c *climber) from(r *relation) climbed {
	if found, known := c.best[r]; known {
		return found
	}
	c.on[r] = true
	at, _ := rungOf(r)
	var above climbed
	for _, each := range at.operands {
		if each.op != computed {
			continue
		}
		next := c.of.relationNamed(each.name)
		if next == nil || c.on[next] {
			continue
		}
		up, ok := rungOf(next)
		if !ok || up.except.text() != at.except.text() {
			continue
		}
		if found := c.from(next); found.better(above) {
			above = found
		}
	}
	found := climbed{append([]*relation{r}, above.path...), above.both}
	if at.both {
		found.both++
	}
	delete(c.on, r)
	c.best[r] = found
	return found
}

// text is the same for rewrites that are written the same.
func (r *rewrite) text() string {
	if r == nil {
		return ""
	}
	switch r.op {
	case direct:
		return "[]"
	case computed:
		return r.name
	case from:
		return r.name + " from " + r.tupleset
	}
	texts := make([]string, len(r.operands))
	for i, each := range r.operands {
		texts[i] = each.text()
	}
	return "(" + strings.Join(texts, [...]string{union: " or ", intersection: " and ", exclusion: " but not "}[r.op]) + ")"
}
