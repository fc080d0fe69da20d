package service

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"strings"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/tupledb"
)

// A Page is where in a list a request goes on. The zero Page, with the list's
// arguments bound, is the beginning.
type Page struct {
	arguments uint64 // what was asked, so that a token fits no other question
	snapshot  *rel.Snapshot
	time      time.Time // of the first page: what expires between two pages is on both or neither
	after     tupledb.Cursor
}

// pageTokenBytesMax bounds a token before it is read: the longest key and the
// wrapping stay under it.
const pageTokenBytesMax = 8 << 10

// FirstPage begins a list. The arguments are all that must stay the same from
// page to page.
func FirstPage(arguments ...string) Page {
	h := fnv.New64a()
	for _, a := range arguments {
		_, _ = h.Write([]byte(a)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return Page{arguments: h.Sum64()}
}

// At goes on where a page token says; an empty token is the beginning.
func (p Page) At(token string) (Page, error) {
	if token == "" {
		return p, nil
	}
	place, err := p.opened(token)
	if err != nil {
		return Page{}, err
	}
	snapshot, rest, found := strings.Cut(string(place), "\x00")
	if !found || len(rest) < 8 {
		return Page{}, unreadableToken()
	}
	at, err := rel.ParseSnapshot(snapshot)
	if err != nil {
		return Page{}, unreadableToken()
	}
	micros := binary.BigEndian.Uint64([]byte(rest[:8]))
	// The bounds are those of an expiry, so that the time is one at which a tuple
	// can expire, and none is the zero time, which would mean now.
	if micros == 0 || micros > uint64(pageTimeLast.UnixMicro()) {
		return Page{}, unreadableToken()
	}
	return Page{p.arguments, &at, time.UnixMicro(int64(micros)).UTC(), tupledb.Cursor(rest[8:])}, nil
}

func unreadableToken() error {
	return fault.New(fault.PageTokenMustBeReadable, "the page token cannot be read").
		Do("send next_page_token as an answer of pemba carried it, unchanged")
}

// opened is the place that a token leads to, where the token was made for a list
// with these arguments.
func (p Page) opened(token string) (place []byte, err error) {
	if len(token) > pageTokenBytesMax {
		return nil, unreadableToken()
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 12 || binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return nil, unreadableToken()
	}
	if binary.BigEndian.Uint64(b[4:]) != p.arguments {
		return nil, fault.New(fault.PageTokenMustFitTheRequest, "the page token is of a request with other arguments").
			Do("send the arguments of the first page with it; page_size alone may change")
	}
	return b[12:], nil
}

// sealed is the token that leads to a place of this list.
func (p Page) sealed(place []byte) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 4, 12+len(place)), p.arguments)
	b = append(b, place...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// pageTimeLast is the last time that an expiry can be.
var pageTimeLast = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)

// next is the token of the page after a position in a snapshot.
func (p Page) next(of *tupledb.Snapshot, after tupledb.Cursor) string {
	place := append([]byte(of.Token().Token()), 0)
	place = binary.BigEndian.AppendUint64(place, uint64(of.Time().UnixMicro()))
	return p.sealed(append(place, after...))
}

// lookForPage opens the newest snapshot for a first page, and the first page's
// snapshot at the first page's time for the others.
func (s *Service) lookForPage(ctx context.Context, name rel.Store, c Consistency, p Page) (*view, error) {
	if p.snapshot == nil {
		return s.look(ctx, name, c)
	}
	store, err := s.db.Store(name)
	if err != nil {
		return nil, err
	}
	snap, err := store.AtTime(*p.snapshot, p.time)
	if err != nil {
		return nil, err
	}
	boundByContext(ctx, snap)
	v, err := s.withSchema(name, snap)
	if err != nil {
		snap.Close()
		return nil, err
	}
	return v, nil
}

func tupledbCursor(f rel.Filter, last rel.Tuple) tupledb.Cursor { return tupledb.CursorAfter(f, last) }
