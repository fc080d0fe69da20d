package condition

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/pemba-io/pemba/internal/fault"
)

// A kind is what a type of parameters is made of.
type kind uint8

const (
	kindAny kind = iota
	kindBool
	kindInt
	kindUint
	kindDouble
	kindString
	kindBytes
	kindDuration
	kindTimestamp
	kindAddress
	kindList
	kindMap
)

// kindOf are the words of the types; list and map need a type in brackets.
var kindOf = map[string]kind{
	"any": kindAny, "bool": kindBool, "int": kindInt, "uint": kindUint, "double": kindDouble,
	"string": kindString, "bytes": kindBytes, "duration": kindDuration, "timestamp": kindTimestamp,
	"ipaddress": kindAddress, "list": kindList, "map": kindMap,
}

// typeWords are the types in the order in which users are told of them.
var typeWords = []string{"any", "bool", "int", "uint", "double", "string", "bytes", "duration", "timestamp", "ipaddress", "list", "map"}

// celTypes are the types as CEL checks them.
//
// A uint is checked as an int. CEL's own uint needs a `u` behind every constant
// that it meets (`level > 3u`), which nobody expects of a parameter that was sent
// as 3, and which schemas written for SpiceDB do not have. What makes it a uint is
// that its values are not negative.
var celTypes = map[kind]*cel.Type{
	kindAny: cel.DynType, kindBool: cel.BoolType, kindInt: cel.IntType, kindUint: cel.IntType, kindDouble: cel.DoubleType,
	kindString: cel.StringType, kindBytes: cel.BytesType, kindDuration: cel.DurationType, kindTimestamp: cel.TimestampType,
	kindAddress: addressType,
}

// A valueType is the type of a parameter.
type valueType struct {
	kind kind
	text string     // as it is written, without white space
	of   *valueType // of a list's items, of a map's values
}

// parseType reads a type as the schema writes it.
func parseType(param, text string) (*valueType, *fault.Fault) {
	compact := strings.Join(strings.Fields(text), "")
	t, rest, f := cutType(param, compact, 0)
	if f == nil && rest != "" {
		f = typeMustBeValid(param, text, fmt.Sprintf("%q follows it", clipped(rest)), "write one type, for example list<string>")
	}
	return t, f
}

// cutType reads the type that a text begins with.
func cutType(param, text string, depth int) (t *valueType, rest string, f *fault.Fault) {
	end := strings.IndexAny(text, "<>,")
	if end < 0 {
		end = len(text)
	}
	word, rest := text[:end], text[end:]
	k, found := kindOf[word]
	if !found {
		return nil, "", typeMustExist(param, word)
	}
	if k != kindList && k != kindMap {
		if strings.HasPrefix(rest, "<") {
			return nil, "", typeMustBeValid(param, word, "it is not made of another type", "take the brackets out")
		}
		return &valueType{kind: k, text: word}, rest, nil
	}
	if !strings.HasPrefix(rest, "<") {
		return nil, "", typeMustBeValid(param, word, "what it holds is missing", fmt.Sprintf("write %s<string>, or %s<any>", word, word))
	}
	if depth == typeNestingMax {
		return nil, "", typeMustBeValid(param, word, fmt.Sprintf("it nests deeper than %d levels", typeNestingMax), "write any for what is inside")
	}
	of, rest, f := cutType(param, rest[1:], depth+1)
	switch {
	case f != nil:
		return nil, "", f
	case strings.HasPrefix(rest, ",") && k == kindMap:
		return nil, "", typeMustBeValid(param, word, "it has two types in brackets", "a map's keys are strings: write the type of its values alone, for example map<int>")
	case !strings.HasPrefix(rest, ">"):
		return nil, "", typeMustBeValid(param, word, "its bracket does not close", fmt.Sprintf("write %s<%s>", word, of.text))
	}
	return &valueType{kind: k, text: word + "<" + of.text + ">", of: of}, rest[1:], nil
}

// cel is the type as CEL checks it.
func (t *valueType) cel() *cel.Type {
	switch t.kind {
	case kindList:
		return cel.ListType(t.of.cel())
	case kindMap:
		return cel.MapType(cel.StringType, t.of.cel())
	default:
		return celTypes[t.kind]
	}
}

// safeIntegerMax is the largest integer below which every JSON number is the one
// that was written: numbers are doubles on their way here, and 2^53 is what 2^53+1
// becomes.
const safeIntegerMax = 1<<53 - 1

// convert makes a JSON value CEL's; why says what is wrong with it.
func (t *valueType) convert(v any) (value ref.Val, why string) {
	if v == nil && t.kind != kindAny {
		return nil, "it is null"
	}
	switch t.kind {
	case kindAny:
		return convertAny(v), ""
	case kindBool:
		if b, ok := v.(bool); ok {
			return types.Bool(b), ""
		}
	case kindInt, kindUint:
		return convertInteger(v, t.kind)
	case kindDouble:
		return convertDouble(v)
	case kindList:
		return t.convertList(v)
	case kindMap:
		return t.convertMap(v)
	default:
		if s, ok := v.(string); ok {
			return convertText(s, t.kind)
		}
	}
	return nil, "it is " + jsonWord(v)
}

// convertAny takes a value as it comes: numbers are doubles.
func convertAny(v any) ref.Val {
	switch v := v.(type) {
	case bool:
		return types.Bool(v)
	case float64:
		return types.Double(v)
	case string:
		return types.String(v)
	case []any:
		items := make([]ref.Val, len(v))
		for i, each := range v {
			items[i] = convertAny(each)
		}
		return types.NewRefValList(adapter, items)
	case map[string]any:
		entries := make(map[string]any, len(v))
		for key, each := range v {
			entries[key] = convertAny(each)
		}
		return order(types.NewStringInterfaceMap(adapter, entries))
	default:
		return types.NullValue
	}
}

// convertInteger takes a number that is whole, or a string of digits, which is how
// the numbers come that a double cannot hold.
func convertInteger(v any, k kind) (ref.Val, string) {
	switch v := v.(type) {
	case float64:
		switch {
		case v != math.Trunc(v):
			return nil, fmt.Sprintf("%v is no whole number", v)
		case math.Abs(v) > safeIntegerMax:
			return nil, fmt.Sprintf("%.0f is more than a JSON number holds exactly; send it as a string", v)
		case v < 0 && k == kindUint:
			return nil, fmt.Sprintf("%.0f is negative", v)
		}
		return types.Int(v), ""
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && (n >= 0 || k == kindInt) {
			return types.Int(n), ""
		} else if err == nil {
			return nil, fmt.Sprintf("%d is negative", n)
		}
		if n, err := strconv.ParseUint(v, 10, 64); err == nil && k == kindUint {
			return types.Uint(n), "" // beyond an int; it compares with ints all the same
		}
		return nil, fmt.Sprintf("%s is no whole number of 64 bits", quoted(v))
	}
	return nil, "it is " + jsonWord(v)
}

// convertDouble takes a number, or a string that holds one.
func convertDouble(v any) (ref.Val, string) {
	switch v := v.(type) {
	case float64:
		return types.Double(v), ""
	case string:
		// ParseFloat alone reads names of numbers, hexadecimal ones, and nothing is
		// ever equal to, less than or more than NaN.
		if strings.Trim(v, "+-.0123456789eE") == "" {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				return types.Double(f), ""
			}
		}
		return nil, fmt.Sprintf("%s is no number", quoted(v))
	}
	return nil, "it is " + jsonWord(v)
}

// convertText takes what JSON has no form of its own for.
func convertText(s string, k kind) (ref.Val, string) {
	switch k {
	case kindString:
		return types.String(s), ""
	case kindBytes:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Sprintf("%s is not base64", quoted(s))
		}
		return types.Bytes(b), ""
	case kindDuration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, fmt.Sprintf("%s is no duration; write it like 1h30m or 20s", quoted(s))
		}
		return types.Duration{Duration: d}, ""
	case kindTimestamp:
		at, err := time.Parse(time.RFC3339, s)
		if err != nil || strings.ContainsRune(s, ',') || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return nil, fmt.Sprintf("%s is no time; write it as RFC 3339 does, like 2027-01-01T00:00:00Z", quoted(s))
		}
		return types.Timestamp{Time: at.UTC()}, ""
	default:
		at, err := netip.ParseAddr(s)
		if err != nil || at.Zone() != "" { // one with a zone lies in no network
			return nil, fmt.Sprintf("%s is no IP address", quoted(s))
		}
		// A server that listens on IPv6 sees IPv4 callers as ::ffff:10.0.0.1, which
		// lies in no IPv4 network as it is written: `!ip.in_cidr(banned)` would let
		// everybody in.
		return address{at.Unmap()}, ""
	}
}

func (t *valueType) convertList(v any) (ref.Val, string) {
	list, ok := v.([]any)
	if !ok {
		return nil, "it is " + jsonWord(v)
	}
	items := make([]ref.Val, len(list))
	for i, each := range list {
		item, why := t.of.convert(each)
		if why != "" {
			return nil, fmt.Sprintf("item %d must be %s: %s", i+1, t.of.text, why)
		}
		items[i] = item
	}
	return types.NewRefValList(adapter, items), ""
}

func (t *valueType) convertMap(v any) (ref.Val, string) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, "it is " + jsonWord(v)
	}
	entries := make(map[string]any, len(object))
	wrong, wrongWhy := "", ""
	for key, each := range object {
		value, why := t.of.convert(each)
		if why != "" && (wrongWhy == "" || key < wrong) { // maps have no order, and answers must not change
			wrong, wrongWhy = key, why
		}
		entries[key] = value
	}
	if wrongWhy != "" {
		return nil, fmt.Sprintf("the value of %s must be %s: %s", quoted(wrong), t.of.text, wrongWhy)
	}
	return order(types.NewStringInterfaceMap(adapter, entries)), ""
}

// jsonWord is what a JSON value is, in words.
func jsonWord(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case string:
		return "the string " + quoted(v)
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// quotedMax bounds how much of a value a sentence repeats.
const quotedMax = 64

func quoted(s string) string { return strconv.Quote(clipped(s)) }

// clipped is a text without what is more than a sentence can bear.
func clipped(s string) string {
	if len(s) <= quotedMax {
		return s
	}
	end := quotedMax
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// nearestType is a type that a word was probably meant to be, or empty.
func nearestType(word string) string {
	others := map[string]string{"integer": "int", "int64": "int", "number": "double", "float": "double", "boolean": "bool",
		"time": "timestamp", "datetime": "timestamp", "ip": "ipaddress", "array": "list", "object": "map", "str": "string"}
	if t := others[strings.ToLower(word)]; t != "" {
		return t
	}
	return fault.Nearest(word, slices.Clone(typeWords))
}
