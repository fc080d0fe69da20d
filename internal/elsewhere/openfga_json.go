package elsewhere

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
)

// A jsonModel is a model as OpenFGA's API has it.
type jsonModel struct {
	SchemaVersion scalar     `yaml:"schema_version"`
	Types         []jsonType `yaml:"type_definitions"`
	Conditions    ordered[struct {
		Expression scalar                 `yaml:"expression"`
		Parameters ordered[jsonParameter] `yaml:"parameters"`
	}] `yaml:"conditions"`
}

type jsonType struct {
	Type      scalar               `yaml:"type"`
	Relations ordered[jsonRewrite] `yaml:"relations"`
	Metadata  struct {
		Relations map[string]struct {
			Subjects []jsonRestriction `yaml:"directly_related_user_types"`
		} `yaml:"relations"`
	} `yaml:"metadata"`
}

type jsonRestriction struct {
	Type      scalar     `yaml:"type"`
	Relation  scalar     `yaml:"relation"`
	Wildcard  *yaml.Node `yaml:"wildcard"`
	Condition scalar     `yaml:"condition"`

	unknown []scalar
}

// UnmarshalYAML notes the keys that nothing reads: without one that is misspelt the
// restriction could allow more.
func (s *jsonRestriction) UnmarshalYAML(n *yaml.Node) error {
	type plain jsonRestriction
	s.unknown = unknownKeys(n, "type", "relation", "wildcard", "condition")
	return n.Decode((*plain)(s))
}

type jsonRewrite struct {
	This     *yaml.Node `yaml:"this"`
	Computed *struct {
		Relation scalar `yaml:"relation"`
	} `yaml:"computedUserset"`
	From *struct {
		Tupleset struct {
			Relation scalar `yaml:"relation"`
		} `yaml:"tupleset"`
		Computed struct {
			Relation scalar `yaml:"relation"`
		} `yaml:"computedUserset"`
	} `yaml:"tupleToUserset"`
	Union        *jsonOperands `yaml:"union"`
	Intersection *jsonOperands `yaml:"intersection"`
	Difference   *struct {
		Base     jsonRewrite `yaml:"base"`
		Subtract jsonRewrite `yaml:"subtract"`
	} `yaml:"difference"`
}

type jsonOperands struct {
	Child []jsonRewrite `yaml:"child"`
}

type jsonParameter struct {
	Type scalar          `yaml:"type_name"`
	Of   []jsonParameter `yaml:"generic_types"`
}

// parseJSONModel reads a model in JSON.
func parseJSONModel(path string, text []byte) (*model, []*fault.Fault) {
	var in jsonModel
	d, err := decode(path, jsonAsYAML(text), &in)
	if err != nil {
		return &model{}, fault.Of(err).All()
	}
	r := &jsonReading{document: d, model: &model{}}
	if v := in.SchemaVersion; v.value != "1.1" && v.value != "1.2" {
		r.refuse(v, "the model is not of schema 1.1", "convert it with OpenFGA's tools")
	}
	for _, t := range in.Types {
		r.typeDefinition(t)
	}
	for _, e := range in.Conditions {
		c := &condition{name: e.key.value, at: d.placeOf(e.key), body: e.value.Expression.value}
		for _, p := range e.value.Parameters {
			c.parameters = append(c.parameters, parameter{p.key.value, p.value.text(), d.placeOf(p.key)})
		}
		r.model.conditions = append(r.model.conditions, c)
	}
	return r.model, r.faults
}

type jsonReading struct {
	*document
	model  *model
	faults []*fault.Fault
}

func (r *jsonReading) refuse(at scalar, summary, remedy string) {
	place := r.placeOf(at)
	if at.isZero() {
		place = Place{r.path, 1, 1}
	}
	r.faults = append(r.faults, notConvertible(place, "%s", summary).Do("%s", remedy))
}

func (r *jsonReading) typeDefinition(in jsonType) {
	if in.Type.value == "" {
		r.refuse(in.Type, "a type definition has no type", "name it")
		return
	}
	t := &typeDefinition{name: in.Type.value, at: r.placeOf(in.Type)}
	r.model.types = append(r.model.types, t)
	for _, e := range in.Relations {
		relation := &relation{name: e.key.value, at: r.placeOf(e.key)}
		var ok bool
		if relation.rewrite, ok = e.value.rewrite(0); !ok {
			r.refuse(e.key, "the relation "+e.key.value+" has a rewrite that is not known, is several at once, or nests too deep", "use one of this, computedUserset, tupleToUserset, union, intersection and difference")
			continue
		}
		for _, s := range in.Metadata.Relations[e.key.value].Subjects {
			for _, key := range s.unknown {
				r.refuse(key, "a type that may be written has no key "+key.value, "it has type, relation, wildcard and condition")
			}
			relation.subjects = append(relation.subjects, restriction{
				typ: s.Type.value, relation: s.Relation.value,
				wildcard: s.Wildcard != nil, condition: s.Condition.value,
			})
		}
		t.relations = append(t.relations, relation)
	}
}

// operators counts those that are given: a rewrite has one.
func (in *jsonRewrite) operators() int {
	n := 0
	for _, given := range []bool{in.This != nil, in.Computed != nil, in.From != nil, in.Union != nil, in.Intersection != nil, in.Difference != nil} {
		if given {
			n++
		}
	}
	return n
}

func (in *jsonRewrite) rewrite(depth int) (*rewrite, bool) {
	switch {
	case depth > rewriteNestingMax || in.operators() != 1:
		return nil, false
	case in.This != nil:
		return &rewrite{op: direct}, true
	case in.Computed != nil:
		return &rewrite{op: computed, name: in.Computed.Relation.value}, true
	case in.From != nil:
		return &rewrite{op: from, name: in.From.Computed.Relation.value, tupleset: in.From.Tupleset.Relation.value}, true
	case in.Union != nil:
		return joined(union, depth, in.Union.Child...)
	case in.Intersection != nil:
		return joined(intersection, depth, in.Intersection.Child...)
	case in.Difference != nil:
		return joined(exclusion, depth, in.Difference.Base, in.Difference.Subtract)
	default:
		return nil, false
	}
}

func joined(op rewriteOp, depth int, children ...jsonRewrite) (*rewrite, bool) {
	out := &rewrite{op: op}
	for i := range children {
		child, ok := children[i].rewrite(depth + 1)
		if !ok {
			return nil, false
		}
		out.operands = append(out.operands, child)
	}
	return out, len(children) > 0
}

// text is a parameter's type as schemas write it: TYPE_NAME_LIST of a
// TYPE_NAME_STRING is list<string>.
func (p jsonParameter) text() string {
	text := strings.ToLower(strings.TrimPrefix(p.Type.value, "TYPE_NAME_"))
	if len(p.Of) == 1 {
		text += "<" + p.Of[0].text() + ">"
	}
	return text
}
