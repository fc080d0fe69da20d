package schema

import (
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// CheckFilter says whether a filter's types and names exist: a misspelt one would
// select nothing, and look like an answer.
func (s *Schema) CheckFilter(f rel.Filter) error {
	if f.ObjectType != "" {
		d, err := s.MustDefine(f.ObjectType)
		if err != nil {
			return err
		}
		if err := mustStore(d, f.Relation); err != nil {
			return err
		}
	} else if f.Relation != "" && !s.storesSomewhere(f.Relation) {
		return fault.Newf(fault.NameMustExist, "no type of the schema has a relation %q", f.Relation).
			With("name", string(f.Relation)).Do("correct the name, or name the object's type beside it")
	}
	if f.SubjectType == "" {
		return nil
	}
	d, err := s.MustDefine(f.SubjectType)
	if err != nil {
		return err
	}
	if f.SubjectRelation != nil && *f.SubjectRelation != "" {
		_, err = d.MustHave(*f.SubjectRelation)
	}
	return err
}

func mustStore(d *Definition, name rel.Name) error {
	if name == "" {
		return nil
	}
	n, err := d.MustHave(name)
	if err != nil {
		return err
	}
	if n.Relation == nil {
		return fault.Newf(fault.NameMustExist, "%s %q of type %q is computed, and has no tuples", n.Kind, n.Name, d.Type).
			Do("ask Check or EffectiveAccess for it, or read a relation that it is computed from")
	}
	return nil
}

func (s *Schema) storesSomewhere(name rel.Name) bool {
	for _, d := range s.definitions {
		if d.Relation(name) != nil {
			return true
		}
	}
	return false
}
