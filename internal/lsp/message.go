package lsp

import (
	"bytes"
	"encoding/json"
)

// An id is a request's, a number or a text, as the client wrote it; nil in a
// notification.
type id = json.RawMessage

// A message is what a client sends: a request with an id, or a notification.
type message struct {
	ID     id              `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// isRequest reports whether the message waits for an answer.
func (m *message) isRequest() bool { return len(m.ID) > 0 && !bytes.Equal(m.ID, []byte("null")) }

// A response answers a request with a result or with a refusal.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      id              `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *refusal        `json:"error,omitempty"`
}

// A notification is what the server sends by itself.
type notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

const jsonrpcVersion = "2.0"

// A refusal says why a request has no result.
type refusal struct {
	Code    refusalCode `json:"code"`
	Message string      `json:"message"`
}

func (r *refusal) Error() string { return r.Message }

// A refusalCode is one of JSON-RPC's or of the protocol's numbers.
type refusalCode int

const (
	parseError           refusalCode = -32700
	invalidRequest       refusalCode = -32600
	methodNotFound       refusalCode = -32601
	invalidParams        refusalCode = -32602
	internalError        refusalCode = -32603
	serverNotInitialized refusalCode = -32002
	requestCancelled     refusalCode = -32800
)

// parseMessage reads the body of a frame.
func parseMessage(body []byte) (*message, *refusal) {
	var m message
	if !json.Valid(body) {
		return nil, &refusal{parseError, "the message is no JSON"}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, &refusal{invalidRequest, "the message is no JSON-RPC object: " + err.Error()}
	}
	return &m, nil
}
