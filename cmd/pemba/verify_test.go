package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// Where stores disagree with themselves the answer is no, and says what it was.
func TestVerifySaysWhatDisagrees(t *testing.T) {
	report := verifyReport{Directory: "d", Stores: []verifiedStore{
		{Store: "acme", Head: 3, Tuples: 2, Versions: 4, Schemas: 1, Problems: []string{"a tuple is missing"}, More: 2},
		{Store: "default", Problems: []string{}},
	}}
	var out bytes.Buffer
	a := &app{globals: &globals{}, out: bufio.NewWriter(&out)}
	if err := report.answer(a); !errors.As(err, new(answeredNo)) {
		t.Errorf("answered with %v", err)
	}
	_ = a.out.Flush()
	want := `store    head  tuples  expired  versions  schemas  requests  problems
acme     3     2       0        4         1        0         3
default  0     0       0        0         0        0         0
acme: a tuple is missing
acme: and 2 problems more
`
	if out.String() != want {
		t.Errorf("it says\n%s", out.String())
	}

	out.Reset()
	a.Output = jsonOutput
	if err := report.answer(a); !errors.As(err, new(answeredNo)) {
		t.Errorf("answered with %v", err)
	}
	_ = a.out.Flush()
	var again verifyReport
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.InOrder || len(again.Stores) != 2 || again.Stores[0].Problems[0] != "a tuple is missing" {
		t.Errorf("%v: %s", err, out.String())
	}

	report.InOrder, report.Stores = true, report.Stores[1:]
	if err := report.answer(a); err != nil {
		t.Errorf("in order, it is answered with %v", err)
	}
}
