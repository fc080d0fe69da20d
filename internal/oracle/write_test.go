package oracle_test

import (
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// The texts of test files have no limit, so what it means is said here.
func TestALimitIsHowManyTuplesAFilterMayTake(t *testing.T) {
	o := world(t, `
		definition user {}
		definition doc { relation reader: user }`,
		"doc:1#reader@user:a", "doc:1#reader@user:b", "doc:1#reader@user:c", "doc:2#reader@user:a")
	for _, c := range []struct {
		limit   int
		partial bool
		deleted int // -1: refused
	}{
		{3, false, 3}, {2, false, -1}, {2, true, 2}, {3, true, 3}, {0, false, 3}, {1000, false, 3},
	} {
		u := updates(t, "delete_matching doc:1")
		u[0].Matching.Limit, u[0].Matching.Partial = c.limit, c.partial
		changes, _, err := o.Write(rel.Actor{}, u, nil)
		if c.deleted < 0 {
			if !fault.Is(err, fault.MatchesMustStayWithinLimit) {
				t.Errorf("limit %d: %v", c.limit, err)
			}
			continue
		}
		if err != nil || len(changes) != c.deleted {
			t.Errorf("limit %d, partial %t: %v, %v", c.limit, c.partial, changes, err)
		}
	}
}

// Behind a filter that is refused nothing is judged: what would be there is not known.
func TestARefusedFilterEndsTheUpdates(t *testing.T) {
	o := world(t, "definition user {}\ndefinition doc { relation reader: user }", "doc:1#reader@user:a", "doc:1#reader@user:b")
	u := updates(t, "delete_matching doc:1", "create doc:1#reader@user:a")
	u[0].Matching.Limit = 1
	if _, _, err := o.Write(rel.Actor{}, u, nil); !fault.Is(err, fault.MatchesMustStayWithinLimit) || len(fault.Of(err).Others) > 0 {
		t.Error(err)
	}
	u[0], u[1] = u[1], u[0]
	if _, _, err := o.Write(rel.Actor{}, u, nil); !fault.Is(err, fault.AlreadyExistsCreate) {
		t.Error(err)
	}
	if _, _, err := o.Write(rel.Actor{}, []rel.Update{u[1]}, nil); !fault.Is(err, fault.MatchesMustStayWithinLimit) {
		t.Error(err)
	}
}
