package worlds

import (
	"slices"

	"github.com/pemba-io/pemba/internal/schema/syntax"
)

// apart draws which members of a schema stand in partials where it is written as
// text, as "doc#view": none mostly. Everything here works on the whole
// definitions; only whoever reads the text has to put the pieces together.
func apart(d *dice, file *syntax.File) []string {
	if !d.chance(12) {
		return nil
	}
	var all []string
	for _, def := range file.Definitions {
		for _, name := range declared(def) {
			if d.chance(30) {
				all = append(all, def.Name.Text+"#"+name)
			}
		}
	}
	return all
}

// folded is the schema with what stands apart in partials: of each definition the
// relations in one, with what they put the object inside of, and in another, which
// that includes, the permissions, with who creates. Roles
// stay where they are, since their order is their meaning, and so does the block,
// unless all of it stands apart.
func folded(file *syntax.File, apart []string) *syntax.File {
	if len(apart) == 0 {
		return file
	}
	whole := *file
	whole.Definitions = nil
	for _, d := range file.Definitions {
		is := func(name syntax.Ident) bool { return slices.Contains(apart, d.Name.Text+"#"+name.Text) }
		rest := *d
		outer := &syntax.Definition{Name: ident(d.Name.Text + "_outer")}
		inner := &syntax.Definition{Name: ident(d.Name.Text + "_inner")}
		rest.Relations, outer.Relations = parted(d.Relations, func(r *syntax.Relation) bool { return is(r.Name) })
		rest.Permissions, inner.Permissions = parted(d.Permissions, func(p *syntax.Permission) bool { return is(p.Name) })
		rest.Roles, inner.Roles = parted(d.Roles, func(block *syntax.Roles) bool {
			return !slices.ContainsFunc(block.Roles, func(r *syntax.Relation) bool { return !is(r.Name) })
		})
		if len(outer.Relations) > 0 {
			rest.Withins, outer.Withins = nil, d.Withins
		}
		if len(inner.Permissions)+len(inner.Roles) > 0 {
			rest.CreatedBys, inner.CreatedBys = nil, d.CreatedBys
			outer.Includes = []*syntax.Include{{Name: inner.Name}}
			whole.Partials = append(whole.Partials, inner)
		}
		if len(outer.Relations)+len(outer.Includes) > 0 {
			rest.Includes = []*syntax.Include{{Name: outer.Name}}
			whole.Partials = append(whole.Partials, outer)
		}
		whole.Definitions = append(whole.Definitions, &rest)
	}
	return &whole
}

// parted parts a list in two, in their order.
func parted[T any](all []T, second func(T) bool) (rest, taken []T) {
	for _, each := range all {
		if second(each) {
			taken = append(taken, each)
		} else {
			rest = append(rest, each)
		}
	}
	return rest, taken
}
