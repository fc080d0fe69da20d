package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"

	"github.com/pemba-io/pemba/internal/fault"
)

// An edge is what every call passes on its way out: errors get their gRPC
// clothes, and what an operator should know of gets a line.
//
// A logging middleware writes, or at least builds, a line for each call, which
// costs as much as a check. Here a call that went well and fast costs two looks
// at the clock.
type edge struct {
	log     *slog.Logger
	slow    time.Duration
	serving context.Context // ends when the server is told to stop
}

// whileServing is the context of a call that lasts until it is ended: it ends
// with the call's own, or when the server is told to stop, and then says so. No
// goroutine waits for either.
func (e *edge) whileServing(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(call)
	forget := context.AfterFunc(e.serving, func() { cancel(stopping()) })
	return ctx, func() {
		forget()
		cancel(nil)
	}
}

func (e *edge) unaryInterceptors() []grpc.UnaryServerInterceptor {
	// The innermost one recovers, so that a panic is an error like any other to
	// whatever stands further out.
	return []grpc.UnaryServerInterceptor{
		e.unary,
		recovery.UnaryServerInterceptor(recovery.WithRecoveryHandlerContext(panicked)),
	}
}

func (e *edge) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := unreadable(req); err != nil {
		return nil, e.dress(ctx, info.FullMethod, err)
	}
	began := time.Now()
	answer, err := handler(ctx, req)
	if took := time.Since(began); took >= e.slow {
		e.log.LogAttrs(ctx, slog.LevelWarn, "slow call", slog.String("rpc", info.FullMethod), slog.Duration("took", took))
	}
	if err != nil {
		return nil, e.dress(ctx, info.FullMethod, err)
	}
	return answer, nil
}

// stream does not time: a stream lasts as long as its client wants.
func (e *edge) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := handler(srv, readableStream{stream}); err != nil {
		return e.dress(stream.Context(), info.FullMethod, err)
	}
	return nil
}

// dress makes a status of an error, and logs it.
func (e *edge) dress(ctx context.Context, method string, err error) error {
	f := failureOf(err)
	e.report(ctx, method, f, err)
	return f.status().Err()
}

// report writes a line about a failure. Errors and debug lines carry the whole
// error, ids included: without it nobody can look for the cause. Warnings,
// which come with the load, carry what another library said, and no ids.
func (e *edge) report(ctx context.Context, method string, f failure, err error) {
	level := f.level()
	if f.reason == fault.ServerMustBeServing.Reason() && e.serving.Err() != nil {
		level = slog.LevelDebug // whoever stopped the server knows, and a thousand watches end
	}
	if !e.log.Enabled(ctx, level) {
		return
	}
	line := []slog.Attr{slog.String("rpc", method), slog.String("code", f.code.String()), slog.String("reason", f.reason)}
	if level != slog.LevelWarn {
		line = append(line, slog.String("error", err.Error()))
	}
	var p *panicError
	if errors.As(err, &p) {
		line = append(line, slog.String("panic", fmt.Sprint(p.value)), slog.String("stack", string(p.stack)))
	} else if x := fault.Of(err); x != nil && x.Cause != nil {
		line = append(line, slog.String("cause", x.Cause.Error()))
	}
	e.log.LogAttrs(ctx, level, "call failed", line...)
}

// A panicError is what a handler panicked with, and where.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func panicked(_ context.Context, value any) error {
	return fault.New(fault.PembaMustNotPanic, "a handler panicked").Because(&panicError{value, debug.Stack()})
}
