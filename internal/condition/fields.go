package condition

import (
	"encoding/json"
	"strconv"
	"strings"
)

// cutField finds the value of a name in a context's text, without decoding the
// rest: a caveat reads two or three values, and a request may bring hundreds.
//
// The text is the one form that rel.Context keeps: an object without white space,
// whose names are escaped only where they must be. A parameter's name never is.
func cutField(object, name string) (value string, found bool) {
	rest, ok := strings.CutPrefix(object, "{")
	for ok && rest != "" && rest[0] == '"' {
		end := valueEnd(rest)
		key := rest[:end]
		if end == len(rest) || rest[end] != ':' {
			return "", false
		}
		rest = rest[end+1:]
		end = valueEnd(rest)
		if len(key) == len(name)+2 && key[1:len(key)-1] == name {
			return rest[:end], true
		}
		rest, ok = strings.CutPrefix(rest[end:], ",")
	}
	return "", false
}

// valueEnd is where the JSON value ends that a text begins with.
func valueEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if i >= len(text) {
				return len(text)
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']', ',', ':':
			if depth == 0 {
				return i
			}
			if text[i] == '}' || text[i] == ']' {
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	return len(text)
}

// stringEnd is where the closing quote stands of the string that opens at i.
func stringEnd(text string, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// decodeValue is a JSON value as encoding/json decodes it.
func decodeValue(text string) any {
	switch {
	case len(text) >= 2 && text[0] == '"' && strings.IndexByte(text, '\\') < 0:
		return text[1 : len(text)-1]
	case text == "true":
		return true
	case text == "false":
		return false
	case text != "" && (text[0] == '-' || '0' <= text[0] && text[0] <= '9'):
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil // a context is made by rel alone; null fits no parameter but `any`
	}
	return v
}
