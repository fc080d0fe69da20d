package tupledb

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A patient is a small store, to be damaged behind its back:
//
//	1  puts ana, the team and fay with caveats, and a guest, and brings schema 1
//	2  deletes ana and fay, puts bob
//	3  puts ana again, touches the guest, who is gus from then on
type patient struct {
	t              *testing.T
	store          *Store
	ana, bob, team rel.Tuple
	fay            rel.Tuple
	guest, gus     rel.Tuple // one key
}

func newPatient(t *testing.T, disk vfs.FS) *patient {
	p := &patient{
		t: t, store: opened(t, onMem(disk)),
		ana:  tuple(t, "doc:p1#viewer@user:ana"),
		bob:  tuple(t, "doc:p1#viewer@user:bob"),
		team: tuple(t, `doc:p1#viewer@team:core#member[c:{"n":1}]`),
		fay:  tuple(t, "doc:p1#viewer@user:fay[c]"),

		guest: tuple(t, "doc:p1#viewer@user:guest"),
		gus:   tuple(t, "doc:p1#viewer@user:guest[c]"),
	}
	write(t, p.store, Commit{Put: []rel.Tuple{p.ana, p.team, p.fay, p.guest}, Schema: &SchemaVersion{Number: 1, Text: "definition doc {}"}, Cause: CauseSchema})
	write(t, p.store, Commit{Put: []rel.Tuple{p.bob}, Delete: []rel.Tuple{p.ana, p.fay}})
	write(t, p.store, Commit{Put: []rel.Tuple{p.ana}, Touch: []rel.Tuple{p.gus}})
	return p
}

// second is a time that the second revision may have.
func (p *patient) second() time.Time { return p.store.HeadTime().Add(-time.Microsecond) }

// first is the time of the first revision.
func (p *patient) first() time.Time {
	for c, err := range p.store.Changes(1) {
		if err != nil {
			p.t.Fatal(err)
		}
		return c.Time
	}
	return time.Time{}
}

func (p *patient) set(key, value []byte) {
	if err := p.store.db.pebble.Set(key, value, pebble.Sync); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) remove(key []byte) {
	if err := p.store.db.pebble.Delete(key, pebble.Sync); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) forward(t rel.Tuple, r rel.Revision) []byte {
	return appendSuffix(appendForward(nil, p.store.number, t.Key), r)
}

func (p *patient) reverse(t rel.Tuple, r rel.Revision) []byte {
	return appendSuffix(appendReverse(nil, p.store.number, t.Key), r)
}

func (p *patient) change(r rel.Revision) []byte { return appendChangeKey(nil, p.store.number, r) }

// relog writes another entry for a revision.
func (p *patient) relog(r rel.Revision, at time.Time, c Commit) {
	p.set(p.change(r), appendChange(nil, &c, at.UnixMicro()))
}

// A store in which one thing is out of order is found to be so, whatever it is;
// damage at the head keeps the store from being opened.
func TestDamageIsFound(t *testing.T) {
	live, tombstone := []byte{stateLive}, []byte{stateTombstone}
	for _, c := range []struct {
		name   string
		damage func(*patient)
		says   string
		opens  bool // the damage is too old for opening to see
	}{
		{"nothing", func(*patient) {}, "", true},
		{"a forward version is gone", func(p *patient) { p.remove(p.forward(p.team, 1)) }, "no forward index", true},
		{"a reverse version is gone", func(p *patient) { p.remove(p.reverse(p.team, 1)) }, "no reverse index", true},
		{"a tombstone is gone", func(p *patient) { p.remove(p.forward(p.ana, 2)) }, "no forward index", true},
		{"both of the newest are gone", func(p *patient) { p.remove(p.forward(p.ana, 3)); p.remove(p.reverse(p.ana, 3)) }, "no forward index", false},
		{"the newest reverse is gone", func(p *patient) { p.remove(p.reverse(p.ana, 3)) }, "no reverse index", false},
		{"a forward version came from nowhere", func(p *patient) { p.set(p.forward(p.bob, 1), live) }, "does not change", true},
		{"a reverse version came from nowhere", func(p *patient) { p.set(p.reverse(tuple(p.t, "doc:p9#viewer@user:ana"), 3), live) }, "changes of tuples", true},
		{"a state is turned round", func(p *patient) { p.set(p.forward(p.bob, 2), tombstone) }, "disagree", true},
		{"the newest state is turned round", func(p *patient) { p.set(p.reverse(p.ana, 3), tombstone) }, "disagree", false},
		{"a state is unreadable", func(p *patient) { p.set(p.reverse(p.bob, 2), []byte{7}) }, "no readable value", true},
		{"a forward version lost its attributes", func(p *patient) { p.set(p.forward(p.team, 1), live) }, "disagree", true},
		{"a reverse version has others", func(p *patient) {
			p.set(p.reverse(p.team, 1), appendValue(nil, tuple(p.t, "a:1#r@u:1[other]")))
		}, "disagree", true},
		{"the newest forward version has attributes", func(p *patient) {
			p.set(p.forward(p.ana, 3), appendValue(nil, tuple(p.t, "a:1#r@u:1[other]")))
		}, "disagree", false},
		{"the newest touch lost its attributes", func(p *patient) { p.set(p.reverse(p.gus, 3), live) }, "disagree", false},
		{"the newest value is cut off", func(p *patient) { p.set(p.reverse(p.gus, 3), []byte{stateLive, flagCaveat}) }, "no readable value", false},
		{"all three have a context that is none", func(p *patient) {
			odd := p.team
			odd.Caveat.Context = rel.TrustedContext(`{"n":`)
			p.set(p.forward(p.team, 1), appendValue(nil, odd))
			p.set(p.reverse(p.team, 1), appendValue(nil, odd))
			p.relog(1, p.store.HeadTime().Add(-time.Hour), Commit{
				Put: []rel.Tuple{p.ana, odd, p.fay, p.guest}, Schema: &SchemaVersion{Number: 1}, Cause: CauseSchema,
			})
		}, "has a caveat of doc:p1#viewer@team:core#member", true},
		{"the log calls a put a touch", func(p *patient) {
			p.relog(2, p.second(), Commit{Touch: []rel.Tuple{p.bob}, Delete: []rel.Tuple{p.ana, p.fay}})
		}, "does not change", true},
		{"the log calls a touch a put", func(p *patient) {
			p.relog(3, p.store.HeadTime(), Commit{Put: []rel.Tuple{p.ana, p.gus}})
		}, "does not change", true},
		{"the log deletes a tuple with attributes that it did not have", func(p *patient) {
			p.relog(2, p.second(), Commit{Put: []rel.Tuple{p.bob}, Delete: []rel.Tuple{p.ana, tuple(p.t, p.fay.Key.String())}})
		}, "does not change", true},
		{"a touch changed nothing", func(p *patient) {
			p.set(p.forward(p.gus, 3), appendValue(nil, p.guest))
			p.set(p.reverse(p.gus, 3), appendValue(nil, p.guest))
			p.relog(3, p.store.HeadTime(), Commit{Put: []rel.Tuple{p.ana}, Touch: []rel.Tuple{p.guest}})
		}, "does not change", true},
		{"a history begins with a tombstone", func(p *patient) {
			gone := tuple(p.t, "doc:p1#viewer@user:cyd")
			p.set(p.forward(gone, 1), tombstone)
			p.set(p.reverse(gone, 1), tombstone)
		}, "begins with a tombstone", true},
		{"a key is no tuple", func(p *patient) {
			p.set(appendSuffix(append(appendKind(nil, p.store.number, kindForward), "doc\x00"...), 1), live)
		}, "not of the form", true},
		{"an old change is gone", func(p *patient) { p.remove(p.change(1)) }, "revision 2 where 1 belongs", true},
		{"the change before the newest is gone", func(p *patient) { p.remove(p.change(2)) }, "revision 3 where 2 belongs", false},
		{"a change is unreadable", func(p *patient) { p.set(p.change(1), []byte("noise")) }, "not of the form", true},
		{"the newest change is unreadable", func(p *patient) { p.set(p.change(3), nil) }, "not of the form", false},
		{"the log names another tuple", func(p *patient) {
			p.relog(2, p.second(), Commit{Put: []rel.Tuple{tuple(p.t, "doc:p1#viewer@user:cyd")}, Delete: []rel.Tuple{p.ana, p.fay}})
		}, "no forward index", true},
		{"the log forgets a tuple", func(p *patient) {
			p.relog(2, p.second(), Commit{Put: []rel.Tuple{p.bob}})
		}, "changes of tuples", true},
		{"time stands still", func(p *patient) {
			p.relog(3, p.store.HeadTime().Add(-time.Hour), Commit{Put: []rel.Tuple{p.ana}, Touch: []rel.Tuple{p.gus}})
		}, "not after the one before it", false},
		{"a schema is gone", func(p *patient) { p.remove(appendSuffix(appendSchemaPrefix(nil, p.store.number), 1)) }, "no schema version", true},
		{"a schema is unreadable", func(p *patient) { p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 1), nil) }, "schema of revision 1", false},
		{"a schema came from nowhere", func(p *patient) {
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 2), encodeSchema(SchemaVersion{Number: 2}))
		}, "schema versions", true},
		{"a schema has another number", func(p *patient) {
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 1), encodeSchema(SchemaVersion{Number: 7, Text: "definition doc {}"}))
		}, "schema version 7", true},
		{"a schema has another text", func(p *patient) {
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 1), encodeSchema(SchemaVersion{Number: 1, Written: p.first(), Text: "definition doc { }"}))
		}, "the text of schema version 1", true},
		{"a schema has another time", func(p *patient) {
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 1), encodeSchema(SchemaVersion{Number: 1, Written: p.second(), Text: "definition doc {}"}))
		}, "was written at", true},
		{"the schema of the newest change has another text", func(p *patient) {
			write(p.t, p.store, Commit{Schema: &SchemaVersion{Number: 2, Text: "definition doc {}"}, Cause: CauseSchema})
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 4), encodeSchema(SchemaVersion{Number: 2, Written: p.store.HeadTime()}))
		}, "the text of schema version 2", false},
		{"a version waits for a revision to come", func(p *patient) {
			p.set(p.forward(tuple(p.t, "doc:p1#viewer@user:eve"), 4), live)
			p.set(p.reverse(tuple(p.t, "doc:p1#viewer@user:eve"), 4), live)
		}, "which the log does not have", true},
		{"a schema waits for a revision to come", func(p *patient) {
			p.set(appendSuffix(appendSchemaPrefix(nil, p.store.number), 4), encodeSchema(SchemaVersion{Number: 2}))
		}, "which the log does not have", true},
		{"the store's record is gone", func(p *patient) { p.remove(appendMetaKey(nil, "store", "default")) }, "", false},
		{"the store's record is unreadable", func(p *patient) { p.set(appendMetaKey(nil, "store", "default"), []byte("x")) }, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			p := newPatient(t, disk)
			c.damage(p)
			report, err := p.store.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(report.Problems, "\n")
			if report.InOrder() != (c.says == "") || !strings.Contains(problems, c.says) {
				t.Errorf("found\n%s\nwant %q among it", problems, c.says)
			}
			if err := p.store.db.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := Open(onMem(disk))
			if c.opens && err != nil {
				t.Errorf("not opened: %v", err)
			} else if !c.opens {
				wantFault(t, "Open", err, fault.DataMustBeReadable)
			}
			if err == nil {
				err = db.Close()
			}
			if c.opens && err != nil {
				t.Error(err)
			}
		})
	}
}

// One put may follow another without a delete between them when the earlier one
// had expired at the later one's time, and in no other case; and a touch or a
// delete changes what had not expired. The border is the expiry itself.
func TestExpiryDecidesWhatALogMaySay(t *testing.T) {
	for _, c := range []struct {
		name   string
		second func(u, later rel.Tuple) Commit
		after  bool // whether it may come when the tuple has expired
	}{
		{"a put", func(u, later rel.Tuple) Commit { return Commit{Put: []rel.Tuple{later}} }, true},
		{"a put of the same", func(u, later rel.Tuple) Commit { return Commit{Put: []rel.Tuple{u}} }, true},
		{"a touch", func(u, later rel.Tuple) Commit { return Commit{Touch: []rel.Tuple{later}} }, false},
		{"a delete", func(u, later rel.Tuple) Commit { return Commit{Delete: []rel.Tuple{u}} }, false},
	} {
		for _, expired := range []bool{false, true} {
			s, clock := onClock(t)
			expiry := clock.Now().Add(time.Second)
			u := until(t, "doc:p1#viewer@user:ana", expiry)
			later := until(t, "doc:p1#viewer@user:ana[c]", expiry.Add(time.Hour))
			write(t, s, Commit{Put: []rel.Tuple{u}})
			// Written at the one side of the border, and logged at the other where
			// that is what must not be: writing it there would be a bug.
			clock.step(time.Second)
			commit := c.second(u, later)
			if !c.after {
				clock.step(-time.Microsecond)
			}
			write(t, s, commit)
			at := expiry
			if !expired {
				at = expiry.Add(-time.Microsecond)
			}
			p := &patient{t: t, store: s}
			p.relog(2, at, commit)
			report, err := s.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(report.Problems, "\n")
			if report.InOrder() != (expired == c.after) || !report.InOrder() && !strings.Contains(problems, "does not change") {
				t.Errorf("%s, the tuple before it expired: %t; found\n%s", c.name, expired, problems)
			}
		}
	}
}

func TestReportListsSomeProblemsAndCountsTheRest(t *testing.T) {
	s := opened(t, Config{})
	all := everyTuple()[:problemsMax+7]
	write(t, s, Commit{Put: all})
	for _, u := range all {
		if err := s.db.pebble.Delete(appendSuffix(appendReverse(nil, s.number, u.Key), 1), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	report, err := s.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) != problemsMax || report.More != 7+2 { // and two counts that differ
		t.Errorf("%d problems and %d more", len(report.Problems), report.More)
	}
}

func TestVerificationEndsWithItsCaller(t *testing.T) {
	s := opened(t, Config{})
	write(t, s, Commit{Put: everyTuple()})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.Verify(ctx)
	wantFault(t, "Verify", err, fault.CallerMustStay)
}

// A damaged log is an error of whoever reads it, at the place of the damage.
func TestChangesEndAtDamage(t *testing.T) {
	for name, damage := range map[string]func(*patient){
		"a change is gone":          func(p *patient) { p.remove(p.change(2)) },
		"a change is noise":         func(p *patient) { p.set(p.change(2), []byte{changeForm, 9}) },
		"the newest change is gone": func(p *patient) { p.remove(p.change(3)) },
	} {
		p := newPatient(t, vfs.NewMem())
		damage(p)
		var last error
		for _, err := range p.store.Changes(1) {
			if last != nil {
				t.Errorf("%s: the log goes on after %v", name, last)
			}
			last = err
		}
		wantFault(t, name, last, fault.DataMustBeReadable)
	}
}

// FuzzDecodeChange: a change is read back as it was written, and what nobody
// wrote is refused without a panic and without asking for memory.
func FuzzDecodeChange(f *testing.F) {
	c := Commit{
		Put:      []rel.Tuple{tuple(f, "doc:p1#viewer@user:ana"), tuple(f, "a/b:x#r@team:core#member")},
		Touch:    []rel.Tuple{tuple(f, `a/b:x#r@user:bob[c:{"n":1}][expiration:2027-01-01T00:00:00Z]`)},
		Delete:   []rel.Tuple{tuple(f, "doc:p1#viewer@user:*[c]")},
		Schema:   &SchemaVersion{Number: 300},
		Metadata: []byte("why\x00"),
		Actor:    rel.Userset(rel.Trusted("team", "core"), "member"),
		Cause:    CauseSchema,
	}
	f.Add(appendChange(nil, &c, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).UnixMicro()))
	f.Add(appendChange(nil, &Commit{}, -5))
	f.Add(appendChange(nil, &Commit{Cause: CauseImported, imported: 300}, 5))
	f.Add([]byte{changeForm, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodeChange(b)
		if !ok {
			return
		}
		again := Commit{
			Put: got.Put, Touch: got.Touch, Delete: got.Delete, Metadata: got.Metadata, Actor: got.Actor, Cause: got.Cause, imported: got.Imported,
		}
		if got.Schema != 0 {
			again.Schema = &SchemaVersion{Number: got.Schema}
		}
		twice, ok := decodeChange(appendChange(nil, &again, got.Time.UnixMicro()))
		if !ok || !sameChange(got, twice) {
			t.Fatalf("%+v became %+v, %t", got, twice, ok)
		}
	})
}

func sameChange(a, b Change) bool {
	return slices.Equal(a.Put, b.Put) && slices.Equal(a.Touch, b.Touch) && slices.Equal(a.Delete, b.Delete) &&
		a.Time.Equal(b.Time) && a.Cause == b.Cause && a.Schema == b.Schema && a.Imported == b.Imported && string(a.Metadata) == string(b.Metadata)
}

// The stored form of a change, byte for byte: a change here is a change of the
// format version.
func TestChangesAreStoredAsWritten(t *testing.T) {
	c := Commit{
		Put:      []rel.Tuple{tuple(t, "doc:p1#viewer@user:ana")},
		Touch:    []rel.Tuple{tuple(t, "doc:p1#viewer@user:bob[expiration:1970-01-01T00:00:00.0003Z]")},
		Delete:   []rel.Tuple{tuple(t, `doc:p1#viewer@team:core#member[c:{"n":1}]`)},
		Schema:   &SchemaVersion{Number: 2},
		Metadata: []byte("why"),
		Cause:    CauseSchema,
	}
	got := appendChange(nil, &c, 1_000_000)
	want := "\x03\x01\x80\x89\x7a\x02\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x00\x03why\x00\x01\x01\x01" +
		"doc\x00p1\x00viewer\x00user\x00ana\x00\x00" + "\x00" +
		"doc\x00p1\x00viewer\x00user\x00bob\x00\x00" + "\x01\xac\x02" +
		"doc\x00p1\x00viewer\x00team\x00core\x00member\x00" + "\x06\x01c\x07{\"n\":1}"
	if string(got) != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	imported := Commit{Cause: CauseImported, imported: 300, Metadata: []byte("why")}
	if got := string(appendChange(nil, &imported, 1_000_000)); got != "\x03\x03\x80\x89\x7a\x00\xac\x02\x03why\x00\x00\x00\x00" {
		t.Errorf("an import is stored as %q", got)
	}
	mark := loadMark{state: loadLoading, fresh: true, revision: 2, loaded: 300, id: "x"}
	if got := string(mark.encode()); got != "\x01\x01\x01\x02\xac\x02x" {
		t.Errorf("a load is stored as %q", got)
	}
	if again, ok := decodeLoadMark(mark.encode()); !ok || again != mark {
		t.Errorf("the load's mark became %+v, %t", again, ok)
	}
	if got := string(encodeSchema(SchemaVersion{Number: 300, Written: inMicros(1), Text: "use roles"})); got != "\xac\x02\x02use roles" {
		t.Errorf("a schema is stored as %q", got)
	}
	record := storeRecord{number: 1, incarnation: 0x1234567890, epoch: 3, createdMicros: 1_000_000}
	if got := string(record.encode()); got != "\x01\x01\x90\xf1\xd9\xa2\xa3\x02\x03\x80\x89\x7a" {
		t.Errorf("a store is stored as %q", got)
	}
	if again, ok := decodeStoreRecord(record.encode()); !ok || again != record {
		t.Errorf("the store's record became %+v, %t", again, ok)
	}
}
