package scenario

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/rel"
)

// A Validation lists who is found on one name of one object: all of them, each
// with where it stands. It is what the validation files of SpiceDB's tools call
// expected relations, and means the same.
type Validation struct {
	Line     int
	Text     string // object#name, as it was written
	Object   rel.Object
	Name     rel.Name
	Subjects []Found
}

// A Found is a subject of a name, in the notation of those files:
//
//	[user:ana] is <doc:1#viewer>
//	[user:bob[...]] is <doc:1#viewer>/<group:g#member>
//	[user:* - {user:cem, user:dora[...]}] is <doc:1#viewer>
type Found struct {
	Mention
	Except  []Mention // of a wildcard: whom it does not reach
	Sources []rel.Subject
}

// A Mention is a subject, and whether a caveat stands between it and the name.
// A caveat does, whatever its values come to.
type Mention struct {
	Subject  rel.Subject
	Caveated bool
}

// caveatMark stands behind a subject that a caveat decides about.
const caveatMark = "[...]"

func (m Mention) String() string {
	if m.Caveated {
		return m.Subject.String() + caveatMark
	}
	return m.Subject.String()
}

func (f Found) String() string {
	s := f.Mention.String()
	if len(f.Except) > 0 {
		s += " - {" + mentionsText(f.Except) + "}"
	}
	return "[" + s + "] is " + sourcesText(f.Sources)
}

// mentionsText is the same for the same mentions in any order, and so is sourcesText.
func mentionsText(all []Mention) string {
	texts := make([]string, len(all))
	for i, m := range all {
		texts[i] = m.String()
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ", ")
}

func sourcesText(sources []rel.Subject) string {
	texts := make([]string, len(sources))
	for i, s := range sources {
		texts[i] = "<" + s.String() + ">"
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "/")
}

func (r *reader) validation(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "validation is not a mapping").Do("write object#name and a list of subjects")
		return
	}
	r.pairs(n, func(key, value *yaml.Node) {
		v := Validation{Line: key.Line, Text: key.Value}
		place, err := rel.ParseSubject(key.Value)
		if err != nil {
			r.told(err, key.Line, key.Column)
			return
		}
		if !place.IsUserset() {
			r.fault(key, "%s names nothing of an object", quoted(key.Value)).Do("write object#name, for example project:p1#view")
			return
		}
		v.Object, _ = place.Object()
		v.Name = place.Relation()
		if !isNull(value) {
			r.sequence(value, quoted(key.Value), func(n *yaml.Node) { r.found(n, &v) })
		}
		r.file.Validations = append(r.file.Validations, v)
	})
}

// found reads "[SUBJECT] is <SOURCE>/<SOURCE>".
func (r *reader) found(n *yaml.Node, v *Validation) {
	text, ok := r.text(n, "a subject of "+quoted(v.Text))
	if !ok {
		return
	}
	subject, sources, isOne := cutFound(text)
	if !isOne {
		r.fault(n, "%s is not a subject with its sources", quoted(text)).
			Do("write [SUBJECT] is <OBJECT#NAME>, for example [user:ana] is <project:p1#viewer>, with '/' between several sources")
		return
	}
	f, err := parseFound(subject, sources)
	if err != nil {
		r.told(err, n.Line, n.Column)
		return
	}
	if len(f.Except) > 0 && !f.Subject.IsWildcard() {
		r.fault(n, "%s has exceptions, and is no wildcard", quoted(text)).Do("leave `- {…}` out")
		return
	}
	v.Subjects = append(v.Subjects, f)
}

// cutFound splits an entry into its parts, without their brackets. A name of an
// object has neither '>' nor ']' in it, and an id no bracket.
func cutFound(text string) (subject string, sources []string, ok bool) {
	text, opened := strings.CutPrefix(strings.TrimSpace(text), "[")
	end := strings.LastIndexByte(text, ']')
	if !opened || end < 0 {
		return "", nil, false
	}
	subject = strings.TrimSpace(text[:end])
	rest, is := strings.CutPrefix(strings.TrimSpace(text[end+1:]), "is")
	if !is {
		return "", nil, false
	}
	for {
		rest, opened = strings.CutPrefix(strings.TrimSpace(rest), "<")
		hash := strings.IndexByte(rest, '#')
		if !opened || hash < 0 {
			return "", nil, false
		}
		length := strings.IndexByte(rest[hash:], '>')
		if length < 0 {
			return "", nil, false
		}
		sources = append(sources, strings.TrimSpace(rest[:hash+length]))
		rest = strings.TrimSpace(rest[hash+length+1:])
		if rest == "" {
			return subject, sources, true
		}
		if rest, ok = strings.CutPrefix(rest, "/"); !ok {
			return "", nil, false
		}
	}
}

func parseFound(subject string, sources []string) (Found, error) {
	var f Found
	var err error
	one, exceptions, excepts := strings.Cut(strings.TrimSuffix(subject, "}"), " - {")
	if f.Mention, err = parseMention(one); err != nil {
		return f, err
	}
	if excepts {
		for text := range strings.SplitSeq(exceptions, ",") {
			m, err := parseMention(text)
			if err != nil {
				return f, err
			}
			f.Except = append(f.Except, m)
		}
	}
	for _, text := range sources {
		s, err := rel.ParseSubject(text)
		if err != nil {
			return f, err
		}
		f.Sources = append(f.Sources, s)
	}
	return f, nil
}

func parseMention(text string) (Mention, error) {
	text, caveated := strings.CutSuffix(strings.TrimSpace(text), caveatMark)
	s, err := rel.ParseSubject(text)
	return Mention{s, caveated}, err
}

// differences tell what is listed and was not found, or was found otherwise, and
// what was found and is not listed, each as the file would have to have it.
func (v Validation) differences(found []Found) []string {
	var differences []string
	listed := map[rel.Subject]bool{}
	for _, want := range v.Subjects {
		listed[want.Subject] = true
		i := slices.IndexFunc(found, func(f Found) bool { return f.Subject == want.Subject })
		switch {
		case i < 0:
			differences = append(differences, want.Subject.String()+" is listed and not found")
		case found[i].String() != want.String():
			differences = append(differences, found[i].String()+" was found for "+want.String())
		}
	}
	for _, f := range found {
		if !listed[f.Subject] {
			differences = append(differences, f.String()+" was found and is not listed")
		}
	}
	return differences
}
