package service

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pemba-io/pemba/internal/admission"
	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/schema"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A Config is what a Service is made of.
type Config struct {
	DB *tupledb.DB
	// ReadsMax bounds what one question may read; 0 means engine.ReadsMax.
	ReadsMax int
	// TimeMax bounds how long one question may take, also where its caller sets
	// no bound; 0 means TimeMaxDefault.
	TimeMax time.Duration
	// JudgingReadsMax bounds what judging one write may read; 0 means
	// admission.ReadsMax.
	JudgingReadsMax int
	// WatchQuiet is after how much silence a watcher is sent a checkpoint; 0 means
	// WatchQuietDefault.
	WatchQuiet time.Duration
}

// TimeMaxDefault is far above what a question within its other budgets takes.
const TimeMaxDefault = 10 * time.Second

// compiledTextMax bounds the compiled schemas that are kept, by the bytes of their
// texts; compiled, a schema takes seven times as much. Some thousand stores with
// schemas of ordinary size are within it. Beyond it, a store that was not asked for
// long has its schema compiled again, in a millisecond or a few.
const compiledTextMax = 8 << 20

// A Service answers. It is safe for concurrent use.
type Service struct {
	db       *tupledb.DB
	readsMax int
	timeMax  time.Duration
	judging  int                                       // reads
	compiled atomic.Pointer[map[rel.Snapshot]compiled] // by the revision that wrote the schema; replaced, never changed

	compiling  sync.Mutex     // a thousand watchers who hear of one schema compile it once
	inOrder    []rel.Snapshot // of what is in compiled, the oldest first; for whoever is compiling
	textBytes  int            // of all their texts
	watchQuiet time.Duration
}

// compiled is a schema version with what it means.
type compiled struct {
	version uint64
	schema  *schema.Schema
}

// New makes a service over an open database. Closing that stays with the caller.
func New(c Config) *Service {
	if c.ReadsMax == 0 {
		c.ReadsMax = engine.ReadsMax
	}
	if c.TimeMax == 0 {
		c.TimeMax = TimeMaxDefault
	}
	if c.JudgingReadsMax == 0 {
		c.JudgingReadsMax = admission.ReadsMax
	}
	if c.WatchQuiet == 0 {
		c.WatchQuiet = WatchQuietDefault
	}
	s := &Service{db: c.DB, readsMax: c.ReadsMax, timeMax: c.TimeMax, judging: c.JudgingReadsMax, watchQuiet: c.WatchQuiet}
	s.compiled.Store(&map[rel.Snapshot]compiled{})
	return s
}

// A Disk is what a service can do with its data directory. It always answers
// questions.
type Disk struct {
	TakesWrites bool
	// NeedsRestart says that writes are refused until the service is started again;
	// otherwise they are taken again by themselves.
	NeedsRestart bool
}

// Disk is how it is now, and what is closed when that changes.
func (s *Service) Disk() (now Disk, changed <-chan struct{}) {
	state, changed := s.db.Disk()
	return Disk{TakesWrites: state == tupledb.DiskTakesWrites, NeedsRestart: state == tupledb.DiskFailed}, changed
}

// budget is the time that a question has. When it is over, the question was too
// much for the server, which more patience of the caller's would not change.
func (s *Service) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.timeMax, fault.Newf(fault.WalkMustStayWithinBudget, "the question needs more than %v", s.timeMax).
		Do("ask something narrower, or fewer things at once"))
}

// A Consistency says which state of the store a question is asked of; at most one
// of its fields is set. On one node every read is of the newest published revision
// unless an older one is named, so the zero value, which asks for nothing, is as
// fresh as any; AtLeast refuses snapshots that this store never had.
type Consistency struct {
	AtLeast *rel.Snapshot
	Exact   *rel.Snapshot // this state, evaluated now
	Time    *time.Time    // the state of this time, evaluated at it
}

// Argument is the consistency as what must stay the same from page to page.
func (c Consistency) Argument() string {
	switch {
	case c.AtLeast != nil:
		return "at least " + c.AtLeast.Token()
	case c.Exact != nil:
		return "exactly " + c.Exact.Token()
	case c.Time != nil:
		return "at " + strconv.FormatInt(c.Time.UnixMicro(), 10)
	}
	return ""
}

// A view is one request's look at a store: a snapshot and the schema in force there.
type view struct {
	*tupledb.Snapshot
	schema  *schema.Schema
	version uint64
}

// look opens the snapshot that a question is asked of, where the store has a schema
// at it. The caller closes it.
func (s *Service) look(ctx context.Context, name rel.Store, c Consistency) (*view, error) {
	snap, err := s.snapshot(ctx, name, c)
	if err != nil {
		return nil, err
	}
	v, err := s.withSchema(name, snap)
	if err != nil {
		snap.Close()
		return nil, err
	}
	return v, nil
}

// snapshot opens the snapshot that a question is asked of.
func (s *Service) snapshot(ctx context.Context, name rel.Store, c Consistency) (*tupledb.Snapshot, error) {
	store, err := s.db.Store(name)
	if err != nil {
		return nil, err
	}
	snap, err := openAt(ctx, store, c)
	if err != nil {
		return nil, err
	}
	boundByContext(ctx, snap)
	return snap, nil
}

func openAt(ctx context.Context, store *tupledb.Store, c Consistency) (*tupledb.Snapshot, error) {
	switch {
	case c.Exact != nil:
		return store.At(*c.Exact)
	case c.Time != nil:
		return store.AsOf(ctx, *c.Time)
	case c.AtLeast != nil:
		if err := store.MustHaveHad(*c.AtLeast); err != nil {
			return nil, err
		}
	}
	return store.Newest()
}

// readsBetweenLooks is how often a long read asks whether to go on.
const readsBetweenLooks = 1024

// boundByContext makes every long read of a snapshot notice that its caller has
// gone or that its time is over.
func boundByContext(ctx context.Context, snap *tupledb.Snapshot) {
	snap.Bound(readsBetweenLooks, func(int) error { return fault.Ended(ctx) })
}

// withSchema finds what the schema in force at a snapshot means.
func (s *Service) withSchema(name rel.Store, snap *tupledb.Snapshot) (*view, error) {
	stored, found, err := snap.Schema()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.Newf(fault.SchemaMustExist, "the store %s has no schema", name).
			Do("write one first: pemba schema write FILE, or SchemaService.WriteSchema")
	}
	at := snap.Token()
	at.Revision = stored.Revision
	if c, ok := s.known(at); ok {
		return &view{snap, c.schema, c.version}, nil
	}
	s.compiling.Lock()
	defer s.compiling.Unlock()
	if c, ok := s.known(at); ok {
		return &view{snap, c.schema, c.version}, nil
	}
	meaning, faults := schema.Compile(stored.Text)
	if len(faults) > 0 {
		return nil, fault.Newf(fault.DataMustBeReadable, "schema version %d of the store %s no longer compiles: %s", stored.Number, name, faults[0].Sentence()).
			Do("run the release of pemba that wrote it, or write a schema that this release reads")
	}
	s.remember(at, compiled{stored.Number, meaning})
	return &view{snap, meaning, stored.Number}, nil
}

// known is a schema that was compiled before.
func (s *Service) known(at rel.Snapshot) (compiled, bool) {
	c, ok := (*s.compiled.Load())[at]
	return c, ok
}

// remember keeps a compiled schema, and gives up those that were compiled first where
// they are too much together. Whoever calls it is compiling.
func (s *Service) remember(at rel.Snapshot, c compiled) {
	next := maps.Clone(*s.compiled.Load())
	next[at] = c
	s.inOrder = append(s.inOrder, at)
	s.textBytes += len(c.schema.Text())
	for s.textBytes > compiledTextMax && len(s.inOrder) > 1 {
		s.textBytes -= len(next[s.inOrder[0]].schema.Text())
		delete(next, s.inOrder[0])
		s.inOrder = s.inOrder[1:]
	}
	s.compiled.Store(&next)
}

// walk prepares a walk of a principal over a view.
func (s *Service) walk(v *view, p rel.Principal, b Brought, explain bool) *engine.Walk {
	q := s.question(v, p, b)
	q.Explain = explain
	return engine.NewWalk(q)
}

// question is what a principal asks of a view, and what that may cost.
func (s *Service) question(v *view, p rel.Principal, b Brought) engine.Question {
	return engine.Question{
		Schema:     v.schema,
		Reader:     v.Snapshot,
		Principal:  p,
		Context:    b.Context,
		Contextual: b.Contextual,
		Time:       v.Time(),
		ReadsMax:   s.readsMax,
	}
}

// knows says whether the schema has what a question names, all of it at once and
// with the field of each: a typing mistake must not look like 'no'. The name is
// empty in a question about all names.
func (v *view) knows(item CheckItem) error {
	k := knowing{schema: v.schema}
	k.name("object", "permission", item.Object.Type(), item.Name)
	k.brought(item.Brought)
	k.principal(item.Principal)
	return fault.Join(k.faults)
}

// A knowing looks for what a question names, and collects what there is not.
type knowing struct {
	schema *schema.Schema
	faults []*fault.Fault
}

func (k *knowing) add(field string, err error) {
	if f := fault.Of(err); f != nil {
		k.faults = append(k.faults, f.In(field))
	}
}

// name looks for a type, and for a name of it unless that is empty.
func (k *knowing) name(typeField, nameField string, typ rel.ObjectType, name rel.Name) *schema.Definition {
	d, err := k.schema.MustDefine(typ)
	k.add(typeField, err)
	if err == nil && name != "" {
		_, err = d.MustHave(name)
		k.add(nameField, err)
	}
	return d
}

func (k *knowing) brought(b Brought) {
	for i, t := range b.Contextual {
		if f := admission.NotInSchema(k.schema, t); f != nil {
			k.faults = append(k.faults, f.In(fmt.Sprintf("contextual_tuples[%d]", i)))
		}
	}
}

func (k *knowing) principal(p rel.Principal) {
	for i, subject := range p.Subjects() {
		field := "subject"
		if i > 0 {
			// A principal keeps what is presented in an order of its own.
			field = "additional_subjects"
		}
		k.add(field, k.schema.CheckSubject(subject))
	}
}
