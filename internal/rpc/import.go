package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	pembav1 "github.com/pemba-io/pemba/gen/pemba/v1"
	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
)

// importedMax bounds the tuples of a message. More of them would be fewer messages,
// which cost nothing beside their tuples, and more memory for each.
const importedMax = 10_000

// ImportTuples loads what the client sends until it has sent all of it, or the server
// is told to stop: then the client is to go on from where the import is by then.
func (s *tupleServer) ImportTuples(stream grpc.ClientStreamingServer[pembav1.ImportTuplesRequest, pembav1.ImportTuplesResponse]) error {
	ctx, cancel := s.edge.whileServing(stream.Context())
	defer cancel()
	following := receive(ctx, stream)
	first, err := following()
	if errors.Is(err, io.EOF) {
		first, err = &pembav1.ImportTuplesRequest{}, nil // it says what is wanting
	}
	if err != nil {
		return err
	}
	command, message, err := importCommand(first)
	if err != nil {
		return err
	}
	begun := false
	answer, err := s.service.ImportTuples(ctx, command, func() (service.ImportMessage, error) {
		if !begun {
			begun = true
			return message, nil
		}
		m, err := following()
		if err != nil {
			return service.ImportMessage{}, err
		}
		return importMessage(m)
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(&pembav1.ImportTuplesResponse{
		Snapshot: tokenOf(answer.Snapshot), LoadedCount: answer.Loaded, Finished: answer.Finished,
	})
}

// tokenOf is a snapshot as an answer has it, where there may be none.
func tokenOf(s rel.Snapshot) string {
	if s == (rel.Snapshot{}) {
		return ""
	}
	return s.Token()
}

func importCommand(first *pembav1.ImportTuplesRequest) (service.ImportCommand, service.ImportMessage, error) {
	var f form
	command := service.ImportCommand{
		Store:    f.store(first.GetStore()),
		ID:       required(&f, "import_id", first.GetImportId(), rel.ParseImportID, "name the import in the first message of a stream, for example by a UUID, and in each of its streams alike"),
		Metadata: f.metadata(first.GetMetadata()),
	}
	message := f.importMessage(first)
	return command, message, f.err()
}

func importMessage(m *pembav1.ImportTuplesRequest) (service.ImportMessage, error) {
	var f form
	message := f.importMessage(m)
	return message, f.err()
}

func (f *form) importMessage(m *pembav1.ImportTuplesRequest) service.ImportMessage {
	message := service.ImportMessage{Offset: m.GetOffset(), Finish: m.GetFinish(), Discard: m.GetDiscard()}
	if message.Discard && (message.Finish || len(m.GetTuples()) > 0) {
		f.unwanted("discard", "send it in a message without `tuples` and `finish`")
	}
	if f.atMost("tuples", len(m.GetTuples()), importedMax) {
		message.Tuples = make([]rel.Tuple, len(m.GetTuples()))
		for i, t := range m.GetTuples() {
			f.enter("tuples", i)
			message.Tuples[i] = f.tuple(t)
			f.leave()
		}
	}
	if end := message.Offset + uint64(len(message.Tuples)); end < message.Offset || end > offsetMax {
		f.keep(fault.Newf(fault.FieldMustBeWithinBounds, "offset is %d", message.Offset).
			Do("say how many tuples of the import come before these").In("offset"))
	}
	return message
}

// offsetMax is more tuples than anybody imports, and no number that overflows.
const offsetMax = 1 << 62

// An incoming is what a stream's client sent, or why it sends no more.
type incoming[Message any] struct {
	message Message
	err     error
}

// receive reads a stream, one message ahead, so that the client's next message is
// decoded while the last one is worked on, and so that whoever waits for one hears
// when the server is told to stop, which gRPC's Recv does not. What reads ends with
// the context, or else with the stream, when its handler has returned.
func receive[Request, Response any](ctx context.Context, stream grpc.ClientStreamingServer[Request, Response]) (next func() (*Request, error)) {
	ahead := make(chan incoming[*Request])
	go func() {
		for {
			m, err := stream.Recv()
			select {
			case ahead <- incoming[*Request]{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return func() (*Request, error) {
		select {
		case r := <-ahead:
			return r.message, r.err
		case <-ctx.Done():
			return nil, fault.Ended(ctx)
		}
	}
}
