package rel

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pemba-io/pemba/internal/fault"
)

// A CaveatName names a caveat of the schema, with its prefixes, like
// "office_hours" or "billing/paid". Empty is no caveat.
type CaveatName string

// expirationWord stands in a tuple's brackets for its expiration, so no caveat
// can be called so.
const expirationWord = "expiration"

// ParseCaveatName reads the name of a caveat: names separated by '/', as a
// type's; `expiration` is none.
func ParseCaveatName(s string) (CaveatName, error) {
	if _, err := ParseType(s); err != nil {
		return "", fault.Newf(fault.CaveatNameMustBeValid, "%s is not a caveat's name", quote(s)).
			Do("a caveat's name is written [a-z][a-z0-9_]*, at most %d characters, with '/' between prefixes", NameBytesMax)
	}
	if s == expirationWord {
		return "", fault.Newf(fault.CaveatNameMustBeValid, "no caveat can be called %s", s).
			Do("the word stands for a tuple's expiration; choose another name")
	}
	return CaveatName(s), nil
}

// A Caveat is the use of one of the schema's caveats on a tuple, with the values
// that the tuple itself brings. The zero Caveat is none: the tuple always counts.
// Caveats are comparable.
type Caveat struct {
	Name    CaveatName
	Context Context
}

// IsZero reports whether there is no caveat.
func (c Caveat) IsZero() bool { return c.Name == "" }

// String is the caveat as it stands in a tuple's brackets, without these.
func (c Caveat) String() string {
	if c.Context.IsEmpty() {
		return string(c.Name)
	}
	return string(c.Name) + ":" + c.Context.String()
}

// Bounds on contexts.
const (
	// TupleContextBytesMax bounds what one tuple brings: it is stored twice and
	// read with every look at the tuple.
	TupleContextBytesMax = 16 << 10
	// RequestContextBytesMax bounds what a request brings.
	RequestContextBytesMax = 64 << 10
	// contextDepthMax bounds how deep values nest.
	contextDepthMax = 32
)

// A Context is values for the parameters of caveats, by name. They are JSON
// values, numbers double-precision ones, since that is what every client can
// send; what a caveat's parameter makes of them is the condition room's business.
//
// A Context is kept as text in one form: keys in order, no white space, numbers
// as short as they can be. So equal contexts are equal values, comparable and
// fit for a map's key. The zero Context is empty.
type Context struct{ json string }

// NewContext makes a context of values as encoding/json decodes them: nil, bool,
// float64, string, []any and map[string]any.
func NewContext(values map[string]any) (Context, error) {
	if len(values) == 0 {
		return Context{}, nil
	}
	if err := checkContextValue(values, contextDepthMax); err != nil {
		return Context{}, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return Context{}, unreadableContext("it has a value that is none of JSON's").Because(err)
	}
	return Context{strings.TrimSuffix(b.String(), "\n")}, nil
}

// ParseContext reads a JSON object.
func ParseContext(text string) (Context, error) {
	c, rest, err := cutContext(text)
	if err == nil && strings.TrimSpace(rest) != "" {
		err = unreadableContext("something follows it")
	}
	if err != nil {
		return Context{}, err
	}
	return c, nil
}

// cutContext reads the JSON object that a text begins with.
func cutContext(text string) (c Context, rest string, err error) {
	if !utf8.ValidString(text) {
		return Context{}, "", unreadableContext("it is not UTF-8")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		f := unreadableContext("it is not a JSON object")
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			f = unreadableContext("it ends too early")
		}
		return Context{}, "", f.Because(err)
	}
	text, rest = text[:decoder.InputOffset()], text[decoder.InputOffset():]
	if name, twice := nameTwice(json.NewDecoder(strings.NewReader(text))); twice {
		return Context{}, "", fault.Newf(fault.ContextMustBeReadable, "the context has the name %s twice in one object", quote(name)).
			Do("leave one of the two out; it is not for pemba to choose")
	}
	c, err = NewContext(values)
	return c, rest, err
}

// nameTwice finds a name that stands twice in an object, in the next value of a
// text that was read before: encoding/json takes the last one.
func nameTwice(tokens *json.Decoder) (name string, twice bool) {
	begin, err := tokens.Token()
	if err != nil || begin != json.Delim('{') && begin != json.Delim('[') {
		return "", false
	}
	names := make(map[string]bool)
	for tokens.More() {
		if begin == json.Delim('{') {
			token, _ := tokens.Token() // a name, since the text was read before
			name, _ = token.(string)
			if names[name] {
				return name, true
			}
			names[name] = true
		}
		if name, twice := nameTwice(tokens); twice {
			return name, true
		}
	}
	_, _ = tokens.Token() // the end
	return "", false
}

// TrustedContext makes a context of a text that String gave when it was stored.
func TrustedContext(text string) Context { return Context{text} }

// CheckBytes says whether a context keeps a bound.
func (c Context) CheckBytes(most int) error {
	if len(c.json) <= most {
		return nil
	}
	return fault.Newf(fault.FieldMustBeWithinBounds, "the context has %d bytes", len(c.json)).
		Do("send at most %d", most)
}

// IsEmpty reports whether there are no values.
func (c Context) IsEmpty() bool { return c.json == "" }

// Values are the values as encoding/json decodes them; nil where there are none.
// The map is the caller's.
func (c Context) Values() map[string]any {
	if c.json == "" {
		return nil
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(c.json), &values); err != nil {
		return nil // a context is made by the functions above alone
	}
	return values
}

// String is the context as JSON; empty where there are no values.
func (c Context) String() string { return c.json }

// checkContextValue refuses what JSON cannot hold and what nests too deep.
func checkContextValue(v any, depth int) error {
	if depth == 0 {
		return fault.Newf(fault.ContextMustBeReadable, "the context nests deeper than %d levels", contextDepthMax).
			Do("send flatter values")
	}
	switch v := v.(type) {
	case map[string]any:
		for key, each := range v {
			if !utf8.ValidString(key) {
				return unreadableContext("a name is not UTF-8")
			}
			if err := checkContextValue(each, depth-1); err != nil {
				return err
			}
		}
	case []any:
		for _, each := range v {
			if err := checkContextValue(each, depth-1); err != nil {
				return err
			}
		}
	case string:
		if !utf8.ValidString(v) {
			return unreadableContext("a text is not UTF-8")
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return unreadableContext("a number is none of JSON's")
		}
	case nil, bool:
	default:
		return unreadableContext("it has a value that is none of JSON's")
	}
	return nil
}

func unreadableContext(why string) *fault.Fault {
	return fault.Newf(fault.ContextMustBeReadable, "the context cannot be read: %s", why).
		Do(`write a JSON object with a value a parameter, for example {"opens":9}`)
}
