package service_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// withExpiring is a store of ten tuples that expire an hour from the clock's time.
func withExpiring(t *testing.T) (f fixture, now *time.Time) {
	t.Helper()
	clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f = openAt(t, &clock)
	f.schema(drive)
	expires, err := rel.NewExpiry(clock.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var c tupledb.Commit
	for i := range 10 {
		tuple, err := rel.ParseTuple(fmt.Sprintf("doc:d#viewer@user:u%d", i))
		if err != nil {
			t.Fatal(err)
		}
		tuple.Expires = expires
		c.Put = append(c.Put, tuple)
	}
	if _, err := f.store.Update(t.Context(), func(*tupledb.Snapshot) (tupledb.Commit, error) { return c, nil }); err != nil {
		t.Fatal(err)
	}
	return f, &clock
}

func (f fixture) page(token string) service.ReadAnswer {
	f.Helper()
	p, err := service.FirstPage("read").At(token)
	if err != nil {
		f.Fatal(err)
	}
	answer, err := f.ReadTuples(context.Background(), service.ReadQuery{Store: rel.DefaultStore, PageSize: 4, Page: p})
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

// A list that was begun before its tuples expired is read to its end as it was
// begun, also when a write was published meanwhile; one that is begun later is of
// its own time.
func TestPagesAreOfTheFirstPagesTime(t *testing.T) {
	f, now := withExpiring(t)
	*now = now.Add(time.Hour - time.Microsecond)
	first := f.page("")
	*now = now.Add(time.Microsecond)
	f.mustWrite("touch doc:e#viewer@user:new")
	read := slices.Clone(first.Tuples)
	for token := first.Next; token != ""; {
		answer := f.page(token)
		if answer.Snapshot != first.Snapshot {
			t.Errorf("a page is of snapshot %v, the first of %v", answer.Snapshot, first.Snapshot)
		}
		read = append(read, answer.Tuples...)
		token = answer.Next
	}
	if len(read) != 10 {
		t.Errorf("the list that was begun in time has %d tuples: %v", len(read), read)
	}
	if late := f.page(""); len(late.Tuples) != 1 || late.Tuples[0].Object.ID() != "e" {
		t.Errorf("the list that was begun later has %v", late.Tuples)
	}
}

// The time in a token is one at which a tuple can expire, or the token is none.
func TestATimeThatCannotBeIsNoPageToken(t *testing.T) {
	f, _ := withExpiring(t)
	token := f.page("").Next
	last := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro()
	for micros, readable := range map[uint64]bool{
		0: false, 1: true, uint64(last): true, uint64(last) + 1: false, 1 << 63: false, 1<<64 - 1: false,
	} {
		_, err := service.FirstPage("read").At(withTime(t, token, micros))
		if readable && err != nil || !readable && !fault.Is(err, fault.PageTokenMustBeReadable) {
			t.Errorf("at %d microseconds: %v", micros, err)
		}
	}
}

// withTime puts another time into a page token, and a checksum that is right.
func withTime(t *testing.T, token string, micros uint64) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	timeAt := 12 + strings.IndexByte(string(b[12:]), 0) + 1
	binary.BigEndian.PutUint64(b[timeAt:], micros)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}
