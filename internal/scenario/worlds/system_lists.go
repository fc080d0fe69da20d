package worlds

import (
	"context"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// ListObjects asks for a page of objects.
func (p *Product) ListObjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	page, err := pageOf(q, of, token)
	if err != nil {
		return ListPage{}, err
	}
	answer, err := p.Service().ListObjects(ctx, service.ObjectsQuery{
		Store: rel.DefaultStore, Consistency: p.consistency(of),
		Type: q.Type, Name: q.Name, Principal: q.Principal, Brought: brought(q.Asker),
		Within: q.Within, MinRole: q.MinRole, IDPrefix: q.IDPrefix,
		Conditional: q.Conditional, PageSize: q.PageSize, Page: page,
	})
	told := ListPage{Snapshot: answer.Snapshot, Next: answer.Next}
	for _, o := range answer.Objects {
		told.Objects = append(told.Objects, ListedObject{o.Object, listedOf(o.Result, o.Role, o.ConditionalRole), missingOf(o.Missing)})
	}
	return told, err
}

// ListSubjects asks for a page of subjects.
func (p *Product) ListSubjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	page, err := pageOf(q, of, token)
	if err != nil {
		return ListPage{}, err
	}
	answer, err := p.Service().ListSubjects(ctx, service.SubjectsQuery{
		Store: rel.DefaultStore, Consistency: p.consistency(of),
		Object: q.Object, Name: q.Name, Type: q.Type, Relation: q.Relation, Brought: brought(q.Asker),
		Conditional: q.Conditional, PageSize: q.PageSize, Page: page,
	})
	told := ListPage{Snapshot: answer.Snapshot, Next: answer.Next}
	for _, s := range answer.Subjects {
		entry := ListedSubject{Subject: s.Subject, Listed: listedOf(s.Result, s.Role, s.ConditionalRole), Missing: missingOf(s.Missing)}
		for _, source := range s.Sources {
			entry.Sources = append(entry.Sources, Source{source.Role, oracle.Way{Tuple: source.Tuple, Through: source.Through}})
		}
		for _, x := range s.Exceptions {
			entry.Exceptions = append(entry.Exceptions, Exception{x.Subject, truthOf(x.Result), missingOf(x.Missing)})
		}
		told.Subjects = append(told.Subjects, entry)
	}
	return told, err
}

// pageOf is the page that a token leads to.
func pageOf(q Listing, of Moment, token string) (service.Page, error) {
	q.PageSize = 0 // which may change from page to page
	return service.FirstPage(q.String(), of.String()).At(token)
}

func (p *Product) consistency(of Moment) service.Consistency {
	switch {
	case !of.Time.IsZero():
		return service.Consistency{Time: &of.Time}
	case of.Write != newest:
		return service.Consistency{Exact: &p.marks[of.Write]}
	}
	return service.Consistency{}
}

func listedOf(result engine.Result, role, conditional rel.Name) oracle.Listed {
	return oracle.Listed{Result: truthOf(result), Role: role, ConditionalRole: conditional}
}

func truthOf(r engine.Result) oracle.Truth {
	switch r {
	case engine.Granted:
		return oracle.Yes
	case engine.Conditional:
		return oracle.Conditional
	}
	return oracle.No
}
