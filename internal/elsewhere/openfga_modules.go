package elsewhere

import (
	"path/filepath"

	"github.com/pemba-io/pemba/internal/fault"
)

// modulesMax bounds the modules of a model: each is opened and read.
const modulesMax = 1000

// modules reads a model that is written in several files, schema 1.2, by the file
// that lists them: fga.mod.
func (o *openfga) modules(path string, text []byte) (*model, []*fault.Fault) {
	var in struct {
		Schema   scalar   `yaml:"schema"`
		Contents []scalar `yaml:"contents"`
	}
	whole := &model{}
	d, err := decode(path, text, &in)
	if err != nil {
		return whole, fault.Of(err).All()
	}
	var faults []*fault.Fault
	for i, name := range in.Contents {
		if i == modulesMax {
			faults = append(faults, notConvertible(d.placeOf(name), "the model has more than %d modules", modulesMax).Do("join some of them"))
			break
		}
		file := filepath.Join(filepath.Dir(path), filepath.FromSlash(name.value))
		text, err := readBounded(file, o.read)
		if err != nil {
			faults = append(faults, unreadable(d.placeOf(name), "module", file, err))
			continue
		}
		m, wrong := parseModel(string(text), linesIn(file))
		faults = append(faults, wrong...)
		whole.types = append(whole.types, m.types...)
		whole.conditions = append(whole.conditions, m.conditions...)
	}
	return whole, faults
}

// join puts the relations of types that are extended where the type is, and finds
// what stands twice.
func (m *model) join() []*fault.Fault {
	var faults []*fault.Fault
	var types []*typeDefinition
	named := map[string]*typeDefinition{}
	for _, t := range m.types {
		switch first := named[t.name]; {
		case t.extends:
		case first != nil:
			faults = append(faults, twice(t.at, "type", t.name, first.at))
		default:
			named[t.name] = t
			types = append(types, t)
		}
	}
	for _, t := range m.types {
		of := named[t.name]
		switch {
		case !t.extends:
		case of == nil:
			faults = append(faults, notConvertible(t.at, "there is no type %q to extend", t.name).Do("define it in one of the modules"))
		default:
			of.relations = append(of.relations, t.relations...)
		}
	}
	m.types = types
	for _, t := range m.types {
		faults = append(faults, t.joinRelations()...)
	}
	return faults
}

func (t *typeDefinition) joinRelations() []*fault.Fault {
	var faults []*fault.Fault
	named := map[string]*relation{}
	var relations []*relation
	for _, r := range t.relations {
		if first := named[r.name]; first != nil {
			faults = append(faults, twice(r.at, "relation", r.name, first.at))
			continue
		}
		named[r.name] = r
		relations = append(relations, r)
	}
	t.relations = relations
	return faults
}

func twice(at Place, what, name string, first Place) *fault.Fault {
	return notConvertible(at, "the %s %q stands twice; first at %s", what, name, first).Do("keep one of them")
}
