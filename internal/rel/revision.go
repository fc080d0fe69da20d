package rel

import (
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"

	"github.com/pemba-io/pemba/internal/fault"
)

// A Revision orders the writes of one store: dense, 1, 2, 3…, assigned by the
// store's one writer when it commits. 0 is the empty store before any write.
type Revision uint64

// An Incarnation tells stores apart that had the same name: drawn at random when
// a store is created, 40 bits wide.
type Incarnation uint64

// An Epoch counts the times that a store was restored from a backup: revisions
// after a restore are not those of before.
type Epoch uint32

// A Snapshot is a state of a store: what was true after a revision. Outside it
// is an opaque token.
type Snapshot struct {
	Incarnation Incarnation
	Epoch       Epoch
	Revision    Revision
}

// IncarnationMax is the largest incarnation: 40 bits make a token short and two
// equal ones a matter of a lifetime of stores.
const IncarnationMax Incarnation = 1<<40 - 1

const (
	tokenVersion  = 1
	tokenBytesMax = 64 // longer text is refused unread
)

// tokenText is base32 without padding: it survives case-blind systems, a double
// click selects it, and it never looks like a flag.
var tokenText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Token is the snapshot as clients carry it: version, incarnation, epoch,
// revision, checksum.
func (s Snapshot) Token() string {
	b := make([]byte, 0, 32)
	b = append(b, tokenVersion)
	b = append(b, byte(s.Incarnation>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(s.Incarnation))
	b = binary.AppendUvarint(b, uint64(s.Epoch))
	b = binary.AppendUvarint(b, uint64(s.Revision))
	sum := crc32.ChecksumIEEE(b)
	b = append(b, byte(sum>>16), byte(sum>>8), byte(sum))
	return tokenText.EncodeToString(b)
}

func (s Snapshot) String() string { return s.Token() }

// ParseSnapshot reads a token. It does not know which store it is of.
func ParseSnapshot(token string) (Snapshot, error) {
	bad := fault.Newf(fault.SnapshotMustBeReadable, "%s is not a snapshot", quote(token)).
		Do("send a snapshot as an answer of pemba carried it, unchanged")
	if len(token) > tokenBytesMax {
		return Snapshot{}, bad
	}
	b, err := tokenText.DecodeString(token)
	if err != nil || len(b) < 11 || b[0] != tokenVersion {
		return Snapshot{}, bad
	}
	body, tail := b[:len(b)-3], b[len(b)-3:]
	sum := crc32.ChecksumIEEE(body)
	if tail[0] != byte(sum>>16) || tail[1] != byte(sum>>8) || tail[2] != byte(sum) {
		return Snapshot{}, bad
	}
	s := Snapshot{Incarnation: Incarnation(body[1])<<32 | Incarnation(binary.BigEndian.Uint32(body[2:6]))}
	epoch, n := binary.Uvarint(body[6:])
	if n <= 0 || epoch > 1<<32-1 {
		return Snapshot{}, bad
	}
	revision, m := binary.Uvarint(body[6+n:])
	if m <= 0 || 6+n+m != len(body) {
		return Snapshot{}, bad
	}
	s.Epoch, s.Revision = Epoch(epoch), Revision(revision)
	if s.Token() != token { // one snapshot has one text
		return Snapshot{}, bad
	}
	return s, nil
}
