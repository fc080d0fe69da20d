package main

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// answerBytesMax bounds a message that is taken from a server: ten thousand of
// the longest tuples fit.
const answerBytesMax = 64 << 20

// A client asks the server that the flags name.
type client struct {
	conn    *grpc.ClientConn
	server  string
	timeout time.Duration
	store   string
}

// connect prepares a client. Nothing is sent before the first question.
func (a *app) connect() (*client, error) {
	store, err := a.store()
	if err != nil {
		return nil, err
	}
	if _, port, err := net.SplitHostPort(a.Server); err != nil || port == "" {
		return nil, fault.Newf(fault.FieldMustBeWithinBounds, "the server %q is not an address", a.Server).
			Do("write host:port in --server or PEMBA_SERVER, for example 127.0.0.1:7878")
	}
	conn, err := grpc.NewClient(a.Server,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerBytesMax)),
		grpc.WithUserAgent("pemba-cli"))
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, server: a.Server, timeout: time.Duration(a.Timeout), store: store}, nil
}

func (c *client) close() { _ = c.conn.Close() } // nothing is in flight any more

func (c *client) permissions() pembav1.PermissionServiceClient {
	return pembav1.NewPermissionServiceClient(c.conn)
}

func (c *client) tuples() pembav1.TupleServiceClient { return pembav1.NewTupleServiceClient(c.conn) }

func (c *client) schemas() pembav1.SchemaServiceClient { return pembav1.NewSchemaServiceClient(c.conn) }

func (c *client) stores() pembav1.StoreServiceClient { return pembav1.NewStoreServiceClient(c.conn) }

// ask calls an RPC and waits for its answer as long as the flags allow.
func ask[Request, Response any](c *client, rpc func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request) (Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	answer, err := rpc(ctx, request)
	return answer, c.understood(err)
}

// understood gives an error that no pemba sent, but the way to it, a sentence
// and a remedy.
func (c *client) understood(err error) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.OK || isFromPemba(s) {
		return err
	}
	switch s.Code() {
	case codes.Unavailable:
		return fault.Newf(fault.ServerMustBeServing, "no pemba answers at %s (%s)", c.server, lastPart(s.Message())).
			Do("start one with `pemba serve`, or name another with --server or PEMBA_SERVER").Because(err)
	case codes.DeadlineExceeded:
		return fault.Newf(fault.DeadlineMustNotPass, "%s did not answer within %s", c.server, c.timeout).
			Do("look at the server, or wait longer with --timeout").Because(err)
	case codes.Unimplemented:
		return fault.Newf(fault.NotInThisRelease, "the server at %s does not know this call", c.server).
			Do("use a pemba of the server's release, and see that it is a pemba").Because(err)
	default:
		return err
	}
}

// lastPart is what the network said, without the names of the layers that passed
// it on: "connection refused".
func lastPart(message string) string {
	return strings.Trim(message[strings.LastIndex(message, ": ")+1:], ` "`)
}

func isFromPemba(s *status.Status) bool {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "pemba" {
			return true
		}
	}
	return false
}

// freshness are the flags of a question about the state it is asked of.
type freshness struct {
	Snapshot        *string `help:"Ask a state that is at least as fresh as this snapshot." placeholder:"TOKEN" xor:"freshness"`
	AtSnapshot      *string `help:"Ask exactly the state of this snapshot, as it is judged now." placeholder:"TOKEN" xor:"freshness"`
	At              *string `help:"Ask the state of this time, as it was judged then." placeholder:"TIME" xor:"freshness"`
	FullyConsistent bool    `help:"Ask the newest state." xor:"freshness"`
}

func (f freshness) consistency() (*pembav1.Consistency, error) {
	switch {
	case f.Snapshot != nil:
		if err := mustBeSnapshot("--snapshot", *f.Snapshot); err != nil {
			return nil, err
		}
		return &pembav1.Consistency{Requirement: &pembav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: *f.Snapshot}}, nil
	case f.AtSnapshot != nil:
		if err := mustBeSnapshot("--at-snapshot", *f.AtSnapshot); err != nil {
			return nil, err
		}
		return &pembav1.Consistency{Requirement: &pembav1.Consistency_AtExactSnapshot{AtExactSnapshot: *f.AtSnapshot}}, nil
	case f.At != nil:
		at, err := time.Parse(time.RFC3339Nano, *f.At)
		if err != nil {
			return nil, fault.Newf(fault.FieldMustBeWithinBounds, "--at %q is not a time", *f.At).
				Do("write it as RFC 3339 does, for example 2026-03-01T12:00:00Z")
		}
		return &pembav1.Consistency{Requirement: &pembav1.Consistency_AtTime{AtTime: timestamppb.New(at)}}, nil
	case f.FullyConsistent:
		return &pembav1.Consistency{Requirement: &pembav1.Consistency_FullyConsistent{FullyConsistent: true}}, nil
	default:
		return nil, nil
	}
}

func mustBeSnapshot(flag, token string) error {
	if token == "" { // an unset variable of a script must not mean any state
		return fault.Newf(fault.FieldMustBeSet, "%s is empty", flag).Do("give the snapshot that an answer had, or leave %s out", flag)
	}
	_, err := rel.ParseSnapshot(token)
	return err
}

// principal reads a subject and what it presents beside itself.
func principal(subject string, with []string) (rel.Principal, error) {
	identity, err := rel.ParseSubject(subject)
	if err != nil {
		return rel.Principal{}, err
	}
	beside := make([]rel.Subject, len(with))
	for i, text := range with {
		if beside[i], err = rel.ParseSubject(text); err != nil {
			return rel.Principal{}, err
		}
	}
	return rel.NewPrincipal(identity, beside...)
}

// besideTexts are what a principal presents beside its identity, as text.
func besideTexts(p rel.Principal) []string {
	var texts []string
	for _, s := range p.Subjects()[1:] {
		texts = append(texts, s.String())
	}
	return texts
}
