package worlds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/invariant"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Disagreement is the first answer of a trial that is not the oracle's.
type Disagreement struct {
	Step, Question int // where in the trial
	Way            Way
	Asked          string
	Got, Want      string
}

func (d *Disagreement) String() string {
	asked := d.Asked
	if d.Step >= 0 {
		asked = d.Way.String() + " " + asked
	}
	return fmt.Sprintf("%s: the system says %s, the oracle says %s", asked, d.Got, d.Want)
}

// Run plays a trial on a system and compares every answer. It returns the first
// disagreement, nil for none. An error is that the oracle itself could not play
// the trial: the world is no world.
func (t Trial) Run(ctx context.Context, system System) (Tally, *Disagreement, error) {
	return t.run(ctx, system, newBook())
}

// run is Run with a book that other systems may have played this trial by.
func (t Trial) run(ctx context.Context, system System, known *book) (Tally, *Disagreement, error) {
	world, err := known.state(0, func() (*oracle.Oracle, error) {
		return oracle.LoadAt(folded(t.Schema, t.Apart), t.Tuples, start)
	})
	if err != nil {
		return Tally{}, nil, err
	}
	r := newReferee(ctx, system, world, known)
	if err := system.Load(ctx, start, t.schemaText(), t.Tuples); err != nil {
		return r.tally, &Disagreement{Step: -1, Asked: "load", Got: errorText(err), Want: "no error"}, nil
	}
	for i, step := range t.Steps {
		d := r.play(step)
		if d == nil && (step.Way == Write || i == len(t.Steps)-1) {
			d = r.finishOpen()
		}
		if d != nil {
			d.Step = i
			if d.Way == 0 {
				d.Way = step.Way
			}
			return r.tally, d, nil
		}
	}
	return r.tally, nil, nil
}

// schemaText is the schema as a system reads it.
func (t Trial) schemaText() string { return SchemaText(folded(t.Schema, t.Apart)) }

// A book keeps what the oracle has said of one trial. The states that a trial
// passes are the same for every system, up to where it disagrees.
type book struct {
	states    []*oracle.Oracle
	access    map[string]*oracle.Access    // by state, time and asker
	everybody map[string]*oracle.Everybody // the same, but nobody asks
}

func newBook() *book {
	return &book{access: map[string]*oracle.Access{}, everybody: map[string]*oracle.Everybody{}}
}

// state is the n-th state of the trial; whoever comes to it first makes it.
func (b *book) state(n int, first func() (*oracle.Oracle, error)) (*oracle.Oracle, error) {
	if n < len(b.states) {
		return b.states[n], nil
	}
	made, err := first()
	if err == nil {
		b.states = append(b.states, made)
	}
	return made, err
}

// A referee holds a system against the oracle through one trial.
type referee struct {
	ctx    context.Context
	system System
	known  *book
	state  int
	world  *oracle.Oracle   // of the state
	past   []*oracle.Oracle // what was loaded, and what each accepted write left
	times  []time.Time      // when that was
	open   []*pager         // lists that were interrupted
	now    time.Time
	tally  Tally
	opened int // explanations with openings
}

func newReferee(ctx context.Context, system System, world *oracle.Oracle, known *book) *referee {
	return &referee{ctx: ctx, system: system, known: known, world: world, past: []*oracle.Oracle{world}, times: []time.Time{start}, now: start, tally: Tally{Worlds: 1}}
}

// enter goes on to the next state.
func (r *referee) enter(next *oracle.Oracle) {
	r.state++
	r.world, _ = r.known.state(r.state, func() (*oracle.Oracle, error) { return next, nil })
}

func (r *referee) play(s Step) *Disagreement {
	switch s.Way {
	case Check:
		for i, q := range s.Questions {
			answer, err := r.system.Check(r.ctx, q)
			if d := r.compare(q, answer, err); d != nil {
				d.Question = i
				return d
			}
		}
	case Batch:
		answers, err := r.system.Batch(r.ctx, s.Questions)
		if err == nil && len(answers) != len(s.Questions) {
			err = fmt.Errorf("a batch of %d has %d answers", len(s.Questions), len(answers))
		}
		for i, q := range s.Questions {
			var answer Answer
			if err == nil {
				answer = answers[i]
			}
			if d := r.compare(q, answer, err); d != nil {
				d.Question = i
				return d
			}
		}
	case Effective:
		for i, q := range s.Questions {
			if d := r.effective(q); d != nil {
				d.Question = i
				return d
			}
		}
	case Expand:
		for i, q := range s.Questions {
			if d := r.expand(q); d != nil {
				d.Question = i
				return d
			}
		}
	case ListObjects, ListSubjects:
		return r.list(s)
	case Explain:
		for i, q := range s.Questions {
			if d := r.explain(q); d != nil {
				d.Question = i
				return d
			}
		}
	case Past:
		return r.remember(s.Back, s.Questions)
	case Write:
		return r.write(s.Actor, s.Updates)
	case Advance:
		r.now = s.To
		r.enter(r.world.At(s.To))
		r.system.Advance(s.To)
	}
	return nil
}

// of is what an asker holds in the present state, at a time.
func (r *referee) of(a Asker, at time.Time) *oracle.Access {
	key := r.key(a, at)
	known := r.known.access[key]
	if known == nil {
		known = r.seenBy(a, at).For(a.Principal, a.Context)
		r.known.access[key] = known
	}
	return known
}

// key is under which what is known of an asker is kept. A state of the past has a
// number of its own.
func (r *referee) key(a Asker, at time.Time) string {
	return strconv.Itoa(r.state) + " " + strconv.FormatInt(at.UnixMicro(), 10) + " " + a.String()
}

// seenBy is the present state as an asker sees it at a time.
func (r *referee) seenBy(a Asker, at time.Time) *oracle.Oracle {
	world := r.world
	if len(a.Contextual) > 0 {
		with, err := world.With(a.Contextual)
		if err != nil {
			panic(invariant.Unreachable("contextual tuples of a random world", err))
		}
		world = with
	}
	if !at.Equal(r.now) {
		world = world.At(at)
	}
	return world
}

func (r *referee) compare(q Question, answer Answer, err error) *Disagreement {
	access := r.of(q.Asker, r.now)
	want := Answer{Result: access.Result(q.Object, q.Name), Missing: access.Missing(q.Object, q.Name)}
	got, wanted := answerText(answer, err), answerText(want, nil)
	if got != wanted {
		return &Disagreement{Asked: q.all(), Got: got, Want: wanted}
	}
	if d := r.promised(q.Asker, answer.Until, func(later *oracle.Access) string {
		return answerText(Answer{Result: later.Result(q.Object, q.Name), Missing: later.Missing(q.Object, q.Name)}, nil)
	}, wanted); d != nil {
		d.Asked = q.all()
		return d
	}
	r.tally.Questions++
	switch want.Result {
	case oracle.Yes:
		r.tally.Granted++
	case oracle.Conditional:
		r.tally.Conditional++
	}
	if access.ChangedByExclusion(q.Object, q.Name) {
		r.tally.Excluded++
	}
	if r.world.ThroughCycle(q.Object, q.Name) {
		r.tally.Cyclic++
	}
	return nil
}

// promised judges when a system says that an answer can change at the earliest:
// not before now, and just before then it is still the same. An answer that is
// said never to change is the same when everything that expires has.
func (r *referee) promised(a Asker, until rel.Expiry, say func(*oracle.Access) string, want string) *Disagreement {
	if until.PassedAt(r.now) {
		return &Disagreement{Got: "that it was true until " + until.String(), Want: "a time after " + r.now.Format(time.RFC3339Nano)}
	}
	at := r.now
	for _, tuples := range [][]rel.Tuple{r.world.Stored(), a.Contextual} {
		for _, t := range tuples {
			if e := t.Expires.Time(); e.After(at) && (until == 0 || t.Expires < until) {
				at = e
			}
		}
	}
	if at.Equal(r.now) {
		return nil // nothing expires before
	}
	r.tally.Promises++
	if until != 0 {
		at = until.Time().Add(-time.Microsecond)
	}
	if got := say(r.of(a, at)); got != want {
		promise := "never changes"
		if until != 0 {
			promise = "does not change before " + until.String()
		}
		return &Disagreement{Got: "that " + want + " " + promise, Want: got + " at " + at.Format(time.RFC3339Nano)}
	}
	return nil
}

func (r *referee) effective(q Question) *Disagreement {
	access, err := r.system.Effective(r.ctx, q)
	got, want := accessText(access, err), effectiveText(r.of(q.Asker, r.now), q.Object)
	asked := q.Object.String() + "@" + q.Asker.String()
	if got != want {
		return &Disagreement{Asked: asked, Got: got, Want: want}
	}
	if d := r.promised(q.Asker, access.Until, func(later *oracle.Access) string { return effectiveText(later, q.Object) }, want); d != nil {
		d.Asked = asked
		return d
	}
	r.tally.Effective++
	return nil
}

// effectiveText is what the oracle says of all that is held on an object. What the
// conditional role and permissions hang on is told together.
func effectiveText(a *oracle.Access, object rel.Object) string {
	access := Access{
		Role: a.Role(object), ConditionalRole: a.ConditionalRole(object),
		Permissions: a.Names(object), ConditionalPermissions: a.ConditionalNames(object),
	}
	for _, name := range append(slices.Clone(access.ConditionalPermissions), access.ConditionalRole) {
		access.Missing = append(access.Missing, a.Missing(object, name)...)
	}
	return accessText(access, nil)
}

func (r *referee) write(actor rel.Actor, updates []rel.Update) *Disagreement {
	writer, ok := r.system.(Writer)
	if !ok {
		return nil
	}
	changes, next, wantErr := r.world.Write(actor, updates, nil)
	gotChanges, gotErr := writer.Write(r.ctx, actor, updates)
	got, want := writeText(gotChanges, gotErr), writeText(changes, wantErr)
	if got != want {
		return &Disagreement{Asked: actedText(actor, updates), Got: got, Want: want}
	}
	r.tally.write(actor, fault.Of(wantErr))
	if wantErr != nil {
		return nil
	}
	r.enter(next)
	r.past, r.times = append(r.past, r.world), append(r.times, r.now)
	return r.kept(actor, updates)
}

// kept judges what an accepted write has left: the tuples are those of the oracle,
// and they keep the rules that always hold.
func (r *referee) kept(actor rel.Actor, updates []rel.Update) *Disagreement {
	reader, ok := r.system.(Reader)
	if !ok {
		return nil
	}
	tuples, err := reader.Tuples(r.ctx)
	slices.SortFunc(tuples, rel.Tuple.Compare)
	got := tuplesText(tuples)
	if err != nil {
		got = errorText(err)
	}
	if want := tuplesText(r.world.Tuples()); got != want {
		return &Disagreement{Asked: "what is left after " + actedText(actor, updates), Got: got, Want: want}
	}
	if err := r.world.Breaks(); err != nil {
		return &Disagreement{Asked: "what is left after " + actedText(actor, updates), Got: "all is well", Want: errorText(err)}
	}
	return nil
}

// actedText is a write as it is told.
func actedText(actor rel.Actor, updates []rel.Update) string {
	texts := make([]string, len(updates))
	for i, u := range updates {
		texts[i] = u.String()
	}
	if actor.IsZero() {
		return strings.Join(texts, ", ")
	}
	return strings.Join(texts, ", ") + " by " + actor.Subject.String() + withText(actor.Context)
}

// answerText is the same for the same answer: its value, and what it hangs on.
func answerText(a Answer, err error) string {
	if err != nil {
		return errorText(err)
	}
	return a.Result.String() + missingText(a.Missing)
}

// missingToldMax is how many open tuples a system tells of; a long chain has more.
const missingToldMax = 100

// missingText names what is open, each tuple once, in the order of the keys.
func missingText(missing []oracle.Missing) string {
	if len(missing) == 0 {
		return ""
	}
	missing = slices.Clone(missing)
	slices.SortStableFunc(missing, func(m, n oracle.Missing) int { return m.Key.Compare(n.Key) })
	missing = slices.CompactFunc(missing, func(m, n oracle.Missing) bool { return m.Key == n.Key })
	var texts []string
	for _, m := range missing[:min(len(missing), missingToldMax)] {
		text := m.Key.String() + " by " + string(m.Caveat)
		if len(m.Parameters) > 0 {
			text += " for " + strings.Join(m.Parameters, " ")
		}
		if m.Problem {
			text += ", which has a problem"
		}
		texts = append(texts, text)
	}
	return " [" + strings.Join(texts, ", ") + "]"
}

func accessText(a Access, err error) string {
	if err != nil {
		return errorText(err)
	}
	return fmt.Sprintf("%s %s, conditionally %s %s%s",
		roleText(a.Role), namesText(a.Permissions), roleText(a.ConditionalRole), namesText(a.ConditionalPermissions), missingText(a.Missing))
}

func roleText(role rel.Name) string {
	if role == "" {
		return "none"
	}
	return string(role)
}

func namesText(names []rel.Name) string {
	texts := make([]string, len(names))
	for i, n := range slices.Sorted(slices.Values(names)) {
		texts[i] = string(n)
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// writeText is the same for the same net change in any order, and for the same
// reason in any words. What was deleted is told with its attributes, too.
func writeText(changes []rel.Change, err error) string {
	if f := fault.Of(err); f != nil {
		return "refused " + f.Code.Reason()
	}
	if err != nil {
		return errorText(err)
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.Op.String() + " " + c.Tuple.String()
	}
	slices.Sort(texts)
	return "accepted [" + strings.Join(texts, ", ") + "]"
}

func errorText(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errorPrefix + "nothing in time"
	}
	return errorPrefix + err.Error()
}

// errorPrefix tells an error from an answer.
const errorPrefix = "an error: "
