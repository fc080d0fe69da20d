package lsp

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
)

// queueMax is how many messages wait for their turn. What a client types while
// one is answered is judged once, at the end of it; further than that nobody
// needs to read ahead.
const queueMax = 64

// A queue reads messages ahead of the one that is being answered: so that a
// cancellation is seen while its request still waits.
type queue struct {
	arrived chan arrival

	mu        sync.Mutex
	waiting   map[string]bool // ids of requests that were read and not yet taken
	cancelled map[string]bool // those of them that nobody waits for any longer
}

// An arrival is a message, or why there is none; after an err nothing comes.
type arrival struct {
	message *message
	refused *refusal
	err     error
}

// newQueue begins to read. The goroutine that reads ends with the input, with a
// frame that cannot be read, or with the client's `exit`; and with stop, unless
// it waits for input then, which nothing but the input's end can change.
func newQueue(in io.Reader, stop <-chan struct{}) *queue {
	q := &queue{
		arrived: make(chan arrival, queueMax),
		waiting: make(map[string]bool), cancelled: make(map[string]bool),
	}
	go q.read(bufio.NewReader(in), stop)
	return q
}

func (q *queue) read(in *bufio.Reader, stop <-chan struct{}) {
	defer close(q.arrived)
	for {
		var a arrival
		body, err := readFrame(in)
		if err != nil {
			a.err = err
		} else if a.message, a.refused = parseMessage(body); a.refused == nil {
			if a.message.Method == "$/cancelRequest" {
				q.cancel(a.message.Params)
				continue
			}
			q.arrive(a.message)
		}
		select {
		case q.arrived <- a:
		case <-stop:
			return
		}
		if a.err != nil || a.message != nil && a.message.Method == "exit" {
			return
		}
	}
}

func (q *queue) arrive(m *message) {
	if !m.isRequest() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[string(m.ID)] = true
}

// cancel remembers a request that still waits. One that was answered is none to
// remember: its id may come again.
func (q *queue) cancel(params json.RawMessage) {
	var p struct {
		ID id `json:"id"`
	}
	if json.Unmarshal(params, &p) != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[string(p.ID)] {
		q.cancelled[string(p.ID)] = true
	}
}

// take reports, once for each request, whether it is still waited for.
func (q *queue) take(m *message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := string(m.ID)
	wanted := !q.cancelled[key]
	delete(q.waiting, key)
	delete(q.cancelled, key)
	return wanted
}

// idle reports whether nothing waits.
func (q *queue) idle() bool { return len(q.arrived) == 0 }
