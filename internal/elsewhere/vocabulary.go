package elsewhere

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A vocabulary is what the names of an OpenFGA model are called here, and which
// name tuples of a relation are written to. A name of relations is called the same
// in every type, so that arrows find it.
type vocabulary struct {
	types, relations, conditions *dictionary

	// written is where tuples of a relation go, by its type and name as they are
	// there; a relation without an entry takes none.
	written map[typeRelation]string
	// has are all relations, as they are called there.
	has map[typeRelation]bool
	// unread are the parameters of a condition that are not in its caveat.
	unread map[string][]string

	changes []Change
}

type typeRelation struct{ typ, relation string }

// A dictionary gives names: the same one if it is a name here, and otherwise one
// near it that is nobody's.
type dictionary struct {
	isName func(string) bool
	of     map[string]string
	taken  map[string]bool
	tried  map[string]int // how many names were made of one
}

func newDictionary(isName func(string) bool) *dictionary {
	return &dictionary{isName, map[string]string{}, map[string]bool{}, map[string]int{}}
}

// keep takes over a name that is one here. All of them come before any is made up.
func (d *dictionary) keep(name string) {
	if d.isName(name) {
		d.of[name] = name
		d.taken[name] = true
	}
}

// name is what a name is called here; renamed is true at the first time that it is
// another one.
func (d *dictionary) name(there string) (here string, renamed bool) {
	if here, known := d.of[there]; known {
		return here, false
	}
	here = d.free(nameLike(there))
	d.of[there] = here
	return here, true
}

// free is the name, or where it is taken, one made of it that is not.
func (d *dictionary) free(wanted string) string {
	for {
		d.tried[wanted]++
		n, end := d.tried[wanted], ""
		if n > 1 || !d.isName(wanted) {
			end = fmt.Sprintf("_%d", n)
		}
		name := wanted[:min(len(wanted), rel.NameBytesMax-len(end))] + end
		if d.isName(name) && !d.taken[name] {
			d.taken[name] = true
			return name
		}
	}
}

var (
	camelForm   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notNameForm = regexp.MustCompile(`[^a-z0-9]+`)
)

// nameLike is a name here that reads like a name there: canView is can_view.
func nameLike(there string) string {
	here := strings.ToLower(camelForm.ReplaceAllString(there, "${1}_${2}"))
	here = strings.Trim(notNameForm.ReplaceAllString(here, "_"), "_")
	if here == "" || here[0] < 'a' {
		here = "n" + here
	}
	return here
}

// newVocabulary takes the names of a model over.
func newVocabulary(m *model) *vocabulary {
	v := &vocabulary{
		types: newDictionary(func(s string) bool { _, err := rel.ParseType(s); return err == nil }),
		// `nil` is nobody in every expression.
		relations:  newDictionary(func(s string) bool { return rel.IsName(s) && s != "nil" }),
		conditions: newDictionary(func(s string) bool { _, err := rel.ParseCaveatName(s); return err == nil }),
		written:    map[typeRelation]string{},
		has:        map[typeRelation]bool{},
		unread:     map[string][]string{},
	}
	for _, t := range m.types {
		v.types.keep(t.name)
		for _, r := range t.relations {
			v.relations.keep(r.name)
			v.has[typeRelation{t.name, r.name}] = true
		}
	}
	for _, c := range m.conditions {
		v.conditions.keep(c.name)
	}
	for _, t := range m.types {
		v.rename(v.types, t.at, "type", t.name)
		for _, r := range t.relations {
			v.rename(v.relations, r.at, "relation", r.name)
		}
	}
	for _, c := range m.conditions {
		v.rename(v.conditions, c.at, "condition", c.name)
	}
	return v
}

// rename tells of a name that is another one here.
func (v *vocabulary) rename(in *dictionary, at Place, what, there string) {
	if here, renamed := in.name(there); renamed {
		v.change(at, "the %s %s is called %s", what, there, here)
	}
}

func (v *vocabulary) change(at Place, format string, args ...any) {
	v.changes = append(v.changes, Change{at, fmt.Sprintf(format, args...)})
}

// object reads "type:id" as it is written there.
func (v *vocabulary) object(there string) (rel.Object, error) {
	typ, id, found := strings.Cut(there, ":")
	if !found {
		return rel.ParseObject(there) // which says what is missing
	}
	return rel.NewObject(v.here(v.types, typ), id)
}

// subject reads "type:id", "type:id#relation" or "type:*" as it is written there.
func (v *vocabulary) subject(there string) (rel.Subject, error) {
	ref, relation, isUserset := strings.Cut(there, "#")
	typ, id, found := strings.Cut(ref, ":")
	if !found {
		return rel.ParseSubject(there)
	}
	here := v.here(v.types, typ) + ":" + id
	if isUserset {
		here += "#" + v.here(v.relations, relation)
	}
	return rel.ParseSubject(here)
}

// caveat reads a condition of a tuple. Values that the caveat has no parameter for,
// since nothing reads them, are left behind.
func (v *vocabulary) caveat(name string, context *yaml.Node) (rel.Caveat, error) {
	here, err := rel.ParseCaveatName(v.here(v.conditions, name))
	if err != nil {
		return rel.Caveat{}, err
	}
	values, err := contextValues(context)
	if err != nil {
		return rel.Caveat{}, err
	}
	for _, parameter := range v.unread[name] {
		delete(values, parameter)
	}
	c, err := rel.NewContext(values)
	if err == nil {
		err = c.CheckBytes(rel.TupleContextBytesMax)
	}
	return rel.Caveat{Name: here, Context: c}, err
}

// contextValues are the values of a condition's parameters; none where nothing stands.
func contextValues(n *yaml.Node) (map[string]any, error) {
	if n == nil || n.Kind == 0 || n.Tag == "!!null" {
		return nil, nil
	}
	reader := jsonReader{contextValuesMax}
	v, err := reader.value(n)
	if f := fault.Of(err); f != nil {
		return nil, f
	}
	values, is := v.(map[string]any)
	if err != nil || !is {
		return nil, fault.New(fault.ContextMustBeReadable, "the context is no mapping of parameters to values").
			Do("write a value a parameter").Because(err)
	}
	return values, nil
}

// here is what a name is called, and the name itself where the model does not have it.
func (v *vocabulary) here(in *dictionary, there string) string {
	if here, known := in.of[there]; known {
		return here
	}
	return there
}

// lacks is the fault of a relation that the model does not have; nil where it has it.
func (v *vocabulary) lacks(typ, relation string) *fault.Fault {
	if v.has[typeRelation{typ, relation}] {
		return nil
	}
	var names []string
	for each := range v.has {
		if each.typ == typ {
			names = append(names, each.relation)
		}
	}
	slices.Sort(names)
	f := fault.Newf(fault.SourceMustBeConvertible, "type %q has no relation %q", typ, relation)
	near := fault.Nearest(relation, names)
	switch _, known := v.types.of[typ]; {
	case !known:
		return fault.Newf(fault.SourceMustBeConvertible, "the model has no type %q", typ).Do("name one of its types")
	case near != "":
		return f.Do("did you mean %q?", near)
	default:
		return f.Do("it has %s", fault.List(names, 8))
	}
}
