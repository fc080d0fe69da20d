package schema

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// membersMax bounds what partials put into one definition: more than a type has
// names for, and little enough that a thousand definitions with one huge partial
// are refused before memory is spent on them.
const membersMax = 2 * SlotsMax

// expandedBytesMax bounds the text that partials stand for in all definitions
// together: a thousand of them can include one that has a mebibyte. It is what a
// text may have that has no partials.
const expandedBytesMax = 1 << 20

// partials are the partials of a text, and what comes of them: after expand,
// every definition has their members as if they were written there.
type partials struct {
	byName  map[string]*syntax.Definition
	circled map[*syntax.Definition]bool // includes itself, which is reported
	used    map[*syntax.Definition]bool
	origins map[originKey]origin
}

// An origin says how a member came into a definition in which it is not written.
type origin struct {
	include *syntax.Include    // of the definition itself
	partial *syntax.Definition // in which the member is written
}

type originKey struct {
	in *syntax.Definition // the expanded definition
	at syntax.Pos         // of the member's name
}

// readPartials finds the partials and what is wrong between them. It is reported
// here, once, and not again in every definition that includes one of them.
func (c *compiler) readPartials() {
	c.partials = partials{
		byName:  make(map[string]*syntax.Definition),
		circled: make(map[*syntax.Definition]bool),
		used:    make(map[*syntax.Definition]bool),
		origins: make(map[originKey]origin),
	}
	for i, p := range c.file.Partials {
		if i == definitionsMax {
			c.tooLarge = true
			c.mustStayWithinBounds(p.Name.At, fmt.Sprintf("the schema has %d partials", len(c.file.Partials)),
				fmt.Sprintf("a schema has at most %d", definitionsMax))
			return
		}
		if _, err := rel.ParseType(p.Name.Text); err != nil {
			c.nameMustBeValid(p.Name.At, err)
			continue
		}
		if first := c.partials.byName[p.Name.Text]; first != nil {
			c.partialMustBeUnique(p.Name.At, p.Name.Text, first.Name.At)
			continue
		}
		c.partials.byName[p.Name.Text] = p
	}
	for _, of := range slices.Concat(c.file.Partials, c.file.Definitions) {
		for _, in := range of.Includes {
			if c.partials.byName[in.Name.Text] == nil {
				c.partialMustExist(in.Name.At, in.Name.Text, of.Name.Text, c.file)
			}
		}
	}
	c.findCircles()
}

// findCircles reports partials that include themselves, each circle once.
func (c *compiler) findCircles() {
	const (
		_ = iota
		open
		done
	)
	state := make(map[*syntax.Definition]int)
	var path []*syntax.Definition
	var visit func(p *syntax.Definition)
	visit = func(p *syntax.Definition) {
		state[p] = open
		path = append(path, p)
		for _, in := range p.Includes {
			next := c.partials.byName[in.Name.Text]
			switch {
			case next == nil || state[next] == done:
			case state[next] == open:
				circle := path[slices.Index(path, next):]
				if slices.ContainsFunc(circle, func(x *syntax.Definition) bool { return c.partials.circled[x] }) {
					continue // one circle of several that hang together
				}
				var names []string
				for _, x := range circle {
					c.partials.circled[x] = true
					names = append(names, x.Name.Text)
				}
				c.includesMustNotCircle(in.Name.At, "partial", append(names, next.Name.Text))
			default:
				visit(next)
			}
		}
		path = path[:len(path)-1]
		state[p] = done
	}
	for _, p := range c.file.Partials {
		if state[p] == 0 && c.partials.byName[p.Name.Text] == p {
			visit(p)
		}
	}
}

// expand is a definition with the members of its partials, each where the partial
// is included.
func (c *compiler) expand(tree *syntax.Definition) *syntax.Definition {
	if len(tree.Includes) == 0 || c.tooLarge {
		return tree
	}
	e := &expansion{
		compiler: c,
		out:      &syntax.Definition{At: tree.At, End: tree.End, Doc: tree.Doc, Name: tree.Name},
		taken:    make(map[*syntax.Definition]*syntax.Include),
	}
	e.fill(tree, nil)
	return e.out
}

// An expansion puts one definition together.
type expansion struct {
	*compiler
	out     *syntax.Definition
	taken   map[*syntax.Definition]*syntax.Include // by which include of the definition a partial came in
	members int
}

// A member is one statement of a definition, and how it is put into another.
type member struct {
	at  syntax.Pos
	put func()
}

// fill takes the members of a definition, or of a partial that came in through an
// include of the definition.
func (e *expansion) fill(from *syntax.Definition, through *syntax.Include) {
	for _, m := range e.membersOf(from, through) {
		if e.tooLarge {
			return
		}
		if through != nil {
			if e.members++; e.members > membersMax {
				e.compiler.tooLarge = true
				e.mustStayWithinBounds(through.At, fmt.Sprintf("the partials of type %q have more than %d members", e.out.Name.Text, membersMax),
					"split the type into two, joined by a relation")
				return
			}
		}
		m.put()
	}
}

// membersOf are the members in source order. What comes from a partial is copied,
// since every definition that includes it compiles it for itself.
func (e *expansion) membersOf(from *syntax.Definition, through *syntax.Include) []member {
	out := e.out
	var all []member
	came := func(at syntax.Pos) {
		if through != nil {
			e.partials.origins[originKey{out, at}] = origin{through, from}
		}
	}
	for _, r := range from.Relations {
		all = append(all, member{r.At, func() { came(r.Name.At); out.Relations = append(out.Relations, copied(r)) }})
	}
	for _, p := range from.Permissions {
		all = append(all, member{p.At, func() { came(p.Name.At); out.Permissions = append(out.Permissions, p) }})
	}
	for _, block := range from.Roles {
		all = append(all, member{block.At, func() {
			came(block.At)
			own := *block
			own.Roles = make([]*syntax.Relation, len(block.Roles))
			for i, r := range block.Roles {
				came(r.Name.At)
				own.Roles[i] = copied(r)
			}
			out.Roles = append(out.Roles, &own)
		}})
	}
	for _, w := range from.Withins {
		all = append(all, member{w.At, func() { out.Withins = append(out.Withins, w) }})
	}
	for _, x := range from.CreatedBys {
		all = append(all, member{x.At, func() { out.CreatedBys = append(out.CreatedBys, x) }})
	}
	for _, in := range from.Includes {
		all = append(all, member{in.At, func() { e.include(in, through) }})
	}
	slices.SortStableFunc(all, func(a, b member) int { return cmp.Compare(a.at.Offset, b.at.Offset) })
	return all
}

func copied(r *syntax.Relation) *syntax.Relation {
	own := *r
	return &own
}

// include takes a partial's members. Each partial comes in once: a second time
// would declare all of its names twice, and is said once.
func (e *expansion) include(in, through *syntax.Include) {
	p := e.partials.byName[in.Name.Text]
	if p == nil || e.partials.circled[p] {
		return // reported where it stands
	}
	e.partials.used[p] = true
	outermost := in
	if through != nil {
		outermost = through
	}
	if first := e.taken[p]; first != nil {
		at := outermost.At
		if first == outermost {
			at = in.At // the partials alone are wrong, whoever includes them
		}
		e.partialMustComeOnce(at, p.Name.Text, e.out.Name.Text, first)
		return
	}
	e.taken[p] = outermost
	if e.expanded += p.End.Offset - p.At.Offset; e.expanded > expandedBytesMax {
		e.compiler.tooLarge = true
		e.mustStayWithinBounds(outermost.At, fmt.Sprintf("with its partials written out the schema has more than %d bytes", expandedBytesMax),
			"include large partials in fewer types, or take out of them what few types need")
		return
	}
	e.fill(p, outermost)
}

// warnOfUnusedPartials names those that no definition includes, in any way. What
// they hold is not looked at.
func (c *compiler) warnOfUnusedPartials() {
	for _, p := range c.file.Partials {
		if !c.partials.used[p] {
			c.partialIsUnused(p.Name.At, p.Name.Text)
		}
	}
}

// declaredTwice reports a name, or a second roles block, that a definition has
// from two places. Where partials alone clash it stands in the partial, and where
// the definition brought the two together, in the definition.
func (c *compiler) declaredTwice(tree *syntax.Definition, first, second syntax.Pos) (at syntax.Pos, where string) {
	a, b := c.partials.origins[originKey{tree, first}], c.partials.origins[originKey{tree, second}]
	at = second
	where = "first " + c.onLine(first)
	if a.partial != nil {
		where += fmt.Sprintf(", in partial %q", a.partial.Name.Text)
	}
	if b.include != nil && a.include != b.include {
		at = b.include.At
		where = fmt.Sprintf("in partial %q %s, and %s", b.partial.Name.Text, c.onLine(second), where)
	}
	return at, where
}

// inPartials keeps of the faults that stand inside a partial one for each place
// and rule: every definition that includes it has found the same.
func (c *compiler) onceInPartials(faults []*fault.Fault) []*fault.Fault {
	if len(c.file.Partials) == 0 {
		return faults
	}
	type seen struct {
		line, column int
		code         fault.Code
	}
	had := make(map[seen]bool)
	return slices.DeleteFunc(faults, func(f *fault.Fault) bool {
		key := seen{f.Line, f.Column, f.Code}
		twice := had[key]
		had[key] = true
		return twice && c.insidePartial(f.Line, f.Column)
	})
}

func (c *compiler) insidePartial(line, column int) bool {
	before := func(p syntax.Pos) bool { return p.Line < line || p.Line == line && p.Column <= column }
	i, _ := slices.BinarySearchFunc(c.file.Partials, true, func(p *syntax.Definition, _ bool) int {
		if before(p.At) {
			return -1
		}
		return 1
	})
	return i > 0 && !before(c.file.Partials[i-1].End)
}
