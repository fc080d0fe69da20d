package condition_test

import (
	"testing"

	"github.com/pemba-io/pemba/internal/condition"
	"github.com/pemba-io/pemba/internal/rel"
)

// BenchmarkDecide times one decision of a caveat on a tuple, the request's values
// kept from the tuples before, as they are in a walk.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name, caveat, own, given string
		want                     condition.Truth
	}{
		{"hours", hours, `{"closes":18,"opens":9}`, `{"now":"2026-05-01T10:30:00Z"}`, condition.True},
		{"hours, now missing", hours, `{"closes":18,"opens":9}`, ``, condition.Open},
		{"network", network, ``, `{"ip":"10.1.2.3"}`, condition.True},
		{"in a list of the tuple's", "c(day string, days list<string>) { day in days }", `{"days":["mon","tue","wed"]}`, `{"day":"wed"}`, condition.True},
		{"regular expression", "c(mail string) { mail.matches('^[a-z]+@acme[.]com$') }", ``, `{"mail":"ana@acme.com"}`, condition.True},
	} {
		b.Run(c.name, func(b *testing.B) {
			caveat, own, given := mustCompile(b, c.caveat), context(b, c.own), condition.NewGiven(context(b, c.given))
			b.ReportAllocs()
			for b.Loop() {
				if got := caveat.Decide(own, given); got.Truth != c.want {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}

// BenchmarkCompile times what a schema pays for each caveat, once.
func BenchmarkCompile(b *testing.B) {
	params, body := parseCaveat(hours)
	b.ReportAllocs()
	for b.Loop() {
		if c, faults := condition.Compile(params, body); c == nil {
			b.Fatal(faults)
		}
	}
}

// Time is noisy; allocations are not. CEL makes some for each call of a condition.
func TestAllocationsOfADecision(t *testing.T) {
	caveat, own, given := mustCompile(t, hours), context(t, `{"closes":18,"opens":9}`), condition.NewGiven(context(t, `{"now":"2026-05-01T10:30:00Z"}`))
	if got := testing.AllocsPerRun(100, func() { caveat.Decide(own, given) }); got > 20 {
		t.Errorf("%v allocations", got)
	}
	var none rel.Context
	if got := testing.AllocsPerRun(100, func() { caveat.Decide(none, given) }); got > 20 {
		t.Errorf("%v allocations where two are missing", got)
	}
}
