//go:build !race

// The race detector would see one goroutine in each of these tests, and take
// minutes for it.

package worlds

import (
	"context"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// listFaults are what is planted between the lists and the referee.
var listFaults = []string{
	"an entry is lost at a page's end",
	"an entry comes again on the next page",
	"the second page is forgotten",
	"the second page is of another state",
	"the second page is of the newest state",
	"pages without an end",
	"a page is larger than asked",
	"the role one lower",
	"the conditional role is certain",
	"conditional listed as granted",
	"conditional listed unasked",
	"conditional not listed",
	"within ignored",
	"within lists the container",
	"least role ignored",
	"id prefix ignored",
	"context ignored",
	"contextual tuples ignored",
	"only the identity asks for a list",
	"the past is the present of a list",
	"a time is now",
	"objects that are only subjects forgotten",
	"missing of a list forgotten",
	"missing of another tuple",
	"the wildcard forgotten",
	"an exception forgotten",
	"an exception too many",
	"a conditional exception is denied",
	"whom the wildcard reaches has no entry",
	"the wildcard is everybody's only way",
	"usersets are not in themselves",
	"the object itself forgotten",
	"no sources",
	"a source with the highest role",
	"a source without its role",
	"a source of another tuple",
	"a source with other attributes",
	"what a source is through forgotten",
	"a source is through somebody else",
	"a source twice",
	"what gives less first",
}

// listFaulty is the product with a fault in its lists.
type listFaulty struct {
	*Product
	planted string
	told    map[string]ListPage // all pages before the one of a token
}

func (s *listFaulty) ListObjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	return s.list(ctx, s.Product.ListObjects, q, of, token)
}

func (s *listFaulty) ListSubjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error) {
	return s.list(ctx, s.Product.ListSubjects, q, of, token)
}

// noEnd is the token of a page that follows itself.
const noEnd = "no end"

type pageAsker func(context.Context, Listing, Moment, string) (ListPage, error)

func (s *listFaulty) list(ctx context.Context, ask pageAsker, q Listing, of Moment, token string) (ListPage, error) {
	if token == noEnd {
		return ListPage{Snapshot: s.told[noEnd].Snapshot, Next: noEnd}, nil
	}
	asked := q
	s.misread(&q, &of)
	page, err := ask(ctx, q, of, token)
	if err != nil {
		return page, err
	}
	before := s.told[token]
	if token == "" {
		before = ListPage{Snapshot: page.Snapshot}
	}
	all := ListPage{page.Snapshot, slices.Concat(before.Objects, page.Objects), slices.Concat(before.Subjects, page.Subjects), ""}
	if page.Next != "" {
		s.told[page.Next] = all
	}
	tuples, err := s.Tuples(ctx)
	if err != nil {
		return page, err
	}
	page.Objects, page.Subjects = slices.Clone(page.Objects), slices.Clone(page.Subjects)
	switch {
	case token != "":
		err = s.secondPage(ctx, ask, q, of, before, &page)
	case s.planted == "the second page is forgotten":
		page.Next = ""
	case s.planted == "within lists the container" && !q.Within.IsZero() && q.Within.Type() == q.Type && page.Next == "":
		q.Within, q.PageSize = rel.Object{}, 1000
		anywhere, _ := ask(ctx, q, of, "")
		for _, o := range anywhere.Objects {
			if o.Object == asked.Within && !slices.ContainsFunc(page.Objects, func(p ListedObject) bool { return p.Object == o.Object }) {
				page.Objects = append(page.Objects[:min(len(page.Objects), asked.PageSize-1)], o)
			}
		}
	}
	for i := range page.Objects {
		o := &page.Objects[i]
		s.misstate(&o.Listed, &o.Missing, namesOfLadder(s.Product, o.Object.Type()))
	}
	for i := range page.Subjects {
		e := &page.Subjects[i]
		ladder := namesOfLadder(s.Product, q.Object.Type())
		s.misstate(&e.Listed, &e.Missing, ladder)
		e.Sources, e.Exceptions = slices.Clone(e.Sources), slices.Clone(e.Exceptions)
		for j := range e.Sources {
			s.missource(&e.Sources[j], ladder, tuples)
		}
		s.misexcept(e)
	}
	page.Objects = slices.DeleteFunc(page.Objects, func(o ListedObject) bool {
		return s.planted == "objects that are only subjects forgotten" &&
			!slices.ContainsFunc(slices.Concat(tuples, q.Contextual), func(t rel.Tuple) bool { return t.Object == o.Object })
	})
	page.Subjects = slices.DeleteFunc(page.Subjects, func(e ListedSubject) bool { return s.forgets(q, e, all) })
	return page, err
}

// misread asks for something else.
func (s *listFaulty) misread(q *Listing, of *Moment) {
	switch s.planted {
	case "a page is larger than asked":
		q.PageSize++
	case "conditional listed unasked":
		q.Conditional = true
	case "conditional not listed":
		q.Conditional = false
	case "within ignored":
		q.Within = rel.Object{}
	case "least role ignored":
		q.MinRole = ""
	case "id prefix ignored":
		q.IDPrefix = ""
	case "context ignored":
		q.Context = rel.Context{}
	case "contextual tuples ignored":
		q.Contextual = nil
	case "only the identity asks for a list":
		if subjects := q.Principal.Subjects(); len(subjects) > 1 {
			q.Principal = keeping(q.Principal, func(s rel.Subject) bool { return s == subjects[0] })
		}
	case "the past is the present of a list":
		*of = Moment{Write: newest}
	case "a time is now":
		*of = Moment{Write: of.Write}
	}
}

// secondPage is what can go wrong on every page but the first.
func (s *listFaulty) secondPage(ctx context.Context, ask pageAsker, q Listing, of Moment, before ListPage, page *ListPage) error {
	switch s.planted {
	case "an entry is lost at a page's end":
		page.Objects, page.Subjects = page.Objects[min(1, len(page.Objects)):], page.Subjects[min(1, len(page.Subjects)):]
	case "an entry comes again on the next page":
		if n := len(before.Objects); n > 0 {
			page.Objects[0] = before.Objects[n-1]
		}
		if n := len(before.Subjects); n > 0 {
			page.Subjects[0] = before.Subjects[n-1]
		}
	case "the second page is of another state":
		page.Snapshot.Revision++
	case "pages without an end":
		if page.Next == "" {
			page.Next = noEnd
			s.told[noEnd] = before
		}
	case "the second page is of the newest state":
		q.PageSize = 1000
		again, err := ask(ctx, q, of, "")
		page.Next = ""
		page.Objects, _ = cut(again.Objects[min(len(before.Objects), len(again.Objects)):], 1)
		page.Subjects, _ = cut(again.Subjects[min(len(before.Subjects), len(again.Subjects)):], 1)
		return err
	}
	return nil
}

func (s *listFaulty) misstate(l *oracle.Listed, missing *[]oracle.Missing, ladder []rel.Name) {
	i := slices.Index(ladder, l.Role)
	switch {
	case s.planted == "the role one lower" && i > 0:
		l.Role = ladder[i-1]
	case s.planted == "the conditional role is certain" && l.ConditionalRole != "":
		l.Role, l.ConditionalRole = l.ConditionalRole, ""
	case s.planted == "conditional listed as granted":
		l.Result, *missing = oracle.Yes, nil
	case s.planted == "missing of a list forgotten":
		*missing = nil
	case s.planted == "missing of another tuple" && len(*missing) > 0:
		*missing = slices.Clone(*missing)
		(*missing)[0].Key.Relation = "another"
	}
}

func (s *listFaulty) misexcept(e *ListedSubject) {
	switch {
	case len(e.Exceptions) == 0:
	case s.planted == "an exception forgotten" && len(e.Exceptions) > 0:
		e.Exceptions = e.Exceptions[1:]
	case s.planted == "a conditional exception is denied":
		e.Exceptions[0].Result, e.Exceptions[0].Missing = oracle.No, nil
	case s.planted == "an exception too many":
		e.Exceptions = append(e.Exceptions, Exception{Subject: rel.Of(objectOf(string(e.Subject.Type()), "stranger"))})
	}
	if s.planted == "no sources" {
		e.Sources = nil
	}
	if s.planted == "what gives less first" && len(e.Sources) > 0 && e.Sources[0].Role != "" {
		e.Sources = slices.Insert(e.Sources, 0, Source{Way: e.Sources[0].Way})
	}
	if s.planted == "a source twice" && len(e.Sources) > 0 {
		e.Sources = append(e.Sources, e.Sources[0])
	}
}

func (s *listFaulty) missource(source *Source, ladder []rel.Name, tuples []rel.Tuple) {
	switch {
	case s.planted == "a source with the highest role" && len(ladder) > 0:
		source.Role = ladder[len(ladder)-1]
	case s.planted == "a source without its role":
		source.Role = ""
	case s.planted == "what a source is through forgotten":
		source.Through = rel.Subject{}
	case s.planted == "a source is through somebody else" && !source.Through.IsZero():
		o, _ := source.Through.Object()
		source.Through = rel.Userset(objectOf(string(o.Type()), o.ID()+"x"), source.Through.Relation())
	case s.planted == "a source with other attributes":
		source.Tuple.Caveat.Name += "x"
	case s.planted == "a source of another tuple":
		for _, t := range tuples {
			if t.Object == source.Tuple.Object && t != source.Tuple {
				source.Tuple = t
			}
		}
	}
}

// forgets reports whether an entry is left out.
func (s *listFaulty) forgets(q Listing, e ListedSubject, all ListPage) bool {
	wildcard := rel.Wildcard(q.Type)
	of := slices.IndexFunc(all.Subjects, func(e ListedSubject) bool { return e.Subject == wildcard })
	o, _ := e.Subject.Object()
	switch s.planted {
	case "the wildcard forgotten":
		return e.Subject == wildcard
	case "whom the wildcard reaches has no entry":
		return e.Subject != wildcard && of >= 0
	case "the wildcard is everybody's only way":
		return e.Subject != wildcard && of >= 0 && e.Listed == all.Subjects[of].Listed
	case "usersets are not in themselves":
		return e.Subject.IsUserset() && o == q.Object
	case "the object itself forgotten":
		return !e.Subject.IsUserset() && o == q.Object
	}
	return false
}

func namesOfLadder(p *Product, typ rel.ObjectType) []rel.Name {
	var names []rel.Name
	if d := p.Schema().Definition(typ); d != nil {
		for _, role := range d.Ladder() {
			names = append(names, role.Name)
		}
	}
	return names
}

// Each of these is found among few lists, and shrunk to what a person can read.
func TestPlantedFaultsInListsAreFoundAndShrunk(t *testing.T) {
	known := worldsKept{}
	every := max(*everyFault, 1)
	for i := 0; i < len(listFaults); i += every {
		t.Run(listFaults[i], func(t *testing.T) {
			const listsMax = 50_000
			var tally Tally
			for seed := uint64(1); tally.Lists < listsMax; seed++ {
				w := known.keep(seed, func() Trial { return New(seed).fewLists() })
				system := &listFaulty{Product: product(t), planted: listFaults[i], told: map[string]ListPage{}}
				got, finding, err := find(t.Context(), system, seed, w.trial, w.book)
				if err != nil {
					t.Fatal(err)
				}
				tally.Add(got)
				if finding == nil {
					continue
				}
				t.Logf("found after %d lists\n%s", tally.Lists, finding)
				if finding.Second == nil {
					t.Error("the small trial does not fail any more")
				}
				oraclePasses(t, finding.String())
				return
			}
			t.Errorf("not found in %v", tally)
		})
	}
}
