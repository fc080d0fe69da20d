package engine

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
)

// A SubjectsQuestion asks for a page of the subjects that have access to an object.
type SubjectsQuestion struct {
	Object      rel.Object
	Name        rel.Name // empty: any role or permission
	Type        rel.ObjectType
	Relation    rel.Name // of usersets; empty: subjects without one, and wildcards
	Conditional bool
	// Begun says that there was a page before, and After the id that its last subject
	// had; empty where it had none but the wildcard.
	Begun    bool
	After    string
	PageSize int
	// Fits reports whether an entry still fits the page, where it is not the first; of a
	// wildcard's exceptions it is asked one by one.
	Fits func(ListedSubject) bool
}

// A SubjectsPage is a page of a list, in the order of rel.CompareIDs.
type SubjectsPage struct {
	Subjects []ListedSubject
	More     bool // whether there is a next page, which comes after After
	After    string
	Cost     Cost
}

// Subjects lists subjects. The walk has no principal.
//
// All that can give access to the object is read once (web.go), but for the plain
// subjects of wide relations, which are merged by id and read page by page. What each
// subject holds is then found from its own tuples upward, without a read; and
// subjects with the same tuples, such as ten thousand members of one group, are one.
func (w *Walk) Subjects(ctx context.Context, q SubjectsQuestion) (SubjectsPage, error) {
	if w.err != nil {
		return SubjectsPage{}, w.err
	}
	reads, pairs := w.reader.Reads(), w.pairs
	l, err := newSubjectList(ctx, w, q)
	if err != nil {
		return SubjectsPage{}, err
	}
	if err := l.fill(); err != nil {
		return SubjectsPage{}, err
	}
	l.page.Cost = Cost{Reads: w.reader.Reads() - reads, Pairs: w.pairs - pairs}
	return l.page, nil
}

// A subjectList is the making of one page.
type subjectList struct {
	*web
	question SubjectsQuestion
	listed   listed
	everyone *outcome
	alike    map[string]*outcome

	page       SubjectsPage
	wildcard   int // place of the wildcard in the page; -1 where it is not there
	entries    int // on the page, without the wildcard
	exceptions int
}

// An outcome is what subjects with the same seeds hold.
type outcome struct {
	result            Result
	role, conditional rel.Name
	own               bool // it has access by more than wildcards
	// sources are of the first of these subjects; direct says that one of them begins
	// with a tuple that names the subject.
	sources []Source
	direct  bool
}

// alikeMax bounds how many outcomes are remembered.
const alikeMax = 10_000

func newSubjectList(ctx context.Context, w *Walk, q SubjectsQuestion) (*subjectList, error) {
	d, err := w.schema.MustDefine(q.Object.Type())
	if err != nil {
		return nil, err
	}
	of, err := w.schema.MustDefine(q.Type)
	if err != nil {
		return nil, err
	}
	if q.Relation != "" {
		if _, err := of.MustHave(q.Relation); err != nil {
			return nil, err
		}
	}
	l := &subjectList{question: q, listed: listed{definition: d}, alike: make(map[string]*outcome), wildcard: -1}
	if q.Name != "" {
		name, err := d.MustHave(q.Name)
		if err != nil {
			return nil, err
		}
		l.listed.needs.Add(name.Slot)
	} else {
		for _, name := range d.Names() {
			if name.Kind != schema.KindRelation {
				l.listed.needs.Add(name.Slot)
			}
		}
	}
	l.listed.asked = l.listed.needs
	for _, role := range d.Ladder() {
		l.listed.asked.Add(role.Slot)
	}
	l.web, err = newWeb(ctx, w, q.Object, l.listed.asked, q.Type)
	return l, err
}

// fill goes through the subjects in order, as far as the page goes.
func (l *subjectList) fill() error {
	l.page.After = l.question.After
	candidates, err := l.candidates()
	if err != nil {
		return err
	}
	if err := l.everybody(); err != nil {
		return err
	}
	allowance := l.walk.allowance()
	for first := true; ; first = false {
		l.walk.enter(l.ctx) // one subject may cost what one question may
		c, more, err := candidates.next()
		if err != nil || !more {
			return err
		}
		if !first && l.walk.isSpent(allowance) {
			l.page.More = true
			return nil
		}
		fits, err := l.take(c)
		if err != nil {
			return err
		}
		if !fits {
			l.page.More = true
			return nil
		}
		l.page.After = c.id
	}
}

// everybody finds what the wildcard of the type holds, and puts it on the first page.
func (l *subjectList) everybody() error {
	if l.question.Relation != "" || len(l.wild) == 0 {
		return nil
	}
	subject := rel.Wildcard(l.question.Type)
	o := l.outcome(subject, nil, nil)
	if l.walk.err != nil {
		return l.walk.err
	}
	if !l.lists(o.result) {
		return nil
	}
	l.everyone = o
	if l.question.Begun {
		return nil
	}
	return l.putWildcard()
}

func (l *subjectList) putWildcard() error {
	entry, err := l.entry(rel.Wildcard(l.question.Type), l.everyone)
	if err != nil {
		return err
	}
	l.wildcard = len(l.page.Subjects)
	l.page.Subjects = append(l.page.Subjects, entry)
	return nil
}

func (l *subjectList) lists(r Result) bool {
	return r == Granted || r == Conditional && l.question.Conditional
}

// take puts a subject on the page, or among the exceptions of the wildcard, or both;
// fits is false where there is no room left. The first one always fits.
func (l *subjectList) take(c subjectCandidate) (fits bool, err error) {
	subject := rel.TrustedSubject(l.question.Type, c.id, l.question.Relation)
	o := l.outcomeOf(subject, c.seeds, c.self)
	if l.walk.err != nil {
		return false, l.walk.err
	}
	var exceptions []Exception
	if l.everyone != nil && o.result < l.everyone.result {
		x := Exception{Subject: subject, Result: o.result}
		if x.Missing, err = l.missing(subject, o.result); err != nil {
			return false, err
		}
		exceptions = []Exception{x}
	}
	var entries []ListedSubject
	covered := l.everyone != nil && !o.own &&
		o.result == l.everyone.result && o.role == l.everyone.role && o.conditional == l.everyone.conditional
	if l.lists(o.result) && !covered {
		entry, err := l.entry(subject, o)
		if err != nil {
			return false, err
		}
		entries = []ListedSubject{entry}
	}
	return l.put(entries, exceptions)
}

// put puts on the page what there is of a subject, all or nothing of it. The wildcard
// itself is not counted.
func (l *subjectList) put(entries []ListedSubject, exceptions []Exception) (fits bool, err error) {
	fits = l.entries+len(entries) <= l.question.PageSize && l.exceptions+len(exceptions) <= l.question.PageSize
	for _, entry := range entries {
		fits = l.fitsPage(entry) && fits
	}
	if len(exceptions) > 0 {
		fits = l.fitsPage(ListedSubject{Exceptions: exceptions}) && fits
	}
	if !fits && l.entries+l.exceptions > 0 {
		return false, nil
	}
	if len(exceptions) > 0 && l.wildcard < 0 {
		if err := l.putWildcard(); err != nil {
			return false, err
		}
	}
	if len(exceptions) > 0 {
		at := &l.page.Subjects[l.wildcard]
		at.Exceptions = append(at.Exceptions, exceptions...)
	}
	l.page.Subjects = append(l.page.Subjects, entries...)
	l.entries, l.exceptions = l.entries+len(entries), l.exceptions+len(exceptions)
	return true, nil
}

func (l *subjectList) fitsPage(entry ListedSubject) bool {
	return l.question.Fits == nil || l.question.Fits(entry)
}

// entry is what the list says of a subject.
func (l *subjectList) entry(subject rel.Subject, o *outcome) (ListedSubject, error) {
	entry := ListedSubject{Subject: subject, Result: o.result, Role: o.role, ConditionalRole: o.conditional, Sources: o.sources}
	var err error
	entry.Missing, err = l.missing(subject, o.result)
	return entry, err
}

// missing asks a walk of the subject's own what a conditional result hangs on.
func (l *subjectList) missing(subject rel.Subject, r Result) ([]Missing, error) {
	if r != Conditional {
		return nil, nil
	}
	if subject.IsWildcard() {
		subject = rel.TrustedSubject(subject.Type(), nobodysID, "")
	}
	principal, err := rel.NewPrincipal(subject)
	if err != nil {
		return nil, err
	}
	w := l.walk.of(principal)
	defer func() { l.walk.steps += w.steps }() // it is a part of the page
	n, _, err := w.ask(l.ctx, l.question.Object, l.listed.definition, l.listed.needs)
	if err != nil {
		return nil, err
	}
	_, open := l.listed.result(&n.held)
	missing, err := w.hangsOn(l.ctx, n, open)
	return slices.Clip(missing[:min(len(missing), listedMissingMax)]), err
}

// nobodysID is an id that nothing can have: whoever has it holds what everybody holds.
const nobodysID = "#"

// outcomeOf is the outcome of a subject by its own seeds and those of everybody,
// remembered for those with the same seeds.
func (l *subjectList) outcomeOf(subject rel.Subject, seeds []seed, self *vertex) *outcome {
	if self != nil || l.question.Relation != "" {
		return l.outcome(subject, seeds, self)
	}
	var key []byte
	for _, s := range seeds {
		key = binary.AppendUvarint(key, uint64(s.at.number))
		key = append(key, byte(s.at.slot), byte(s.limit))
	}
	known := l.alike[string(key)]
	if known == nil {
		known = l.outcome(subject, seeds, nil)
		if len(l.alike) == alikeMax {
			clear(l.alike)
		}
		l.alike[string(key)] = known
		return known
	}
	if !known.direct {
		return known
	}
	own := *known
	own.sources = slices.Clone(known.sources)
	for i := range own.sources {
		if t := &own.sources[i].Tuple; own.sources[i].Through.IsZero() && !t.Subject.IsZero() && !t.Subject.IsWildcard() {
			for _, s := range seeds {
				if s.at.vertex == l.root && s.tuple.Relation == t.Relation {
					*t = s.tuple
				}
			}
		}
	}
	return &own
}

// outcome finds what a subject holds by its own seeds and those of everybody.
func (l *subjectList) outcome(subject rel.Subject, own []seed, self *vertex) *outcome {
	seeds := own
	if l.question.Relation == "" {
		seeds = slices.Concat(own, l.wild)
	}
	l.holds(seeds, self)
	l.here(l.root)
	o := &outcome{}
	if o.result, _ = l.listed.result(&l.root.held); o.result == Denied {
		return o
	}
	o.role, o.conditional = l.listed.roles(&l.root.held)
	o.sources = l.sources(subject, l.listed.needs, seeds)
	for _, s := range o.sources {
		o.direct = o.direct || s.Through.IsZero() && s.Tuple.Subject == subject
	}
	if len(l.wild) > 0 {
		l.ownWays(own, self)
		o.own = !l.root.own.Meet(l.listed.needs).Empty()
	}
	return o
}

// of is a walk over the same state for somebody else.
func (w *Walk) of(p rel.Principal) *Walk {
	other := &Walk{
		brought: w.brought, schema: w.schema, reader: w.reader, principal: p, readsMax: w.readsMax, given: w.given,
		verdicts: w.verdicts, // a caveat comes to the same for everybody
		nodes:    make(map[rel.Object]*node), work: make([]stratum, w.schema.Strata()), suspended: make([]stratum, w.schema.Strata()),
	}
	return other
}
