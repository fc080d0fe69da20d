package fault_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
)

func TestEveryCodeHasAReasonOfItsOwn(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)
	seen := make(map[string]fault.Code)
	codes := 0
	for c := fault.Code(1); ; c++ {
		found, ok := fault.CodeOf(c.Reason())
		if !ok {
			break
		}
		codes++
		if found != c {
			t.Errorf("codes %d and %d share the reason %s", c, found, c.Reason())
		}
		if !form.MatchString(c.Reason()) {
			t.Errorf("code %d: %q is not in UPPER_SNAKE", c, c.Reason())
		}
		seen[c.Reason()] = c
	}
	for _, fixed := range []string{ // the language's text fixes these
		"NOT_IN_SCHEMA", "ALREADY_EXISTS", "PRECONDITION_MUST_HOLD", "ACTOR_MUST_BE_ALLOWED_TO_GRANT",
		"ONE_ROLE_PER_SUBJECT", "UPPER_BOUND_MUST_HOLD", "LOWER_BOUND_MUST_HOLD", "SUBJECT_MUST_BE_IN",
	} {
		if _, ok := seen[fixed]; !ok {
			t.Errorf("no code has the reason %s", fixed)
		}
	}
}

func TestReasonsOfARefusedWriteComeInTheLanguagesOrder(t *testing.T) {
	order := []fault.Code{
		fault.NotInSchema, fault.AlreadyExistsCreate, fault.PreconditionMustHold, fault.ActorMustBeAllowedToGrant,
		fault.OneRolePerSubject, fault.UpperBoundMustHold, fault.LowerBoundMustHold, fault.SubjectMustBeIn,
	}
	for i := 1; i < len(order); i++ {
		if order[i-1] >= order[i] {
			t.Errorf("%v does not come before %v", order[i-1], order[i])
		}
	}
}

func TestTheZeroCodeIsInternal(t *testing.T) {
	if got := fault.Code(0).Class(); got != fault.Internal {
		t.Errorf("class of the zero code is %v", got)
	}
}

func TestJoinTakesTheFirstReasonAndKeepsAll(t *testing.T) {
	late := fault.New(fault.LowerBoundMustHold, "late").In("updates[0]")
	early := fault.New(fault.NotInSchema, "early").In("updates[1]")
	err := fault.Join([]*fault.Fault{late, early})
	if !fault.Is(err, fault.NotInSchema) {
		t.Fatalf("head is %v", err)
	}
	all := fault.Of(err).All()
	if len(all) != 2 || all[1].Field != "updates[0]" {
		t.Errorf("all = %v", all)
	}
	if len(early.Others) != 0 {
		t.Error("Join changed its argument")
	}
	if fault.Join(nil) != nil {
		t.Error("no faults are an error")
	}
}

func TestAFaultIsFoundThroughWrapping(t *testing.T) {
	inner := errors.New("disk")
	err := fmt.Errorf("around: %w", fault.New(fault.DiskMustTakeWrites, "x").Because(inner))
	if !fault.Is(err, fault.DiskMustTakeWrites) || !errors.Is(err, inner) {
		t.Errorf("%v lost its fault or its cause", err)
	}
	if fault.Of(inner) != nil {
		t.Error("a plain error is no fault")
	}
}

func TestNearestOffersAndStaysSilent(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"veiwer", "viewer"},
		{"viewr", "viewer"},
		{"view", ""}, // too short for two slips
		{"edtior", "editor"},
		{"banana", ""},
		{"viewer", ""}, // it is there; nothing was misspelt
	} {
		if got := fault.Nearest(c.name, []string{"editor", "viewer", "owner"}); got != c.want {
			t.Errorf("nearest to %q is %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhyAContextEnded(t *testing.T) {
	if err := fault.Ended(context.Background()); err != nil {
		t.Errorf("a running context ended: %v", err)
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if !fault.Is(fault.Ended(gone), fault.CallerMustStay) {
		t.Errorf("%v", fault.Ended(gone))
	}
	late, stop := context.WithTimeout(context.Background(), 0)
	defer stop()
	if !fault.Is(fault.Ended(late), fault.DeadlineMustNotPass) {
		t.Errorf("%v", fault.Ended(late))
	}
	given, end := context.WithCancelCause(context.Background())
	end(fault.New(fault.WalkMustStayWithinBudget, "x"))
	if !fault.Is(fault.Ended(given), fault.WalkMustStayWithinBudget) {
		t.Errorf("%v", fault.Ended(given))
	}
}

func TestANumberAgreesWithItsNoun(t *testing.T) {
	got := []string{fault.Counted(0, "subject"), fault.Counted(1, "subject"), fault.Counted(uint64(2), "subject")}
	if want := []string{"0 subjects", "1 subject", "2 subjects"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
