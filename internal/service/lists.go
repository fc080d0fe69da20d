package service

import (
	"context"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// An ObjectsQuery asks for the objects of a type on which a principal holds a name,
// page by page.
type ObjectsQuery struct {
	Store       rel.Store
	Consistency Consistency
	Type        rel.ObjectType
	Name        rel.Name
	Principal   rel.Principal
	Brought
	Within      rel.Object // zero: anywhere
	MinRole     rel.Name   // empty: whatever the role
	IDPrefix    string
	Conditional bool // whether what hangs on a condition is listed, too
	PageSize    int  // 1 to PageSizeMax
	Page        Page
	// Measure says at most how many bytes an entry takes on the way to the client, and
	// PageBytes how many a page may; a first entry always fits. Without a Measure
	// entries take none.
	Measure   func(engine.ListedObject) int
	PageBytes int
}

// An ObjectsAnswer is one page of objects.
type ObjectsAnswer struct {
	Snapshot rel.Snapshot
	Objects  []engine.ListedObject
	Next     string // the next page's token; empty on the last page
	Cost     engine.Cost
}

// ListObjects lists objects. All pages of a list are of the first page's snapshot and
// time.
func (s *Service) ListObjects(ctx context.Context, q ObjectsQuery) (ObjectsAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.lookForPage(ctx, q.Store, q.Consistency, q.Page)
	if err != nil {
		return ObjectsAnswer{}, err
	}
	defer v.Close()
	if err := v.knowsObjects(q); err != nil {
		return ObjectsAnswer{}, err
	}
	room := q.PageBytes
	page, err := s.walk(v, q.Principal, q.Brought, false).Objects(ctx, engine.ObjectsQuestion{
		Type: q.Type, Name: q.Name, Within: q.Within, MinRole: q.MinRole, Conditional: q.Conditional,
		IDs:      rel.IDs{Prefix: q.IDPrefix, After: string(q.Page.after)},
		PageSize: q.PageSize,
		Fits: func(entry engine.ListedObject) bool {
			if q.Measure != nil {
				room -= q.Measure(entry)
			}
			return room >= 0
		},
	})
	if err != nil {
		return ObjectsAnswer{}, err
	}
	answer := ObjectsAnswer{Snapshot: v.Token(), Objects: page.Objects, Cost: page.Cost}
	if page.After != "" {
		answer.Next = q.Page.next(v.Snapshot, tupledb.Cursor(page.After))
	}
	return answer, nil
}

func (v *view) knowsObjects(q ObjectsQuery) error {
	k := knowing{schema: v.schema}
	d := k.name("object_type", "permission", q.Type, q.Name)
	if d != nil && q.MinRole != "" {
		_, err := d.MustHaveRole(q.MinRole)
		k.add("min_role", err)
	}
	if !q.Within.IsZero() {
		k.name("within", "", q.Within.Type(), "")
	}
	k.brought(q.Brought)
	k.principal(q.Principal)
	return fault.Join(k.faults)
}

// A SubjectsQuery asks for the subjects of a type that have access to an object, page
// by page.
type SubjectsQuery struct {
	Store       rel.Store
	Consistency Consistency
	Object      rel.Object
	Name        rel.Name // empty: any role or permission
	Type        rel.ObjectType
	Relation    rel.Name // of usersets; empty: subjects without one, and wildcards
	Brought
	Conditional bool
	PageSize    int
	Page        Page
	// Measure and PageBytes are as in ObjectsQuery.
	Measure   func(engine.ListedSubject) int
	PageBytes int
}

// A SubjectsAnswer is one page of subjects.
type SubjectsAnswer struct {
	Snapshot rel.Snapshot
	Subjects []engine.ListedSubject
	Next     string
	Cost     engine.Cost
}

// ListSubjects lists subjects. All pages of a list are of the first page's snapshot and
// time.
func (s *Service) ListSubjects(ctx context.Context, q SubjectsQuery) (SubjectsAnswer, error) {
	ctx, cancel := s.budget(ctx)
	defer cancel()
	v, err := s.lookForPage(ctx, q.Store, q.Consistency, q.Page)
	if err != nil {
		return SubjectsAnswer{}, err
	}
	defer v.Close()
	if err := v.knowsSubjects(q); err != nil {
		return SubjectsAnswer{}, err
	}
	begun, after := len(q.Page.after) > 0, ""
	if begun {
		after = string(q.Page.after[1:])
	}
	room := q.PageBytes
	page, err := s.walk(v, rel.Principal{}, q.Brought, false).Subjects(ctx, engine.SubjectsQuestion{
		Object: q.Object, Name: q.Name, Type: q.Type, Relation: q.Relation, Conditional: q.Conditional,
		Begun: begun, After: after, PageSize: q.PageSize,
		Fits: func(entry engine.ListedSubject) bool {
			if q.Measure != nil {
				room -= q.Measure(entry)
			}
			return room >= 0
		},
	})
	if err != nil {
		return SubjectsAnswer{}, err
	}
	answer := SubjectsAnswer{Snapshot: v.Token(), Subjects: page.Subjects, Cost: page.Cost}
	if page.More {
		answer.Next = q.Page.next(v.Snapshot, append(tupledb.Cursor{subjectsBegun}, page.After...))
	}
	return answer, nil
}

// subjectsBegun begins the place of a page of subjects that is not the first: the
// first alone may have listed nobody but the wildcard.
const subjectsBegun = 's'

func (v *view) knowsSubjects(q SubjectsQuery) error {
	k := knowing{schema: v.schema}
	k.name("object", "permission", q.Object.Type(), q.Name)
	k.name("subject_type", "subject_relation", q.Type, q.Relation)
	k.brought(q.Brought)
	return fault.Join(k.faults)
}
