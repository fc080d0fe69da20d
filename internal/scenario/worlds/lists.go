package worlds

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Lister is a System that lists, page by page; an empty token asks for the first.
type Lister interface {
	ListObjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error)
	ListSubjects(ctx context.Context, q Listing, of Moment, token string) (ListPage, error)
}

// A Listing asks for a list: for objects of a type, by a principal; or for subjects of
// one, and then Object is where they have access and the principal is nobody.
type Listing struct {
	Question // the name is empty for subjects with any role or permission
	Type     rel.ObjectType
	Relation rel.Name // of the subjects

	// Of objects alone.
	Within   rel.Object
	MinRole  rel.Name
	IDPrefix string

	Conditional bool
	PageSize    int
	// Interrupted asks for the pages after the first when the next write is done.
	Interrupted bool
}

// A Moment is which state a list is of, and at which time.
type Moment struct {
	Write int       // that the n-th accepted write left, 0 for what was loaded; newest for the newest
	Time  time.Time // the state of this time, evaluated at it; zero: that of Write, evaluated now
}

const newest = -1

func (m Moment) String() string {
	return strconv.Itoa(m.Write) + " at " + m.Time.Format(time.RFC3339Nano)
}

// A ListPage is one page of either list.
type ListPage struct {
	Snapshot rel.Snapshot
	Objects  []ListedObject
	Subjects []ListedSubject
	Next     string
}

// size is how much of a page counts: a wildcard does not, and comes again with its
// exceptions.
func (p ListPage) size() int {
	n := len(p.Objects)
	for _, s := range p.Subjects {
		if !s.Subject.IsWildcard() {
			n++
		}
	}
	return n
}

// A ListedObject is what a system says of an object of a list.
type ListedObject struct {
	Object rel.Object
	oracle.Listed
	Missing []oracle.Missing
}

// A ListedSubject is what it says of a subject.
type ListedSubject struct {
	Subject rel.Subject
	oracle.Listed
	Sources    []Source
	Exceptions []Exception
	Missing    []oracle.Missing
}

// A Source is a way to what is had on the object, and the role that it gives.
type Source struct {
	Role rel.Name
	oracle.Way
}

// An Exception is somebody whom a wildcard does not reach.
type Exception struct {
	Subject rel.Subject
	Result  oracle.Truth
	Missing []oracle.Missing
}

// String is the listing with all that tells it from another.
func (q Listing) String() string {
	var b strings.Builder
	what := q.Name
	if what == "" {
		what = "anything"
	}
	if q.Object.IsZero() {
		fmt.Fprintf(&b, "%s with %s by %s", q.Type, what, q.Principal)
	} else {
		fmt.Fprintf(&b, "%s with %s on %s", rel.Filter{SubjectType: q.Type, SubjectRelation: &q.Relation}, what, q.Object)
	}
	if !q.Within.IsZero() {
		fmt.Fprintf(&b, " within %s", q.Within)
	}
	if q.MinRole != "" {
		fmt.Fprintf(&b, " from %s on", q.MinRole)
	}
	if q.IDPrefix != "" {
		fmt.Fprintf(&b, " id %s…", q.IDPrefix)
	}
	if q.Conditional {
		b.WriteString(" or conditionally")
	}
	if q.Interrupted {
		b.WriteString(" interrupted")
	}
	fmt.Fprintf(&b, " by %d%s%s", q.PageSize, withText(q.Context), q.besideText())
	return b.String()
}

func (q Listing) objects() oracle.ObjectsQuestion {
	return oracle.ObjectsQuestion{
		Type: q.Type, Name: q.Name, Within: q.Within, MinRole: q.MinRole, IDPrefix: q.IDPrefix, Conditional: q.Conditional,
	}
}

func (q Listing) subjects() oracle.SubjectsQuestion {
	return oracle.SubjectsQuestion{Object: q.Object, Name: q.Name, Type: q.Type, Relation: q.Relation, Conditional: q.Conditional}
}

// pagesMax bounds a list that does not end. Pages may be empty; but nothing of a
// small world takes so many.
const pagesMax = 5_000

// A pager gathers the pages of one list, and judges the whole.
type pager struct {
	way      Way
	asked    Listing
	of       Moment
	pages    int
	page     ListPage // the last one
	objects  []ListedObject
	subjects []ListedSubject
	judge    func(p *pager) *Disagreement
}

// list asks for lists of the present, or of the past where a step says so.
func (r *referee) list(step Step) *Disagreement {
	lister, ok := r.system.(Lister)
	if !ok {
		return nil
	}
	world, state, now := r.world, r.state, r.now
	defer func() { r.world, r.state, r.now = world, state, now }()
	of := r.moment(step)
	for i, q := range step.Lists {
		p := &pager{way: step.Way, asked: q, of: of, judge: r.judgeOf(step.Way, q)}
		d := p.turn(r.ctx, lister)
		switch {
		case d != nil:
		case q.Interrupted && p.page.Next != "":
			r.open = append(r.open, p)
			r.tally.Interrupted++
			continue
		default:
			d = r.finish(p, lister)
		}
		if d != nil {
			d.Question, d.Way = i, step.Way
			return d
		}
		if of.Write != newest {
			r.tally.PastLists++
		}
	}
	return nil
}

// moment is the state that a step asks of, which is made the present one.
func (r *referee) moment(step Step) Moment {
	if step.Back == 0 {
		return Moment{Write: newest}
	}
	write := max(0, len(r.past)-1-step.Back)
	of := Moment{Write: write}
	// No write comes within a second of another: what a system does with a time in
	// between is no matter of its rounding.
	if then := r.times[write].Add(500 * time.Millisecond); step.AtTime && !then.After(r.now) {
		of.Time, r.now = then, then
	}
	r.world, r.state = r.past[write].At(r.now), -1-write
	return of
}

// finishOpen asks for what is left of the lists that were interrupted.
func (r *referee) finishOpen() *Disagreement {
	lister, _ := r.system.(Lister)
	for _, p := range r.open {
		if d := r.finish(p, lister); d != nil {
			d.Question, d.Way = questionsAll, p.way
			return d
		}
	}
	r.open = nil
	return nil
}

// questionsAll is where a disagreement is that takes every question before it.
const questionsAll = 1 << 30

func (r *referee) finish(p *pager, lister Lister) *Disagreement {
	for p.page.Next != "" {
		if d := p.turn(r.ctx, lister); d != nil {
			return d
		}
	}
	if d := p.judge(p); d != nil {
		return d
	}
	r.tally.Lists++
	r.tally.Pages += p.pages
	return nil
}

// turn asks for the next page.
func (p *pager) turn(ctx context.Context, lister Lister) *Disagreement {
	ask := lister.ListObjects
	if p.way == ListSubjects {
		ask = lister.ListSubjects
	}
	page, err := ask(ctx, p.asked, p.of, p.page.Next)
	p.pages++
	switch {
	case err != nil:
		return p.differs(errorText(err), "a page")
	case p.pages > 1 && page.Snapshot != p.page.Snapshot:
		return p.differs("that another page is of another state", "that all are of that of the first")
	case page.Next != "" && page.Next == p.page.Next || p.pages > pagesMax:
		return p.differs("that more pages follow for ever", "an end")
	case page.size() > p.asked.PageSize:
		return p.differs(fmt.Sprintf("%d on one page", page.size()), fmt.Sprintf("at most %d", p.asked.PageSize))
	}
	p.page = page
	p.objects = append(p.objects, page.Objects...)
	p.subjects = append(p.subjects, page.Subjects...)
	return nil
}

func (p *pager) differs(got, want string) *Disagreement {
	return &Disagreement{Asked: p.asked.String(), Got: got, Want: want}
}

// judgeOf is what will judge a list: by the state that there is now.
func (r *referee) judgeOf(way Way, q Listing) func(*pager) *Disagreement {
	if way == ListSubjects {
		everybody := r.everybody(q.Asker)
		want := everybody.Subjects(q.subjects())
		return func(p *pager) *Disagreement { return r.judgeSubjects(p, everybody, want) }
	}
	access := r.of(q.Asker, r.now)
	want := access.Objects(q.objects())
	return func(p *pager) *Disagreement { return r.judgeObjects(p, access, want) }
}

// everybody is what each subject holds in requests that bring the same.
func (r *referee) everybody(a Asker) *oracle.Everybody {
	a.Principal = rel.Principal{}
	key := r.key(a, r.now)
	if r.known.everybody[key] == nil {
		r.known.everybody[key] = r.seenBy(a, r.now).Everybody(a.Context)
	}
	return r.known.everybody[key]
}

func (r *referee) judgeObjects(p *pager, access *oracle.Access, want map[rel.Object]oracle.Listed) *Disagreement {
	seen := map[rel.Object]bool{}
	for _, o := range p.objects {
		switch wanted, is := want[o.Object]; {
		case seen[o.Object]:
			return p.differs(o.Object.String()+" twice", "it once")
		case !is:
			return p.differs(o.Object.String()+" "+listedText(o.Listed), "it is not listed")
		case o.Listed != wanted:
			return p.differs(o.Object.String()+" "+listedText(o.Listed), listedText(wanted))
		}
		seen[o.Object] = true
		if d := p.open(o.Object.String(), o.Result, o.Missing, func() []oracle.Missing { return access.ObjectsOpen(o.Object, p.asked.objects()) }); d != nil {
			return d
		}
	}
	for _, o := range sortedKeys(want, rel.Object.Compare) {
		if !seen[o] {
			return p.differs("nothing of "+o.String(), listedText(want[o]))
		}
	}
	r.tally.ListTally.objects(p, access, want)
	return nil
}

// listedMissingMax is how many open tuples an entry of a list tells of.
const listedMissingMax = 10

// open judges what a conditional entry is said to hang on.
func (p *pager) open(whose string, result oracle.Truth, missing []oracle.Missing, all func() []oracle.Missing) *Disagreement {
	switch {
	case result != oracle.Conditional && len(missing) == 0:
		return nil
	case (result == oracle.Conditional) != (len(missing) > 0):
		return p.differs(fmt.Sprintf("%s %s%s", whose, result, missingText(missing)), "what hangs on something, and nothing else, says what on")
	case len(missing) > listedMissingMax:
		return p.differs(fmt.Sprintf("%s hangs on %d tuples", whose, len(missing)), fmt.Sprintf("at most %d", listedMissingMax))
	}
	known := all()
	for i, m := range missing {
		same := func(n oracle.Missing) bool {
			return m.Key == n.Key && m.Caveat == n.Caveat && m.Problem == n.Problem && slices.Equal(m.Parameters, n.Parameters)
		}
		if !slices.ContainsFunc(known, same) || slices.ContainsFunc(missing[:i], same) {
			return p.differs(whose+" hangs on"+missingText(missing), "one or more, each once, of"+missingText(known))
		}
	}
	return nil
}

func listedText(l oracle.Listed) string {
	return fmt.Sprintf("%s as %s, conditionally %s", l.Result, roleText(l.Role), roleText(l.ConditionalRole))
}

func sortedKeys[K comparable, V any](m map[K]V, compare func(K, K) int) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}
