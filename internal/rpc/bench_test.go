package rpc

import (
	"testing"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
)

// BenchmarkCheck asks one question again and again: through the wire, past it,
// and the reading of the request and the writing of the answer alone, which is
// all that this room adds. The rest of the difference is gRPC's.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	request := &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user:sam"}
	mustGrant := func(b *testing.B, answer *pembav1.CheckResponse, err error) {
		if err != nil || !answer.GetGranted() {
			b.Fatal(answer, err)
		}
	}
	b.Run("bufconn", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := w.permissions.Check(b.Context(), request)
			mustGrant(b, answer, err)
		}
	})
	handler := &permissionServer{service: w.service}
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := handler.Check(b.Context(), request)
			mustGrant(b, answer, err)
		}
	})
	query, err := checkQuery(request)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := w.service.Check(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("request and answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := checkQuery(request); err != nil {
				b.Fatal(err)
			}
			mustGrant(b, checkResponse(answer), nil)
		}
	})
}

// BenchmarkRefusal asks what is refused at the gate: the cheapest thing that a
// client can do wrong must not cost more than an answer.
func BenchmarkRefusal(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.permissions.Check(b.Context(), &pembav1.CheckRequest{Object: "project:p1", Permission: "view", Subject: "user"}); err == nil {
			b.Fatal("was answered")
		}
	}
}
