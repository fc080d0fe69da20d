package lsp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pemba-io/pemba/internal/fault"
)

const (
	// bodyBytesMax bounds one message. The compiler refuses a text of over a
	// mebibyte with a diagnostic; an editor that opens one must be told so, and
	// not lose its server.
	bodyBytesMax = 64 << 20

	// headerBytesMax bounds what stands before a body: whoever sends more does
	// not speak the protocol.
	headerBytesMax = 4 << 10
)

// readFrame reads one message. At the end of the input, between messages, the
// error is io.EOF; after any other error the stream cannot be read on, since
// nobody knows where the next message begins.
func readFrame(in *bufio.Reader) ([]byte, error) {
	length, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	body := make([]byte, length)
	if n, err := io.ReadFull(in, body); err != nil {
		return nil, badFrame("a message of %d bytes ended after %d", length, n).Because(err)
	}
	return body, nil
}

func readHeader(in *bufio.Reader) (length int, err error) {
	length = -1
	for read := 0; ; {
		line, err := in.ReadSlice('\n')
		read += len(line)
		switch {
		case errors.Is(err, io.EOF) && read == 0:
			return 0, io.EOF
		case errors.Is(err, bufio.ErrBufferFull) || read > headerBytesMax:
			return 0, badFrame("the header of a message is longer than %d bytes", headerBytesMax)
		case err != nil:
			return 0, badFrame("the input ended in the header of a message").Because(err)
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if text == "" {
			break
		}
		name, value, found := strings.Cut(text, ":")
		if !found {
			return 0, badFrame("%q is no header of a message", text)
		}
		if !strings.EqualFold(name, "Content-Length") {
			continue // Content-Type: there is only one
		}
		length, err = strconv.Atoi(strings.TrimSpace(value))
		if err != nil || length < 0 || length > bodyBytesMax {
			return 0, badFrame("a message cannot be %q bytes long; at most %d are read", strings.TrimSpace(value), bodyBytesMax)
		}
	}
	if length < 0 {
		return 0, badFrame("a message has no Content-Length")
	}
	return length, nil
}

func badFrame(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.RequestMustBeReadable, format, args...).
		Do("let an editor start this: it reads messages of the Language Server Protocol, each after `Content-Length: N` and an empty line")
}

// writeFrame writes one message with a single Write.
func writeFrame(out io.Writer, body []byte) error {
	_, err := out.Write(fmt.Appendf(nil, "Content-Length: %d\r\n\r\n%s", len(body), body))
	return err
}
