package rpc

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/pemba-io/pemba/internal/fault"
)

// A requestCodec is gRPC's own, but a body that it cannot read becomes an empty
// message with a mark, which the edge then refuses with INVALID_ARGUMENT, a
// reason and, where a text is not UTF-8, the path of its field.
//
// grpc-go answers a codec's error with INTERNAL by itself, before any
// interceptor is asked; and INTERNAL here means that pemba is wrong. The mark is
// an unknown field. Somebody who sends it is refused, which harms nobody.
type requestCodec struct{ encoding.CodecV2 }

func newRequestCodec() requestCodec {
	return requestCodec{encoding.GetCodecV2(protocodec.Name)}
}

func (c requestCodec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	message, isProto := v.(proto.Message)
	if err == nil || !isProto {
		return err
	}
	proto.Reset(message)
	m := message.ProtoReflect()
	field := textThatIsNotUTF8(m.Descriptor(), data.Materialize(), messageDepthMax)
	m.SetUnknown(protowire.AppendBytes(unreadableMark(), []byte(field)))
	return nil
}

// unreadableMark is the tag of the mark: the highest field number there is,
// which no message of pemba has.
func unreadableMark() []byte {
	return protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.BytesType)
}

// unreadable is the fault of a message that carries the mark, or nil.
func unreadable(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	unknown := m.ProtoReflect().GetUnknown()
	if len(unknown) == 0 {
		return nil
	}
	path, marked := bytes.CutPrefix(unknown, unreadableMark())
	if !marked {
		return nil
	}
	field, _ := protowire.ConsumeBytes(path)
	if len(field) > 0 {
		return fault.Newf(fault.FieldMustBeUTF8, "%s is not UTF-8", field).Do("encode it as UTF-8").In(string(field))
	}
	return fault.New(fault.RequestMustBeReadable, "the body is not a message of this RPC, or nests too deep").
		Do("use a client generated from pemba's proto files, and nest values less deep")
}

// A readableStream refuses what the codec marked among a stream's messages.
type readableStream struct{ grpc.ServerStream }

func (s readableStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	return unreadable(message)
}

// messageDepthMax bounds the search for a bad text: no request has its own
// fields deeper, and a Struct could nest without end.
const messageDepthMax = 8

// textThatIsNotUTF8 finds the path of the first such text in a body; empty where
// there is none, and so something else is wrong with the body.
func textThatIsNotUTF8(d protoreflect.MessageDescriptor, body []byte, depth int) string {
	count := make(map[protowire.Number]int)
	for len(body) > 0 {
		number, wire, n := protowire.ConsumeTag(body)
		if n < 0 {
			return ""
		}
		body = body[n:]
		if wire != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, wire, body); n < 0 {
				return ""
			}
			body = body[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return ""
		}
		body = body[n:]
		f := d.Fields().ByNumber(number)
		if f == nil {
			continue
		}
		name := string(f.Name())
		if f.IsList() {
			name += "[" + strconv.Itoa(count[number]) + "]"
			count[number]++
		}
		switch {
		case f.Kind() == protoreflect.StringKind && !utf8.Valid(value):
			return name
		case f.Kind() == protoreflect.MessageKind && depth > 0:
			if inner := textThatIsNotUTF8(f.Message(), value, depth-1); inner != "" {
				if f.IsMap() {
					return name // a key or a value; the proto has no path for either
				}
				return name + "." + inner
			}
		}
	}
	return ""
}
