package service_test

import (
	"context"
	"sync"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

const rivalry = `
use roles
definition user {}
definition org {
  roles one per subject {
    member: user          granted by admin
    admin: user [1..*]    granted by admin
  }
}
definition project {
  created by org->member
  relation org: org [1]   granted by editor & subject->member
  roles { viewer: user   granted by editor
          editor: user   granted by editor }
}`

// Of writes at the same moment that each would be accepted alone, and that take the
// ground from under each other, exactly one is accepted, whichever comes first.
func TestOfRivalsOneIsFirst(t *testing.T) {
	for _, c := range []struct {
		name, mia, max string
		also           []string // is there, too
		refused        fault.Code
	}{
		{"each removes the other", "delete org:acme#admin@user:max", "delete org:acme#admin@user:mia", nil, fault.ActorMustBeAllowedToGrant},
		{"each removes the other, and a third one stays", "delete org:acme#admin@user:max", "delete org:acme#admin@user:mia",
			[]string{"create org:acme#admin@user:ana"}, fault.ActorMustBeAllowedToGrant},
		{"each demotes the other", "assign org:acme#member@user:max", "assign org:acme#member@user:mia", nil, fault.ActorMustBeAllowedToGrant},
		{"each offboards the other", "revoke user:max within org:acme", "revoke user:mia within org:acme", nil, fault.ActorMustBeAllowedToGrant},
		{"each leaves", "delete org:acme#admin@user:mia", "delete org:acme#admin@user:max",
			[]string{"create org:acme#member@user:zoe"}, fault.LowerBoundMustHold},
		{"each steps down", "assign org:acme#member@user:mia", "assign org:acme#member@user:max", nil, fault.LowerBoundMustHold},
		{"each creates the same project", "create project:p#org@org:acme", "touch project:p#org@org:acme", nil, fault.ActorMustBeAllowedToGrant},
	} {
		t.Run(c.name, func(t *testing.T) {
			for round := range 20 {
				f := open(t, "")
				f.schema(rivalry)
				f.mustWrite("create org:acme#admin@user:mia", "create org:acme#admin@user:max")
				if len(c.also) > 0 {
					f.mustWrite(c.also...)
				}
				rivals := []rival{{"user:mia", c.mia}, {"user:max", c.max}}
				if round%2 == 1 { // who is started first is mostly first
					rivals[0], rivals[1] = rivals[1], rivals[0]
				}
				refused := f.atOnce(rivals)
				if !fault.Is(refused, c.refused) && !fault.Is(refused, fault.AlreadyExistsCreate) {
					t.Fatalf("the other one: %v", refused)
				}
			}
		})
	}
}

type rival struct{ actor, update string }

// atOnce lets rivals write at the same moment. It fails unless exactly one of them is
// accepted, and tells why the other is not.
func (f fixture) atOnce(rivals []rival) (refused error) {
	f.Helper()
	errs := make([]error, len(rivals))
	start := make(chan struct{})
	var done sync.WaitGroup
	for i, r := range rivals {
		c := command(f.T, "", r.update)
		actor, err := rel.NewActor(r.actor, rel.Context{})
		if err != nil {
			f.Fatal(err)
		}
		c.Actor = actor.Subject
		done.Go(func() {
			<-start
			_, errs[i] = f.Write(context.Background(), c)
		})
	}
	close(start)
	done.Wait()
	winner := ""
	for i, err := range errs {
		switch {
		case err != nil:
			refused = err
		case winner != "":
			f.Fatalf("%s and %s are both accepted", winner, rivals[i].actor)
		default:
			winner = rivals[i].actor
		}
	}
	if winner == "" {
		f.Fatalf("nobody is accepted: %v", errs)
	}
	return refused
}

// In either order, told apart.
func TestOfRivalsInTurnTheFirstIsAccepted(t *testing.T) {
	for _, order := range [][2]string{{"user:mia", "user:max"}, {"user:max", "user:mia"}} {
		f := open(t, "")
		f.schema(rivalry)
		f.mustWrite("create org:acme#admin@user:mia", "create org:acme#admin@user:max")
		for i, actor := range order {
			c := command(t, "", "delete org:acme#admin@"+order[1-i])
			a, err := rel.NewActor(actor, rel.Context{})
			if err != nil {
				t.Fatal(err)
			}
			c.Actor = a.Subject
			_, err = f.Write(context.Background(), c)
			if accepted := err == nil; accepted != (i == 0) || i == 1 && !fault.Is(err, fault.ActorMustBeAllowedToGrant) {
				t.Errorf("%s: %v", actor, err)
			}
		}
	}
}
